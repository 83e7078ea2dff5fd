/** Which families of types an operator takes, what it then gives, and advice when it does not. */
import { BOOL, DYN, family, kind, type Type } from "./kinds.ts";

/** Advice for an optional that is used as its value. */
export function optionalHint(type: Type): string | undefined {
  return type.kind === "optional" ? "Give the optional a default with .orValue(x)." : undefined;
}

/** Advice for text that meets another family. */
export function textHint(a: string, b: string): string | undefined {
  const sides = [a, b];
  if (!sides.includes("string")) return undefined;
  if (sides.includes("num")) return "Convert one side: string(x), double(x) or int(x).";
  if (sides.includes("timestamp")) return "Times from JSON are text: convert with timestamp(x).";
  if (sides.includes("duration")) return 'A duration is written duration("5m").';
  return undefined;
}

const ORDERED = new Set(["num", "string", "bool", "bytes", "timestamp", "duration"]);

/** The type of an ordering; undefined when the sides never fit. */
export function orderType(x: Type, y: Type): Type | undefined {
  const [p, q] = [family(x), family(y)];
  if (p !== "any" && !ORDERED.has(p)) return undefined;
  if (q !== "any" && !ORDERED.has(q)) return undefined;
  return p === q || p === "any" || q === "any" ? BOOL : undefined;
}

/** The type of an arithmetic operation; undefined when the sides never fit. */
export function arithType(op: string, x: Type, y: Type): Type | undefined {
  const [p, q] = [family(x), family(y)];
  if (p === "num" && q === "num") {
    return x.kind === y.kind
      ? x
      : x.kind === "uint" || y.kind === "uint"
      ? undefined
      : kind("double");
  }
  const pairs = ARITH[op] ?? NUMBERS;
  const fits = pairs.filter(([l, r]) => (p === "any" || p === l) && (q === "any" || q === r));
  const [only] = fits;
  if (!only) return undefined;
  if (fits.length > 1) return DYN;
  return only[2] === "num"
    ? kind("num")
    : only[2] === "list"
    ? { kind: "list", of: DYN }
    : kind(only[2]);
}

const NUMBERS: readonly (readonly [string, string, string])[] = [["num", "num", "num"]];
const ARITH: Readonly<Record<string, typeof NUMBERS>> = {
  "+": [
    ...NUMBERS,
    ["string", "string", "string"],
    ["bytes", "bytes", "bytes"],
    ["list", "list", "list"],
    ["timestamp", "duration", "timestamp"],
    ["duration", "timestamp", "timestamp"],
    ["duration", "duration", "duration"],
  ],
  "-": [
    ...NUMBERS,
    ["timestamp", "timestamp", "duration"],
    ["timestamp", "duration", "timestamp"],
    ["duration", "duration", "duration"],
  ],
};
