/** One scope of a room: its entries, and their keys in order without sorting twice. */
import type { Entry } from "../types.ts";

const ROW = /^(0|[1-9]\d{0,15})(?:\.(\d{1,6}))?$/;

/** Rows of a log scope (`7`, `7.1`, `12`) by number, before all other keys by code unit. */
export function compareKeys(a: string, b: string): number {
  const rowA = ROW.exec(a), rowB = ROW.exec(b);
  if (rowA && rowB) {
    return Number(rowA[1]) - Number(rowB[1]) || Number(rowA[2] ?? 0) - Number(rowB[2] ?? 0) ||
      (a < b ? -1 : a > b ? 1 : 0);
  }
  if (rowA || rowB) return rowA ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Entries by key. */
export class Scope {
  readonly entries = new Map<string, Entry>();
  /** The newest record that changed how an entry here shows; never too low. */
  touched = 0;
  #keys: string[] | undefined;

  /** Adds or replaces. */
  set(key: string, entry: Entry): void {
    const known = this.entries.has(key);
    this.entries.set(key, entry);
    if (entry.touched > this.touched) this.touched = entry.touched;
    if (known || !this.#keys) return;
    const last = this.#keys.at(-1);
    if (last === undefined || compareKeys(last, key) < 0) this.#keys.push(key);
    else this.#keys = undefined;
  }

  /** Removes. */
  delete(key: string): void {
    if (!this.entries.delete(key) || !this.#keys) return;
    if (this.#keys.at(-1) === key) this.#keys.pop();
    else this.#keys = undefined;
  }

  /** The keys in order. Callers must not keep or change the list. */
  keys(): readonly string[] {
    return this.#keys ??= [...this.entries.keys()].sort(compareKeys);
  }
}
