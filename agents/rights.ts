/** Who may join a room, and join it again as an agent that is there. */
import { SyncError } from "../errors.ts";
import {
  type Access,
  accessTo,
  authenticationRequired,
  type Elevate,
  mustReach,
  type Principal,
  roomNotFound,
} from "../policy.ts";
import type { Room } from "../room.ts";
import { type AgentDefinition, LEVEL } from "../types.ts";

/** Refuses a caller that may not join a room of this name, whatever as. Throws what joining would. */
export function mustMayJoin(
  principal: Principal,
  room: Room | undefined,
  id: string,
  elevate: Elevate | undefined,
): void {
  if (room) return void joinAccess(principal, room, elevate);
  throw principal.lineage.length === 0 ? tokenWanted() : roomNotFound(id);
}

/** `401 authentication_required` of a room that does not take just anybody. */
export function tokenWanted(): SyncError {
  const { message, facts, headers } = authenticationRequired();
  const hint =
    "To join, send the room's room_ token, or a user's tok_ token with a role in the room " +
    '(POST /auth/device); or let an admin open the room: PATCH /rooms/:id {"join":"open"}.';
  return new SyncError("authentication_required", message, { ...facts, hint }, headers);
}

/** What a caller may do about joining: an open room takes anybody. */
export function joinAccess(principal: Principal, room: Room, elevate: Elevate | undefined): Access {
  const [grant] = principal.lineage;
  const open = {
    level: LEVEL.write,
    embodied: [],
    owner: false,
    canWiden: false,
    principal,
  } as const;
  if (!grant) {
    // No web page takes an agent in the rooms of a laptop by accident.
    if (room.settings.join === "open" && !principal.isForeign) return open;
    throw tokenWanted();
  }
  return accessForJoin(principal, room, open, elevate);
}

function accessForJoin(
  principal: Principal,
  room: Room,
  open: Access,
  elevate: Elevate | undefined,
): Access {
  let access: Access;
  try {
    access = accessTo(principal, room, room.id);
  } catch (error) {
    if (
      error instanceof SyncError && error.code === "room_not_found" && room.settings.join === "open"
    ) return open;
    throw error;
  }
  if (access.level >= LEVEL.write) return access;
  if (room.settings.join === "open" && !access.role && access.principal.user) return open;
  mustReach(access, "action.invoke", room, elevate);
  return access;
}

/** Is this the agent's own token, its user's, or an admin's? */
export function ownsAgent(access: Access, known: AgentDefinition, id: string): boolean {
  const user = access.principal.user?.id;
  return access.bound === id || access.level === LEVEL.admin ||
    (user !== undefined && known.owner === user);
}

/** Re-joining takes the agent's own token, its user's, or an admin's. Throws `agent_exists`. */
export function mustOwnAgent(access: Access, known: AgentDefinition, id: string): void {
  if (ownsAgent(access, known, id)) return;
  throw new SyncError("agent_exists", `The agent "${id}" exists already.`, {
    agent: id,
    hint: "Join again with its own token, its user's or an admin's; or choose another id.",
    example: { id: `${id}-2` },
  });
}
