/**
 * A room's log as JSON Lines that anybody can check offline: a header, the base where there is
 * one, every record with its salts, and a head that the server signs. One canonical line each.
 */
import { createHash } from "node:crypto";
import { showRecord } from "./audit.ts";
import type { Acting } from "./auth.ts";
import { canonical } from "./canonical.ts";
import type { HotRoom } from "./engine/hot.ts";
import { baseRoom } from "./replay.ts";
import { type Base, breathe, digestOf, placedEntries, showBase } from "./snapshots.ts";
import type { Signer } from "./signing.ts";
import type { Store } from "./store.ts";
import { iso } from "./timers.ts";
import type { Json, JsonObject, LogRecord } from "./types.ts";

/** What the first line says it is. */
export const EXPORT_FORMAT = "sync-room-log";
/** The version of that format. */
export const EXPORT_VERSION = 1;

/** Records that are read and shown in one piece. */
const EXPORT_STEP = 250;

/** The text that a head's signature is made over. */
export function signedText(head: Json): string {
  return `${EXPORT_FORMAT}\n${canonical(head)}`;
}

/** May this reader have the whole log, with everything that an import takes? */
export function mayExportWhole(acting: Acting): boolean {
  return acting.isAdmin && !acting.isBorrowed;
}

function shownBase(base: Base | undefined, isWhole: boolean): JsonObject | null {
  if (!base) return null;
  const shown = showBase(base)!;
  return isWhole ? { ...shown, salt: base.salt } : shown;
}

/** A record as its line: for admins with the nonce that all its salts come from. */
function recordLine(hot: HotRoom, acting: Acting, record: LogRecord, isWhole: boolean): JsonObject {
  const shown = showRecord(hot.room, acting, record, true);
  return isWhole ? { ...shown, nonce: record.nonce } : shown;
}

/** The lines of a room's log up to record `upTo`, as the caller may read it. */
export async function* exportLines(
  store: Store,
  hot: HotRoom,
  acting: Acting,
  upTo: number,
  signer: Signer,
  at: { readonly now: number; readonly salt: string },
): AsyncGenerator<string> {
  const isWhole = mayExportWhole(acting);
  const { room, base } = await baseRoom(store, hot.room);
  const digest = createHash("sha256");
  const lineOf = (json: Json): string => {
    const line = `${canonical(json)}\n`;
    digest.update(line);
    return line;
  };
  yield lineOf({
    format: EXPORT_FORMAT,
    version: EXPORT_VERSION,
    room: room.id,
    created_at: iso(room.createdAt),
    forked_from: room.forkedFrom,
    base: shownBase(base, isWhole),
    redacted: !isWhole,
  });
  if (base && isWhole) {
    for (const entry of placedEntries(room)) yield lineOf({ entry: entry as unknown as Json });
  }
  let records = 0;
  while (room.head < upTo) {
    const page = await store.readLog(room.uid, { after: room.head, upTo, limit: EXPORT_STEP });
    if (page.length === 0) return;
    for (const record of page) {
      room.apply(record);
      room.hash = record.hash;
      records++;
      yield lineOf(recordLine(hot, acting, record, isWhole));
    }
    room.trimRemovals();
    await breathe();
  }
  const head: JsonObject = {
    room: room.id,
    seq: room.head,
    hash: room.hash,
    records,
    state: await digestOf(placedEntries(room), at.salt),
    ...(isWhole ? { salt: at.salt } : {}),
    signed_at: iso(at.now),
    key: signer.publicKey,
    lines: digest.digest("hex"),
  };
  yield `${canonical({ head, signature: signer.sign(signedText(head)) })}\n`;
}
