/** Source to program: parse, check, lint, compile, and the cache of what was compiled. */
import { SyncError } from "../errors.ts";
import { Checker, type Rules } from "./check.ts";
import { compileNode } from "./compile.ts";
import type { Env, Node, Run } from "./frame.ts";
import { family, ROOTS, spell } from "./kinds.ts";
import { parseSource, Refusal } from "./parse.ts";
import { type Ref, refsOf } from "./refs.ts";
import { CelTooExpensive, failure, spoken } from "./failures.ts";
import type { Value } from "./values.ts";

/** An expression that was accepted. */
export interface Program {
  readonly source: string;
  readonly refs: readonly Ref[];
  readonly roots: ReadonlySet<string>;
  readonly calls: ReadonlySet<string>;
  /** Passing inputs visible in the text: `now`, `_meta.score`, `presence`, `trust`, …. */
  readonly passing: readonly string[];
  readonly warnings: readonly string[];
}

/** A program with what runs it. */
export interface Compiled extends Program {
  readonly ast: Node;
  readonly run: Run;
}

/** Where an expression stands; it decides what it may name. */
export type Place = "enabled" | "view" | "action" | "call" | "wait";

/** How an expression is read. */
export interface CompileOptions {
  /** The field that a refusal names. */
  field: string;
  place: Place;
  /** Known parameters; an unknown `params.x` is refused. Undefined: there is no schema. */
  params?: readonly string[] | undefined;
  /** `bool` refuses an expression whose result is known to be something else. */
  expect?: "bool" | undefined;
}

const CACHE_MAX = 2_000;
const cache = new Map<string, Compiled>();

/** The program of an expression; throws `400 invalid_cel` with what is wrong and where. */
export function compile(source: unknown, options: CompileOptions): Program {
  if (typeof source !== "string") {
    throw invalidCel(new Refusal("parse", "an expression is text", undefined), "", options.field);
  }
  const params = options.params === undefined ? "" : JSON.stringify(options.params);
  const key = `${options.place}${options.expect ?? ""} ${params} ${source}`;
  const known = cache.get(key);
  if (known) {
    if (cache.size < CACHE_MAX / 2) return known;
    cache.delete(key);
    cache.set(key, known);
    return known;
  }
  try {
    const made = prepare(source, options);
    if (cache.size >= CACHE_MAX) cache.delete(cache.keys().next().value ?? "");
    cache.set(key, made);
    return made;
  } catch (error) {
    throw error instanceof Refusal ? invalidCel(error, source, options.field) : error;
  }
}

const HINT =
  'help {"key": "expressions"} shows how expressions are written, help {"key": "functions"} what they may call.';

function invalidCel(refusal: Refusal, source: string, field: string): SyncError {
  const { hint, help, corrected } = refusal.facts;
  const { start, end } = refusal.position ?? { start: 0, end: source.length };
  return new SyncError("invalid_cel", `"${field}" is not an expression: ${refusal.detail}.`, {
    field,
    stage: refusal.stage,
    detail: refusal.detail,
    position: { start, end },
    source: source.slice(0, 1_000),
    hint: hint === undefined || hint === "" ? HINT : hint,
    help: help ?? "expressions",
    ...(corrected === undefined ? {} : { corrected }),
  });
}

const HAS_PARAMS: ReadonlySet<Place> = new Set(["action", "call"]);

function prepare(source: string, options: CompileOptions): Compiled {
  const { place, params } = options;
  const roots = new Map(ROOTS);
  if (!HAS_PARAMS.has(place)) roots.delete("params");
  const made = analyse(source, { roots, params }, options.expect);
  if (place === "enabled") checkEnabled(made);
  if (place === "view") checkView(made);
  return made;
}

/** The program of an expression under given rules; throws a `Refusal`. */
export function analyse(source: string, rules: Rules, expect?: "bool"): Compiled {
  const ast = parseSource(source);
  const checker = new Checker(rules);
  const type = expect === "bool"
    ? checker.value(ast, undefined, "the result must be true or false")
    : checker.infer(ast);
  checker.lint.conclude(ast);
  const group = family(type);
  if (expect === "bool" && group !== "any" && group !== "bool") {
    throw new Refusal("check", `the result must be bool, not ${spell(type)}`, ast.range, {
      help: "expressions",
    });
  }
  const refs = refsOf(ast);
  return {
    source,
    ast,
    run: compileNode(ast),
    refs,
    roots: new Set(refs.map((ref) => ref.root)),
    calls: checker.calls,
    passing: [...checker.passing].sort(),
    warnings: checker.lint.warnings,
  };
}

function checkEnabled({ passing, refs, ast }: Compiled): void {
  if (passing.length > 0) {
    throw new Refusal("check", `enabled may not read ${passing.join(", ")}`, ast.range, {
      hint: "What passes cannot decide whether a thing is there: time is what timers are for.",
      help: "expressions",
    });
  }
  if (refs.some(({ root, path }) => root === "state" && path[0] === "self")) {
    throw new Refusal("check", "enabled may not read state.self", ast.range, {
      hint: "Name a scope; self is the reader's id.",
      help: "expressions",
    });
  }
}

const NOT_IN_VIEWS = new Set(["messages.unread", "messages.directed_unread", "actions.available"]);

function checkView({ passing, ast }: Compiled): void {
  const refused = passing.filter((input) => NOT_IN_VIEWS.has(input));
  if (refused.length === 0) return;
  throw new Refusal("check", `a view may not read ${refused.join(", ")}`, ast.range, {
    hint: "A view is the same for every reader; what is unread or available is not.",
    help: "expressions",
  });
}

/** The value of a program; throws `CelError` or `CelTooExpensive`. */
export function evaluate(program: Program, env: Env): Value {
  const frame = { env, budget: env.budget, vars: [] };
  try {
    return (program as Compiled).run(frame);
  } catch (error) {
    throw readable(error, env);
  }
}

/** The failure as it leaves an evaluation: too deep a stack counts as too expensive. */
export function readable(error: unknown, env: Env): unknown {
  if (!(error instanceof RangeError)) return spoken(error);
  if (/call stack/.test(error.message)) return new CelTooExpensive(env.budget.steps);
  if (/invalid (string|array) length/i.test(error.message)) {
    return failure("range", "the result is too large");
  }
  return error;
}
