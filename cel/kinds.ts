/** What is known of a value before it is computed: its kind, and for data of rooms its origin. */

/** Kinds of the language, and the kinds of a room's data that the lint follows. */
export type Kind =
  | "dyn"
  | "json"
  | "null"
  | "bool"
  | "int"
  | "uint"
  | "double"
  | "num"
  | "string"
  | "bytes"
  | "list"
  | "map"
  | "timestamp"
  | "duration"
  | "type"
  | "optional"
  | "scopes"
  | "scope"
  | "entry"
  | "meta"
  | "pair"
  | "messages"
  | "room"
  | "params";

/** A static type. `origin` names the root that an entry, or what is inside one, came from. */
export interface Type {
  readonly kind: Kind;
  /** What a list, optional, scope or pair holds. */
  readonly of?: Type;
  readonly origin?: string;
}

/** Nothing is known. */
export const DYN: Type = { kind: "dyn" };
/** Plain data that is certainly no entry. */
export const JSON_DATA: Type = { kind: "json" };
/** True or false. */
export const BOOL: Type = { kind: "bool" };

/** A type of that kind alone. */
export function kind(name: string): Type {
  return { kind: name as Kind };
}

/** An entry of a root: `state`, `views`, `agents`, `actions`, `memory`. */
export function entryOf(origin: string): Type {
  return { kind: "entry", origin };
}

/** A map of entries. */
export function scopeOf(origin: string): Type {
  return { kind: "scope", origin, of: entryOf(origin) };
}

/** What every place may read. */
export const ROOTS: ReadonlyMap<string, Type> = new Map([
  ["state", { kind: "scopes", of: scopeOf("state") }],
  ["views", scopeOf("views")],
  ["agents", scopeOf("agents")],
  ["actions", scopeOf("actions")],
  ["memory", scopeOf("memory")],
  ["messages", { kind: "messages" }],
  ["self", { kind: "string" }],
  ["params", { kind: "params" }],
  ["now", { kind: "timestamp" }],
  ["room", { kind: "room" }],
]);

/** Families of kinds that may meet in one operation. */
export type Family =
  | "any"
  | "null"
  | "bool"
  | "num"
  | "string"
  | "bytes"
  | "list"
  | "map"
  | "timestamp"
  | "duration"
  | "type"
  | "optional";

/** The family of a type; `any` when it is not known. */
export function family(type: Type): Family {
  switch (type.kind) {
    case "dyn":
    case "json":
      return "any";
    case "int":
    case "uint":
    case "double":
    case "num":
      return "num";
    case "scopes":
    case "scope":
    case "entry":
    case "meta":
    case "pair":
    case "messages":
    case "room":
    case "params":
      return "map";
    default:
      return type.kind;
  }
}

/** The type's name as an agent knows it. */
export function spell(type: Type): string {
  const name = family(type);
  return name === "any"
    ? "dyn"
    : type.kind === "num"
    ? "double"
    : name === "num"
    ? type.kind
    : name;
}

/** The type of either of two. */
export function either(a: Type, b: Type): Type {
  if (a.kind === b.kind && a.origin === b.origin) {
    return a.of && b.of ? { ...a, of: either(a.of, b.of) } : a;
  }
  if (family(a) === "num" && family(b) === "num") return kind("num");
  return DYN;
}
