/** The string functions, over code points. Everything that copies text is charged. */
import { failure } from "./failures.ts";
import { fn, type Table, textAt, wholeAt, wrongArguments } from "./fn.ts";
import { chargeBytes, chargeItems, type Frame } from "./frame.ts";
import { formatText } from "./format.ts";
import { printText } from "./print.ts";
import { matches } from "./regex.ts";
import { isList, type Value } from "./values.ts";

/** True when every UTF-16 unit is a code point of its own. */
function isSimple(text: string): boolean {
  return !/[\ud800-\udfff]/.test(text);
}

/** How many code points a text has. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i + 1 < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdbff) continue;
    const next = text.charCodeAt(i + 1);
    if (next >= 0xdc00 && next <= 0xdfff) {
      count--;
      i++;
    }
  }
  return count;
}

function outOfRange(name: string, index: number): Error {
  return failure("range", `${name}: index ${index} is out of range`);
}

function charAt(f: Frame, args: readonly Value[]): Value {
  const text = textAt("charAt", args, 0), index = wholeAt("charAt", args, 1);
  chargeBytes(f, text.length);
  const chars = isSimple(text) ? text : pointsOf(text, f);
  if (index < 0 || index > chars.length) throw outOfRange("charAt", index);
  return chars[index] ?? "";
}

function pointsOf(text: string, f: Frame): string[] {
  f.budget.spend(text.length >>> 2);
  return [...text];
}

function indexOf(f: Frame, args: readonly Value[]): Value {
  const text = textAt("indexOf", args, 0), part = textAt("indexOf", args, 1);
  const from = args.length > 2 ? wholeAt("indexOf", args, 2) : 0;
  chargeSearch(f, text, part);
  const size = codePoints(text);
  if (from < 0 || from > size) {
    if (part === "" && from === size) return BigInt(size);
    throw outOfRange("indexOf", from);
  }
  const at = text.indexOf(part, unitIndex(text, from, f));
  return BigInt(at < 0 ? -1 : codePoints(text.slice(0, at)));
}

function lastIndexOf(f: Frame, args: readonly Value[]): Value {
  const text = textAt("lastIndexOf", args, 0), part = textAt("lastIndexOf", args, 1);
  // Backwards the engine compares the part at every place.
  f.budget.spend((text.length >>> 5) + Math.ceil(text.length * part.length / 48));
  const size = codePoints(text);
  const from = args.length > 2 ? wholeAt("lastIndexOf", args, 2) : size;
  if (from < 0 || from > size) throw outOfRange("lastIndexOf", from);
  const at = text.lastIndexOf(part, unitIndex(text, from, f));
  return BigInt(at < 0 ? -1 : codePoints(text.slice(0, at)));
}

/** A search may look at the part again for each place in the text. */
function chargeSearch(f: Frame, text: string, part: string): void {
  f.budget.spend(((text.length * Math.min(part.length, 32)) >>> 6) + (text.length >>> 5));
  if (part.length > 32) f.budget.spend(Math.ceil(text.length * part.length / 4096));
}

function unitIndex(text: string, index: number, f: Frame): number {
  if (isSimple(text)) return index;
  return pointsOf(text, f).slice(0, index).join("").length;
}

function substring(f: Frame, args: readonly Value[]): Value {
  const text = textAt("substring", args, 0), from = wholeAt("substring", args, 1);
  chargeBytes(f, text.length);
  const isPlain = isSimple(text);
  const chars = isPlain ? text : pointsOf(text, f);
  const to = args.length > 2 ? wholeAt("substring", args, 2) : chars.length;
  if (from < 0 || from > chars.length) throw outOfRange("substring", from);
  if (to < from || to > chars.length) throw outOfRange("substring", to);
  return typeof chars === "string" ? chars.slice(from, to) : chars.slice(from, to).join("");
}

function split(f: Frame, args: readonly Value[]): Value {
  const text = textAt("split", args, 0), by = textAt("split", args, 1);
  const limit = args.length > 2 ? wholeAt("split", args, 2) : -1;
  chargeSearch(f, text, by);
  if (limit === 0) return [];
  const parts = by === "" ? pointsOf(text, f) : text.split(by);
  f.budget.spend(parts.length >>> 1);
  if (limit < 0 || parts.length <= limit) return parts;
  return [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(by)];
}

function replace(f: Frame, args: readonly Value[]): Value {
  const text = textAt("replace", args, 0), from = textAt("replace", args, 1);
  const to = textAt("replace", args, 2);
  const limit = args.length > 3 ? wholeAt("replace", args, 3) : -1;
  chargeSearch(f, text, from);
  const pieces = from === "" ? ["", ...pointsOf(text, f), ""] : text.split(from);
  const times = limit < 0 ? pieces.length - 1 : Math.min(limit, pieces.length - 1);
  f.budget.spend(pieces.length >>> 1);
  chargeBytes(f, text.length + times * to.length);
  return pieces.slice(0, times + 1).join(to) +
    pieces.slice(times + 1).map((piece) => from + piece).join("");
}

function join(f: Frame, args: readonly Value[]): Value {
  const [list] = args;
  if (list === undefined || !isList(list)) throw wrongArguments("join", args);
  const by = args.length > 1 ? textAt("join", args, 1) : "";
  chargeItems(f, list.length * 4);
  let length = by.length * list.length;
  for (const part of list) {
    if (typeof part !== "string") throw wrongArguments("join", args);
    length += part.length;
  }
  chargeBytes(f, length);
  return list.join(by);
}

function reverse(f: Frame, args: readonly Value[]): Value {
  const [subject] = args;
  if (typeof subject === "string") return pointsOf(subject, f).reverse().join("");
  if (subject === undefined || !isList(subject)) throw wrongArguments("reverse", args);
  chargeItems(f, subject.length);
  return subject.toReversed();
}

function ascii(shift: (text: string) => string, pattern: RegExp, name: string) {
  return fn("string > string", (f, args) => {
    const text = textAt(name, args, 0);
    f.budget.spend(text.length >>> 4);
    if (/^[\0-\x7f]*$/.test(text)) return shift(text);
    f.budget.spend(text.length >>> 1);
    return text.replace(pattern, shift);
  });
}

const SPACE = /^\p{White_Space}$/u;

function trim(f: Frame, args: readonly Value[]): Value {
  const text = textAt("trim", args, 0);
  f.budget.spend(text.length >>> 5);
  let start = 0, end = text.length;
  const isSpace = (i: number) => SPACE.test(text.charAt(i));
  while (start < end && isSpace(start)) start++;
  while (end > start && isSpace(end - 1)) end--;
  f.budget.spend((start + text.length - end) >>> 1);
  return text.slice(start, end);
}

function search(name: "contains" | "startsWith" | "endsWith") {
  return fn("string string > bool", (f, args) => {
    const text = textAt(name, args, 0), part = textAt(name, args, 1);
    if (name !== "contains") chargeBytes(f, 2 * part.length);
    if (name === "startsWith") return text.startsWith(part);
    if (name === "endsWith") return text.endsWith(part);
    chargeSearch(f, text, part);
    return text.includes(part);
  });
}

/** Methods of text. */
export const STRING_METHODS: Table = new Map([
  ["contains", search("contains")],
  ["startsWith", search("startsWith")],
  ["endsWith", search("endsWith")],
  [
    "matches",
    fn(
      "string string > bool",
      (f, a) => matches(textAt("matches", a, 0), textAt("matches", a, 1), f),
    ),
  ],
  ["charAt", fn("string num > string", charAt)],
  ["indexOf", fn("string string num? > int", indexOf)],
  ["lastIndexOf", fn("string string num? > int", lastIndexOf)],
  ["substring", fn("string num num? > string", substring)],
  ["split", fn("string string num? > list", split)],
  ["replace", fn("string string string num? > string", replace)],
  ["join", fn("list string? > string", join)],
  ["reverse", fn("dyn", reverse)],
  ["trim", fn("string > string", trim)],
  ["lowerAscii", ascii((c) => c.toLowerCase(), /[A-Z]+/g, "lowerAscii")],
  ["upperAscii", ascii((c) => c.toUpperCase(), /[a-z]+/g, "upperAscii")],
  [
    "format",
    fn("string list > string", (f, a) => {
      const values = a[1];
      if (values === undefined || !isList(values)) throw wrongArguments("format", a);
      return formatText(textAt("format", a, 0), values, f);
    }),
  ],
]);

/** Functions of text under `strings.`. */
export const STRING_FUNCTIONS: Table = new Map([
  [
    "strings.quote",
    fn("string > string", (f, a) => {
      const text = textAt("strings.quote", a, 0);
      f.budget.spend(text.length);
      return printText(text);
    }),
  ],
]);
