/** The functions over rooms: those the host answers, and those that any map of entries has. */
import { failure } from "./failures.ts";
import { type Fn, type Table, textAt, wrongArguments } from "./fn.ts";
import type { Frame } from "./frame.ts";
import {
  type AnyMap,
  isMap,
  lookup,
  mapKeys,
  mapSize,
  member,
  Optional,
  type Value,
} from "./values.ts";

/** What the host answers through `Env.call`, and the generic ones beside it. */
export const HOST_FUNCTIONS: Readonly<
  Record<string, { readonly arity: readonly number[]; readonly receiver?: boolean }>
> = {
  salient: { arity: [2] },
  focus: { arity: [1] },
  peripheral: { arity: [1] },
  elided: { arity: [1] },
  active: { arity: [1] },
  written_by: { arity: [2] },
  velocity_above: { arity: [2] },
  top_n: { arity: [2] },
  contested: { arity: [1] },
  stale: { arity: [2] },
  val: { arity: [1] },
  meta: { arity: [2] },
  trust: { arity: [2] },
  trust_count: { arity: [2] },
  trust_judges: { arity: [2] },
  keys: { arity: [1], receiver: true },
  values: { arity: [1], receiver: true },
  entries: { arity: [1], receiver: true },
};

const GIVES: Readonly<Record<string, string>> = {
  trust: "num",
  trust_count: "num",
  trust_judges: "json",
};

/** `val(e)`: an entry's value; anything that is no entry is its own value. */
function val(_f: Frame, args: readonly Value[]): Value {
  const entry = unwrap(args[0]);
  if (!isMap(entry)) throw wrongArguments("val", args);
  const value = member(entry, "value");
  if (value === undefined) throw failure("missing", "val: the map has no member value");
  return value;
}

/** `meta(e, "field")`: a field of an entry's `_meta`; null when it has none. */
function meta(_f: Frame, args: readonly Value[]): Value {
  const entry = unwrap(args[0]), field = textAt("meta", args, 1);
  if (!isMap(entry)) throw wrongArguments("meta", args);
  const fields = member(entry, "_meta");
  if (fields === undefined) throw failure("missing", "meta: the map has no member _meta");
  return member(fields, field) ?? null;
}

function unwrap(value: Value | undefined): Value {
  if (value === undefined) throw failure("argument", "an argument is missing");
  if (!(value instanceof Optional)) return value;
  if (value.content === undefined) throw failure("missing", "the optional has no value");
  return value.content;
}

/** The keys of a map in key order, charged; what comes sorted is not sorted again. */
function sortedKeys(name: string, f: Frame, args: readonly Value[]): Value[] {
  const [map] = args;
  if (map === undefined || !isMap(map)) throw wrongArguments(name, args);
  const keys: Value[] = [];
  let isSorted = true;
  for (const key of mapKeys(map, f.budget)) {
    f.budget.spend(1);
    const last = keys.at(-1);
    if (last !== undefined && before(key, last)) isSorted = false;
    keys.push(key);
  }
  if (isSorted) return keys;
  f.budget.spend(keys.length * Math.ceil(Math.log2(keys.length) / 2));
  return keys.sort((a, b) => before(a, b) ? -1 : 1);
}

function before(a: Value, b: Value): boolean {
  if (typeof a === "string" && typeof b === "string") return a < b;
  if (typeof a === "bigint" && typeof b === "bigint") return a < b;
  return String(a) < String(b);
}

function collect(
  name: string,
  steps: number,
  pick: (key: Value, value: Value) => Value,
): Fn["run"] {
  return (f, args) => {
    const out: Value[] = [];
    const [map] = args;
    for (const key of sortedKeys(name, f, args)) {
      f.budget.spend(steps);
      const value = map !== undefined && isMap(map) ? lookup(map, key) : undefined;
      if (value !== undefined) out.push(pick(key, value));
    }
    return out;
  };
}

/** Methods of maps. */
export const MAP_METHODS: Table = new Map<string, Fn>([
  ["keys", { arity: [1], gives: "list", run: (f, a) => sortedKeys("keys", f, a) }],
  ["values", { arity: [1], gives: "list", run: collect("values", 1, (_key, value) => value) }],
  [
    "entries",
    {
      arity: [1],
      gives: "list",
      run: collect(
        "entries",
        5,
        (key, value) => new Map<Value, Value>([["key", key], ["entry", value]]),
      ),
    },
  ],
]);

/** The host may look at every entry of a map it is given. */
function chargeMap(f: Frame, map: AnyMap): void {
  f.budget.spend(1 + HOST_STEPS * mapSize(map, f.budget));
}

/** Steps that looking at one entry takes the host: it scores it. */
const HOST_STEPS = 4;

function dispatch(name: string): Fn["run"] {
  return (f, args) => {
    for (const arg of args) if (isMap(arg)) chargeMap(f, arg);
    if (!f.env.call) throw failure("unknown", `the function ${name}() is not available here`);
    return f.env.call(name, args);
  };
}

/** Functions over rooms. */
export const ROOM_FUNCTIONS: Table = new Map(
  Object.entries(HOST_FUNCTIONS).filter(([, shape]) => !shape.receiver).map(
    ([name, { arity }]): [string, Fn] => {
      const run = name === "val" ? val : name === "meta" ? meta : dispatch(name);
      const isData = name === "val" || name === "meta";
      return [name, { arity, gives: GIVES[name] ?? (isData ? "json" : "list"), run }];
    },
  ),
);
