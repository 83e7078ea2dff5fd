/** Who waits on what, who could satisfy it, and which waits nothing inside the room can end. */
import { CelTooExpensive, type Program } from "../cel.ts";
import type { Acting } from "../auth.ts";
import type { Moment } from "../engine/types.ts";
import type { OpenWait } from "../engine/hot.ts";
import { mayKnowGate, seenBy } from "../invoke/could.ts";
import { isReadableRef } from "../invoke/rehearse.ts";
import type { Sight } from "../sight.ts";
import { iso } from "../timers.ts";
import type { JsonObject } from "../types.ts";
import type { Reach } from "./reach.ts";

/** The open waits of a room, as somebody may know them. */
export function reviewWaits(
  moment: Moment,
  acting: Acting,
  sight: Sight,
  reach: Reach,
): JsonObject[] {
  const { hot } = moment;
  const isQuiet = everybodyWaits(moment);
  const shown: JsonObject[] = [];
  for (const [agent, waits] of hot.waits) {
    for (const wait of waits) {
      const frame = { agent, condition: wait.condition, since: iso(wait.since) };
      const refs = wait.program?.refs ?? [];
      const isReadable = refs.every((ref) => isReadableRef(moment, acting, ref, agent));
      if (!isReadable) shown.push({ ...frame, hidden: true });
      else shown.push({ ...frame, ...reviewWait(wait, agent, acting, sight, reach, isQuiet) });
    }
  }
  return shown;
}

function reviewWait(
  { program, isVolatile }: OpenWait,
  agent: string,
  acting: Acting,
  sight: Sight,
  reach: Reach,
  isQuiet: boolean,
): JsonObject {
  if (!program) return isQuiet ? { stalled: "circle" } : {};
  let parts: Program[];
  try {
    parts = reach.falsePartsOf(program, seenBy(sight, agent));
  } catch (error) {
    if (error instanceof CelTooExpensive) return { judged: false };
    throw error;
  }
  const changers = new Set(parts.flatMap((part) => reach.changersOf(part, agent)));
  const could = [...changers].sort().map((action) => {
    const definition = sight.room.action(action);
    const mayKnow = definition !== undefined && mayKnowGate(sight, definition, acting);
    return { action, ...(mayKnow ? { agents: reach.openFor(action) } : {}) };
  });
  const isStuck = !reach.isCut && !isVolatile() && parts.length > 0 &&
    !parts.some((part) => reach.canChange(part));
  const stalled = isStuck ? "nobody" : isQuiet && !isVolatile() ? "circle" : undefined;
  return {
    reads: parts.map(({ source }) => source),
    could_satisfy: could,
    ...(stalled === undefined ? {} : { stalled }),
  };
}

/** Every agent that is in the room and not done waits, and no timer is pending. */
function everybodyWaits({ hot, room }: Moment): boolean {
  if (room.nextDue() !== undefined || room.timers.pending > 0) return false;
  let live = 0;
  for (const [id] of room.liveAgents()) {
    if (hot.presence.get(id)?.status === "done") continue;
    live++;
    const waits = [...hot.waits.get(id) ?? []];
    if (waits.length === 0 || waits.some((wait) => wait.isVolatile())) return false;
  }
  return live > 0;
}
