/** Who an invocation is done as. */
import { act, type Acting } from "../auth.ts";
import type { Moment } from "../engine/types.ts";
import { accessTo, type Verb } from "../policy.ts";
import { LEVEL } from "../types.ts";
import type { InvokeRequest } from "./request.ts";

/** The built-in that changes a room's settings. */
export const CONFIGURE = "_configure";

/** Checks that the caller may invoke here, and answers as whom: an admin configures by its token. */
export function actingFor(
  { principal, action, elevate }: InvokeRequest,
  moment: Pick<Moment, "room">,
  named: string | undefined,
): Acting {
  let verb: Verb = "action.invoke";
  if (action === CONFIGURE) {
    const { level } = accessTo(principal, moment.room, moment.room.id);
    if (level === LEVEL.admin) verb = "action.configure";
  }
  return act(principal, moment, verb, named, elevate);
}
