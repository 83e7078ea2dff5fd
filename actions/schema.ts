/** What a registration looks like, and what a write template does. */
import { z } from "zod";
import { condition, json, jsonObject, ownOrScopeName, record, vocabularyId } from "../input.ts";
import { ACTION_WRITES_MAX, TEXT_LENGTH_MAX } from "../limits.ts";
import type { ParamSpec, WriteTemplate } from "../types.ts";

const PARAM_TYPES = ["string", "number", "integer", "boolean", "array", "object", "any"] as const;

const paramSpec: z.ZodType<ParamSpec> = z.lazy(() =>
  z.strictObject({
    type: z.enum(PARAM_TYPES).optional(),
    enum: z.array(json).min(1).max(1_000).optional(),
    required: z.boolean().optional(),
    default: json.optional(),
    description: z.string().max(TEXT_LENGTH_MAX).optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    items: paramSpec.optional(),
  }) as unknown as z.ZodType<ParamSpec>
);

const writeTemplate = z.strictObject({
  scope: z.string().optional(),
  key: z.string().optional(),
  value: json.optional(),
  merge: json.optional(),
  increment: json.optional(),
  append: z.boolean().optional(),
  delete: z.boolean().optional(),
  renew: z.boolean().optional(),
  expr: z.boolean().optional(),
  if_version: json.optional(),
  timer: json.optional(),
  enabled: condition.nullable().optional(),
});

/** Parameters of `_register_action`. */
export const registerActionParams = z.strictObject({
  id: vocabularyId,
  description: z.string().max(TEXT_LENGTH_MAX).optional(),
  params: record(paramSpec).nullable().optional(),
  if: condition.nullable().optional(),
  enabled: condition.nullable().optional(),
  writes: z.array(writeTemplate, { error: "a list of write templates is wanted" }).max(
    ACTION_WRITES_MAX,
  ),
  result: z.string().nullable().optional(),
  scope: ownOrScopeName.optional(),
  timer: json.optional(),
  on_invoke: z.strictObject({ timer: jsonObject }).nullable().optional(),
  domain: z.string().max(64).optional(),
  if_version: json.optional(),
});

export type Params = z.output<typeof registerActionParams>;

export const EXAMPLE = {
  id: "submit_result",
  params: { result: { type: "any" } },
  writes: [{ scope: "_shared", key: "${self}.result", value: "${params.result}" }],
};

/** The member that says what a write template does. */
export const MODES = ["value", "merge", "increment", "append", "delete", "renew"] as const;
export type Mode = typeof MODES[number];

/** The mode of a write template. */
export function modeOf(write: WriteTemplate): Mode {
  if (write.delete) return "delete";
  if (write.renew) return "renew";
  if (write.append) return "append";
  if (write.increment !== undefined) return "increment";
  if (write.merge !== undefined) return "merge";
  return "value";
}

/** The member whose content `expr:true` turns into an expression. */
export function operandName(write: WriteTemplate, mode: Mode): "value" | "merge" | "increment" {
  if (mode === "merge") return "merge";
  return mode === "increment" && write.increment !== true ? "increment" : "value";
}
