/** What an expression reads: paths from root variables, as far as the text tells them. */
import type { Node } from "./frame.ts";
import { children } from "./parse.ts";
import { bindingOf, hasArgument, namespaceOf, walkOf } from "./scope.ts";
import { literalSegment } from "./select.ts";

/** A path that an expression reads. */
export interface Ref {
  readonly root: string;
  /** Segments below the root; null is computed at run time. */
  readonly path: readonly (string | null)[];
  /** True when the value there is used, false when only whether it is there. */
  readonly whole: boolean;
}

/** The text of a literal string, as in `state["S"]`. */
export function stringKey(node: Node): string | undefined {
  return node.op === "value" && typeof node.args === "string" ? node.args : undefined;
}

type Bound = ReadonlySet<string>;

/** A selection that starts at a root variable, innermost node first. */
export interface Selection {
  readonly root: string;
  readonly steps: readonly Node[];
  readonly path: readonly (string | null)[];
  /** What is looked for with `in`: the last segment, when the map is the rest. */
  readonly item?: Node;
}

/** The chain of members that a node is, when it starts at a root. */
export function selectionOf(node: Node, bound: Bound): Selection | undefined {
  const steps: Node[] = [];
  const path: (string | null)[] = [];
  let at = node;
  while (at.op === "." || at.op === ".?" || at.op === "[]" || at.op === "[?]") {
    steps.unshift(at);
    const key = at.args[1];
    path.unshift(typeof key === "string" ? key : literalSegment(key) ?? null);
    at = at.args[0];
  }
  if (at.op !== "id" || bound.has(at.args)) return undefined;
  return { root: at.args, steps, path };
}

/** Calls `found` for each outermost selection of a root, and whether its value is used. */
export function eachSelection(
  node: Node,
  bound: Bound,
  found: (selection: Selection, whole: boolean, bound: Bound) => void,
): void {
  const visit = (part: Node) => eachSelection(part, bound, found);
  const selection = selectionOf(node, bound);
  if (selection) {
    found(selection, true, bound);
    visitIndexes(selection, visit);
    return;
  }
  const has = hasArgument(node);
  const asked = has && selectionOf(has, bound);
  if (asked) {
    found(asked, false, bound);
    visitIndexes(asked, visit);
    return;
  }
  if (node.op === "in") {
    const [item, container] = node.args;
    const map = selectionOf(container, bound);
    visit(item);
    if (!map) return visit(container);
    found({ ...map, path: [...map.path, literalSegment(item) ?? null], item }, false, bound);
    return visitIndexes(map, visit);
  }
  visitMacro(node, bound, found) || partsOf(node, bound).forEach(visit);
}

function visitIndexes(selection: Selection, visit: (node: Node) => void): void {
  for (const step of selection.steps) {
    if (step.op === "[]" || step.op === "[?]") visit(step.args[1]);
  }
}

function partsOf(node: Node, bound: Bound): Node[] {
  const isNamespaced = namespaceOf(node, (name) => bound.has(name)) !== undefined;
  return isNamespaced ? children(node).slice(1) : children(node);
}

function visitMacro(
  node: Node,
  bound: Bound,
  found: Parameters<typeof eachSelection>[2],
): boolean {
  const walk = walkOf(node);
  if (walk) {
    eachSelection(walk.list, bound, found);
    const inner = new Set([...bound, ...walk.names]);
    for (const body of walk.bodies) eachSelection(body, inner, found);
    return true;
  }
  const binding = bindingOf(node, (name) => bound.has(name));
  if (!binding) return false;
  eachSelection(binding.value, bound, found);
  eachSelection(binding.body, new Set([...bound, binding.name]), found);
  return true;
}

const NOTHING: Bound = new Set();

/** Every path that an expression reads, each once. */
export function refsOf(root: Node): Ref[] {
  const refs = new Map<string, Ref>();
  eachSelection(root, NOTHING, ({ root: name, path }, whole) => {
    const key = JSON.stringify([name, path]);
    if (whole || !refs.has(key)) refs.set(key, { root: name, path, whole });
  });
  return [...refs.values()];
}
