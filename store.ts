/**
 * The store: one atomic batch of plain SQL per group of records, and the reads that load a
 * room. Every statement lives here or in `store/`.
 */
import { SyncError } from "./errors.ts";
import { SQL_PARAM_BYTES_MAX } from "./limits.ts";
import { MIGRATIONS } from "./schema.ts";
import { Db, type DbOptions, isContentError, type Row, type Statement } from "./store/db.ts";
import type { Json, LogRecord, Millis, Presence } from "./types.ts";

export type { Statement } from "./store/db.ts";

/** A room's row. */
export interface RoomRow {
  readonly uid: string;
  readonly id: string;
  readonly createdAt: Millis;
  readonly head: number;
  readonly hash: string;
  readonly ts: Millis;
  readonly label: string | null;
  readonly meta: Json;
  readonly agents: number;
  readonly base: Json;
  readonly forkedFrom: Json;
}

/** One record on its way into the log. */
export interface LogRow {
  readonly record: LogRecord;
  readonly ts: Millis;
  readonly idem?: { readonly key: string; readonly digest: string; readonly reply: string };
}

/** An entry's row: `meta` is JSON text. */
export interface EntryRow {
  readonly scope: string;
  readonly key: string;
  readonly value: string;
  readonly meta: string;
}

/** What one room has to commit: its records since `base`, and the fold they lead to. */
export interface RoomCommit {
  readonly uid: string;
  /** Head before the first record. */
  readonly base: number;
  readonly head: number;
  readonly hash: string;
  readonly ts: Millis;
  readonly label: string | null;
  readonly meta: Json;
  readonly agents: number;
  readonly rows: readonly LogRow[];
  readonly entries: readonly EntryRow[];
  readonly gone: readonly { readonly scope: string; readonly key: string }[];
  /**
   * Rows that live or die with these records. Each ends in a WHERE clause, to which the guard
   * is added that the room still stands at `base`.
   */
  readonly side: readonly SideStatement[];
  /** The room's own row, when the first record creates it. */
  readonly created?: {
    readonly id: string;
    readonly createdAt: Millis;
    readonly base: Json;
    readonly forkedFrom: Json;
  };
}

/** What loading a room reads. */
export interface LoadedRoom {
  readonly row: RoomRow;
  readonly entries: readonly EntryRow[];
  readonly presence: readonly { readonly agent: string; readonly data: Presence }[];
  readonly idempotent: readonly { key: string; digest: string; seq: number; ts: Millis }[];
}

/** A statement that ends in a WHERE clause and has named parameters. */
export interface SideStatement {
  readonly sql: string;
  readonly args: Readonly<Record<string, string | number | null>>;
}

/** Filters of the log. */
export interface LogFilter {
  readonly after?: number;
  readonly upTo?: number;
  readonly before?: number;
  readonly limit?: number;
  readonly newestFirst?: boolean;
  readonly kind?: string;
  readonly agent?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly scope?: string;
  readonly key?: string;
  readonly prefix?: string;
}

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
      sql: "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
      args: {},
    }]);
    const done = new Set((await this.db.all("SELECT name FROM migration")).map((row) => row["name"]));
    for (const step of MIGRATIONS) {
      if (done.has(step.name)) continue;
      await this.db.batch([
        ...step.statements.map((sql) => ({ sql, args: {} })),
        {
          sql: "INSERT INTO migration (name, at) VALUES (:name, CAST(unixepoch('subsec') * 1000 AS INTEGER))",
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
    const rows = await this.db.all(`${SELECT_ROOM} WHERE uid = :uid AND deleted_at IS NULL`, { uid });
    return rows[0] && roomRow(rows[0]);
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

  /** Everything a room in memory starts from. */
  async loadRoom(row: RoomRow, idempotentSince: Millis): Promise<LoadedRoom> {
    const room = row.uid;
    const entries = await this.db.all("SELECT scope, key, value, meta FROM entry WHERE room = :room", { room });
    const presence = await this.db.all("SELECT agent, data FROM presence WHERE room = :room", { room });
    const idempotent = await this.db.all(
      "SELECT idem, digest, seq, ts FROM log WHERE room = :room AND idem IS NOT NULL AND ts > :since",
      { room, since: idempotentSince },
    );
    const head = await this.findRoomByUid(room);
    return {
      row: head ?? row,
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
      `SELECT seq, body, nonce, hash FROM log WHERE room = :room ${where} ORDER BY seq ${order} LIMIT :limit`,
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
    const rows = await this.db.all("SELECT reply FROM log WHERE room = :room AND seq = :seq", { room, seq });
    return rows[0] ? String(rows[0]["reply"]) : undefined;
  }

  /** The hash of one record, to settle whether an unanswered commit went through. */
  async hashAt(room: string, seq: number): Promise<string | undefined> {
    const rows = await this.db.all("SELECT hash FROM log WHERE room = :room AND seq = :seq", { room, seq });
    return rows[0] ? String(rows[0]["hash"]) : undefined;
  }

  /** Writes agents' presence, many rooms at once. */
  async savePresence(rows: readonly { room: string; agent: string; data: Presence }[]): Promise<void> {
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
        sql: "UPDATE room SET deleted_at = :at WHERE uid = :uid AND deleted_at IS NULL RETURNING uid",
        args: { at, uid },
      },
      { sql: "UPDATE token_grant SET revoked_at = :at WHERE room = :uid AND revoked_at IS NULL", args: { at, uid } },
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
    const left = await this.db.all("SELECT 1 AS n FROM log WHERE room = :uid LIMIT 1", { uid });
    const entries = await this.db.all("SELECT 1 AS n FROM entry WHERE room = :uid LIMIT 1", { uid });
    const statements: Statement[] = ["log", "entry", "log_key", "presence"].map((table) => ({
      sql: `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE room = :uid LIMIT :limit)`,
      args: { uid, limit },
    }));
    if (!left[0] && !entries[0]) statements.push({ sql: "DELETE FROM room WHERE uid = :uid", args: { uid } });
    await this.db.batch(statements);
    return true;
  }

  /** A write that changes nothing: proves that the database takes writes. */
  async probe(): Promise<void> {
    await this.db.batch([{ sql: "DELETE FROM migration WHERE name = ''", args: {} }]);
  }
}

const SELECT_ROOM =
  "SELECT uid, id, created_at, head, hash, ts, label, meta, agents, base, forked_from FROM room";

function roomRow(row: Row): RoomRow {
  const json = (text: unknown): Json => typeof text === "string" ? JSON.parse(text) as Json : null;
  return {
    uid: String(row["uid"]),
    id: String(row["id"]),
    createdAt: Number(row["created_at"]),
    head: Number(row["head"]),
    hash: String(row["hash"]),
    ts: Number(row["ts"]),
    label: row["label"] === null ? null : String(row["label"]),
    meta: json(row["meta"]),
    agents: Number(row["agents"]),
    base: json(row["base"]),
    forkedFrom: json(row["forked_from"]),
  };
}

function logRecord(row: Row): LogRecord {
  const body = JSON.parse(String(row["body"])) as Omit<LogRecord, "nonce" | "hash">;
  return { ...body, nonce: String(row["nonce"]), hash: String(row["hash"]) };
}

const EQUAL_FILTERS = ["kind", "agent", "actor", "action"] as const;

function logWhere(filter: LogFilter): { where: string; args: Record<string, string | number> } {
  const parts: string[] = [];
  const args: Record<string, string | number> = {};
  const add = (sql: string, name: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    parts.push(sql);
    args[name] = value;
  };
  add("AND seq > :after", "after", filter.after);
  add("AND seq <= :upTo", "upTo", filter.upTo);
  add("AND seq < :before", "before", filter.before);
  for (const name of EQUAL_FILTERS) add(`AND ${name} = :${name}`, name, filter[name]);
  if (filter.scope !== undefined) {
    const inner = ["k.room = :room", "k.scope = :scope"];
    args["scope"] = filter.scope;
    if (filter.key !== undefined) {
      inner.push("k.key = :key");
      args["key"] = filter.key;
    }
    if (filter.prefix !== undefined) {
      inner.push("substr(k.key, 1, length(:prefix)) = :prefix");
      args["prefix"] = filter.prefix;
    }
    parts.push(`AND seq IN (SELECT k.seq FROM log_key AS k WHERE ${inner.join(" AND ")})`);
  }
  return { where: parts.join(" "), args };
}

const INSERT_ROOMS = `INSERT INTO room
    (uid, id, created_at, head, hash, ts, label, meta, agents, base, forked_from)
  SELECT j.value->>0, j.value->>1, j.value->>2, 0, '', j.value->>2, NULL, NULL, 0, j.value->>3, j.value->>4
  FROM json_each(:rows) AS j WHERE true
  ON CONFLICT DO NOTHING`;
const INSERT_LOG = `INSERT INTO log
    (room, seq, ts, kind, agent, actor, action, body, nonce, hash, idem, digest, reply)
  SELECT j.value->>0, j.value->>2, j.value->>3, j.value->>4, j.value->>5, j.value->>6, j.value->>7,
    j.value->>8, j.value->>9, j.value->>10, j.value->>11, j.value->>12, j.value->>13
  FROM json_each(:rows) AS j JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1`;
const INSERT_LOG_KEYS = `INSERT OR IGNORE INTO log_key (room, scope, key, seq)
  SELECT j.value->>0, j.value->>2, j.value->>3, j.value->>4
  FROM json_each(:rows) AS j JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1`;
const UPSERT_ENTRIES = `INSERT INTO entry (room, scope, key, value, meta)
  SELECT j.value->>0, j.value->>2, j.value->>3, j.value->>4, j.value->>5
  FROM json_each(:rows) AS j JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1
  WHERE true
  ON CONFLICT (room, scope, key) DO UPDATE SET value = excluded.value, meta = excluded.meta`;
const DELETE_ENTRIES = `DELETE FROM entry WHERE (room, scope, key) IN (
  SELECT j.value->>0, j.value->>2, j.value->>3
  FROM json_each(:rows) AS j JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1)`;
const UPDATE_ROOMS = `UPDATE room SET head = j.value->>2, hash = j.value->>3, ts = j.value->>4,
    label = j.value->>5, meta = j.value->>6, agents = j.value->>7
  FROM json_each(:rows) AS j WHERE room.uid = j.value->>0 AND room.head = j.value->>1
    AND room.deleted_at IS NULL
  RETURNING uid`;

/** The batch of a group: a handful of set-based statements, however many records it holds. */
function statementsOf(group: readonly RoomCommit[]): Statement[] {
  const log: Json[] = [], keys: Json[] = [], entries: Json[] = [], gone: Json[] = [];
  const rooms: Json[] = [], created: Json[] = [];
  for (const c of group) {
    if (c.created) {
      const { id, createdAt, base, forkedFrom } = c.created;
      created.push([c.uid, id, createdAt, textOrNull(base), textOrNull(forkedFrom)]);
    }
    for (const row of c.rows) pushRecord(c, row, log, keys);
    for (const e of c.entries) entries.push([c.uid, c.base, e.scope, e.key, e.value, e.meta]);
    for (const g of c.gone) gone.push([c.uid, c.base, g.scope, g.key]);
    rooms.push([c.uid, c.base, c.head, c.hash, c.ts, c.label, textOrNull(c.meta), c.agents]);
  }
  return [
    ...pieces(INSERT_ROOMS, created),
    ...pieces(INSERT_LOG, log),
    ...pieces(INSERT_LOG_KEYS, keys),
    ...pieces(UPSERT_ENTRIES, entries),
    ...pieces(DELETE_ENTRIES, gone),
    ...group.flatMap((c) => c.side.map((s) => guarded(s, c))),
    { sql: UPDATE_ROOMS, args: { rows: JSON.stringify(rooms) } },
  ];
}

function pushRecord(c: RoomCommit, row: LogRow, log: Json[], keys: Json[]): void {
  const { nonce, hash, ...body } = row.record;
  const { seq, kind, agent, actor, action } = row.record;
  log.push([
    c.uid,
    c.base,
    seq,
    row.ts,
    kind,
    agent,
    actor,
    action ?? null,
    JSON.stringify(body),
    nonce,
    hash,
    row.idem?.key ?? null,
    row.idem?.digest ?? null,
    row.idem?.reply ?? null,
  ]);
  for (const w of row.record.writes ?? []) keys.push([c.uid, c.base, w.scope, w.key, seq]);
}

function guarded(side: SideStatement, at: RoomCommit): Statement {
  return {
    sql: `${side.sql} AND EXISTS (SELECT 1 FROM room WHERE uid = :at_room AND head = :at_head)`,
    args: { ...side.args, at_room: at.uid, at_head: at.base },
  };
}

function textOrNull(value: Json): string | null {
  return value === null ? null : JSON.stringify(value);
}

/** The statement once per two megabytes of rows: larger parameters are refused by servers. */
function pieces(sql: string, rows: readonly Json[]): Statement[] {
  const out: Statement[] = [];
  let piece: string[] = [], bytes = 0;
  const flush = (): void => {
    if (piece.length > 0) out.push({ sql, args: { rows: `[${piece.join(",")}]` } });
    piece = [];
    bytes = 0;
  };
  for (const row of rows) {
    const text = JSON.stringify(row);
    if (bytes + text.length > SQL_PARAM_BYTES_MAX) flush();
    piece.push(text);
    bytes += text.length;
  }
  flush();
  return out;
}
