/** What passes does not decide about what is there, not even by way of views. */
import type { Program } from "../cel.ts";
import { SyncError } from "../errors.ts";
import { splitCell } from "../room/changes.ts";
import type { Room } from "../room.ts";
import { knownProgram } from "../sight/programs.ts";
import type { Json, ViewDefinition } from "../types.ts";

/** A thing about to be written, as far as its being there is concerned. */
export interface Gated {
  readonly scope: string;
  readonly key: string;
  /** A view's or an action's definition, a message. */
  readonly value?: Json;
  readonly enabled?: string;
  /** What a refusal calls its `enabled`. */
  readonly field?: string;
}

/** The way from an expression to a view in which something passes. */
interface Passing {
  readonly path: readonly string[];
  readonly inputs: readonly string[];
}

type ViewOf = (id: string) => ViewDefinition | undefined;

/** Finds a view with passing inputs among those that an expression names, and those they name. */
function passingBehind(
  program: Program,
  viewOf: ViewOf,
  walked = new Set<string>(),
): Passing | undefined {
  for (const id of viewsNamed(program)) {
    if (walked.has(id)) continue;
    walked.add(id);
    const inner = knownProgram(viewOf(id)?.expr, "view");
    if (!inner) continue;
    if (inner.passing.length > 0) return { path: [id], inputs: inner.passing };
    const below = passingBehind(inner, viewOf, walked);
    if (below) return { ...below, path: [id, ...below.path] };
  }
  return undefined;
}

/** Views that an expression names; those whose id is computed are known only when it runs. */
function viewsNamed({ refs }: Program): string[] {
  return refs.flatMap(({ root, path: [id] }) =>
    root === "views" && typeof id === "string" ? [id] : []
  );
}

/**
 * Refuses an `enabled` that reads a view in which something passes: the thing would be hidden for
 * ever. Throws `invalid_cel`.
 */
export function mustNotPass(room: Room, writes: readonly Gated[]): void {
  const views = new Map(
    writes.filter(({ scope }) => scope === "_views").map((
      { key, value },
    ) => [key, value as unknown as ViewDefinition | undefined]),
  );
  const viewOf: ViewOf = (id) => views.get(id) ?? room.view(id);
  for (const { enabled, field = "enabled" } of writes) {
    const program = knownProgram(enabled, "enabled");
    const passing = program && passingBehind(program, viewOf);
    if (!program || !passing) continue;
    const way = passing.path.map((id) => `views.${id}`).join(" → ");
    const detail = `enabled may not read ${passing.inputs.join(", ")} by way of ${way}`;
    throw new SyncError("invalid_cel", `"${field}" is not an expression: ${detail}.`, {
      field,
      stage: "check",
      detail,
      position: { start: 0, end: program.source.length },
      source: program.source,
      hint: "What passes cannot decide whether a thing is there: time is what timers are for.",
      help: "expressions",
    });
  }
}

/** The gated things that come to read a view, when something passes in it; else none. */
export function hiddenByPassing(
  room: Room,
  view: ViewDefinition,
): { readonly scope: string; readonly key: string }[] {
  if (room.gated.size === 0) return [];
  const program = knownProgram(view.expr, "view");
  const viewOf: ViewOf = (id) => id === view.id ? view : room.view(id);
  if (!program || (program.passing.length === 0 && !passingBehind(program, viewOf))) return [];
  return [...room.gated].map(splitCell).flatMap(([scope, key]) => {
    const gate = knownProgram(room.get(scope, key)?.enabled, "enabled");
    return gate && reaches(gate, view.id, viewOf) ? [{ scope, key }] : [];
  });
}

function reaches(
  program: Program,
  view: string,
  viewOf: ViewOf,
  walked = new Set<string>(),
): boolean {
  return viewsNamed(program).some((id) => {
    if (id === view) return true;
    if (walked.has(id)) return false;
    walked.add(id);
    const inner = knownProgram(viewOf(id)?.expr, "view");
    return inner !== undefined && reaches(inner, view, viewOf, walked);
  });
}
