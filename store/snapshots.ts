/**
 * Snapshots of rooms, samples of views and the purge of a log's beginning: all of it beside the
 * log. A `base` snapshot is where a log begins, a `cache` one only saves folding.
 */
import { BoundRows, textsOf } from "./bound-rows.ts";
import { bodyOf } from "./statements.ts";
import type { Store } from "../store.ts";
import type { Row } from "./db.ts";
import type { SideStatement } from "./rows.ts";
import type { Json, LogRecord, Millis } from "../types.ts";

/** Where a log begins, or a place to fold from. */
export type SnapshotKind = "base" | "cache";

/** A snapshot without its parts. */
export interface SnapshotRow {
  readonly seq: number;
  readonly kind: SnapshotKind;
  readonly ts: Millis;
  readonly hash: string;
  readonly parts: number;
}

/** Writes a snapshot, part by part; it can be found once the last part is written. */
export async function saveSnapshot(
  store: Store,
  room: string,
  snapshot: Omit<SnapshotRow, "parts">,
  parts: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { seq, kind, ts, hash } = snapshot;
  const at = { room, seq, kind };
  await store.of(room).batch([
    {
      sql: "DELETE FROM snapshot_part WHERE room = :room AND seq = :seq AND kind = :kind",
      args: at,
    },
  ]);
  let part = 0;
  for await (const body of parts) {
    await store.of(room).batch([{
      sql: `INSERT INTO snapshot_part (room, seq, kind, part, body)
        VALUES (:room, :seq, :kind, :part, :body)`,
      args: { ...at, part, body },
    }]);
    part++;
  }
  await store.of(room).batch([{
    sql: `INSERT INTO snapshot (room, seq, kind, ts, hash, parts)
      VALUES (:room, :seq, :kind, :ts, :hash, :parts) ON CONFLICT DO NOTHING`,
    args: { ...at, ts, hash, parts: part },
  }]);
}

/** The newest snapshot at or before a record. */
export async function findSnapshot(
  store: Store,
  room: string,
  upTo: number,
): Promise<SnapshotRow | undefined> {
  const row = await store.of(room).first(
    `SELECT seq, kind, ts, hash, parts FROM snapshot
      WHERE room = :room AND seq <= :upTo ORDER BY seq DESC, kind LIMIT 1`,
    { room, upTo },
  );
  return row && snapshotRow(row);
}

/** The base snapshot at exactly this record. */
export async function findBaseSnapshot(
  store: Store,
  room: string,
  seq: number,
): Promise<SnapshotRow | undefined> {
  const row = await store.of(room).first(
    `SELECT seq, kind, ts, hash, parts FROM snapshot
      WHERE room = :room AND seq = :seq AND kind = 'base'`,
    { room, seq },
  );
  return row && snapshotRow(row);
}

function snapshotRow(row: Row): SnapshotRow {
  return {
    seq: Number(row["seq"]),
    kind: String(row["kind"]) as SnapshotKind,
    ts: Number(row["ts"]),
    hash: String(row["hash"]),
    parts: Number(row["parts"]),
  };
}

/** One part of a snapshot. */
export async function readSnapshotPart(
  store: Store,
  room: string,
  { seq, kind }: Pick<SnapshotRow, "seq" | "kind">,
  part: number,
): Promise<Uint8Array | undefined> {
  const rows = await store.of(room).all(
    `SELECT body FROM snapshot_part
      WHERE room = :room AND seq = :seq AND kind = :kind AND part = :part`,
    { room, seq, kind, part },
  );
  const body: unknown = rows[0]?.["body"];
  // Bytes as the driver gives them: a file's as a view, a server's as a buffer.
  if (body instanceof Uint8Array) return body;
  return body instanceof ArrayBuffer ? new Uint8Array(body) : undefined;
}

/** Notes that rows are about to be written for a room that does not exist yet. */
export async function notePrepared(store: Store, room: string, at: Millis): Promise<void> {
  await store.of(room).batch([{
    sql: "INSERT INTO prepared (room, at) VALUES (:room, :at) ON CONFLICT DO NOTHING",
    args: { room, at },
  }]);
}

/** The room exists now: what was prepared for it is its own. */
export function endPrepared(room: string): SideStatement {
  return { sql: "DELETE FROM prepared WHERE room = :prepared", args: { prepared: room } };
}

/** Removes what was prepared for a room that came to nothing. */
export async function dropPrepared(store: Store, room: string): Promise<void> {
  await store.of(room).batch(
    ["snapshot", "snapshot_part", "log", "log_key", "prepared"].map((table) => ({
      sql: `DELETE FROM ${table} WHERE room = :room
        AND NOT EXISTS (SELECT 1 FROM room AS r WHERE r.uid = :room)`,
      args: { room },
    })),
  );
}

/** Removes what was prepared before an instant and never came to its end, as after a crash. */
export async function sweepPrepared(store: Store, before: Millis): Promise<void> {
  const rows = await store.everywhere((db) =>
    db.all("SELECT room FROM prepared WHERE at < :before", { before })
  );
  for (const row of rows) await dropPrepared(store, String(row["room"]));
}

const INSERT_RECORDS = textsOf(
  10,
  (values) =>
    `INSERT INTO log (room, seq, ts, kind, agent, actor, action, body, nonce, hash)
    VALUES ${values}`,
);

/** Inserts records of a room that nobody can reach yet. */
export async function insertRecords(
  store: Store,
  room: string,
  records: readonly LogRecord[],
): Promise<void> {
  const log = new BoundRows(INSERT_RECORDS), keys: Json[] = [];
  for (const record of records) {
    const { seq, ts, kind, agent, actor, action, nonce, hash } = record;
    const body = bodyOf(record), at = Date.parse(ts);
    log.add([room, seq, at, kind, agent, actor, action ?? null, body, nonce, hash], body.length);
    for (const { scope, key } of record.writes ?? []) keys.push([scope, key, seq]);
  }
  await store.of(room).batch([
    ...log.finish(),
    {
      sql: `INSERT OR IGNORE INTO log_key (room, scope, key, seq)
        SELECT :room, j.value->>0, j.value->>1, j.value->>2 FROM json_each(:rows) AS j`,
      args: { room, rows: JSON.stringify(keys) },
    },
  ]);
}

/** Rooms that go on from a room: their names and where they left it. */
export async function listForks(
  store: Store,
  uid: string,
  limit: number,
): Promise<{ forks: { id: string; at: number }[]; total: number }> {
  const found = await store.everywhere(async (db) => {
    const rows = await db.all(
      `SELECT id, json_extract(forked_from, '$.at') AS at, count(*) OVER () AS total FROM room
        WHERE json_extract(base, '$.origin') = :uid AND deleted_at IS NULL ORDER BY id LIMIT :limit`,
      { uid, limit },
    );
    return [{
      forks: rows.map((row) => ({ id: String(row["id"]), at: Number(row["at"]) })),
      total: Number(rows[0]?.["total"] ?? 0),
    }];
  });
  const forks = found.flatMap((part) => part.forks).sort((a, b) => a.id < b.id ? -1 : 1);
  return {
    forks: forks.slice(0, limit),
    total: found.reduce((sum, part) => sum + part.total, 0),
  };
}

/** The seq of the first record of at least this age that still has a live Idempotency-Key. */
export async function firstIdempotentSince(
  store: Store,
  room: string,
  since: Millis,
): Promise<number | undefined> {
  const row = await store.of(room).first(
    "SELECT min(seq) AS seq FROM log WHERE room = :room AND idem IS NOT NULL AND ts > :since",
    { room, since },
  );
  const seq = row?.["seq"];
  return seq === null || seq === undefined ? undefined : Number(seq);
}

/** The newest record that is older than an instant. */
export async function lastRecordBefore(
  store: Store,
  room: string,
  before: Millis,
): Promise<number> {
  const row = await store.of(room).first(
    "SELECT max(seq) AS seq FROM log WHERE room = :room AND ts < :before",
    { room, before },
  );
  return Number(row?.["seq"] ?? 0);
}

/** Lets a room's log begin after `seq`: its base replaced, and the snapshots before it gone. */
export async function cutLog(store: Store, room: string, seq: number, base: Json): Promise<void> {
  const args = { room, seq };
  await store.of(room).batch([
    {
      sql: "UPDATE room SET base = :base WHERE uid = :room",
      args: { room, base: JSON.stringify(base) },
    },
    { sql: "DELETE FROM snapshot WHERE room = :room AND seq < :seq", args },
    { sql: "DELETE FROM snapshot_part WHERE room = :room AND seq < :seq", args },
  ]);
}

/** Purges a piece of the records up to `seq`; false when nothing is left of them. */
export async function purgeLogPiece(store: Store, room: string, seq: number): Promise<boolean> {
  const row = await store.of(room).first("SELECT min(seq) AS seq FROM log WHERE room = :room", {
    room,
  });
  const first = Number(row?.["seq"] ?? Infinity);
  if (first > seq) return false;
  const args = { room, upTo: Math.min(seq, first + PURGE_PIECE) };
  await store.of(room).batch([
    { sql: "DELETE FROM log_key WHERE room = :room AND seq <= :upTo", args },
    { sql: "DELETE FROM log WHERE room = :room AND seq <= :upTo", args },
  ]);
  return true;
}

const PURGE_PIECE = 2_000;

/** The key that the server signs logs with; the first proposal is kept. */
export async function keepSigningKey(store: Store, proposal: string): Promise<string> {
  const results = await store.run([
    {
      sql: "INSERT OR IGNORE INTO server_key (name, value) VALUES ('ed25519', :proposal)",
      args: { proposal },
    },
    { sql: "SELECT value FROM server_key WHERE name = 'ed25519'", args: {} },
  ]);
  return String(results[1]![0]!["value"]);
}
