/** What is told of an actor's work: trust with the verdicts behind it, and the records themselves. */
import { isLocalActor, roomOfLocalActor, userOfActor } from "../actors.ts";
import { showRecord } from "../audit.ts";
import { SYSTEM_ACTOR } from "../room.ts";
import { findActor, recordsOfActor } from "../store/actors.ts";
import { listObservations } from "../store/evidence.ts";
import { iso, parseInstant } from "../timers.ts";
import type { JsonObject, Millis } from "../types.ts";
import { invalid } from "../errors.ts";
import { type ActorCall, actorNotFound, mustSeeActor, Readers } from "./rights.ts";

/** What trust is asked for. */
export interface TrustQuery {
  readonly domain?: string;
  /** The DID of one judge. */
  readonly judge?: string;
  /** An instant of the past. */
  readonly at?: string;
  readonly before?: number;
  readonly limit: number;
}

/** Trust by domain, and the verdicts given in rooms that the caller may read, newest first. */
export async function showTrust(
  call: ActorCall,
  did: string,
  query: TrustQuery,
): Promise<JsonObject> {
  const readers = new Readers(call.engine, call.principal);
  await mustSeeActor(call, did, readers);
  const { store, clock } = call.engine;
  const at = instantOf(query.at) ?? clock.now();
  const evidence = await call.standing.evidenceOf(did);
  if (evidence.size === 0 && !isUnregistered(did) && !await findActor(store, did)) {
    throw actorNotFound(did);
  }
  const judge = query.judge === undefined ? undefined : await call.standing.judgeKey(query.judge);
  const domains = query.domain === undefined ? evidence.domains(at) : [query.domain];
  const rooms = await roomsOf(readers, did);
  const rows = await listObservations(store, did, rooms, {
    domain: query.domain ?? null,
    judge: judge ?? null,
    before: query.before ?? Number.MAX_SAFE_INTEGER,
    upTo: at,
    limit: query.limit + 1,
  });
  const page = rows.slice(0, query.limit);
  return {
    did,
    at: iso(at),
    trust: domains.map((domain) => ({ ...evidence.figures(domain, at, judge) })),
    observations: await Promise.all(page.map(async (row) => ({
      room: (await readers.of(row.room))!.hot.room.id,
      subject: row.subject,
      seq: row.seq,
      judge: row.judgeActor,
      domain: row.domain,
      verdict: row.isAccept ? "accept" : "reject",
      at: iso(row.at),
    }))),
    returned: page.length,
    ...(rows.length > query.limit ? { next_before: page.at(-1)!.id } : {}),
  };
}

/** Is it of those that are there without being registered? */
function isUnregistered(did: string): boolean {
  return isLocalActor(did) || did === SYSTEM_ACTOR || userOfActor(did) !== undefined;
}

/** The rooms that the caller may read, as far as the actor can be in them. */
async function roomsOf(readers: Readers, did: string): Promise<string[]> {
  const home = roomOfLocalActor(did);
  const rooms: string[] = [];
  for (const uid of home === undefined ? readers.candidates() : [home]) {
    if (await readers.of(uid)) rooms.push(uid);
  }
  return rooms;
}

function instantOf(text: string | undefined): Millis | undefined {
  if (text === undefined) return undefined;
  const at = parseInstant(text);
  if (at === undefined) {
    throw invalid("at", "an RFC 3339 instant is wanted", "2026-01-31T12:00:00Z");
  }
  return at;
}

/** Everything an actor ever did in rooms that the caller may read, oldest first. */
export async function showRecords(
  call: ActorCall,
  did: string,
  query: { readonly after?: string; readonly limit: number },
): Promise<JsonObject> {
  const readers = new Readers(call.engine, call.principal);
  await mustSeeActor(call, did, readers);
  // The service's own records are each room's, and too many to look for everywhere.
  if (did === SYSTEM_ACTOR) throw actorNotFound(did);
  const rooms = await roomsOf(readers, did);
  const { store } = call.engine;
  const after = placeOf(query.after);
  const { records: page, isMore } = await recordsOfActor(store, did, rooms, after, query.limit);
  const records: JsonObject[] = [];
  for (const { room, record } of page) {
    const { hot, acting } = (await readers.of(room))!;
    records.push({ room: hot.room.id, ...showRecord(hot.room, acting, record) });
  }
  const last = page.at(-1);
  return {
    did,
    records,
    returned: records.length,
    ...(isMore && last ? { next_after: `${last.ts}_${last.record.seq}_${last.room}` } : {}),
  };
}

function placeOf(text: string | undefined): { ts: Millis; room: string; seq: number } {
  if (text === undefined) return { ts: -1, room: "", seq: 0 };
  const match = /^(\d{1,15})_(\d{1,15})_(.{1,64})$/.exec(text);
  if (!match) throw invalid("after", "the next_after of the page before is wanted");
  return { ts: Number(match[1]), seq: Number(match[2]), room: match[3]! };
}
