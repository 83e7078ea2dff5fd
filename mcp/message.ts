/** JSON-RPC messages as they come in: read within bounds, and checked for their shape. */
import { parseJson } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import { BODY_BYTES_MAX } from "../limits.ts";
import type { Json, JsonObject } from "../types.ts";
import { readRequestBody, specTypeSchemas } from "@modelcontextprotocol/server";

/** Messages of one batch (a form that only the oldest revisions have). */
const BATCH_MAX = 50;

/** The body as JSON. Throws `invalid_json`, `invalid_argument`, `too_large`. */
export async function readMessage(request: Request): Promise<Json> {
  let body: Awaited<ReturnType<typeof readRequestBody>>;
  try {
    body = await readRequestBody(request, BODY_BYTES_MAX);
  } catch {
    throw new SyncError("invalid_json", "The body did not arrive whole.");
  }
  if (body.tooLarge) {
    throw new SyncError("too_large", `A body takes at most ${BODY_BYTES_MAX} bytes.`, {
      limit: BODY_BYTES_MAX,
    });
  }
  return parseJson(body.text);
}

/** The first revision without batches. Their names are dates. */
const WITHOUT_BATCHES = "2025-06-18";

/** Why a body is no JSON-RPC message of a revision; undefined when it is one, or a batch of some. */
export function faultOf(body: Json, revision: string | null): string | undefined {
  if (!Array.isArray(body)) return faultOfOne(body);
  // A request that names no revision is of one that still has them.
  if (revision !== null && revision >= WITHOUT_BATCHES) {
    return `The revision ${revision.slice(0, 40)} has no batches: send one message.`;
  }
  if (body.length === 0) return "An empty batch is no request.";
  if (body.length > BATCH_MAX) return `A batch takes at most ${BATCH_MAX} messages.`;
  return body.map(faultOfOne).find((fault) => fault !== undefined);
}

function faultOfOne(message: Json): string | undefined {
  if (message === null || typeof message !== "object" || Array.isArray(message)) {
    return "A JSON-RPC message is an object.";
  }
  if (message["jsonrpc"] !== "2.0") return 'A JSON-RPC message has "jsonrpc":"2.0".';
  const { id, method, params } = message;
  const isId = typeof id === "string" || Number.isInteger(id);
  if (id !== undefined && !isId) return '"id" is a string or a whole number.';
  if (method === undefined) {
    return isId && ("result" in message || "error" in message)
      ? undefined
      : '"method" is wanted, a string.';
  }
  if (typeof method !== "string") return '"method" is a string.';
  const isParams = params === undefined ||
    (params !== null && typeof params === "object" && !Array.isArray(params));
  return isParams ? undefined : '"params" is an object.';
}

/** The id of a message, to be echoed; null where there is none. */
export function idOf(body: Json): Json {
  if (body === null || typeof body !== "object" || Array.isArray(body)) return null;
  const { id } = body;
  return typeof id === "string" || typeof id === "number" ? id : null;
}

/** A message that is a request of this method, with its parameters. */
export function paramsOf(body: Json, method: string): JsonObject | undefined {
  if (body === null || typeof body !== "object" || Array.isArray(body)) return undefined;
  if (body["method"] !== method) return undefined;
  const { params } = body;
  return params !== null && typeof params === "object" && !Array.isArray(params) ? params : {};
}

/** The parameters that a method takes, where the SDK would call bad ones an internal error. */
const CHECKED: Readonly<Record<string, keyof typeof specTypeSchemas>> = {
  "prompts/get": "GetPromptRequest",
  "resources/read": "ReadResourceRequest",
  "completion/complete": "CompleteRequest",
};
/** Methods that the newest protocol has no more. */
const CHECKED_BEFORE: typeof CHECKED = {
  ...CHECKED,
  "initialize": "InitializeRequest",
  "resources/subscribe": "SubscribeRequest",
  "resources/unsubscribe": "UnsubscribeRequest",
};

/** Which parameter of a request, or of one of a batch, is missing or wrong; undefined when none is. */
export function badParams(body: Json, isLegacy: boolean): string | undefined {
  if (Array.isArray(body)) {
    return body.map((one) => badParams(one, isLegacy)).find((wrong) => wrong !== undefined);
  }
  if (body === null || typeof body !== "object") return undefined;
  const method = String(body["method"]);
  const checked = isLegacy ? CHECKED_BEFORE : CHECKED;
  const type = Object.hasOwn(checked, method) ? checked[method] : undefined;
  if (!type) return undefined;
  const { issues } = specTypeSchemas[type]["~standard"].validate(body);
  const [issue] = issues ?? [];
  if (!issue) return undefined;
  const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return `${path.join(".")}: ${issue.message}`;
}
