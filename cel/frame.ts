/** What one evaluation carries: the host's variables, the budget, and the macros' variables. */
import type { ASTNode } from "@marcbachmann/cel-js";
import type { Value } from "./values.ts";
import { type Budget, CelError, Unread } from "./failures.ts";

/** The host's side of an evaluation. */
export interface Env {
  /** A root variable; `undefined` when it is not there. */
  root(name: string): Value | undefined;
  /** A host function of `HOST_FUNCTIONS`. */
  call?(name: string, args: readonly Value[]): Value;
  budget: Budget;
}

/** One evaluation in progress. */
export interface Frame {
  readonly env: Env;
  readonly budget: Budget;
  /** Variables of macros, by slot. */
  readonly vars: Value[];
}

/** A compiled expression. */
export type Run = (frame: Frame) => Value;

/** A node of the syntax tree. */
export type Node = ASTNode;

/** Steps that a failure costs: making and catching one is dear. */
const FAILURE_STEPS = 96;
/** Steps that a failure costs which nobody words. */
const UNREAD_STEPS = 16;

/** Passes anything on but a failure of the expression, which an operator may absorb. */
export function absorb(frame: Frame, error: unknown): CelError | Unread {
  if (!(error instanceof CelError || error instanceof Unread)) throw error;
  frame.budget.spend(error instanceof Unread ? UNREAD_STEPS : FAILURE_STEPS);
  return error;
}

/** Charges for text or bytes that are read or copied. */
export function chargeBytes(frame: Frame, length: number): void {
  if (length >= 64) frame.budget.spend(length >>> 6);
}

/** Charges for a key that is looked up: a long text is read, and read slowly. */
export function chargeKey(frame: Frame, key: Value): void {
  if (typeof key === "string" && key.length >= 64) frame.budget.spend(key.length >>> 4);
}

/** Charges for list elements that are copied. */
export function chargeItems(frame: Frame, count: number): void {
  if (count >= 8) frame.budget.spend(count >>> 3);
}
