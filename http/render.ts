/** Replies and refusals as HTTP. */
import { SyncError } from "../errors.ts";
import type { Json, JsonObject } from "../types.ts";
import { replyText } from "../context/text.ts";
import type { Reply } from "./call.ts";

/** The release, as metrics and MCP name it. */
export const RELEASE = "9.0.0";
/** The version that `X-Sync-Version` names. */
export const SYNC_VERSION = "v9";

/** Members whose inside is the room's own data: `compact` leaves it alone. */
const OPAQUE: ReadonlySet<string> = new Set([
  "value",
  "body",
  "params",
  "result",
  "content",
  "current",
  "meta",
  "writes",
  "example",
  "operands",
  "before",
  "after",
  "seen",
]);

/** Sections of things by id: what has no `_meta` there is a value as it stands (`shape=plain`). */
const THINGS: ReadonlySet<string> = new Set(["views", "agents", "actions"]);

/** Drops members that are null, except an entry's `value`, and nothing inside values. */
export function compact(json: Json): Json {
  if (Array.isArray(json)) return json.map(compact);
  if (json === null || typeof json !== "object") return json;
  const kept: JsonObject = {};
  for (const [key, value] of Object.entries(json)) {
    if (value === null && key !== "value") continue;
    if (OPAQUE.has(key)) kept[key] = value;
    else if (THINGS.has(key)) kept[key] = compactThings(value);
    else if (key === "state") kept[key] = mapMembers(value, compactThings);
    else kept[key] = compact(value);
  }
  return kept;
}

function mapMembers(json: Json, map: (member: Json) => Json): Json {
  if (json === null || typeof json !== "object" || Array.isArray(json)) return json;
  return Object.fromEntries(Object.entries(json).map(([key, member]) => [key, map(member)]));
}

function compactThings(things: Json): Json {
  return mapMembers(things, (thing) => {
    const isWrapped = thing !== null && typeof thing === "object" && !Array.isArray(thing) &&
      thing["_meta"] !== undefined;
    return isWrapped ? compact(thing) : thing;
  });
}

const COMMON = {
  "X-Sync-Version": SYNC_VERSION,
  "Content-Type": "application/json; charset=utf-8",
  "Cache-Control": "no-store",
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers":
    "X-Request-Id, X-Sync-Version, X-Sync-Seq, Retry-After, Idempotent-Replayed, WWW-Authenticate",
  "X-Content-Type-Options": "nosniff",
} as const;

/** A reply as a response. */
export function renderReply(reply: Reply, requestId: string, isCompact: boolean): Response {
  const body = reply.stream?.body ??
    (isCompact ? JSON.stringify(compact(reply.body)) : replyText(reply.body));
  return new Response(body, {
    status: reply.status ?? 200,
    headers: {
      ...COMMON,
      ...(reply.stream ? { "Content-Type": reply.stream.type } : {}),
      "X-Request-Id": requestId,
      ...(reply.seq === undefined ? {} : { "X-Sync-Seq": String(reply.seq) }),
      ...reply.headers,
    },
  });
}

/** A refusal as a response. Anything that is no `SyncError` is a bug, and shows nothing of itself. */
export function renderError(error: unknown, requestId: string): Response {
  const known = error instanceof SyncError;
  const body = known ? error.toJSON() : {
    error: "internal",
    message: "Something went wrong in the service; it has been noted.",
    request_id: requestId,
  };
  return new Response(JSON.stringify(body), {
    status: known ? error.status : 500,
    headers: { ...COMMON, "X-Request-Id": requestId, ...(known ? error.headers : {}) },
  });
}

/** Of JSON that other doors than a room's answer, where they do not say otherwise. */
const OF_JSON = ["X-Sync-Version", "Cache-Control", "X-Content-Type-Options"] as const;

/** A response with what every one carries, and every JSON one, also where no route of the table made it. */
export function withCommonHeaders(response: Response, requestId: string): Response {
  const headers = new Headers(response.headers);
  const isJson = /^application\/([\w.-]+\+)?json\b/.test(headers.get("Content-Type") ?? "");
  for (const name of isJson ? OF_JSON : []) {
    if (!headers.has(name)) headers.set(name, COMMON[name]);
  }
  if (!headers.has("X-Request-Id")) headers.set("X-Request-Id", requestId);
  return new Response(response.body, { status: response.status, headers });
}
