/** Evaluating an expression for its caller, to look and to debug. */
import { z } from "zod";
import type { Acting } from "./auth.ts";
import { Budget, CelError, compile, explain, toJson, typeName } from "./cel.ts";
import type { Moment } from "./engine/types.ts";
import { jsonObject, parseBody } from "./input.ts";
import { failedExpression } from "./invoke/failures.ts";
import { ownEyes, Sight } from "./sight.ts";
import type { Json, JsonObject } from "./types.ts";
import { readsOf } from "./views.ts";

/** The body of an evaluation. */
export const evalBody = z.strictObject({
  expr: z.string({ error: "a CEL expression is wanted" }),
  params: jsonObject.optional(),
  explain: z.boolean().optional(),
  agent: z.string().optional(),
});

/** Evaluates with the caller's eyes. Throws `invalid_cel`, `cel_error`, `cel_too_expensive`. */
export function evaluateFor({ hot, room, now }: Moment, acting: Acting, raw: Json): JsonObject {
  const body = parseBody(evalBody, raw, { example: { expr: "state._shared.phase.value" } });
  const program = compile(body.expr, { field: "expr", place: "call" });
  const sight = new Sight(
    hot,
    ownEyes(room, acting),
    now,
    undefined,
    body.params ?? {},
  );
  const budget = new Budget();
  try {
    const value = sight.evaluate(program, budget);
    return {
      expression: body.expr,
      value: toJson(value, budget),
      type: typeName(value),
      reads: readsOf(program),
      ...(body.explain ? { explain: explainFor(sight, program) } : {}),
    };
  } catch (error) {
    throw failedExpression(error, "expr");
  }
}

function explainFor(sight: Sight, program: ReturnType<typeof compile>): Json {
  try {
    return explain(program, sight.env(new Budget())) as unknown as Json;
  } catch (error) {
    if (error instanceof CelError) return [];
    throw error;
  }
}
