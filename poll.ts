/** One call with everything a dashboard shows. */
import type { Acting } from "./auth.ts";
import { buildContext } from "./context.ts";
import type { ContextQuery } from "./context/query.ts";
import type { Moment } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { describeRoom } from "./rooms.ts";
import { iso } from "./timers.ts";
import type { Json, JsonObject } from "./types.ts";

/** The room, its refusals and its open waits, under the same policy as everything else. */
export function poll(moment: Moment, acting: Acting, asked: ContextQuery): JsonObject {
  if (asked.budget !== undefined) {
    throw new SyncError("invalid_argument", '"budget" is not valid: a poll shows everything.', {
      field: "budget",
      hint: "GET /rooms/:id/context keeps to a budget.",
    });
  }
  const query: ContextQuery = { ...asked, elision: "none", depth: "usage", peek: true };
  const { body } = buildContext(moment, acting, query);
  return {
    ...body,
    room: describeRoom(moment.room, acting.access),
    refusals: refusalsFor(moment, acting),
    waits: waitsOf(moment),
  };
}

/** Refused invocations: the caller's own, or all of them for admins; newest first. */
function refusalsFor({ hot }: Moment, acting: Acting): Json[] {
  const seesAll = acting.isAdmin && !acting.isBorrowed;
  const shown = hot.refusals.filter((refusal) =>
    seesAll || (acting.agent !== "" && refusal.agent === acting.agent)
  );
  return shown.reverse().map((refusal) => ({ ...refusal }));
}

function waitsOf({ hot }: Moment): Json[] {
  const waits: Json[] = [];
  for (const [agent, open] of hot.waits) {
    for (const { condition, since } of open) waits.push({ agent, condition, since: iso(since) });
  }
  return waits;
}
