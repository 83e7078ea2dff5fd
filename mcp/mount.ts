/** The MCP door: `POST /mcp` (and a session's `GET`, `DELETE`), for every era from one factory. */
import {
  type AuthInfo,
  createMcpHandler,
  isJsonContentType,
  isLegacyRequest,
  type McpHttpHandler,
  type McpServer,
} from "@modelcontextprotocol/server";
import { isForwarded } from "../auth/origins.ts";
import { SyncError } from "../errors.ts";
import type { ToolMeters } from "../http/metrics/tools.ts";
import { BODY_BYTES_MAX } from "../limits.ts";
import { accessTo, authenticationRequired, mustReach, type Principal, VERBS } from "../policy.ts";
import { mustMayCreate } from "../rooms.ts";
import type { Json, JsonObject } from "../types.ts";
import type { McpDeps, Tool } from "./call.ts";
import { FOLLOWED_MAX, Followers } from "./follow.ts";
import {
  insufficientScope,
  refusedAtDoor,
  refuseForeign,
  RPC,
  rpcError,
  unauthorized,
} from "./guard.ts";
import { badParams, faultOf, idOf, paramsOf, readMessage } from "./message.ts";
import { calledTool, makeServer, type McpExtension } from "./server.ts";
import { Sessions } from "./sessions.ts";
import { TOOLS } from "./tools.ts";

/** What mounting takes. */
export interface McpParts {
  readonly deps: McpDeps;
  /** Counts a request against the limits. Throws `rate_limited`. */
  readonly limit: (request: Request, verb: Tool["verb"]) => void;
  /** Notes a bug; answers the id it was noted under. */
  readonly noteBug: (error: unknown, where: string) => string;
  readonly newRequestId: () => string;
  readonly meters: ToolMeters;
  readonly extend?: McpExtension | undefined;
}

/** The open door. */
export interface McpDoor {
  /** Answers a request. */
  answer(request: Request): Promise<Response>;
  /** Streams and sessions open. */
  readonly open: () => { readonly sessions: number; readonly followers: number };
  close(): Promise<void>;
}

const METHODS = ["POST", "GET", "DELETE"];

/** Opens the door. */
export function openMcp(parts: McpParts): McpDoor {
  const { deps } = parts;
  const followers = new Followers(deps.engine, deps.auth, deps.clock);
  const make = (only?: string): McpServer => makeServer({ ...parts, bus: followers }, only);
  const sessions = new Sessions(() => make(), followers, deps.clock);
  const serving = (responseMode: "auto" | "sse"): McpHttpHandler =>
    createMcpHandler((context) => make(calledTool(context)), {
      bus: followers,
      maxRequestBodySize: BODY_BYTES_MAX,
      responseMode,
    });
  const handlers = { short: serving("auto"), long: serving("sse") };
  const door = new Door(parts, handlers, sessions, followers);
  const open = () => ({ sessions: sessions.size, followers: followers.size });
  parts.meters.open = open;
  return {
    answer: async (request) =>
      withCommonHeaders(await door.answer(request), request, parts.newRequestId()),
    open,
    close: async () => {
      sessions.close();
      await Promise.all([handlers.short.close(), handlers.long.close()]);
      followers.close();
    },
  };
}

function withCommonHeaders(response: Response, request: Request, requestId: string): Response {
  const headers = new Headers(response.headers);
  const origin = request.headers.get("origin");
  headers.set("X-Request-Id", requestId);
  headers.set("X-Content-Type-Options", "nosniff");
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", "no-store");
  if (origin !== null && response.status !== 403) {
    headers.set("Access-Control-Allow-Origin", origin);
    headers.set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, X-Request-Id");
    headers.set("Vary", "Origin");
  }
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** Lets requests in, one by one. */
class Door {
  constructor(
    private readonly parts: McpParts,
    private readonly handlers: { readonly short: McpHttpHandler; readonly long: McpHttpHandler },
    private readonly sessions: Sessions,
    private readonly followers: Followers,
  ) {}

  async answer(request: Request): Promise<Response> {
    const { config } = this.parts.deps;
    const { headers } = request;
    const host = headers.get("host") ?? new URL(request.url).host;
    const foreign = refuseForeign(config, host, headers.get("origin"));
    if (foreign) return foreign;
    if (!METHODS.includes(request.method)) {
      return rpcError(405, RPC.refused, "Method not allowed.", {
        headers: { Allow: METHODS.join(", ") },
      });
    }
    try {
      const principal = await this.principalOf(request, host);
      return await this.serve(request, principal);
    } catch (error) {
      if (!(error instanceof SyncError)) {
        const id = this.parts.noteBug(error, "mcp");
        return rpcError(500, RPC.internal, "Something went wrong in the service.", {
          data: { request_id: id },
        });
      }
      this.parts.meters.refused(error.code);
      return error.status === 401 ? unauthorized(config, error) : refusedAtDoor(error);
    }
  }

  private async principalOf(request: Request, host: string): Promise<Principal> {
    const header = (name: string): string | undefined => request.headers.get(name) ?? undefined;
    const principal = await this.parts.deps.auth.principal({
      authorization: header("authorization"),
      host,
      origin: header("origin"),
      isForwarded: isForwarded(request.headers),
    });
    if (principal.lineage.length === 0) throw authenticationRequired();
    return principal;
  }

  private async serve(request: Request, principal: Principal): Promise<Response> {
    const authInfo: AuthInfo = { token: "", clientId: "", scopes: [], extra: { principal } };
    if (request.method !== "POST") {
      this.parts.limit(request, "token");
      return await this.sessions.serve({ request, principal, authInfo }) ??
        await this.handlers.short.fetch(request, { authInfo });
    }
    if (!isJsonContentType(request.headers.get("content-type"))) {
      return rpcError(415, RPC.refused, "The Content-Type must be application/json.");
    }
    const body = await this.parts.deps.arrivals.take(readMessage(request));
    const fault = faultOf(body, request.headers.get("mcp-protocol-version"));
    if (fault !== undefined) {
      return rpcError(400, RPC.invalidRequest, `Invalid request: ${fault}`, { id: idOf(body) });
    }
    const isLegacy = await isLegacyRequest(request, body);
    const wrong = badParams(body, isLegacy);
    if (wrong !== undefined) {
      return rpcError(200, RPC.invalidParams, `Invalid params: ${wrong}`, { id: idOf(body) });
    }
    const { tool, args } = toolCalled(body);
    this.parts.limit(request, tool?.verb ?? "token");
    const refusal = tool && await this.stepUp(principal, tool, args, idOf(body));
    return refusal ?? await this.dispatch(request, principal, authInfo, body, isLegacy, tool);
  }

  private async dispatch(
    request: Request,
    principal: Principal,
    authInfo: AuthInfo,
    body: Json,
    isLegacy: boolean,
    tool: Tool | undefined,
  ): Promise<Response> {
    if (isLegacy) {
      const answer = await this.sessions.serve({ request, principal, authInfo, body });
      if (answer) return answer;
    }
    const handler = tool?.isLong ? this.handlers.long : this.handlers.short;
    const fetch = (): Promise<Response> => handler.fetch(request, { authInfo, parsedBody: body });
    const listens = paramsOf(body, "subscriptions/listen");
    return await (listens ? this.followers.as(principal, followed(listens), fetch) : fetch());
  }

  /** `403` before the call is run, where the token's user could let it reach further. */
  private async stepUp(
    principal: Principal,
    tool: Tool,
    args: JsonObject,
    id: Json,
  ): Promise<Response | undefined> {
    const { config, engine, elevate } = this.parts.deps;
    const verb = tool.name === "sync_invoke_action" && args["action"] === "_configure"
      ? "action.configure"
      : tool.verb;
    try {
      if (verb === "open") {
        if (principal.user) mustMayCreate(principal);
        return undefined;
      }
      const { room } = args;
      if (verb === "token" || typeof room !== "string") return undefined;
      const hot = await engine.peek(room);
      if (hot) mustReach(accessTo(principal, hot.room, room), verb, hot.room, elevate);
      return undefined;
    } catch (error) {
      if (!(error instanceof SyncError) || error.code !== "scope_denied") return undefined;
      if (verb === "open") return insufficientScope(config, principal, error, "create_rooms", id);
      if (error.facts["elevate"] === undefined || verb === "token") return undefined;
      const needed = wordFor(args["room"] as string, verb);
      return insufficientScope(config, principal, error, needed, id);
    }
  }
}

/** The scope word that a verb takes in a room. */
function wordFor(room: string, verb: keyof typeof VERBS): string {
  const level = VERBS[verb];
  return level === "read" || level === "write" ? `rooms:${room}:${level}` : `rooms:${room}`;
}

function toolCalled(body: Json): { tool: Tool | undefined; args: JsonObject } {
  const params = paramsOf(body, "tools/call");
  const tool = params && TOOLS.find(({ name }) => name === params["name"]);
  const args = params?.["arguments"];
  const isObject = args !== null && typeof args === "object" && !Array.isArray(args);
  return { tool, args: isObject ? args : {} };
}

/** What a listen stream asks to follow, within bounds. */
function followed(params: JsonObject): ReadonlySet<string> {
  const asked = (params["notifications"] as JsonObject | undefined)?.["resourceSubscriptions"];
  const uris = Array.isArray(asked) ? asked.filter((uri) => typeof uri === "string") : [];
  return new Set(uris.slice(0, FOLLOWED_MAX));
}
