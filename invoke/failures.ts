/** Failures of expressions as refusals. */
import { CelError, CelTooExpensive } from "../cel.ts";
import { SyncError } from "../errors.ts";

/** A failed evaluation as `cel_error` or `cel_too_expensive`; anything else as it is. */
export function failedExpression(error: unknown, field: string): unknown {
  if (error instanceof CelTooExpensive) return tooExpensive(field);
  if (!(error instanceof CelError)) return error;
  return new SyncError("cel_error", `The expression in "${field}" fails: ${error.detail}.`, {
    field,
    detail: error.detail,
    ...(error.path === undefined ? {} : { path: error.path }),
    ...(error.position ? { position: { ...error.position } } : {}),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
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
