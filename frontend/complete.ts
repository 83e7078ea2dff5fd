/** What may come next in an expression: paths of this room, and the functions of the language. */
import type { RoomStore } from "./store.ts";

/** A completion: what is put in, and a word about it. */
export interface Completion {
  readonly insert: string;
  readonly note: string;
}

/** Functions and macros by name, with what they are for. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  "size(": "length of a list, map or text",
  "has(": "is the member there?",
  "val(": "an entry's value",
  "meta(": 'meta(entry, "field")',
  "salient(": "entries with a score of at least t",
  "focus(": "entries in the focus tier",
  "peripheral(": "entries in the peripheral tier",
  "elided(": "entries that would be elided",
  "active(": "entries that are not elided",
  "written_by(": "entries that an agent wrote",
  "velocity_above(": "entries that change often",
  "top_n(": "the n most salient",
  "contested(": "actions that compete for a key",
  "stale(": "actions invoked fewer than n times",
  "duration(": 'duration("5m")',
  "timestamp(": "an instant",
};
const METHODS: Readonly<Record<string, string>> = {
  "exists(": "exists(x, condition)",
  "all(": "all(x, condition)",
  "filter(": "filter(x, condition)",
  "map(": "map(x, value)",
  "keys()": "keys of a map",
  "values()": "values of a map",
  "entries()": "[{key, entry}]",
  "size()": "length",
  "contains(": "does the text contain it?",
  "startsWith(": "",
  "endsWith(": "",
  "orValue(": "what to take instead",
};
const ROOTS: Readonly<Record<string, string>> = {
  state: "scopes and their entries",
  views: "views by id",
  agents: "agents by id",
  messages: "count, unread, …",
  actions: "actions by id",
  self: "the reader's id",
  now: "this instant",
  room: "id, seq",
  params: "parameters",
  memory: "the actor's contexts",
};
const ENTRY = { value: "the value", _meta: "what is known of it" };
const META = [
  "score",
  "revision",
  "version",
  "updated_at",
  "writer",
  "via",
  "seq",
  "velocity",
  "writers",
  "first_at",
];
const MAX = 12;

/** The unfinished path before the caret: where it begins, its parts, and what is typed of the last. Pure. */
export function pathBefore(
  text: string,
): { readonly start: number; readonly parts: readonly string[]; readonly typed: string } {
  const match = /(?:[A-Za-z_]\w*(?:\["[^"]*"\])*\.)*(?:[A-Za-z_]\w*)?$/.exec(text);
  const found = match?.[0] ?? "";
  const parts = found.replace(/\["([^"]*)"\]/g, ".$1").split(".");
  const typed = parts.pop() ?? "";
  return { start: text.length - typed.length, parts, typed };
}

/** Completions for the text before the caret. */
export function completionsFor(store: RoomStore, text: string): readonly Completion[] {
  const { parts, typed } = pathBefore(text);
  const options = parts.length === 0 ? { ...ROOTS, ...FUNCTIONS } : membersOf(store, parts);
  const lower = typed.toLowerCase();
  return Object.entries(options)
    .filter(([name]) =>
      name !== typed && name.toLowerCase().startsWith(lower) && (parts.length > 0 || typed !== "")
    )
    .slice(0, MAX)
    .map(([insert, note]) => ({ insert, note }));
}

function membersOf(store: RoomStore, parts: readonly string[]): Readonly<Record<string, string>> {
  const [root, first, second, ...rest] = parts;
  if (root === "state") {
    if (first === undefined) {
      return Object.fromEntries(store.scopes.peek().map((scope) => [scope, "scope"]));
    }
    if (second === undefined) return { ...keysOf(store, first), ...METHODS };
    return entryMembers(rest.length > 0 || parts.length > 3 ? parts.slice(3) : []);
  }
  if (root === "views" || root === "agents" || root === "actions") {
    const known = root === "views" ? store.views : root === "agents" ? store.agents : store.actions;
    if (first === undefined) {
      return Object.fromEntries([...known.peek().keys()].map((id) => [id, root.slice(0, -1)]));
    }
    return entryMembers(parts.slice(2));
  }
  if (root === "messages" && first === undefined) {
    return {
      count: "all",
      unread: "not read yet",
      directed_unread: "for the reader",
      unclaimed: "open tasks",
      recent: "the newest",
    };
  }
  if (root === "room" && first === undefined) return { id: "the room's id", seq: "its head" };
  return METHODS;
}

function entryMembers(rest: readonly string[]): Readonly<Record<string, string>> {
  if (rest.length === 0) return ENTRY;
  if (rest[0] === "_meta" && rest.length === 1) {
    return Object.fromEntries(META.map((name) => [name, ""]));
  }
  return METHODS;
}

function keysOf(store: RoomStore, scope: string): Record<string, string> {
  const keys: Record<string, string> = {};
  let count = 0;
  for (const cell of store.cells.values()) {
    if (cell.scope !== scope || !/^[A-Za-z_]\w*$/.test(cell.key)) continue;
    keys[cell.key] = cell.entry._meta.writer ?? "";
    if (++count > 5_000) break;
  }
  return keys;
}
