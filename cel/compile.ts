/** Syntax tree to closures: each node becomes a function of the frame and charges its step. */
import { failure, located } from "./failures.ts";
import type { Fn } from "./fn.ts";
import { absorb, type Frame, type Node, type Run } from "./frame.ts";
import { FUNCTIONS, METHODS, TYPE_NAMES } from "./functions.ts";
import { compileBind, compileOptMap, compileOr, compileWalk, type WalkRuns } from "./macros.ts";
import {
  type Arith,
  arith,
  contains,
  doubleArith,
  equals,
  negate,
  noOverload,
  type Order,
  ordered,
  toInt64,
} from "./operators.ts";
import { children, Refusal } from "./parse.ts";
import * as scopes from "./scope.ts";
import type { Scope } from "./scope.ts";
import {
  compileHas,
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
      return staticPath(node, scope) ??
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
  if (typeof value === "object" && !(value instanceof Uint8Array)) return new Uint(BigInt(String(value)));
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
    const found = f.env.root(name) ?? value;
    if (found === undefined) throw missing([name], node);
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

function stringLiteral(node: Node): string | undefined {
  return node.op === "value" && typeof node.args === "string" ? literalSegment(node) : undefined;
}

function compileOperator(node: Node, scope: Scope | undefined): Run {
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
      return compileMinus(node.args, a, node);
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

function compileMinus(operand: Node, run: Run, node: Node): Run {
  if (operand.op === "value" && typeof operand.args === "bigint") {
    const constant = toInt64(-operand.args, node);
    return () => constant;
  }
  return (f) => {
    f.budget.spend(1);
    return negate(run(f), node);
  };
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
    let failed: Error | undefined;
    try {
      const left = a(f);
      if (left === decisive) return decisive;
      if (typeof left !== "boolean") failed = noOverload(node.op, left, undefined, node);
    } catch (error) {
      failed = located(absorb(f, error), node) as Error;
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

type Call = Node & { op: "call" | "rcall" };

function compileCall(node: Call, scope: Scope | undefined): Run {
  const isVariable = (name: string) => scopes.find(scope, name) !== undefined;
  const selection = scopes.hasArgument(node);
  if (selection) return compileHasCall(selection, scope);
  const walk = scopes.walkOf(node);
  if (walk) return compileWalk(walkRuns(walk, node, scope));
  const binding = scopes.bindingOf(node, isVariable);
  if (binding) return compileBinding(binding, node, scope);
  const name = scopes.functionName(node, isVariable);
  if (node.op === "rcall" && scopes.namespaceOf(node, isVariable) === undefined) {
    return compileMethod(name, node, scope);
  }
  const args = (node.op === "call" ? node.args[1] : node.args[2]).map((a) => compileNode(a, scope));
  return applied(FUNCTIONS.get(name), name, args, node);
}

function compileMethod(name: string, node: Node & { op: "rcall" }, scope: Scope | undefined): Run {
  const [, receiver, args] = node.args;
  const base = compileNode(receiver, scope);
  const runs = args.map((a) => compileNode(a, scope));
  const [first] = runs;
  if ((name === "or" || name === "orValue") && first && runs.length === 1) {
    return compileOr(name, base, first, node);
  }
  return applied(METHODS.get(name), name, [base, ...runs], node);
}

function applied(def: Fn | undefined, name: string, args: readonly Run[], node: Node): Run {
  if (!def) {
    return () => {
      throw failure("unknown", `unknown function ${name}()`, { position: node, help: "functions" });
    };
  }
  if (!def.arity.includes(args.length)) {
    return () => {
      throw failure("overload", `${name}() does not take ${args.length} arguments`, { position: node });
    };
  }
  return (f) => {
    f.budget.spend(1);
    const values = args.map((arg) => arg(f));
    try {
      return def.run(f, values);
    } catch (error) {
      throw located(error, node);
    }
  };
}

function compileHasCall(selection: Node, scope: Scope | undefined): Run {
  if (selection.op === "." || selection.op === ".?") {
    return compileHas(compileNode(selection.args[0], scope), selection.args[1], selection);
  }
  throw new Refusal("check", "has() takes a member, as in has(a.b)", selection.range, {
    hint: "For a computed key use: key in map.",
    help: "expressions",
  });
}

/** The parts of a walking macro as closures; `explain` runs them to find the witness. */
export function walkRuns(walk: scopes.Walk, node: Node, scope: Scope | undefined): WalkRuns {
  let inner = scope;
  const slots: number[] = [];
  for (const name of walk.names) {
    inner = scopes.bind(inner, name);
    slots.push(inner.slot);
  }
  return {
    walk,
    node,
    slots,
    list: compileNode(walk.list, scope),
    bodies: walk.bodies.map((body) => compileNode(body, inner)),
  };
}

function compileBinding(b: scopes.Binding, node: Node, scope: Scope | undefined): Run {
  const inner = scopes.bind(scope, b.name);
  const value = compileNode(b.value, scope), body = compileNode(b.body, inner);
  if (b.kind === "bind") return compileBind(value, inner.slot, body);
  return compileOptMap({ value, slot: inner.slot, body, flat: b.kind === "optFlatMap" }, node);
}

/** Runs a closure in a frame of its own. */
export function run(program: Run, env: Frame["env"]): Value {
  return program({ env, budget: env.budget, vars: [] });
}
