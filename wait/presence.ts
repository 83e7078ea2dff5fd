/** Presence: `waiting` lies over an agent's status as long as a wait of its is open. */
import type { Acting } from "../auth.ts";
import type { Engine } from "../engine.ts";
import { type HotRoom, type OpenWait, OpenWaits } from "../engine/hot.ts";
import type { Millis } from "../types.ts";
import type { WaitGroup } from "./index.ts";
import { judge } from "./judge.ts";
import type { WaitQuery } from "./query.ts";

/** Shows that an agent waits; the answer ends it. Nobody in particular is not shown. */
export function showWaiting(
  engine: Pick<Engine, "presenceChanged">,
  hot: HotRoom,
  sleeper: { readonly acting: Acting; readonly query: WaitQuery; readonly startedAt: Millis },
  group: Pick<WaitGroup<unknown>, "isVolatile" | "cells">,
): () => void {
  const { acting, query } = sleeper;
  const { agent } = acting;
  if (agent === "" || agent === "admin" || acting.isBorrowed) return () => undefined;
  const wait: OpenWait = {
    condition: query.condition ?? "any change",
    program: query.program,
    since: sleeper.startedAt,
    isVolatile: () => group.isVolatile,
    cells: () => group.cells,
    wouldHold: (moment) => judge(moment, acting, query.program).holds,
  };
  const waits = hot.waits.get(agent) ?? new OpenWaits();
  // What an agent waits on is its oldest wait: of a later one there is nothing to tell.
  const change = (run: () => void): void => {
    const before = hot.waitingOn(agent);
    run();
    if (hot.waitingOn(agent) !== before) engine.presenceChanged(hot, agent);
  };
  change(() => hot.waits.set(agent, waits.add(wait)));
  return () =>
    change(() => {
      waits.delete(wait);
      if (waits.size === 0) hot.waits.delete(agent);
    });
}
