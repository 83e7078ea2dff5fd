/** The shapes of the HTTP API as the browser reads them. Types only. */

/** Plain JSON. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
/** A plain JSON object. */
export interface JsonObject {
  [key: string]: Json;
}

/** A timer that runs. */
export interface Timer {
  readonly effect: "delete" | "enable";
  readonly due_at?: string;
  readonly ms?: number;
  readonly ticks_left?: number;
  readonly tick_on?: string;
}

/** What the room says of an entry beside its value. */
export interface Meta {
  readonly revision: number;
  readonly version?: string;
  readonly updated_at?: string;
  readonly writer?: string;
  readonly via?: string;
  readonly seq?: number;
  readonly score: number;
  readonly velocity?: number;
  readonly writers?: readonly string[];
  readonly first_at?: string;
  readonly elided?: boolean;
  readonly timer?: Timer;
  readonly enabled?: string;
  readonly signals?: Readonly<Record<string, number>> | null;
  readonly error?: { readonly code: string; readonly message?: string; readonly hint?: string };
  readonly silent?: boolean;
  readonly invocations?: number;
  readonly last_invoked_at?: string | null;
  readonly last_invoked_by?: string | null;
  readonly contested?: readonly string[];
  readonly cooldown?: Timer;
}

/** A value and what is known of it. */
export interface Entry {
  readonly value: Json;
  readonly _meta: Meta;
}

/** A view as a reader sees it. */
export interface View extends Entry {
  readonly expr?: string;
  readonly scope?: string;
  readonly description?: string;
  readonly enabled?: string;
  readonly render?: JsonObject;
  readonly system?: boolean;
}

/** An agent as a reader sees it. */
export interface Agent {
  readonly value: {
    readonly name: string;
    readonly role: string;
    readonly status: string;
    readonly waiting_on: string | null;
    readonly last_heartbeat: string;
    readonly actor: string;
    readonly substrate?: Json;
    readonly meta?: Json;
  };
  readonly _meta: Meta;
}

/** A parameter of an action. */
export interface Param {
  readonly type?: string;
  readonly enum?: readonly Json[];
  readonly required?: boolean;
  readonly default?: Json;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Param;
}

/** An action as a reader sees it. */
export interface Action {
  readonly value: {
    readonly available: boolean;
    readonly reason?: string;
    readonly conditional?: boolean;
    readonly available_at?: string;
    readonly ticks_left?: number;
    readonly description?: string;
    readonly builtin?: boolean;
    readonly params?: Readonly<Record<string, Param>>;
    readonly if?: string;
    readonly enabled?: string;
    readonly writes?: readonly JsonObject[];
    readonly result?: string;
    readonly scope?: string;
    readonly registered_by?: string;
    readonly timer?: Timer;
    readonly on_invoke?: JsonObject;
    readonly usage?: {
      readonly invocations: number;
      readonly by: Readonly<Record<string, number>>;
      readonly refused: number;
    };
  };
  readonly _meta: Meta;
}

/** A message. */
export interface Message {
  readonly seq: number;
  readonly ts: string;
  readonly from: string;
  readonly kind: string;
  readonly body: Json;
  readonly to?: readonly string[];
  readonly reply_to?: number;
  readonly shown_at?: number;
  readonly claimed_by?: string | null;
  readonly claimed_at?: string | null;
  readonly lease_expires_at?: string | null;
}

/** The messages section of a context. */
export interface Messages {
  readonly count: number;
  readonly unread: number;
  readonly directed_unread: number;
  readonly unclaimed: number;
  readonly recent: readonly Message[];
  readonly total: number;
  readonly returned: number;
  readonly next_after?: number;
}

/** A write of a record, or the digest of one that this reader may not see. */
export interface Write {
  readonly scope?: string;
  readonly key?: string;
  readonly op?: string;
  readonly value?: Json;
  readonly revision?: number;
  readonly timer?: Timer;
  readonly hidden?: string;
}

/** A line of the room's log. */
export interface LogRecord {
  readonly seq: number;
  readonly ts: string;
  readonly kind: string;
  readonly agent: string;
  readonly actor: string;
  readonly on_behalf?: string;
  readonly action?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly seen?: Json;
  readonly writes?: readonly Write[];
  readonly prev: string;
  readonly hash: string;
}

/** An invocation that was refused. */
export interface Refusal {
  readonly ts: string;
  readonly agent: string;
  readonly action: string;
  readonly params: Json;
  readonly error: JsonObject;
}

/** An open wait. */
export interface Wait {
  readonly agent: string;
  readonly condition: string;
  readonly since: string;
}

/** The room itself. */
export interface RoomInfo {
  readonly id: string;
  readonly created_at: string;
  readonly label: string | null;
  readonly role: string | null;
  readonly head: number;
  readonly join: string;
  readonly public: string | null;
  readonly vocabulary: string;
  readonly forked_from?: Json;
}

/** A context: the room as one reader sees it, whole or since a record. */
export interface Context {
  readonly seq: number;
  readonly state: Readonly<Record<string, Readonly<Record<string, Entry>>>>;
  readonly views: Readonly<Record<string, View>>;
  readonly agents: Readonly<Record<string, Agent>>;
  readonly actions: Readonly<Record<string, Action>>;
  readonly messages: Messages;
  readonly self: string;
  readonly reset?: boolean;
  readonly removed?: readonly {
    readonly scope?: string;
    readonly key?: string;
    readonly view?: string;
    readonly action?: string;
    readonly message?: number;
  }[];
}

/** What `GET /rooms/:id/poll` answers. */
export interface Poll extends Context {
  readonly room: RoomInfo;
  readonly audit: readonly LogRecord[];
  readonly refusals: readonly Refusal[];
  readonly waits: readonly Wait[];
}
