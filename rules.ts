/**
 * Rules that several nouns share: how much a room holds, who may touch which scope, and that no
 * two things decide about each other's being there.
 */
import type { Acting } from "./auth.ts";
import { jsonBytes } from "./canonical.ts";
import { SyncError } from "./errors.ts";
import {
  RECORD_BYTES_MAX,
  ROOM_ACTIONS_MAX,
  ROOM_AGENTS_MAX,
  ROOM_BYTES_MAX,
  ROOM_KEYS_MAX,
  ROOM_MESSAGES_MAX,
  ROOM_VIEWS_MAX,
  VALUE_BYTES_MAX,
} from "./limits.ts";
import { grantsOf, isCustomScope, isPrivateScope } from "./policy.ts";
import type { Room } from "./room.ts";
import { cellOf } from "./room/changes.ts";
import type { Json, Write } from "./types.ts";

export { mustGateSoundly } from "./rules/enabled.ts";
export { type Gated, hiddenByPassing, mustNotPass } from "./rules/passing.ts";

/** Refuses a value larger than an entry may hold. Throws `too_large`. */
export function mustFitValue(value: Json, field: string): number {
  const bytes = jsonBytes(value);
  if (bytes <= VALUE_BYTES_MAX) return bytes;
  throw new SyncError(
    "too_large",
    `"${field}" is too large: a value takes at most ${VALUE_BYTES_MAX} bytes.`,
    {
      field,
      limit: VALUE_BYTES_MAX,
      actual: bytes,
      hint: "Spread it over several keys; what is larger belongs elsewhere, with its address here.",
    },
  );
}

const COUNTED = {
  keys: { max: ROOM_KEYS_MAX, count: (room: Room) => room.keyCount },
  bytes: { max: ROOM_BYTES_MAX, count: (room: Room) => room.valueBytes },
  actions: {
    max: ROOM_ACTIONS_MAX,
    count: (room: Room) => room.scopes.get("_actions")?.entries.size ?? 0,
  },
  views: {
    max: ROOM_VIEWS_MAX,
    count: (room: Room) => room.scopes.get("_views")?.entries.size ?? 0,
  },
  agents: {
    max: ROOM_AGENTS_MAX,
    count: (room: Room) => room.scopes.get("_agents")?.entries.size ?? 0,
  },
  messages: {
    max: ROOM_MESSAGES_MAX,
    count: (room: Room) => room.scopes.get("_messages")?.entries.size ?? 0,
  },
} as const;

/** Refuses a record that writes more than it may at once. Throws `too_large`. */
export function mustFitRecord(bytes: number): void {
  if (bytes <= RECORD_BYTES_MAX) return;
  throw new SyncError(
    "too_large",
    `One invocation writes at most ${RECORD_BYTES_MAX} bytes of values, all writes together.`,
    { field: "writes", limit: RECORD_BYTES_MAX, hint: "Write less at once, in several calls." },
  );
}

/** Refuses to add more than a room may hold. Throws `limit_exceeded`. */
export function mustStayWithinLimits(room: Room, what: keyof typeof COUNTED, adding: number): void {
  const { max, count } = COUNTED[what];
  if (adding <= 0 || count(room) + adding <= max) return;
  throw new SyncError("limit_exceeded", `The room holds at most ${max} ${what}.`, {
    limit: max,
    used: count(room),
    what,
    hint: "Delete what is no longer needed, or use another room.",
  });
}

/**
 * Refuses what would make the room hold more than it may; what shrinks it is always fine. Throws
 * `limit_exceeded`.
 */
export function mustHaveRoomFor(room: Room, writes: readonly Write[]): void {
  const fresh = new Set<string>();
  let bytes = 0, views = 0;
  for (const { scope, key, op, value } of writes) {
    if (op !== "set") continue;
    const old = room.get(scope, key);
    bytes += jsonBytes(value) - (old?.bytes ?? 0);
    if (old || fresh.has(cellOf(scope, key))) continue;
    fresh.add(cellOf(scope, key));
    if (scope === "_views") views++;
  }
  mustStayWithinLimits(room, "views", views);
  mustStayWithinLimits(room, "keys", fresh.size);
  mustStayWithinLimits(room, "bytes", bytes);
}

/** Who registers: an admin, a collaborator, or anybody else. */
export type Standing = "admin" | "collaborator" | "participant";

/** The standing of a caller in a room. */
export function standingOf(acting: Acting): Standing {
  if (acting.isAdmin) return "admin";
  const { role } = acting.access;
  return role === "owner" || role === "collaborator" ? "collaborator" : "participant";
}

/** Has the caller authority over what is scoped to `scope`? */
export function hasAuthority(room: Room, acting: Acting, scope: string): boolean {
  if (acting.isAdmin) return true;
  if (isPrivateScope(scope)) {
    const grants = grantsOf(room, acting.agent);
    return scope === acting.agent || grants.includes(scope) || grants.includes("*");
  }
  if (scope !== "_shared" && !isCustomScope(scope)) return false;
  return room.settings.vocabulary === "open" || standingOf(acting) !== "participant";
}

/** Refuses to register under a scope that the caller has no authority over. Throws `scope_denied`. */
export function mustHaveAuthority(room: Room, acting: Acting, scope: string): void {
  if (hasAuthority(room, acting, scope)) return;
  const isOpen = scope === "_shared" || isCustomScope(scope);
  throw new SyncError(
    "scope_denied",
    `"${acting.agent}" has no authority over the scope "${scope}".`,
    {
      scope,
      hint: isPrivateScope(scope)
        ? `Register it under your own scope ("${acting.agent}"), or ask an admin to grant you "${scope}".`
        : isOpen
        ? `The vocabulary of this room is closed: register under your own scope ("${acting.agent}").`
        : "The service keeps this scope for itself: register under _shared, a custom scope or your own.",
    },
  );
}
