/**
 * Canonical JSON (RFC 8785), hashes over it, and the reading of JSON that must not lose
 * precision. Pure.
 */
import canonicalize from "canonicalize";
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { invalid, SyncError } from "./errors.ts";
import { JSON_DEPTH_MAX } from "./limits.ts";
import type { Json } from "./types.ts";

/** The RFC 8785 form of a value. */
export function canonical(value: unknown): string {
  return canonicalize(value) ?? "null";
}

/** SHA-256 of UTF-8 text, as lower-case hex. */
export function sha256(text: string): string {
  return hash("sha256", text, "hex");
}

/** An entry's version: the first 16 hex digits of the SHA-256 of its canonical JSON. */
export function versionOf(value: Json): string {
  return sha256(canonical(value)).slice(0, 16);
}

/** Bytes a value takes as UTF-8 JSON. */
export function jsonBytes(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}

const LONG_NUMBER = /\d{16}|\d[eE]\+?\d/;
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
  const checkNumbers = LONG_NUMBER.test(text);
  const checkText = SURROGATE.test(text);
  checkShape(value, "body", 0, checkNumbers, checkText);
  return value;
}

function checkShape(v: Json, path: string, depth: number, numbers: boolean, text: boolean): void {
  if (depth > JSON_DEPTH_MAX) {
    throw invalid(path.slice(0, 120), `JSON nests at most ${JSON_DEPTH_MAX} deep`);
  }
  if (typeof v === "number") {
    if (!numbers) return;
    if (!Number.isFinite(v)) throw invalid(path, "a finite number is wanted", 1);
    if (Number.isInteger(v) && !Number.isSafeInteger(v)) {
      throw invalid(
        path,
        "integers stay within ±(2^53−1); send larger ones as strings",
        "9007199254740993",
      );
    }
  } else if (typeof v === "string") {
    if (text && !v.isWellFormed()) throw invalid(path, "text without lone surrogates is wanted");
  } else if (Array.isArray(v)) {
    for (let i = 0; i < v.length; i++) checkShape(v[i]!, `${path}[${i}]`, depth + 1, numbers, text);
  } else if (v !== null && typeof v === "object") {
    for (const key of Object.keys(v)) {
      if (text && !key.isWellFormed()) {
        throw invalid(path, "member names without lone surrogates are wanted");
      }
      checkShape(v[key]!, `${path}.${key}`, depth + 1, numbers, text);
    }
  }
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
