/**
 * The zod schemas of the domain as tools list them: short JSON Schema, made once. What comes in is
 * checked by the domain itself, whose refusals name the field, a hint and an example.
 */
import type { StandardSchemaWithJSON } from "@modelcontextprotocol/server";
import { z } from "zod";
import { condition, jsonObject } from "../input.ts";
import type { Json, JsonObject } from "../types.ts";

/** Sentences by member, and whole schemas for members whose own is too long to list. */
export type Told = Readonly<Record<string, string | JsonObject>>;

/** Keywords that cost a reader more than they tell; the domain holds them all the same. */
const LEFT_OUT = [
  "$schema",
  "$defs",
  "pattern",
  "maxLength",
  "maxItems",
  "propertyNames",
  "additionalProperties",
] as const;

/** A schema as the SDK lists it: takes what comes, describes itself shortly. */
export function listed(
  schema: z.ZodType,
  io: "input" | "output",
  told: Told = {},
): StandardSchemaWithJSON<JsonObject> {
  const form = short(z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema === jsonObject as unknown) jsonSchema.type = "object";
      if (zodSchema === condition as unknown) {
        delete jsonSchema.anyOf;
        jsonSchema.type = "string";
      }
    },
  }) as Json) as JsonObject;
  const members = form["properties"] as Record<string, JsonObject> | undefined;
  for (const [name, tells] of Object.entries(told)) {
    if (!members?.[name]) throw new Error(`The schema has no member "${name}" to describe.`);
    members[name] = typeof tells === "string" ? { ...members[name], description: tells } : tells;
  }
  const json = (): Record<string, unknown> => form;
  return {
    "~standard": {
      version: 1,
      vendor: "sync",
      validate: (value) => ({ value: value as JsonObject }),
      jsonSchema: { input: json, output: json },
    },
  };
}

/** Leaves out what is long, and says "or null" of nothing: some clients take no such unions. */
function short(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(short);
  if (schema === null || typeof schema !== "object") return schema;
  const left = LEFT_OUT as readonly string[];
  const kept: JsonObject = {};
  for (const [key, value] of Object.entries(schema)) {
    if (left.includes(key) || isUnbounded(key, value)) continue;
    kept[key] = short(value);
  }
  return withoutNull(kept);
}

function isUnbounded(key: string, value: Json): boolean {
  return (key === "maximum" || key === "minimum") && typeof value === "number" &&
    Math.abs(value) >= Number.MAX_SAFE_INTEGER;
}

function withoutNull(schema: JsonObject): JsonObject {
  const { anyOf, allOf, type, ...rest } = schema;
  if (Array.isArray(allOf)) {
    return Object.assign({}, ...(allOf as JsonObject[]), rest) as JsonObject;
  }
  if (Array.isArray(type)) {
    const [only, ...others] = type.filter((word) => word !== "null");
    return others.length === 0 && only !== undefined ? { type: only, ...rest } : schema;
  }
  if (!Array.isArray(anyOf)) return schema;
  const real = (anyOf as JsonObject[]).filter((one) => one["type"] !== "null");
  return real.length === 1 ? { ...real[0], ...rest } : { anyOf: real, ...rest };
}
