/** Values, instants and numbers as short text, and a hue for each name. */
import type { Json } from "./model.ts";

const PREVIEW_LENGTH = 160;

/** A value on one line, cut where it is long; never walks more of it than it shows. */
export function preview(value: Json, length = PREVIEW_LENGTH): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > length ? `${value.slice(0, length)}…` : value);
  }
  if (value === null || typeof value !== "object") return String(value);
  const text = sketch(value, length, 0);
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

function sketch(value: Json, room: number, depth: number): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  }
  if (value === null || typeof value !== "object") return String(value);
  const isList = Array.isArray(value);
  if (depth > 3) return isList ? "[…]" : "{…}";
  const parts: string[] = [];
  let used = 0;
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    const item = (value as Record<string, Json>)[key]!;
    const part = (isList ? "" : `${key}: `) + sketch(item, room - used, depth + 1);
    parts.push(part);
    used += part.length + 2;
    if (used > room) break;
  }
  return isList ? `[${parts.join(", ")}]` : `{${parts.join(", ")}}`;
}

/** A number as people read it: at most three digits after the point. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) {
    return Math.abs(value) < 1e15 ? value.toLocaleString("en-US") : String(value);
  }
  return Math.abs(value) < 1e-3
    ? value.toExponential(2)
    : value.toLocaleString("en-US", { maximumFractionDigits: 3 });
}

/** A score or velocity: two digits. */
export function short(value: number): string {
  return value === 0
    ? "0"
    : value < 0.005
    ? "<.01"
    : value >= 10
    ? value.toFixed(0)
    : value.toFixed(2).replace(/^0/, "");
}

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000]] as const;

/** A span of ms in its two largest units. */
export function span(ms: number): string {
  const parts: string[] = [];
  let rest = Math.max(0, Math.round(ms / 1_000) * 1_000);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.length === 0 ? "0s" : parts.join(" ");
}

/** How long ago, in one word. */
export function ago(ms: number): string {
  if (ms < 2_000) return "now";
  const [unit, size] = UNITS.find(([, size]) => ms >= size) ?? UNITS[3];
  return `${Math.floor(ms / size)}${unit}`;
}

/** The clock time of an instant, in the reader's zone. */
export function clock(iso: string): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso : at.toLocaleTimeString("en-GB");
}

/** An instant in full, in the reader's zone. */
export function instant(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  return `${at.toLocaleDateString("en-CA")} ${at.toLocaleTimeString("en-GB")}.${
    String(at.getMilliseconds()).padStart(3, "0")
  }`;
}

/** "1 key", "2 keys". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}

const named = new Map<string, number>();

/** Gives each name a hue of its own, as far as seven go. */
export function noteNames(names: Iterable<string>): void {
  for (const name of names) if (!named.has(name)) named.set(name, named.size % 7);
}

/** One of seven hues that always goes with the same name; the service and admins have the eighth. */
export function hue(name: string): number {
  if (name === "admin" || name === "_system") return 7;
  const known = named.get(name);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) % 7 >>> 0;
}
