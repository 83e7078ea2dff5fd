/** An agent as it is stored and shown. */
import { versionOf } from "../canonical.ts";
import type { HotRoom } from "../engine/hot.ts";
import type { Room } from "../room.ts";
import { iso } from "../timers.ts";
import type { AgentDefinition, Json, Millis, Write } from "../types.ts";

/** The write that stores an agent. */
export function agentWrite(room: Room, id: string, definition: AgentDefinition): Write {
  const value = definition as unknown as Json;
  return {
    scope: "_agents",
    key: id,
    op: "set",
    value,
    revision: (room.get("_agents", id)?.revision ?? 0) + 1,
    version: versionOf(value),
    ...(definition.enabled === undefined ? {} : { enabled: definition.enabled }),
  };
}

/** An agent as its own calls answer it. */
export function describeAgent(
  hot: HotRoom,
  room: Room,
  id: string,
  definition: AgentDefinition,
  now: Millis,
): Record<string, Json> {
  const presence = hot.presence.get(id);
  const waiting = hot.waitingOn(id) ?? null;
  return {
    id,
    room_id: room.id,
    name: definition.name,
    role: definition.role,
    actor: definition.actor,
    status: waiting === null ? presence?.status ?? "active" : "waiting",
    waiting_on: waiting,
    joined_at: definition.joined_at,
    last_heartbeat: iso(presence?.lastHeartbeat ?? now),
    grants: [...definition.grants],
    ...(definition.meta === undefined ? {} : { meta: definition.meta }),
    ...(definition.substrate === undefined ? {} : { substrate: definition.substrate }),
    ...(definition.enabled === undefined ? {} : { enabled: definition.enabled }),
  };
}
