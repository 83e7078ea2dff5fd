/** The operators on values: numbers mix freely, integers overflow, equality is deep and charged. */
import type { Position } from "./failures.ts";
import { failure } from "./failures.ts";
import type { Frame } from "./frame.ts";
import { chargeBytes, chargeItems } from "./frame.ts";
import { durationOf, timestampOf } from "./time.ts";
import {
  Duration,
  isList,
  isMap,
  isPlain,
  looksLikeEntry,
  lookup,
  mapKeys,
  mapSize,
  Optional,
  shortTypeName,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from "./values.ts";

/** Arithmetic operators. */
export type Arith = "+" | "-" | "*" | "/" | "%";
/** Ordering operators. */
export type Order = "<" | "<=" | ">" | ">=";

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

/** `no such overload`, with the advice that fits the operands. */
export function noOverload(op: string, a: Value, b: Value | undefined, at: Position) {
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
    return { hint: "One side is null: test for it first, as in x != null && ….", help: "expressions" };
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

/** The order of two values: below 0, 0, above 0, or NaN when a NaN takes part. */
export function compare(op: string, a: Value, b: Value, f: Frame, at: Position): number {
  const x = a instanceof Uint ? a.value : a;
  const y = b instanceof Uint ? b.value : b;
  if (
    (typeof x === "number" || typeof x === "bigint") &&
    (typeof y === "number" || typeof y === "bigint")
  ) {
    // JavaScript orders a bigint and a number exactly, without rounding either.
    return x < y ? -1 : x > y ? 1 : x >= y ? 0 : NaN;
  }
  if (typeof a === "string" && typeof b === "string") {
    chargeBytes(f, Math.min(a.length, b.length));
    return compareText(a, b);
  }
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Timestamp && b instanceof Timestamp) return order(a.nanos, b.nanos);
  if (a instanceof Duration && b instanceof Duration) return order(a.nanos, b.nanos);
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    chargeBytes(f, Math.min(a.length, b.length));
    return compareBytes(a, b);
  }
  throw noOverload(op, a, b, at);
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Text in the order of its code points; UTF-16 order differs above U+FFFF. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  const x = a.charCodeAt(i), y = b.charCodeAt(i);
  const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;
  if (isHigh(x) !== isHigh(y)) return isHigh(x) ? 1 : -1;
  return x - y;
}

/** `a op b` for an ordering operator. */
export function ordered(op: Order, a: Value, b: Value, f: Frame, at: Position): boolean {
  const c = compare(op, a, b, f, at);
  switch (op) {
    case "<":
      return c < 0;
    case "<=":
      return c <= 0;
    case ">":
      return c > 0;
    case ">=":
      return c >= 0;
  }
}

/** Deep equality; numbers by their exact value, values of different types differ. */
export function equals(a: Value, b: Value, f: Frame): boolean {
  if (typeof a === "string" || typeof b === "string") {
    if (typeof a === "string" && typeof b === "string" && a.length === b.length) {
      chargeBytes(f, a.length);
      return a === b;
    }
    return false;
  }
  const x = a instanceof Uint ? a.value : a;
  const y = b instanceof Uint ? b.value : b;
  if (typeof x === "number" || typeof x === "bigint") {
    if (typeof y !== "number" && typeof y !== "bigint") return false;
    return x <= y && x >= y;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  f.budget.spend(1);
  if (isList(a)) return isList(b) && equalLists(a, b, f);
  if (isMap(a)) return isMap(b) && equalMaps(a, b, f);
  return equalOthers(a, b, f);
}

function equalOthers(a: Value, b: Value, f: Frame): boolean {
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (a instanceof TypeValue) return b instanceof TypeValue && a.typeName === b.typeName;
  if (a instanceof Uint8Array) {
    if (!(b instanceof Uint8Array) || a.length !== b.length) return false;
    chargeBytes(f, a.length);
    return compareBytes(a, b) === 0;
  }
  if (a instanceof Optional && b instanceof Optional) {
    if (a.content === undefined || b.content === undefined) return a.content === b.content;
    return equals(a.content, b.content, f);
  }
  return false;
}

function equalLists(a: readonly Value[], b: readonly Value[], f: Frame): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    f.budget.spend(1);
    if (!equals(a[i] ?? null, b[i] ?? null, f)) return false;
  }
  return true;
}

function equalMaps(
  a: Exclude<Parameters<typeof mapSize>[0], never>,
  b: Exclude<Parameters<typeof mapSize>[0], never>,
  f: Frame,
): boolean {
  if (isPlain(a)) f.budget.spend(1);
  if (mapSize(a) !== mapSize(b)) return false;
  for (const key of mapKeys(a)) {
    f.budget.spend(2);
    const x = lookup(a, key), y = lookup(b, key);
    if (x === undefined || y === undefined || !equals(x, y, f)) return false;
  }
  return true;
}

/** `item in container`. */
export function contains(item: Value, container: Value, f: Frame, at: Position): boolean {
  if (isList(container)) {
    for (const element of container) {
      f.budget.spend(1);
      if (equals(item, element, f)) return true;
    }
    return false;
  }
  if (isMap(container)) return lookup(container, item) !== undefined;
  const error = noOverload("in", item, container, at);
  if (typeof container === "string") error.hint = 'For text use "abc".contains("b").';
  throw error;
}
