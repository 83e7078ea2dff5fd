/** What is different between two records of a room, and who made it so. */
import type { Acting } from "./auth.ts";
import { canonical } from "./canonical.ts";
import { invalid } from "./errors.ts";
import { LOG_BYTES_MAX } from "./limits.ts";
import { foldOn, roomAt } from "./replay.ts";
import { canReadScope } from "./policy.ts";
import type { Room } from "./room.ts";
import { cellOf, splitCell } from "./room/changes.ts";
import type { Store } from "./store.ts";
import { isDormant } from "./timers.ts";
import type { Entry, Json, JsonObject } from "./types.ts";

/** What a diff is about. */
export interface DiffQuery {
  readonly from: number;
  readonly to: number;
  readonly scope?: string;
  /** Entries after this `scope.key`. */
  readonly after?: string;
  readonly limit: number;
}

/** An entry as it was before a change; undefined where there was none. */
export type Before = ReadonlyMap<string, Entry | undefined>;

/** How a cell differs, and the record that made it so where the entry itself cannot tell. */
interface Difference {
  readonly scope: string;
  readonly key: string;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

function there(entry: Entry | undefined): Entry | undefined {
  return entry && !isDormant(entry.timer) ? entry : undefined;
}

/** The entries that differ, in the order of scopes and keys; private ones left out. */
export function differences(
  before: Before,
  room: Room,
  mayRead: (scope: string) => boolean,
): Difference[] {
  const found: Difference[] = [];
  for (const cell of [...before.keys()].sort()) {
    const [scope, key] = splitCell(cell);
    if (!mayRead(scope)) continue;
    const was = there(before.get(cell)), is = there(room.get(scope, key));
    if (!was && !is) continue;
    if (was && is && isSame(was, is)) continue;
    found.push({ scope, key, before: was, after: is });
  }
  return found;
}

function isSame(a: Entry, b: Entry): boolean {
  return a === b || (a.revision === b.revision && a.seq === b.seq) ||
    (a.revision === b.revision && a.version === b.version &&
      canonical(a.value) === canonical(b.value));
}

/** The differences as `changed`, `added` and `removed`; `remover` tells who took an entry away. */
export async function showDifferences(
  found: readonly Difference[],
  remover: (scope: string, key: string) => JsonObject | Promise<JsonObject>,
): Promise<JsonObject> {
  const changed: Json[] = [], added: Json[] = [], removed: Json[] = [];
  for (const { scope, key, before, after } of found) {
    if (!after) {
      removed.push({ scope, key, before: before!.value, ...await remover(scope, key) });
      continue;
    }
    const by = { by: after.writer, via: after.via, seq: after.seq };
    const { value } = after;
    if (before) changed.push({ scope, key, before: before.value, after: value, ...by });
    else added.push({ scope, key, after: value, ...by });
  }
  return { changed, added, removed };
}

/** Compares the room after record `from` with the room after record `to`. */
export async function diff(
  store: Store,
  live: Room,
  acting: Acting,
  query: DiffQuery,
): Promise<JsonObject> {
  const { from, to, limit } = query;
  if (from > to) throw invalid("from", 'a record not after "to" is wanted', 0, { from, to });
  const room = await roomAt(store, live, from);
  const old = new Map<string, Entry | undefined>();
  const earlier = new Map(
    [...room.scopes].map(([scope, { entries }]) => [scope, new Map(entries)]),
  );
  await foldOn(store, room, to, (_record, touched) => {
    for (const cell of touched) {
      if (old.has(cell)) continue;
      const [scope, key] = splitCell(cell);
      old.set(cell, earlier.get(scope)?.get(key));
    }
  });
  const mayRead = (scope: string): boolean =>
    (query.scope === undefined || scope === query.scope) &&
    canReadScope(live, acting.agent, acting.seesAll, scope);
  const all = differences(old, room, mayRead);
  const rest = all.filter(({ scope, key }) => isAfter(scope, key, query.after));
  const page = fitting(rest, limit);
  const last = page.at(-1);
  const shown = await showDifferences(page, (scope, key) => removerOf(store, live, scope, key, to));
  return {
    from,
    to,
    ...shown,
    total: all.length,
    returned: page.length,
    ...(last && rest.length > page.length ? { next_after: `${last.scope}.${last.key}` } : {}),
  };
}

/** The first differences, at least one: as many as are wanted, or as fit in one reply. */
function fitting(differences: readonly Difference[], limit: number): Difference[] {
  let bytes = 0;
  const end = differences.findIndex(({ before, after }, i) => {
    if (i === limit || bytes >= LOG_BYTES_MAX) return true;
    bytes += (before?.bytes ?? 0) + (after?.bytes ?? 0);
    return false;
  });
  return end < 0 ? [...differences] : differences.slice(0, end);
}

function isAfter(scope: string, key: string, after: string | undefined): boolean {
  if (after === undefined) return true;
  const dot = after.indexOf(".");
  return cellOf(scope, key) > cellOf(after.slice(0, dot), after.slice(dot + 1));
}

async function removerOf(
  store: Store,
  live: Room,
  scope: string,
  key: string,
  upTo: number,
): Promise<JsonObject> {
  const [record] = await store.readLog(live.uid, { scope, key, upTo, newestFirst: true, limit: 1 });
  if (!record) return {};
  return { by: record.agent, via: record.action ?? record.kind, seq: record.seq };
}
