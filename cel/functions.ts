/** Every function of the language in two tables: called by name, and called on a receiver. */
import { CONVERSIONS, TIME_METHODS } from "./convert.ts";
import { type Fn, fn, type Table, textAt } from "./fn.ts";
import { MAP_METHODS, ROOM_FUNCTIONS } from "./host.ts";
import { LIST_FUNCTIONS, LIST_METHODS } from "./lists.ts";
import { MATH_FUNCTIONS } from "./math.ts";
import { matches } from "./regex.ts";
import { STRING_FUNCTIONS, STRING_METHODS } from "./strings.ts";

/** Functions by name, those of a namespace with its prefix: `math.abs`. */
export const FUNCTIONS: Table = new Map<string, Fn>([
  ...CONVERSIONS,
  ...LIST_FUNCTIONS,
  ...MATH_FUNCTIONS,
  ...STRING_FUNCTIONS,
  ...ROOM_FUNCTIONS,
  [
    "matches",
    fn(
      "string string > bool",
      (f, a) => matches(textAt("matches", a, 0), textAt("matches", a, 1), f),
    ),
  ],
]);

/** Methods by name; the receiver is the first argument. */
export const METHODS: Table = new Map<string, Fn>([
  ...STRING_METHODS,
  ...LIST_METHODS,
  ...TIME_METHODS,
  ...MAP_METHODS,
]);

/** Names that stand before a dot to call a function of their own. */
export const NAMESPACES: ReadonlySet<string> = new Set([
  "optional",
  "math",
  "strings",
  "lists",
  "base64",
  "cel",
]);

/** Names of types, which are values too. */
export const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ["int", "int"],
  ["uint", "uint"],
  ["double", "double"],
  ["bool", "bool"],
  ["string", "string"],
  ["bytes", "bytes"],
  ["list", "list"],
  ["map", "map"],
  ["null_type", "null_type"],
  ["type", "type"],
  ["optional_type", "optional_type"],
]);
