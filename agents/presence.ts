/** The live data of agents, beside the log: status and signs of life. */
import type { Acting } from "../auth.ts";
import type { Engine } from "../engine.ts";
import type { HotRoom } from "../engine/hot.ts";
import type { AgentStatus, Millis } from "../types.ts";

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
