/** `matches` through RE2: linear in the text, and charged for how slow the engine is. */
import { RE2JS, RE2JSException } from "re2js";
import { failure } from "./failures.ts";
import type { Frame } from "./frame.ts";

const PATTERN_MAX = 512;
const CACHE_MAX = 256;
const COMPILE_STEPS = 400;
const cache = new Map<string, RE2JS>();

/** The engine for a pattern; compiled once, kept while it is among the newest used. */
export function engine(pattern: string, f: Frame): RE2JS {
  const known = cache.get(pattern);
  if (known) return known;
  if (pattern.length > PATTERN_MAX) {
    throw failure("argument", `a pattern may have ${PATTERN_MAX} characters`);
  }
  f.budget.spend(COMPILE_STEPS + pattern.length * 16);
  const made = compile(pattern);
  if (cache.size >= CACHE_MAX) cache.clear();
  cache.set(pattern, made);
  return made;
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
  const regex = engine(pattern, f);
  f.budget.spend(16 + text.length * 4);
  return regex.matcher(text).find();
}
