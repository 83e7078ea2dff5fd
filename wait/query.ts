/** A wait as asked for: its condition, its time, and the shape of its reply. */
import { compile, type Program } from "../cel.ts";
import {
  type ContextQuery,
  type Parameters,
  parseContextQuery,
  Parsed,
  SECTIONS,
  whole,
  wordsOf,
} from "../context/query.ts";
import { invalid } from "../errors.ts";
import { WAIT_MS_DEFAULT, WAIT_MS_MAX } from "../limits.ts";
import type { Millis } from "../types.ts";

/** A wait as asked for. */
export interface WaitQuery {
  readonly condition: string | undefined;
  readonly program: Program | undefined;
  readonly timeout: Millis;
  readonly since: number | undefined;
  /** Sections stand at the top level, instead of the context under `context`. */
  readonly isInSections: boolean;
  readonly context: ContextQuery;
}

const parsedWaits = new Parsed<WaitQuery>();

/** Parses a wait. Throws `invalid_cel` and `invalid_argument`. */
export function parseWait(get: Parameters): WaitQuery {
  return parsedWaits.of(get, parseWhole);
}

function parseWhole(get: Parameters): WaitQuery {
  const [condition] = get("condition");
  const isGiven = condition !== undefined && condition !== "";
  const program = isGiven
    ? compile(condition, { field: "condition", place: "wait", expect: "bool" })
    : undefined;
  const words = wordsOf(get, "include");
  const sections = words.filter((word) => word !== "context" && !word.startsWith("_"));
  for (const word of sections) {
    const isScope = word.startsWith("state.") && word !== "state.";
    if (isScope || (SECTIONS as readonly string[]).includes(word)) continue;
    throw invalid(
      "include",
      `"context", sections (${SECTIONS.join(", ")}), state.<scope> or scopes with "_" are wanted`,
      "state",
    );
  }
  const extra = words.filter((word) => word.startsWith("_"));
  const context = parseContextQuery((name) =>
    name === "include" ? extra : name === "only" && sections.length > 0 ? sections : get(name)
  );
  return {
    condition: isGiven ? condition : undefined,
    program,
    timeout: whole(get, "timeout", 0, WAIT_MS_MAX) ?? WAIT_MS_DEFAULT,
    since: context.since,
    isInSections: sections.length > 0 && !words.includes("context"),
    context,
  };
}
