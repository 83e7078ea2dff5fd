/** Syntax tree to closures: each node becomes a function of the frame and charges its step. */
import { type CelError, failure, type Unread } from "./failures.ts";
import { absorb, chargeKey, type Node, type Run } from "./frame.ts";
import { TYPE_NAMES } from "./functions.ts";
import { compileCall } from "./invoke.ts";
import { contains, equals, type Order, ordered } from "./equality.ts";
import { type Arith, arith, doubleArith, negate, noOverload } from "./operators.ts";
import { children, Refusal } from "./parse.ts";
import * as scopes from "./scope.ts";
import type { Scope } from "./scope.ts";
import {
  compileIndex,
  compileMember,
  compileOptional,
  compilePath,
  literalSegment,
  missing,
} from "./select.ts";
import { mapKey, shortTypeName, TypeValue, Uint, type Value } from "./values.ts";

/** The closure of a tree, given the macro variables around it. */
export function compileNode(node: Node, scope?: Scope): Run {
  switch (node.op) {
    case "value": {
      const constant = literal(node);
      return () => constant;
    }
    case "id":
      return compileName(node.args, node, scope);
    case ".":
      return staticPath(node, scope) ??
        compileMember(compileNode(node.args[0], scope), node.args[1], node);
    case ".?": {
      const key = node.args[1];
      return compileOptional(compileNode(node.args[0], scope), () => key, node);
    }
    case "[]":
      return staticPath(node, scope) ?? ownScope(node, scope) ??
        compileIndex(compileNode(node.args[0], scope), compileNode(node.args[1], scope), node);
    case "[?]":
      return compileOptional(
        compileNode(node.args[0], scope),
        compileNode(node.args[1], scope),
        node,
      );
    case "call":
    case "rcall":
      return compileCall(node, scope);
    case "list":
      return compileList(node.args.map((item) => compileNode(item, scope)));
    case "map":
      return compileMap(node, scope);
    default:
      return compileOperator(node, scope);
  }
}

function literal(node: Node): Value {
  const value: unknown = node.args;
  if (value === null) return null;
  if (typeof value === "bigint") {
    if (value < 2n ** 63n) return value;
    throw new Refusal("parse", `the integer ${value} is out of range`, node.range);
  }
  if (typeof value === "object" && !(value instanceof Uint8Array)) {
    return new Uint(BigInt(String(value)));
  }
  return value as Value;
}

function compileName(name: string, node: Node, scope: Scope | undefined): Run {
  const variable = scopes.find(scope, name);
  if (variable) {
    const { slot } = variable;
    return (f) => f.vars[slot] as Value;
  }
  const type = TYPE_NAMES.get(name);
  const value = type === undefined ? undefined : new TypeValue(type);
  return (f) => {
    f.budget.spend(1);
    const root = f.env.root(name);
    const found = root === undefined ? value : root;
    if (found === undefined) throw missing(() => [name], node);
    return found;
  };
}

/** `root.a.b["c"]` in one closure; undefined when a step is computed or optional. */
function staticPath(node: Node, scope: Scope | undefined): Run | undefined {
  const keys: string[] = [];
  const nodes: Node[] = [];
  let at: Node = node;
  while (at.op !== "id") {
    if (at.op !== "." && at.op !== "[]") return undefined;
    const key = at.op === "." ? at.args[1] : stringLiteral(at.args[1]);
    if (key === undefined) return undefined;
    keys.unshift(key);
    nodes.unshift(at);
    at = at.args[0];
  }
  if (scopes.find(scope, at.args) || TYPE_NAMES.has(at.args)) return undefined;
  return compilePath(at.args, keys, [at, ...nodes]);
}

/** `state[self]` is `state.self`: the reader's own scope, by whichever name. */
function ownScope(node: Node, scope: Scope | undefined): Run | undefined {
  const [of, key] = node.args as readonly [Node, Node];
  const isPlain = (at: Node, name: string): boolean =>
    at.op === "id" && at.args === name && !scopes.find(scope, name);
  if (!isPlain(of, "state") || !isPlain(key, "self")) return undefined;
  return compilePath("state", ["self"], [of, node]);
}

function stringLiteral(node: Node): string | undefined {
  return node.op === "value" && typeof node.args === "string" ? literalSegment(node) : undefined;
}

function compileOperator(node: Node, scope: Scope | undefined): Run {
  const negative = negativeInteger(node);
  if (negative) return negative;
  const parts = children(node).map((part) => compileNode(part, scope));
  const [a, b, c] = parts as [Run, Run, Run];
  switch (node.op) {
    case "&&":
      return compileLogic(a, b, false, node);
    case "||":
      return compileLogic(a, b, true, node);
    case "?:":
      return compileTernary(a, b, c, node);
    case "!_":
      return (f) => {
        f.budget.spend(1);
        const value = a(f);
        if (typeof value === "boolean") return !value;
        throw noOverload("!", value, undefined, node);
      };
    case "-_":
      return (f) => {
        f.budget.spend(1);
        return negate(a(f), node);
      };
    case "==":
      return compileEquals(a, b, true);
    case "!=":
      return compileEquals(a, b, false);
    case "in":
      return (f) => {
        f.budget.spend(1);
        return contains(a(f), b(f), f, node);
      };
    case "<":
    case "<=":
    case ">":
    case ">=":
      return compileOrder(node.op, a, b, node);
    default:
      return compileArith(node.op as Arith, a, b, node);
  }
}

/** `-5` as a constant: the smallest integer has no positive counterpart to negate. */
function negativeInteger(node: Node): Run | undefined {
  if (node.op !== "-_" || node.args.op !== "value") return undefined;
  const value: unknown = node.args.args;
  if (typeof value !== "bigint" || value > 2n ** 63n) return undefined;
  return () => -value;
}

function compileEquals(a: Run, b: Run, want: boolean): Run {
  return (f) => {
    f.budget.spend(1);
    const x = a(f), y = b(f);
    if (typeof x === "number" && typeof y === "number") return (x === y) === want;
    return equals(x, y, f) === want;
  };
}

function compileOrder(op: Order, a: Run, b: Run, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const x = a(f), y = b(f);
    if (typeof x === "number" && (typeof y === "number" || typeof y === "bigint")) {
      return op === "<" ? x < y : op === ">" ? x > y : op === "<=" ? x <= y : x >= y;
    }
    return ordered(op, x, y, f, node);
  };
}

function compileArith(op: Arith, a: Run, b: Run, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const x = a(f), y = b(f);
    if (typeof x === "number" && typeof y === "number") return doubleArith(op, x, y, node);
    return arith(op, x, y, f, node);
  };
}

/** `&&` and `||`: either side decides alone, even when the other fails. */
function compileLogic(a: Run, b: Run, decisive: boolean, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    let failed: CelError | Unread | undefined;
    try {
      const left = a(f);
      if (left === decisive) return decisive;
      if (typeof left !== "boolean") failed = noOverload(node.op, left, undefined, node);
    } catch (error) {
      failed = absorb(f, error);
    }
    const right = b(f);
    if (right === decisive) return decisive;
    if (failed) throw failed;
    if (typeof right !== "boolean") throw noOverload(node.op, right, undefined, node);
    return right;
  };
}

function compileTernary(test: Run, yes: Run, no: Run, node: Node): Run {
  return (f) => {
    f.budget.spend(1);
    const answer = test(f);
    if (answer === true) return yes(f);
    if (answer === false) return no(f);
    throw failure("overload", `a condition must be bool, not ${shortTypeName(answer)}`, {
      position: node,
    });
  };
}

function compileList(items: readonly Run[]): Run {
  const cost = 1 + items.length;
  return (f) => {
    f.budget.spend(cost);
    return items.map((item) => item(f));
  };
}

function compileMap(node: Node & { op: "map" }, scope: Scope | undefined): Run {
  const entries = node.args.map(([k, v]): [Run, Run, Node] => [
    compileNode(k, scope),
    compileNode(v, scope),
    k,
  ]);
  const cost = 1 + 3 * entries.length;
  return (f) => {
    f.budget.spend(cost);
    const out = new Map<Value, Value>();
    for (const [k, v, at] of entries) {
      const raw = k(f);
      chargeKey(f, raw);
      const key = typeof raw === "number" ? undefined : mapKey(raw);
      if (key === undefined) {
        throw failure("overload", `${shortTypeName(raw)} is no key of a map`, { position: at });
      }
      if (out.has(key)) {
        throw failure("argument", `the key ${String(key)} is there twice`, { position: at });
      }
      out.set(key, v(f));
    }
    return out;
  };
}
