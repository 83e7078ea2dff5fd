/**
 * What was computed from a room, kept until something it read changes. Views and `enabled`
 * expressions are memos; waits subscribe to the same cells. A cell is the name of something
 * that can be read: `<scope>\u0000<key>`, `<scope>\u0000` for a scope as a whole, `view:<id>`,
 * `presence:<agent>`, `unread:<agent>`, `scopes`.
 */
import type { Json } from "../types.ts";
import { splitCell } from "../room/changes.ts";

/** What an evaluation read, and whether its result can change by itself. */
export class Tracker {
  readonly cells = new Set<string>();
  /** Reads the clock, a score or a velocity: changes though nothing is written. */
  isVolatile = false;
  /** Does it read who is looking? */
  readsSelf = false;
  /** Passing inputs and the values they had. */
  readonly seen = new Map<string, Json>();

  /** Notes a passing input. */
  pass(name: string, value: Json): void {
    this.seen.set(name, value);
  }
}

/** A kept result. */
export interface Memo<T> {
  readonly key: string;
  readonly value: T;
  readonly cells: readonly string[];
  /** The head at which it was computed. */
  readonly at: number;
  /** Does it hang on what no record says? Undefined until somebody asks. */
  isPassing?: boolean;
}

/** Cells that change without a record: presence, what was read, trust, memories. */
const PASSING_CELL = /^(presence|unread|trust|memory):/;

/** The whole-scope cell of a scope. */
export function scopeCell(scope: string): string {
  return `${scope}\u0000`;
}

/** What has changed when these cells have: their scopes, too, and after a record the head. */
function cellsAround(touched: Iterable<string>, isRecord: boolean): Set<string> {
  const cells = new Set<string>();
  for (const cell of touched) {
    cells.add(cell);
    const at = cell.indexOf("\u0000");
    if (at >= 0) cells.add(cell.slice(0, at + 1));
  }
  return isRecord ? cells.add("head").add("scopes") : cells;
}

/** The memos of one room, and who depends on which cell. */
export class Memos {
  readonly #memos = new Map<string, Memo<unknown>>();
  readonly #dependents = new Map<string, Set<string>>();
  /** Memos being computed right now: meeting one of them again is a cycle. */
  readonly computing = new Set<string>();

  /** A kept result, if nothing it read has changed. */
  get<T>(key: string): Memo<T> | undefined {
    return this.#memos.get(key) as Memo<T> | undefined;
  }

  /** Keeps a result under what it read. */
  keep<T>(key: string, value: T, cells: Iterable<string>, at: number): void {
    this.drop(key);
    const memo: Memo<T> = { key, value, cells: [...cells], at };
    this.#memos.set(key, memo);
    for (const cell of memo.cells) {
      const dependents = this.#dependents.get(cell);
      if (dependents) dependents.add(key);
      else this.#dependents.set(cell, new Set([key]));
    }
  }

  /** Is it certain that a result has stayed the same since record `since`? */
  isUnchanged(key: string, since: number): boolean {
    const memo = this.#memos.get(key);
    return memo !== undefined && memo.at <= since;
  }

  /** Can a kept result come to something else though no record says so? */
  isPassing(key: string): boolean {
    const memo = this.#memos.get(key);
    if (!memo) return false;
    if (memo.isPassing === undefined) {
      // Said before it is known: what reads itself in a circle is asked once.
      memo.isPassing = false;
      memo.isPassing = memo.cells.some((cell) => PASSING_CELL.test(cell) || this.isPassing(cell));
    }
    return memo.isPassing;
  }

  /** Is it certain that a thing's `enabled` has come to the same for this reader since `since`? */
  isGateUnchanged(cell: string, reader: string, since: number): boolean {
    const base = `enabled:${cell}`;
    return this.isUnchanged(base, since) || this.isUnchanged(`${base}\u0001${reader}`, since);
  }

  /** Every cell that a kept result hangs on, those of the views that it reads included. */
  cellsBehind(key: string): Set<string> {
    const cells = new Set<string>();
    const walk = (name: string): void => {
      for (const cell of this.#memos.get(name)?.cells ?? []) {
        if (cells.has(cell)) continue;
        cells.add(cell);
        walk(cell);
      }
    };
    walk(key);
    return cells;
  }

  private drop(key: string): void {
    const memo = this.#memos.get(key);
    if (!memo) return;
    this.#memos.delete(key);
    for (const cell of memo.cells) {
      const dependents = this.#dependents.get(cell);
      dependents?.delete(key);
      if (dependents?.size === 0) this.#dependents.delete(cell);
    }
  }

  /**
   * Drops every memo that read one of these cells, and what depends on it in turn. Answers all
   * cells that may now read differently. What is no record moves neither the head nor a scope.
   */
  invalidate(touched: Iterable<string>, isRecord = true): Set<string> {
    const affected = cellsAround(touched, isRecord);
    // What is added on the way is walked, too.
    for (const cell of this.#dependents.size > 0 ? affected : []) {
      const dependents = this.#dependents.get(cell);
      if (!dependents) continue;
      for (const key of [...dependents]) {
        this.drop(key);
        for (const other of this.cellsOf(key)) affected.add(other);
      }
    }
    return affected;
  }

  /** The cells whose reading depends on a memo. */
  private cellsOf(key: string): string[] {
    if (key.startsWith("view:")) return [key];
    // `enabled:<cell>` or `enabled:<cell>\u0001<reader>`: the thing itself appears or goes.
    const cell = key.slice("enabled:".length).split("\u0001")[0]!;
    return [cell, scopeCell(splitCell(cell)[0])];
  }
}
