/**
 * Expressions: the public face of `cel/`. Compile once, evaluate often; every evaluation is
 * bounded by a budget of steps that nothing in the language absorbs.
 */
export {
  CelMap,
  Duration,
  Optional,
  Timestamp,
  typeName,
  TypeValue,
  Uint,
  type Value,
} from "./cel/values.ts";
export { Budget, CelError, type CelErrorCode, CelTooExpensive } from "./cel/failures.ts";
export type { Env } from "./cel/frame.ts";
export type { Ref } from "./cel/refs.ts";
export { compile, type CompileOptions, evaluate, type Place, type Program } from "./cel/program.ts";
export { explain, type Explanation } from "./cel/explain.ts";
export { toJson } from "./cel/json.ts";
export { print } from "./cel/print.ts";
export { HOST_FUNCTIONS } from "./cel/host.ts";
