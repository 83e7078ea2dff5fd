/** The helper functions of expressions that need to know the reader: salience, writers, contest. */
import { CelError, type Value } from "../cel.ts";
import { ELIDE_THRESHOLD, FOCUS_THRESHOLD, velocityAt } from "../salience.ts";
import type { Sight } from "../sight.ts";
import type { Entry } from "../types.ts";
import { callTrust } from "./actors.ts";
import { contestedWith, EntriesMap } from "./maps.ts";

type Test = (map: EntriesMap, key: string, entry: Entry) => boolean;

/** Calls a helper by name. Throws `CelError` for arguments it cannot work on. */
export function callHelper(sight: Sight, name: string, args: readonly Value[]): Value {
  if (name.startsWith("trust")) return callTrust(sight, name, args);
  const map = args[0];
  if (!(map instanceof EntriesMap)) {
    throw new CelError(
      "argument",
      `${name}() works on a scope, such as state._shared, or on views, agents, actions`,
    );
  }
  if (name === "top_n") return passing(sight, map, name, args, topN(map, numberArg(name, args[1])));
  const test = testOf(sight, name, args);
  const keys = [...map.keys()].filter((key) => {
    const entry = map.entryAt(key);
    return entry !== undefined && test(map, key, entry);
  });
  return LASTING.has(name) ? keys : passing(sight, map, name, args, keys);
}

const LASTING: ReadonlySet<string> = new Set(["written_by", "contested", "stale"]);

function passing(
  sight: Sight,
  map: EntriesMap,
  name: string,
  args: readonly Value[],
  keys: string[],
): Value {
  const rest = args.slice(1).map((arg) =>
    `, ${typeof arg === "string" ? JSON.stringify(arg) : String(arg)}`
  );
  sight.passVolatile(`${name}(${map.path}${rest.join("")})`, keys);
  return keys;
}

function testOf(sight: Sight, name: string, args: readonly Value[]): Test {
  switch (name) {
    case "salient": {
      const threshold = numberArg(name, args[1]);
      return (map, key) => map.scoreAt(key) >= threshold;
    }
    case "focus":
      return (map, key) => map.scoreAt(key) >= FOCUS_THRESHOLD;
    case "peripheral":
      return (map, key) =>
        map.scoreAt(key) >= ELIDE_THRESHOLD && map.scoreAt(key) < FOCUS_THRESHOLD;
    case "elided":
      return (map, key) => map.scoreAt(key) < ELIDE_THRESHOLD;
    case "active":
      return (map, key) => map.scoreAt(key) >= ELIDE_THRESHOLD;
    case "written_by":
      return (_map, _key, entry) => entry.writer === args[1];
    case "velocity_above": {
      const threshold = numberArg(name, args[1]);
      return (_map, _key, entry) => velocityAt(entry, sight.now) >= threshold;
    }
    case "contested":
      return (_map, key) => contestedWith(sight, key).length > 0;
    case "stale": {
      const count = numberArg(name, args[1]);
      return (_map, _key, entry) => (entry.stats?.invocations ?? 0) < count;
    }
    default:
      throw new CelError("argument", `there is no helper ${name}()`);
  }
}

function topN(map: EntriesMap, n: number): string[] {
  const scored = [...map.keys()].map((key, index) => ({ key, index, score: map.scoreAt(key) }));
  scored.sort((a, b) => b.score - a.score || a.index - b.index);
  return scored.slice(0, Math.max(0, Math.floor(n))).map(({ key }) => key);
}

function numberArg(name: string, value: Value | undefined): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  throw new CelError("argument", `${name}() wants a number`);
}
