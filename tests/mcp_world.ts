/**
 * The MCP door as its tests meet it: the SDK's own client in both eras, over the service in this
 * process, and raw JSON-RPC where the client would never send what is tested.
 */
import {
  type CallToolResult,
  Client,
  type FetchLike,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import type { JsonObject } from "../types.ts";
import { ORIGIN, type Reply, send, type TestService } from "./harness.ts";

/** The eras of the protocol that the service speaks. */
export const ERAS = ["2026-07-28", "2025-11-25"] as const;
export type Era = typeof ERAS[number];

/** A reply of a tool, read. */
export interface Told {
  readonly isError: boolean;
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  readonly body: any;
  readonly text: string;
}

/** A client with its token. */
export class Agent {
  private constructor(
    readonly client: Client,
    private readonly transport: StreamableHTTPClientTransport,
  ) {}

  static async connect(on: TestService, token: string, era: Era, name = "tester"): Promise<Agent> {
    const client = new Client({ name, version: "1.0.0" }, {
      versionNegotiation: { mode: era === "2026-07-28" ? { pin: era } : "legacy" },
    });
    const fetch: FetchLike = (url, init) => {
      const request = new Request(url, init);
      request.headers.set("Authorization", `Bearer ${token}`);
      return on.service.fetch(request);
    };
    const transport = new StreamableHTTPClientTransport(new URL(`${ORIGIN}/mcp`), { fetch });
    await client.connect(transport);
    return new Agent(client, transport);
  }

  /** Calls a tool. */
  async tell(name: string, args: JsonObject = {}, options: object = {}): Promise<Told> {
    const result = await this.client.callTool({ name, arguments: args }, options) as CallToolResult;
    const [first] = result.content;
    const text = first?.type === "text" ? first.text : "";
    return {
      isError: result.isError === true,
      body: result.isError ? JSON.parse(text) : result.structuredContent,
      text,
    };
  }

  /** Calls a tool that must work; answers its body. */
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  async do(name: string, args: JsonObject = {}): Promise<any> {
    const told = await this.tell(name, args);
    if (told.isError) throw new Error(`${name}: ${told.text}`);
    return told.body;
  }

  async close(): Promise<void> {
    await this.client.close();
  }
}

/** The frame that every request of the newest protocol carries. */
export function framed(method: string, params: JsonObject = {}, id: unknown = 1): JsonObject {
  return {
    jsonrpc: "2.0",
    id: id as string,
    method,
    params: {
      ...params,
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
      },
    },
  };
}

/** One raw request to the door; of a stream, its last message. */
export async function post(
  on: TestService,
  body: unknown,
  token: string | undefined,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const reply = await send(on.service.fetch, "POST", "/mcp", {
    token,
    body,
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      ...headers,
    },
  });
  const last = [...reply.text.matchAll(/^data: (.+)$/gm)].at(-1)?.[1];
  return last === undefined ? reply : { ...reply, body: JSON.parse(last) };
}

/** A raw tool call of the newest protocol, with the headers it wants. */
export function call(
  on: TestService,
  token: string | undefined,
  name: string,
  args: JsonObject,
  headers: Record<string, string> = {},
): Promise<Reply> {
  return post(on, framed("tools/call", { name, arguments: args }), token, {
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": name,
    ...headers,
  });
}
