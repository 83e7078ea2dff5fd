/**
 * What records and entries of a log from elsewhere must look like before they are folded: a
 * log may be signed and still have been made by somebody who means harm.
 */
import { z } from "zod";
import { registerActionParams } from "../actions/schema.ts";
import { json, jsonObject, keyName, scopeName, vocabularyId } from "../input.ts";
import { VALUE_BYTES_MAX } from "../limits.ts";
import { parseInstant } from "../timers.ts";
import { type Json, RECORD_KINDS, RESERVED_SCOPES } from "../types.ts";

const text = z.string().max(VALUE_BYTES_MAX);
const count = z.number().int().min(0);
const instant = z.string().refine((at) => parseInstant(at) !== undefined);
const scope = z.union([z.enum(RESERVED_SCOPES), scopeName]);

const timer = z.strictObject({
  effect: z.enum(["delete", "enable"]),
  due_at: instant.optional(),
  ms: count.optional(),
  ticks: count.optional(),
  ticks_left: count.optional(),
  tick_on: text.optional(),
  resting_ms: count.optional(),
  resting: z.literal(true).optional(),
});

const write = z.strictObject({
  scope,
  key: z.union([keyName, z.literal("help")]),
  op: z.enum([
    "set",
    "merge",
    "increment",
    "append",
    "delete",
    "renew",
    "expire",
    "enable",
    "cooldown",
  ]),
  value: json,
  revision: count,
  version: text,
  timer: timer.nullable().optional(),
  enabled: text.optional(),
});

const record = z.looseObject({
  seq: count,
  ts: instant,
  kind: z.enum(RECORD_KINDS),
  agent: text,
  actor: text,
  on_behalf: text.optional(),
  session: text.optional(),
  action: text.optional(),
  writes: z.array(write).optional(),
  prev: text,
  hash: text,
});

const entry = z.strictObject({
  value: json,
  revision: count,
  version: text,
  updatedAt: z.number(),
  writer: text,
  via: text,
  seq: count,
  touched: count,
  shown: count.optional(),
  velocity: z.number(),
  writers: z.array(text),
  firstAt: z.number(),
  timer: timer.optional(),
  enabled: text.optional(),
  cooldown: timer.optional(),
  stats: z.strictObject({
    invocations: count,
    lastAt: z.number(),
    lastBy: text,
    by: z.custom<Record<string, number>>((by) => typeof by === "object" && by !== null),
  }).optional(),
  bytes: count,
});

const placed = z.tuple([scope, z.union([keyName, z.literal("help")]), entry]);

const { params, writes: registered } = registerActionParams.shape;
/** Templates as they are stored: an `enabled` that a registration spelled as JSON is text by then. */
const writes = z.custom<z.input<typeof registered>>((list) =>
  Array.isArray(list) &&
  list.every((template) => typeof (template as { enabled?: Json } | null)?.enabled !== "boolean")
).pipe(registered);

/** What the service reads in its own scopes. */
const DEFINITIONS: Readonly<Record<string, z.ZodType>> = {
  _actions: z.looseObject({
    id: z.union([vocabularyId, z.literal("help")]),
    writes,
    params,
    if: text.optional(),
    enabled: text.optional(),
    result: text.optional(),
    scope: scopeName,
    registered_by: text,
    on_invoke: z.strictObject({ timer: jsonObject }).optional(),
  }),
  _views: z.looseObject({
    id: vocabularyId,
    expr: text,
    scope: scopeName,
    enabled: text.optional(),
    render: jsonObject.optional(),
    registered_by: text,
  }),
  _agents: z.looseObject({
    name: text,
    role: text,
    actor: text,
    joined_at: instant,
    grants: z.array(text),
    enabled: text.optional(),
    left_at: instant.optional(),
  }),
  _messages: z.looseObject({
    from: text,
    kind: text,
    body: json,
    to: z.array(text).optional(),
    reply_to: count.optional(),
    claimed_by: text.nullable().optional(),
    claimed_at: text.nullable().optional(),
    fence: count.nullable().optional(),
    lease_expires_at: instant.nullable().optional(),
    lease_ms: count.nullable().optional(),
  }),
};

function faultIn(schema: z.ZodType, value: unknown): string | undefined {
  const parsed = schema.safeParse(value);
  if (parsed.success) return undefined;
  const { path, message } = parsed.error.issues[0]!;
  return `${path.join(".") || "it"} is not what it should be (${message})`;
}

/** What is wrong with a record's form; undefined when it can be folded. */
export function recordFault(value: unknown): string | undefined {
  return faultIn(record, value);
}

/** What is wrong with a base's entry; undefined when it can be placed. */
export function placedFault(value: unknown): string | undefined {
  return faultIn(placed, value);
}

/** What is wrong with a value in one of the service's own scopes; undefined for all else. */
export function definitionFault(scope: string, value: Json): string | undefined {
  const schema = DEFINITIONS[scope];
  return schema && faultIn(schema, value);
}
