/** Prints a syntax tree back to source that means the same, with every bracket it needs. */
import type { Node } from "./frame.ts";

/** How a node is printed instead of plainly, for corrections; `level` is how tightly it binds. */
export interface Rewrite {
  readonly level: number;
  /** Gets the node's own text as a primary, and a printer for other nodes as operands. */
  readonly text: (own: string, printed: (node: Node, level: number) => string) => string;
}

const PRECEDENCE: Readonly<Record<string, number>> = {
  "?:": 1,
  "||": 2,
  "&&": 3,
  "==": 4,
  "!=": 4,
  "<": 5,
  "<=": 5,
  ">": 5,
  ">=": 5,
  in: 5,
  "+": 6,
  "-": 6,
  "*": 7,
  "/": 7,
  "%": 7,
  "!_": 8,
  "-_": 8,
};
/** How tightly members, calls and literals bind. */
export const PRIMARY = 9;
/** How tightly `in` and `<` bind. */
export const RELATION = 5;

/** The source of a tree; a rewrite replaces how its node is printed. */
export function print(node: Node, rewrites?: ReadonlyMap<Node, Rewrite>): string {
  const part: Part = (inner, level) => {
    const text = print(inner, rewrites);
    const own = rewrites?.get(inner)?.level ?? precedence(inner);
    return own >= level ? text : `(${text})`;
  };
  const plain = printPlain(node, part);
  const rewrite = rewrites?.get(node);
  if (!rewrite) return plain;
  return rewrite.text(precedence(node) >= PRIMARY ? plain : `(${plain})`, part);
}

function precedence(node: Node): number {
  return PRECEDENCE[node.op] ?? PRIMARY;
}

type Part = (node: Node, level: number) => string;

function printPlain(node: Node, part: Part): string {
  const list = (nodes: readonly Node[]) => nodes.map((n) => part(n, 1)).join(", ");
  switch (node.op) {
    case "value":
      return printLiteral(node.args);
    case "id":
      return node.args;
    case ".":
      return `${part(node.args[0], PRIMARY)}.${node.args[1]}`;
    case ".?":
      return `${part(node.args[0], PRIMARY)}.?${node.args[1]}`;
    case "[]":
      return `${part(node.args[0], PRIMARY)}[${part(node.args[1], 1)}]`;
    case "[?]":
      return `${part(node.args[0], PRIMARY)}[?${part(node.args[1], 1)}]`;
    case "call":
      return `${node.args[0]}(${list(node.args[1])})`;
    case "rcall":
      return `${part(node.args[1], PRIMARY)}.${node.args[0]}(${list(node.args[2])})`;
    case "list":
      return `[${list(node.args)}]`;
    case "map":
      return `{${node.args.map(([k, v]) => `${part(k, 1)}: ${part(v, 1)}`).join(", ")}}`;
    case "?:":
      return `${part(node.args[0], 2)} ? ${part(node.args[1], 1)} : ${part(node.args[2], 1)}`;
    case "!_":
      return `!${part(node.args, 8)}`;
    case "-_":
      return `-${part(node.args, 8)}`;
    default: {
      const level = precedence(node);
      return `${part(node.args[0], level)} ${node.op} ${part(node.args[1], level + 1)}`;
    }
  }
}

function printLiteral(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "bigint") {
    return String(value);
  }
  if (typeof value === "number") return printDouble(value);
  if (typeof value === "string") return printText(value);
  if (value instanceof Uint8Array) return `b"${[...value].map(byteEscape).join("")}"`;
  return `${String(value)}u`;
}

function printDouble(value: number): string {
  const text = String(value);
  return /^\d+$/.test(text) ? `${text}.0` : text;
}

function byteEscape(byte: number): string {
  const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
  return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
]);

/** A text as a literal of the language. */
export function printText(text: string): string {
  let out = '"';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const escaped = ESCAPES.get(char);
    if (escaped !== undefined) out += escaped;
    else if (code < 0x20 || code === 0x7f || code === 0x2028 || code === 0x2029) {
      out += `\\u${code.toString(16).padStart(4, "0")}`;
    } else out += char;
  }
  return `${out}"`;
}
