/** The operators on values: numbers mix freely, integers overflow, equality is deep and charged. */
import type { Position } from "./failures.ts";
import { type CelError, failure, Unread } from "./failures.ts";
import type { Frame } from "./frame.ts";
import { chargeBytes, chargeItems } from "./frame.ts";
import { durationOf, timestampOf } from "./time.ts";
import {
  Duration,
  isList,
  looksLikeEntry,
  shortTypeName,
  Timestamp,
  Uint,
  type Value,
} from "./values.ts";

/** Arithmetic operators. */
export type Arith = "+" | "-" | "*" | "/" | "%";

const INT_MIN = -(2n ** 63n);
const INT_MAX = 2n ** 63n - 1n;
const UINT_MAX = 2n ** 64n - 1n;

/** The integer, or a failure beyond 64 bits. */
export function toInt64(value: bigint, at?: Position): bigint {
  if (value < INT_MIN || value > INT_MAX) {
    throw failure("range", "integer overflow", at ? { position: at } : {});
  }
  return value;
}

/** The unsigned integer, or a failure beyond 64 bits. */
export function toUint64(value: bigint, at?: Position): Uint {
  if (value < 0n || value > UINT_MAX) {
    throw failure("range", "unsigned integer overflow", at ? { position: at } : {});
  }
  return new Uint(value);
}

/** `no such overload`, with the advice that fits the operands; in words only when it is read. */
export function noOverload(op: string, a: Value, b: Value | undefined, at: Position): Unread {
  return new Unread(() => overloadFailure(op, a, b, at));
}

function overloadFailure(op: string, a: Value, b: Value | undefined, at: Position): CelError {
  const types = b === undefined
    ? `${op}${shortTypeName(a)}`
    : `${shortTypeName(a)} ${op} ${shortTypeName(b)}`;
  return failure("overload", `no such overload: ${types}`, { position: at, ...advice(op, a, b) });
}

function advice(op: string, a: Value, b: Value | undefined): { hint?: string; help?: string } {
  if (looksLikeEntry(a) || (b !== undefined && looksLikeEntry(b))) {
    return {
      hint: "An entry is {value, _meta}: read its value with .value.",
      help: "wrapped_entries",
    };
  }
  if (op === "in" && typeof b === "string") return { hint: 'For text use "abc".contains("b").' };
  const types = [shortTypeName(a), b === undefined ? "" : shortTypeName(b)];
  const isNumber = types.some((t) => t === "int" || t === "double" || t === "uint");
  if (types.includes("string") && isNumber) {
    return {
      hint: op === "+"
        ? "Convert one side: string(x) to join text, double(x) to add numbers."
        : "Text is no number here: convert it with double(x) or int(x).",
      help: "expressions",
    };
  }
  if (types.includes("string") && (types.includes("timestamp") || types.includes("duration"))) {
    return { hint: "Times from JSON are text: convert with timestamp(x) or duration(x)." };
  }
  if (types.includes("null")) {
    return {
      hint: "One side is null: test for it first, as in x != null && ….",
      help: "expressions",
    };
  }
  return { help: "expressions" };
}

/** `a op b` for numbers and everything else that `+` and `-` take. */
export function arith(op: Arith, a: Value, b: Value, f: Frame, at: Position): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return intArith(op, a, b, at);
  if (typeof a === "number" || typeof b === "number") {
    if (typeof a === "number" && typeof b === "number") return doubleArith(op, a, b, at);
    if (typeof a === "bigint") return doubleArith(op, Number(a), b as number, at);
    if (typeof b === "bigint") {
      if (b === 0n && op === "/") throw failure("range", "division by zero", { position: at });
      return doubleArith(op, a as number, Number(b), at);
    }
    throw noOverload(op, a, b, at);
  }
  if (a instanceof Uint && b instanceof Uint) return uintArith(op, a.value, b.value, at);
  if (op === "+") return concat(a, b, f, at);
  if (op === "-") {
    if (a instanceof Duration && b instanceof Duration) return durationOf(a.nanos - b.nanos, at);
    if (a instanceof Timestamp && b instanceof Duration) return timestampOf(a.nanos - b.nanos, at);
    if (a instanceof Timestamp && b instanceof Timestamp) return durationOf(a.nanos - b.nanos, at);
  }
  throw noOverload(op, a, b, at);
}

function intArith(op: Arith, a: bigint, b: bigint, at: Position): bigint {
  switch (op) {
    case "+":
      return toInt64(a + b, at);
    case "-":
      return toInt64(a - b, at);
    case "*":
      return toInt64(a * b, at);
    case "/":
      if (b === 0n) throw failure("range", "division by zero", { position: at });
      return toInt64(a / b, at);
    case "%":
      if (b === 0n) throw failure("range", "modulus by zero", { position: at });
      return toInt64(b === -1n && a === INT_MIN ? INT_MAX + 1n : a % b, at);
  }
}

function uintArith(op: Arith, a: bigint, b: bigint, at: Position): Uint {
  if (b === 0n && (op === "/" || op === "%")) {
    throw failure("range", op === "/" ? "division by zero" : "modulus by zero", { position: at });
  }
  const { [op]: run } = {
    "+": () => a + b,
    "-": () => a - b,
    "*": () => a * b,
    "/": () => a / b,
    "%": () => a % b,
  };
  return toUint64(run(), at);
}

/** `a op b` on doubles; a remainder by zero is an error, a quotient is infinite. */
export function doubleArith(op: Arith, a: number, b: number, at: Position): number {
  switch (op) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      if (b === 0) throw failure("range", "modulus by zero", { position: at });
      return a % b;
  }
}

function concat(a: Value, b: Value, f: Frame, at: Position): Value {
  if (typeof a === "string" && typeof b === "string") {
    chargeBytes(f, a.length + b.length);
    return a + b;
  }
  if (isList(a) && isList(b)) {
    chargeItems(f, a.length + b.length);
    return a.concat(b);
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    chargeBytes(f, a.length + b.length);
    const joined = new Uint8Array(a.length + b.length);
    joined.set(a);
    joined.set(b, a.length);
    return joined;
  }
  if (a instanceof Duration && b instanceof Duration) return durationOf(a.nanos + b.nanos, at);
  if (a instanceof Timestamp && b instanceof Duration) return timestampOf(a.nanos + b.nanos, at);
  if (a instanceof Duration && b instanceof Timestamp) return timestampOf(a.nanos + b.nanos, at);
  throw noOverload("+", a, b, at);
}

/** `-a`. */
export function negate(a: Value, at: Position): Value {
  if (typeof a === "number") return -a;
  if (typeof a === "bigint") return toInt64(-a, at);
  if (a instanceof Duration) return durationOf(-a.nanos, at);
  throw noOverload("-", a, undefined, at);
}
