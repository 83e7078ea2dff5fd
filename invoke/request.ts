/** What an invocation takes and answers. */
import { z } from "zod";
import type { Acting } from "../auth.ts";
import type { Moment } from "../engine/types.ts";
import { condition, jsonObject, record } from "../input.ts";
import type { Elevate, Principal } from "../policy.ts";
import type { SignedRequest } from "../registry/signed.ts";
import type { Json, JsonObject } from "../types.ts";

const version = z.union([z.string(), z.number(), z.strictObject({ seq: z.number() })]);

/** The body of an invocation. */
export const invokeBody = z.strictObject({
  params: jsonObject.nullable().optional(),
  agent: z.string().optional(),
  if: condition.nullable().optional(),
  if_version: record(version).nullable().optional(),
  fence: z.strictObject({ message: z.number(), fence: z.number() }).nullable().optional(),
  dry_run: z.boolean().optional(),
  context: z.union([z.boolean(), jsonObject]).optional(),
});
export const EXAMPLE = { params: { choice: "yes" } };

/** The body of an invocation, checked. */
export type InvokeBody = z.output<typeof invokeBody>;

/** What an invocation needs from its door. */
export interface InvokeRequest {
  readonly principal: Principal;
  readonly room: string;
  readonly action: string;
  readonly body: Json;
  readonly agent?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly elevate?: Elevate | undefined;
  /** The signature that came with it, checked. */
  readonly signed?: SignedRequest | undefined;
  /** Makes the `context` that a reply may carry. */
  readonly context?: (moment: Moment, acting: Acting, query: JsonObject) => JsonObject;
}

/** What an invocation answers. */
export interface InvokeReply {
  readonly status: 200 | 201;
  readonly body: JsonObject;
  readonly seq: number;
  readonly replayed: boolean;
}
