/** The lobby: the rooms a token reaches, and who may be embodied there. */
import { describeAgent } from "../agents/entry.ts";
import { isPresent, rolesOf } from "../embody/roles.ts";
import { SyncError } from "../errors.ts";
import { accessTo } from "../policy.ts";
import { listRooms, mustMayCreate } from "../rooms.ts";
import type { Json, JsonObject } from "../types.ts";
import type { HotRoom } from "../engine/hot.ts";
import type { ToolCall } from "./call.ts";

/** Rooms of one page of the lobby unless asked otherwise. */
const LOBBY_ROOMS_DEFAULT = 20;
/** Agents that the lobby names per room; the rest is counted. */
const LOBBY_AGENTS_MAX = 30;
const LEVELS = ["none", "read", "write", "admin"] as const;

/** Who calls, its rooms, and what it may do there. */
export async function lobby(
  call: ToolCall,
  { limit = LOBBY_ROOMS_DEFAULT, cursor }: JsonObject,
): Promise<JsonObject> {
  const { principal, deps } = call;
  const page = await listRooms(deps.engine, principal, {
    limit: String(limit),
    cursor: cursor as string | undefined,
  });
  const rooms: JsonObject[] = [];
  for (const row of page["rooms"] as JsonObject[]) {
    const hot = await deps.engine.peek(row["id"] as string);
    const shown = hot && describe(call, hot, row);
    if (shown) rooms.push(shown);
  }
  return {
    user: principal.user?.username ?? null,
    rooms,
    total: page["total"]!,
    ...(page["next_cursor"] === undefined ? {} : { next_cursor: page["next_cursor"] }),
    can_create_rooms: mayCreate(call),
  };
}

function describe(call: ToolCall, hot: HotRoom, row: JsonObject): JsonObject {
  const { room } = hot;
  const access = accessTo(call.principal, room, room.id);
  const agents = [...room.liveAgents()];
  const embodied = access.bound === undefined
    ? access.embodied.filter((id) => isPresent(room, id))
    : isPresent(room, access.bound)
    ? [access.bound]
    : [];
  const shown = agents.slice(0, LOBBY_AGENTS_MAX).map(([id, definition]) => {
    const { name, role, status } = describeAgent(hot, room, id, definition, room.ts);
    return { id, name: name!, role: role!, status: status! };
  });
  return {
    id: room.id,
    label: row["label"]!,
    role: row["role"]!,
    level: LEVELS[access.level],
    agents: shown as Json[],
    agents_total: agents.length,
    roles: rolesOf(room).map(({ role, filledBy }) => ({
      role,
      ...(filledBy === null ? { open: true } : { filled_by: filledBy }),
    })),
    ...(embodied.length === 0 ? {} : { embodied_as: embodied }),
    ...(access.bound === undefined ? {} : { bound_to: access.bound }),
  };
}

function mayCreate({ principal }: ToolCall): boolean {
  try {
    mustMayCreate(principal);
    return true;
  } catch (error) {
    if (error instanceof SyncError) return false;
    throw error;
  }
}
