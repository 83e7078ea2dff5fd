/** The live data of agents, beside the log: status and signs of life. */
import { actAs, type Acting, mustActAsSomebody } from "../auth.ts";
import type { Engine } from "../engine.ts";
import type { HotRoom } from "../engine/hot.ts";
import { SyncError } from "../errors.ts";
import { accessTo, type Principal } from "../policy.ts";
import { type AgentStatus, LEVEL, type Millis } from "../types.ts";

/** Notes a sign of life: turns `idle` to `active`; nothing for `done`, for borrowed eyes or for nobody. */
export function heartbeat(engine: Engine, hot: HotRoom, acting: Acting, now: Millis): void {
  if (acting.agent === "" || acting.agent === "admin" || acting.isBorrowed) return;
  const presence = hot.presenceOf(acting.agent, now);
  if (presence.status === "done") return;
  const isToTell = now - (hot.heartbeatTold.get(acting.agent) ?? 0) >= HEARTBEAT_SHOWN_MS;
  const wasIdle = presence.status === "idle";
  presence.lastHeartbeat = now;
  if (!isToTell && !wasIdle) return;
  hot.heartbeatTold.set(acting.agent, now);
  if (wasIdle) presence.status = "active";
  engine.presenceChanged(hot, acting.agent);
}

/** Refusals of calls that nobody is known to stand behind, and of what the database cannot take. */
const NOBODYS: ReadonlySet<string> = new Set([
  "authentication_required",
  "invalid_token",
  "room_not_found",
  "rate_limited",
]);

/**
 * Notes a sign of life of whoever acts in a room, where a call has not done so on its way: it kept
 * nothing, went by the token alone, or was refused.
 */
export async function noteLife(
  engine: Engine,
  principal: Principal,
  room: string,
  named: string | undefined,
  refusal?: unknown,
): Promise<void> {
  const isSomebodys = refusal === undefined ||
    (refusal instanceof SyncError && !NOBODYS.has(refusal.code) && refusal.status < 500);
  if (principal.lineage.length === 0 || !isSomebodys) return;
  try {
    const hot = await engine.findAsKnown(room);
    const access = accessTo(principal, hot.room, room);
    if (access.level === LEVEL.none) return;
    // A token of one agent's is that agent, whatever else the call names.
    const acting = actAs(access, hot.room, access.bound === undefined ? named : undefined);
    mustActAsSomebody(acting, hot.room);
    heartbeat(engine, hot, acting, Math.max(engine.clock.now(), hot.room.ts));
  } catch (error) {
    // Then it acts as nobody here.
    if (!(error instanceof SyncError)) throw error;
  }
}

/** A heartbeat is told to waits and streams at most once in this time. */
const HEARTBEAT_SHOWN_MS = 10_000;

/** Sets what an agent says of itself; no record. */
export function setStatus(
  engine: Engine,
  hot: HotRoom,
  agent: string,
  status: AgentStatus,
  now: Millis,
): void {
  const presence = hot.presenceOf(agent, now);
  presence.status = status;
  presence.lastHeartbeat = now;
  hot.heartbeatTold.set(agent, now);
  engine.presenceChanged(hot, agent);
}
