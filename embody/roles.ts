/** Roles as state: `_shared/roles.<id>` says who fills one. Filled by embodying, vacated by letting go. */
import { versionOf } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import type { Room } from "../room.ts";
import { iso } from "../timers.ts";
import type { JsonObject, Write } from "../types.ts";

/** Is there an agent of this id that has not left? */
export function isPresent(room: Room, id: string): boolean {
  const known = room.agent(id);
  return known !== undefined && known.left_at === undefined;
}

/** A role as the room keeps it at `_shared/roles.<id>`. */
export interface RoleEntry {
  readonly role: string;
  readonly filledBy: string | null;
  readonly value: JsonObject;
}

/** The roles that a room has defined. */
export function rolesOf(room: Room): RoleEntry[] {
  const roles: RoleEntry[] = [];
  for (const key of room.scopes.get("_shared")?.keys() ?? []) {
    if (!key.startsWith("roles.")) continue;
    const value = room.get("_shared", key)?.value;
    if (value === null || typeof value !== "object" || Array.isArray(value)) continue;
    const filled = value["filled_by"];
    const holder = typeof filled === "string" && isPresent(room, filled) ? filled : null;
    roles.push({ role: key.slice("roles.".length), filledBy: holder, value });
  }
  return roles;
}

/** The write that changes a role. */
export function roleWrite(room: Room, role: RoleEntry, change: JsonObject): Write {
  const value = { ...role.value, ...change };
  const entry = room.get("_shared", `roles.${role.role}`)!;
  return {
    scope: "_shared",
    key: `roles.${role.role}`,
    op: "set",
    value,
    revision: entry.revision + 1,
    version: versionOf(value),
    ...(entry.timer ? { timer: entry.timer } : {}),
    ...(entry.enabled === undefined ? {} : { enabled: entry.enabled }),
  };
}

/** Fills a role that the room has defined; none is written otherwise. Throws `already_claimed` when somebody else fills it. */
export function filledRole(
  room: Room,
  agent: string,
  wanted: string | undefined,
  now: number,
): Write[] {
  const role = rolesOf(room).find((candidate) => candidate.role === wanted);
  if (!role || role.filledBy === agent) return [];
  if (role.filledBy !== null) {
    throw new SyncError("already_claimed", `The role "${role.role}" is filled.`, {
      role: role.role,
      claimed_by: role.filledBy,
      hint: "Embody without a role, or with another one; sync_lobby lists those that are open.",
      help: "roles",
    });
  }
  return [roleWrite(room, role, { filled_by: agent, filled_at: iso(now) })];
}
