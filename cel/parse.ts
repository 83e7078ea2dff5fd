/** Source to syntax tree with cel-js's parser, and the bounds on an expression's size. */
import { Environment, ParseError } from "@marcbachmann/cel-js";
import { CEL_DEPTH_MAX, CEL_NODES_MAX, CEL_SOURCE_BYTES_MAX } from "../limits.ts";
import type { Position } from "./failures.ts";
import type { Node } from "./frame.ts";

/** Where an expression was refused. */
export type Stage = "parse" | "check" | "lint" | "limit";

/** A refused expression, before it is dressed as `invalid_cel`. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    readonly stage: Stage,
    readonly detail: string,
    readonly position: Position | undefined,
    readonly facts: { readonly hint?: string; readonly help?: string; corrected?: string } = {},
  ) {
    super(detail);
  }
}

const parser = new Environment({
  unlistedVariablesAreDyn: true,
  homogeneousAggregateLiterals: false,
  enableOptionalTypes: true,
  limits: {
    maxAstNodes: CEL_NODES_MAX,
    maxDepth: CEL_DEPTH_MAX,
    maxListElements: CEL_NODES_MAX,
    maxMapEntries: CEL_NODES_MAX,
    maxCallArguments: 256,
  },
});

/** The tree of an expression, or a `Refusal` that says where it went wrong. */
export function parseSource(source: string): Node {
  const bytes = source.length > CEL_SOURCE_BYTES_MAX
    ? source.length
    : new TextEncoder().encode(source).length;
  if (bytes > CEL_SOURCE_BYTES_MAX) {
    throw new Refusal("limit", `longer than ${CEL_SOURCE_BYTES_MAX} bytes`, undefined);
  }
  if (source.trim() === "") throw new Refusal("parse", "the expression is empty", undefined);
  try {
    const { ast } = parser.parse(source);
    measure(ast);
    return ast;
  } catch (error) {
    throw asRefusal(error);
  }
}

function asRefusal(error: unknown): unknown {
  if (error instanceof RangeError) return tooDeep(undefined);
  if (!(error instanceof ParseError)) return error;
  if (error.code === "limit_exceeded") {
    return error.summary.includes("maxDepth")
      ? tooDeep(error.range)
      : new Refusal("limit", `more than ${CEL_NODES_MAX} parts`, error.range);
  }
  return new Refusal("parse", error.summary, error.range, parseAdvice(error));
}

function tooDeep(at: Position | undefined): Refusal {
  return new Refusal("limit", `nested more than ${CEL_DEPTH_MAX} deep`, at);
}

function parseAdvice(error: ParseError): { hint?: string; help?: string } {
  const start = error.range?.start ?? 0;
  const near = error.node?.input?.slice(start, start + 4);
  const word = /^(and|or|not)\b/.exec(near ?? "")?.[1];
  if (word !== undefined) {
    const sign = word === "and" ? "&&" : word === "or" ? "||" : "!";
    return { hint: `Write ${word} as ${sign}.`, help: "expressions" };
  }
  if (near?.startsWith("=")) return { hint: "Equality is ==.", help: "expressions" };
  if (near?.startsWith("&")) return { hint: "And is &&.", help: "expressions" };
  if (near?.startsWith("|")) return { hint: "Or is ||.", help: "expressions" };
  if (near?.startsWith("$") || near?.startsWith("{")) {
    return {
      hint: "An expression names parameters as params.x, without ${}.",
      help: "expressions",
    };
  }
  return { help: "expressions" };
}

const LEFT_CHAINS = new Set([
  "||",
  "&&",
  "==",
  "!=",
  "in",
  "+",
  "-",
  "*",
  "/",
  "%",
  "<",
  "<=",
  ">",
  ">=",
]);

/** Refuses nesting that the parser does not count: unary operators and chains of calls. */
function measure(root: Node): void {
  const open: [Node, number][] = [[root, 1]];
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    const [node, depth] = top;
    if (depth > CEL_DEPTH_MAX + 1) throw tooDeep(node.range);
    const parts = children(node);
    // a + b + c is a chain to whoever reads it, though its tree leans to the left.
    parts.forEach((part, i) => {
      open.push([part, i === 0 && LEFT_CHAINS.has(node.op) ? depth : depth + 1]);
    });
  }
}

/** The parts of a node, in the order of the source. */
export function children(node: Node): Node[] {
  switch (node.op) {
    case "value":
    case "id":
      return [];
    case ".":
    case ".?":
      return [node.args[0]];
    case "call":
      return node.args[1];
    case "rcall":
      return [node.args[1], ...node.args[2]];
    case "list":
      return node.args;
    case "map":
      return node.args.flat();
    case "!_":
    case "-_":
      return [node.args];
    default:
      return node.args;
  }
}
