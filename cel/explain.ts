/** Which smallest parts of an expression made it false or fail, and what they read. */
import type { Json } from "../types.ts";
import { compileNode } from "./compile.ts";
import { walkRuns } from "./invoke.ts";
import { absorb, type Env, type Frame, type Node } from "./frame.ts";
import { toJson } from "./json.ts";
import { eachElement, isTrue } from "./macros.ts";
import { print } from "./print.ts";
import { type Compiled, type Program, readable } from "./program.ts";
import { eachSelection, type Selection } from "./refs.ts";
import { bind, type Scope, walkOf } from "./scope.ts";
import { pathText } from "./select.ts";
import { CelMap, isList, isMap, lookup, mapKey, Optional, type Value } from "./values.ts";

/** What an explanation read: a path and its value, or that it is missing. */
export interface Operand {
  path: string;
  segments: readonly string[];
  value?: Json;
  missing?: true;
}

/** A smallest part that was false or failed. */
export interface Explanation {
  expression: string;
  value: Json;
  operands: Operand[];
  /** The element that decided a macro. */
  element?: Json;
}

const PARTS_MAX = 16;

/** The smallest false or failing parts of an expression; empty when it is true. */
export function explain(program: Program, env: Env): Explanation[] {
  const { ast } = program as Compiled;
  const frame: Frame = { env, budget: env.budget, vars: [] };
  const out: Explanation[] = [];
  try {
    descend(ast, true, frame, out);
  } catch (error) {
    throw readable(error, env);
  }
  return out;
}

/** A part's value; undefined when it fails. */
function valueOf(node: Node, f: Frame, scope?: Scope): Value | undefined {
  try {
    return compileNode(node, scope)(f);
  } catch (error) {
    absorb(f, error);
    return undefined;
  }
}

/** Adds the parts that keep a node from being what is wanted. */
function descend(node: Node, wanted: boolean, f: Frame, out: Explanation[]): void {
  if (out.length >= PARTS_MAX) return;
  const value = valueOf(node, f);
  if (value === wanted) return;
  switch (node.op) {
    case "!_":
      return descend(node.args, !wanted, f, out);
    case "&&":
    case "||":
      for (const side of chain(node, node.op)) descend(side, wanted, f, out);
      return;
    case "?:": {
      const [test, yes, no] = node.args;
      const answer = valueOf(test, f);
      if (typeof answer === "boolean") return descend(answer ? yes : no, wanted, f, out);
      return descend(test, true, f, out);
    }
    default:
      out.push(leaf(node, value, f));
  }
}

/** The operands of a && b && c: evaluating each prefix again would take the square of them. */
function chain(node: Node, op: "&&" | "||"): Node[] {
  const sides: Node[] = [];
  let at = node;
  while (at.op === op) {
    const [left, right] = at.args;
    sides.unshift(right);
    at = left;
  }
  return [at, ...sides];
}

function leaf(node: Node, value: Value | undefined, f: Frame): Explanation {
  const element = witness(node, value, f);
  return {
    expression: print(node),
    value: value === undefined ? null : shown(value, f),
    operands: operandsOf(node, f, element !== undefined),
    ...(element === undefined ? {} : { element: shown(element, f) }),
  };
}

/** An integer beyond JSON or the like is shown as nothing rather than hiding the explanation. */
function shown(value: Value, f: Frame): Json {
  try {
    return toJson(value, f.budget);
  } catch (error) {
    absorb(f, error);
    return null;
  }
}

/** The element that decided a macro: the first that `all` refused or `exists` found. */
function witness(node: Node, value: Value | undefined, f: Frame): Value | undefined {
  const walk = walkOf(node);
  if (!walk || (walk.kind !== "all" && walk.kind !== "exists" && walk.kind !== "exists_one")) {
    return undefined;
  }
  const runs = walkRuns(walk, node, undefined);
  const [body] = runs.bodies;
  let found: Value | undefined;
  let count = 0;
  try {
    eachElement(runs, f, (element) => {
      if (!body) return true;
      const answer = attemptTrue(() => isTrue(body, f, runs), f);
      if (!decides(walk.kind, answer, value, answer === true ? ++count : count)) return false;
      found = element;
      return true;
    });
  } catch (error) {
    absorb(f, error);
  }
  return found;
}

function attemptTrue(test: () => boolean, f: Frame): boolean | undefined {
  try {
    return test();
  } catch (error) {
    absorb(f, error);
    return undefined;
  }
}

function decides(
  kind: string,
  answer: boolean | undefined,
  value: Value | undefined,
  count: number,
): boolean {
  if (value === undefined) return answer === undefined;
  if (kind === "all") return answer === false;
  return kind === "exists" ? answer === true : answer === true && count === 2;
}

const NOTHING: ReadonlySet<string> = new Set();

/**
 * What a part reads. Inside the macro whose witness is known its variable is set to that witness,
 * so `state._shared[k].value` names the key; deeper macros only show paths that the text fixes.
 */
function operandsOf(node: Node, f: Frame, isDecided: boolean): Operand[] {
  const operands = new Map<string, Operand>();
  const names = isDecided ? walkOf(node)?.names ?? [] : [];
  const scope = names.reduce<Scope | undefined>(bind, undefined);
  eachSelection(node, NOTHING, (selection, _whole, bound) => {
    const isFixed = !selection.path.includes(null);
    const isKnown = [...bound].every((name) => names.includes(name));
    if (!isFixed && !isKnown) return;
    const operand = operandOf(selection, f, bound.size > 0 ? scope : undefined);
    if (operand && operands.size < PARTS_MAX) operands.set(operand.path, operand);
  });
  return [...operands.values()];
}

function operandOf(
  { root, path, steps, item }: Selection,
  f: Frame,
  scope: Scope | undefined,
): Operand | undefined {
  const segments: string[] = [];
  let value: Value | undefined = f.env.root(root);
  for (let i = 0; i < path.length; i++) {
    const key: Value | undefined = path[i] ??
      (i < steps.length ? computedKey(steps[i], f, scope) : item && valueOf(item, f, scope));
    if (key === undefined) return undefined;
    segments.push(String(mapKey(key) ?? key));
    if (value instanceof Optional) value = value.content;
    if (value !== undefined) value = inside(value, key);
  }
  const operand = { path: pathText([root, ...segments]), segments: [root, ...segments] };
  if (value === undefined) return { ...operand, missing: true };
  // A whole scope would drown what matters, and cost as much as the room is large.
  return value instanceof CelMap && path.length <= scopeDepth(root)
    ? operand
    : { ...operand, value: shown(value, f) };
}

function scopeDepth(root: string): number {
  return root === "state" ? 1 : 0;
}

function computedKey(
  step: Node | undefined,
  f: Frame,
  scope: Scope | undefined,
): Value | undefined {
  return step?.op === "[]" || step?.op === "[?]" ? valueOf(step.args[1], f, scope) : undefined;
}

function inside(value: Value, key: Value): Value | undefined {
  if (isList(value)) {
    const index = typeof key === "string" ? Number(key) : Number(mapKey(key));
    return Number.isInteger(index) ? value[index] : undefined;
  }
  return isMap(value) ? lookup(value, key) : undefined;
}
