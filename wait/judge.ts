/** What a condition comes to at a moment, and whether anybody inside can still change it. */
import type { Acting } from "../auth.ts";
import { Budget, CelError, CelTooExpensive, type Program, toJson } from "../cel.ts";
import type { Moment } from "../engine/types.ts";
import type { HotRoom } from "../engine/hot.ts";
import { AGENT_SILENT_MS, WAIT_GRACE_MS } from "../limits.ts";
import { canReadScope } from "../policy.ts";
import { cellOf, isNewSince, splitCell } from "../room/changes.ts";
import type { Scope } from "../room/scope.ts";
import { callerEyes, ownEyes, Sight, Tracker } from "../sight.ts";
import type { Json, JsonObject, Millis } from "../types.ts";
import type { Judgement } from "./index.ts";
import type { WaitQuery } from "./query.ts";

/** Judges a condition with the caller's eyes. Failures count as not yet true. */
export function judge(
  { hot, room, now }: Moment,
  acting: Acting,
  program: Program | undefined,
): Judgement {
  if (!program) return { holds: true, value: true, cells: [], isVolatile: false, steps: 0 };
  const tracker = new Tracker();
  // What the caller may read hangs on its grants.
  tracker.cells.add(cellOf("_agents", acting.agent));
  const sight = new Sight(hot, ownEyes(room, acting), now, tracker);
  const budget = new Budget();
  const found = (): Pick<Judgement, "cells" | "isVolatile" | "steps"> => ({
    cells: tracker.cells,
    isVolatile: tracker.isVolatile,
    steps: budget.spent + sight.pool.spent,
  });
  try {
    const value = sight.evaluate(program, budget);
    if (value === true) return { holds: true, value: true, ...found() };
    const error = value === false ? {} : { error: "the condition yields no boolean" };
    return { holds: false, value: toJson(value), ...error, ...found() };
  } catch (error) {
    if (error instanceof CelTooExpensive) {
      return { holds: false, value: null, error: "the condition takes too many steps", ...found() };
    }
    if (!(error instanceof CelError)) throw error;
    return { holds: false, value: null, error: error.detail, ...found() };
  }
}

/**
 * Has anything changed after record `since` that the caller may see? `hidden` is what was hidden
 * from it then; without it, what may have come or gone counts as changed.
 */
export function hasChangedSince(
  { hot, room, now }: Moment,
  acting: Acting,
  since: number,
  hidden?: Set<string>,
): boolean {
  if (room.head <= since) return false;
  const { agent, seesAll } = acting;
  // What it may read is its matter also while it is disabled, and does not see itself.
  if ((room.get("_agents", agent)?.seq ?? 0) > since) return true;
  let made: Sight | undefined;
  const sight = (): Sight => made ??= new Sight(hot, callerEyes(room, agent, seesAll), now);
  const isPlain = room.gated.size === 0 && room.timers.pending === 0;
  for (const [scope, holder] of room.scopes) {
    if (holder.touched <= since || !canReadScope(room, agent, seesAll, scope)) continue;
    if (isPlain || showsChange(sight(), scope, holder, since)) return true;
  }
  if (since < room.removalsFrom) return true;
  for (let i = room.removals.length - 1; i >= 0 && room.removals[i]!.seq > since; i--) {
    const { scope, key } = room.removals[i]!;
    if (hidden?.has(cellOf(scope, key))) continue;
    if (canReadScope(room, agent, seesAll, scope)) return true;
  }
  for (const cell of room.gated) if (hasComeOrGone(sight(), cell, since, hidden)) return true;
  // What the caller may not read may show in views.
  return sight().viewIds().some((id) => {
    const isKept = id !== "_contested" && sight().view(id)?.isVolatile === false;
    return isKept && !hot.memos.isUnchanged(`view:${id}`, since);
  });
}

/** Has something in a scope changed that is there for the reader? */
function showsChange(sight: Sight, scope: string, holder: Scope, since: number): boolean {
  return (holder.changedAfter(since) ?? holder.keys()).some((key) => {
    const entry = holder.entries.get(key)!;
    return entry.touched > since && sight.isThere(scope, key, entry);
  });
}

/** Has a thing with `enabled` come or gone for the reader, though nobody need have written it? */
function hasComeOrGone(
  sight: Sight,
  cell: string,
  since: number,
  hidden: Set<string> | undefined,
): boolean {
  const [scope, key] = splitCell(cell);
  if (!sight.eyes.canRead(scope)) return false;
  const entry = sight.room.get(scope, key)!;
  const isThere = sight.isThere(scope, key, entry);
  if (!isThere && isNewSince(scope, key, entry, since)) {
    // What is written to it later is hidden, too.
    hidden?.add(cell);
    return false;
  }
  if (hidden) return isThere === hidden.has(cell);
  return entry.touched > since || !sight.live.memos.isGateUnchanged(cell, sight.viewer, since);
}

/** Is this a moment that answers the wait, whoever looks? */
export function isAnswer(
  moment: Moment,
  acting: Acting,
  query: WaitQuery,
  judgement: Judgement,
  hidden?: Set<string>,
): boolean {
  if (!judgement.holds) return false;
  if (query.since === undefined) return query.program !== undefined;
  // A seq from elsewhere: whatever there is may be new, and the context begins anew (`reset`).
  if (query.since > moment.room.head) return true;
  return hasChangedSince(moment, acting, query.since, hidden);
}

/**
 * Has every view a value as of now, so that it can be told when one changes; the answer is what
 * `enabled` hides from the caller, so that it can be told when that comes.
 */
export function noteShown({ hot, room, now }: Moment, acting: Acting): Set<string> {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  for (const id of sight.viewIds()) sight.view(id);
  const hidden = new Set<string>();
  for (const cell of room.gated) {
    const [scope, key] = splitCell(cell);
    if (!sight.isThere(scope, key, room.get(scope, key)!)) hidden.add(cell);
  }
  return hidden;
}

/**
 * The agents of a room in which nobody inside can make anything happen any more: every live agent
 * waits on something that does not change by itself, and no timer is pending.
 */
export function stalledAgents(
  { hot, room, now }: Moment,
  acting: Acting,
  query: WaitQuery,
  isVolatile: boolean,
): Json {
  // A clock of ticks goes on only when somebody acts, and a resting one not by itself.
  if (room.nextDue() !== undefined) return null;
  const self = acting.isBorrowed ? "" : acting.agent;
  const agents: JsonObject[] = [];
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  for (const [id] of room.liveAgents()) {
    const presence = hot.presence.get(id);
    if (!sight.isAgentThere(id) || presence?.status === "done") continue;
    const last = presence?.lastHeartbeat ?? 0;
    if (now - last > AGENT_SILENT_MS && !hot.waits.has(id)) continue;
    if (id === self && isVolatile) return null;
    const waitingOn = id === self ? query.condition ?? "any change" : openCondition(hot, id, now);
    if (waitingOn === undefined) return null;
    agents.push({ agent: id, waiting_on: waitingOn });
  }
  return agents.length > 0 ? { agents } : null;
}

function openCondition(hot: HotRoom, agent: string, now: Millis): string | undefined {
  const waits = [...hot.waits.get(agent) ?? []];
  if (waits.some((wait) => wait.isVolatile())) return undefined;
  if (waits[0]) return waits[0].condition;
  const late = hot.lateWaits.get(agent);
  return late && late.until >= now ? late.condition : undefined;
}

/** Notes that an agent's wait has run out of time: it counts as waiting for a moment longer. */
export function noteLate(hot: HotRoom, acting: Acting, query: WaitQuery, now: Millis): void {
  if (acting.agent === "" || acting.agent === "admin" || acting.isBorrowed) return;
  const condition = query.condition ?? "any change";
  hot.lateWaits.set(acting.agent, { condition, until: now + WAIT_GRACE_MS });
}
