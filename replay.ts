/**
 * A room as it was after any of its records: the nearest snapshot, and the log from there on
 * through the same fold that runs live. What a reader sees of it goes by its rights of today.
 */
import type { Acting } from "./auth.ts";
import { buildContext } from "./context.ts";
import type { ContextQuery } from "./context/query.ts";
import type { Moment } from "./engine/types.ts";
import { HotRoom } from "./engine/hot.ts";
import { SyncError } from "./errors.ts";
import { Room } from "./room.ts";
import { callerEyes, type Eyes } from "./sight.ts";
import { type ActorsPort, whenLoaded } from "./sight/actors.ts";
import { type Base, baseOf, breathe, restoreSnapshot } from "./snapshots.ts";
import type { Store } from "./store.ts";
import { findBaseSnapshot, findSnapshot, type SnapshotRow } from "./store/snapshots.ts";
import type { JsonObject, LogRecord, Presence } from "./types.ts";

/** Records that a fold takes in one piece. */
const FOLD_STEP = 500;
/** Records after which others get their turn. */
const FOLD_BREATH = 25;

/** The room after record `seq`; 0 is before the first. Throws `record_not_found`. */
export async function roomAt(store: Store, live: Room, seq: number): Promise<Room> {
  const row = await store.findRoomByUid(live.uid);
  const room = emptyOf(live, row?.base ?? live.base);
  mustReachBack(room, seq);
  const snapshot = await findSnapshot(store, live.uid, seq);
  if (snapshot) await restoreSnapshot(store, room, snapshot);
  await foldOn(store, room, seq);
  return room;
}

/** An empty room that will fold the log of another. */
export function emptyOf(live: Room, base = live.base): Room {
  const room = new Room(live.uid, live.id, live.createdAt, base, live.forkedFrom);
  room.ts = live.createdAt;
  return room;
}

function mustReachBack(room: Room, seq: number): void {
  const base = baseOf(room);
  if (!base || seq >= base.seq) return;
  throw new SyncError("record_not_found", `The log of this room begins after record ${base.seq}.`, {
    seq,
    first: base.seq,
    hint: `Ask for ${base.seq} or later.`,
  });
}

/** Folds the log of a room up to record `seq`; `noting` hears of each record. */
export async function foldOn(
  store: Store,
  room: Room,
  seq: number,
  noting?: (record: LogRecord, touched: ReadonlySet<string>) => void,
): Promise<void> {
  while (room.head < seq) {
    const records = await store.readLog(room.uid, {
      after: room.head,
      upTo: seq,
      limit: FOLD_STEP,
    });
    if (records.length === 0) {
      throw new SyncError("record_not_found", `There is no record ${room.head + 1} in this room.`, {
        seq: room.head + 1,
      });
    }
    for (const record of records) {
      const { touched } = room.apply(record);
      room.hash = record.hash;
      noting?.(record, touched);
      if (room.head % FOLD_BREATH === 0) await breathe();
    }
    room.trimRemovals();
    if (room.head < seq) await breathe();
  }
}

/** The base of a room's log, restored. Throws when its snapshot is gone. */
export async function baseRoom(
  store: Store,
  live: Room,
): Promise<{ room: Room; base: Base | undefined }> {
  const row = await store.findRoomByUid(live.uid);
  const room = emptyOf(live, row?.base ?? live.base);
  const base = baseOf(room);
  if (!base) return { room, base };
  const snapshot: SnapshotRow | undefined = await findBaseSnapshot(store, live.uid, base.seq);
  if (!snapshot) {
    throw new SyncError("unavailable", "The snapshot on which the room's log is based is missing.");
  }
  await restoreSnapshot(store, room, snapshot);
  return { room, base };
}

/** Everybody has seen and read everything: in a replay nothing is unread or changed. */
class PastPresence extends Map<string, Presence> {
  override get(): Presence {
    return { status: "active", lastHeartbeat: 0, read: Infinity, seen: Infinity };
  }
}

/** A room that lies in the past: nobody is present, nothing is unread. */
export class PastRoom extends HotRoom {
  override readonly presence: Map<string, Presence> = new PastPresence();
  override readonly isPast = true;
}

/** The instant right after the newest record of a room that was folded. */
export function momentOf(room: Room, actors?: ActorsPort): Moment {
  const hot = new PastRoom(room, room.ts);
  hot.actors = actors;
  return { hot, room, now: room.ts };
}

/** The reader's eyes on the past: what it may read is what it may read today. */
export function eyesOfToday(live: Room, acting: Acting): Eyes {
  return callerEyes(live, acting.agent, acting.seesAll);
}

/** The context that a reader of today would have had right after record `seq`. */
export async function replay(
  store: Store,
  live: Room,
  acting: Acting,
  seq: number,
  query: ContextQuery,
  actors?: ActorsPort,
): Promise<JsonObject> {
  const room = await roomAt(store, live, seq);
  // Views may have changed without being written: what is kept of that is of the live room only.
  room.removalsFrom = room.head;
  const eyes = eyesOfToday(live, acting);
  return await whenLoaded(
    actors,
    () => buildContext(momentOf(room, actors), acting, query, eyes).body,
  );
}
