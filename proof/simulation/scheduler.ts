/**
 * Virtual time. Everything that would happen later - a timer, a turn of the event loop, a store's
 * answer, a request on the wire - is a task with an instant; one runs at a time, and all promises
 * it settles are followed to their end before the next. Same seed, same order.
 */
import { createHash } from "node:crypto";
import { setImmediate as realImmediate } from "node:timers";
import { randomUUID } from "./chance.ts";
import type { Random } from "./random.ts";

/** Something that will happen. */
interface Task {
  readonly at: number;
  readonly order: number;
  /** The instance whose code it runs, or "" for the world outside. */
  readonly owner: string;
  readonly label: string;
  readonly run: () => void;
  isCancelled: boolean;
}

/** Takes a task back. */
export type Cancel = () => void;

/** The scheduler of one run. */
export class Scheduler {
  /** Milliseconds since the epoch, with fractions. */
  now: number;
  steps = 0;
  /** Whose code runs in this step. */
  owner = "";
  /** While set, turns are the machine's own: a part of the run that is not simulated. */
  isOpen = false;
  readonly lines: string[] = [];
  readonly #digest = createHash("sha256");
  readonly #lastTurn = new Map<string, number>();
  readonly #gone = new Set<string>();
  #heap: Task[] = [];
  #count = 0;

  constructor(
    start: number,
    private readonly random: Random,
    private readonly keepsTrace: boolean,
  ) {
    this.now = start;
  }

  /** Adds a line to the trace. */
  note(line: string): void {
    const text = `${(this.now % 1e8).toFixed(3)} ${line}`;
    this.#digest.update(text);
    if (this.keepsTrace) this.lines.push(text);
  }

  /** The digest of the whole trace; the last word on it. */
  digest(): string {
    return this.#digest.digest("hex");
  }

  /** Runs once after `ms`. */
  after(ms: number, owner: string, label: string, run: () => void): Cancel {
    const at = this.now + Math.max(0, ms);
    if (this.#gone.has(owner)) return () => undefined;
    const task = { at, order: this.#count++, owner, label, run, isCancelled: false };
    this.#push(task);
    return () => void (task.isCancelled = true);
  }

  /** Resolves after `ms`, outside the instances. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, "", "sleep", resolve));
  }

  /** A turn of an instance's event loop: turns of one instance keep their order. */
  turn(owner: string, run: () => void): Cancel {
    const wait = this.random.chance(0.1) ? this.random.skewed(0, 4) : 0.01;
    const at = Math.max(this.now + wait, this.#lastTurn.get(owner) ?? 0);
    this.#lastTurn.set(owner, at);
    return this.after(at - this.now, owner, "turn", run);
  }

  /** An instance is gone: nothing of it happens any more. */
  forget(owner: string): void {
    this.#gone.add(owner);
    for (const task of this.#heap) if (task.owner === owner) task.isCancelled = true;
  }

  /** Runs the next task; false when nothing is left to happen. */
  async step(): Promise<boolean> {
    let task = this.#pop();
    while (task?.isCancelled) task = this.#pop();
    if (!task) return false;
    this.now = Math.max(this.now, task.at);
    this.steps++;
    this.owner = task.owner;
    this.note(`${task.owner || "world"} ${task.label}`);
    task.run();
    await settled();
    this.owner = "";
    return true;
  }

  /** Runs a part on the machine's own turns, at one instant of virtual time. */
  async openly<T>(owner: string, run: () => Promise<T>): Promise<T> {
    this.isOpen = true;
    this.owner = owner;
    try {
      return await run();
    } finally {
      await settled();
      this.isOpen = false;
      this.owner = "";
    }
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let i = heap.push(task) - 1;
    while (i > 0 && isBefore(task, heap[(i - 1) >> 1]!)) {
      heap[i] = heap[(i - 1) >> 1]!;
      i = (i - 1) >> 1;
    }
    heap[i] = task;
  }

  #pop(): Task | undefined {
    const heap = this.#heap;
    const top = heap[0], last = heap.pop();
    if (!top || !last || heap.length === 0) return top;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.at !== b.at ? a.at < b.at : a.order < b.order;
}

/** Every promise that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => void realImmediate(resolve));
}

/**
 * Gives turns, timers and chance of this process to a scheduler, as long as a run takes; the
 * answer gives them back.
 */
export function takeOver(scheduler: Scheduler): () => void {
  const kept = { setImmediate, setTimeout, clearTimeout };
  const { randomUUID: keptUUID } = crypto, keptNow = performance.now;
  const begun = scheduler.now;
  const cancels = new Map<number, Cancel>();
  let count = 1e9;
  const later = (ms: number, run: () => void): number => {
    cancels.set(++count, scheduler.after(ms, scheduler.owner, "timeout", run));
    return count;
  };
  type Run = (...args: unknown[]) => void;
  Object.assign(globalThis, {
    setImmediate: (run: Run, ...args: unknown[]) =>
      scheduler.isOpen
        ? realImmediate(run, ...args)
        : scheduler.turn(scheduler.owner, () => run(...args)),
    setTimeout: (run: Run, ms = 0, ...args: unknown[]) => later(ms, () => run(...args)),
    clearTimeout: (id: unknown) => {
      const cancel = typeof id === "number" ? cancels.get(id) : undefined;
      if (cancel) cancel();
      else kept.clearTimeout(id as number);
    },
  });
  crypto.randomUUID = randomUUID;
  performance.now = () => scheduler.now - begun;
  return () => {
    Object.assign(globalThis, kept);
    crypto.randomUUID = keptUUID;
    performance.now = keptNow;
  };
}
