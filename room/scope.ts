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

/** Changes a scope remembers, so that a read of what is new costs what is new. */
const CHANGES_MAX = 2_000;

/** Entries by key. */
export class Scope {
  readonly entries = new Map<string, Entry>();
  /** The newest record that changed how an entry here shows; never too low. */
  touched = 0;
  /** Bytes of all values. */
  bytes = 0;
  /** How often anything here was set or removed, also backwards: equal counts mean equal entries. */
  edits = 0;
  #keys: string[] | undefined;
  /** The newest changes, by the newest record at that time. */
  #changes: { readonly seq: number; readonly key: string }[] = [];
  #changesFrom = 0;

  /** Adds or replaces. */
  set(key: string, entry: Entry): void {
    const old = this.entries.get(key);
    this.entries.set(key, entry);
    this.edits++;
    this.bytes += entry.bytes - (old?.bytes ?? 0);
    if (entry.touched > this.touched) this.touched = entry.touched;
    this.noteChange(key);
    if (old || !this.#keys) return;
    const last = this.#keys.at(-1);
    if (last === undefined || compareKeys(last, key) < 0) this.#keys.push(key);
    else this.#keys.splice(placeIn(this.#keys, key), 0, key);
  }

  /** Removes. */
  delete(key: string): void {
    const old = this.entries.get(key);
    if (!old) return;
    this.entries.delete(key);
    this.edits++;
    this.bytes -= old.bytes;
    if (!this.#keys) return;
    if (this.#keys.at(-1) === key) this.#keys.pop();
    else this.#keys.splice(placeIn(this.#keys, key), 1);
  }

  private noteChange(key: string): void {
    if (this.#changes.length >= CHANGES_MAX) {
      this.#changesFrom = this.#changes[CHANGES_MAX / 2 - 1]!.seq;
      this.#changes = this.#changes.slice(CHANGES_MAX / 2);
    }
    this.#changes.push({ seq: this.touched, key });
  }

  /**
   * Keys, in order, of the entries that changed after record `since` and perhaps some others;
   * undefined when that is longer ago than the scope remembers.
   */
  changedAfter(since: number): readonly string[] | undefined {
    if (this.touched <= since) return [];
    if (since < this.#changesFrom) return undefined;
    const keys = new Set<string>();
    for (let i = this.#changes.length - 1; i >= 0 && this.#changes[i]!.seq > since; i--) {
      if (this.entries.has(this.#changes[i]!.key)) keys.add(this.#changes[i]!.key);
    }
    return [...keys].sort(compareKeys);
  }

  /** The keys in order. Callers must not keep or change the list. */
  keys(): readonly string[] {
    return this.#keys ??= [...this.entries.keys()].sort(compareKeys);
  }
}

/** Where a key stands among keys in order, or would stand. */
function placeIn(keys: readonly string[], key: string): number {
  let low = 0, high = keys.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (compareKeys(keys[mid]!, key) < 0) low = mid + 1;
    else high = mid;
  }
  return low;
}
