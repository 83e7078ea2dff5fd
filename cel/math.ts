/** The functions under `math.`. */
import { failure, NOWHERE } from "./failures.ts";
import { type Fn, fn, type Table, wrongArguments } from "./fn.ts";
import type { Frame } from "./frame.ts";
import { compare } from "./equality.ts";
import { toInt64, toUint64 } from "./operators.ts";
import { isList, Uint, type Value } from "./values.ts";

function isNumber(value: Value | undefined): value is number | bigint | Uint {
  return typeof value === "number" || typeof value === "bigint" || value instanceof Uint;
}

function extreme(name: string, sign: 1 | -1): Fn {
  const run = (f: Frame, args: readonly Value[]): Value => {
    const [first] = args;
    const items = args.length === 1 && first !== undefined && isList(first) ? first : args;
    let best: Value | undefined;
    for (const item of items) {
      f.budget.spend(1);
      if (!isNumber(item)) throw wrongArguments(name, args);
      if (best === undefined || compare("<", item, best, f, NOWHERE) * sign > 0) best = item;
    }
    if (best === undefined) throw failure("argument", `${name}: the list is empty`);
    return best;
  };
  return { arity: Array.from({ length: 32 }, (_, i) => i + 1), run };
}

function rounding(name: string, round: (x: number) => number): Fn {
  return fn("num > num", (_f, args) => {
    const [x] = args;
    if (typeof x === "number") return round(x);
    if (isNumber(x)) return x;
    throw wrongArguments(name, args);
  });
}

function abs(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (typeof x === "number") return Math.abs(x);
  if (typeof x === "bigint") return toInt64(x < 0n ? -x : x);
  if (x instanceof Uint) return x;
  throw wrongArguments("math.abs", args);
}

function sign(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (typeof x === "number") return Math.sign(x);
  if (typeof x === "bigint") return x < 0n ? -1n : x > 0n ? 1n : 0n;
  if (x instanceof Uint) return new Uint(x.value > 0n ? 1n : 0n);
  throw wrongArguments("math.sign", args);
}

/** Half away from zero, unlike `Math.round`. */
function roundHalf(x: number): number {
  if (!Number.isFinite(x)) return x;
  const whole = Math.trunc(x);
  return Math.abs(x - whole) >= 0.5 ? whole + Math.sign(x) : whole;
}

function doubleTest(name: string, test: (x: number) => boolean): Fn {
  return fn("num > bool", (_f, args) => {
    if (typeof args[0] !== "number") throw wrongArguments(name, args);
    return test(args[0]);
  });
}

function bits(name: string, run: (a: bigint, b: bigint) => bigint): Fn {
  return fn("num num", (_f, args) => {
    const [a, b] = args;
    if (a instanceof Uint && b instanceof Uint) return toUint64(run(a.value, b.value));
    if (typeof a === "bigint" && typeof b === "bigint") return toInt64(run(a, b));
    throw wrongArguments(name, args);
  });
}

function bitNot(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (x instanceof Uint) return new Uint(BigInt.asUintN(64, ~x.value));
  if (typeof x === "bigint") return ~x;
  throw wrongArguments("math.bitNot", args);
}

function shift(name: string, toLeft: boolean): Fn {
  return fn("num num", (_f, args) => {
    const [x, by] = args;
    if (typeof by !== "bigint") throw wrongArguments(name, args);
    if (by < 0n) throw failure("argument", `${name}: negative offset`);
    if (!(x instanceof Uint) && typeof x !== "bigint") throw wrongArguments(name, args);
    const value = BigInt.asUintN(64, x instanceof Uint ? x.value : x);
    const moved = by > 63n ? 0n : BigInt.asUintN(64, toLeft ? value << by : value >> by);
    return x instanceof Uint ? new Uint(moved) : BigInt.asIntN(64, moved);
  });
}

function sqrt(_f: Frame, args: readonly Value[]): Value {
  const [x] = args;
  if (!isNumber(x)) throw wrongArguments("math.sqrt", args);
  return Math.sqrt(Number(x instanceof Uint ? x.value : x));
}

/** Functions under `math.`. */
export const MATH_FUNCTIONS: Table = new Map([
  ["math.greatest", extreme("math.greatest", 1)],
  ["math.least", extreme("math.least", -1)],
  ["math.ceil", rounding("math.ceil", Math.ceil)],
  ["math.floor", rounding("math.floor", Math.floor)],
  ["math.round", rounding("math.round", roundHalf)],
  ["math.trunc", rounding("math.trunc", Math.trunc)],
  ["math.abs", fn("num > num", abs)],
  ["math.sign", fn("num > num", sign)],
  ["math.sqrt", fn("num > double", sqrt)],
  ["math.isNaN", doubleTest("math.isNaN", Number.isNaN)],
  ["math.isInf", doubleTest("math.isInf", (x) => Math.abs(x) === Infinity)],
  ["math.isFinite", doubleTest("math.isFinite", Number.isFinite)],
  ["math.bitAnd", bits("math.bitAnd", (a, b) => a & b)],
  ["math.bitOr", bits("math.bitOr", (a, b) => a | b)],
  ["math.bitXor", bits("math.bitXor", (a, b) => a ^ b)],
  ["math.bitNot", fn("num", bitNot)],
  ["math.bitShiftLeft", shift("math.bitShiftLeft", true)],
  ["math.bitShiftRight", shift("math.bitShiftRight", false)],
]);
