/**
 * What each kind of object does when one operation at a time reaches it: a register with revision
 * and version, a counter with waits, a task with claims, fences and leases, and a room's log.
 */
import { createHash } from "node:crypto";
import type { Model } from "./checker.ts";

/** The version of a text as an entry's `_meta` names it: 16 digits over its canonical JSON. */
export function versionOfText(value: string): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** An entry that was never written. */
export const ABSENT = { value: null, revision: 0 } as const;

/** A register: its value and how often it was written. */
export interface Cell {
  readonly value: string | null;
  readonly revision: number;
}

/** `expected` is a version, a revision, or "" and 0 for "must not exist". */
export type RegisterInput =
  | { readonly kind: "put"; readonly value: string }
  | { readonly kind: "cas"; readonly expected: string | number; readonly value: string }
  | { readonly kind: "read" };

/** A write answers the cell it made, a read the cell it saw, a conflict the cell in its way. */
export type RegisterOutput =
  | { readonly kind: "is"; readonly cell: Cell }
  | { readonly kind: "conflict"; readonly current: Cell };

function isSameCell(a: Cell, b: Cell): boolean {
  return a.value === b.value && a.revision === b.revision;
}

function meets(cell: Cell, expected: string | number): boolean {
  if (typeof expected === "number") return cell.revision === expected;
  return expected === (cell.value === null ? "" : versionOfText(cell.value));
}

/** A register. */
export const REGISTER: Model<Cell, RegisterInput, RegisterOutput> = {
  initial: ABSENT,
  key: ({ value, revision }) => `${revision} ${value}`,
  step(cell, input, output) {
    if (input.kind === "read") {
      return output?.kind === "is" && isSameCell(output.cell, cell) ? cell : undefined;
    }
    const isMet = input.kind === "put" || meets(cell, input.expected);
    if (output?.kind === "conflict") {
      return !isMet && isSameCell(output.current, cell) ? cell : undefined;
    }
    const next = { value: input.value, revision: cell.revision + 1 };
    if (!isMet || (output && !isSameCell(output.cell, next))) return undefined;
    return next;
  },
};

/** `wait` asks for a value of at least `atLeast`. */
export type CounterInput =
  | { readonly kind: "inc" }
  | { readonly kind: "read" }
  | { readonly kind: "wait"; readonly atLeast: number };

/** `triggered` is false for a wait whose time was up. `value` is what the reply shows. */
export interface CounterOutput {
  readonly value: number;
  readonly triggered?: boolean;
}

/** A counter, and the waits on it: answered where the condition holds, timed out where not. */
export const COUNTER: Model<number, CounterInput, CounterOutput> = {
  initial: 0,
  key: String,
  alike: ({ kind }) => kind,
  step(count, input, output) {
    if (input.kind === "inc") {
      return output && output.value !== count + 1 ? undefined : count + 1;
    }
    if (output?.value !== count) return undefined;
    if (input.kind === "wait" && output.triggered !== (count >= input.atLeast)) return undefined;
    return count;
  },
};

/** A task's claim. `fence` is null when nobody was told, `lease` names the claim that set it. */
export interface Claim {
  readonly holder: string | null;
  readonly fence: number | null;
  readonly lease: string | null;
}

/**
 * `lease` names the claim itself when it asks for a lease; on one task all do, or none. `lapse` is
 * the end of the lease that this claim set: the service's own doing.
 */
export type ClaimInput =
  | { readonly kind: "claim"; readonly agent: string; readonly lease: string | null }
  | { readonly kind: "release"; readonly agent: string }
  | { readonly kind: "work"; readonly agent: string; readonly fence: number }
  | { readonly kind: "lapse"; readonly lease: string }
  | { readonly kind: "read" };

/** What a claim, a release, a fenced write or a read answers. */
export type ClaimOutput =
  | { readonly kind: "claimed"; readonly fence: number }
  | { readonly kind: "taken"; readonly by: string }
  | { readonly kind: "free" }
  | { readonly kind: "done" }
  | { readonly kind: "stale" };

const FREE: Claim = { holder: null, fence: null, lease: null };

function claim(
  state: Claim,
  input: ClaimInput & { kind: "claim" },
  output: ClaimOutput | undefined,
): Claim | undefined {
  const { holder } = state;
  if (holder !== null && holder !== input.agent) {
    return output?.kind === "taken" && output.by === holder ? state : undefined;
  }
  if (output && output.kind !== "claimed") return undefined;
  const known = holder === null ? null : state.fence;
  if (output && known !== null && known !== output.fence) return undefined;
  const { agent, lease } = input;
  return { holder: agent, fence: output?.fence ?? known, lease };
}

function release(state: Claim, agent: string, output: ClaimOutput | undefined): Claim | undefined {
  if (state.holder === null) return output?.kind === "free" ? state : undefined;
  if (state.holder === agent) return !output || output.kind === "done" ? FREE : undefined;
  return output?.kind === "taken" && output.by === state.holder ? state : undefined;
}

function work(
  state: Claim,
  { agent, fence }: ClaimInput & { kind: "work" },
  output: ClaimOutput | undefined,
): Claim | undefined {
  const isKnown = state.fence !== null;
  const mayHold = state.holder === agent && (!isKnown || state.fence === fence);
  if (output?.kind === "stale") return mayHold && isKnown ? undefined : state;
  return mayHold ? { ...state, fence } : undefined;
}

/** A task: free, or held by one agent under one fence until a release or the end of its lease. */
export const TASK: Model<Claim, ClaimInput, ClaimOutput> = {
  initial: FREE,
  key: ({ holder, fence, lease }) => `${holder} ${fence} ${lease}`,
  step(state, input, output) {
    switch (input.kind) {
      case "claim":
        return claim(state, input, output);
      case "release":
        return release(state, input.agent, output);
      case "work":
        return work(state, input, output);
      case "lapse":
        return state.lease === input.lease ? FREE : undefined;
      case "read": {
        const isSame = state.holder === null
          ? output?.kind === "free"
          : output?.kind === "taken" && output.by === state.holder;
        return isSame ? state : undefined;
      }
    }
  },
};

/** `append` adds a record and answers its number; `head` answers the newest number. */
export interface LogInput {
  readonly kind: "append" | "head";
}

/** A room's log: numbers without gap or duplicate. The state is the newest number. */
export const LOG: Model<number, LogInput, number> = {
  initial: 0,
  key: String,
  alike: ({ kind }) => kind,
  step(head, { kind }, seq) {
    const next = kind === "append" ? head + 1 : head;
    return seq === undefined || seq === next ? next : undefined;
  },
};
