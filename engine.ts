/**
 * The hot rooms and the one way in. A command is decided against the room at its tail, applied
 * at once, committed in a group, and answered when it is durable. Reads take the same tail.
 */
import { knownOutcome, remember } from "./engine/idempotency.ts";
import { PresenceWriter } from "./engine/presence.ts";
import { randomUUID } from "node:crypto";
import { Chores } from "./engine/chores.ts";
import { type CommitEvents, Committers } from "./engine/committer.ts";
import { Follower, type FollowEvents } from "./engine/follower.ts";
import { HotRoom, type Pending, TailDropped } from "./engine/hot.ts";
import { EngineMeters } from "./engine/meters.ts";
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
import { Tails } from "./engine/tails.ts";
import { Wheel } from "./engine/wheel.ts";
import { SyncError } from "./errors.ts";
import { FOLLOW_MS } from "./limits.ts";
import { roomNotFound } from "./policy.ts";
import type { Quotas } from "./quotas.ts";
import { Room } from "./room.ts";
import { type ActorsPort, loadMissing } from "./sight/actors.ts";
import type { Marks, Store } from "./store.ts";
import { drawn } from "./tokens.ts";
import type { LogRecord, Millis } from "./types.ts";

const ATTEMPTS = 12;
/** So many come one after the other: those who were faster make room for them. */
const EAGER_ATTEMPTS = 4;

/** The hot rooms. */
export class Engine {
  readonly #rooms: Residency;
  readonly #creating = new Set<string>();
  readonly #listeners = new Set<(hot: HotRoom, change: Change) => void>();
  readonly #committers: Committers;
  readonly #tails: Tails;
  readonly #wheel: Wheel;
  readonly #presence: PresenceWriter;
  readonly #follower: Follower;
  readonly #chores: Chores;
  readonly meters = new EngineMeters();
  isClosing = false;
  /** What is known of actors: set once by whoever wires the service. */
  actors: ActorsPort | undefined;
  /** What rooms and agents may take: set once by whoever wires the service. */
  quotas: Quotas | undefined;
  /** Another process may have changed what tokens open: set once by whoever wires the service. */
  onRights: (() => void) | undefined;
  /** Told the uid of each room that this process has written. */
  onWritten: ((uid: string) => void) | undefined;

  constructor(readonly store: Store, readonly clock: Clock, followMs: Millis = FOLLOW_MS) {
    const events: CommitEvents = {
      onDurable: (hot, pending) => {
        this.onWritten?.(hot.room.uid);
        this.announce(hot, pending);
      },
      onDropped: (hot, cells) => {
        this.emit(hot, { records: [], cells });
        // What was due is due again, even if nobody calls.
        this.clock.after(1_000, () => this.onDue(hot));
      },
      onLost: async (hot, news) => {
        if (store.of(hot.room.uid).isShared) await this.#follower.takeNews(hot, news);
        else this.end(hot, "outdated");
      },
    };
    this.#committers = new Committers(store, clock, events, this.meters);
    this.#tails = new Tails(clock, (hot) => {
      this.#committers.of(hot.room.uid).enqueue(hot);
      this.#wheel.note(hot, hot.room.nextDue());
    });
    this.#rooms = new Residency(store, clock, this.meters, (hot) => {
      hot.actors = this.actors;
      this.#wheel.note(hot, hot.room.nextDue());
    });
    this.#presence = new PresenceWriter(
      clock,
      this.#rooms.byUid,
      (rows) => this.#committers.of(rows[0]!.room).alone(() => store.savePresence(rows)),
      (uid) => store.shardOf(uid),
    );
    this.#wheel = new Wheel(clock, (hot) => this.onDue(hot));
    this.#chores = new Chores(store, clock);
    const follow: FollowEvents = {
      onEnded: (hot) => this.end(hot, "deleted"),
      onOutdated: (hot) => this.end(hot, "outdated"),
      onFollowed: (hot, change) => {
        this.#wheel.note(hot, hot.room.nextDue());
        this.emit(hot, change);
      },
      onRights: () => this.onRights?.(),
    };
    this.#follower = new Follower(store, clock, this.#rooms.byUid, follow, followMs);
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
    return { groups: this.meters.groupRecords.count, records: this.meters.records.value };
  }

  private emit(hot: HotRoom, change: Change): void {
    for (const listener of this.#listeners) listener(hot, change);
  }

  private end(hot: HotRoom, ended: NonNullable<Change["ended"]>): void {
    this.#rooms.release(hot);
    this.emit(hot, { records: [], cells: new Set(), ended });
  }

  private announce(hot: HotRoom, pending: readonly Pending[]): void {
    const cells = new Set<string>(["head"]);
    for (const p of pending) for (const cell of p.cells) cells.add(cell);
    hot.room.trimRemovals();
    this.emit(hot, { records: pending.map((p) => p.record), cells });
  }

  /** The room of this name in memory, loaded when it is cold. Throws `room_not_found`. */
  async find(id: string, since?: Marks): Promise<HotRoom> {
    const hot = await this.findAsKnown(id);
    if (!this.store.isShared) return hot;
    await this.#follower.catchUp(hot, since);
    // Others have gone beyond a tail of ours that is not known to be durable yet.
    while (!hot.isDead && hot.pending.length > 0 && hot.headElsewhere > hot.room.head) {
      await hot.whenDurable(hot.room.head)?.catch(() => undefined);
      await this.#follower.catchUp(hot);
    }
    return hot.isDead ? await this.#rooms.load(id) : hot;
  }

  /** The room as it is in memory, whatever others have written meanwhile. Throws `room_not_found`. */
  async findAsKnown(id: string): Promise<HotRoom> {
    const known = this.#rooms.known(id);
    if (!known) return await this.#rooms.load(id);
    known.lastUsed = this.clock.now();
    return known;
  }

  /** Others have written to these databases, another process says: no promise, only a hint. */
  async hint(shards: readonly number[]): Promise<void> {
    await this.#follower.hint(shards);
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
   * refusal leaves only when the tail it was judged by is durable, too. Where others write as well,
   * the tail is taken as it is known here: what is decided against an old one is not committed, and
   * a refusal is decided again against the newest.
   */
  async submit<T>(id: string, command: Command<T>, idem?: IdempotencyKey): Promise<Outcome<T>> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const isKnown = this.store.isShared && attempt === 0;
      const hot = await (isKnown ? this.findAsKnown(id) : this.find(id));
      if (hot.isBehind) await this.#follower.follow(hot);
      if (hot.isBehind) continue;
      // Asked again until nobody else is under way: the attempt begins in the same turn.
      while (idem && hot.idempotent.has(idem.key)) {
        const known = await knownOutcome<T>(this.store, hot, idem, this.clock.now());
        if (known) return known;
      }
      try {
        return await this.attempt(hot, command, idem, isKnown);
      } catch (error) {
        if (await loadMissing(error)) {
          attempt--;
          continue;
        }
        if (!(error instanceof TailDropped)) throw error;
        this.meters.retries.inc();
        if (attempt >= EAGER_ATTEMPTS) await this.pause(attempt * 5);
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
    isOld = false,
  ): Promise<Outcome<T>> {
    const moment = this.moment(hot);
    let decision: Decision<T>;
    let giveBack: (() => void) | undefined;
    try {
      decision = this.strictly(() => command(moment));
      if (isOld && !decision.draft) throw new TailDropped();
      if (decision.draft) giveBack = this.quotas?.takeRecord(hot.room, decision.draft, moment.now);
    } catch (error) {
      if (isOld && error instanceof SyncError) throw new TailDropped();
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
        this.#tails.keep(hot, draft, moment.now, decision, idem)
      );
      await hot.whenDurable(record.seq);
      ended?.(record.seq);
      return { reply, seq: record.seq, replayed: false };
    } catch (error) {
      giveBack?.();
      ended?.(undefined);
      throw error;
    }
  }

  /** The moment at which a command or read looks: what is due by then is recorded first. */
  moment(hot: HotRoom): Moment {
    return this.#tails.moment(hot);
  }

  /**
   * Looks at the room's tail without changing it. What was seen is handed out when that tail is
   * durable, and looked at again if the tail is dropped.
   */
  async read<T>(
    id: string,
    look: (moment: Moment) => T,
    since?: Marks,
  ): Promise<{ value: T; seq: number; hot: HotRoom }> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const hot = await this.find(id, attempt === 0 ? since : undefined);
      // A tail that was dropped since: others were faster, and it is to be caught up first.
      if (hot.isBehind) continue;
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

  /** The uid of a room that is yet to be made: drawn so that it belongs where the name does. */
  newUid(id: string): string {
    return drawn(randomUUID, this.store.beside(id));
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
      const room = begun ?? new Room(this.newUid(id), id, now);
      const hot = new HotRoom(room, now);
      const decision = decide(room, now);
      const { base, forkedFrom, createdAt } = room;
      const created = { id, createdAt, base, forkedFrom };
      const { reply, record } = this.#tails.keep(
        hot,
        decision.draft!,
        now,
        decision,
        undefined,
        created,
      );
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
    this.end(hot, "deleted");
    this.#chores.purgeSoon();
  }

  private onDue(hot: HotRoom): void {
    if (hot.isDead || this.isClosing) return;
    if (hot.isBehind) return void this.clock.after(1_000, () => this.onDue(hot));
    this.#tails.settle(hot, Math.max(this.clock.now(), hot.room.ts));
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
    this.#chores.stop();
    await this.#committers.idle();
    await this.#presence.flush(true);
  }
}
