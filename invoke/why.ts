/** Why a gate is shut: its smallest false parts, who wrote what they read, and what could change it. */
import {
  Budget,
  CelError,
  CelTooExpensive,
  explain,
  type Explanation,
  type Program,
} from "../cel.ts";
import { canReadScope } from "../policy.ts";
import type { Room } from "../room.ts";
import type { Sight } from "../sight.ts";
import { programOf } from "../sight/programs.ts";
import { iso } from "../timers.ts";
import type { JsonObject } from "../types.ts";
import { seenBy, whoCould, writersOf } from "./could.ts";
import { type Audience, readsBeyond } from "./failures.ts";

/** Explains a gate that did not hold, to somebody who may read only so much. */
export function why(program: Program, sight: Sight, audience: Audience): JsonObject[] {
  let parts: Explanation[];
  try {
    parts = explain(program, sight.env(new Budget()));
  } catch (error) {
    if (error instanceof CelError || error instanceof CelTooExpensive) return [];
    throw error;
  }
  // Where it reads beyond its audience, only what stands in its text is told.
  const told = readsBeyond(program, sight, audience)
    ? new Set(program.refs.map(({ root, path }) => [root, ...path].join("\u0000")))
    : undefined;
  const budget = new Budget(WHO_STEPS);
  return parts.map((part) => {
    const described = describePart(part, sight, audience, told);
    return { ...described, could_change_by: whoCouldChange(described, sight, audience, budget) };
  });
}

/** Steps that finding out who could change something may take: a refusal is answered at once. */
const WHO_STEPS = 5_000;
/** Actions for which it is found out. */
const ACTIONS_JUDGED = 4;

/** The actions that could change a part, with the agents for whom they are available now. */
function whoCouldChange(
  part: JsonObject,
  sight: Sight,
  audience: Audience,
  budget: Budget,
): JsonObject[] {
  return (part["could_change"] as string[]).map((action, i) =>
    i < ACTIONS_JUDGED
      ? { action, ...whoCould(sight, audience, action, budget) }
      : { action, agents: [], unknown: true }
  );
}

function describePart(
  part: Explanation,
  sight: Sight,
  audience: Audience,
  told: ReadonlySet<string> | undefined,
): JsonObject {
  const { room } = sight;
  const couldChange = new Set<string>();
  const reader = seenBy(sight, audience.agent);
  const operands = part.operands.map((operand): JsonObject => {
    const { path, segments } = operand;
    const cell = cellBehind(sight, segments);
    if (told && !told.has(segments.join("\u0000"))) return { hidden: true };
    if (!mayRead(room, sight, segments, audience)) return { path, hidden: true };
    for (const { scope, key } of cell ? sourcesOf(room, cell) : []) {
      for (const id of writersOf(room, scope, key)) {
        if (reader.entry("_actions", id)) couldChange.add(id);
      }
    }
    if (operand.missing) return { path, missing: true };
    const entry = cell && room.get(cell.scope, cell.key);
    const shown: JsonObject = { path, value: operand.value ?? null };
    if (!entry) return shown;
    return {
      ...shown,
      writer: entry.writer,
      via: entry.via,
      seq: entry.seq,
      updated_at: iso(entry.updatedAt),
    };
  });
  return {
    expression: part.expression,
    value: told && typeof part.value !== "boolean" ? null : part.value,
    operands,
    ...(part.element === undefined || told ? {} : { element: part.element }),
    could_change: [...couldChange].sort(),
  };
}

interface Cell {
  readonly scope: string;
  readonly key: string;
}

function cellBehind(sight: Sight, segments: readonly string[]): Cell | undefined {
  const [root, first, second] = segments;
  if (root === "state" && first !== undefined && second !== undefined) {
    const scope = first === "self" ? sight.eyes.own : first;
    return scope === undefined ? undefined : { scope, key: second };
  }
  if (root === "views" && first !== undefined) return { scope: "_views", key: first };
  if (root === "agents" && first !== undefined) return { scope: "_agents", key: first };
  return undefined;
}

/** What a cell is made of: itself, and for a view the cells that its text reads. */
function sourcesOf(room: Room, cell: Cell): { scope: string; key: string | null }[] {
  const view = cell.scope === "_views" ? room.view(cell.key) : undefined;
  if (!view) return [cell];
  try {
    return programOf(view.expr, "view").refs.flatMap(({ root, path: [first, key] }) => {
      const scope = first === "self" ? view.scope : first;
      return root === "state" && typeof scope === "string" ? [{ scope, key: key ?? null }] : [];
    });
  } catch (error) {
    if (error instanceof CelError) return [];
    throw error;
  }
}

function mayRead(
  room: Room,
  sight: Sight,
  segments: readonly string[],
  audience: Audience,
): boolean {
  // Refusals are shown to admins, too: what an actor remembers is in none.
  if (segments[0] === "memory") return false;
  if (segments[0] !== "state" || segments[1] === undefined) return true;
  const scope = segments[1] === "self" ? sight.eyes.own : segments[1];
  return scope === undefined || canReadScope(room, audience.agent, audience.seesAll, scope);
}
