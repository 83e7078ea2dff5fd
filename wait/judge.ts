/** What a condition comes to at a moment, and whether anybody inside can still change it. */
import type { Acting } from "../auth.ts";
import { CelError, CelTooExpensive, type Program, toJson } from "../cel.ts";
import type { Moment } from "../engine/types.ts";
import type { HotRoom } from "../engine/hot.ts";
import { AGENT_SILENT_MS, WAIT_GRACE_MS } from "../limits.ts";
import { canReadScope, isPrivateScope } from "../policy.ts";
import type { Room } from "../room.ts";
import { callerEyes, Sight, Tracker } from "../sight.ts";
import type { Json, JsonObject, Millis } from "../types.ts";
import type { Judgement } from "./index.ts";
import type { WaitQuery } from "./query.ts";

/** Judges a condition with the caller's eyes. Failures count as not yet true. */
export function judge(
  { hot, room, now }: Moment,
  acting: Acting,
  program: Program | undefined,
): Judgement {
  if (!program) return { holds: true, value: true, cells: [], isVolatile: false };
  const tracker = new Tracker();
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now, tracker);
  const found = (): Pick<Judgement, "cells" | "isVolatile"> => ({
    cells: tracker.cells,
    isVolatile: tracker.isVolatile,
  });
  try {
    const value = sight.evaluate(program);
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

/** Has anything changed after record `since` that the caller may see? */
export function hasChangedSince({ room }: Moment, acting: Acting, since: number): boolean {
  if (room.head <= since) return false;
  for (const [scope, holder] of room.scopes) {
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) continue;
    for (const entry of holder.entries.values()) if (entry.touched > since) return true;
  }
  if (since < room.removalsFrom) return true;
  return room.removals.some(({ seq, scope }) =>
    seq > since &&
    (!isPrivateScope(scope) || canReadScope(room, acting.agent, acting.seesAll, scope))
  );
}

/**
 * The agents of a room in which nobody inside can make anything happen any more: every live agent
 * waits on something that does not change by itself, and no timer is pending.
 */
export function stalledAgents({ hot, room, now }: Moment, acting: Acting, query: WaitQuery): Json {
  if (room.timers.pending > 0 || hasLease(room)) return null;
  const agents: JsonObject[] = [];
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  for (const [id] of room.liveAgents()) {
    const presence = hot.presence.get(id);
    if (!sight.isAgentThere(id) || presence?.status === "done") continue;
    const last = presence?.lastHeartbeat ?? 0;
    if (now - last > AGENT_SILENT_MS && !hot.waits.has(id)) continue;
    const waitingOn = id === acting.agent
      ? query.condition ?? "any change"
      : openCondition(hot, id, now);
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

function hasLease(room: Room): boolean {
  return room.nextDue() !== undefined;
}

export function noteLate(hot: HotRoom, acting: Acting, query: WaitQuery, now: Millis): void {
  if (acting.agent === "" || acting.agent === "admin") return;
  const condition = query.condition ?? "any change";
  hot.lateWaits.set(acting.agent, { condition, until: now + WAIT_GRACE_MS });
}
