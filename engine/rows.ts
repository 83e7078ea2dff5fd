/** Between the fold in memory and its rows. */
import { cellOf, splitCell } from "../room/changes.ts";
import { Room } from "../room.ts";
import type { EntryRow, LoadedRoom, RoomCommit } from "../store/rows.ts";
import type { Entry, Millis } from "../types.ts";
import { HotRoom, type Pending } from "./hot.ts";

/** A room in memory from its rows. */
export function hotFromRows(loaded: LoadedRoom, now: Millis): HotRoom {
  const { row } = loaded;
  const room = new Room(row.uid, row.id, row.createdAt, row.base, row.forkedFrom);
  for (const entry of loaded.entries) room.place(entry.scope, entry.key, entryFromRow(entry));
  const behind = loaded.unfolded.map((record) => [room.apply(record).touched, record.seq] as const);
  room.head = row.head;
  room.hash = row.hash;
  room.ts = row.ts;
  room.removals.length = 0;
  room.removalsFrom = row.head;
  const hot = new HotRoom(room, now, row.folded);
  for (const [touched, seq] of behind) hot.unfolded.note(touched, seq);
  for (const { agent, data } of loaded.presence) hot.presence.set(agent, data);
  for (const { key, digest, seq, ts } of loaded.idempotent) {
    hot.idempotent.set(key, { digest, seq, ts, ended: Promise.resolve() });
  }
  return hot;
}

/** An entry from its row. */
export function entryFromRow(row: EntryRow): Entry {
  return { ...JSON.parse(row.meta) as Omit<Entry, "value">, value: JSON.parse(row.value) };
}

/** An entry's row. */
export function rowFromEntry(scope: string, key: string, entry: Entry): EntryRow {
  const { value, ...meta } = entry;
  return { scope, key, value: JSON.stringify(value), meta: JSON.stringify(meta) };
}

/** What a room has to commit: all its pending records, and now and then what its table lacks. */
export function commitOf(hot: HotRoom, pending: readonly Pending[]): RoomCommit {
  const { room } = hot;
  const touched = new Set<string>();
  for (const { applied } of pending) for (const cell of applied.touched) touched.add(cell);
  const last = pending.at(-1)!;
  const created = pending.find((p) => p.created)?.created;
  const isFolded = hot.unfolded.isDue(last.record.seq, pending.length, touched) ||
    pending.some(mustBeFolded);
  const entries: EntryRow[] = [];
  const gone: { scope: string; key: string }[] = [];
  if (isFolded) {
    for (const cell of hot.unfolded.cells()) touched.add(cell);
    for (const cell of touched) {
      const [scope, key] = splitCell(cell);
      const entry = room.get(scope, key);
      if (entry) entries.push(rowFromEntry(scope, key, entry));
      else gone.push({ scope, key });
    }
  }
  return {
    uid: room.uid,
    base: hot.durable,
    head: last.record.seq,
    hash: last.record.hash,
    ts: last.ts,
    label: room.settings.label,
    meta: room.settings.meta,
    agents: room.agentCount,
    rows: pending.map(({ record, ts, idem }) => ({ record, ts, ...(idem ? { idem } : {}) })),
    isFolded,
    isBehind: hot.unfolded.isBehind(hot.durable),
    entries,
    gone,
    side: pending.flatMap((p) => p.side),
    ...(created ? { created } : {}),
  };
}

/**
 * Must the room's table have a record at once? A new room's: what it begins with may be in no log.
 * One after which older records go. One about agents, who are looked for in many rooms' tables.
 */
function mustBeFolded({ created, record, applied }: Pending): boolean {
  if (created !== undefined || record.kind === "base") return true;
  for (const cell of applied.touched) if (splitCell(cell)[0] === "_agents") return true;
  return false;
}

/** Every row that a room's fold should have, for comparing with the tables. */
export function rowsOf(room: Room): Map<string, EntryRow> {
  const rows = new Map<string, EntryRow>();
  for (const [scope, holder] of room.scopes) {
    for (const [key, entry] of holder.entries) {
      rows.set(cellOf(scope, key), rowFromEntry(scope, key, entry));
    }
  }
  return rows;
}
