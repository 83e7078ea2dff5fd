/** Resources: a room's context and log, and the reference; readable under the same policy. */
import {
  type McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type ReadResourceResult,
  ResourceNotFoundError,
  ResourceTemplate,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { readLogPage } from "../audit.ts";
import { SyncError } from "../errors.ts";
import { isPresent } from "../embody/roles.ts";
import { LOG_LIMIT_DEFAULT } from "../limits.ts";
import { accessTo } from "../policy.ts";
import { listRooms } from "../rooms.ts";
import type { JsonObject } from "../types.ts";
import type { McpDeps, ToolCall } from "./call.ts";
import { roomOfUri } from "./follow.ts";
import { readContext } from "./tools/reading.ts";

/** Rooms that the resource list names; the rest is reached by the templates. */
const LISTED_ROOMS_MAX = 50;

/** Makes the call that a request of the SDK stands for. */
export type CallOf = (ctx: ServerContext) => ToolCall;

/** Registers the resources. */
export function registerResources(server: McpServer, deps: McpDeps, callOf: CallOf): void {
  for (const name of [...deps.documents.keys()].sort()) {
    const uri = `sync://reference/${name}`;
    server.registerResource(name, uri, { mimeType: "text/markdown" }, () => ({
      contents: [{ uri, mimeType: "text/markdown", text: deps.documents.get(name) ?? "" }],
    }));
  }
  registerRoomResource(server, callOf, "context", "The room as you see it now.", readNow);
  registerRoomResource(server, callOf, "log", "The newest records of the room.", newestRecords);
}

type ReadRoom = (call: ToolCall, room: string) => Promise<JsonObject>;

function registerRoomResource(
  server: McpServer,
  callOf: CallOf,
  part: "context" | "log",
  description: string,
  read: ReadRoom,
): void {
  const template = new ResourceTemplate(`sync://rooms/{room}/${part}`, {
    list: async (ctx) => ({ resources: await listed(callOf(ctx), part) }),
  });
  const facts = { title: `Room ${part}`, description, mimeType: "application/json" };
  server.registerResource(`room-${part}`, template, facts, async (uri, _variables, ctx) => {
    const room = roomOfUri(uri.href);
    if (room === undefined) throw new ResourceNotFoundError(uri.href);
    return await shown(uri.href, () => read(callOf(ctx), room));
  });
}

async function listed(call: ToolCall, part: string) {
  const { rooms } = await listRooms(call.deps.engine, call.principal, {
    limit: String(LISTED_ROOMS_MAX),
  });
  return (rooms as JsonObject[]).map(({ id }) => ({
    uri: `sync://rooms/${encodeURIComponent(id as string)}/${part}`,
    name: `${id} ${part}`,
    mimeType: "application/json",
  }));
}

async function shown(uri: string, read: () => Promise<JsonObject>): Promise<ReadResourceResult> {
  try {
    const body = await read();
    return { contents: [{ uri, mimeType: "application/json", text: JSON.stringify(body) }] };
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    if (error.code === "room_not_found") throw new ResourceNotFoundError(uri);
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, error.message, error.toJSON());
  }
}

/** The context; reading a resource marks nothing as read. */
async function readNow(call: ToolCall, room: string): Promise<JsonObject> {
  return (await readContext(call, room, await newestOf(call, room), { peek: true })).body;
}

/** Of several agents that the token drives, the one it took last: an address names none. */
async function newestOf(
  { deps, principal }: ToolCall,
  room: string,
): Promise<string | undefined> {
  const hot = await deps.engine.peek(room);
  if (!hot || (principal.embodied.get(hot.room.uid)?.length ?? 0) < 2) return undefined;
  const { bound, embodied } = accessTo(principal, hot.room, room);
  return bound ?? embodied.filter((agent) => isPresent(hot.room, agent)).at(-1);
}

async function newestRecords(call: ToolCall, room: string): Promise<JsonObject> {
  const { hot, acting, seq } = await call.look(room, "log.read", undefined, () => undefined);
  const filter = { after: Math.max(0, seq - LOG_LIMIT_DEFAULT), limit: LOG_LIMIT_DEFAULT };
  return await readLogPage(call.deps.store, hot, acting, filter, seq, false);
}
