/** Timestamps and durations: parsing, printing, bounds, and the getters with time zones. */
import type { Position } from "./failures.ts";
import { failure } from "./failures.ts";
import { Duration, Timestamp } from "./values.ts";

const SECOND = 1_000_000_000n;
const TIMESTAMP_MIN = -62_135_596_800n * SECOND;
const TIMESTAMP_MAX = 253_402_300_800n * SECOND - 1n;
const DURATION_MAX = 315_576_000_000n * SECOND;
const INT_MAX = 2n ** 63n - 1n;

/** The moment, or a failure outside the years 1 to 9999. */
export function timestampOf(nanos: bigint, at?: Position): Timestamp {
  if (nanos < TIMESTAMP_MIN || nanos > TIMESTAMP_MAX) {
    throw failure("range", "timestamp out of range", at ? { position: at } : {});
  }
  return new Timestamp(nanos);
}

/** The span, or a failure beyond what 64 bits of nanoseconds hold. */
export function durationOf(nanos: bigint, at?: Position): Duration {
  const size = nanos < 0n ? -nanos : nanos;
  if (size > DURATION_MAX || size > INT_MAX) {
    throw failure("range", "duration out of range", at ? { position: at } : {});
  }
  return new Duration(nanos);
}

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** An RFC 3339 text as a moment. */
export function parseTimestamp(text: string): Timestamp {
  const parts = text.length <= 64 ? RFC3339.exec(text) : null;
  const bad = () =>
    failure("argument", `not a timestamp: ${JSON.stringify(text.slice(0, 40))}`, {
      hint: 'A timestamp is text such as "2026-01-31T12:00:00Z".',
    });
  if (!parts) throw bad();
  const number = (i: number) => Number(parts[i] ?? 0);
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(number);
  const date = new Date(0);
  date.setUTCFullYear(year ?? 0, (month ?? 1) - 1, day ?? 1);
  date.setUTCHours(hour ?? 0, minute ?? 0, second ?? 0);
  // A day that the month lacks moves the month.
  const isReal = date.getUTCMonth() + 1 === month &&
    date.getUTCHours() === hour && date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second && number(9) < 24 && number(10) < 60;
  if (!isReal) throw bad();
  const offset = (number(9) * 60 + number(10)) * (parts[8] === "-" ? -60 : 60);
  const seconds = BigInt(date.getTime() / 1000 - offset);
  return timestampOf(seconds * SECOND + BigInt((parts[7] ?? "").padEnd(9, "0") || "0"));
}

const UNITS: Readonly<Record<string, bigint>> = {
  h: 3_600n * SECOND,
  m: 60n * SECOND,
  s: SECOND,
  ms: 1_000_000n,
  us: 1_000n,
  "µs": 1_000n,
  ns: 1n,
};

/** A text such as `1h30m`, `-1.5s` or `250ms` as a span. */
export function parseDuration(text: string): Duration {
  const bad = () =>
    failure("argument", `not a duration: ${JSON.stringify(text.slice(0, 40))}`, {
      hint: 'A duration is text such as "90s", "1h30m" or "250ms".',
    });
  if (
    text.length > 64 || !/^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:h|ms|m|s|us|µs|ns))+)$/.test(text)
  ) {
    throw bad();
  }
  let nanos = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of text.matchAll(/(\d*)\.?(\d*)([a-zµ]+)/g)) {
    const scale = UNITS[unit];
    if (scale === undefined) throw bad();
    nanos += BigInt(whole || "0") * scale;
    if (fraction !== "") nanos += BigInt(fraction) * scale / 10n ** BigInt(fraction.length);
  }
  return durationOf(text.startsWith("-") ? -nanos : nanos);
}

function fraction(nanos: bigint): string {
  return nanos === 0n ? "" : "." + nanos.toString().padStart(9, "0").replace(/0+$/, "");
}

/** The span in seconds: `12.5s`. */
export function formatDuration(duration: Duration): string {
  const size = duration.nanos < 0n ? -duration.nanos : duration.nanos;
  return `${duration.nanos < 0n ? "-" : ""}${size / SECOND}${fraction(size % SECOND)}s`;
}

/** The moment as RFC 3339 with as many digits as it needs. */
export function formatTimestamp(timestamp: Timestamp): string {
  const nanos = ((timestamp.nanos % SECOND) + SECOND) % SECOND;
  const date = new Date(Number((timestamp.nanos - nanos) / 1_000_000n));
  return date.toISOString().replace(/\.\d+Z$/, `${fraction(nanos)}Z`);
}

/** The moment as ISO 8601 in milliseconds, as every JSON reply has it. */
export function isoMillis(timestamp: Timestamp): string {
  return new Date(timestamp.millis).toISOString();
}

/** A moment's fields in a time zone. */
export interface Fields {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly yearDay: number;
}

function utcFields(ms: number): Fields {
  const d = new Date(ms);
  const first = new Date(ms);
  first.setUTCMonth(0, 1);
  return {
    year: d.getUTCFullYear(),
    month: d.getUTCMonth(),
    day: d.getUTCDate(),
    weekday: d.getUTCDay(),
    hour: d.getUTCHours(),
    minute: d.getUTCMinutes(),
    second: d.getUTCSeconds(),
    yearDay: Math.round((d.getTime() - first.getTime()) / 86_400_000),
  };
}

const FORMATS_MAX = 64;
const formats = new Map<string, Intl.DateTimeFormat>();

function zoneFormat(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  if (formats.size >= FORMATS_MAX) formats.clear();
  try {
    const made = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      era: "short",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, made);
    return made;
  } catch (cause) {
    throw failure("argument", `unknown time zone: ${JSON.stringify(zone.slice(0, 40))}`, {
      hint: cause instanceof RangeError ? 'Zones are "UTC", "+02:00" or "Europe/Berlin".' : "",
    });
  }
}

/** The fields of a moment in a zone: `UTC`, `+02:00`, `02:00` or an IANA name. */
export function fieldsOf(timestamp: Timestamp, zone: string | undefined): Fields {
  const ms = timestamp.millis;
  if (zone === undefined || zone === "" || zone === "UTC" || zone === "Z") return utcFields(ms);
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return utcFields(ms + (offset[1] === "-" ? -minutes : minutes) * 60_000);
  }
  const parts = new Map(zoneFormat(zone).formatToParts(ms).map((p) => [p.type, p.value]));
  const number = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type) ?? 0);
  const local = new Date(0);
  local.setUTCFullYear(number("year"), number("month") - 1, number("day"));
  local.setUTCHours(number("hour"), number("minute"), number("second"));
  return utcFields(local.getTime());
}
