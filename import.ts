/** A room made from an export: only what verifies comes in, record by record and folded as a whole. */
import type { Touched } from "./auth/touched.ts";
import type { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { goOn } from "./fork.ts";
import { type Checked, checkExport, incomplete } from "./import/check.ts";
import { invalid } from "./errors.ts";
import { roomId } from "./input.ts";
import {
  IMPORT_BYTES_MAX,
  IMPORT_LINE_CHARS_MAX,
  ROOM_BYTES_MAX,
  ROOM_KEYS_MAX,
} from "./limits.ts";
import type { Principal } from "./policy.ts";
import { Room } from "./room.ts";
import { mustMayCreate } from "./rooms.ts";
import { keepSnapshot } from "./snapshots.ts";
import { dropPrepared, insertRecords, notePrepared } from "./store/snapshots.ts";
import { parseInstant } from "./timers.ts";
import type { Json, JsonObject } from "./types.ts";

export { type Checked, checkExport } from "./import/check.ts";

/** What an import needs from its door. */
export interface ImportCall {
  readonly engine: Engine;
  readonly principal: Principal;
  /** The new room's id; the exported one's unless it is given. */
  readonly id: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  readonly forget: (touched: Touched) => void;
}

/** Creates a room from an export. Throws `export_invalid`, `export_incomplete`, `room_exists`. */
export async function importRoom(call: ImportCall): Promise<JsonObject> {
  mustMayCreate(call.principal);
  const { engine } = call;
  if (call.id !== undefined && !roomId.safeParse(call.id).success) {
    throw invalid("id", "1-128 letters, digits, '.', '_' or '-' are wanted", "my-room");
  }
  // Drawn once the room's name is known, for where it goes.
  let uid: string | undefined;
  try {
    const checked = await checkExport(linesOf(call.body), {
      onHeader: async (room) => {
        uid = engine.newUid(call.id ?? room);
        await notePrepared(engine.store, uid, engine.clock.now());
      },
      onBase: (base, placed) => {
        const at = {
          seq: base.seq,
          kind: "base",
          ts: Date.parse(base.ts),
          hash: base.hash,
        } as const;
        return keepSnapshot(engine.store, uid!, at, placed);
      },
      onRecords: (records) => insertRecords(engine.store, uid!, records),
    });
    if (checked.isRedacted) throw incomplete(1);
    const made = await open(call, uid!, checked);
    return {
      ...made,
      imported: true,
      records: checked.records,
      head: checked.head,
      signed_by: checked.key,
    };
  } catch (error) {
    if (uid !== undefined) await dropPrepared(engine.store, uid);
    throw error;
  }
}

async function open(call: ImportCall, uid: string, checked: Checked): Promise<JsonObject> {
  const { fold, head, hash } = checked;
  if (fold.keyCount > ROOM_KEYS_MAX || fold.valueBytes > ROOM_BYTES_MAX) {
    throw new SyncError("limit_exceeded", `A room holds at most ${ROOM_KEYS_MAX} keys.`, {
      limit: ROOM_KEYS_MAX,
      what: "keys",
    });
  }
  const id = call.id ?? checked.room;
  if (!roomId.safeParse(id).success) {
    throw invalid("id", "the exported room's id cannot be used: name one", "copy");
  }
  const { origin: _origin, ...base } = checked.base ?? { origin: undefined };
  const from = { id: checked.room, at: head, hash, imported: true };
  const isBased = checked.base !== undefined;
  const createdAt = parseInstant(checked.createdAt)!;
  const room = new Room(uid, id, createdAt, isBased ? base as unknown as Json : null, from);
  for (const [scope, { entries }] of fold.scopes) {
    for (const [key, entry] of entries) room.place(scope, key, entry);
  }
  room.head = head;
  room.hash = hash;
  room.ts = fold.ts;
  room.removalsFrom = head;
  return await goOn(call, room, { since: fold.ts, origin: from });
}

/** Lines of a stream, each without its end. Throws `too_large`, `export_invalid`. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let rest = "", bytes = 0;
  const decode = (chunk: Uint8Array | undefined): string => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch {
      throw new SyncError("export_invalid", "The export is not UTF-8.", {
        detail: "it is not UTF-8",
      });
    }
  };
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    if (bytes > IMPORT_BYTES_MAX) throw tooLarge(IMPORT_BYTES_MAX, bytes);
    const lines = (rest + decode(chunk)).split("\n");
    rest = lines.pop()!;
    if (rest.length > IMPORT_LINE_CHARS_MAX) throw tooLarge(IMPORT_LINE_CHARS_MAX, rest.length);
    yield* lines;
  }
  if (rest + decode(undefined) !== "") {
    throw new SyncError("export_invalid", "The export ends in the middle of a line.", {
      detail: "its last line has no end",
    });
  }
}

function tooLarge(limit: number, actual: number): SyncError {
  return new SyncError("too_large", `An import takes at most ${limit} bytes.`, { limit, actual });
}
