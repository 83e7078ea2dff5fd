/**
 * Group commit. While one transaction is being written, records queue; the next takes them all.
 * One transaction is under way at a time in each database.
 */
import { SyncError } from "../errors.ts";
import type { Store } from "../store.ts";
import type { RaceEvents } from "../store/commit.ts";
import type { Told } from "../store/rows.ts";
import type { Millis } from "../types.ts";
import { type HotRoom, type Pending, TailDropped } from "./hot.ts";
import type { EngineMeters } from "./meters.ts";
import { commitOf } from "./rows.ts";
import type { Clock } from "./types.ts";

/** Whom the committer tells. */
export interface CommitEvents {
  onDurable(hot: HotRoom, pending: readonly Pending[]): void;
  /** The tail was undone: these cells read differently again. */
  onDropped(hot: HotRoom, cells: ReadonlySet<string>): void;
  /** Another process was faster: follow it, from what it wrote if that is known. */
  onLost(hot: HotRoom, news: Told | undefined): Promise<void>;
}

/** Turns of the event loop that a group waits at most for more to come. */
const GATHER_TURNS = 4;
/** How many of our own batches' times another process gets for a group of its own. */
const TURNS_OF_OTHERS = 3;
const TURN_MS_MIN = 1;
const TURN_MS_MAX = 100;

/** The queue. */
export class Committer {
  readonly #queue = new Set<HotRoom>();
  #queued = 0;
  #isRunning = false;
  #turn: Promise<void> = Promise.resolve();
  /** Rooms that wait for another process to have its turn. */
  readonly #resting = new Set<HotRoom>();

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly events: CommitEvents,
    private readonly meters: EngineMeters,
  ) {}

  /** Notes that a room has records to write. */
  enqueue(hot: HotRoom): void {
    this.#queue.add(hot);
    this.#queued++;
    if (this.#isRunning || this.#resting.has(hot)) return;
    this.#isRunning = true;
    // One turn of the event loop gathers what arrives together.
    setImmediate(() => void this.run());
  }

  /** Runs a write of another kind between two groups. */
  alone<T>(write: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(write);
    this.#turn = result.then(() => undefined, () => undefined);
    return result;
  }

  /** Resolves when nothing is queued or under way. */
  async idle(): Promise<void> {
    while (this.#isRunning || this.#resting.size > 0) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  private async run(): Promise<void> {
    while (this.#queue.size > 0) {
      await this.gather();
      const rooms = [...this.#queue].filter((hot) =>
        hot.pending.length > 0 && !this.#resting.has(hot)
      );
      this.#queue.clear();
      this.#queued = 0;
      if (rooms.length > 0) await this.alone(() => this.commit(rooms));
      if (this.#queue.size > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#isRunning = false;
  }

  /** Another process has lost a race for this room: its next group goes first. */
  private rest(hot: HotRoom, ms: Millis): void {
    this.#resting.add(hot);
    this.clock.after(ms, () => {
      this.#resting.delete(hot);
      if (hot.pending.length > 0) this.enqueue(hot);
    });
  }

  /** While many arrive, a few turns more make one transaction of what would be two. */
  private async gather(): Promise<void> {
    for (let turns = 0, seen = 1; turns < GATHER_TURNS && this.#queued > seen; turns++) {
      seen = this.#queued;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  private async commit(rooms: readonly HotRoom[]): Promise<void> {
    const taken = rooms.map((hot) => [hot, hot.pending.slice()] as const);
    const news = new Map<string, Told>();
    const wanted = new Set<string>();
    const race: RaceEvents = {
      onNews: (uid, found) => void news.set(uid, found),
      onWanted: (uid) => void wanted.add(uid),
    };
    const began = this.clock.now();
    const folded = new Set<string>();
    let outcome: Map<string, true | SyncError>;
    try {
      const commits = taken.map(([hot, pending]) => commitOf(hot, pending));
      for (const { uid, isFolded } of commits) if (isFolded) folded.add(uid);
      outcome = await this.meters.commit(
        taken.map(([_hot, pending]) => pending.map(({ record }) => record)),
        () => this.store.commit(commits, race),
      );
    } catch (error) {
      // A bug in building the group must not leave its submitters hanging.
      for (const hot of rooms) {
        this.drop(hot, error instanceof Error ? error : new Error(String(error)));
      }
      return;
    }
    const turnMs = Math.max(TURN_MS_MIN, this.clock.now() - began) * TURNS_OF_OTHERS;
    const lost: Promise<void>[] = [];
    for (const [hot, pending] of taken) {
      const { uid } = hot.room;
      const result = outcome.get(uid);
      if (result === true) {
        if (wanted.has(uid)) this.rest(hot, Math.min(turnMs, TURN_MS_MAX));
        this.settle(hot, pending, folded.has(uid));
      } else if (result === undefined) lost.push(this.lose(hot, news.get(uid)));
      else {
        this.meters.failures.of(result.code).inc();
        this.drop(hot, result);
      }
    }
    await Promise.all(lost);
  }

  private settle(hot: HotRoom, pending: readonly Pending[], isFolded: boolean): void {
    const { seq } = pending.at(-1)!.record;
    this.meters.records.inc(pending.length);
    hot.pending.splice(0, pending.length);
    if (isFolded) hot.unfolded.wrote(seq);
    else for (const { applied, record } of pending) hot.unfolded.note(applied.touched, record.seq);
    hot.settleDurable(seq);
    this.events.onDurable(hot, pending);
  }

  private async lose(hot: HotRoom, news: Told | undefined): Promise<void> {
    this.meters.lostRaces.inc();
    this.drop(hot, new TailDropped());
    try {
      await this.events.onLost(hot, news);
    } catch (error) {
      // The database is away: whoever asks for the room next follows. The queue goes on.
      if (!(error instanceof SyncError)) throw error;
    }
  }

  private drop(hot: HotRoom, reason: Error): void {
    this.events.onDropped(hot, hot.dropTail(reason));
  }
}

/** The committers of all databases: what goes to different ones does not wait for one another. */
export class Committers {
  readonly #byShard: readonly Committer[];

  constructor(
    private readonly store: Store,
    clock: Clock,
    events: CommitEvents,
    meters: EngineMeters,
  ) {
    this.#byShard = store.shards.map(() => new Committer(store, clock, events, meters));
  }

  /** The one that writes a room, by its uid. */
  of(uid: string): Committer {
    return this.#byShard[this.store.shardOf(uid)]!;
  }

  /** Resolves when nothing is queued or under way. */
  async idle(): Promise<void> {
    for (const committer of this.#byShard) await committer.idle();
  }
}
