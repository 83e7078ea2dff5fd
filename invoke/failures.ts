/** Failures of expressions as refusals, and how much of them their audience may be told. */
import { CelError, CelTooExpensive, type Program } from "../cel.ts";
import { SyncError } from "../errors.ts";
import { canReadScope, isPrivateScope } from "../policy.ts";
import type { Sight } from "../sight.ts";

/** Who is told about an expression. */
export interface Audience {
  readonly agent: string;
  readonly seesAll: boolean;
}

/**
 * Does an expression read, with the eyes it has, a private scope that its audience may not, or a
 * memory? Then what it came across (computed keys, values in messages) is not the audience's to know.
 */
export function readsBeyond(program: Program, { room, eyes }: Sight, audience: Audience): boolean {
  const isHidden = (scope: string): boolean =>
    isPrivateScope(scope) && !canReadScope(room, audience.agent, audience.seesAll, scope);
  const isBeyond = (scope: string): boolean => eyes.canRead(scope) && isHidden(scope);
  // An action sees its invoker's scope as `state.self` without a right to it by name.
  const isOwnBeyond = eyes.own !== undefined && isHidden(eyes.own);
  return program.refs.some(({ root, path: [scope] }) => {
    if (root === "memory") return eyes.actor !== undefined;
    if (root !== "state") return false;
    if (typeof scope !== "string") return isOwnBeyond || [...room.scopes.keys()].some(isBeyond);
    return scope === "self" ? isOwnBeyond : isBeyond(scope);
  });
}

const FAILURE_HINT =
  "Guard what may fail with has(…), a comparison or ?: before it; POST /rooms/:id/eval tries it out.";

/**
 * A failed evaluation as `cel_error` or `cel_too_expensive`; anything else as it is. When the
 * expression reads beyond what the caller may, the refusal does not say over what it failed.
 */
export function failedExpression(error: unknown, field: string, isBeyond = false): unknown {
  if (error instanceof CelTooExpensive) return tooExpensive(field);
  if (!(error instanceof CelError)) return error;
  if (isBeyond) {
    return new SyncError("cel_error", `The expression in "${field}" fails.`, {
      field,
      detail: "it fails over something that the caller may not read",
      hint: "Whoever registered it can find out why: POST /rooms/:id/eval.",
      help: "expressions",
    });
  }
  return new SyncError("cel_error", `The expression in "${field}" fails: ${error.detail}.`, {
    field,
    detail: error.detail,
    ...(error.path === undefined ? {} : { path: error.path }),
    ...(error.position ? { position: { ...error.position } } : {}),
    hint: error.hint ?? FAILURE_HINT,
    help: error.help ?? "expressions",
  });
}

/** `400 cel_too_expensive`. */
export function tooExpensive(field: string): SyncError {
  return new SyncError("cel_too_expensive", `The expression in "${field}" takes too many steps.`, {
    field,
    hint: "Read fewer keys, nest fewer macros, or keep what it computes in an entry.",
    help: "expressions",
  });
}
