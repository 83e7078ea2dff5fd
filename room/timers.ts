/**
 * What is due when, and what counts on which key. A heap whose stale members are recognised
 * when they come up, so that replacing an entry costs one push.
 */
import { dueAt } from "../timers.ts";
import { Heap } from "./heap.ts";
import type { Entry, Millis } from "../types.ts";

/** The three clocks of an entry. */
export type Slot = "timer" | "cooldown" | "lease";

interface Due {
  readonly at: Millis;
  readonly cell: string;
  readonly slot: Slot;
}

/** Stale members are swept out when the heap has outgrown twice what it needs. */
const HEAP_SIZE_MIN = 1_000;

type CurrentDue = (cell: string, slot: Slot) => Millis | undefined;

/** The timers of a room. */
export class TimerIndex {
  readonly #heap = new Heap<Due>();
  readonly #ticking = new Map<string, Set<string>>();
  #armed = 0;
  #sizeMax = HEAP_SIZE_MIN;

  /** How many timers and cooldowns are pending. */
  get pending(): number {
    return this.#armed;
  }

  /** Follows an entry's replacement. */
  replace(
    cell: string,
    old: Entry | undefined,
    next: Entry | undefined,
    lease: Millis | undefined,
  ): void {
    for (const timer of [old?.timer, old?.cooldown]) {
      if (timer) this.#armed--;
      if (timer?.tick_on !== undefined) this.drop(timer.tick_on, cell);
    }
    for (const timer of [next?.timer, next?.cooldown]) {
      if (timer) this.#armed++;
      if (timer?.tick_on !== undefined) this.add(timer.tick_on, cell);
    }
    this.follow(dueAt(old?.timer), dueAt(next?.timer), cell, "timer");
    this.follow(dueAt(old?.cooldown), dueAt(next?.cooldown), cell, "cooldown");
    if (lease !== undefined) this.push(lease, cell, "lease");
  }

  /** An instant that stays the same has its place in the heap already. */
  private follow(was: Millis | undefined, is: Millis | undefined, cell: string, slot: Slot): void {
    if (is !== was) this.push(is, cell, slot);
  }

  /** Cells with a timer that counts writes of `<scope>.<key>`. */
  tickingOn(target: string): readonly string[] {
    return [...this.#ticking.get(target) ?? []];
  }

  private add(target: string, cell: string): void {
    const cells = this.#ticking.get(target);
    if (cells) cells.add(cell);
    else this.#ticking.set(target, new Set([cell]));
  }

  private drop(target: string, cell: string): void {
    const cells = this.#ticking.get(target);
    cells?.delete(cell);
    if (cells?.size === 0) this.#ticking.delete(target);
  }

  /** The next instant at which something is still due. */
  nextDue(current: CurrentDue): Millis | undefined {
    if (this.#heap.size > this.#sizeMax) {
      this.#heap.keep((due) => current(due.cell, due.slot) === due.at);
      this.#sizeMax = HEAP_SIZE_MIN + 2 * this.#heap.size;
    }
    for (let top = this.#heap.peek(); top; top = this.#heap.peek()) {
      if (current(top.cell, top.slot) === top.at) return top.at;
      this.#heap.pop();
    }
    return undefined;
  }

  /** Takes out everything due at exactly `at`, in the order of cells. */
  takeDue(at: Millis, current: CurrentDue): [cell: string, slot: Slot][] {
    const found = new Map<string, Due>();
    for (let due = this.#heap.peek(); due && due.at <= at; due = this.#heap.peek()) {
      this.#heap.pop();
      if (current(due.cell, due.slot) === due.at) found.set(`${due.cell}\u0000${due.slot}`, due);
    }
    for (const due of found.values()) this.push(due.at, due.cell, due.slot);
    const due = [...found.values()].sort((a, b) => a.cell < b.cell ? -1 : a.cell > b.cell ? 1 : 0);
    const cells = new Set<string>();
    // One end per entry and record: an entry that expires needs no second one.
    return due.filter((d) => !cells.has(d.cell) && cells.add(d.cell)).map((d) => [d.cell, d.slot]);
  }

  private push(at: Millis | undefined, cell: string, slot: Slot): void {
    if (at !== undefined) this.#heap.push({ at, cell, slot });
  }
}
