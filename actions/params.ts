/** Checks an invocation's parameters against their schema. */
import { canonical } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import { nearest } from "../input.ts";
import type { Json, JsonObject, ParamSpec } from "../types.ts";

/** The actual type of a value, in the words of a parameter's schema. */
function actualType(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** What a value is known again by: numbers and most text as they are, the rest by its JSON. */
function memberKey(value: Json): Json {
  const isPlain = typeof value === "string"
    ? !value.startsWith("\u0000")
    : value === null || typeof value !== "object";
  return isPlain ? value : `\u0000${canonical(value)}`;
}

const members = new WeakMap<readonly Json[], ReadonlySet<Json>>();

function membersOf(list: readonly Json[]): ReadonlySet<Json> {
  let keys = members.get(list);
  if (!keys) members.set(list, keys = new Set(list.map(memberKey)));
  return keys;
}

const EXAMPLES = {
  string: "text",
  number: 1.5,
  integer: 1,
  boolean: true,
  array: [],
  object: {},
} as const;

/** Checks one parameter's value. Throws `invalid_param_type`, `invalid_param`. */
export function checkParam(name: string, value: Json, spec: ParamSpec): void {
  const { type } = spec;
  if (type !== undefined && type !== "any") {
    const actual = actualType(value);
    if (actual !== type && !(type === "number" && actual === "integer")) {
      throw new SyncError("invalid_param_type", `The parameter "${name}" is not of type ${type}.`, {
        param: name,
        expected: type,
        actual,
        hint: `Send ${
          type === "integer" ? "a whole number" : `JSON of type ${type}`
        }: nothing is converted.`,
        example: EXAMPLES[type],
      });
    }
  }
  const refuse = (allowed: Json, example: Json): never => {
    throw new SyncError(
      "invalid_param",
      `The parameter "${name}" has a value that is not allowed.`,
      {
        param: name,
        value,
        allowed,
        hint: "Send one of what is allowed.",
        example,
      },
    );
  };
  if (spec.enum && !membersOf(spec.enum).has(memberKey(value))) {
    refuse([...spec.enum], spec.enum[0]!);
  }
  if (typeof value === "number") {
    const { minimum, maximum } = spec;
    const isWithin = (minimum === undefined || value >= minimum) &&
      (maximum === undefined || value <= maximum);
    if (!isWithin) {
      const bounds = {
        ...(minimum === undefined ? {} : { minimum }),
        ...(maximum === undefined ? {} : { maximum }),
      };
      refuse(bounds, minimum ?? maximum!);
    }
  }
  if (spec.items && Array.isArray(value)) {
    value.forEach((item, i) => checkParam(`${name}[${i}]`, item, spec.items!));
  }
}

/** The parameters an invocation runs with: checked, defaults filled in. */
export function checkInvocationParams(
  specs: Readonly<Record<string, ParamSpec>> | undefined,
  given: JsonObject,
): JsonObject {
  if (!specs) return given;
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(specs, name)) throw unknownParam(name, Object.keys(specs));
  }
  const params: JsonObject = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = Object.hasOwn(given, name) ? given[name] : spec.default;
    if (value === undefined) {
      if (spec.required) throw missingParam(name, specs);
      continue;
    }
    checkParam(name, value, spec);
    params[name] = value;
  }
  return params;
}

function unknownParam(name: string, params: readonly string[]): SyncError {
  return new SyncError("unknown_param", `There is no parameter "${name}".`, {
    param: name,
    params,
    nearest: nearest(name, params),
    hint: params.length > 0 ? `The action takes: ${params.join(", ")}.` : "The action takes none.",
  });
}

function missingParam(name: string, specs: Readonly<Record<string, ParamSpec>>): SyncError {
  const { type, description } = specs[name]!;
  return new SyncError("missing_param", `The parameter "${name}" is missing.`, {
    param: name,
    ...(type === undefined ? {} : { expected: type }),
    ...(description === undefined ? {} : { description }),
    example: { params: { [name]: "…" } },
  });
}
