/**
 * The SQL of actors: the registry and its log, their records, challenges and nonces of signatures.
 * An actor's head is the lock of its log: of two changes at once, one is written.
 */
import { isLocalActor } from "../actors.ts";
import type { Store } from "../store.ts";
import type { Json, JsonObject, LogRecord, Millis } from "../types.ts";
import { isContentError, type Row, type Statement } from "./db.ts";
import { foundIn, LOG_COLUMNS, logRecord, timelineFrom } from "./statements.ts";

/** An actor's row. */
export interface ActorRow {
  readonly did: string;
  readonly kind: string;
  readonly displayName: string | null;
  /** The user that registered it, by id. */
  readonly owner: string | null;
  readonly substrate: Json;
  readonly publicKey: string | null;
  readonly manual: string | null;
  readonly createdAt: Millis;
  readonly endedAt: Millis | null;
  readonly head: number;
  readonly hash: string;
}

/** A line of an actor's own log. */
export interface ActorRecord {
  readonly seq: number;
  readonly ts: string;
  readonly kind: string;
  readonly by: string;
  readonly body: JsonObject;
  readonly nonce: string;
  readonly prev: string;
  readonly hash: string;
}

const ACTOR_COLUMNS = `a.did, a.kind, a.display_name, a.owner, a.substrate, a.public_key, a.manual,
  a.created_at, a.ended_at, a.head, a.hash`;

function text(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

function actorRow(row: Row): ActorRow {
  const substrate = text(row["substrate"]);
  return {
    did: String(row["did"]),
    kind: String(row["kind"]),
    displayName: text(row["display_name"]),
    owner: text(row["owner"]),
    substrate: substrate === null ? null : JSON.parse(substrate) as Json,
    publicKey: text(row["public_key"]),
    manual: text(row["manual"]),
    createdAt: Number(row["created_at"]),
    endedAt: row["ended_at"] === null ? null : Number(row["ended_at"]),
    head: Number(row["head"]),
    hash: String(row["hash"]),
  };
}

/** An actor by its DID, ended ones included. */
export async function findActor(store: Store, did: string): Promise<ActorRow | undefined> {
  const row = await store.db.first(`SELECT ${ACTOR_COLUMNS} FROM actor AS a WHERE a.did = :did`, {
    did,
  });
  return row && actorRow(row);
}

/** Living actors by kind and by words in their DID or name, ordered by DID. */
export async function listActors(
  store: Store,
  wanted: {
    kind: string | null;
    q: string | null;
    /** Users whose own actors may be listed, by id. */
    users: readonly string[];
    after: string;
    limit: number;
  },
): Promise<{ actors: ActorRow[]; total: number }> {
  const where = `a.ended_at IS NULL AND (:kind IS NULL OR a.kind = :kind)
    AND (a.kind <> 'user' OR a.owner IN (SELECT value FROM json_each(:users)))
    AND (:q IS NULL OR instr(lower(a.did), :q) > 0 OR instr(lower(coalesce(a.display_name, '')), :q) > 0)`;
  const { kind, q, users, after, limit } = wanted;
  const found = { kind, q: q?.toLowerCase() ?? null, users: JSON.stringify(users) };
  const count = await store.db.first(`SELECT count(*) AS n FROM actor AS a WHERE ${where}`, found);
  const rows = await store.db.all(
    `SELECT ${ACTOR_COLUMNS} FROM actor AS a WHERE ${where} AND a.did > :after
      ORDER BY a.did LIMIT :limit`,
    { ...found, after, limit },
  );
  return { actors: rows.map(actorRow), total: Number(count?.["n"] ?? 0) };
}

/** How many living actors a user has registered. */
export async function countActorsOf(store: Store, owner: string): Promise<number> {
  const row = await store.db.first(
    "SELECT count(*) AS n FROM actor WHERE owner = :owner AND ended_at IS NULL",
    { owner },
  );
  return Number(row?.["n"] ?? 0);
}

/** Inserts an actor; its first record is written with it. */
export function insertActor(a: Omit<ActorRow, "head" | "hash" | "endedAt">): Statement {
  return {
    sql: `INSERT INTO actor
        (did, kind, display_name, owner, substrate, public_key, manual, created_at, head, hash)
      VALUES (:did, :kind, :display_name, :owner, :substrate, :public_key, :manual, :created_at, 0, '')`,
    args: {
      did: a.did,
      kind: a.kind,
      display_name: a.displayName,
      owner: a.owner,
      substrate: a.substrate === null ? null : JSON.stringify(a.substrate),
      public_key: a.publicKey,
      manual: a.manual,
      created_at: a.createdAt,
    },
  };
}

/** Sets what is known of an actor. */
export function updateActor(a: ActorRow): Statement {
  return {
    sql: `UPDATE actor SET display_name = :display_name, substrate = :substrate,
      public_key = :public_key, manual = :manual, ended_at = :ended_at WHERE did = :did`,
    args: {
      did: a.did,
      display_name: a.displayName,
      substrate: a.substrate === null ? null : JSON.stringify(a.substrate),
      public_key: a.publicKey,
      manual: a.manual,
      ended_at: a.endedAt,
    },
  };
}

/**
 * Appends a record to an actor's log together with what it changes, in one transaction; false
 * when another change came first.
 */
export async function appendActorRecord(
  store: Store,
  did: string,
  record: ActorRecord,
  before: readonly Statement[],
  after: readonly Statement[],
): Promise<boolean> {
  const { seq, ts, kind, by, body, nonce, prev, hash } = record;
  try {
    await store.run([
      ...before,
      {
        sql: `INSERT INTO actor_record (actor, seq, ts, kind, by_actor, body, nonce, prev, hash)
          VALUES (:actor, :seq, :ts, :kind, :by, :body, :nonce, :prev, :hash)`,
        args: { actor: did, seq, ts, kind, by, body: JSON.stringify(body), nonce, prev, hash },
      },
      {
        sql: "UPDATE actor SET head = :seq, hash = :hash WHERE did = :did",
        args: { did, seq, hash },
      },
      ...after,
    ]);
    return true;
  } catch (error) {
    if (isContentError(error)) return false;
    throw error;
  }
}

/** An actor's own log, ascending. */
export async function readActorLog(
  store: Store,
  actor: string,
  after: number,
  limit: number,
): Promise<ActorRecord[]> {
  const rows = await store.db.all(
    `SELECT seq, ts, kind, by_actor, body, nonce, prev, hash FROM actor_record
      WHERE actor = :actor AND seq > :after ORDER BY seq LIMIT :limit`,
    { actor, after, limit },
  );
  return rows.map((row) => ({
    seq: Number(row["seq"]),
    ts: String(row["ts"]),
    kind: String(row["kind"]),
    by: String(row["by_actor"]),
    body: JSON.parse(String(row["body"])) as JsonObject,
    nonce: String(row["nonce"]),
    prev: String(row["prev"]),
    hash: String(row["hash"]),
  }));
}

/** What the index of logs by actor leaves out; said again so that it is used. */
function indexed(actor: string): string {
  if (isLocalActor(actor) || actor === "did:sync:system:engine") return "";
  return "AND substr(actor, 1, 16) <> 'did:sync:agent:~' AND actor <> 'did:sync:system:engine'";
}

/** A record among those of several rooms. */
export interface Placed {
  readonly room: string;
  readonly ts: Millis;
  readonly record: LogRecord;
}

/** By instant, room and seq. */
function inTime(a: Placed, b: Placed): number {
  return a.ts - b.ts ||
    (a.room === b.room ? a.record.seq - b.record.seq : a.room < b.room ? -1 : 1);
}

/** An actor's records in some rooms after a place: as many as are wanted, or fit; and are there more? */
export async function recordsOfActor(
  store: Store,
  actor: string,
  rooms: readonly string[],
  after: { readonly ts: Millis; readonly room: string; readonly seq: number },
  limit: number,
): Promise<{ records: Placed[]; isMore: boolean }> {
  const sql = timelineFrom(
    `WHERE actor = :actor ${indexed(actor)} AND room IN (SELECT value FROM json_each(:rooms))
      AND (ts, room, seq) > (:ts, :room, :seq)`,
  );
  const args = { actor, rooms: JSON.stringify(rooms), ...after, limit: limit + 1 };
  const pages = await store.everywhere(async (db) => {
    const rows = await db.all(sql, args);
    const found = rows.map((row): Placed => ({
      room: String(row["room"]),
      ts: Number(row["ts"]),
      record: logRecord(row),
    }));
    return [{ found, isCut: foundIn(rows) > rows.length }];
  });
  // Beyond the end of a page that was cut its database may have records that come before others'.
  const ends = pages.flatMap(({ found, isCut }) => isCut ? found.slice(-1) : []).sort(inTime);
  const all = pages.flatMap(({ found }) => found).sort(inTime);
  const sure = all.filter((one) => ends[0] === undefined || inTime(one, ends[0]) <= 0);
  const records = sure.slice(0, limit);
  return { records, isMore: ends.length > 0 || all.length > records.length };
}

/** When an actor that belongs to no room was last heard of in any log. */
export async function lastSeen(store: Store, actor: string): Promise<Millis | undefined> {
  const rows = await store.everywhere((db) =>
    db.all(`SELECT max(ts) AS ts FROM log WHERE actor = :actor ${indexed(actor)}`, { actor })
  );
  const seen = rows.flatMap(({ ts }) => typeof ts === "number" ? [ts] : []);
  return seen.length === 0 ? undefined : Math.max(...seen);
}

/** One record of a room. */
export async function findRecord(
  store: Store,
  room: string,
  seq: number,
): Promise<LogRecord | undefined> {
  const row = await store.of(room).first(
    `SELECT ${LOG_COLUMNS} FROM log WHERE room = :room AND seq = :seq`,
    { room, seq },
  );
  return row && logRecord(row);
}

/** Keeps a challenge by its hash; those that have ended go. */
export async function insertChallenge(
  store: Store,
  hash: string,
  did: string,
  expiresAt: Millis,
  now: Millis,
): Promise<void> {
  await store.run([
    { sql: "DELETE FROM actor_challenge WHERE expires_at <= :now", args: { now } },
    {
      sql: `INSERT INTO actor_challenge (hash, did, expires_at) VALUES (:hash, :did, :expires_at)`,
      args: { hash, did, expires_at: expiresAt },
    },
  ]);
}

/** Uses a challenge up; true for the first to come in time. */
export async function takeChallenge(
  store: Store,
  hash: string,
  did: string,
  now: Millis,
): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `DELETE FROM actor_challenge WHERE hash = :hash AND did = :did AND expires_at > :now
      RETURNING hash`,
    args: { hash, did, now },
  }]);
  return (rows ?? []).length > 0;
}

/** Uses a signature's nonce up; true for the first to come. */
export async function takeNonce(
  store: Store,
  key: string,
  nonce: string,
  expiresAt: Millis,
  now: Millis,
): Promise<boolean> {
  const [, rows] = await store.run([
    { sql: "DELETE FROM signature_nonce WHERE expires_at <= :now", args: { now } },
    {
      sql: `INSERT INTO signature_nonce (key, nonce, expires_at) VALUES (:key, :nonce, :expires_at)
        ON CONFLICT DO NOTHING RETURNING nonce`,
      args: { key, nonce, expires_at: expiresAt },
    },
  ]);
  return (rows ?? []).length > 0;
}
