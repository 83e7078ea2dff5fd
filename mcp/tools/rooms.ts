/** Tools about rooms and about who one is in them: lobby, creating, joining, embodying, narrowing. */
import { z } from "zod";
import { join, joinBody } from "../../agents/join.ts";
import { disembody, embody, embodyBody, type EmbodyCall } from "../../embody.ts";
import { restrictBody, restrictScope, revokeAccess } from "../../narrowing.ts";
import { note } from "../../oauth/audit.ts";
import { createBody, createRoom, listRooms } from "../../rooms.ts";
import type { Json, JsonObject } from "../../types.ts";
import { ADDS, READS, REMOVES, SETS, type Tool, ToolCall } from "../call.ts";
import { lobby } from "../lobby.ts";
import { anything, contextShape, count, inRoom, room, roomsShape } from "../shapes.ts";
import { briefingFor } from "./actors.ts";
import { readContext } from "./reading.ts";

const page = { limit: count.optional(), cursor: z.string().optional() };
const reveal = { reveal_tokens: z.boolean().optional() };
const REVEAL = "show the new tokens; you rarely need them";

/** A reply without its secrets, unless they were asked for. */
function withoutSecrets(reply: JsonObject, isRevealed: unknown): JsonObject {
  if (isRevealed === true) return reply;
  const { token: _token, view_token: _view, ...shown } = reply;
  return { ...shown, tokens_hidden: true };
}

function embodyCall(call: ToolCall, room: Json | undefined): EmbodyCall {
  return {
    engine: call.deps.engine,
    principal: call.principal,
    room: room as string,
    client: call.client,
    elevate: call.deps.elevate,
    forget: call.forget,
  };
}

async function embodyAndLook(call: ToolCall, args: JsonObject): Promise<JsonObject> {
  const { room, ...body } = args;
  const { level, ...embodied } = await embody(embodyCall(call, room), body);
  const { deps, client, signal, progress } = call;
  const now = new ToolCall(deps, await deps.auth.again(call.principal), client, signal, progress);
  const context = await readContext(now, room as string, embodied.agent, {});
  const memory = await briefingFor(now, room as string, embodied.agent);
  return { ...context.body, ...memory, _session: { room: room!, level, ...embodied } };
}

/** Notes for the token's user that the token was narrowed, as on every other way to change one. */
async function noted(call: ToolCall, narrowed: JsonObject): Promise<JsonObject> {
  const { store, clock } = call.deps;
  await note({ store, now: () => clock.now() }, call.principal.user!.id, "token_changed", {
    token: call.principal.lineage[0]!.id,
    from: String(narrowed["previous_scope"]),
    to: String(narrowed["scope"]),
  });
  return narrowed;
}

/** The tools. */
export const ROOM_TOOLS: readonly Tool[] = [
  {
    name: "sync_lobby",
    title: "Lobby",
    description:
      "Start here: your rooms, your level and agents there, open roles, and whether you may create rooms.",
    verb: "token",
    annotations: READS,
    input: z.strictObject(page),
    output: z.looseObject({
      user: anything,
      ...roomsShape,
      can_create_rooms: z.boolean(),
    }),
    run: lobby,
  },
  {
    name: "sync_embody",
    title: "Embody an agent",
    description:
      "Become an agent of a room: take, create or resume one, so that your calls act as it. Answers the " +
      "context. An agent has one driver: 409 agent_embodied says who; take_over:true takes it knowingly.",
    verb: "action.invoke",
    annotations: SETS,
    input: embodyBody.extend({ room }),
    told: {
      agent: "an id, to be exactly that agent",
      role: "a role to fill; also names a new agent",
      state: { type: "object", description: "private state to begin with" },
    },
    output: z.looseObject({
      ...contextShape,
      _session: z.looseObject({ room: z.string(), agent: z.string(), level: z.string() }),
    }),
    run: embodyAndLook,
  },
  {
    name: "sync_disembody",
    title: "Let the agent go",
    description:
      "Stop being your agent: it stays in the room with all it wrote, and its roles are open again.",
    verb: "action.invoke",
    annotations: SETS,
    input: z.strictObject(inRoom),
    output: z.looseObject({
      disembodied: z.boolean(),
      agent: z.string(),
      roles_vacated: z.array(z.string()),
    }),
    run: (call, { room, agent }) => disembody(embodyCall(call, room), agent as string | undefined),
  },
  {
    name: "sync_create_room",
    title: "Create a room",
    description:
      "Create a room, which you then own. Next: sync_embody, then register a vocabulary.",
    verb: "open",
    annotations: ADDS,
    input: createBody.extend(reveal),
    told: {
      join: "who may join",
      vocabulary: "open: every agent changes what is shared",
      reveal_tokens: REVEAL,
    },
    output: z.looseObject({ id: z.string(), created_at: z.string() }),
    run: async (call, { reveal_tokens, ...body }) => {
      const made = await createRoom(call.deps.engine, call.principal, body, call.forget);
      return withoutSecrets(made, reveal_tokens);
    },
  },
  {
    name: "sync_list_rooms",
    title: "List rooms",
    description:
      "The rooms this token may see, with settings and activity; sync_lobby tells who is there.",
    verb: "token",
    annotations: READS,
    input: z.strictObject(page),
    output: z.looseObject(roomsShape),
    run: (call, { limit, cursor }) =>
      listRooms(call.deps.engine, call.principal, {
        limit: limit === undefined ? undefined : String(limit),
        cursor: cursor as string | undefined,
      }),
  },
  {
    name: "sync_join_room",
    title: "Join a room",
    description:
      "Join a room as an agent with a token of its own, for another process. To act yourself, sync_embody.",
    verb: "agent.join",
    annotations: ADDS,
    input: joinBody.extend({ room, ...reveal }),
    told: {
      state: { type: "object", description: "private state to begin with" },
      public_keys: "own keys that everyone may see",
      views: { type: "array", items: { type: "object" } },
      enabled: "CEL",
      reveal_tokens: REVEAL,
    },
    output: z.looseObject({ id: z.string(), room_id: z.string(), role: z.string() }),
    run: async (call, { room, reveal_tokens, ...body }) => {
      const { engine, elevate } = call.deps;
      const door = { elevate, forget: call.forget };
      const { joined } = await join(engine, call.principal, room as string, body, door);
      return withoutSecrets({ ...joined } as unknown as JsonObject, reveal_tokens);
    },
  },
  {
    name: "sync_restrict_scope",
    title: "Narrow the token",
    description:
      "Narrow your own token in a room, to reading or to one agent of yours. Only its user can widen it again.",
    verb: "room.show",
    annotations: REMOVES,
    input: restrictBody.extend({ room }),
    told: { agent: "bind to this agent" },
    output: z.looseObject({ room: z.string(), scope: z.string(), previous_scope: z.string() }),
    run: async (call, { room, ...body }) =>
      await noted(call, await restrictScope(embodyCall(call, room), body)),
  },
  {
    name: "sync_revoke_access",
    title: "Give up a room",
    description: "Take a room out of your own token's scope. Only its user can let it in again.",
    verb: "room.show",
    annotations: REMOVES,
    input: z.strictObject({ room }),
    output: z.looseObject({ room: z.string(), revoked: z.boolean(), scope: z.string() }),
    run: async (call, { room }) => await noted(call, await revokeAccess(embodyCall(call, room))),
  },
];
