/**
 * Canonical JSON (RFC 8785), hashes over it, and the reading of JSON that must not lose
 * precision. Pure.
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { shortDigest } from "./canonical/short-digest.ts";
import { invalid, SyncError } from "./errors.ts";
import { JSON_DEPTH_MAX } from "./limits.ts";
import type { Json, JsonObject } from "./types.ts";

/** The RFC 8785 form of plain JSON; members that are undefined are left out. Throws `TypeError`. */
export function canonical(value: unknown): string {
  if (value === null || value === undefined) return "null";
  switch (typeof value) {
    case "string":
      return canonicalText(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} is no JSON`);
      return `${value}`;
    case "boolean":
      return value ? "true" : "false";
    case "object":
      return Array.isArray(value)
        ? `[${value.map(canonical).join(",")}]`
        : canonicalMembers(value as Record<string, unknown>);
    default:
      throw new TypeError(`a ${typeof value} is no JSON`);
  }
}

function canonicalText(text: string): string {
  if (!text.isWellFormed()) throw new TypeError("text with a lone surrogate is no JSON");
  return JSON.stringify(text);
}

/** Members by UTF-16 code unit, as RFC 8785 orders them. */
function canonicalMembers(value: Record<string, unknown>): string {
  let text = "{";
  for (const key of inOrder(Object.keys(value))) {
    const member = value[key];
    if (member === undefined) continue;
    text += `${text.length > 1 ? "," : ""}${canonicalText(key)}:${canonical(member)}`;
  }
  return `${text}}`;
}

const FEW = 12;

/** Sorts names in place; a few of them faster than `sort` does. */
function inOrder(names: string[]): string[] {
  if (names.length > FEW) return names.sort();
  for (let i = 1; i < names.length; i++) {
    const name = names[i]!;
    let at = i;
    for (; at > 0 && names[at - 1]! > name; at--) names[at] = names[at - 1]!;
    names[at] = name;
  }
  return names;
}

/** SHA-256 of UTF-8 text, as lower-case hex. */
export function sha256(text: string): string {
  return shortDigest(text) ?? hash("sha256", text, "hex");
}

/** An entry's version: the first 16 hex digits of the SHA-256 of its canonical JSON. */
export function versionOf(value: Json): string {
  return sha256(canonical(value)).slice(0, 16);
}

/** Bytes a value takes as UTF-8 JSON. */
export function jsonBytes(value: Json): number {
  if (typeof value === "number") return `${value}`.length;
  return Buffer.byteLength(JSON.stringify(value));
}

/** What text has in which a number may be infinite, or an integer that a double would round. */
const LONG_NUMBER = /\d{16}|\d[eE]\+?\d/;
/** As a measure such as 6.02e23 is not: whoever writes it so wants the nearest double. */
const INTEGER = /^-?\d+(\.0*)?$/;
const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * Parses a request body: JSON whose integers are exact and whose strings are well-formed.
 * Throws `invalid_json` or `invalid_argument`.
 */
export function parseJson(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new SyncError("invalid_json", `The body is not JSON: ${(error as Error).message}.`, {
      hint: "Send one JSON object, UTF-8 encoded, with Content-Type: application/json.",
      example: { params: {} },
    });
  }
  const numbers = LONG_NUMBER.test(text);
  const found = faultOf(numbers ? markInexact(text) : value, 0, numbers, SURROGATE.test(text));
  if (found) throw invalid(`body${found.path}`.slice(0, 120), found.detail, found.example);
  return value;
}

/** The same with NaN for every number that is written as an integer and that a double would round. */
function markInexact(text: string): Json {
  return JSON.parse(text, (_key: string, value: Json, context?: { source?: string }) => {
    const isWrong = typeof value === "number" && !Number.isSafeInteger(value) &&
      INTEGER.test(context?.source ?? "");
    return isWrong && Number.isFinite(value) ? NaN : value;
  }) as Json;
}

/** What is wrong with a value, and where below it. */
interface Fault {
  readonly path: string;
  readonly detail: string;
  readonly example?: Json;
}

function faultOf(v: Json, depth: number, numbers: boolean, text: boolean): Fault | undefined {
  if (depth > JSON_DEPTH_MAX) {
    return { path: "", detail: `JSON nests at most ${JSON_DEPTH_MAX} deep` };
  }
  if (typeof v === "number") return numbers ? numberFault(v) : undefined;
  if (typeof v === "string") {
    if (!text || v.isWellFormed()) return undefined;
    return { path: "", detail: "text without lone surrogates is wanted" };
  }
  if (v === null || typeof v !== "object") return undefined;
  for (const key of Object.keys(v)) {
    if (text && !key.isWellFormed()) {
      return { path: "", detail: "member names without lone surrogates are wanted" };
    }
    const fault = faultOf((v as JsonObject)[key]!, depth + 1, numbers, text);
    if (!fault) continue;
    const step = Array.isArray(v) ? `[${key}]` : `.${key}`;
    return { ...fault, path: `${step}${fault.path}` };
  }
  return undefined;
}

function numberFault(v: number): Fault | undefined {
  if (Number.isFinite(v)) return undefined;
  if (!Number.isNaN(v)) return { path: "", detail: "a finite number is wanted", example: 1 };
  const detail = "integers stay within ±(2^53−1); send larger ones as strings";
  return { path: "", detail, example: "12345678901234567890" };
}

/** Copies JSON so that every member is an own one, whatever its name (`__proto__` included). */
export function setOwn(target: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else {
    target[key] = value;
  }
}

/** RFC 7396 merge patch: null deletes, objects merge, all else replaces. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const result: Record<string, Json> = {};
  if (target !== null && typeof target === "object" && !Array.isArray(target)) {
    for (const key of Object.keys(target)) setOwn(result, key, target[key]!);
  }
  for (const key of Object.keys(patch)) {
    const operand = patch[key]!;
    if (operand === null) delete result[key];
    else {setOwn(
        result,
        key,
        mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, operand),
      );}
  }
  return result;
}
