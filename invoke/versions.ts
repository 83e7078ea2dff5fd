/** Compare-and-set: does an entry fit what the caller has read of it? */
import type { Acting } from "../auth.ts";
import { SyncError } from "../errors.ts";
import { canReadScope } from "../policy.ts";
import type { Room } from "../room.ts";
import type { Sight } from "../sight.ts";
import type { Entry, Json, JsonObject } from "../types.ts";

/** The room as a caller sees it. */
export interface Reading {
  readonly room: Room;
  readonly acting: Acting;
  readonly sight: Sight;
}

/** A stored entry as a refusal may show it: nothing of what the caller may not see. */
export function shownEntry(
  stage: Reading,
  scope: string,
  key: string,
): Json {
  const entry = stage.room.get(scope, key);
  if (!entry) return null;
  const { acting, room } = stage;
  const mayRead = canReadScope(room, acting.agent, acting.seesAll, scope);
  if (!mayRead || !stage.sight.isThere(scope, key, entry)) return { hidden: true };
  return { value: entry.value, revision: entry.revision, version: entry.version };
}

/** Does an entry fit what the caller has read of it? */
export function fitsVersion(entry: Entry | undefined, expected: Json): boolean {
  if (expected === "" || expected === 0 || expected === null) return entry === undefined;
  if (typeof expected === "string") return entry?.version === expected;
  if (typeof expected === "number") return entry?.revision === expected;
  const seq = typeof expected === "object" && !Array.isArray(expected)
    ? (expected as JsonObject)["seq"]
    : undefined;
  return entry !== undefined && entry.seq === seq;
}

/** Refuses a write on what the caller has not read. Throws `version_conflict`. */
export function mustMatch(
  stage: Reading,
  scope: string,
  key: string,
  expected: Json,
): void {
  if (fitsVersion(stage.room.get(scope, key), expected)) return;
  throw new SyncError("version_conflict", `"${scope}.${key}" is not what the caller has read.`, {
    scope,
    key,
    expected,
    expected_version: expected,
    current: shownEntry(stage, scope, key),
    help: "if_version",
    hint: "Read it again, decide again, and send the version you have read.",
  });
}
