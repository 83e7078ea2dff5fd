/**
 * The store: one atomic batch of plain SQL per group of records, and the reads that load a
 * room. Every statement lives here or in `store/`.
 */
import { SyncError } from "./errors.ts";
import { MIGRATIONS } from "./schema.ts";
import { Db, type DbOptions, isContentError, type Row, type Statement } from "./store/db.ts";
import type { EntryRow, LoadedRoom, LogFilter, RoomCommit, RoomRow } from "./store/rows.ts";
import {
  LOG_COLUMNS,
  logRecord,
  logWhere,
  roomRow,
  SELECT_ROOM,
  statementsOf,
} from "./store/statements.ts";
import type { LogRecord, Millis, Presence } from "./types.ts";

export type { Statement } from "./store/db.ts";

/** Tables with rows of a room, whose leftovers a deletion purges in pieces. */
const PURGED = [
  "log",
  "entry",
  "presence",
  "snapshot",
  "snapshot_part",
  "sample",
] as const;

/** The store over one database. */
export class Store {
  private constructor(readonly db: Db) {}

  /** Opens the database and brings its schema up to date. */
  static async open(options: DbOptions): Promise<Store> {
    const store = new Store(await Db.open(options));
    await store.migrate();
    return store;
  }

  /** Runs what `schema.ts` lists and the database lacks, each step in one transaction. */
  private async migrate(): Promise<void> {
    await this.db.batch([{
      sql:
        "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
      args: {},
    }]);
    const done = new Set(
      (await this.db.all("SELECT name FROM migration")).map((row) => row["name"]),
    );
    for (const step of MIGRATIONS) {
      if (done.has(step.name)) continue;
      await this.db.batch([
        ...step.statements.map((sql) => ({ sql, args: {} })),
        {
          sql:
            "INSERT INTO migration (name, at) VALUES (:name, CAST(unixepoch('subsec') * 1000 AS INTEGER))",
          args: { name: step.name },
        },
      ]);
    }
  }

  /** Closes the connection. */
  close(): void {
    this.db.close();
  }

  /** Statements that belong to no room's record, in one transaction. */
  run(statements: readonly Statement[]): Promise<Row[][]> {
    return this.db.batch(statements);
  }

  /**
   * Commits a group in one transaction. A room whose head has moved on meanwhile is left out;
   * the uids of those that were written come back. A group refused for its content is split
   * until the culprit is alone, whose error is thrown by itself.
   */
  async commit(group: readonly RoomCommit[]): Promise<Map<string, true | SyncError>> {
    const outcome = new Map<string, true | SyncError>();
    try {
      const results = await this.db.batch(statementsOf(group));
      for (const row of results.at(-1) ?? []) outcome.set(String(row["uid"]), true);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      if (group.length === 1 || !isContentError(error)) {
        for (const commit of group) outcome.set(commit.uid, error);
        return outcome;
      }
      const half = group.length >> 1;
      for (const part of [group.slice(0, half), group.slice(half)]) {
        for (const [uid, result] of await this.commit(part)) outcome.set(uid, result);
      }
    }
    return outcome;
  }

  /** The living room of this name. */
  async findRoom(id: string): Promise<RoomRow | undefined> {
    const rows = await this.db.all(`${SELECT_ROOM} WHERE id = :id AND deleted_at IS NULL`, { id });
    return rows[0] && roomRow(rows[0]);
  }

  /** The living room of this uid. */
  async findRoomByUid(uid: string): Promise<RoomRow | undefined> {
    const rows = await this.db.all(`${SELECT_ROOM} WHERE uid = :uid AND deleted_at IS NULL`, {
      uid,
    });
    return rows[0] && roomRow(rows[0]);
  }

  /** The heads of living rooms, by uid. */
  async headsOf(uids: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.all(
      `SELECT uid, head FROM room
        WHERE deleted_at IS NULL AND uid IN (SELECT value FROM json_each(:uids))`,
      { uids: JSON.stringify(uids) },
    );
    return new Map(rows.map((row) => [String(row["uid"]), Number(row["head"])]));
  }

  /** Living rooms by uid, ordered by name, and how many there are. */
  async listRooms(
    uids: readonly string[] | "all",
    after: string,
    limit: number,
  ): Promise<{ rooms: RoomRow[]; total: number }> {
    const among = uids === "all" ? "" : "AND uid IN (SELECT value FROM json_each(:uids))";
    const args = uids === "all" ? {} : { uids: JSON.stringify(uids) };
    const [count] = await this.db.all(
      `SELECT count(*) AS n FROM room WHERE deleted_at IS NULL ${among}`,
      args,
    );
    const rows = await this.db.all(
      `${SELECT_ROOM} WHERE deleted_at IS NULL AND id > :after ${among} ORDER BY id LIMIT :limit`,
      { ...args, after, limit },
    );
    return { rooms: rows.map(roomRow), total: Number(count?.["n"] ?? 0) };
  }

  /** Everything a room in memory starts from: one state of it, whoever writes meanwhile. */
  async loadRoom(row: RoomRow, idempotentSince: Millis): Promise<LoadedRoom> {
    const room = row.uid;
    const [entries = [], presence = [], idempotent = [], [head] = []] = await this.db.snapshot([
      { sql: "SELECT scope, key, value, meta FROM entry WHERE room = :room", args: { room } },
      { sql: "SELECT agent, data FROM presence WHERE room = :room", args: { room } },
      {
        sql: `SELECT idem, digest, seq, ts FROM log
          WHERE room = :room AND idem IS NOT NULL AND ts > :since`,
        args: { room, since: idempotentSince },
      },
      { sql: `${SELECT_ROOM} WHERE uid = :room AND deleted_at IS NULL`, args: { room } },
    ]);
    return {
      row: head ? roomRow(head) : row,
      entries: entries as unknown as EntryRow[],
      presence: presence.map((r) => ({
        agent: String(r["agent"]),
        data: JSON.parse(String(r["data"])) as Presence,
      })),
      idempotent: idempotent.map((r) => ({
        key: String(r["idem"]),
        digest: String(r["digest"]),
        seq: Number(r["seq"]),
        ts: Number(r["ts"]),
      })),
    };
  }

  /** Records of a room, ascending unless `newestFirst`. */
  async readLog(room: string, filter: LogFilter): Promise<LogRecord[]> {
    const { where, args } = logWhere(filter);
    const order = filter.newestFirst ? "DESC" : "ASC";
    const rows = await this.db.all(
      `SELECT ${LOG_COLUMNS} FROM log WHERE room = :room ${where} ORDER BY seq ${order} LIMIT :limit`,
      { room, ...args, limit: filter.limit ?? -1 },
    );
    return rows.map(logRecord);
  }

  /** How many records a filter meets. */
  async countLog(room: string, filter: LogFilter): Promise<number> {
    const { where, args } = logWhere(filter);
    const rows = await this.db.all(`SELECT count(*) AS n FROM log WHERE room = :room ${where}`, {
      room,
      ...args,
    });
    return Number(rows[0]?.["n"] ?? 0);
  }

  /** The reply kept with an idempotent request's record. */
  async readReply(room: string, seq: number): Promise<string | undefined> {
    const rows = await this.db.all("SELECT reply FROM log WHERE room = :room AND seq = :seq", {
      room,
      seq,
    });
    return rows[0] ? String(rows[0]["reply"]) : undefined;
  }

  /** The hash of one record, to settle whether an unanswered commit went through. */
  async hashAt(room: string, seq: number): Promise<string | undefined> {
    const rows = await this.db.all("SELECT hash FROM log WHERE room = :room AND seq = :seq", {
      room,
      seq,
    });
    return rows[0] ? String(rows[0]["hash"]) : undefined;
  }

  /** Writes agents' presence, many rooms at once. */
  async savePresence(
    rows: readonly { room: string; agent: string; data: Presence }[],
  ): Promise<void> {
    await this.db.batch([{
      sql: `INSERT INTO presence (room, agent, data)
        SELECT j.value->>0, j.value->>1, j.value->>2 FROM json_each(:rows) AS j WHERE true
        ON CONFLICT (room, agent) DO UPDATE SET data = excluded.data`,
      args: { rows: JSON.stringify(rows.map((r) => [r.room, r.agent, JSON.stringify(r.data)])) },
    }]);
  }

  /** Ends a room: its name is free at once, its rows unreachable. */
  async deleteRoom(uid: string, at: Millis): Promise<boolean> {
    const [rows] = await this.db.batch([
      {
        sql:
          "UPDATE room SET deleted_at = :at WHERE uid = :uid AND deleted_at IS NULL RETURNING uid",
        args: { at, uid },
      },
      {
        sql: "UPDATE token_grant SET revoked_at = :at WHERE room = :uid AND revoked_at IS NULL",
        args: { at, uid },
      },
      { sql: "DELETE FROM role WHERE room = :uid", args: { uid } },
      { sql: "DELETE FROM embodiment WHERE room = :uid", args: { uid } },
    ]);
    return (rows ?? []).length > 0;
  }

  /** Purges a piece of a deleted room's rows; false when nothing is left. */
  async purgeDeleted(limit: number): Promise<boolean> {
    const gone = await this.db.all("SELECT uid FROM room WHERE deleted_at IS NOT NULL LIMIT 1");
    if (!gone[0]) return false;
    const uid = String(gone[0]["uid"]);
    const statements: Statement[] = PURGED.map((table) => ({
      sql: `DELETE FROM ${table} WHERE rowid IN (
        SELECT rowid FROM ${table} WHERE room = :uid LIMIT :limit)`,
      args: { uid, limit },
    }));
    statements.push({
      sql: `DELETE FROM log_key WHERE room = :uid AND (scope, key, seq) IN (
        SELECT scope, key, seq FROM log_key WHERE room = :uid LIMIT :limit)`,
      args: { uid, limit },
    });
    const empty = [...PURGED, "log_key"].map((table) =>
      `AND NOT EXISTS (SELECT 1 FROM ${table} WHERE room = :uid)`
    );
    statements.push({
      sql: `DELETE FROM room WHERE uid = :uid ${empty.join(" ")}`,
      args: { uid },
    });
    await this.db.batch(statements);
    return true;
  }

  /** A write that changes nothing: proves that the database takes writes. */
  async probe(): Promise<void> {
    await this.db.batch([{ sql: "DELETE FROM migration WHERE name = ''", args: {} }]);
  }
}
