/** Who could invoke an action now, as far as somebody may know: for `why`, the review and waits. */
import { type Budget, CelError, CelTooExpensive } from "../cel.ts";
import type { Room } from "../room.ts";
import { actionEyes, callerEyes, Sight } from "../sight.ts";
import { programOf } from "../sight/programs.ts";
import { literalsOf, placeholdersIn } from "../templates.ts";
import type { ActionDefinition, Json, JsonObject, WriteTemplate } from "../types.ts";
import { canReadScope, isKeptScope, isPrivateScope } from "../policy.ts";
import { type Audience, readsBeyond } from "./failures.ts";

/** What a gate comes to for one agent: `conditional` when only a parameter is missing. */
export type GateState = "open" | "conditional" | "shut" | "fails" | "absent" | "cooling";

/** Judges an action's gate for an agent, within a budget. Throws `CelTooExpensive` when that is spent. */
export function gateFor(caller: Sight, id: string, budget: Budget): GateState {
  const entry = caller.entry("_actions", id);
  const definition = caller.room.action(id);
  const { self } = caller.eyes;
  if (!entry || !definition || (self !== "admin" && !caller.isAgentThere(self))) return "absent";
  if (entry.cooldown) return "cooling";
  if (definition.if === undefined) return needsParams(definition) ? "conditional" : "open";
  const eyes = actionEyes(caller.room, definition, self);
  try {
    const sight = caller.as(eyes, undefined, defaultsOf(definition));
    const value = sight.evaluate(programOf(definition.if, "action"), budget);
    if (value === true) return needsParams(definition) ? "conditional" : "open";
    return value === false ? "shut" : "fails";
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    if (error.path !== undefined && /^params\b/.test(error.path)) return "conditional";
    return error.code === "missing" ? "shut" : "fails";
  }
}

function needsParams({ params }: ActionDefinition): boolean {
  return Object.values(params ?? {}).some((spec) => spec.required && spec.default === undefined);
}

/** The parameters that an invocation without any runs with. */
export function defaultsOf({ params }: ActionDefinition): JsonObject {
  const defaults: JsonObject = {};
  for (const [name, spec] of Object.entries(params ?? {})) {
    if (spec.default !== undefined) defaults[name] = spec.default;
  }
  return defaults;
}

/** The eyes of one agent on the same instant. */
export function seenBy(sight: Sight, agent: string): Sight {
  const eyes = callerEyes(sight.room, agent, agent === "admin");
  return new Sight(sight.live, eyes, sight.now, undefined, undefined, sight.pool);
}

/**
 * May the audience know for whom this gate is open? Not when it reads, for whoever is judged, a
 * scope of theirs, one that the audience may not read or one that is only known when it runs.
 */
export function mayKnowGate(
  sight: Sight,
  definition: ActionDefinition,
  audience: Audience,
  asked: Set<string> = new Set(),
): boolean {
  if (definition.if === undefined || audience.seesAll || asked.has(definition.id)) return true;
  asked.add(definition.id);
  const others = sight.as(actionEyes(sight.room, definition, ""));
  try {
    const program = programOf(definition.if, "action");
    return !readsBeyond(program, others, audience) && program.refs.every(({ root, path }) => {
      const [first] = path;
      if (root === "actions") return mayKnowAction(sight, first, audience, asked);
      return root !== "state" || (typeof first === "string" && first !== "self" &&
        canReadScope(sight.room, audience.agent, false, first));
    });
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

/** May the audience know what an action's availability is to others? */
export function mayKnowAction(
  sight: Sight,
  id: string | null | undefined,
  audience: Audience,
  asked?: Set<string>,
): boolean {
  if (audience.seesAll) return true;
  if (typeof id !== "string") return false;
  const definition = sight.room.action(id);
  return definition === undefined || mayKnowGate(sight, definition, audience, asked);
}

/** Agents that are judged when somebody asks who could. */
const AGENTS_JUDGED = 12;

/** The agents that could invoke an action now; what the audience may not know is left out and said. */
export function whoCould(
  sight: Sight,
  audience: Audience,
  id: string,
  budget: Budget,
): { agents: string[]; unknown?: true } {
  const definition = sight.room.action(id);
  if (!definition) return { agents: [] };
  const mayKnow = mayKnowGate(sight, definition, audience);
  const agents: string[] = [];
  let isUnknown = false, judged = 0;
  for (const [agent] of sight.room.liveAgents()) {
    if ((!mayKnow && agent !== audience.agent) || judged++ >= AGENTS_JUDGED) {
      isUnknown = true;
      continue;
    }
    try {
      const state = gateFor(seenBy(sight, agent), id, budget);
      if (state === "open" || state === "conditional") agents.push(agent);
    } catch (error) {
      if (!(error instanceof CelTooExpensive)) throw error;
      isUnknown = true;
      break;
    }
  }
  return { agents, ...(isUnknown ? { unknown: true } : {}) };
}

/** Could this write hit `(scope, key)`? A key of null stands for any. */
export function mayWrite(write: WriteTemplate, scope: string, key: string | null): boolean {
  if (!fitsScope(write.scope ?? "_shared", scope)) return false;
  if (key === null) return true;
  if (write.key === undefined) return /^\d+(\.\d+)?$/.test(key);
  return fits(write.key, key);
}

/** Actions with a write that may hit `(scope, key)`: by name, or by a template that can make it. */
export function writersOf(room: Room, scope: string, key: string | null): string[] {
  if (isKeptScope(scope)) return [];
  const ids = room.scopes.get("_actions")?.keys() ?? [];
  return ids.filter((id) => room.action(id)!.writes.some((write) => mayWrite(write, scope, key)));
}

function fitsScope(template: string, scope: string): boolean {
  // An agent's id names its own scope, never a communal one.
  return fits(template, scope) && (!template.startsWith("${self}") || isPrivateScope(scope));
}

/** Can a template come out as this name? */
export function fits(template: string, name: string): boolean {
  if (placeholdersIn(template as Json).length === 0) return template === name;
  const parts = literalsOf(template);
  if (!name.startsWith(parts[0]!) || !name.endsWith(parts.at(-1)!)) return false;
  let at = parts[0]!.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - parts.at(-1)!.length;
}
