/** Calls as closures: functions, methods, and macros with their variables. */
import { compileNode } from "./compile.ts";
import { failure, located } from "./failures.ts";
import type { Fn } from "./fn.ts";
import type { Node, Run } from "./frame.ts";
import { FUNCTIONS, METHODS } from "./functions.ts";
import { compileBind, compileOptMap, compileOr, compileWalk, type WalkRuns } from "./macros.ts";
import { Refusal } from "./parse.ts";
import * as scopes from "./scope.ts";
import type { Scope } from "./scope.ts";
import { compileHas } from "./select.ts";

type Call = Node & { op: "call" | "rcall" };

/** The closure of a call. */
export function compileCall(node: Call, scope: Scope | undefined): Run {
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
      throw failure("overload", `${name}() does not take ${args.length} arguments`, {
        position: node,
      });
    };
  }
  const cost = 2 + args.length;
  return (f) => {
    f.budget.spend(cost);
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
