/** The list functions, and the optional ones. Everything that copies a list is charged. */
import { type Budget, failure, NOWHERE } from "./failures.ts";
import { fn, listAt, type Table, wholeAt, wrongArguments } from "./fn.ts";
import { chargeItems, type Frame } from "./frame.ts";
import { compare, equals } from "./equality.ts";
import { arith } from "./operators.ts";
import { isMap, mapSize, Optional, type Value } from "./values.ts";

function sort(f: Frame, args: readonly Value[]): Value {
  const list = listAt("sort", args, 0);
  f.budget.spend(list.length);
  return list.toSorted((a, b) => {
    f.budget.spend(1);
    return compare("<", a, b, f, NOWHERE);
  });
}

function slice(f: Frame, args: readonly Value[]): Value {
  const list = listAt("slice", args, 0);
  const from = wholeAt("slice", args, 1), to = wholeAt("slice", args, 2);
  if (from < 0 || to < from || to > list.length) {
    throw failure("range", `slice(${from}, ${to}) is out of range`);
  }
  chargeItems(f, to - from);
  return list.slice(from, to);
}

function flatten(f: Frame, args: readonly Value[]): Value {
  const depth = args.length > 1 ? wholeAt("flatten", args, 1) : 1;
  if (depth < 0) throw failure("argument", "flatten: the depth is negative");
  const out: Value[] = [];
  const visit = (list: readonly Value[], level: number) => {
    for (const item of list) {
      f.budget.spend(1);
      if (level > 0 && Array.isArray(item)) visit(item, level - 1);
      else out.push(item);
    }
  };
  visit(listAt("flatten", args, 0), depth);
  return out;
}

function distinct(f: Frame, args: readonly Value[]): Value {
  const out: Value[] = [];
  const seen = new Set<string>();
  for (const item of listAt("distinct", args, 0)) {
    f.budget.spend(1);
    if (typeof item === "string") {
      f.budget.spend(1);
      if (!seen.has(item)) out.push(item);
      seen.add(item);
    } else if (!out.some((other) => (f.budget.spend(1), equals(item, other, f)))) out.push(item);
  }
  return out;
}

function sum(f: Frame, args: readonly Value[]): Value {
  let total: Value | undefined;
  for (const item of listAt("sum", args, 0)) {
    f.budget.spend(1);
    total = total === undefined ? item : arith("+", total, item, f, NOWHERE);
  }
  return total ?? 0n;
}

function extreme(name: "min" | "max") {
  return fn("list", (f, args) => {
    let best: Value | undefined;
    for (const item of listAt(name, args, 0)) {
      f.budget.spend(1);
      const c = best === undefined ? -1 : compare("<", item, best, f, NOWHERE);
      if (best === undefined || (name === "min" ? c < 0 : c > 0)) best = item;
    }
    if (best === undefined) throw failure("argument", `${name}: the list is empty`);
    return best;
  });
}

function range(f: Frame, args: readonly Value[]): Value {
  const count = wholeAt("lists.range", args, 0);
  f.budget.spend(2 * Math.max(0, count));
  return Array.from({ length: Math.max(0, count) }, (_, i) => BigInt(i));
}

function optionalAt(name: string, args: readonly Value[], i = 0): Optional {
  const value = args[i];
  if (value instanceof Optional) return value;
  throw wrongArguments(name, args);
}

function isZero(value: Value, budget: Budget): boolean {
  if (value === null || value === false || value === 0 || value === 0n || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value !== "object") return false;
  if ("nanos" in value) return value.nanos === 0n;
  if (value instanceof Uint8Array) return value.length === 0;
  return isMap(value) && mapSize(value, budget) === 0;
}

/** Methods of lists and optionals. */
export const LIST_METHODS: Table = new Map([
  ["sort", fn("list > list", sort)],
  ["slice", fn("list num num > list", slice)],
  ["flatten", fn("list num? > list", flatten)],
  ["distinct", fn("list > list", distinct)],
  ["sum", fn("list", sum)],
  ["min", extreme("min")],
  ["max", extreme("max")],
  [
    "first",
    fn("list > optional", (_f, a) => Optional.from(listAt("first", a, 0)[0])),
  ],
  ["last", fn("list > optional", (_f, a) => Optional.from(listAt("last", a, 0).at(-1)))],
  [
    "hasValue",
    fn("optional > bool", (_f, a) => optionalAt("hasValue", a).content !== undefined),
  ],
  [
    "value",
    fn("optional", (_f, a) => {
      const { content } = optionalAt("value", a);
      if (content === undefined) {
        throw failure("missing", "the optional has no value", {
          hint: "Give a default with .orValue(x).",
        });
      }
      return content;
    }),
  ],
]);

/** Functions under `optional.` and `lists.`. */
export const LIST_FUNCTIONS: Table = new Map([
  ["optional.of", fn("dyn > optional", (_f, a) => Optional.from(a[0]))],
  ["optional.none", fn(" > optional", () => Optional.none)],
  [
    "optional.ofNonZeroValue",
    fn(
      "dyn > optional",
      (f, [value]) =>
        value === undefined || isZero(value, f.budget) ? Optional.none : Optional.of(value),
    ),
  ],
  ["lists.range", fn("num > list", range)],
]);
