/** Help: system texts by key, which a room may override by proof of reading. */
import { versionOf } from "./canonical.ts";
import type { Moment } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { HELP } from "./help-content.ts";
import { nearest } from "./input.ts";
import type { Room } from "./room.ts";
import type { Sight } from "./sight.ts";
import type { Json, JsonObject } from "./types.ts";

const versions = new Map<string, string>();

/** A system text as an entry that nobody has written yet; undefined when there is none by that key. */
export function systemHelp(
  key: string,
): { readonly value: Json; readonly revision: 0; readonly version: string } | undefined {
  if (!Object.hasOwn(HELP, key)) return undefined;
  const value = HELP[key]! as Json;
  let version = versions.get(key);
  if (version === undefined) versions.set(key, version = versionOf(value));
  return { value, revision: 0, version };
}

/** Keys of the system's help and of the room's own. */
export function helpKeys(room: Room | undefined): string[] {
  const own = room?.scopes.get("_help")?.keys() ?? [];
  return [...new Set([...Object.keys(HELP), ...own])];
}

/** What `help` answers: the keys, or one text with the version that overriding it takes. */
export function readHelp(
  moment: Pick<Moment, "room">,
  sight: Sight,
  key: string | undefined,
): JsonObject {
  const { room } = moment;
  if (key === undefined) {
    return {
      keys: helpKeys(room),
      usage:
        'help {"key": "<key>"} answers {content, version, revision, source}; start with "guide", ' +
        'or "vocabulary_bootstrap" in an empty room.',
    };
  }
  const entry = sight.entry("_help", key);
  if (entry) {
    return {
      key,
      content: entry.value,
      version: entry.version,
      revision: entry.revision,
      source: "room",
    };
  }
  const system = systemHelp(key);
  if (system === undefined) throw helpKeyNotFound(room, key);
  return {
    key,
    content: system.value,
    version: system.version,
    revision: system.revision,
    source: "system",
  };
}

function helpKeyNotFound(room: Room, key: string): SyncError {
  return new SyncError("help_key_not_found", `There is no help on "${key}".`, {
    key,
    available: helpKeys(room),
    nearest: nearest(key, helpKeys(room)),
    example: { params: { key: "guide" } },
  });
}
