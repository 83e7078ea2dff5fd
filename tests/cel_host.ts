/** A small room for the tests of expressions: host maps with a few entries. */
import { Budget, CelMap, compile, type CompileOptions, type Env, evaluate } from "../cel.ts";
import { Timestamp, toJson, type Value } from "../cel.ts";
import type { Json } from "../types.ts";

/** A host map over plain data that counts its lookups. */
export class HostMap extends CelMap {
  lookups = 0;
  readonly #items: ReadonlyMap<string, Value>;
  constructor(items: Readonly<Record<string, Value>>) {
    super();
    this.#items = new Map(Object.entries(items));
  }
  get(key: string): Value | undefined {
    this.lookups++;
    return this.#items.get(key);
  }
  keys(): Iterable<string> {
    return this.#items.keys();
  }
  get size(): number {
    return this.#items.size;
  }
}

/** An entry with that value. */
export function entry(value: Json, score = 0.5): Value {
  return { value, _meta: { revision: 1, score, velocity: 0.25, writer: "alice" } };
}

/** The roots of a small room. */
export const ROOM: Readonly<Record<string, Value>> = {
  state: new HostMap({
    _shared: new HostMap({
      turn: entry(3),
      half: entry(0.5),
      phase: entry("play"),
      list: entry([1, 2, 3]),
      scores: entry(JSON.parse('{"alice":4,"bob":7,"__proto__":1}')),
      "alice.result": entry("done"),
      flag: entry(true),
      nothing: entry(null),
      zeta: entry({ deep: { n: 5 } }),
    }),
    alice: new HostMap({ secret: entry(42) }),
    self: new HostMap({ secret: entry(42) }),
    empty: new HostMap({}),
  }),
  views: new HostMap({ total: entry(10) }),
  agents: new HostMap({ alice: entry({ status: "idle" }), bob: entry({ status: "busy" }) }),
  actions: new HostMap({ move: entry({ available: true }) }),
  memory: new HostMap({}),
  messages: { count: 2, unread: 1, directed_unread: 0, unclaimed: 0, recent: [{ body: "hi" }] },
  self: "alice",
  params: { n: 2, key: "turn" },
  now: Timestamp.fromMillis(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
  room: { id: "r1", seq: 9 },
};

/** An environment over that room. */
export function roomEnv(steps?: number, call?: Env["call"]): Env {
  return {
    root: (name) => Object.hasOwn(ROOM, name) ? ROOM[name] : undefined,
    budget: new Budget(steps),
    ...(call ? { call } : {}),
  };
}

/** The value of an expression in that room. */
export function value(
  source: string,
  options: Partial<CompileOptions> = {},
  env = roomEnv(),
): Value {
  return evaluate(compile(source, { field: "if", place: "call", ...options }), env);
}

/** The value of an expression in that room as JSON. */
export function json(source: string, options: Partial<CompileOptions> = {}): Json {
  return toJson(value(source, options));
}
