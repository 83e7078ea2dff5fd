/** The sections of views, agents and actions. */
import type { Acting } from "../auth.ts";
import { availabilityByParam } from "../actions.ts";
import { modeOf, operandName } from "../actions/schema.ts";
import { BUILTINS } from "../builtins.ts";
import type { HotRoom } from "../engine/hot.ts";
import { AGENT_SILENT_MS } from "../limits.ts";
import { isNewSince, literalTargets, splitCell } from "../room/changes.ts";
import type { Room } from "../room.ts";
import type { Sight, ViewResult } from "../sight.ts";
import { availabilityOf } from "../sight/availability.ts";
import { builtinMeta, metaOf } from "../sight/meta.ts";
import { knownProgram } from "../sight/programs.ts";
import { tierOf } from "../sight/scores.ts";
import { typeInstead } from "../surfaces.ts";
import { placeholdersIn } from "../templates.ts";
import { iso } from "../timers.ts";
import type {
  ActionDefinition,
  AgentDefinition,
  Entry,
  Json,
  JsonObject,
  ViewDefinition,
} from "../types.ts";
import type { ContextQuery } from "./query.ts";
import { isBack, mayHaveFlipped } from "./state.ts";

/** Views by id: value, and why there is none. Beside a state that is shown whole, so are they. */
export function showViews(
  sight: Sight,
  query: ContextQuery,
  isStateWhole: boolean,
): Map<string, JsonObject> {
  const isWhole = isStateWhole && !query.namesThresholds;
  const shown = new Map<string, JsonObject>();
  for (const id of sight.viewIds()) {
    const view = showView(sight, id, query, isWhole);
    if (view) shown.set(id, view);
  }
  return shown;
}

/** May `_contested` read differently than at record `since`: did an action come, go or change? */
function mayContestHaveChanged(sight: Sight, since: number): boolean {
  const { room } = sight;
  for (const { seq, shown = 0 } of room.scopes.get("_actions")?.entries.values() ?? []) {
    if (seq > since || shown > since) return true;
  }
  for (const seq of room.ungated.values()) if (seq > since) return true;
  for (const cell of room.gated) {
    const [scope, key] = splitCell(cell);
    const carries = scope === "_actions" || scope === "_agents";
    if (carries && mayHaveFlipped(sight, scope, key, since)) return true;
  }
  return isActionRemoved(room, since);
}

/** Can a view come to something else though no record says so? */
function isPassing(sight: Sight, id: string): boolean {
  return sight.view(id)?.isVolatile === true || sight.live.memos.isPassing(`view:${id}`);
}

/** Can an action's availability come to something else though no record says so? */
function hasPassingGate(sight: Sight, definition: ActionDefinition): boolean {
  const program = knownProgram(definition.if, "action");
  if (!program) return false;
  const ofViews = program.refs.filter(({ root }) => root === "views").map(({ path }) => path[0]);
  return program.passing.length > 0 || program.roots.has("memory") ||
    ofViews.some((id) =>
      (typeof id === "string" ? [id] : sight.viewIds()).some((each) => isPassing(sight, each))
    );
}

/** Has `_contested` perhaps gone after record `since`? What is only hidden still stands in the room. */
export function mayContestHaveGone(sight: Sight, since: number): boolean {
  const { room } = sight;
  if (sight.contested.size > 0) return false;
  if (room.contested.size > 0) return mayContestHaveChanged(sight, since);
  for (const [id, entry] of room.scopes.get("_actions")?.entries ?? []) {
    if (entry.seq > since && !isNewSince("_actions", id, entry, since)) return true;
  }
  return isActionRemoved(room, since);
}

function isActionRemoved({ removals }: Room, since: number): boolean {
  for (let i = removals.length - 1; i >= 0 && removals[i]!.seq > since; i--) {
    if (removals[i]!.scope === "_actions") return true;
  }
  return false;
}

function showView(
  sight: Sight,
  id: string,
  query: ContextQuery,
  isWhole: boolean,
): JsonObject | undefined {
  const result = sight.view(id);
  if (!result) return undefined;
  const entry = sight.room.get("_views", id);
  if (!entry) {
    if (query.since !== undefined && !mayContestHaveChanged(sight, query.since)) {
      return undefined;
    }
    return { value: result.value, system: true, _meta: builtinMeta() };
  }
  const { since } = query;
  const isSame = since !== undefined && !isPassing(sight, id) && entry.touched <= since &&
    sight.live.memos.isUnchanged(`view:${id}`, since) &&
    !mayHaveFlipped(sight, "_views", id, since);
  if (isSame) return undefined;
  const score = sight.scorer.score("_views", id, entry);
  const isExpanded = isWhole ||
    query.expand.some((path) => path === `_views.${id}` || path === "_views.*");
  const raw = isExpanded ? "focus" : tierOf(score, query.focus, query.elide);
  const tier = raw === "elided" && (query.elision === "none" || !query.namesThresholds)
    ? "peripheral"
    : raw;
  const _meta = metaOf(sight, "_views", id, entry, tier, score);
  const definition = sight.room.view(id)!;
  if (result.error) _meta["error"] = shownError(sight, definition.scope, result.error);
  const detail = query.depth === "lean" ? {} : viewDetail(definition, result.value);
  return { value: tier === "elided" ? null : result.value, ...detail, _meta };
}

/** The failure of a view: its code, and more to who may read the scope that it looks into. */
function shownError(
  sight: Sight,
  scope: string,
  { code, message, hint }: NonNullable<ViewResult["error"]>,
): JsonObject {
  if (!sight.eyes.canRead(scope)) return { code };
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

function viewDetail(definition: ViewDefinition, value: Json): JsonObject {
  const { expr, scope, description, enabled, render } = definition;
  const instead = typeInstead(render, value);
  return {
    expr,
    scope,
    ...(description === undefined ? {} : { description }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(render === undefined ? {} : { render }),
    ...(instead === undefined ? {} : { inferred_type: instead }),
  };
}

/** Agents by id, as presence has them. */
export function showAgents(
  sight: Sight,
  hot: HotRoom,
  depth: ContextQuery["depth"],
): Map<string, JsonObject> {
  const shown = new Map<string, JsonObject>();
  for (const [id, agent] of sight.room.liveAgents()) {
    const entry = sight.entry("_agents", id);
    if (!entry) continue;
    const _meta = metaOf(sight, "_agents", id, entry, "focus");
    if (hot.isPast) {
      shown.set(id, { value: { ...pastAgent(agent), ...trusted(sight, agent, depth) }, _meta });
      continue;
    }
    const last = hot.presence.get(id)?.lastHeartbeat ?? entry.updatedAt;
    if (sight.now - last > AGENT_SILENT_MS) _meta["silent"] = true;
    const value = { ...agentValue(hot, id, agent, last), ...trusted(sight, agent, depth) };
    shown.set(id, { value, _meta });
  }
  return shown;
}

/** At full depth: the trust that an agent's actor has earned, by domain. */
function trusted(sight: Sight, agent: AgentDefinition, depth: ContextQuery["depth"]): JsonObject {
  const { actors } = sight.live;
  if (depth !== "full" || !actors) return {};
  return { trust: actors.profile(agent.actor, sight.now).map((figures) => ({ ...figures })) };
}

/** An agent without what is not history. */
function pastAgent(agent: AgentDefinition): JsonObject {
  const { name, role, actor, substrate, meta } = agent;
  return {
    name,
    role,
    status: null,
    waiting_on: null,
    last_heartbeat: null,
    actor,
    ...(substrate === undefined ? {} : { substrate }),
    ...(meta === undefined ? {} : { meta }),
  };
}

function agentValue(
  hot: HotRoom,
  id: string,
  agent: AgentDefinition,
  lastHeartbeat: number,
): JsonObject {
  const waiting = hot.waitingOn(id) ?? null;
  return {
    name: agent.name,
    role: agent.role,
    status: waiting === null ? hot.presence.get(id)?.status ?? "active" : "waiting",
    waiting_on: waiting,
    last_heartbeat: iso(lastHeartbeat),
    actor: agent.actor,
    ...(agent.substrate === undefined ? {} : { substrate: agent.substrate }),
    ...(agent.meta === undefined ? {} : { meta: agent.meta }),
  };
}

/** Nothing is counted of built-ins, and they write no target that others could. */
const BUILTIN_META: JsonObject = { ...builtinMeta(), contested: [] };

/** Actions by id, built-ins first: available, or why not. */
export function showActions(
  sight: Sight,
  hot: HotRoom,
  acting: Acting,
  query: ContextQuery,
): Map<string, JsonObject> {
  const shown = new Map<string, JsonObject>();
  for (const [id, builtin] of Object.entries(BUILTINS)) {
    if (query.since !== undefined && query.since > 0) break;
    if (id === "help" && sight.room.action("help")) continue;
    const isOpen = !builtin.isAdmin || acting.isAdmin;
    const value: JsonObject = { available: isOpen, description: builtin.description };
    if (!isOpen) value["reason"] = "admin_only";
    value["builtin"] = true;
    if (query.depth !== "lean") value["params"] = builtin.params as unknown as Json;
    shown.set(id, { value, _meta: BUILTIN_META });
  }
  const { since } = query;
  let known: boolean | undefined;
  // Another's coming or going shows with those that write what it writes.
  const isContestNew = (): boolean => known ??= mayContestHaveChanged(sight, since!);
  for (const id of sight.room.scopes.get("_actions")?.keys() ?? []) {
    const entry = sight.entry("_actions", id);
    if (!entry) continue;
    const definition = sight.room.action(id)!;
    // A gate may open or shut without the action being written.
    const isFixed = definition.if === undefined && definition.enabled === undefined &&
      !sight.room.gated.size;
    const isSame = since !== undefined && isFixed && entry.touched <= since &&
      !isBack(sight, definition.scope, since) &&
      !(isContestNew() && literalTargets(definition).length > 0);
    const isStill = since !== undefined && sight.room.head <= since &&
      !hasPassingGate(sight, definition);
    if (isSame || isStill) continue;
    shown.set(id, showAction(sight, hot, id, entry, definition, query));
  }
  return shown;
}

function showAction(
  sight: Sight,
  hot: HotRoom,
  id: string,
  entry: Entry,
  definition: ActionDefinition,
  query: ContextQuery,
): JsonObject {
  const value: JsonObject = { ...availabilityOf(sight, id, definition, entry) };
  if (definition.description !== undefined) value["description"] = definition.description;
  if (query.depth !== "lean") Object.assign(value, detailOf(entry, definition));
  if (query.depth === "usage") {
    value["usage"] = {
      invocations: entry.stats?.invocations ?? 0,
      by: { ...entry.stats?.by },
      refused: hot.refusedCount.get(id) ?? 0,
    };
  }
  if (query.expandParams && definition.params) {
    value["availability_by_param"] = availabilityByParam(sight, id, definition, entry);
  }
  return { value, _meta: metaOf(sight, "_actions", id, entry, "focus") };
}

function detailOf(entry: Entry, definition: ActionDefinition): JsonObject {
  const { params, writes, result, scope, on_invoke, enabled } = definition;
  return {
    ...(params === undefined ? {} : { params: params as unknown as Json }),
    ...(definition.if === undefined ? {} : { if: definition.if }),
    ...(enabled === undefined ? {} : { enabled }),
    writes: writes as unknown as Json,
    ...(result === undefined ? {} : { result }),
    scope,
    registered_by: definition.registered_by,
    ...(entry.timer ? { timer: entry.timer as unknown as Json } : {}),
    ...(on_invoke ? { on_invoke: on_invoke as unknown as Json } : {}),
    reads_self: readsSelf(definition),
  };
}

/** Does it depend on `self` whether the action is there, what it does, or what it answers? */
function readsSelf({ enabled, if: gate, result, writes }: ActionDefinition): boolean {
  if (placeholdersIn(writes as unknown as Json).includes("self")) return true;
  return namesSelf(enabled, "enabled") || namesSelf(gate, "action") ||
    namesSelf(result, "action") ||
    writes.some((write) =>
      write.expr && namesSelf(write[operandName(write, modeOf(write))], "action")
    );
}

function namesSelf(source: unknown, place: "action" | "enabled"): boolean {
  const program = typeof source === "string" ? knownProgram(source, place) : undefined;
  return program?.refs.some(({ root, path }) =>
    root === "self" || (root === "state" && path[0] === "self")
  ) ?? false;
}
