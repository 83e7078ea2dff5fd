/** Who may knock: hosts and origins, challenges, and refusals as JSON-RPC over HTTP. */
import { type Config, isLoopbackName } from "../config.ts";
import type { SyncError } from "../errors.ts";
import { formatScope } from "../scopes.ts";
import type { Principal } from "../policy.ts";
import type { Json, JsonObject } from "../types.ts";

/** Codes of JSON-RPC that the door itself answers with. */
export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  invalidParams: -32602,
  internal: -32603,
  refused: -32000,
  sessionNotFound: -32001,
} as const;

/** A JSON-RPC error as a response. */
export function rpcError(
  status: number,
  code: number,
  message: string,
  options: { id?: Json; data?: Json; headers?: Record<string, string> } = {},
): Response {
  const { id = null, data, headers } = options;
  const error: JsonObject = { code, message, ...(data === undefined ? {} : { data }) };
  return Response.json({ jsonrpc: "2.0", id, error }, { status, ...(headers ? { headers } : {}) });
}

/**
 * Refuses a foreign `Host` (DNS rebinding) and a foreign `Origin` (other people's pages);
 * undefined lets the request in.
 */
export function refuseForeign(
  config: Pick<Config, "origin" | "isLoopback">,
  host: string | null,
  origin: string | null,
): Response | undefined {
  const own = new URL(config.origin);
  if (host !== null && host.toLowerCase() !== own.host && !isLoopbackName(host)) {
    return rpcError(403, RPC.refused, `The Host "${host.slice(0, 200)}" is not served here.`, {
      data: { hint: "Set SYNC_ORIGIN to the public origin of this service." },
    });
  }
  if (origin === null || origin === config.origin) return undefined;
  const isLocal = URL.canParse(origin) && isLoopbackName(new URL(origin).host);
  if (isLocal && (config.isLoopback || isLoopbackName(own.host))) return undefined;
  return rpcError(403, RPC.refused, `The Origin "${origin.slice(0, 200)}" is not allowed here.`);
}

/** Where the document about this protected resource is (RFC 9728). */
function metadataUrl(config: Pick<Config, "origin">): string {
  return `${config.origin}/.well-known/oauth-protected-resource/mcp`;
}

/** What a client that has nothing asks for: enough to make rooms and to act in the user's. */
const FIRST_SCOPE = "rooms:*:write create_rooms";

/** `401` with the way to a token. */
export function unauthorized(config: Pick<Config, "origin">, error: SyncError): Response {
  const isInvalid = error.code === "invalid_token";
  const parts = [
    ...(isInvalid ? ['error="invalid_token"'] : []),
    `scope="${FIRST_SCOPE}"`,
    `resource_metadata="${metadataUrl(config)}"`,
  ];
  return rpcError(401, RPC.refused, error.message, {
    data: error.toJSON() as Json,
    headers: { "WWW-Authenticate": `Bearer ${parts.join(", ")}` },
  });
}

/** `403 insufficient_scope`: every scope the call needs, the token's own with it, and the link. */
export function insufficientScope(
  config: Pick<Config, "origin">,
  principal: Principal,
  error: SyncError,
  needed: string,
  id: Json,
): Response {
  const own = formatScope(principal.lineage[0]!.words);
  const scope = [...new Set([...own.split(" "), needed])].filter((word) => word !== "").join(" ");
  const { elevate } = error.facts;
  const way = typeof elevate === "string"
    ? ` Open ${elevate} to allow it, then repeat the call.`
    : "";
  const parts = [
    'error="insufficient_scope"',
    `scope="${scope}"`,
    `resource_metadata="${metadataUrl(config)}"`,
    // Clients that show nothing of the body show this.
    `error_description="The token does not reach that far.${way}"`,
  ];
  return rpcError(403, RPC.refused, `${error.message}${way}`, {
    id,
    data: { ...error.toJSON(), scope } as Json,
    headers: { "WWW-Authenticate": `Bearer ${parts.join(", ")}` },
  });
}

/** Any other refusal of the door itself, such as 413 and 429. */
export function refusedAtDoor(error: SyncError): Response {
  const code = error.code === "invalid_json" || error.code === "invalid_argument"
    ? RPC.parse
    : RPC.refused;
  return rpcError(error.status, code, error.message, {
    data: error.toJSON() as Json,
    headers: { ...error.headers },
  });
}
