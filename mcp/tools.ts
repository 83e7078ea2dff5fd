/** Every tool, in the order in which an agent meets them, and how one is run. */
import type { CallToolResult } from "@modelcontextprotocol/server";
import { SyncError } from "../errors.ts";
import type { ToolMeters } from "../http/metrics/tools.ts";
import { parseBody } from "../input.ts";
import { traced } from "../tracing.ts";
import type { Json, JsonObject } from "../types.ts";
import type { Tool, ToolCall } from "./call.ts";
import { ACTING_TOOLS } from "./tools/acting.ts";
import { ACTOR_TOOLS } from "./tools/actors.ts";
import { MEMORY_TOOLS } from "./tools/memory.ts";
import { READING_TOOLS } from "./tools/reading.ts";
import { ROOM_TOOLS } from "./tools/rooms.ts";

/** Every tool. */
export const TOOLS: readonly Tool[] = [
  ...ROOM_TOOLS,
  ...READING_TOOLS,
  ...ACTING_TOOLS,
  ...MEMORY_TOOLS,
  ...ACTOR_TOOLS,
];

/** Tells of something that is no refusal but a bug; answers the id it was noted under. */
export type NoteBug = (error: unknown, tool: string) => string;

/** Who hears of tool calls. */
export interface ToolWatch {
  readonly noteBug: NoteBug;
  readonly meters: ToolMeters;
}

/** Runs a tool: its reply as structure and as text; refusals are results, too. */
export async function runTool(
  tool: Tool,
  call: ToolCall,
  args: unknown,
  { noteBug, meters }: ToolWatch,
): Promise<CallToolResult> {
  const end = meters.begin(tool.name);
  try {
    const checked = parseBody(tool.input, (args ?? {}) as Json, { example: { room: "my-room" } });
    const attributes = { "mcp.method.name": "tools/call", "gen_ai.tool.name": tool.name };
    const reply = await traced(
      `tools/call ${tool.name}`,
      { attributes },
      () => tool.run(call, checked as JsonObject),
    );
    await call.noteLife(tool, checked);
    end("ok");
    return { content: [textOf(reply)], structuredContent: reply };
  } catch (error) {
    await call.noteLife(tool, args, error);
    end(error instanceof SyncError ? "refused" : "bug");
    if (error instanceof SyncError) meters.refused(error.code);
    return { content: [textOf(refusal(error, tool.name, noteBug))], isError: true };
  }
}

function refusal(error: unknown, tool: string, noteBug: NoteBug): Json {
  if (error instanceof SyncError) return error.toJSON() as Json;
  return {
    error: "internal",
    message: "Something went wrong in the service; it has been noted.",
    request_id: noteBug(error, tool),
  };
}

function textOf(reply: Json): { type: "text"; text: string } {
  return { type: "text", text: JSON.stringify(reply) };
}
