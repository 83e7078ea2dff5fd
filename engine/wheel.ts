/** One timer for all rooms: set to the earliest instant at which something is due. */
import { Heap } from "../room/heap.ts";
import type { Clock } from "./types.ts";
import type { Millis } from "../types.ts";
import type { HotRoom } from "./hot.ts";

/** A clock that is set forward runs no timer earlier: it is looked at again after this at the latest. */
const LOOK_MS = 5_000;

interface Turn {
  readonly at: Millis;
  /** Weak: a room that has left memory is not held by what it had pending. */
  readonly hot: WeakRef<HotRoom>;
}

/** The wheel. */
export class Wheel {
  readonly #heap = new Heap<Turn>();
  readonly #noted = new WeakMap<HotRoom, Millis>();
  #cancel: (() => void) | undefined;
  #armedFor = Infinity;
  #isStopped = false;

  constructor(private readonly clock: Clock, private readonly onDue: (hot: HotRoom) => void) {}

  /** Notes when a room is next due. */
  note(hot: HotRoom, at: Millis | undefined): void {
    if (at === undefined || this.#isStopped) return;
    // An earlier turn comes first, and notes the room anew.
    if (at >= (this.#noted.get(hot) ?? Infinity)) return;
    this.#noted.set(hot, at);
    this.#heap.push({ at, hot: new WeakRef(hot) });
    if (at < this.#armedFor) this.arm();
  }

  /** Forgets everything. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  private arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedFor = Infinity;
    const next = this.#heap.peek();
    if (!next || this.#isStopped) return;
    this.#armedFor = next.at;
    const left = Math.min(next.at - this.clock.now(), LOOK_MS);
    this.#cancel = this.clock.after(Math.max(0, left), () => this.turn());
  }

  private turn(): void {
    const now = this.clock.now();
    for (let next = this.#heap.peek(); next && next.at <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      const hot = next.hot.deref();
      if (!hot) continue;
      if (this.#noted.get(hot) === next.at) this.#noted.delete(hot);
      this.onDue(hot);
    }
    this.arm();
  }
}
