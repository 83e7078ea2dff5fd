/**
 * A room is the fold of its log. `apply` sets what a record says and returns its inverse; the
 * same code runs live, at load, in replay, fork, simulation and verification. No clock, no
 * chance, no rights: those stand above.
 */
import { mergePatch } from "./canonical.ts";
import { REMOVALS_MAX } from "./limits.ts";
import {
  type Applicable,
  asList,
  cellOf,
  changesHands,
  endOf,
  isPresent,
  leaseDue,
  literalTargets,
  retimed,
  rewritten,
  splitCell,
} from "./room/changes.ts";
import { MessageIndex } from "./room/messages.ts";
import { Scope } from "./room/scope.ts";
import { TimerIndex } from "./room/timers.ts";
import { dueAt, isDormant, tick } from "./timers.ts";
import type {
  ActionDefinition,
  ActionStats,
  AgentDefinition,
  Draft,
  Entry,
  Json,
  MessageBody,
  Millis,
  RoomSettings,
  ViewDefinition,
  Write,
} from "./types.ts";

/** The undoing of one applied record, and what it touched. */
export interface Applied {
  /** Cells written, `<scope>\u0000<key>`. */
  readonly touched: ReadonlySet<string>;
  /** Puts the room back to where it was; inverses run newest first. */
  undo(): void;
}

/** An entry that a record took away. */
export interface Removal {
  readonly seq: number;
  readonly scope: string;
  readonly key: string;
}

/** Ops that count as writing a key, for ticks. */
const WRITES_KEY: ReadonlySet<string> = new Set(["set", "merge", "increment", "append", "delete"]);

/** A room at its tail. */
export class Room {
  head = 0;
  hash = "";
  ts: Millis = 0;
  readonly scopes = new Map<string, Scope>();
  readonly messages = new MessageIndex();
  readonly timers = new TimerIndex();
  /** Entries whose `enabled` decides whether they are there. */
  readonly gated = new Set<string>();
  /** Agents that lost their `enabled`, and by which record: what is theirs may have come back. */
  readonly ungated = new Map<string, number>();
  keyCount = 0;
  /** Agents that have joined and not left. */
  agentCount = 0;
  valueBytes = 0;
  /** The newest removals; what was removed before `removalsFrom` is no longer known. */
  readonly removals: Removal[] = [];
  removalsFrom = 0;
  #settings: RoomSettings | undefined;
  #contested: Map<string, string[]> | undefined;
  #touched = new Set<string>();

  constructor(
    readonly uid: string,
    readonly id: string,
    readonly createdAt: Millis,
    public base: Json = null,
    readonly forkedFrom: Json = null,
  ) {}

  /** The entry at `(scope, key)`, dormant and disabled ones included. */
  get(scope: string, key: string): Entry | undefined {
    return this.scopes.get(scope)?.entries.get(key);
  }

  /** The names of all its cells. */
  *cells(): Iterable<string> {
    for (const [scope, { entries }] of this.scopes) {
      for (const key of entries.keys()) yield cellOf(scope, key);
    }
  }

  /** The definition of an agent that has joined, also when it left. */
  agent(id: string): AgentDefinition | undefined {
    return this.get("_agents", id)?.value as unknown as AgentDefinition | undefined;
  }

  /** An action's definition. */
  action(id: string): ActionDefinition | undefined {
    return this.get("_actions", id)?.value as unknown as ActionDefinition | undefined;
  }

  /** A view's definition. */
  view(id: string): ViewDefinition | undefined {
    return this.get("_views", id)?.value as unknown as ViewDefinition | undefined;
  }

  /** A message. */
  message(seq: number): MessageBody | undefined {
    return this.get("_messages", String(seq))?.value as unknown as MessageBody | undefined;
  }

  /** The room's settings: the entries of `_config` that the service itself reads. */
  get settings(): RoomSettings {
    return this.#settings ??= this.readSettings();
  }

  private readSettings(): RoomSettings {
    const value = (key: string): Json => this.get("_config", key)?.value ?? null;
    const join = value("join") === "open" ? "open" : "token";
    const vocabulary = value("vocabulary") ?? (join === "open" ? "open" : "closed");
    const label = value("label");
    return {
      meta: value("meta"),
      label: typeof label === "string" ? label : null,
      join,
      public: value("public") === "read" ? "read" : null,
      vocabulary: vocabulary === "open" ? "open" : "closed",
    };
  }

  /** Ids of the actions that write each literal target, where there is more than one. */
  get contested(): ReadonlyMap<string, readonly string[]> {
    return this.#contested ??= this.findContested();
  }

  private findContested(): Map<string, string[]> {
    const targets = new Map<string, string[]>();
    for (const id of this.scopes.get("_actions")?.keys() ?? []) {
      for (const target of literalTargets(this.action(id)!)) {
        const ids = targets.get(target) ?? [];
        if (!ids.includes(id)) ids.push(id);
        targets.set(target, ids);
      }
    }
    for (const [target, ids] of targets) if (ids.length < 2) targets.delete(target);
    return targets;
  }

  /** Agents that are in the room. */
  *liveAgents(): Iterable<[string, AgentDefinition]> {
    for (const id of this.scopes.get("_agents")?.keys() ?? []) {
      const agent = this.agent(id)!;
      if (agent.left_at === undefined) yield [id, agent];
    }
  }

  /**
   * Applies one record. The caller sets `hash` once the record is sealed. The inverse restores
   * every entry, index and the head.
   */
  apply(record: Applicable): Applied {
    const before = { head: this.head, hash: this.hash, ts: this.ts, removed: this.removals.length };
    const saved: [string, string, Entry | undefined][] = [];
    this.#touched = new Set();
    const ts = Date.parse(record.ts);
    for (const write of record.writes ?? []) this.applyWrite(write, record, ts, saved);
    if (record.kind !== "timer") this.applyTicks(record, saved);
    if (record.kind === "invoke" && record.action !== undefined) this.count(record, ts, saved);
    this.head = record.seq;
    this.ts = ts;
    const touched = this.#touched;
    return { touched, undo: () => this.restore(saved, before) };
  }

  private restore(
    saved: readonly [string, string, Entry | undefined][],
    before: { head: number; hash: string; ts: Millis; removed: number },
  ): void {
    for (let i = saved.length - 1; i >= 0; i--) {
      const [scope, key, entry] = saved[i]!;
      this.place(scope, key, entry);
    }
    this.head = before.head;
    this.hash = before.hash;
    this.ts = before.ts;
    this.removals.length = Math.min(this.removals.length, before.removed);
  }

  private put(
    scope: string,
    key: string,
    next: Entry | undefined,
    saved: [string, string, Entry | undefined][],
  ): void {
    saved.push([scope, key, this.get(scope, key)]);
    this.place(scope, key, next);
    this.#touched.add(cellOf(scope, key));
  }

  private applyWrite(
    write: Write,
    record: Applicable,
    ts: Millis,
    saved: [string, string, Entry | undefined][],
  ): void {
    const old = this.get(write.scope, write.key);
    if (write.op === "delete" || write.op === "expire") {
      if (!old) return;
      this.put(write.scope, write.key, undefined, saved);
      // What lay dormant was gone before.
      if (isDormant(old.timer)) return;
      this.removals.push({ seq: record.seq, scope: write.scope, key: write.key });
      return;
    }
    if (write.op === "enable" || write.op === "renew" || write.op === "cooldown") {
      if (old) this.put(write.scope, write.key, retimed(old, write, record.seq), saved);
      return;
    }
    const value = write.op === "merge"
      ? mergePatch(old?.value, write.value)
      : write.op === "append"
      ? [...asList(old?.value), write.value]
      : write.value;
    const next = rewritten(old, value, write, record, ts);
    this.put(write.scope, write.key, next, saved);
    // What falls asleep is gone for its readers; an action in another's hands may be for some.
    const fallsAsleep = old && isDormant(next.timer) && !isDormant(old.timer);
    if (fallsAsleep || (write.scope === "_actions" && changesHands(old, next))) {
      this.removals.push({ seq: record.seq, scope: write.scope, key: write.key });
    }
  }

  /** One tick per record for each timer that counts on a key this record wrote. */
  private applyTicks(record: Applicable, saved: [string, string, Entry | undefined][]): void {
    const written = new Set<string>();
    // Clocks that this record has set itself do not count it.
    const fresh = new Set<string>();
    for (const write of record.writes ?? []) {
      const slot = write.op === "cooldown" ? "cooldown" : "timer";
      if (write.timer) fresh.add(`${slot}\u0000${cellOf(write.scope, write.key)}`);
      if (WRITES_KEY.has(write.op)) written.add(`${write.scope}.${write.key}`);
    }
    for (const target of written) {
      for (const cell of this.timers.tickingOn(target)) {
        const [scope, key] = splitCell(cell);
        const entry = this.get(scope, key)!;
        const ticked: Pick<Entry, "timer" | "cooldown"> = {};
        for (const slot of ["timer", "cooldown"] as const) {
          const clock = entry[slot];
          if (clock?.tick_on !== target || fresh.has(`${slot}\u0000${cell}`)) continue;
          Object.assign(ticked, { [slot]: tick(clock) });
        }
        if (!ticked.timer && !ticked.cooldown) continue;
        this.put(scope, key, { ...entry, ...ticked, touched: record.seq }, saved);
      }
    }
  }

  private count(
    record: Applicable,
    ts: Millis,
    saved: [string, string, Entry | undefined][],
  ): void {
    const entry = this.get("_actions", record.action!);
    if (!entry) return;
    const by = { ...entry.stats?.by };
    by[record.agent] = (Object.hasOwn(by, record.agent) ? by[record.agent]! : 0) + 1;
    const stats: ActionStats = {
      invocations: (entry.stats?.invocations ?? 0) + 1,
      lastAt: ts,
      lastBy: record.agent,
      by,
    };
    this.put("_actions", record.action!, { ...entry, stats, touched: record.seq }, saved);
  }

  /** The one place that changes an entry, so that every index follows it, also backwards. */
  place(scope: string, key: string, next: Entry | undefined): void {
    let holder = this.scopes.get(scope);
    const old = holder?.entries.get(key);
    if (next) {
      if (!holder) this.scopes.set(scope, holder = new Scope());
      holder.set(key, next);
    } else {
      holder?.delete(key);
      if (holder?.entries.size === 0) this.scopes.delete(scope);
    }
    this.keyCount += (next ? 1 : 0) - (old ? 1 : 0);
    this.valueBytes += (next?.bytes ?? 0) - (old?.bytes ?? 0);
    const cell = cellOf(scope, key);
    this.timers.replace(cell, old, next, scope === "_messages" ? leaseDue(next) : undefined);
    if (next?.enabled !== undefined) this.gated.add(cell);
    else if (old?.enabled !== undefined) {
      this.gated.delete(cell);
      // Going back over it notes an older record: the newest is what counts.
      const since = Math.max(next?.touched ?? 0, this.ungated.get(key) ?? 0);
      if (scope === "_agents") this.ungated.set(key, since);
    }
    if (scope === "_messages") this.messages.replace(Number(key), old, next);
    else if (scope === "_agents") this.agentCount += isPresent(next) - isPresent(old);
    else if (scope === "_config") this.#settings = undefined;
    else if (scope === "_actions" && old?.value !== next?.value) this.#contested = undefined;
  }

  /** Forgets the oldest removals once there are too many. */
  trimRemovals(): void {
    if (this.removals.length <= REMOVALS_MAX) return;
    const cut = this.removals.splice(0, this.removals.length - REMOVALS_MAX / 2);
    this.removalsFrom = cut.at(-1)!.seq;
  }

  /** The instant at which something is next due; undefined when nothing is pending. */
  nextDue(): Millis | undefined {
    return this.timers.nextDue((cell, slot) => this.slotDue(cell, slot));
  }

  private slotDue(cell: string, slot: "timer" | "cooldown" | "lease"): Millis | undefined {
    const [scope, key] = splitCell(cell);
    const entry = this.get(scope, key);
    if (!entry) return undefined;
    if (slot === "lease") return leaseDue(entry);
    return dueAt(slot === "timer" ? entry.timer : entry.cooldown);
  }

  /**
   * The record that ends what is due first, if that is due by `now`: all things of one instant.
   * Its time is that instant, but never before the head's.
   */
  dueRecord(now: Millis): { draft: Draft; ts: Millis } | undefined {
    const due = this.nextDue();
    if (due === undefined || due > now) return undefined;
    const writes: Write[] = [];
    for (const [cell, slot] of this.timers.takeDue(due, (c, s) => this.slotDue(c, s))) {
      const [scope, key] = splitCell(cell);
      const entry = this.get(scope, key)!;
      writes.push(endOf(slot, scope, key, entry));
    }
    const draft: Draft = { kind: "timer", agent: "_system", actor: SYSTEM_ACTOR, writes };
    return { draft, ts: Math.max(due === -Infinity ? this.ts : due, this.ts) };
  }
}

/** The actor of what the service itself records. */
export const SYSTEM_ACTOR = "did:sync:system:engine";
