/** The SQL of a group commit and of reading a log. */
import { FOLLOW_RECORDS, LOG_BYTES_MAX, SQL_PARAM_BYTES_MAX } from "../limits.ts";
import type { Json, LogRecord } from "../types.ts";
import type { Db, Row, Statement } from "./db.ts";
import { type Bound, BoundRows, textsOf } from "./bound-rows.ts";
import type {
  IdempotentRow,
  LogFilter,
  LogRow,
  News,
  RoomCommit,
  RoomRow,
  SideStatement,
  Told,
} from "./rows.ts";

export const SELECT_ROOM =
  "SELECT uid, id, created_at, head, hash, ts, label, meta, agents, base, forked_from, folded FROM room";

export function roomRow(row: Row): RoomRow {
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
    folded: Number(row["folded"]),
  };
}

/** Living rooms of one database by uid, ordered by name, and how many there are. */
export async function listRoomsIn(
  db: Db,
  uids: readonly string[] | "all",
  after: string,
  limit: number,
): Promise<{ rooms: RoomRow[]; total: number }> {
  const among = uids === "all" ? "" : "AND uid IN (SELECT value FROM json_each(:uids))";
  const args = uids === "all" ? {} : { uids: JSON.stringify(uids) };
  const count = await db.first(
    `SELECT count(*) AS n FROM room WHERE deleted_at IS NULL ${among}`,
    args,
  );
  const rows = await db.all(
    `${SELECT_ROOM} WHERE deleted_at IS NULL AND id > :after ${among} ORDER BY id LIMIT :limit`,
    { ...args, after, limit },
  );
  return { rooms: rows.map(roomRow), total: Number(count?.["n"] ?? 0) };
}

/** A request with an Idempotency-Key from its record's row. */
export function idempotentRow(row: Row): IdempotentRow {
  return {
    key: String(row["idem"]),
    digest: String(row["digest"]),
    seq: Number(row["seq"]),
    ts: Number(row["ts"]),
  };
}

/** Columns of the log that make a record. */
export const LOG_COLUMNS = "seq, kind, agent, actor, action, body, nonce, hash";

const RECORD = LOG_COLUMNS.split(", ").map((column) => `l.${column}`).join(", ");

/** The records that `sizes` lists: the first of them in an order, and no more than fit. */
function fitting(columns: string, sizes: string, order: readonly string[]): string {
  return `WITH sizes AS (${sizes} ORDER BY ${order.join(", ")} LIMIT :limit),
    summed AS (SELECT room, seq, count(*) OVER () AS found,
      sum(bytes) OVER (ORDER BY ${order.join(", ")}) - bytes AS before FROM sizes)
    SELECT ${columns}, s.found FROM summed AS s CROSS JOIN log AS l
    WHERE l.room = s.room AND l.seq = s.seq AND s.before < ${LOG_BYTES_MAX}
    ORDER BY ${order.map((column) => `l.${column}`).join(", ")}`;
}

/** Reads a page of a room's log: at most `:limit` records, and of what fits at least one. */
export function pageFrom(where: string, isNewestFirst = false): string {
  const sizes =
    `SELECT room, seq, octet_length(body) AS bytes FROM log WHERE room = :room ${where}`;
  return fitting(RECORD, sizes, [isNewestFirst ? "seq DESC" : "seq"]);
}

/** Reads what others wrote to a room after a record: the first of their records, as many as fit. */
export const NEWS = fitting(
  `l.room, ${RECORD}, l.ts, l.idem, l.digest`,
  `SELECT room, seq, octet_length(body) AS bytes FROM log WHERE room = :room AND seq > :after`,
  ["seq"],
);

/** A record with a longer body ends what is told of its room in passing. */
const TOLD_BYTES_MAX = 16_384;
/** Records that are told of in passing, of all rooms together. */
const TOLD_MAX = 256;
const TOLD = LOG_COLUMNS.split(", ").map((column) =>
  column === "body"
    ? `CASE WHEN octet_length(l.body) <= ${TOLD_BYTES_MAX} THEN l.body END AS body`
    : `l.${column}`
).join(", ");

/**
 * Reads in passing what others wrote after `[uid, seq]` of `:rows`: records in no order, and without
 * their bodies those that are too large for it. For a server it is a third of the work of `NEWS`, and
 * nearly always there are few or none.
 */
export const NEWS_IN_PASSING = `SELECT l.room, ${TOLD}, l.ts, l.idem, l.digest
  FROM json_each(:rows) AS j CROSS JOIN log AS l
  WHERE l.room = j.value->>0 AND l.seq > j.value->>1 LIMIT ${TOLD_MAX}`;

/** Reads the first of some records of several rooms, by instant, room and seq. */
export function timelineFrom(where: string): string {
  const sizes = `SELECT room, seq, ts, octet_length(body) AS bytes FROM log ${where}`;
  return fitting(`l.room, l.ts, ${RECORD}`, sizes, ["ts", "room", "seq"]);
}

/** What others wrote, by room, from rows of `NEWS_IN_PASSING`: records that follow one another. */
export function newsByRoom(rows: readonly Row[]): [uid: string, news: Told][] {
  return [...Map.groupBy(rows, (row) => String(row["room"]))].map(([uid, of]) => {
    const sorted = of.sort((a, b) => Number(a["seq"]) - Number(b["seq"]));
    const first = Number(sorted[0]!["seq"]);
    const end = sorted.findIndex((row, i) =>
      row["body"] === null || Number(row["seq"]) !== first + i
    );
    return [uid, toldOf(end < 0 ? sorted : sorted.slice(0, end))];
  });
}

function toldOf(rows: readonly Row[]): Told {
  return {
    records: rows.map(logRecord),
    idempotent: rows.filter((row) => row["idem"] !== null).map(idempotentRow),
  };
}

/** What others wrote to a room, from rows of `NEWS`. */
export function newsOf(rows: readonly Row[]): News {
  return { ...toldOf(rows), isAll: rows.length < FOLLOW_RECORDS && rows.length === foundIn(rows) };
}

/** How many there were, of rows of which only those are given that fit. */
export function foundIn(rows: readonly Row[]): number {
  return Number(rows[0]?.["found"] ?? 0);
}

/** What of a record has no column of its own, as JSON. */
export function bodyOf(record: LogRecord): string {
  const { ts, prev, on_behalf, session, params, result, seen, signed, writes } = record;
  return JSON.stringify({ ts, prev, on_behalf, session, params, result, seen, signed, writes });
}

/** A record from its row. */
export function logRecord(row: Row): LogRecord {
  const body = JSON.parse(String(row["body"])) as Pick<LogRecord, "ts" | "prev">;
  return {
    seq: Number(row["seq"]),
    kind: String(row["kind"]) as LogRecord["kind"],
    agent: String(row["agent"]),
    actor: String(row["actor"]),
    ...(row["action"] === null ? {} : { action: String(row["action"]) }),
    ...body,
    nonce: String(row["nonce"]),
    hash: String(row["hash"]),
  };
}

const EQUAL_FILTERS = ["agent", "actor", "action"] as const;

export function logWhere(
  filter: LogFilter,
): { where: string; args: Record<string, string | number> } {
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
  const kinds = filter.kinds && JSON.stringify(filter.kinds);
  add("AND kind IN (SELECT value FROM json_each(:kinds))", "kinds", kinds);
  for (const name of EQUAL_FILTERS) add(`AND ${name} = :${name}`, name, filter[name]);
  if (filter.scope !== undefined) {
    args["scope"] = filter.scope;
    if (filter.key !== undefined) args["key"] = filter.key;
    if (filter.prefix !== undefined) args["prefix"] = filter.prefix;
    const wrote = (scope: string, key: string): string =>
      [
        `${scope} = :scope`,
        ...(filter.key === undefined ? [] : [`${key} = :key`]),
        ...(filter.prefix === undefined ? [] : [`substr(${key}, 1, length(:prefix)) = :prefix`]),
      ].join(" AND ");
    parts.push(`AND seq IN (
      SELECT k.seq FROM log_key AS k WHERE k.room = :room AND ${wrote("k.scope", "k.key")}
      UNION ALL
      SELECT t.seq FROM room AS r JOIN log AS t ON t.room = r.uid AND t.seq > r.folded
        JOIN json_each(t.body, '$.writes') AS w
        WHERE r.uid = :room AND ${wrote("w.value->>'scope'", "w.value->>'key'")})`);
  }
  return { where: parts.join(" "), args };
}

const INSERT_ROOMS = `INSERT INTO room
    (uid, id, created_at, head, hash, ts, label, meta, agents, base, forked_from, folded)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>5, '', j.value->>2, NULL, NULL, 0, j.value->>3,
    j.value->>4, j.value->>5
  FROM json_each(:rows) AS j WHERE true
  ON CONFLICT DO NOTHING`;
const INSERT_LOG = textsOf(14, (values) =>
  `INSERT INTO log
    (room, seq, ts, kind, agent, actor, action, body, nonce, hash, idem, digest, reply)
  SELECT v.column1, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9,
    v.column10, v.column11, v.column12, v.column13, v.column14
  FROM (VALUES ${values}) AS v JOIN room AS r ON r.uid = v.column1 AND r.head = v.column2`);
/** The index by key, brought up to where a group begins. */
const KEY_LOG = `INSERT OR IGNORE INTO log_key (room, scope, key, seq)
  SELECT l.room, w.value->>'scope', w.value->>'key', l.seq
  FROM json_each(:rows) AS j JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1
    JOIN log AS l ON l.room = r.uid AND l.seq > r.folded AND l.seq <= r.head
    JOIN json_each(l.body, '$.writes') AS w`;
// Materialized, or every record of a key would parse the list of all its records anew.
const INSERT_LOG_KEYS = `INSERT OR IGNORE INTO log_key (room, scope, key, seq)
  WITH k AS MATERIALIZED (
    SELECT j.value->>0 AS room, j.value->>1 AS base, j.value->>2 AS scope, j.value->>3 AS key,
      j.value->'$[4]' AS seqs
    FROM json_each(:rows) AS j)
  SELECT k.room, k.scope, k.key, s.value
  FROM k JOIN room AS r ON r.uid = k.room AND r.head = k.base, json_each(k.seqs) AS s`;
const UPSERT_ENTRIES = textsOf(6, (values) =>
  `INSERT INTO fold (room, scope, key, value, meta)
  SELECT v.column1, v.column3, v.column4, v.column5, v.column6
  FROM (VALUES ${values}) AS v JOIN room AS r ON r.uid = v.column1 AND r.head = v.column2
  WHERE true
  ON CONFLICT (room, scope, key) DO UPDATE SET value = excluded.value, meta = excluded.meta`);
const DELETE_ENTRIES = `DELETE FROM fold WHERE (room, scope, key) IN (
  SELECT j.value->>0, j.value->>2, j.value->>3
  FROM json_each(:rows) AS j JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1)`;
const UPDATE_ROOMS = (more: string): string =>
  `UPDATE room SET head = j.value->>2, hash = j.value->>3, ts = j.value->>4,
    label = j.value->>5, meta = j.value->>6, agents = j.value->>7,
    folded = CASE WHEN j.value->>8 THEN j.value->>2 ELSE room.folded END${more}
  FROM json_each(:rows) AS j WHERE room.uid = j.value->>0 AND room.head = j.value->>1
    AND room.deleted_at IS NULL`;

/** Alone on its database nobody looks for what others wrote, and nearly always all is written. */
const UPDATE_ROOMS_ALONE = UPDATE_ROOMS("");
const COUNT_CHANGES: Statement = { sql: "SELECT changes() AS n", args: {}, isOne: true };
const UPDATE_ROOMS_SHARED = `${
  UPDATE_ROOMS(", g = (SELECT v FROM meta WHERE k = 'g'), wanted = NULL")
} RETURNING uid`;

/** Where a group is written. */
export interface GroupPlace {
  /** What belongs to no room is in another database. */
  readonly isAway: boolean;
  readonly isShared: boolean;
  /** What is to be done there. */
  readonly errands: readonly Statement[];
}

/** The batch of a group: a handful of set-based statements, however many records it holds. */
export function statementsOf(
  group: readonly RoomCommit[],
  { isAway, isShared, errands }: GroupPlace,
): Statement[] {
  const log = new BoundRows(INSERT_LOG), entries = new BoundRows(UPSERT_ENTRIES);
  const behind: Json[] = [], keys: Json[] = [], gone: Json[] = [];
  const rooms: Json[] = [], created: Json[] = [];
  for (const c of group) {
    if (c.created) {
      const { id, createdAt, base, forkedFrom } = c.created;
      created.push([c.uid, id, createdAt, textOrNull(base), textOrNull(forkedFrom), c.base]);
    }
    for (const row of c.rows) addLogRow(log, c, row);
    if (c.isFolded) {
      if (c.isBehind) behind.push([c.uid, c.base]);
      for (const { scope, key, seqs } of seqsByKey(c.rows)) {
        keys.push([c.uid, c.base, scope, key, seqs]);
      }
    }
    for (const { scope, key, value, meta } of c.entries) {
      entries.add([c.uid, c.base, scope, key, value, meta], value.length + meta.length);
    }
    for (const g of c.gone) gone.push([c.uid, c.base, g.scope, g.key]);
    const { uid, base, head, hash, ts, label, meta, agents } = c;
    rooms.push([uid, base, head, hash, ts, label, textOrNull(meta), agents, Number(c.isFolded)]);
  }
  return [
    ...pieces(INSERT_ROOMS, created),
    ...pieces(KEY_LOG, behind),
    ...log.finish(),
    ...pieces(INSERT_LOG_KEYS, keys),
    ...entries.finish(),
    ...pieces(DELETE_ENTRIES, gone),
    ...group.flatMap((c) => c.side.filter((s) => !(isAway && s.isHome)).map((s) => guarded(s, c))),
    ...errands,
    ...(isShared
      ? [{ sql: UPDATE_ROOMS_SHARED, args: { rows: JSON.stringify(rooms) } }]
      : [{ sql: UPDATE_ROOMS_ALONE, args: { rows: JSON.stringify(rooms) } }, COUNT_CHANGES]),
  ];
}

function addLogRow(log: BoundRows, { uid, base }: RoomCommit, { record, ts, idem }: LogRow): void {
  const { seq, kind, agent, actor, action, nonce, hash } = record;
  const body = bodyOf(record);
  const of: Bound[] = idem ? [idem.key, idem.digest, idem.reply] : [null, null, null];
  log.add(
    [uid, base, seq, ts, kind, agent, actor, action ?? null, body, nonce, hash, ...of],
    body.length + (idem?.reply.length ?? 0),
  );
}

/** The records of a group that wrote each key: one row for many records of one key. */
function seqsByKey(
  rows: readonly LogRow[],
): Iterable<{ readonly scope: string; readonly key: string; readonly seqs: number[] }> {
  const found = new Map<string, { scope: string; key: string; seqs: number[] }>();
  for (const { record } of rows) {
    for (const { scope, key } of record.writes ?? []) {
      const cell = `${scope}\u0000${key}`;
      const known = found.get(cell);
      if (!known) found.set(cell, { scope, key, seqs: [record.seq] });
      else if (known.seqs.at(-1) !== record.seq) known.seqs.push(record.seq);
    }
  }
  return found.values();
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
export function pieces(sql: string, rows: readonly Json[]): Statement[] {
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
