/** `matches` through RE2: linear in the text, and charged for how slow the engine is. */
import { RE2JS, RE2JSException } from "re2js";
import { type Budget, failure } from "./failures.ts";
import type { Frame } from "./frame.ts";

const PATTERN_MAX = 512;
const CACHE_MAX = 256;
const COMPILE_STEPS = 500;
const cache = new Map<string, RE2JS>();

/** The engine for a pattern; compiled once, kept while it is among the newest used. */
export function engine(pattern: string, budget: Budget): RE2JS {
  const known = cache.get(pattern);
  if (known) return known;
  if (pattern.length > PATTERN_MAX) {
    throw failure("argument", `a pattern may have ${PATTERN_MAX} characters`);
  }
  budget.spend(COMPILE_STEPS + pattern.length * repeats(pattern));
  const made = compile(pattern);
  budget.spend(made.programSize() * 16);
  if (cache.size >= CACHE_MAX) cache.clear();
  cache.set(pattern, made);
  return made;
}

/** How often the counted repeats of a pattern may multiply what they repeat; RE2 stops at 1 000. */
function repeats(pattern: string): number {
  let product = 1;
  for (const [, least = "", most = ""] of pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    product *= Math.max(1, Number(least), Number(most));
    if (product >= 1_000) return 1_000;
  }
  return product;
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw failure("argument", `not a pattern: ${error.message}`, {
      hint: "Patterns are RE2: no look-ahead and no back-references.",
      help: "functions",
    });
  }
}

/** True when the pattern matches anywhere in the text. */
export function matches(text: string, pattern: string, f: Frame): boolean {
  const regex = engine(pattern, f.budget);
  f.budget.spend(16 + text.length * (4 + Math.ceil(regex.programSize() / 6)));
  return regex.matcher(text).find();
}
