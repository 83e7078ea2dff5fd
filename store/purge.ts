/** What is left of deleted rooms goes in pieces. */
import type { Db, Statement } from "./db.ts";

/** Tables with rows of a room. */
const PURGED = ["log", "fold", "presence", "snapshot", "snapshot_part", "sample"] as const;

/**
 * Purges a piece of a deleted room's rows; false when nothing is left. The room's own row stays for
 * a day, so that other processes learn of its end.
 */
export async function purgeDeletedIn(db: Db, limit: number): Promise<boolean> {
  const gone = await db.first(
    "SELECT uid FROM room WHERE deleted_at IS NOT NULL AND hash <> '' LIMIT 1",
  );
  if (!gone) return false;
  const uid = String(gone["uid"]);
  const statements: Statement[] = PURGED.map((table) => ({
    sql: `DELETE FROM ${table} WHERE rowid IN (
      SELECT rowid FROM ${table} WHERE room = :uid LIMIT :limit)`,
    args: { uid, limit },
  }));
  const empty = [...PURGED, "log_key"].map((table) =>
    `AND NOT EXISTS (SELECT 1 FROM ${table} WHERE room = :uid)`
  );
  statements.push(
    {
      sql: `DELETE FROM log_key WHERE room = :uid AND (scope, key, seq) IN (
        SELECT scope, key, seq FROM log_key WHERE room = :uid LIMIT :limit)`,
      args: { uid, limit },
    },
    {
      sql: `UPDATE room SET hash = '', meta = NULL, label = NULL WHERE uid = :uid ${
        empty.join(" ")
      }`,
      args: { uid },
    },
    {
      sql: `DELETE FROM room WHERE hash = '' AND deleted_at < unixepoch('now', '-1 day') * 1000`,
      args: {},
    },
  );
  await db.batch(statements);
  return true;
}
