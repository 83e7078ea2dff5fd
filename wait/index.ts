/**
 * Who sleeps on what. Equal conditions of equal sight are one group, judged once; a group stands
 * under every cell that its condition read when it was last judged.
 */
import type { Program } from "../cel.ts";
import type { Json } from "../types.ts";

/** What judging a condition came to. */
export interface Judgement {
  readonly holds: boolean;
  readonly value: Json;
  readonly error?: string;
  readonly cells: Iterable<string>;
  readonly isVolatile: boolean;
  /** Steps that judging took. */
  readonly steps: number;
}

/** Sleepers with one condition and one sight. */
export class WaitGroup<S> {
  readonly sleepers = new Set<S>();
  cells: readonly string[] = [];
  isVolatile = false;
  constructor(
    readonly key: string,
    readonly program: Program | undefined,
    /** Its sleepers want a change on top of what the condition says (`since`). */
    readonly wantsChange: boolean,
  ) {}
}

/** The sleepers of one room. */
export class WaitIndex<S> {
  readonly #groups = new Map<string, WaitGroup<S>>();
  readonly #byCell = new Map<string, Set<WaitGroup<S>>>();
  /** Groups without a condition, or that lack but a change: any record may wake them. */
  readonly #onAny = new Set<WaitGroup<S>>();
  /** Groups whose condition can change by itself. */
  readonly volatile = new Set<WaitGroup<S>>();
  size = 0;

  /** Adds a sleeper to the group of its condition and sight. */
  join(
    key: string,
    program: Program | undefined,
    wantsChange: boolean,
    sleeper: S,
    judgement: Judgement,
  ): WaitGroup<S> {
    let group = this.#groups.get(key);
    if (!group) {
      group = new WaitGroup(key, program, wantsChange);
      this.#groups.set(key, group);
      this.update(group, judgement);
    }
    group.sleepers.add(sleeper);
    this.size++;
    return group;
  }

  /** Takes a sleeper out. */
  leave(group: WaitGroup<S>, sleeper: S): void {
    if (!group.sleepers.delete(sleeper)) return;
    this.size--;
    if (group.sleepers.size > 0) return;
    this.#groups.delete(group.key);
    this.#onAny.delete(group);
    this.volatile.delete(group);
    this.unlink(group);
  }

  /** Files a group under what its condition read this time. */
  update(group: WaitGroup<S>, judgement: Judgement): void {
    this.unlink(group);
    group.cells = [...judgement.cells];
    group.isVolatile = judgement.isVolatile;
    const isOnAny = !group.program || (group.wantsChange && judgement.holds);
    if (isOnAny) this.#onAny.add(group);
    else this.#onAny.delete(group);
    if (judgement.isVolatile) this.volatile.add(group);
    else this.volatile.delete(group);
    for (const cell of group.cells) {
      const groups = this.#byCell.get(cell);
      if (groups) groups.add(group);
      else this.#byCell.set(cell, new Set([group]));
    }
  }

  private unlink(group: WaitGroup<S>): void {
    for (const cell of group.cells) {
      const groups = this.#byCell.get(cell);
      groups?.delete(group);
      if (groups?.size === 0) this.#byCell.delete(cell);
    }
  }

  /** The groups that a change of these cells may wake. */
  affected(cells: Iterable<string>, isRecord: boolean): Set<WaitGroup<S>> {
    const groups = new Set<WaitGroup<S>>(isRecord ? this.#onAny : []);
    for (const cell of cells) for (const group of this.#byCell.get(cell) ?? []) groups.add(group);
    return groups;
  }

  /** Every sleeper. */
  *all(): Iterable<S> {
    for (const group of this.#groups.values()) yield* group.sleepers;
  }
}
