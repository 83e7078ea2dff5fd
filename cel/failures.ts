/**
 * What an evaluation can fail with, and the budget that bounds it. Operators absorb a `CelError`
 * as the language says; nothing absorbs a `CelTooExpensive`.
 */
import { CEL_STEPS_MAX } from "../limits.ts";

/** Where in the source: characters from `start` up to `end`. */
export interface Position {
  readonly start: number;
  readonly end: number;
}

/** For what does not know its place: whoever calls it adds the place. */
export const NOWHERE: Position = { start: 0, end: 0 };

/** Kinds of failure that an expression can meet while it runs. */
export type CelErrorCode = "missing" | "type" | "overload" | "range" | "argument" | "unknown";

/** What a `CelError` says beside its code and detail. */
export interface CelErrorFacts {
  readonly path?: string;
  readonly hint?: string;
  readonly help?: string;
  readonly position?: Position;
}

/** A failure of the expression itself: a missing key, a wrong type, an overflow. */
export class CelError extends Error {
  override readonly name = "CelError";
  /** What is missing, as a path from a root variable: `state._shared.x.value`. */
  path?: string;
  hint?: string;
  help?: string;
  position: Position | undefined;
  constructor(readonly code: CelErrorCode, readonly detail: string, facts: CelErrorFacts = {}) {
    super(detail);
    if (facts.path !== undefined) this.path = facts.path;
    if (facts.hint !== undefined) this.hint = facts.hint;
    if (facts.help !== undefined) this.help = facts.help;
    const { position } = facts;
    // Only the two numbers: a node of the tree is a position too, and must not leave with it.
    this.position = position && position !== NOWHERE
      ? { start: position.start, end: position.end }
      : undefined;
  }
}

/** A failure that is mostly absorbed unread: no `Error`, and its words are made up when it leaves. */
export class Unread {
  constructor(readonly tell: () => CelError) {}
}

/** The evaluation spent its budget; no operator absorbs this. */
export class CelTooExpensive extends Error {
  override readonly name = "CelTooExpensive";
  constructor(readonly steps: number) {
    super(`the expression takes more than ${steps} steps`);
  }
}

/** Steps an evaluation may still take; shared by everything that runs for one caller. */
export class Budget {
  spent = 0;
  constructor(readonly steps: number = CEL_STEPS_MAX) {}
  spend(n: number): void {
    if ((this.spent += n) > this.steps) throw new CelTooExpensive(this.steps);
  }
}

/** A `CelError` without a stack: gates fail often, and nobody reads where in our code. */
export function failure(code: CelErrorCode, detail: string, facts: CelErrorFacts = {}): CelError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new CelError(code, detail, facts);
  Error.stackTraceLimit = limit;
  return error;
}

/** What leaves an evaluation: a failure in words, anything else as it is. */
export function spoken(error: unknown): unknown {
  return error instanceof Unread ? error.tell() : error;
}

/** The same failure, placed in the source unless it already knows its place. */
export function located(error: unknown, at: Position): unknown {
  if (error instanceof Unread) return new Unread(() => located(error.tell(), at) as CelError);
  if (error instanceof CelError && error.position === undefined) {
    error.position = { start: at.start, end: at.end };
  }
  return error;
}
