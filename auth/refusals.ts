/** Refusals about who acts in a room. */
import { SyncError } from "../errors.ts";
import type { Access } from "../policy.ts";
import type { Room } from "../room.ts";

/** `403 identity_mismatch`. */
export function identityMismatch(
  access: Access,
  mine: readonly string[],
  named: string,
): SyncError {
  const as = access.bound ?? mine[0] ?? null;
  return new SyncError("identity_mismatch", `This token is not the agent "${named}".`, {
    claimed: named,
    authenticated_as: as,
    hint: as === null
      ? `Join as "${named}" first (POST /rooms/:id/agents), or use its token.`
      : `Leave "agent" out to act as "${as}", or use the token of "${named}".`,
  });
}

/** `400 agent_required`. */
export function agentRequired(why: string, example = "alice"): SyncError {
  return new SyncError("agent_required", why, {
    hint: 'Name the acting agent: "agent" in the body, or ?agent= in the query.',
    example: { agent: example },
  });
}

/** `400 agent_required` of a token that stands for several. */
export function severalAgents(mine: readonly string[]): SyncError {
  return agentRequired(`This token has joined several agents: ${mine.join(", ")}.`, mine[0]!);
}

/** `404 agent_not_found`. */
export function agentNotFound(room: Room, agent: string): SyncError {
  return new SyncError("agent_not_found", `There is no agent "${agent}" in the room.`, {
    agent,
    room: room.id,
    hint: "GET /rooms/:id/context?only=agents lists them; POST /rooms/:id/agents joins.",
  });
}
