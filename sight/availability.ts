/** Can the reader invoke an action now, and if not, why not? */
import { Budget, CelError, CelTooExpensive } from "../cel.ts";
import { actionEyes, type Sight } from "../sight.ts";
import type { ActionDefinition, Entry, Json } from "../types.ts";
import { programOf } from "./programs.ts";

/** What listings say about an action. */
export interface Availability {
  readonly available: boolean;
  readonly reason?: "cooldown" | "precondition_failed" | "cel_error" | "agent_disabled" | "cycle";
  /** The gate only lacks a parameter. */
  readonly conditional?: true;
  readonly available_at?: string;
  readonly ticks_left?: number;
}

/** Judges an action for the reader, without parameters or with some of them. */
export function availabilityOf(
  sight: Sight,
  id: string,
  definition: ActionDefinition,
  entry: Entry,
  params: Json = {},
): Availability {
  if (entry.cooldown) {
    const { due_at, ticks_left } = entry.cooldown;
    return {
      available: false,
      reason: "cooldown",
      ...(due_at === undefined ? {} : { available_at: due_at }),
      ...(ticks_left === undefined ? {} : { ticks_left }),
    };
  }
  if (!sight.isAgentThere(sight.eyes.self)) return { available: false, reason: "agent_disabled" };
  if (definition.if === undefined) return { available: true };
  const computing = sight.live.memos.computing;
  const key = `available:${id}`;
  if (computing.has(key)) return { available: false, reason: "cycle" };
  computing.add(key);
  try {
    return judgeGate(sight, definition, params);
  } finally {
    computing.delete(key);
  }
}

/** What judging a gate takes beside its steps. */
const GATE_STEPS = 200;

function judgeGate(sight: Sight, definition: ActionDefinition, params: Json): Availability {
  const eyes = actionEyes(
    sight.room,
    definition,
    sight.eyes.self,
    definition.memory_of,
  );
  const budget = new Budget();
  try {
    // Gates build on each other: all of one look share what they may take.
    sight.pool.spend(GATE_STEPS);
    const value = sight.as(eyes, sight.tracker, params).evaluate(
      programOf(definition.if!, "action"),
      budget,
    );
    if (value === true) return { available: true };
    return { available: false, reason: value === false ? "precondition_failed" : "cel_error" };
  } catch (error) {
    if (error instanceof CelTooExpensive) return { available: false, reason: "cel_error" };
    if (!(error instanceof CelError)) throw error;
    if (error.path !== undefined && /^params\b/.test(error.path)) {
      return { available: true, conditional: true };
    }
    return {
      available: false,
      reason: error.code === "missing" ? "precondition_failed" : "cel_error",
    };
  } finally {
    sight.pool.spent += budget.spent;
  }
}
