/** What a function of the language is, and the checks its arguments go through. */
import { failure } from "./failures.ts";
import type { Frame } from "./frame.ts";
import {
  Duration,
  isList,
  looksLikeEntry,
  shortTypeName,
  Timestamp,
  Uint,
  type Value,
} from "./values.ts";

/** A function; a method gets its receiver as the first argument. */
export interface Fn {
  /** How many arguments it takes, the receiver counted. */
  readonly arity: readonly number[];
  /** Kinds its arguments must have, as `string`, `num`, `list`, `dyn`, …; missing means any. */
  readonly takes?: readonly string[];
  /** Kind of its result, when it is always the same. */
  readonly gives?: string;
  run(f: Frame, args: readonly Value[]): Value;
}

/** A table of functions by name. */
export type Table = ReadonlyMap<string, Fn>;

/** A function from its signature `"string string > bool"` and body. */
export function fn(signature: string, run: Fn["run"]): Fn {
  const [left = "", gives = "dyn"] = signature.split(" > ");
  const kinds = left.split(" ").filter((k) => k !== "");
  const takes = kinds.map((k) => k.replace("?", ""));
  const least = kinds.filter((k) => !k.endsWith("?")).length;
  const arity = Array.from({ length: kinds.length - least + 1 }, (_, i) => least + i);
  return { arity, takes, gives, run };
}

/** `no such overload`, naming the function and what it was given. */
export function wrongArguments(name: string, args: readonly Value[]) {
  const types = args.map(shortTypeName).join(", ");
  const facts = args.some(looksLikeEntry)
    ? {
      hint: "An entry is {value, _meta}: read its value with .value.",
      help: "wrapped_entries",
    }
    : { help: "functions" };
  return failure("overload", `no such overload: ${name}(${types})`, facts);
}

/** The argument as text, or `no such overload`. */
export function textAt(name: string, args: readonly Value[], i: number): string {
  const value = args[i];
  if (typeof value !== "string") throw wrongArguments(name, args);
  return value;
}

/** The argument as a list, or `no such overload`. */
export function listAt(name: string, args: readonly Value[], i: number): readonly Value[] {
  const value = args[i];
  if (value === undefined || !isList(value)) throw wrongArguments(name, args);
  return value;
}

/** The argument as a whole number that JavaScript holds exactly, or a failure. */
export function wholeAt(name: string, args: readonly Value[], i: number): number {
  const value = args[i];
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number" && Number.isInteger(value)) return value;
  if (value instanceof Uint) return Number(value.value);
  throw wrongArguments(name, args);
}

/** The argument as a timestamp, or `no such overload`. */
export function isTime(value: Value | undefined): value is Timestamp | Duration {
  return value instanceof Timestamp || value instanceof Duration;
}
