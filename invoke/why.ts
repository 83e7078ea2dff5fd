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
import { placeholdersIn } from "../templates.ts";
import { iso } from "../timers.ts";
import type { Json, JsonObject } from "../types.ts";
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
  return parts.map((part) => describePart(part, sight, audience, told));
}

function describePart(
  part: Explanation,
  sight: Sight,
  audience: Audience,
  told: ReadonlySet<string> | undefined,
): JsonObject {
  const { room } = sight;
  const couldChange = new Set<string>();
  const operands = part.operands.map((operand): JsonObject => {
    const { path, segments } = operand;
    const cell = cellBehind(sight, segments);
    if (told && !told.has(segments.join("\u0000"))) return { hidden: true };
    if (!mayRead(room, sight, segments, audience)) return { path, hidden: true };
    if (cell) { for (const id of writersOf(room, cell.scope, cell.key)) couldChange.add(id); }
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

function cellBehind(
  sight: Sight,
  segments: readonly string[],
): { scope: string; key: string } | undefined {
  const [root, first, second] = segments;
  if (root === "state" && first !== undefined && second !== undefined) {
    const scope = first === "self" ? sight.eyes.own : first;
    return scope === undefined ? undefined : { scope, key: second };
  }
  if (root === "views" && first !== undefined) return { scope: "_views", key: first };
  if (root === "agents" && first !== undefined) return { scope: "_agents", key: first };
  return undefined;
}

function mayRead(
  room: Room,
  sight: Sight,
  segments: readonly string[],
  audience: Audience,
): boolean {
  if (segments[0] !== "state" || segments[1] === undefined) return true;
  const scope = segments[1] === "self" ? sight.eyes.own : segments[1];
  return scope === undefined || canReadScope(room, audience.agent, audience.seesAll, scope);
}

/** Actions with a write that may hit `(scope, key)`: by name, or by a template that can make it. */
export function writersOf(room: Room, scope: string, key: string): string[] {
  const ids: string[] = [];
  for (const id of room.scopes.get("_actions")?.keys() ?? []) {
    const action = room.action(id)!;
    const hits = action.writes.some((write) =>
      fits(write.scope ?? "_shared", scope) && write.key !== undefined && fits(write.key, key)
    );
    if (hits) ids.push(id);
  }
  return ids;
}

function fits(template: string, name: string): boolean {
  if (placeholdersIn(template as Json).length === 0) return template === name;
  const parts = template.split(/\$\{[^}]*\}/);
  if (!name.startsWith(parts[0]!) || !name.endsWith(parts.at(-1)!)) return false;
  let at = parts[0]!.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - parts.at(-1)!.length;
}
