/** What calls give: macros bind their variables, functions check how they are called. */
import type { Checker, Names } from "./check.ts";
import type { Fn } from "./fn.ts";
import type { Node } from "./frame.ts";
import { FUNCTIONS, METHODS } from "./functions.ts";
import { BOOL, DYN, either, entryOf, family, JSON_DATA, kind, spell, type Type } from "./kinds.ts";
import { valueOf } from "./lint.ts";
import { CelError, CelTooExpensive } from "./failures.ts";
import { engine } from "./regex.ts";
import { nearest } from "./nearest.ts";
import { Refusal } from "./parse.ts";
import { stringKey } from "./refs.ts";
import * as scopes from "./scope.ts";

type Call = Node & { op: "call" | "rcall" };

/** Functions over rooms whose answer changes with time and reader. */
const PASSING_CALLS = new Set([
  "salient",
  "focus",
  "peripheral",
  "elided",
  "active",
  "velocity_above",
  "top_n",
  "trust",
  "trust_count",
  "trust_judges",
]);

/** Functions that take a map of entries and answer some of its keys. */
const ON_MAPS = new Set([
  "salient",
  "focus",
  "peripheral",
  "elided",
  "active",
  "written_by",
  "velocity_above",
  "top_n",
  "contested",
  "stale",
]);

/** Those of them that know something of actions only. */
const ON_ACTIONS = new Set(["contested", "stale"]);

/** Functions that take an entry as a whole. */
const WHOLE = new Set(["val", "meta", "dyn", "type", "optional.of", "optional.ofNonZeroValue"]);

/** The type of a call. */
export function inferCall(checker: Checker, node: Call, names: Names | undefined): Type {
  const isVariable = (name: string) => isBound(names, name);
  if (node.op === "call" && node.args[0] === "has") return inferHas(checker, node, names);
  const walk = scopes.walkOf(node);
  if (walk) return inferWalk(checker, walk, names);
  const binding = scopes.bindingOf(node, isVariable);
  if (binding) return inferBinding(checker, binding, names);
  const name = scopes.functionName(node, isVariable);
  const isMethod = node.op === "rcall" && scopes.namespaceOf(node, isVariable) === undefined;
  checker.calls.add(name);
  return isMethod
    ? inferMethod(checker, node, name, names)
    : inferFunction(checker, node, name, names);
}

function isBound(names: Names | undefined, name: string): boolean {
  for (let n = names; n !== undefined; n = n.parent) if (n.name === name) return true;
  return false;
}

function inferHas(checker: Checker, node: Call, names: Names | undefined): Type {
  const selection = scopes.hasArgument(node);
  if (!selection) return wrongCount(node, "has", node.op === "call" ? node.args[1].length : 1, [1]);
  if (selection.op === "[]") {
    const [map, key] = selection.args;
    checker.lint.hasIndex(node, map, key);
    checker.value(map, names, "is searched");
    checker.value(key, names, "is used as a key");
    return BOOL;
  }
  if (selection.op !== "." && selection.op !== ".?") {
    throw new Refusal("check", "has() takes a member, as in has(a.b)", selection.range, {
      help: "expressions",
    });
  }
  checker.infer(selection, names);
  return BOOL;
}

function inferWalk(checker: Checker, walk: scopes.Walk, names: Names | undefined): Type {
  const type = checker.value(walk.list, names, `is walked by ${walk.kind}()`);
  const group = family(type);
  if (group !== "any" && group !== "list" && group !== "map") {
    const hint = type.kind === "optional" ? "Give it a default with .orValue([])." : undefined;
    checker.nonsense(walk.list, `${walk.kind}() walks a list or a map, not ${spell(type)}`, hint);
  }
  const element = elementType(type);
  const [first = "", second] = walk.names;
  const keyed = group === "list"
    ? kind("int")
    : type.kind === "scope" || type.kind === "scopes"
    ? kind("string")
    : DYN;
  let inner: Names = { name: first, type: second === undefined ? element : keyed, parent: names };
  if (second !== undefined) inner = { name: second, type: secondType(type), parent: inner };
  const results = walk.bodies.map((body, i) => {
    const isPredicate = i < walk.bodies.length - 1 || !/^(map|transform)/.test(walk.kind);
    return isPredicate ? predicate(checker, body, inner) : checker.infer(body, inner);
  });
  if (walk.kind === "filter") {
    return { kind: "list", of: element };
  }
  if (walk.kind === "transformMap") return kind("map");
  if (walk.kind === "map" || walk.kind === "transformList") {
    return { kind: "list", of: results.at(-1) ?? DYN };
  }
  return BOOL;
}

function predicate(checker: Checker, body: Node, names: Names): Type {
  const type = checker.value(body, names, "is a condition");
  const group = family(type);
  if (group !== "any" && group !== "bool") {
    checker.nonsense(body, `a condition must be bool, not ${spell(type)}`);
  }
  return type;
}

function elementType(type: Type): Type {
  if (type.kind === "list") return type.of ?? DYN;
  if (type.kind === "json") return JSON_DATA;
  if (type.kind === "scope" || type.kind === "scopes") return kind("string");
  return DYN;
}

function secondType(type: Type): Type {
  return type.kind === "json" ? JSON_DATA : type.of ?? DYN;
}

function inferBinding(checker: Checker, b: scopes.Binding, names: Names | undefined): Type {
  const type = checker.infer(b.value, names);
  const bound = b.kind === "bind" ? type : type.kind === "optional" ? type.of ?? DYN : DYN;
  const result = checker.infer(b.body, { name: b.name, type: bound, parent: names });
  if (b.kind === "bind" || b.kind === "optFlatMap") return result;
  return { kind: "optional", of: result };
}

function inferFunction(
  checker: Checker,
  node: Call,
  name: string,
  names: Names | undefined,
): Type {
  const def = FUNCTIONS.get(name);
  const args = node.op === "call" ? node.args[1] : node.args[2];
  if (!def) throw unknownFunction(node, name, METHODS.has(name));
  if (!def.arity.includes(args.length)) return wrongCount(node, name, args.length, def.arity);
  if (PASSING_CALLS.has(name)) checker.passing.add(name);
  const types = args.map((arg, i) => {
    if (i === 0 && ON_MAPS.has(name)) return inferMap(checker, node, name, arg, names);
    if (WHOLE.has(name)) return checker.infer(arg, names);
    return checker.value(arg, names, `is given to ${name}()`);
  });
  checkTakes(checker, node, name, def, types);
  if (name === "matches") checkPattern(checker, args[1]);
  return functionType(checker, name, def, args, types);
}

/** The map that a function over rooms looks through: an entry is none, and not every map will do. */
function inferMap(
  checker: Checker,
  node: Call,
  name: string,
  arg: Node,
  names: Names | undefined,
): Type {
  const type = checker.infer(arg, names);
  const isEntry = type.kind === "entry" || (type.kind === "optional" && type.of?.kind === "entry");
  if (isEntry && (arg.op === "." || arg.op === ".?" || arg.op === "[]" || arg.op === "[?]")) {
    checker.lint.inMap(arg, arg.args[0], name);
    return DYN;
  }
  const isOther = ON_ACTIONS.has(name) && type.kind === "scope" && type.origin !== "actions";
  if (!isOther) return checker.lint.value(arg, type, `is given to ${name}()`);
  const call = name === "stale" ? "stale(actions, n)" : "contested(actions)";
  return checker.nonsense(node, `${name}() works on actions`, `Write ${call}.`);
}

function functionType(
  checker: Checker,
  name: string,
  def: Fn,
  args: readonly Node[],
  types: readonly Type[],
): Type {
  const [first = DYN] = types;
  const [, second] = args;
  if (name === "dyn") return DYN;
  if (name === "val") return first.kind === "entry" ? valueOf(first) : DYN;
  if (name === "meta" && second) {
    const field = stringKey(second);
    if (field === undefined) checker.passing.add("_meta.score");
    else if (field === "score" || field === "velocity") checker.passing.add(`_meta.${field}`);
    return JSON_DATA;
  }
  if (name === "optional.of") return { kind: "optional", of: first };
  if (def.gives === "list") return { kind: "list", of: kind("string") };
  return def.gives === undefined ? DYN : kind(def.gives);
}

function inferMethod(
  checker: Checker,
  node: Node & { op: "call" | "rcall" },
  name: string,
  names: Names | undefined,
): Type {
  if (node.op !== "rcall") return DYN;
  const [, receiver, args] = node.args;
  if (name === "or" || name === "orValue") return inferOr(checker, node, names);
  const def = METHODS.get(name);
  if (!def) throw unknownFunction(node, name, FUNCTIONS.has(name));
  if (!def.arity.includes(args.length + 1)) {
    return wrongCount(node, name, args.length, def.arity.map((n) => n - 1));
  }
  const onOptional = name === "hasValue" || name === "value";
  const base = onOptional
    ? checker.infer(receiver, names)
    : checker.value(receiver, names, `is given to ${name}()`);
  const types = args.map((arg) => checker.value(arg, names, `is given to ${name}()`));
  checkTakes(checker, node, name, def, [base, ...types]);
  if (name === "matches") checkPattern(checker, args[0]);
  return methodType(name, def, base);
}

function methodType(name: string, def: Fn, base: Type): Type {
  const isScope = base.kind === "scope" || base.kind === "scopes";
  if (name === "keys") return { kind: "list", of: isScope ? kind("string") : DYN };
  const inside = base.of ?? DYN;
  if (name === "values") return { kind: "list", of: isScope ? inside : DYN };
  if (name === "entries") return { kind: "list", of: { kind: "pair", of: isScope ? inside : DYN } };
  if (name === "value") return inside;
  if (name === "first" || name === "last") return { kind: "optional", of: inside };
  const keeps = ["sort", "slice", "distinct", "reverse"].includes(name);
  if (keeps) return base.kind === "json" ? JSON_DATA : base;
  if (def.gives === "list") return { kind: "list", of: name === "split" ? kind("string") : DYN };
  return def.gives === undefined ? DYN : kind(def.gives);
}

/** `.or(…)` and `.orValue(…)`: a default that is no entry shows that the value is meant. */
function inferOr(checker: Checker, node: Node & { op: "rcall" }, names: Names | undefined): Type {
  const [name, receiver, args] = node.args;
  const [fallback] = args;
  if (args.length !== 1 || !fallback) return wrongCount(node, name, args.length, [1]);
  let base = checker.infer(receiver, names);
  const other = checker.infer(fallback, names);
  if (base.kind !== "optional" && base.kind !== "dyn") {
    return checker.nonsense(
      node,
      `${name}() wants an optional, not ${spell(base)}`,
      "Make it one with .?member or [?index].",
    );
  }
  const isEntry = base.of?.kind === "entry";
  if (name === "or") {
    if (isEntry && other.of && other.of.kind !== "entry" && other.of.kind !== "dyn") {
      base = checker.lint.value(receiver, base, "its alternative is no entry");
    }
    return base.kind === "optional" ? either(base, other) : DYN;
  }
  if (isEntry && other.kind !== "entry" && other.kind !== "dyn") {
    base = checker.lint.value(receiver, base, "its default is no entry");
  }
  const inner = base.of ?? DYN;
  if (inner.kind === "json") return other.kind === "entry" ? DYN : { kind: "json" };
  return inner.kind === "entry" && other.kind === "entry"
    ? entryOf(inner.origin ?? "state")
    : either(inner, other);
}

function checkTakes(
  checker: Checker,
  node: Node,
  name: string,
  def: Fn,
  types: readonly Type[],
): void {
  types.forEach((type, i) => {
    const wanted = def.takes?.[i] ?? "dyn";
    const group = family(type);
    if (wanted === "dyn" || group === "any" || group === wanted) return;
    if (wanted === "time" && (group === "timestamp" || group === "duration")) return;
    const hint = type.kind === "optional"
      ? "Give the optional a default with .orValue(x)."
      : undefined;
    checker.nonsense(node, `no such overload: ${name}(${types.map(spell).join(", ")})`, hint);
  });
}

/** A pattern in the text is refused when it comes in rather than each time it runs. */
function checkPattern(checker: Checker, pattern: Node | undefined): void {
  const text = pattern && stringKey(pattern);
  if (!pattern || text === undefined) return;
  try {
    engine(text, checker.patterns);
  } catch (error) {
    if (error instanceof CelTooExpensive) {
      throw new Refusal("limit", "the pattern is too large", pattern.range, { help: "functions" });
    }
    if (!(error instanceof CelError)) throw error;
    throw new Refusal("check", error.detail, pattern.range, {
      hint: error.hint ?? "",
      help: "functions",
    });
  }
}

/** Names from other languages for what there is here. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ["len", "size"],
  ["length", "size"],
  ["count", "size"],
  ["includes", "contains"],
  ["some", "exists"],
  ["any", "exists"],
  ["every", "all"],
  ["toLowerCase", "lowerAscii"],
  ["lower", "lowerAscii"],
  ["toUpperCase", "upperAscii"],
  ["upper", "upperAscii"],
  ["abs", "math.abs"],
  ["round", "math.round"],
  ["floor", "math.floor"],
  ["ceil", "math.ceil"],
  ["max", "math.greatest"],
  ["min", "math.least"],
  ["float", "double"],
  ["str", "string"],
]);

function unknownFunction(node: Node, name: string, otherWay: boolean): Refusal {
  const known = node.op === "call" ? FUNCTIONS : METHODS;
  const alias = ALIASES.get(name);
  const hint = alias !== undefined
    ? `Did you mean ${alias}?`
    : otherWay
    ? node.op === "call" ? `Call it on a value: x.${name}(…).` : `Call it as ${name}(x).`
    : nearest(name, [...known.keys(), ...(node.op === "call" ? ["has"] : ["all", "exists"])]);
  return new Refusal("check", `unknown function ${name}()`, node.range, {
    hint,
    help: "functions",
  });
}

function wrongCount(node: Node, name: string, got: number, wanted: readonly number[]): never {
  const list = wanted.length > 4 ? "at least one" : wanted.join(" or ");
  throw new Refusal("check", `${name}() takes ${list} arguments, not ${got}`, node.range, {
    help: "functions",
  });
}
