/** What names mean while a tree is compiled: macros' variables, roots, namespaces. */
import type { Node } from "./frame.ts";
import { FUNCTIONS, NAMESPACES } from "./functions.ts";

/** A macro's variable and the ones around it. */
export interface Scope {
  readonly name: string;
  readonly slot: number;
  readonly parent: Scope | undefined;
}

/** The innermost variable of that name. */
export function find(scope: Scope | undefined, name: string): Scope | undefined {
  for (let s = scope; s !== undefined; s = s.parent) if (s.name === name) return s;
  return undefined;
}

/** The scope with one more variable. */
export function bind(scope: Scope | undefined, name: string): Scope {
  return { name, slot: scope === undefined ? 0 : scope.slot + 1, parent: scope };
}

/** The variable's name when a macro's argument is one. */
export function variableOf(node: Node | undefined): string | undefined {
  return node?.op === "id" ? node.args : undefined;
}

/** `math` in `math.abs(x)`: the namespace a method is called on, unless a variable hides it. */
export function namespaceOf(node: Node, isVariable: (name: string) => boolean): string | undefined {
  if (node.op !== "rcall") return undefined;
  const [, receiver] = node.args;
  if (receiver.op !== "id" || !NAMESPACES.has(receiver.args)) return undefined;
  return isVariable(receiver.args) ? undefined : receiver.args;
}

/** Macros that walk a list or map, with how many variables and expressions they take. */
export interface Walk {
  readonly kind:
    | "all"
    | "exists"
    | "exists_one"
    | "map"
    | "filter"
    | "transformList"
    | "transformMap";
  readonly list: Node;
  readonly names: readonly string[];
  /** Filter first, when the macro has one, then what it computes. */
  readonly bodies: readonly Node[];
}

const ONE_VARIABLE: Readonly<Record<string, readonly number[]>> = {
  all: [1],
  exists: [1],
  exists_one: [1],
  map: [1, 2],
  filter: [1],
};
const TWO_VARIABLES: Readonly<Record<string, readonly number[]>> = {
  all: [1],
  exists: [1],
  exists_one: [1],
  existsOne: [1],
  transformList: [1, 2],
  transformMap: [1, 2],
};

/** The walking macro that a call is, or undefined. */
export function walkOf(node: Node): Walk | undefined {
  if (node.op !== "rcall") return undefined;
  const [name, list, args] = node.args;
  const kind = name === "existsOne" ? "exists_one" : name as Walk["kind"];
  const first = variableOf(args[0]), second = variableOf(args[1]);
  if (first === undefined) return undefined;
  if (Object.hasOwn(ONE_VARIABLE, name) && ONE_VARIABLE[name]?.includes(args.length - 1)) {
    return { kind, list, names: [first], bodies: args.slice(1) };
  }
  if (second === undefined || !Object.hasOwn(TWO_VARIABLES, name)) return undefined;
  if (!TWO_VARIABLES[name]?.includes(args.length - 2)) return undefined;
  return { kind, list, names: [first, second], bodies: args.slice(2) };
}

/** `cel.bind(name, value, body)` and `o.optMap(name, body)`: one variable around a body. */
export interface Binding {
  readonly kind: "bind" | "optMap" | "optFlatMap";
  readonly name: string;
  readonly value: Node;
  readonly body: Node;
}

/** The binding that a call is, or undefined. */
export function bindingOf(node: Node, isVariable: (name: string) => boolean): Binding | undefined {
  if (node.op !== "rcall") return undefined;
  const [method, receiver, args] = node.args;
  const name = variableOf(args[0]);
  const [, second, third] = args;
  if (name === undefined || second === undefined) return undefined;
  if (method === "bind" && third && namespaceOf(node, isVariable) === "cel") {
    return { kind: "bind", name, value: second, body: third };
  }
  const isOptional = (method === "optMap" || method === "optFlatMap") && args.length === 2;
  return isOptional ? { kind: method, name, value: receiver, body: second } : undefined;
}

/** The selection inside `has(x.y)`, or undefined when the call is no `has`. */
export function hasArgument(node: Node): Node | undefined {
  if (node.op !== "call" || node.args[0] !== "has") return undefined;
  return node.args[1].length === 1 ? node.args[1][0] : undefined;
}

/** The name under which a call's function is kept, namespace first. */
export function functionName(node: Node, isVariable: (name: string) => boolean): string {
  if (node.op === "call") return node.args[0];
  if (node.op !== "rcall") return "";
  const namespace = namespaceOf(node, isVariable);
  return namespace === undefined ? node.args[0] : `${namespace}.${node.args[0]}`;
}

/** The dotted name of a namespaced call that exists. */
export function isNamespaced(name: string): boolean {
  return name.includes(".") && FUNCTIONS.has(name);
}
