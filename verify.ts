/** The proof that a room's log holds together: its chain, its base, and the fold of both. */
import { firstDifference } from "./audit.ts";
import type { HotRoom } from "./engine/hot.ts";
import { hotFromRows } from "./engine/rows.ts";
import { hashOf } from "./record.ts";
import { baseRoom } from "./replay.ts";
import { isBaseSigned } from "./retention.ts";
import type { Room } from "./room.ts";
import { type Base, breathe, digestOf, placedEntries, showBase } from "./snapshots.ts";
import { signatureFault } from "./signatures.ts";
import type { Store } from "./store.ts";
import type { JsonObject, LogRecord } from "./types.ts";

/** How many records `verify` holds at once. */
const VERIFY_STEP = 200;
/** Records after which others get their turn. */
const VERIFY_BREATH = 8;

/**
 * Checks the chain and the fold: the base's digest, every hash, that each record names the one
 * before, and that folding the log from its base gives exactly the live state and its tables.
 */
export async function verifyRoom(store: Store, hot: HotRoom, upTo: number): Promise<JsonObject> {
  const { room, base } = await baseRoom(store, hot.room);
  const first = base?.seq ?? 0;
  let records = 0;
  const broken = (seq: number, detail: string): JsonObject => (
    { ok: false, seq, detail, records, base: showBase(base), head: upTo }
  );
  const unfit = base && await baseFault(room, base);
  if (unfit) return broken(first, unfit);
  let isNamed = base === undefined;
  for (let after = first; after < upTo;) {
    const page = await store.readLog(room.uid, { after, upTo, limit: VERIFY_STEP });
    if (page.length === 0) return broken(after + 1, "the record is missing");
    for (const record of page) {
      const fault = faultOf(room, record) ?? signatureFault(record, namesOf(room));
      if (fault) return broken(record.seq, fault);
      room.apply(record);
      room.hash = record.hash;
      records++;
      isNamed ||= namesBase(record, base!);
      if (records % VERIFY_BREATH === 0) await breathe();
    }
    after = page.at(-1)!.seq;
    room.trimRemovals();
    await breathe();
  }
  if (!isNamed) return broken(first, "no record names the snapshot that the log is based on");
  const difference = await liveDifference(store, hot, room, upTo);
  if (difference !== undefined) return broken(upTo, difference);
  return { ok: true, records, base: showBase(base), head: upTo, hash: room.hash };
}

/** What the room was called when its records were signed; undefined when that is not known. */
function namesOf(room: Room): string[] | undefined {
  const origin = room.forkedFrom as JsonObject | null;
  if (!origin) return [room.id];
  return origin["imported"] === true ? undefined : [room.id, String(origin["id"])];
}

/** What is wrong with a restored base; undefined when it is what its digest says. */
export async function baseFault(room: Room, base: Base): Promise<string | undefined> {
  if (room.hash !== base.hash) return "the base's hash is not that of its snapshot";
  if (!isBaseSigned(base)) return "the signature does not fit the base";
  const digest = await digestOf(placedEntries(room), base.salt);
  return digest === base.snapshot ? undefined : "the snapshot does not fit its digest";
}

/** Does a record name this base by digest? */
export function namesBase(record: LogRecord, base: Pick<Base, "snapshot">): boolean {
  if (record.kind !== "base") return false;
  const named = (record.params as JsonObject | undefined)?.["base"] as JsonObject | undefined;
  return named?.["snapshot"] === base.snapshot;
}

/** What is wrong with the next record of a room; undefined when it fits. */
export function faultOf(room: Room, record: LogRecord): string | undefined {
  if (record.seq !== room.head + 1) return `the record ${room.head + 1} is missing`;
  if (record.prev !== room.hash) return "prev is not the hash of the record before";
  if (hashOf(record) !== record.hash) return "the hash does not fit the record";
  return undefined;
}

async function liveDifference(
  store: Store,
  hot: HotRoom,
  room: Room,
  upTo: number,
): Promise<string | undefined> {
  const isStill = (): boolean => hot.room.head === upTo && hot.durable === upTo;
  if (!isStill()) return undefined;
  const live = firstDifference(room, hot.room);
  if (live !== undefined) return `the fold differs from the live state at ${live}`;
  const row = await store.findRoomByUid(room.uid);
  if (!row) return undefined;
  const loaded = await store.loadRoom(row, Number.MAX_SAFE_INTEGER);
  if (loaded.row.head !== upTo || !isStill()) return undefined;
  const stored = firstDifference(room, hotFromRows(loaded, room.ts).room);
  return stored === undefined ? undefined : `the fold differs from the tables at ${stored}`;
}
