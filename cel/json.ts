/** How a value leaves: plain JSON, with no prototype tricks and every element charged. */
import type { Json, JsonObject } from "../types.ts";
import { Budget, failure } from "./failures.ts";
import { formatDuration, isoMillis } from "./time.ts";
import {
  type AnyMap,
  Duration,
  isList,
  isMap,
  isPlain,
  lookup,
  mapKeys,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from "./values.ts";

const DEPTH_MAX = 200;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** The value as JSON; fails for an integer beyond 2^53. Steps are charged to the budget. */
export function toJson(value: Value, budget: Budget = new Budget()): Json {
  return convert(value, budget, 0);
}

function convert(value: Value, budget: Budget, depth: number): Json {
  switch (typeof value) {
    case "string":
      if (value.length >= 64) budget.spend(value.length >>> 6);
      return value;
    case "number":
      return Number.isFinite(value) ? (value === 0 ? 0 : value) : null;
    case "bigint":
      return safeInteger(value);
    case "boolean":
      return value;
  }
  if (value === null) return null;
  if (depth > DEPTH_MAX) throw failure("range", "the result is nested too deeply");
  budget.spend(1);
  if (isList(value)) return value.map((item) => convertItem(item, budget, depth));
  if (isMap(value)) return convertMap(value, budget, depth);
  return convertOther(value, budget, depth);
}

function convertItem(item: Value, budget: Budget, depth: number): Json {
  budget.spend(1);
  return convert(item, budget, depth + 1);
}

function safeInteger(value: bigint): number {
  if (value > SAFE || value < -SAFE) {
    throw failure("range", `the integer ${value} is beyond what JSON holds exactly`, {
      hint: "Give it as text with string(x), or as double(x).",
    });
  }
  return Number(value);
}

function convertMap(
  map: AnyMap,
  budget: Budget,
  depth: number,
): JsonObject {
  const out: JsonObject = {};
  budget.spend(2);
  for (const key of mapKeys(map, budget)) {
    budget.spend(4);
    const item = lookup(map, key);
    if (item !== undefined) define(out, keyText(key), convert(item, budget, depth + 1));
  }
  return out;
}

/** Sets an own property whatever its name: assignment to `__proto__` would set the prototype. */
function define(target: JsonObject, key: string, value: Json): void {
  if (key !== "__proto__") target[key] = value;
  else {
    Object.defineProperty(target, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
}

function keyText(key: Value): string {
  return key instanceof Uint ? String(key.value) : String(key);
}

function convertOther(value: Value, budget: Budget, depth: number): Json {
  if (value instanceof Uint) return safeInteger(value.value);
  if (value instanceof Timestamp) return isoMillis(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof TypeValue) return value.typeName;
  if (value instanceof Uint8Array) {
    budget.spend(value.length >>> 1);
    return base64(value);
  }
  if (value instanceof Optional) {
    return value.content === undefined ? null : convert(value.content, budget, depth + 1);
  }
  throw failure("type", isPlain(value) ? "unexpected value" : "a value of no known type");
}

/** Bytes as base64 text. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
}
