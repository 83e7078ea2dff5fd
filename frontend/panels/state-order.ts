/** Filtering and sorting of state entries. Pure. */
import { preview } from "../format.ts";
import type { Cell } from "../store.ts";

/** The ways to sort. */
export const SORTS = [
  "key",
  "changed",
  "score",
  "velocity",
  "revision",
  "writer",
  "timer",
] as const;
/** One of them. */
export type Sort = typeof SORTS[number];

/** Is this an agent's own scope, seen only by those who may? */
export function isPrivate(scope: string): boolean {
  return !scope.startsWith("_");
}

/** Ids of the cells that fit, in order. */
export function orderOf(
  cells: ReadonlyMap<string, Cell>,
  filter: string,
  scope: string,
  sort: Sort,
): string[] {
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const fitting: Cell[] = [];
  for (const cell of cells.values()) {
    if ((scope === "" || cell.scope === scope) && fits(cell, words)) fitting.push(cell);
  }
  const compare = COMPARE[sort];
  fitting.sort((a, b) => compare(a, b) || byKey(a, b));
  return fitting.map((cell) => cell.id);
}

function fits({ scope, key, entry }: Cell, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = `${scope}.${key} ${entry._meta.writer ?? ""} ${preview(entry.value)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function byKey(a: Cell, b: Cell): number {
  return a.scope === b.scope
    ? compareText(a.key, b.key)
    : rank(a.scope) - rank(b.scope) || compareText(a.scope, b.scope);
}

/** Shared first, then the reader's own, custom scopes, and other agents'. */
function rank(scope: string): number {
  return scope === "_shared" ? 0 : scope === "self" ? 1 : scope.startsWith("_") ? 2 : 3;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** ISO instants in UTC compare as text. */
const COMPARE: Readonly<Record<Sort, (a: Cell, b: Cell) => number>> = {
  key: byKey,
  changed: (a, b) => compareText(b.entry._meta.updated_at ?? "", a.entry._meta.updated_at ?? ""),
  score: (a, b) => b.entry._meta.score - a.entry._meta.score,
  velocity: (a, b) => (b.entry._meta.velocity ?? 0) - (a.entry._meta.velocity ?? 0),
  revision: (a, b) => b.entry._meta.revision - a.entry._meta.revision,
  writer: (a, b) => compareText(a.entry._meta.writer ?? "", b.entry._meta.writer ?? ""),
  timer: (a, b) =>
    compareText(a.entry._meta.timer?.due_at ?? "~", b.entry._meta.timer?.due_at ?? "~"),
};
