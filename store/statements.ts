/** The SQL of a group commit and of reading a log. */
import { SQL_PARAM_BYTES_MAX } from "../limits.ts";
import type { Json, LogRecord } from "../types.ts";
import type { Row, Statement } from "./db.ts";
import type { LogFilter, LogRow, RoomCommit, RoomRow, SideStatement } from "./rows.ts";

export const SELECT_ROOM =
  "SELECT uid, id, created_at, head, hash, ts, label, meta, agents, base, forked_from FROM room";

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
  };
}

export function logRecord(row: Row): LogRecord {
  const body = JSON.parse(String(row["body"])) as Omit<LogRecord, "nonce" | "hash">;
  return { ...body, nonce: String(row["nonce"]), hash: String(row["hash"]) };
}

const EQUAL_FILTERS = ["kind", "agent", "actor", "action"] as const;

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
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>5, '', j.value->>2, NULL, NULL, 0, j.value->>3,
    j.value->>4
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
export function statementsOf(group: readonly RoomCommit[]): Statement[] {
  const log: Json[] = [], keys: Json[] = [], entries: Json[] = [], gone: Json[] = [];
  const rooms: Json[] = [], created: Json[] = [];
  for (const c of group) {
    if (c.created) {
      const { id, createdAt, base, forkedFrom } = c.created;
      created.push([c.uid, id, createdAt, textOrNull(base), textOrNull(forkedFrom), c.base]);
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
