/** What the vocabulary of a room reads and writes, as far as its text tells. */
import type { Place, Program } from "../cel.ts";
import type { Room } from "../room.ts";
import { knownProgram } from "../sight/programs.ts";
import { placeholdersIn } from "../templates.ts";
import type { ActionDefinition, Json } from "../types.ts";

/** A place in the state that an expression reads; null for what is computed at run time. */
export interface StateRead {
  readonly scope: string | null;
  readonly key: string | null;
  /** The value is used, not only whether it is there. */
  readonly isUsed: boolean;
}

/** The state that a program reads; `own` is the scope behind `state.self`. */
export function stateReads(program: Program, own: string | null): StateRead[] {
  return program.refs.flatMap(({ root, path: [first, key], whole }) => {
    if (root !== "state") return [];
    const scope = first === "self" ? own : first;
    return [{ scope: scope ?? null, key: key ?? null, isUsed: whole }];
  });
}

/** Every expression of an action, with its place in the definition. */
export function expressionsOf(action: ActionDefinition): { field: string; program: Program }[] {
  const sources: [field: string, source: string | undefined, place: Place][] = [
    ["if", action.if, "action"],
    ["enabled", action.enabled, "enabled"],
    ["result", action.result, "action"],
  ];
  action.writes.forEach((write, i) => {
    const operand = write.merge ?? write.increment ?? write.value;
    const source = write.increment === true ? write.value : operand;
    if (write.expr && typeof source === "string") sources.push([`writes[${i}]`, source, "action"]);
    sources.push([`writes[${i}].enabled`, write.enabled ?? undefined, "enabled"]);
  });
  return sources.flatMap(([field, source, place]) => {
    const program = knownProgram(source, place);
    return program ? [{ field, program }] : [];
  });
}

/** Parameters that an action declares and nothing of it uses. */
export function unusedParams(action: ActionDefinition): string[] {
  const declared = Object.keys(action.params ?? {});
  if (declared.length === 0) return [];
  const used = new Set<string>();
  const templates = placeholdersIn([action.writes, action.on_invoke ?? null] as unknown as Json);
  for (const name of templates) if (name.startsWith("params.")) used.add(name.split(".")[1]!);
  for (const { program } of expressionsOf(action)) {
    for (const { root, path: [name] } of program.refs) {
      if (root !== "params") continue;
      if (typeof name !== "string") return [];
      used.add(name);
    }
  }
  return declared.filter((name) => !used.has(name));
}

/** Views by who reads them: other views, actions and the conditions of open waits. */
export function viewReaders(room: Room, conditions: readonly Program[]): Set<string> {
  const programs = [...conditions];
  for (const id of room.scopes.get("_views")?.keys() ?? []) {
    const view = room.view(id)!;
    programs.push(
      ...[knownProgram(view.expr, "view"), knownProgram(view.enabled, "enabled")].flatMap((p) =>
        p ?? []
      ),
    );
  }
  for (const id of room.scopes.get("_actions")?.keys() ?? []) {
    programs.push(...expressionsOf(room.action(id)!).map(({ program }) => program));
  }
  const read = new Set<string>();
  for (const program of programs) {
    for (const { root, path: [id] } of program.refs) {
      if (root === "views") read.add(typeof id === "string" ? id : "*");
    }
  }
  return read;
}
