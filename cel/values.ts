/**
 * The values of the language beyond plain JSON, and how a value is told apart. Only own keys of
 * plain data are ever seen: an object of any other class is foreign and refused.
 */
import type { JsonObject } from "../types.ts";
import type { Budget } from "./failures.ts";

/** An unsigned 64-bit integer. */
export class Uint {
  constructor(readonly value: bigint) {}
}

/** A moment, in nanoseconds since the epoch. */
export class Timestamp {
  constructor(readonly nanos: bigint) {}
  static fromMillis(ms: number): Timestamp {
    return new Timestamp(BigInt(Math.trunc(ms)) * 1_000_000n);
  }
  /** Milliseconds since the epoch, rounded down. */
  get millis(): number {
    const ms = this.nanos / 1_000_000n;
    return Number(this.nanos < 0n && ms * 1_000_000n !== this.nanos ? ms - 1n : ms);
  }
}

/** A signed span of time, in nanoseconds. */
export class Duration {
  constructor(readonly nanos: bigint) {}
}

/** A type as a value, as `type(x)` gives it. */
export class TypeValue {
  constructor(readonly typeName: string) {}
}

/** A value that may be absent, as `.?`, `[?]` and `optional.*` give it. */
export class Optional {
  private constructor(readonly content: Value | undefined) {}
  static readonly none: Optional = new Optional(undefined);
  static of(value: Value): Optional {
    return new Optional(value);
  }
  static from(value: Value | undefined): Optional {
    return value === undefined ? Optional.none : new Optional(value);
  }
}

/** A map the host provides, looked up lazily; never copied unless it leaves as a result. */
export abstract class CelMap {
  /** The value at the key; `undefined` when there is none. */
  abstract get(key: string): Value | undefined;
  abstract keys(): Iterable<string>;
  abstract get size(): number;
  has(key: string): boolean {
    return this.get(key) !== undefined;
  }
}

/** Anything an expression can hold. A number is a CEL double, a bigint a CEL int. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | CelMap
  | JsonObject;

/** True for a plain object: own string keys, no class. */
export function isPlain(value: Value): value is JsonObject {
  if (typeof value !== "object" || value === null) return false;
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

/** True for every kind of map. */
export function isMap(value: Value): value is AnyMap {
  return value instanceof CelMap || value instanceof Map || isPlain(value);
}

/** True for a list; narrows better than `Array.isArray`. */
export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The name of a value's type in the language: `int`, `double`, `list`, `map`, `null_type`, …. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "number":
      return "double";
    case "bigint":
      return "int";
    case "string":
      return "string";
  }
  if (value === null) return "null_type";
  if (isList(value)) return "list";
  if (value instanceof Uint) return "uint";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof Timestamp) return "google.protobuf.Timestamp";
  if (value instanceof Duration) return "google.protobuf.Duration";
  if (value instanceof TypeValue) return "type";
  if (value instanceof Optional) return "optional_type";
  return isMap(value) ? "map" : "unknown";
}

/** The type's name as people say it: `timestamp` rather than its protobuf name. */
export function shortTypeName(value: Value): string {
  const name = typeName(value);
  if (value instanceof Timestamp) return "timestamp";
  if (value instanceof Duration) return "duration";
  return name === "null_type" ? "null" : name;
}

/** The key under which a map literal keeps a value: numbers that are equal share one. */
export function mapKey(key: Value): string | boolean | bigint | undefined {
  if (typeof key === "string" || typeof key === "bigint" || typeof key === "boolean") return key;
  if (typeof key === "number") return Number.isInteger(key) ? BigInt(key) : undefined;
  return key instanceof Uint ? key.value : undefined;
}

/** The value at a key of a map; `undefined` when there is none, or the value is no map. */
export function member(map: Value, key: string): Value | undefined {
  if (typeof map !== "object" || map === null) return undefined;
  if (map instanceof CelMap) return map.get(key);
  const proto: unknown = Object.getPrototypeOf(map);
  if (proto === Object.prototype || proto === null) {
    return Object.hasOwn(map, key) ? (map as JsonObject)[key] : undefined;
  }
  return map instanceof Map ? (map as ReadonlyMap<Value, Value>).get(key) : undefined;
}

/** Every kind of map. */
export type AnyMap = ReadonlyMap<Value, Value> | CelMap | JsonObject;

/** Keys of a map, in its own order; those of a plain object are charged, it lists them at once. */
export function mapKeys(map: AnyMap, budget: Budget): Iterable<Value> {
  if (map instanceof CelMap || map instanceof Map) return map.keys();
  const keys = Object.keys(map);
  budget.spend(keys.length);
  return keys;
}

/** How many entries a map has; a plain object is charged, it has to count. */
export function mapSize(map: AnyMap, budget: Budget): number {
  if (map instanceof CelMap || map instanceof Map) return map.size;
  const { length } = Object.keys(map);
  budget.spend(length);
  return length;
}

/** The value at any key of a map; `undefined` when there is none. */
export function lookup(map: AnyMap, key: Value): Value | undefined {
  if (typeof key === "string") return member(map, key);
  if (!(map instanceof Map)) return undefined;
  const canonical = mapKey(key);
  return canonical === undefined ? undefined : map.get(canonical);
}

/** True for an entry: `{value, _meta}`, which agents often use where they mean its value. */
export function looksLikeEntry(value: Value): boolean {
  return isMap(value) && !(value instanceof Map) && member(value, "_meta") !== undefined &&
    member(value, "value") !== undefined;
}
