/** What the engine refuses with. */
import { SyncError } from "../errors.ts";

/** `409 room_exists`. */
export function roomExists(id: string): SyncError {
  return new SyncError("room_exists", `The room "${id}" exists already.`, {
    id,
    hint: "Choose another id, or leave it out to get one.",
  });
}

/** `503 store_busy`: the room's tail was dropped again and again. */
export function tooBusy(): SyncError {
  return new SyncError("store_busy", "Other writers were faster, several times in a row.", {
    hint: "Repeat the call.",
  }, { "Retry-After": "1" });
}
