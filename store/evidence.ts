/** The SQL of evidence: verdicts that count, and the markers before which they no longer do. */
import type { Observation, Reset } from "../actors.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { Statement } from "./db.ts";
import type { SideStatement } from "./rows.ts";

/** A verdict that counts: lives or dies with its record. */
export function insertObservation(o: {
  readonly actor: string;
  readonly domain: string;
  readonly room: string;
  readonly seq: number;
  readonly subject: number;
  readonly judge: string;
  readonly judgeActor: string;
  readonly isAccept: boolean;
  readonly at: Millis;
}): SideStatement {
  return {
    sql: `INSERT OR IGNORE INTO observation
        (actor, domain, room, seq, subject, judge, judge_actor, accept, at)
      SELECT :actor, :domain, :room, :seq, :subject, :judge, :judge_actor, :accept, :at WHERE true`,
    args: {
      actor: o.actor,
      domain: o.domain,
      room: o.room,
      seq: o.seq,
      subject: o.subject,
      judge: o.judge,
      judge_actor: o.judgeActor,
      accept: o.isAccept ? 1 : 0,
      at: o.at,
    },
    isHome: true,
  };
}

/** Verdicts about an actor that became durable after `after`. */
export async function findObservations(
  store: Store,
  actor: string,
  after: number,
  limit: number,
): Promise<Observation[]> {
  const rows = await store.db.all(
    `SELECT id, domain, room, subject, judge, judge_actor, accept, at FROM observation
      WHERE actor = :actor AND id > :after ORDER BY id LIMIT :limit`,
    { actor, after, limit },
  );
  return rows.map((row) => ({
    id: Number(row["id"]),
    domain: String(row["domain"]),
    subject: `${String(row["room"])}:${String(row["subject"])}`,
    judge: String(row["judge"]),
    judgeActor: String(row["judge_actor"]),
    isAccept: Number(row["accept"]) === 1,
    at: Number(row["at"]),
  }));
}

/** Where a verdict was given, and by whom. */
export interface JudgedRow {
  readonly id: number;
  readonly room: string;
  readonly seq: number;
  readonly subject: number;
  readonly judgeActor: string;
  readonly domain: string;
  readonly isAccept: boolean;
  readonly at: Millis;
}

/** Verdicts about an actor in some rooms, newest first; `judge` is a judge's key or an actor. */
export async function listObservations(
  store: Store,
  actor: string,
  rooms: readonly string[],
  wanted: {
    domain: string | null;
    judge: string | null;
    before: number;
    upTo: Millis;
    limit: number;
  },
): Promise<JudgedRow[]> {
  const rows = await store.db.all(
    `SELECT id, room, seq, subject, judge_actor, domain, accept, at FROM observation
      WHERE actor = :actor AND id < :before AND at <= :upTo
        AND room IN (SELECT value FROM json_each(:rooms))
        AND (:domain IS NULL OR domain = :domain)
        AND (:judge IS NULL OR judge = :judge OR judge_actor = :judge)
      ORDER BY id DESC LIMIT :limit`,
    { actor, rooms: JSON.stringify(rooms), ...wanted },
  );
  return rows.map((row) => ({
    id: Number(row["id"]),
    room: String(row["room"]),
    seq: Number(row["seq"]),
    subject: Number(row["subject"]),
    judgeActor: String(row["judge_actor"]),
    domain: String(row["domain"]),
    isAccept: Number(row["accept"]) === 1,
    at: Number(row["at"]),
  }));
}

/** A marker before which evidence no longer counts. */
export function insertReset(actor: string, reset: Reset): Statement {
  return {
    sql: "INSERT INTO actor_reset (actor, domain, at) VALUES (:actor, :domain, :at)",
    args: { actor, domain: reset.domain, at: reset.at },
  };
}

/** An actor's reset markers. */
export async function findResets(store: Store, actor: string): Promise<Reset[]> {
  const rows = await store.db.all(
    "SELECT domain, at FROM actor_reset WHERE actor = :actor ORDER BY at",
    { actor },
  );
  return rows.map((row) => ({
    domain: row["domain"] === null ? null : String(row["domain"]),
    at: Number(row["at"]),
  }));
}
