/** Member and index access, `has()`, and the path that a failure names. */
import type { Position } from "./failures.ts";
import { type CelError, failure, Unread } from "./failures.ts";
import { chargeKey, type Node, type Run } from "./frame.ts";
import {
  isList,
  isMap,
  looksLikeEntry,
  lookup,
  mapKey,
  member,
  Optional,
  shortTypeName,
  Uint,
  type Value,
} from "./values.ts";

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A path as text: `state._shared["a b"].value`. */
export function pathText(segments: readonly (string | null)[]): string {
  return segments.map((s, i) => {
    if (s === null) return "[…]";
    if (IDENTIFIER.test(s)) return i === 0 ? s : `.${s}`;
    return /^\d+$/.test(s) ? `[${s}]` : `[${JSON.stringify(s)}]`;
  }).join("");
}

/** The segment a literal index stands for: text, or a whole number. */
export function literalSegment(node: Node): string | undefined {
  if (node.op !== "value") return undefined;
  const value: unknown = node.args;
  if (typeof value === "string") return value;
  return typeof value === "bigint" ? String(value) : undefined;
}

/** The static path of a chain of members from a name; null stands for a computed index. */
export function pathOf(node: Node): (string | null)[] {
  switch (node.op) {
    case "id":
      return [node.args];
    case ".":
    case ".?":
      return [...pathOf(node.args[0]), node.args[1]];
    case "[]":
    case "[?]":
      return [...pathOf(node.args[0]), literalSegment(node.args[1]) ?? null];
    default:
      return [null];
  }
}

/** How deep below each root the entries lie. */
const ENTRY_DEPTH: Readonly<Record<string, number>> = {
  state: 3,
  views: 2,
  agents: 2,
  actions: 2,
  memory: 2,
};

/** `missing`, with the whole path and the two ways to guard it. */
function missingPath(segments: readonly (string | null)[], at: Position): CelError {
  const path = pathText(segments);
  const last = segments.at(-1);
  const before = pathText(segments.slice(0, -1));
  const isEntry = ENTRY_DEPTH[segments[0] ?? ""] === segments.length;
  const rest = isEntry ? ".value.orValue(…)" : ".orValue(…)";
  const key = JSON.stringify(last ?? "…");
  return failure("missing", `${path} is missing`, {
    path,
    position: at,
    hint: last !== null && last !== undefined && IDENTIFIER.test(last)
      ? `Guard it with has(${path}), or read it as ${before}.?${last}${rest}.`
      : `Guard it with ${key} in ${before}, or read it as ${before}[?${key}]${rest}.`,
    help: "expressions",
  });
}

/** `missing`, in words only when it is read: most are absorbed. */
export function missing(segments: () => readonly (string | null)[], at: Position): Unread {
  return new Unread(() => missingPath(segments(), at));
}

function noMember(value: Value, node: Node, key: string): CelError | Unread {
  if (value === null) return missing(() => [...pathOf(node).slice(0, -1), key], node);
  const error = failure("type", `${shortTypeName(value)} has no member ${JSON.stringify(key)}`, {
    position: node,
  });
  error.path = pathText(pathOf(node));
  error.help = "expressions";
  return error;
}

/** The member of a value, or undefined when a map lacks it; fails for what has no members. */
export function select(value: Value, key: string, node: Node): Value | undefined {
  const found = member(value, key);
  if (found !== undefined || isMap(value)) return found;
  if (value instanceof Optional) {
    if (value.content === undefined) return value;
    return Optional.from(select(value.content, key, node));
  }
  throw noMember(value, node, key);
}

function absent(value: Value, key: string, node: Node): Unread {
  return new Unread(() => {
    const error = missingPath([...pathOf(node).slice(0, -1), key], node);
    if (looksLikeEntry(value)) {
      error.hint = `An entry is {value, _meta}: did you mean .value.${key}?`;
      error.help = "wrapped_entries";
    }
    return error;
  });
}

/** A chain of plain members from a root variable: the commonest shape, in one closure. */
export function compilePath(root: string, keys: readonly string[], nodes: readonly Node[]): Run {
  const cost = keys.length + 1;
  return (f) => {
    f.budget.spend(cost);
    const base = f.env.root(root);
    if (base === undefined) throw missing(() => [root], nodes[0] ?? { start: 0, end: 0 });
    let value: Value = base;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      let next = member(value, key);
      if (next === undefined) {
        const node = nodes[i + 1] as Node;
        next = select(value, key, node);
        if (next === undefined) throw absent(value, key, node);
      }
      value = next;
    }
    return value;
  };
}

/** `x.key`. */
export function compileMember(base: Run, key: string, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const value = base(f);
    const found = select(value, key, node);
    if (found === undefined) throw absent(value, key, node);
    return found;
  };
}

/** The element at an index or key; undefined when a map lacks it or a list ends before. */
export function at(value: Value, index: Value, node: Node): Value | undefined {
  if (isList(value)) {
    const i = listIndex(index, node);
    return i < 0 || i >= value.length ? undefined : value[i];
  }
  if (isMap(value)) {
    if (mapKey(index) === undefined && typeof index !== "number") {
      throw failure("overload", `${shortTypeName(index)} is no key of a map`, { position: node });
    }
    return lookup(value, index);
  }
  if (value instanceof Optional) {
    if (value.content === undefined) return value;
    return Optional.from(at(value.content, index, node));
  }
  if (value === null) throw missing(() => withIndex(node, index), node);
  throw failure("type", `${shortTypeName(value)} has no elements`, { position: node });
}

function listIndex(index: Value, node: Node): number {
  if (typeof index === "bigint") return Number(index);
  if (typeof index === "number" && Number.isInteger(index)) return index;
  if (index instanceof Uint) return Number(index.value);
  throw failure("overload", `${shortTypeName(index)} is no index of a list`, { position: node });
}

function withIndex(node: Node, index: Value): (string | null)[] {
  const key = index instanceof Uint ? index.value : index;
  const isKey = typeof key === "string" || typeof key === "bigint" || typeof key === "number";
  return [...pathOf(node).slice(0, -1), isKey ? String(key) : null];
}

/** `x[i]`. */
export function compileIndex(base: Run, index: Run, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const value = base(f), key = index(f);
    chargeKey(f, key);
    const found = at(value, key, node);
    if (found !== undefined) return found;
    if (!isList(value)) throw missing(() => withIndex(node, key), node);
    throw failure("range", `index ${String(key)} is out of range: the list has ${value.length}`, {
      position: node,
      path: pathText(withIndex(node, key)),
    });
  };
}

/** `x.?key` and `x[?i]`: optional, whatever is missing on the last step. */
export function compileOptional(base: Run, index: Run, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const value = base(f), key = index(f);
    chargeKey(f, key);
    const inner = value instanceof Optional ? value.content : value;
    if (inner === undefined || inner === null) return Optional.none;
    if (typeof key === "string" && node.op === ".?") return Optional.from(select(inner, key, node));
    return Optional.from(at(inner, key, node));
  };
}

/** `has(x.key)`: false when the last member is missing, a failure when something before is. */
export function compileHas(base: Run, key: string, node: Node): Run {
  return (f) => {
    f.budget.spend(2);
    const value = base(f);
    const inner = value instanceof Optional ? value.content : value;
    if (inner === undefined || inner === null) return false;
    return select(inner, key, node) !== undefined;
  };
}
