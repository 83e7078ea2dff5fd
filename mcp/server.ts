/** One factory of the MCP server for every era: the same tools, resources and prompts. */
import {
  type McpRequestContext,
  McpServer,
  type McpServerOptions,
  type ServerContext,
  type ServerEventBus,
  type StandardSchemaWithJSON,
} from "@modelcontextprotocol/server";
import { RELEASE } from "../http/render.ts";
import type { Principal } from "../policy.ts";
import type { JsonObject } from "../types.ts";
import { type McpDeps, type Progress, type Tool, ToolCall } from "./call.ts";
import { registerPrompts } from "./prompts.ts";
import { registerResources } from "./resources.ts";
import { listed } from "./schema.ts";
import { runTool, TOOLS, type ToolWatch } from "./tools.ts";

const INFO = { name: "sync", title: "sync: rooms for agents", version: RELEASE } as const;

const INSTRUCTIONS =
  "sync lets several agents work in one room: shared state, actions that are its vocabulary, views, messages, waits. " +
  "Call sync_lobby, then sync_embody a room; read the context, invoke actions, sync_wait with since = the last seq. " +
  "Errors name the field, a hint and often a help key for sync_help.";

/** What a server is made of. */
export interface ServerParts extends ToolWatch {
  readonly deps: McpDeps;
  readonly bus: ServerEventBus;
  readonly extend?: McpExtension | undefined;
}

/** What tests of the protocol itself add to every server. */
export interface McpExtension {
  readonly options?: McpServerOptions;
  register(server: McpServer, bus: ServerEventBus): void;
}

interface Listing {
  readonly tool: Tool;
  readonly input: StandardSchemaWithJSON<JsonObject>;
  readonly output: StandardSchemaWithJSON<JsonObject>;
}

const LISTINGS: readonly Listing[] = TOOLS.map((tool) => ({
  tool,
  input: listed(tool.input, "input", tool.told),
  output: listed(tool.output, "output"),
}));

/** The principal that the door found for a request. */
function principalOf(ctx: ServerContext): Principal {
  return ctx.http!.authInfo!.extra!["principal"] as Principal;
}

/**
 * Makes a server. It is cheap: everything it lists was made once, and one that serves a single
 * tool call has that tool alone.
 */
export function makeServer(
  { deps, noteBug, meters, bus, extend }: ServerParts,
  only: string | undefined,
): McpServer {
  const server = new McpServer(INFO, {
    instructions: INSTRUCTIONS,
    capabilities: {
      tools: { listChanged: false },
      resources: { subscribe: true, listChanged: false },
      prompts: { listChanged: false },
    },
    ...extend?.options,
  });
  const callOf = (ctx: ServerContext): ToolCall =>
    new ToolCall(
      deps,
      principalOf(ctx),
      server.server.getClientVersion()?.name,
      ctx.mcpReq.signal,
      progressOf(ctx),
    );
  for (const { tool, input, output } of LISTINGS) {
    if (only !== undefined && only !== tool.name) continue;
    const { title, description, annotations } = tool;
    server.registerTool(
      tool.name,
      { title, description, annotations, inputSchema: input, outputSchema: output },
      (args, ctx) => runTool(tool, callOf(ctx), args, { noteBug, meters }),
    );
  }
  if (only === undefined) {
    registerResources(server, deps, callOf);
    registerPrompts(server);
  }
  extend?.register(server, bus);
  return server;
}

function progressOf(ctx: ServerContext): Progress | undefined {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  return (progress, total, message) =>
    ctx.mcpReq.notify({
      method: "notifications/progress",
      params: { progressToken, progress, total, message },
    });
}

/** The tool that a request of the newest protocol calls; the SDK has checked that header and body agree. */
export function calledTool({ era, requestInfo }: McpRequestContext): string | undefined {
  if (era !== "modern" || !requestInfo) return undefined;
  const { headers } = requestInfo;
  return headers.get("mcp-method") === "tools/call" ? headers.get("mcp-name") ?? "" : undefined;
}
