/**
 * The hot rooms and the one way in. A command is decided against the room at its tail, applied
 * at once, committed in a group, and answered when it is durable. Reads take the same tail.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { SyncError } from "./errors.ts";
import { HotRoom, type Pending, TailDropped } from "./engine/hot.ts";
import { Committer } from "./engine/committer.ts";
import { hotFromRows } from "./engine/rows.ts";
import { Wheel } from "./engine/wheel.ts";
import { HOT_ROOMS_MAX, IDEMPOTENCY_MS, ROOM_IDLE_MS } from "./limits.ts";
import { roomNotFound } from "./policy.ts";
import { hashOf } from "./record.ts";
import { Room } from "./room.ts";
import type { RoomCommit, SideStatement, Store } from "./store.ts";
import { iso } from "./timers.ts";
import type { Draft, Json, LogRecord, Millis } from "./types.ts";

/** Time and chance, so that tests can hold them. */
export interface Clock {
  now(): Millis;
  /** Runs once after `ms`; the answer cancels it. */
  after(ms: Millis, run: () => void): () => void;
  nonce(): string;
}

/** The machine's clock and chance. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, 2_147_483_647));
    return () => clearTimeout(timer);
  },
  nonce: () => randomBytes(16).toString("hex"),
};

/** The room, and the instant at which a command or a read looks at it. */
export interface Moment {
  readonly hot: HotRoom;
  readonly room: Room;
  readonly now: Millis;
}

/** What a command decided: a record to keep (or none) and the reply to give once it is durable. */
export interface Decision<T> {
  readonly draft?: Draft;
  /** Evaluated when the writes are applied; becomes the record's `result`. */
  readonly result?: () => Json | undefined;
  /** Rows that live or die with the record. */
  readonly side?: readonly SideStatement[];
  /** Computed right after the writes, from the same room. */
  readonly reply: (record: LogRecord | undefined) => T;
}

/** A decision about a room at an instant. Throws `SyncError` to refuse. */
export type Command<T> = (moment: Moment) => Decision<T>;

/** How a request with an Idempotency-Key is known again. */
export interface IdempotencyKey {
  /** Who and which key. */
  readonly key: string;
  /** Digest of what was asked. */
  readonly digest: string;
}

/** The outcome of a submission. */
export interface Outcome<T> {
  readonly reply: T;
  readonly seq: number;
  readonly replayed: boolean;
}

/** What happened to a room, told when it is durable (or taken back, with no records). */
export interface Change {
  readonly records: readonly LogRecord[];
  readonly cells: ReadonlySet<string>;
  /** The room has ended. */
  readonly ended?: true;
}

const ATTEMPTS = 8;

/** The hot rooms. */
export class Engine {
  readonly #hot = new Map<string, HotRoom>();
  readonly #byName = new Map<string, HotRoom>();
  readonly #loading = new Map<string, Promise<HotRoom>>();
  readonly #creating = new Set<string>();
  readonly #listeners = new Set<(hot: HotRoom, change: Change) => void>();
  readonly #committer: Committer;
  readonly #wheel: Wheel;
  #cancelSweep: (() => void) | undefined;
  #cancelFlush: (() => void) | undefined;
  isClosing = false;

  constructor(readonly store: Store, readonly clock: Clock) {
    this.#committer = new Committer(store, {
      onDurable: (hot, pending) => this.announce(hot, pending),
      onDropped: (hot, cells) => this.emit(hot, { records: [], cells }),
      onLost: (hot) => this.catchUp(hot),
    });
    this.#wheel = new Wheel(clock, (hot) => this.onDue(hot));
  }

  /** Tells about every change that has become durable. The answer unsubscribes. */
  onChange(listener: (hot: HotRoom, change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rooms in memory. */
  get hotRooms(): Iterable<HotRoom> {
    return this.#hot.values();
  }

  /** Groups committed and records in them, since the start. */
  get commits(): { readonly groups: number; readonly records: number } {
    return this.#committer.counts;
  }

  private emit(hot: HotRoom, change: Change): void {
    for (const listener of this.#listeners) listener(hot, change);
  }

  private announce(hot: HotRoom, pending: readonly Pending[]): void {
    const cells = new Set<string>(["head"]);
    for (const p of pending) for (const cell of p.cells) cells.add(cell);
    hot.room.trimRemovals();
    this.emit(hot, { records: pending.map((p) => p.record), cells });
  }

  /** The room of this name in memory, loaded when it is cold. Throws `room_not_found`. */
  async find(id: string): Promise<HotRoom> {
    const known = this.#byName.get(id);
    if (known && !known.isDead) {
      known.lastUsed = this.clock.now();
      if (this.store.db.isShared) await this.catchUp(known);
      if (!known.isDead) return known;
    }
    let loading = this.#loading.get(id);
    if (!loading) {
      loading = this.load(id).finally(() => this.#loading.delete(id));
      this.#loading.set(id, loading);
    }
    return await loading;
  }

  /** The room of this name, or undefined. */
  async peek(id: string): Promise<HotRoom | undefined> {
    try {
      return await this.find(id);
    } catch (error) {
      if (error instanceof SyncError && error.code === "room_not_found") return undefined;
      throw error;
    }
  }

  private async load(id: string): Promise<HotRoom> {
    const row = await this.store.findRoom(id);
    if (!row) throw roomNotFound(id);
    const now = this.clock.now();
    const loaded = await this.store.loadRoom(row, now - IDEMPOTENCY_MS);
    const hot = hotFromRows(loaded, now);
    this.admit(hot);
    return hot;
  }

  private admit(hot: HotRoom): void {
    this.#hot.set(hot.room.uid, hot);
    this.#byName.set(hot.room.id, hot);
    this.#wheel.note(hot, hot.room.nextDue());
    this.#cancelSweep ??= this.clock.after(ROOM_IDLE_MS / 4, () => this.sweep());
  }

  /** Takes rooms that nobody has used for a while out of memory. */
  private sweep(): void {
    this.#cancelSweep = undefined;
    const now = this.clock.now();
    const idle = [...this.#hot.values()].filter((hot) => hot.pins === 0 && hot.pending.length === 0);
    idle.sort((a, b) => a.lastUsed - b.lastUsed);
    let surplus = this.#hot.size - HOT_ROOMS_MAX;
    for (const hot of idle) {
      if (surplus <= 0 && now - hot.lastUsed < ROOM_IDLE_MS) break;
      surplus--;
      if (hot.dirtyPresence.size === 0) this.release(hot);
    }
    if (this.#hot.size > 0 && !this.isClosing) {
      this.#cancelSweep = this.clock.after(ROOM_IDLE_MS / 4, () => this.sweep());
    }
  }

  /** Takes a room out of memory; it is loaded again when somebody asks for it. */
  release(hot: HotRoom): void {
    hot.isDead = true;
    this.#hot.delete(hot.room.uid);
    if (this.#byName.get(hot.room.id) === hot) this.#byName.delete(hot.room.id);
  }

  /**
   * Decides a command against the room's tail, applies it, and answers when it is durable. A
   * refusal leaves only when the tail it was judged by is durable, too.
   */
  async submit<T>(id: string, command: Command<T>, idem?: IdempotencyKey): Promise<Outcome<T>> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const hot = await this.find(id);
      const known = idem && await this.knownOutcome<T>(hot, idem);
      if (known) return known;
      try {
        return await this.attempt(hot, command, idem);
      } catch (error) {
        if (!(error instanceof TailDropped)) throw error;
        await new Promise<void>((resolve) => void this.clock.after(1 + attempt * 5, resolve));
      }
    }
    throw new SyncError("store_busy", "Other writers were faster, several times in a row.", {
      hint: "Repeat the call.",
    }, { "Retry-After": "1" });
  }

  private async attempt<T>(hot: HotRoom, command: Command<T>, idem?: IdempotencyKey): Promise<Outcome<T>> {
    const moment = this.moment(hot);
    let decision: Decision<T>;
    try {
      decision = command(moment);
    } catch (error) {
      await hot.whenDurable(hot.room.head);
      throw error;
    }
    if (!decision.draft) {
      const reply = decision.reply(undefined);
      const seq = hot.room.head;
      await hot.whenDurable(seq);
      return { reply, seq, replayed: false };
    }
    const ended = idem && this.remember(hot, idem, moment.now);
    try {
      const { record, reply } = this.keep(hot, decision.draft, moment.now, decision, idem);
      await hot.whenDurable(record.seq);
      ended?.(record.seq);
      return { reply, seq: record.seq, replayed: false };
    } catch (error) {
      ended?.(undefined);
      throw error;
    }
  }

  /** The moment at which a command or read looks: what is due by then is recorded first. */
  private moment(hot: HotRoom): Moment {
    if (hot.isDead) throw new TailDropped();
    const now = Math.max(this.clock.now(), hot.room.ts);
    hot.lastUsed = now;
    this.settle(hot, now);
    return { hot, room: hot.room, now: Math.max(now, hot.room.ts) };
  }

  /** Records everything that is due by `now`. */
  private settle(hot: HotRoom, now: Millis): void {
    for (let due = hot.room.dueRecord(now); due; due = hot.room.dueRecord(now)) {
      this.keep(hot, due.draft, due.ts, { reply: () => undefined });
    }
  }

  private keep<T>(
    hot: HotRoom,
    draft: Draft,
    now: Millis,
    decision: Decision<T>,
    idem?: IdempotencyKey,
    created?: RoomCommit["created"],
  ): { record: LogRecord; reply: T } {
    const { room } = hot;
    const unsealed = { ...draft, seq: room.head + 1, ts: iso(now), prev: room.hash, nonce: this.clock.nonce() };
    const applied = room.apply(unsealed);
    let cells = hot.memos.invalidate(applied.touched, room.head);
    let record: LogRecord, reply: T;
    try {
      const result = decision.result?.();
      const whole = result === undefined ? unsealed : { ...unsealed, result };
      record = { ...whole, hash: hashOf(whole) };
      room.hash = record.hash;
      // Ticks used up by this record end their things in the same group.
      reply = decision.reply(record);
    } catch (error) {
      applied.undo();
      cells = hot.memos.invalidate(applied.touched, room.head);
      throw error;
    }
    const pending: Pending = {
      record,
      ts: now,
      applied,
      cells,
      side: decision.side ?? [],
      ...(idem ? { idem: { ...idem, reply: JSON.stringify(reply) } } : {}),
      ...(created ? { created } : {}),
    };
    hot.pending.push(pending);
    this.#committer.enqueue(hot);
    if (draft.kind !== "timer") this.settle(hot, now);
    this.#wheel.note(hot, room.nextDue());
    return { record, reply };
  }

  private remember(
    hot: HotRoom,
    idem: IdempotencyKey,
    now: Millis,
  ): (seq: number | undefined) => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const known = { digest: idem.digest, ts: now, ended: promise } as { seq?: number } & {
      digest: string;
      ts: Millis;
      ended: Promise<void>;
    };
    hot.idempotent.set(idem.key, known);
    return (seq) => {
      if (seq === undefined) hot.idempotent.delete(idem.key);
      else known.seq = seq;
      resolve();
    };
  }

  private async knownOutcome<T>(hot: HotRoom, idem: IdempotencyKey): Promise<Outcome<T> | undefined> {
    for (let known = hot.idempotent.get(idem.key); known; known = hot.idempotent.get(idem.key)) {
      if (known.ts + IDEMPOTENCY_MS <= this.clock.now()) {
        hot.idempotent.delete(idem.key);
        return undefined;
      }
      if (known.digest !== idem.digest) {
        throw new SyncError("idempotency_key_reused", "This Idempotency-Key was used with another body.", {
          hint: "Use a fresh key for a new request, and the same body when repeating one.",
        });
      }
      await known.ended;
      if (known.seq === undefined) continue;
      const reply = await this.store.readReply(hot.room.uid, known.seq);
      if (reply !== undefined) return { reply: JSON.parse(reply) as T, seq: known.seq, replayed: true };
      return undefined;
    }
    return undefined;
  }

  /**
   * Looks at the room's tail without changing it. What was seen is handed out when that tail is
   * durable, and looked at again if the tail is dropped.
   */
  async read<T>(id: string, look: (moment: Moment) => T): Promise<{ value: T; seq: number; hot: HotRoom }> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const hot = await this.find(id);
      let seq = hot.room.head;
      try {
        const moment = this.moment(hot);
        seq = hot.room.head;
        const value = look(moment);
        await hot.whenDurable(seq);
        return { value, seq, hot };
      } catch (error) {
        if (error instanceof TailDropped) continue;
        await hot.whenDurable(seq)?.catch(() => undefined);
        throw error;
      }
    }
    throw new SyncError("store_busy", "Other writers were faster, several times in a row.", {
      hint: "Repeat the call.",
    }, { "Retry-After": "1" });
  }

  /** Decides and applies a command, looks at the result, and takes it all back. */
  async rehearse<T>(
    id: string,
    command: Command<unknown>,
    look: (moment: Moment, record: LogRecord | undefined, cells: ReadonlySet<string>) => T,
  ): Promise<{ value: T; seq: number }> {
    const { value, seq } = await this.read(id, (moment) => {
      const { hot, room, now } = moment;
      const decision = command(moment);
      if (!decision.draft) return look(moment, undefined, new Set());
      const record = { ...decision.draft, seq: room.head + 1, ts: iso(now), prev: room.hash, nonce: "", hash: "" };
      const applied = room.apply(record);
      const cells = hot.memos.invalidate(applied.touched, room.head);
      try {
        const result = decision.result?.();
        return look(moment, result === undefined ? record : { ...record, result }, cells);
      } finally {
        applied.undo();
        hot.memos.invalidate(applied.touched, room.head);
      }
    });
    return { value, seq };
  }

  /** Creates a room from its first record. Throws `room_exists`. */
  async create<T>(id: string, decide: (room: Room, now: Millis) => Decision<T>): Promise<T> {
    if (this.#creating.has(id) || await this.store.findRoom(id)) throw roomExists(id);
    if (this.#creating.has(id)) throw roomExists(id);
    this.#creating.add(id);
    try {
      const now = this.clock.now();
      const room = new Room(randomUUID(), id, now);
      const hot = new HotRoom(room, now);
      const decision = decide(room, now);
      const created = { id, createdAt: now, base: null, forkedFrom: null };
      const { reply, record } = this.keep(hot, decision.draft!, now, decision, undefined, created);
      try {
        await hot.whenDurable(record.seq);
      } catch (error) {
        hot.isDead = true;
        if (error instanceof TailDropped) throw roomExists(id);
        throw error;
      }
      this.admit(hot);
      return reply;
    } finally {
      this.#creating.delete(id);
    }
  }

  /** Ends a room: its name, tokens, waits and streams at once; its rows in pieces. */
  async delete(id: string): Promise<void> {
    const hot = await this.find(id);
    await hot.whenDurable(hot.room.head);
    await this.store.deleteRoom(hot.room.uid, this.clock.now());
    hot.dropTail(roomNotFound(id));
    this.release(hot);
    this.emit(hot, { records: [], cells: new Set(), ended: true });
    this.clock.after(100, () => void this.purge());
  }

  private async purge(): Promise<void> {
    if (this.isClosing) return;
    if (await this.store.purgeDeleted(2_000)) this.clock.after(20, () => void this.purge());
  }

  /** Follows what other processes have written to the room. */
  private async catchUp(hot: HotRoom): Promise<void> {
    const row = await this.store.findRoomByUid(hot.room.uid);
    if (!row) {
      this.release(hot);
      this.emit(hot, { records: [], cells: new Set(), ended: true });
      return;
    }
    if (row.head <= hot.durable || hot.pending.length > 0) return;
    const records = await this.store.readLog(hot.room.uid, { after: hot.durable });
    if (hot.pending.length > 0) return;
    const cells = new Set<string>(["head"]);
    for (const record of records) {
      if (record.seq !== hot.room.head + 1) continue;
      const { touched } = hot.room.apply(record);
      hot.room.hash = record.hash;
      for (const cell of hot.memos.invalidate(touched, record.seq)) cells.add(cell);
    }
    hot.settleDurable(hot.room.head);
    this.#wheel.note(hot, hot.room.nextDue());
    this.emit(hot, { records, cells });
  }

  private onDue(hot: HotRoom): void {
    if (hot.isDead || this.isClosing) return;
    this.settle(hot, Math.max(this.clock.now(), hot.room.ts));
    this.#wheel.note(hot, hot.room.nextDue());
  }

  /** An agent's live data changed: who watches it is told, and it is written by and by. */
  presenceChanged(hot: HotRoom, agent: string, field: "presence" | "unread" = "presence"): void {
    hot.dirtyPresence.add(agent);
    this.#cancelFlush ??= this.clock.after(1_000, () => void this.flushPresence());
    const cells = hot.memos.invalidate([`${field}:${agent}`], hot.room.head);
    this.emit(hot, { records: [], cells });
  }

  /** An agent's cursors moved: written by and by, of no interest to others. */
  cursorsMoved(hot: HotRoom, agent: string): void {
    hot.dirtyPresence.add(agent);
    this.#cancelFlush ??= this.clock.after(1_000, () => void this.flushPresence());
  }

  /** Writes presence: each agent's at most once in ten seconds, unless `all`. */
  async flushPresence(all = false): Promise<void> {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    const now = this.clock.now();
    const rows: { room: string; agent: string; data: NonNullable<ReturnType<HotRoom["presence"]["get"]>> }[] = [];
    let isLeft = false;
    for (const hot of this.#hot.values()) {
      for (const agent of [...hot.dirtyPresence]) {
        if (!all && !hot.mayWritePresence(agent, now)) {
          isLeft = true;
          continue;
        }
        hot.dirtyPresence.delete(agent);
        const data = hot.presence.get(agent);
        if (data) rows.push({ room: hot.room.uid, agent, data });
      }
    }
    if (isLeft && !this.isClosing) this.#cancelFlush = this.clock.after(2_000, () => void this.flushPresence());
    if (rows.length > 0) await this.#committer.alone(() => this.store.savePresence(rows));
  }

  /** Stops the timers, writes what is left, and waits for it. */
  async close(): Promise<void> {
    this.isClosing = true;
    this.#cancelSweep?.();
    this.#wheel.stop();
    await this.#committer.idle();
    await this.flushPresence(true);
  }
}

function roomExists(id: string): SyncError {
  return new SyncError("room_exists", `The room "${id}" exists already.`, {
    id,
    hint: "Choose another id, or leave it out to get one.",
  });
}
