/** Conversions between types, `size`, `type`, and the getters of times. */
import { failure } from "./failures.ts";
import { type Fn, fn, isTime, type Table, textAt, wrongArguments } from "./fn.ts";
import { chargeBytes, type Frame } from "./frame.ts";
import { base64 } from "./json.ts";
import { toInt64, toUint64 } from "./operators.ts";
import { codePoints } from "./strings.ts";
import {
  fieldsOf,
  formatDuration,
  formatTimestamp,
  parseDuration,
  parseTimestamp,
  timestampOf,
} from "./time.ts";
import {
  Duration,
  isList,
  isMap,
  mapSize,
  Timestamp,
  typeName,
  TypeValue,
  Uint,
  type Value,
} from "./values.ts";

const SECOND = 1_000_000_000n;
/** Steps to convert a moment to a zone; a zone may be new, which is the dearest part. */
const ZONE_STEPS = 1_024;
/** Steps to read or write a time as text. */
const TIME_TEXT_STEPS = 32;

function size(f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (typeof x === "string") {
    f.budget.spend(x.length >>> 5);
    return BigInt(codePoints(x));
  }
  if (x instanceof Uint8Array) return BigInt(x.length);
  if (x !== undefined && isList(x)) return BigInt(x.length);
  if (x !== undefined && isMap(x)) {
    return BigInt(mapSize(x, f.budget));
  }
  throw wrongArguments("size", args);
}

function toInt(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (typeof x === "bigint") return x;
  if (x instanceof Uint) return toInt64(x.value);
  if (typeof x === "number") {
    if (!(Math.abs(x) < 2 ** 63)) throw failure("range", `int(${x}) is out of range`);
    return BigInt(Math.trunc(x));
  }
  if (typeof x === "string") return toInt64(parseWhole(x, "int", /^[+-]?\d{1,20}$/));
  if (x instanceof Timestamp) return BigInt(Math.floor(x.millis / 1000));
  if (x instanceof Duration) return x.nanos / SECOND;
  throw wrongArguments("int", args);
}

function toUint(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (x instanceof Uint) return x;
  if (typeof x === "bigint") return toUint64(x);
  if (typeof x === "number") {
    if (!(x > -1 && x < 2 ** 64)) throw failure("range", `uint(${x}) is out of range`);
    return new Uint(BigInt(Math.trunc(x)));
  }
  if (typeof x === "string") return toUint64(parseWhole(x, "uint", /^\+?\d{1,20}$/));
  throw wrongArguments("uint", args);
}

function parseWhole(text: string, name: string, pattern: RegExp): bigint {
  if (!pattern.test(text)) {
    throw failure("argument", `${name}: not a whole number: ${JSON.stringify(text.slice(0, 40))}`);
  }
  return BigInt(text.replace("+", ""));
}

const DOUBLE = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)$/i;

function toDouble(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (typeof x === "number") return x;
  if (typeof x === "bigint") return Number(x);
  if (x instanceof Uint) return Number(x.value);
  if (typeof x !== "string") throw wrongArguments("double", args);
  if (x.length > 400 || !DOUBLE.test(x)) {
    throw failure("argument", `double: not a number: ${JSON.stringify(x.slice(0, 40))}`);
  }
  if (/nan/i.test(x)) return NaN;
  if (/inf/i.test(x)) return x.startsWith("-") ? -Infinity : Infinity;
  return Number(x);
}

/** A double as text: whole ones without a point, huge ones with an exponent. */
function doubleText(x: number): string {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "+Inf" : "-Inf";
  return Object.is(x, -0) ? "-0" : String(x);
}

function toText(f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  switch (typeof x) {
    case "string":
      return x;
    case "boolean":
    case "bigint":
      return String(x);
    case "number":
      return doubleText(x);
  }
  if (x instanceof Uint) return String(x.value);
  f.budget.spend(TIME_TEXT_STEPS);
  if (x instanceof Timestamp) return formatTimestamp(x);
  if (x instanceof Duration) return formatDuration(x);
  if (!(x instanceof Uint8Array)) throw wrongArguments("string", args);
  chargeBytes(f, x.length * 2);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(x);
  } catch (cause) {
    throw failure("argument", "string: the bytes are not UTF-8", {
      hint: cause instanceof TypeError ? "base64.encode(x) prints any bytes." : "",
    });
  }
}

function toBytes(f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (x instanceof Uint8Array) return x;
  const text = textAt("bytes", args, 0);
  chargeBytes(f, text.length * 2);
  return new TextEncoder().encode(text);
}

function toBool(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (typeof x === "boolean") return x;
  const text = textAt("bool", args, 0);
  if (["1", "t", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "false", "FALSE", "False"].includes(text)) return false;
  throw failure("argument", `bool: not a truth value: ${JSON.stringify(text.slice(0, 40))}`);
}

function toTimestamp(f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  f.budget.spend(TIME_TEXT_STEPS);
  if (x instanceof Timestamp) return x;
  if (typeof x === "string") return parseTimestamp(x);
  if (typeof x === "bigint") return timestampOf(x * SECOND);
  if (typeof x === "number" && Number.isFinite(x)) {
    return timestampOf(BigInt(Math.round(x * 1000)) * 1_000_000n);
  }
  throw wrongArguments("timestamp", args);
}

function toDuration(f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  f.budget.spend(TIME_TEXT_STEPS);
  if (x instanceof Duration) return x;
  if (typeof x === "string") return parseDuration(x);
  throw wrongArguments("duration", args);
}

function decode(f: Frame, args: readonly Value[]): Value {
  const text = textAt("base64.decode", args, 0);
  f.budget.spend(text.length >>> 1);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw failure("argument", "not base64");
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch (cause) {
    if (cause instanceof DOMException) throw failure("argument", "not base64");
    throw cause;
  }
}

function encode(f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (!(x instanceof Uint8Array)) throw wrongArguments("base64.encode", args);
  f.budget.spend(x.length >>> 1);
  return base64(x);
}

/** Functions that convert. */
export const CONVERSIONS: Table = new Map([
  ["size", fn("dyn > int", size)],
  ["int", fn("dyn > int", toInt)],
  ["uint", fn("dyn > uint", toUint)],
  ["double", fn("dyn > double", toDouble)],
  ["string", fn("dyn > string", toText)],
  ["bytes", fn("dyn > bytes", toBytes)],
  ["bool", fn("dyn > bool", toBool)],
  ["timestamp", fn("dyn > timestamp", toTimestamp)],
  ["duration", fn("dyn > duration", toDuration)],
  ["dyn", fn("dyn", (_f, a) => a[0] ?? null)],
  ["type", fn("dyn > type", (_f, a) => new TypeValue(typeName(a[0] ?? null)))],
  ["base64.encode", fn("bytes > string", encode)],
  ["base64.decode", fn("string > bytes", decode)],
]);

type Getter = "year" | "month" | "day" | "weekday" | "hour" | "minute" | "second" | "yearDay";

function getter(name: string, field: Getter, offset = 0, ofDuration?: bigint): Fn {
  return fn("time string? > int", (f, args) => {
    const [time] = args;
    if (!isTime(time)) throw wrongArguments(name, args);
    if (time instanceof Duration) {
      if (ofDuration === undefined) throw wrongArguments(name, args);
      return time.nanos / ofDuration;
    }
    const zone = args.length > 1 ? textAt(name, args, 1) : undefined;
    f.budget.spend(zone === undefined ? 8 : ZONE_STEPS);
    return BigInt(fieldsOf(time, zone)[field] + offset);
  });
}

function getMilliseconds(_f: Frame, args: readonly Value[]): Value {
  const [time] = args;
  if (!isTime(time)) throw wrongArguments("getMilliseconds", args);
  const rest = ((time.nanos % SECOND) + SECOND) % SECOND;
  return (time instanceof Duration ? time.nanos % SECOND : rest) / 1_000_000n;
}

/** Methods of timestamps and durations, and `size`. */
export const TIME_METHODS: Table = new Map([
  ["size", fn("dyn > int", size)],
  ["getFullYear", getter("getFullYear", "year")],
  ["getMonth", getter("getMonth", "month")],
  ["getDate", getter("getDate", "day")],
  ["getDayOfMonth", getter("getDayOfMonth", "day", -1)],
  ["getDayOfWeek", getter("getDayOfWeek", "weekday")],
  ["getDayOfYear", getter("getDayOfYear", "yearDay")],
  ["getHours", getter("getHours", "hour", 0, 3600n * SECOND)],
  ["getMinutes", getter("getMinutes", "minute", 0, 60n * SECOND)],
  ["getSeconds", getter("getSeconds", "second", 0, SECOND)],
  ["getMilliseconds", fn("time string? > int", getMilliseconds)],
]);
