/**
 * Group commit. While one transaction is being written, records queue; the next takes them all.
 * One transaction is under way at a time.
 */
import { SyncError } from "../errors.ts";
import type { Store } from "../store.ts";
import { type HotRoom, type Pending, TailDropped } from "./hot.ts";
import { commitOf } from "./rows.ts";

/** Whom the committer tells. */
export interface CommitEvents {
  onDurable(hot: HotRoom, pending: readonly Pending[]): void;
  /** The tail was undone: these cells read differently again. */
  onDropped(hot: HotRoom, cells: ReadonlySet<string>): void;
  /** Another process was faster: follow it. */
  onLost(hot: HotRoom): Promise<void>;
}

/** Turns of the event loop that a group waits at most for more to come. */
const GATHER_TURNS = 4;

/** The queue. */
export class Committer {
  readonly #queue = new Set<HotRoom>();
  #queued = 0;
  #isRunning = false;
  #turn: Promise<void> = Promise.resolve();
  readonly counts = { groups: 0, records: 0 };

  constructor(private readonly store: Store, private readonly events: CommitEvents) {}

  /** Notes that a room has records to write. */
  enqueue(hot: HotRoom): void {
    this.#queue.add(hot);
    this.#queued++;
    if (this.#isRunning) return;
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
    while (this.#isRunning) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  private async run(): Promise<void> {
    while (this.#queue.size > 0) {
      await this.gather();
      const rooms = [...this.#queue].filter((hot) => hot.pending.length > 0);
      this.#queue.clear();
      this.#queued = 0;
      if (rooms.length > 0) await this.alone(() => this.commit(rooms));
      if (this.#queue.size > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#isRunning = false;
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
    let outcome: Map<string, true | SyncError>;
    try {
      outcome = await this.store.commit(taken.map(([hot, pending]) => commitOf(hot, pending)));
    } catch (error) {
      // A bug in building the group must not leave its submitters hanging.
      for (const hot of rooms) {
        this.drop(hot, error instanceof Error ? error : new Error(String(error)));
      }
      return;
    }
    this.counts.groups++;
    for (const [hot, pending] of taken) {
      const result = outcome.get(hot.room.uid);
      if (result === true) this.settle(hot, pending);
      else if (result === undefined) await this.lose(hot);
      else await this.fail(hot, pending, result);
    }
  }

  private settle(hot: HotRoom, pending: readonly Pending[]): void {
    this.counts.records += pending.length;
    hot.pending.splice(0, pending.length);
    hot.settleDurable(pending.at(-1)!.record.seq);
    this.events.onDurable(hot, pending);
  }

  private async lose(hot: HotRoom): Promise<void> {
    this.drop(hot, new TailDropped());
    await this.events.onLost(hot);
  }

  /** The batch failed; over a network it may have been written all the same. */
  private async fail(hot: HotRoom, pending: readonly Pending[], error: SyncError): Promise<void> {
    if (!this.store.db.isShared) return this.drop(hot, error);
    const last = pending.at(-1)!.record;
    try {
      if (await this.store.hashAt(hot.room.uid, last.seq) === last.hash) {
        return this.settle(hot, pending);
      }
      this.drop(hot, error);
    } catch {
      this.drop(hot, outcomeUnknown());
      hot.isDead = true;
    }
  }

  private drop(hot: HotRoom, reason: Error): void {
    this.events.onDropped(hot, hot.dropTail(reason));
  }
}

function outcomeUnknown(): SyncError {
  return new SyncError(
    "outcome_unknown",
    "The database did not answer; the write may have happened.",
    {
      hint: "Read the room, or repeat the call with the same Idempotency-Key.",
    },
    { "Retry-After": "2" },
  );
}
