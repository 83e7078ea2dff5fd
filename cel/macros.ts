/** The macros as closures. Every element is a step; quantifiers absorb failures, others do not. */
import { type Budget, type CelError, failure, type Unread } from "./failures.ts";
import { absorb, type Frame, type Node, type Run } from "./frame.ts";
import type { Walk } from "./scope.ts";
import { printText } from "./print.ts";
import {
  isList,
  isMap,
  looksLikeEntry,
  lookup,
  mapKey,
  mapKeys,
  Optional,
  shortTypeName,
  type Value,
} from "./values.ts";

/** A walking macro with its parts compiled. */
export interface WalkRuns {
  readonly walk: Walk;
  readonly node: Node;
  readonly list: Run;
  /** Slots of its one or two variables. */
  readonly slots: readonly number[];
  readonly bodies: readonly Run[];
}

/** What a macro walks: elements of a list, keys of a map. */
function* pairs(container: Value, w: WalkRuns, budget: Budget): Generator<readonly [Value, Value]> {
  if (isList(container)) {
    for (let i = 0; i < container.length; i++) yield [BigInt(i), container[i] ?? null];
  } else if (isMap(container)) {
    for (const key of mapKeys(container, budget)) yield [key, lookup(container, key) ?? null];
  } else throw noWalk(container, w);
}

function noWalk(value: Value, w: WalkRuns): CelError {
  const error = failure(
    "overload",
    `${w.walk.kind}() walks a list or a map, not ${shortTypeName(value)}`,
    {
      position: w.node,
      help: "expressions",
    },
  );
  if (looksLikeEntry(value)) error.hint = "An entry is {value, _meta}: walk its .value.";
  return error;
}

/** Calls `visit` for each element with the variables set, until it returns true. */
export function eachElement(w: WalkRuns, f: Frame, visit: (shown: Value) => boolean): void {
  const container = w.list(f);
  const [first = 0, second] = w.slots;
  if (second !== undefined) {
    for (const [key, value] of pairs(container, w, f.budget)) {
      f.budget.spend(2);
      f.vars[first] = key;
      f.vars[second] = value;
      if (visit(isList(container) ? value : key)) return;
    }
    return;
  }
  if (isList(container)) {
    for (let i = 0; i < container.length; i++) {
      f.budget.spend(1);
      const element = container[i] ?? null;
      f.vars[first] = element;
      if (visit(element)) return;
    }
    return;
  }
  if (!isMap(container)) throw noWalk(container, w);
  for (const key of mapKeys(container, f.budget)) {
    f.budget.spend(1);
    f.vars[first] = key;
    if (visit(key)) return;
  }
}

/** The predicate's answer; a failure for anything but a boolean. */
export function isTrue(run: Run, f: Frame, w: WalkRuns): boolean {
  const answer = run(f);
  if (typeof answer === "boolean") return answer;
  throw failure("overload", `${w.walk.kind}() wants a bool, not ${shortTypeName(answer)}`, {
    position: w.walk.bodies[0] ?? w.node,
  });
}

function quantifier(w: WalkRuns, stop: boolean): Run {
  const [body] = w.bodies as [Run];
  return (f) => {
    let failed: CelError | Unread | undefined;
    let isStopped = false;
    eachElement(w, f, () => {
      try {
        return isStopped = isTrue(body, f, w) === stop;
      } catch (error) {
        const absorbed = absorb(f, error);
        failed ??= absorbed;
        return false;
      }
    });
    if (isStopped) return stop;
    if (failed) throw failed;
    return !stop;
  };
}

function existsOne(w: WalkRuns): Run {
  const [body] = w.bodies as [Run];
  return (f) => {
    let count = 0;
    eachElement(w, f, () => {
      if (isTrue(body, f, w)) count++;
      return false;
    });
    return count === 1;
  };
}

function mapping(w: WalkRuns): Run {
  const [predicate, transform] = w.bodies.length === 2 ? w.bodies : [undefined, w.bodies[0]];
  return (f) => {
    const out: Value[] = [];
    eachElement(w, f, () => {
      if (!predicate || isTrue(predicate, f, w)) out.push((transform as Run)(f));
      return false;
    });
    return out;
  };
}

function filtering(w: WalkRuns): Run {
  const [predicate] = w.bodies as [Run];
  return (f) => {
    const out: Value[] = [];
    eachElement(w, f, (element) => {
      if (isTrue(predicate, f, w)) out.push(element);
      return false;
    });
    return out;
  };
}

function transformMap(w: WalkRuns): Run {
  const [predicate, transform] = w.bodies.length === 2 ? w.bodies : [undefined, w.bodies[0]];
  const [first = 0] = w.slots;
  return (f) => {
    const out = new Map<Value, Value>();
    eachElement(w, f, () => {
      const key = mapKey(f.vars[first] ?? null);
      if (key !== undefined && (!predicate || isTrue(predicate, f, w))) {
        out.set(key, (transform as Run)(f));
      }
      return false;
    });
    return out;
  };
}

/** The closure of a walking macro. */
export function compileWalk(w: WalkRuns): Run {
  switch (w.walk.kind) {
    case "all":
      return quantifier(w, false);
    case "exists":
      return quantifier(w, true);
    case "exists_one":
      return existsOne(w);
    case "map":
    case "transformList":
      return mapping(w);
    case "filter":
      return filtering(w);
    case "transformMap":
      return transformMap(w);
  }
}

/** `cel.bind(x, value, body)`. */
export function compileBind(value: Run, slot: number, body: Run): Run {
  return (f) => {
    f.budget.spend(2);
    f.vars[slot] = value(f);
    return body(f);
  };
}

/** `o.optMap(x, body)` and `o.optFlatMap(x, body)`. */
export function compileOptMap(
  parts: { readonly value: Run; readonly slot: number; readonly body: Run; readonly flat: boolean },
  node: Node,
): Run {
  return (f) => {
    f.budget.spend(2);
    const optional = parts.value(f);
    if (!(optional instanceof Optional)) {
      throw failure("overload", `optMap wants an optional, not ${shortTypeName(optional)}`, {
        position: node,
      });
    }
    if (optional.content === undefined) return optional;
    f.vars[parts.slot] = optional.content;
    const result = parts.body(f);
    if (!parts.flat) return Optional.of(result);
    if (result instanceof Optional) return result;
    throw failure("overload", `optFlatMap wants an optional result`, { position: node });
  };
}

/** `o.or(other)` and `o.orValue(default)`: the argument is only evaluated when it is needed. */
export function compileOr(name: "or" | "orValue", base: Run, other: Run, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const optional = base(f);
    if (!(optional instanceof Optional)) {
      throw failure(
        "overload",
        `${printText(name)} wants an optional, not ${shortTypeName(optional)}`,
        {
          position: node,
          hint: `Make it one with .?member or [?index] before .${name}(…).`,
          help: "expressions",
        },
      );
    }
    if (optional.content !== undefined) return name === "or" ? optional : optional.content;
    return other(f);
  };
}
