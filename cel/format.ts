/** `"%s is %d".format([a, b])`. */
import { failure } from "./failures.ts";
import { chargeBytes, type Frame } from "./frame.ts";
import { formatDuration, formatTimestamp } from "./time.ts";
import {
  Duration,
  isList,
  isMap,
  lookup,
  mapKeys,
  Timestamp,
  typeName,
  TypeValue,
  Uint,
  type Value,
} from "./values.ts";

const PRECISION_MAX = 100;

/** The text with each `%` clause replaced by the next value. */
export function formatText(format: string, values: readonly Value[], f: Frame): string {
  let next = 0;
  chargeBytes(f, format.length * 8);
  const out = format.replace(/%(%|(?:\.(\d{0,9}))?(.?))/gs, (_all, whole, digits, verb) => {
    if (whole === "%") return "%";
    const value = values[next++];
    if (value === undefined) throw failure("argument", `format: no value for %${String(whole)}`);
    const precision = digits === undefined || digits === "" ? 6 : Number(digits);
    if (precision > PRECISION_MAX) throw failure("argument", "format: too many digits");
    f.budget.spend(8);
    const text = clause(String(verb), value, precision, f);
    chargeBytes(f, text.length);
    return text;
  });
  return out;
}

function clause(verb: string, value: Value, precision: number, f: Frame): string {
  switch (verb) {
    case "s":
      return textOf(value, f);
    case "d":
      return decimal(value);
    case "f":
      return fixed(value, precision);
    case "e":
      return exponent(value, precision);
    case "b":
      return typeof value === "boolean" ? String(Number(value)) : inBase(value, 2, "b");
    case "o":
      return inBase(value, 8, "o");
    case "x":
      return hex(value, f);
    case "X":
      return hex(value, f).toUpperCase();
  }
  throw failure("argument", `format: unknown clause %${verb}`);
}

function wrong(verb: string, value: Value): Error {
  return failure("argument", `format: %${verb} does not take ${typeName(value)}`);
}

function integerOf(value: Value): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (value instanceof Uint) return value.value;
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : undefined;
}

function special(value: Value): string | undefined {
  if (typeof value !== "number" || Number.isFinite(value)) return undefined;
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

function decimal(value: Value): string {
  const whole = integerOf(value);
  if (whole !== undefined) return String(whole);
  if (typeof value === "number") return special(value) ?? String(value);
  throw wrong("d", value);
}

function numberOf(verb: string, value: Value): number {
  if (typeof value === "number") return value;
  const whole = integerOf(value);
  if (whole === undefined) throw wrong(verb, value);
  return Number(whole);
}

function fixed(value: Value, precision: number): string {
  return special(value) ?? numberOf("f", value).toFixed(precision);
}

function exponent(value: Value, precision: number): string {
  const text = special(value) ?? numberOf("e", value).toExponential(precision);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function inBase(value: Value, base: number, verb: string): string {
  const whole = integerOf(value);
  if (whole === undefined) throw wrong(verb, value);
  return whole.toString(base);
}

function hex(value: Value, f: Frame): string {
  if (typeof value === "string" || value instanceof Uint8Array) f.budget.spend(2 * value.length);
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  if (!(bytes instanceof Uint8Array)) return inBase(bytes, 16, "x");
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function textOf(value: Value, f: Frame): string {
  f.budget.spend(1);
  if (typeof value === "string") {
    chargeBytes(f, value.length);
    return value;
  }
  if (value === null || typeof value === "boolean" || typeof value === "bigint") {
    return String(value);
  }
  if (typeof value === "number") return special(value) ?? String(value);
  if (isList(value)) return `[${value.map((item) => textOf(item, f)).join(", ")}]`;
  if (isMap(value)) return mapText(value, f);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof TypeValue) return value.typeName;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  throw wrong("s", value);
}

function mapText(map: Parameters<typeof mapKeys>[0], f: Frame): string {
  const pairs = [...mapKeys(map, f.budget)].map((key) => {
    f.budget.spend(8);
    const value = lookup(map, key);
    return `${textOf(key, f)}: ${value === undefined ? "" : textOf(value, f)}`;
  });
  return `{${pairs.sort().join(", ")}}`;
}
