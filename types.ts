/**
 * The words that every module shares: JSON, entries, records, definitions and rights.
 * Types only, and the constants that give them meaning.
 */

/** Plain JSON. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
/** A plain JSON object. */
export interface JsonObject {
  [key: string]: Json;
}

/** Milliseconds since the epoch. */
export type Millis = number;

/** Scopes that belong to the service; no agent may carry their names. */
export const RESERVED_SCOPES = [
  "_shared",
  "_messages",
  "_audit",
  "_actions",
  "_views",
  "_agents",
  "_config",
  "_help",
] as const;

/** What a timer does when it runs out. */
export type TimerEffect = "delete" | "enable";

/** A timer as callers declare it: exactly one clock. */
export interface TimerSpec {
  readonly ms?: number;
  readonly at?: string;
  readonly ticks?: number;
  readonly tick_on?: string;
  readonly effect: TimerEffect;
}

/** A timer that runs: with `due_at` on the wall clock, with `ticks_left` on the room's. */
export interface ArmedTimer {
  readonly effect: TimerEffect;
  /** ISO instant at which a wall-clock timer is due. */
  readonly due_at?: string;
  /** The declared duration, kept so that a rewrite can start it anew. */
  readonly ms?: number;
  readonly ticks?: number;
  readonly ticks_left?: number;
  /** `<scope>.<key>` whose writes count down. */
  readonly tick_on?: string;
  /** What is left of `ms` while the timer rests (a claimed message). */
  readonly resting_ms?: number;
  /** Its ticks rest, too: nothing counts down. */
  readonly resting?: true;
}

/** How often and by whom an action was invoked: folded from the log. */
export interface ActionStats {
  readonly invocations: number;
  readonly lastAt: Millis;
  readonly lastBy: string;
  readonly by: Readonly<Record<string, number>>;
}

/** One `(scope, key)`: replaced, never changed in place, on each write. */
export interface Entry {
  readonly value: Json;
  readonly revision: number;
  readonly version: string;
  readonly updatedAt: Millis;
  readonly writer: string;
  readonly via: string;
  /** The record that wrote it last. */
  readonly seq: number;
  /** The record that last changed how it shows: a write, a timer's end, a claim. */
  readonly touched: number;
  /** The record that woke it, when it lay dormant at first. */
  readonly shown?: number;
  /** Decaying count of writes as of `updatedAt`. */
  readonly velocity: number;
  /** Distinct writers, newest first. */
  readonly writers: readonly string[];
  readonly firstAt: Millis;
  readonly timer?: ArmedTimer;
  readonly enabled?: string;
  readonly cooldown?: ArmedTimer;
  readonly stats?: ActionStats;
  /** Bytes of the value as JSON. */
  readonly bytes: number;
}

/** What a write does to its entry. */
export type WriteOp =
  | "set"
  | "merge"
  | "increment"
  | "append"
  | "delete"
  | "renew"
  | "expire"
  | "enable"
  | "cooldown";

/** One effect of a record. `value` is the operand of `append` and `merge`, else the result. */
export interface Write {
  readonly scope: string;
  readonly key: string;
  readonly op: WriteOp;
  readonly value: Json;
  readonly revision: number;
  readonly version: string;
  /** The timer it sets; null takes it away. Absent, a change in place lets it run on. */
  readonly timer?: ArmedTimer | null;
  readonly enabled?: string;
}

/** The kinds of commands that records stand for. */
export const RECORD_KINDS = [
  "create",
  "room",
  "join",
  "agent",
  "leave",
  "invoke",
  "message",
  "claim",
  "release",
  "timer",
  "verdict",
  "configure",
  "base",
] as const;
/** What kind of command a record stands for. */
export type RecordKind = typeof RECORD_KINDS[number];

/** One line of a room's log, whole. `nonce` salts its parts and is never shown as such. */
export interface LogRecord {
  readonly seq: number;
  readonly ts: string;
  readonly kind: RecordKind;
  readonly agent: string;
  readonly actor: string;
  readonly on_behalf?: string;
  readonly session?: string;
  readonly action?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly seen?: Json;
  readonly signed?: Json;
  readonly writes?: readonly Write[];
  readonly prev: string;
  readonly hash: string;
  readonly nonce: string;
}

/** What a decision hands to the engine: a record without its place in the chain. */
export type Draft = Omit<LogRecord, "seq" | "ts" | "prev" | "hash" | "nonce">;

/** A parameter of an action as declared. */
export interface ParamSpec {
  readonly type?: "string" | "number" | "integer" | "boolean" | "array" | "object" | "any";
  readonly enum?: readonly Json[];
  readonly required?: boolean;
  readonly default?: Json;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: ParamSpec;
}

/** A write template of an action. */
export interface WriteTemplate {
  readonly scope?: string;
  readonly key?: string;
  readonly value?: Json;
  readonly merge?: Json;
  readonly increment?: Json;
  readonly append?: boolean;
  readonly delete?: boolean;
  readonly renew?: boolean;
  readonly expr?: boolean;
  readonly if_version?: Json;
  readonly timer?: Json;
  readonly enabled?: string;
}

/** An action as stored at `_actions/<id>`. */
export interface ActionDefinition {
  readonly id: string;
  readonly description?: string;
  readonly params?: Readonly<Record<string, ParamSpec>>;
  readonly if?: string;
  readonly enabled?: string;
  readonly writes: readonly WriteTemplate[];
  readonly result?: string;
  readonly scope: string;
  readonly registered_by: string;
  /** Registered by somebody who is neither collaborator nor admin. */
  readonly standing?: "participant";
  readonly domain?: string;
  /** Whose memory its expressions read: a mark of the registrar's own actor in this room. */
  readonly memory_of?: string;
  readonly on_invoke?: { readonly timer: TimerSpec };
}

/** A view as stored at `_views/<id>`. */
export interface ViewDefinition {
  readonly id: string;
  readonly expr: string;
  readonly scope: string;
  readonly description?: string;
  readonly enabled?: string;
  readonly render?: JsonObject;
  readonly registered_by: string;
  /** Whose memory it reads: a mark of the registrar's own actor in this room. */
  readonly memory_of?: string;
}

/** An agent as stored at `_agents/<id>`. */
export interface AgentDefinition {
  readonly name: string;
  readonly role: string;
  readonly actor: string;
  readonly joined_at: string;
  readonly grants: readonly string[];
  readonly meta?: Json;
  readonly substrate?: Json;
  readonly enabled?: string;
  readonly left_at?: string;
  /** The user it belongs to, by id. */
  readonly owner?: string;
}

/** A message as stored at `_messages/<seq>`. */
export interface MessageBody {
  readonly from: string;
  readonly kind: string;
  readonly body: Json;
  readonly to?: readonly string[];
  readonly reply_to?: number;
  readonly claimed_by?: string | null;
  readonly claimed_at?: string | null;
  readonly fence?: number | null;
  readonly lease_expires_at?: string | null;
  readonly lease_ms?: number | null;
  /** Set when a `result` reply of the holder ended the lease for good. */
  readonly done?: boolean;
}

/** What an agent last said of itself. */
export type AgentStatus = "active" | "busy" | "idle" | "done";

/** Live data of an agent, beside the log. Cursors may fall back after a crash, never ahead. */
export interface Presence {
  status: AgentStatus;
  lastHeartbeat: Millis;
  /** Newest message returned to it. */
  read: number;
  /** Newest state returned to it. */
  seen: number;
}

/** How far a token or a role reaches: none < read < write < admin. */
export type Level = 0 | 1 | 2 | 3;
/** The levels by name. */
export const LEVEL = { none: 0, read: 1, write: 2, admin: 3 } as const;
/** A user's part in a room. */
export type Role = "owner" | "collaborator" | "participant" | "observer";

/** Who may join, who may read, whose vocabulary: a room's own settings. */
export interface RoomSettings {
  readonly meta: Json;
  readonly label: string | null;
  readonly join: "open" | "token";
  readonly public: "read" | null;
  readonly vocabulary: "open" | "closed";
}
