/**
 * Infers what is known of every part of an expression, refuses definite nonsense, and notes the
 * passing inputs. What is not known passes: data of rooms has no schema.
 */
import { Budget } from "./failures.ts";
import type { Node } from "./frame.ts";
import { inferCall } from "./calls.ts";
import { NAMESPACES, TYPE_NAMES } from "./functions.ts";
import { BOOL, DYN, either, family, JSON_DATA, kind, scopeOf, spell, type Type } from "./kinds.ts";
import { isNoEntry, Lint, valueOf } from "./lint.ts";
import { Refusal } from "./parse.ts";
import { nearest } from "./nearest.ts";
import { arithType, optionalHint, orderType, textHint } from "./overloads.ts";
import { stringKey } from "./refs.ts";

/** What an expression may name, and how strictly it is read. */
export interface Rules {
  readonly roots: ReadonlyMap<string, Type>;
  /** Known parameters; undefined when there is no schema. */
  readonly params?: readonly string[] | undefined;
  /** True to let types pass that can only fail. */
  readonly lenient?: boolean;
}

/** Macro variables and their types. */
export interface Names {
  readonly name: string;
  readonly type: Type;
  readonly parent: Names | undefined;
}

const PRESENCE = new Set(["status", "waiting_on", "last_heartbeat"]);
const AVAILABILITY = new Set([
  "available",
  "reason",
  "available_at",
  "ticks_left",
  "conditional",
  "availability_by_param",
]);
const MESSAGES = new Set(["count", "unread", "directed_unread", "unclaimed", "recent"]);
const ROOM = new Set(["id", "seq"]);

/** One pass over an expression. */
export class Checker {
  readonly lint = new Lint();
  readonly calls = new Set<string>();
  readonly passing = new Set<string>();
  /** What compiling the patterns in the text may take, all together. */
  readonly patterns = new Budget();
  readonly #oldViews = new Set<Node>();
  constructor(readonly rules: Rules) {}

  /** The type of a node. */
  infer(node: Node, names?: Names): Type {
    switch (node.op) {
      case "value":
        return literalType(node.args);
      case "id":
        return this.#name(node, node.args, names);
      case ".":
      case ".?":
        return this.#member(node, node.args[0], node.args[1], names);
      case "[]":
      case "[?]":
        return this.#index(node, node.args[0], node.args[1], names);
      case "call":
      case "rcall":
        return inferCall(this, node, names);
      case "list":
        return this.#list(node.args, names);
      case "map":
        for (const [key, value] of node.args) {
          this.value(key, names, "is used as a key");
          this.infer(value, names);
        }
        return kind("map");
      default:
        return this.#operator(node, names);
    }
  }

  /** The type of a part whose value is meant: an entry there is refused. */
  value(node: Node, names: Names | undefined, use: string): Type {
    return this.lint.value(node, this.infer(node, names), use);
  }

  /** Refuses the expression, unless it is read leniently. */
  nonsense(node: Node, detail: string, hint?: string): Type {
    if (this.rules.lenient) return DYN;
    throw new Refusal("check", detail, node.range, {
      ...(hint === undefined ? {} : { hint }),
      help: "expressions",
    });
  }

  #list(items: readonly Node[], names: Names | undefined): Type {
    const types = items.map((item) => this.infer(item, names));
    const [first] = types;
    return { kind: "list", of: first ? types.reduce(either) : DYN };
  }

  #name(node: Node, name: string, names: Names | undefined): Type {
    for (let n = names; n !== undefined; n = n.parent) if (n.name === name) return n.type;
    const root = this.rules.roots.get(name);
    if (root) {
      if (name === "now") this.passing.add("now");
      return root;
    }
    if (TYPE_NAMES.has(name)) return kind("type");
    throw unknownName(node, name, this.rules.roots);
  }

  #member(node: Node, base: Node, key: string, names: Names | undefined): Type {
    const type = this.infer(base, names);
    const isOptional = node.op === ".?" || type.kind === "optional";
    const inner = type.kind === "optional" ? type.of ?? DYN : type;
    const found = this.#select(node, base, inner, key);
    return isOptional ? { kind: "optional", of: found } : found;
  }

  #select(node: Node, base: Node, type: Type, key: string): Type {
    switch (type.kind) {
      case "scopes":
        if (key === "_view" || key === "_views") {
          this.lint.oldViews(node);
          this.#oldViews.add(node);
          return scopeOf("views");
        }
        return type.of ?? DYN;
      case "scope":
        if (!this.#oldViews.has(base)) return type.of ?? DYN;
        this.lint.oldView(node);
        this.#oldViews.add(node);
        return valueOf(type.of ?? DYN);
      case "entry":
        return this.#ofEntry(node, base, type, key);
      case "meta":
        if (key === "score" || key === "velocity") this.passing.add(`_meta.${key}`);
        return JSON_DATA;
      case "pair":
        return key === "entry" ? type.of ?? DYN : key === "key" ? kind("string") : DYN;
      case "messages":
      case "room":
      case "params":
        return this.#ofRoot(node, type, key);
      default:
        return this.#ofData(node, base, type, key);
    }
  }

  #ofEntry(node: Node, base: Node, type: Type, key: string): Type {
    if (key === "value") return valueOf(type);
    if (key === "_meta") return kind("meta");
    if (key === "meta") {
      this.lint.metaName(node, base);
      return kind("meta");
    }
    this.lint.value(base, type, `its own members are value and _meta, not ${key}`);
    return this.#ofData(node, base, valueOf(type), key);
  }

  #ofRoot(node: Node, type: Type, key: string): Type {
    if (type.kind === "params") {
      const { params } = this.rules;
      if (params && !params.includes(key)) {
        throw new Refusal("check", `unknown parameter params.${key}`, node.range, {
          hint: params.length === 0 ? "The action has no parameters." : nearest(key, params),
          help: "expressions",
        });
      }
      return JSON_DATA;
    }
    const known = type.kind === "messages" ? MESSAGES : ROOM;
    if (!known.has(key)) {
      return this.nonsense(node, `${type.kind} has no member ${key}`, nearest(key, [...known]));
    }
    if (key === "unread" || key === "directed_unread") this.passing.add(`messages.${key}`);
    return key === "id" ? kind("string") : JSON_DATA;
  }

  #ofData(node: Node, base: Node, type: Type, key: string): Type {
    if (this.#oldViews.has(base) && (key === "value" || key === "_meta")) {
      this.lint.keepOldView(base);
    }
    if (key === "_meta") return kind("meta");
    if (type.origin === "agents" && PRESENCE.has(key)) this.passing.add("presence");
    if (type.origin === "actions" && AVAILABILITY.has(key)) this.passing.add("actions.available");
    const group = family(type);
    if (group !== "any" && group !== "map" && group !== "null") {
      return this.nonsense(node, `${spell(type)} has no member ${key}`);
    }
    return type.kind === "json" ? JSON_DATA : DYN;
  }

  #index(node: Node, base: Node, key: Node, names: Names | undefined): Type {
    const type = this.infer(base, names);
    const keyType = this.value(key, names, "is used as an index");
    const isOptional = node.op === "[?]" || type.kind === "optional";
    const inner = type.kind === "optional" ? type.of ?? DYN : type;
    const name = stringKey(key);
    const found = name === undefined
      ? this.#computed(node, base, inner, keyType)
      : this.#select(node, base, inner, name);
    return isOptional ? { kind: "optional", of: found } : found;
  }

  #computed(node: Node, base: Node, type: Type, key: Type): Type {
    const keyFamily = family(key);
    if (type.kind === "scopes" || type.kind === "scope") return this.#select(node, base, type, "*");
    if (type.kind === "list") {
      if (keyFamily !== "any" && keyFamily !== "num") {
        return this.nonsense(node, `a list takes a number as index, not ${spell(key)}`);
      }
      return type.of ?? DYN;
    }
    if (type.kind === "entry") {
      this.lint.value(base, type, "is indexed");
      return JSON_DATA;
    }
    if (type.kind === "meta") this.passing.add("_meta.score");
    if (type.origin === "agents") this.passing.add("presence");
    if (type.origin === "actions") this.passing.add("actions.available");
    if (type.kind === "messages") this.passing.add("messages.unread");
    const group = family(type);
    if (group === "any" || group === "map" || group === "null") {
      return type.kind === "json" ? JSON_DATA : DYN;
    }
    return this.nonsense(node, `${spell(type)} has no elements`);
  }

  #operator(node: Node, names: Names | undefined): Type {
    switch (node.op) {
      case "&&":
      case "||":
        for (const side of node.args) this.#condition(side, names, `is a side of ${node.op}`);
        return BOOL;
      case "!_":
        this.#condition(node.args, names, "is negated");
        return BOOL;
      case "-_":
        return this.#minus(node, node.args, names);
      case "?:": {
        this.#condition(node.args[0], names, "is a condition");
        return either(this.infer(node.args[1], names), this.infer(node.args[2], names));
      }
      case "==":
      case "!=":
        return this.#equality(node, node.args[0], node.args[1], names);
      case "in":
        return this.#membership(node, node.args[0], node.args[1], names);
      case "<":
      case "<=":
      case ">":
      case ">=":
      case "+":
      case "-":
      case "*":
      case "/":
      case "%":
        return this.#binary(node, node.op, node.args[0], node.args[1], names);
      default:
        return DYN;
    }
  }

  #condition(node: Node, names: Names | undefined, use: string): void {
    const type = this.value(node, names, use);
    const group = family(type);
    if (group === "any" || group === "bool") return;
    this.nonsense(node, `a condition must be bool, not ${spell(type)}`, optionalHint(type));
  }

  #minus(node: Node, operand: Node, names: Names | undefined): Type {
    const type = this.value(operand, names, "is negated");
    const group = family(type);
    if (group === "any" || group === "num" || group === "duration") return type;
    return this.nonsense(node, `no such overload: -${spell(type)}`);
  }

  #equality(node: Node, a: Node, b: Node, names: Names | undefined): Type {
    let x = this.infer(a, names), y = this.infer(b, names);
    if (isNoEntry(y)) x = this.#compared(a, x, y);
    if (isNoEntry(x)) y = this.#compared(b, y, x);
    const [p, q] = [family(x), family(y)];
    const isMixed = p !== q && p !== "any" && q !== "any" && p !== "null" && q !== "null";
    if (isMixed) this.nonsense(node, `${spell(x)} is never equal to ${spell(y)}`, textHint(p, q));
    return BOOL;
  }

  #compared(node: Node, type: Type, other: Type): Type {
    if (type.kind === "entry") {
      return this.lint.value(node, type, "is compared with something that is no entry");
    }
    const isOdd = type.kind === "optional" && other.kind !== "optional" && other.kind !== "dyn";
    return isOdd && !this.rules.lenient ? this.lint.optional(node, type) : type;
  }

  #membership(node: Node, item: Node, container: Node, names: Names | undefined): Type {
    this.value(item, names, "is looked for with in");
    const type = this.value(container, names, "is searched with in");
    const group = family(type);
    if (group !== "any" && group !== "list" && group !== "map") {
      const hint = group === "string" ? 'For text use "abc".contains("b").' : optionalHint(type);
      this.nonsense(node, `in wants a list or a map, not ${spell(type)}`, hint);
    }
    return BOOL;
  }

  #binary(node: Node, op: string, a: Node, b: Node, names: Names | undefined): Type {
    const isOrder = op === "<" || op === "<=" || op === ">" || op === ">=";
    const use = isOrder ? `is compared with ${op}` : `is computed with ${op}`;
    const x = this.value(a, names, use), y = this.value(b, names, use);
    const result = isOrder ? orderType(x, y) : arithType(op, x, y);
    if (result) return result;
    const hint = optionalHint(x) ?? optionalHint(y) ?? textHint(family(x), family(y));
    return this.nonsense(node, `no such overload: ${spell(x)} ${op} ${spell(y)}`, hint);
  }
}

function literalType(value: unknown): Type {
  switch (typeof value) {
    case "bigint":
      return kind("int");
    case "number":
      return kind("double");
    case "string":
      return kind("string");
    case "boolean":
      return BOOL;
  }
  if (value === null) return kind("null");
  return kind(value instanceof Uint8Array ? "bytes" : "uint");
}

function unknownName(node: Node, name: string, roots: ReadonlyMap<string, Type>): Refusal {
  if (NAMESPACES.has(name)) {
    return new Refusal("check", `${name} is no value`, node.range, { help: "functions" });
  }
  const hint = name === "params"
    ? "There are no parameters here."
    : nearest(name, [...roots.keys()]);
  return new Refusal("check", `unknown variable ${name}`, node.range, {
    hint,
    help: "expressions",
  });
}
