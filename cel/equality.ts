/** Order, equality and membership: numbers by their exact value, all of it deep and charged. */
import type { Position } from "./failures.ts";
import { chargeBytes, chargeKey, type Frame } from "./frame.ts";
import { noOverload } from "./operators.ts";
import {
  type AnyMap,
  Duration,
  isList,
  isMap,
  lookup,
  mapKeys,
  mapSize,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from "./values.ts";

/** Ordering operators. */
export type Order = "<" | "<=" | ">" | ">=";

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
    chargeBytes(f, 2 * Math.min(a.length, b.length));
    return compareText(a, b);
  }
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Timestamp && b instanceof Timestamp) return order(a.nanos, b.nanos);
  if (a instanceof Duration && b instanceof Duration) return order(a.nanos, b.nanos);
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    chargeBytes(f, 2 * Math.min(a.length, b.length));
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
    chargeBytes(f, 2 * a.length);
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

function equalMaps(a: AnyMap, b: AnyMap, f: Frame): boolean {
  if (mapSize(a, f.budget) !== mapSize(b, f.budget)) return false;
  for (const key of mapKeys(a, f.budget)) {
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
  if (isMap(container)) {
    chargeKey(f, item);
    return lookup(container, item) !== undefined;
  }
  throw noOverload("in", item, container, at);
}
