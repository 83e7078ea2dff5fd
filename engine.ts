/**
 * The hot rooms and the one way in. A command is decided against the room at its tail, applied
 * at once, committed in a group, and answered when it is durable. Reads take the same tail.
 */
import { knownOutcome, remember } from "./engine/idempotency.ts";
import { PresenceWriter } from "./engine/presence.ts";
import { randomUUID } from "node:crypto";
import { Committer } from "./engine/committer.ts";
import { Follower } from "./engine/follower.ts";
import { HotRoom, type Pending, TailDropped } from "./engine/hot.ts";
import { rehearseAt } from "./engine/rehearsal.ts";
import { roomExists, tooBusy } from "./engine/refusals.ts";
import { Residency } from "./engine/residency.ts";
import type {
  Change,
  Clock,
  Command,
  Decision,
  IdempotencyKey,
  Moment,
  Outcome,
} from "./engine/types.ts";
import { Wheel } from "./engine/wheel.ts";
import { SyncError } from "./errors.ts";
import { roomNotFound } from "./policy.ts";
import { hashOf } from "./record.ts";
import { Room } from "./room.ts";
import { type ActorsPort, loadMissing } from "./sight/actors.ts";
import type { Store } from "./store.ts";
import type { RoomCommit } from "./store/rows.ts";
import { iso } from "./timers.ts";
import type { Draft, LogRecord, Millis } from "./types.ts";

const ATTEMPTS = 8;

/** The hot rooms. */
export class Engine {
  readonly #rooms: Residency;
  readonly #creating = new Set<string>();
  readonly #listeners = new Set<(hot: HotRoom, change: Change) => void>();
  readonly #committer: Committer;
  readonly #wheel: Wheel;
  readonly #presence: PresenceWriter;
  readonly #follower: Follower;
  isClosing = false;
  /** What is known of actors: set once by whoever wires the service. */
  actors: ActorsPort | undefined;

  constructor(readonly store: Store, readonly clock: Clock) {
    this.#committer = new Committer(store, {
      onDurable: (hot, pending) => this.announce(hot, pending),
      onDropped: (hot, cells) => {
        this.emit(hot, { records: [], cells });
        // What was due is due again, even if nobody calls.
        this.clock.after(1_000, () => this.onDue(hot));
      },
      onLost: (hot) => this.#follower.catchUp(hot),
    });
    this.#rooms = new Residency(store, clock, (hot) => {
      hot.actors = this.actors;
      this.#wheel.note(hot, hot.room.nextDue());
    });
    this.#presence = new PresenceWriter(
      clock,
      this.#rooms.byUid,
      (rows) => this.#committer.alone(() => store.savePresence(rows)),
    );
    this.#wheel = new Wheel(clock, (hot) => this.onDue(hot));
    this.#follower = new Follower(store, clock, this.#rooms.byUid, {
      onEnded: (hot) => {
        this.#rooms.release(hot);
        this.emit(hot, { records: [], cells: new Set(), ended: true });
      },
      onFollowed: (hot, change) => {
        this.#wheel.note(hot, hot.room.nextDue());
        this.emit(hot, change);
      },
    });
  }

  /** Tells about every change that has become durable. The answer unsubscribes. */
  onChange(listener: (hot: HotRoom, change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rooms in memory. */
  get hotRooms(): Iterable<HotRoom> {
    return this.#rooms.byUid.values();
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
    const known = this.#rooms.known(id);
    if (!known) return await this.#rooms.load(id);
    known.lastUsed = this.clock.now();
    if (this.store.db.isShared) await this.#follower.catchUp(known);
    return known.isDead ? await this.#rooms.load(id) : known;
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

  /**
   * Decides a command against the room's tail, applies it, and answers when it is durable. A
   * refusal leaves only when the tail it was judged by is durable, too.
   */
  async submit<T>(id: string, command: Command<T>, idem?: IdempotencyKey): Promise<Outcome<T>> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const hot = await this.find(id);
      // Asked again until nobody else is under way: the attempt begins in the same turn.
      while (idem && hot.idempotent.has(idem.key)) {
        const known = await knownOutcome<T>(this.store, hot, idem, this.clock.now());
        if (known) return known;
      }
      try {
        return await this.attempt(hot, command, idem);
      } catch (error) {
        if (await loadMissing(error)) {
          attempt--;
          continue;
        }
        if (!(error instanceof TailDropped)) throw error;
        if (attempt > 0) await this.pause(attempt * 5);
      }
    }
    throw tooBusy();
  }

  /** Runs a look that may not miss what is known of actors. */
  private strictly<T>(run: () => T): T {
    return this.actors ? this.actors.strictly(run) : run();
  }

  private async pause(ms: Millis): Promise<void> {
    await new Promise<void>((resolve) => void this.clock.after(ms, resolve));
  }

  private async attempt<T>(
    hot: HotRoom,
    command: Command<T>,
    idem?: IdempotencyKey,
  ): Promise<Outcome<T>> {
    const moment = this.moment(hot);
    let decision: Decision<T>;
    try {
      decision = this.strictly(() => command(moment));
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
    const ended = idem && remember(hot, idem, moment.now);
    try {
      const { draft } = decision;
      const { record, reply } = this.strictly(() =>
        this.keep(hot, draft, moment.now, decision, idem)
      );
      await hot.whenDurable(record.seq);
      ended?.(record.seq);
      return { reply, seq: record.seq, replayed: false };
    } catch (error) {
      ended?.(undefined);
      throw error;
    }
  }

  /** The moment at which a command or read looks: what is due by then is recorded first. */
  moment(hot: HotRoom): Moment {
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
    const unsealed = {
      ...draft,
      seq: room.head + 1,
      ts: iso(now),
      prev: room.hash,
      nonce: this.clock.nonce(),
    };
    const applied = room.apply(unsealed);
    const cells = hot.memos.invalidate(applied.touched);
    const place = hot.pending.length;
    try {
      const result = decision.result?.();
      const whole = result === undefined ? unsealed : { ...unsealed, result };
      const record = { ...whole, hash: hashOf(whole) };
      room.hash = record.hash;
      const pending: Pending = {
        record,
        ts: now,
        applied: created ? { ...applied, touched: new Set(room.cells()) } : applied,
        cells,
        side: decision.side ?? [],
        ...(created ? { created } : {}),
      };
      hot.pending.push(pending);
      // Ticks used up by this record end their things in the same group, before anybody looks.
      if (draft.kind !== "timer") this.settle(hot, now);
      const reply = decision.reply(record);
      if (idem) pending.idem = { ...idem, reply: JSON.stringify(reply) };
      this.#committer.enqueue(hot);
      this.#wheel.note(hot, room.nextDue());
      return { record, reply };
    } catch (error) {
      if (hot.pending.length > place) hot.takeBack(place);
      else {
        applied.undo();
        hot.memos.invalidate(applied.touched);
      }
      throw error;
    }
  }

  /**
   * Looks at the room's tail without changing it. What was seen is handed out when that tail is
   * durable, and looked at again if the tail is dropped.
   */
  async read<T>(
    id: string,
    look: (moment: Moment) => T,
  ): Promise<{ value: T; seq: number; hot: HotRoom }> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const hot = await this.find(id);
      let seq = hot.room.head;
      try {
        const moment = this.moment(hot);
        seq = hot.room.head;
        const value = this.strictly(() => look(moment));
        await hot.whenDurable(seq);
        return { value, seq, hot };
      } catch (error) {
        if (await loadMissing(error)) {
          attempt--;
          continue;
        }
        if (error instanceof TailDropped) continue;
        await hot.whenDurable(seq)?.catch(() => undefined);
        throw error;
      }
    }
    throw tooBusy();
  }

  /** Decides and applies a command, looks at the result, and takes it all back. */
  async rehearse<T>(
    id: string,
    command: Command<unknown>,
    look: (moment: Moment, record: LogRecord | undefined, cells: ReadonlySet<string>) => T,
  ): Promise<{ value: T; seq: number }> {
    const { value, seq } = await this.read(id, (moment) => rehearseAt(moment, command, look));
    return { value, seq };
  }

  /** The uid of a room that is yet to be made. */
  newUid(): string {
    return randomUUID();
  }

  /**
   * Creates a room from its first record, on top of what `begun` holds already when a log is to
   * go on (a fork, an import). Throws `room_exists`.
   */
  async create<T>(
    id: string,
    decide: (room: Room, now: Millis) => Decision<T>,
    begun?: Room,
  ): Promise<T> {
    if (this.#creating.has(id) || await this.store.findRoom(id)) throw roomExists(id);
    if (this.#creating.has(id)) throw roomExists(id);
    this.#creating.add(id);
    try {
      const now = Math.max(this.clock.now(), begun?.ts ?? 0);
      const room = begun ?? new Room(this.newUid(), id, now);
      const hot = new HotRoom(room, now);
      const decision = decide(room, now);
      const { base, forkedFrom, createdAt } = room;
      const created = { id, createdAt, base, forkedFrom };
      const { reply, record } = this.keep(hot, decision.draft!, now, decision, undefined, created);
      try {
        await hot.whenDurable(record.seq);
      } catch (error) {
        hot.isDead = true;
        if (error instanceof TailDropped) throw roomExists(id);
        throw error;
      }
      this.#rooms.admit(hot);
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
    this.#rooms.release(hot);
    this.emit(hot, { records: [], cells: new Set(), ended: true });
    this.clock.after(100, () => void this.purge());
  }

  private async purge(): Promise<void> {
    if (this.isClosing) return;
    let pause = 20;
    try {
      if (!await this.store.purgeDeleted(2_000)) return;
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      pause = 5_000;
    }
    this.clock.after(pause, () => void this.purge());
  }

  private onDue(hot: HotRoom): void {
    if (hot.isDead || this.isClosing) return;
    this.settle(hot, Math.max(this.clock.now(), hot.room.ts));
    this.#wheel.note(hot, hot.room.nextDue());
  }

  /** An agent's live data changed: who watches it is told, and it is written by and by. */
  presenceChanged(hot: HotRoom, agent: string, field: "presence" | "unread" = "presence"): void {
    this.#presence.note(hot, agent);
    const cells = hot.memos.invalidate([`${field}:${agent}`], false);
    this.emit(hot, { records: [], cells });
  }

  /** Something beside the rooms changed: whatever read it, in any of them, reads differently. */
  touchAll(cells: readonly string[]): void {
    for (const hot of this.hotRooms) {
      const affected = hot.memos.invalidate(cells, false);
      // Nobody waits in a room that nothing holds in memory.
      if (hot.pins > 0) this.emit(hot, { records: [], cells: affected });
    }
  }

  /** An agent's cursors moved: written by and by, of no interest to others. */
  cursorsMoved(hot: HotRoom, agent: string): void {
    this.#presence.note(hot, agent);
  }

  /** Stops the timers, writes what is left, and waits for it. */
  async close(): Promise<void> {
    this.isClosing = true;
    this.#rooms.stop();
    this.#wheel.stop();
    this.#follower.stop();
    await this.#committer.idle();
    await this.#presence.flush(true);
  }
}
