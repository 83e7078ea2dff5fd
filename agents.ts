/** Agents: joining, changing, leaving, and the live data beside the log. */
import { CLAIM_ENDED } from "./room/changes.ts";
import { z } from "zod";
import { agentWrite, describeAgent } from "./agents/entry.ts";
import { text } from "./agents/join.ts";
import { setStatus } from "./agents/presence.ts";
import { type Acting, agentNotFound, authorship } from "./auth.ts";
import { mergePatch, versionOf } from "./canonical.ts";
import { compile } from "./cel.ts";
import type { Decision, Moment } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { invalid, SyncError } from "./errors.ts";
import { agentId, condition, json, jsonObject, parseBody } from "./input.ts";
import { GRANTS_MAX } from "./limits.ts";
import { type Elevate, mustNotBeNarrowed } from "./policy.ts";
import type { Room } from "./room.ts";
import { mustFitValue, mustGateSoundly, mustHaveRoomFor } from "./rules.ts";
import { deleteEmbodiments, revokeRoomGrants } from "./store/tokens.ts";
import { iso, resume } from "./timers.ts";
import { type AgentDefinition, type Json, LEVEL, type Millis, type Write } from "./types.ts";

/** The body of an agent's update. */
export const patchAgentBody = z.strictObject({
  grants: z.array(z.string()).max(GRANTS_MAX).optional(),
  role: text.optional(),
  name: text.optional(),
  meta: json.optional(),
  enabled: condition.nullable().optional(),
  status: z.enum(["active", "busy", "idle", "done"]).optional(),
  substrate: jsonObject.optional(),
});

/** Changes an agent: admins everything, the agent its own name, status, meta and substrate. */
export function decidePatchAgent(
  engine: Engine,
  { hot, room, now }: Moment,
  acting: Acting,
  id: string,
  raw: Json,
  elevate?: Elevate,
): Decision<Record<string, Json>> {
  const body = parseBody(patchAgentBody, raw, { example: { grants: ["bob"] } });
  const known = room.agent(id);
  if (!known || known.left_at !== undefined) throw agentNotFound(room, id);
  const isSelf = acting.agent === id && !acting.isBorrowed;
  if (!acting.isAdmin) mustBeOwnPatch(room, body, isSelf, acting, elevate);
  if (body.grants) mustGrant(acting, body.grants);
  const { status, enabled, ...changes } = body;
  const next = { ...known, ...changes } as AgentDefinition & { enabled?: string };
  if (enabled !== undefined) {
    if (enabled === null) delete (next as { enabled?: string }).enabled;
    else {
      compile(enabled, { field: "enabled", place: "enabled", expect: "bool" });
      mustGateSoundly(room, [{ scope: "_agents", key: id, enabled }]);
      (next as { enabled: string }).enabled = enabled;
    }
  }
  const isRecord = Object.keys(changes).length > 0 || enabled !== undefined;
  const reply = (): Record<string, Json> => {
    if (status !== undefined) setStatus(engine, hot, id, status, now);
    return describeAgent(hot, room, id, next, now);
  };
  if (!isRecord) return { reply };
  mustFitValue(next as unknown as Json, "meta");
  const writes = [agentWrite(room, id, next)];
  mustHaveRoomFor(room, writes);
  return {
    draft: { ...authorship(acting, room), kind: "agent", writes },
    reply,
  };
}

function mustBeOwnPatch(
  room: Room,
  body: z.output<typeof patchAgentBody>,
  isSelf: boolean,
  acting: Acting,
  elevate: Elevate | undefined,
): void {
  const admins = (["grants", "role", "enabled"] as const).filter((field) =>
    body[field] !== undefined
  );
  if (isSelf && admins.length === 0) return;
  mustNotBeNarrowed(acting.access, room, LEVEL.admin, elevate);
  throw new SyncError("room_token_required", "This change needs admin rights in the room.", {
    ...(admins[0] ? { field: admins[0] } : {}),
    authenticated_as: acting.agent,
    hint:
      "Use the room_ token or an owner's. An agent changes its own name, status, meta and substrate.",
  });
}

function mustGrant(acting: Acting, grants: readonly string[]): void {
  for (const grant of grants) {
    if (grant === "*") {
      if (acting.access.owner) continue;
      throw new SyncError("owner_required", 'Only an owner of the room grants "*".', {
        field: "grants",
        hint: "Name the agents whose scopes are meant, or let an owner do it.",
        example: { grants: ["bob"] },
      });
    }
    if (!agentId.safeParse(grant).success) {
      throw invalid("grants", 'a list of agent ids, or "*", is wanted', ["bob"]);
    }
  }
}

/** Leaves: tokens revoked, claims released; scope, vocabulary and id stay. */
export function decideLeave(
  { room, now }: Moment,
  acting: Acting,
  id: string,
  elevate?: Elevate,
): Decision<Record<string, Json>> {
  const known = room.agent(id);
  if (!known || known.left_at !== undefined) throw agentNotFound(room, id);
  if (!acting.isAdmin && (acting.agent !== id || acting.isBorrowed)) {
    mustNotBeNarrowed(acting.access, room, LEVEL.admin, elevate);
    throw new SyncError("identity_mismatch", `Only "${id}" itself or an admin may make it leave.`, {
      claimed: id,
      authenticated_as: acting.agent,
      hint: `Use the token of "${id}", or an admin's.`,
    });
  }
  const writes = [
    agentWrite(room, id, { ...known, left_at: iso(now) }),
    ...releasedClaims(room, id, now),
  ];
  const side = [revokeRoomGrants(room.uid, "as", id, now), deleteEmbodiments(room.uid, id)];
  return {
    draft: { ...authorship(acting, room), kind: "leave", writes },
    side,
    reply: () => ({ left: true, id }),
  };
}

function releasedClaims(room: Room, agent: string, now: Millis): Write[] {
  const writes: Write[] = [];
  for (const key of room.scopes.get("_messages")?.keys() ?? []) {
    const message = room.message(Number(key));
    if (message?.claimed_by !== agent || message.done) continue;
    const entry = room.get("_messages", key)!;
    const timer = resume(entry.timer, now);
    writes.push({
      scope: "_messages",
      key,
      op: "merge",
      value: { ...CLAIM_ENDED },
      revision: entry.revision + 1,
      version: versionOf(mergePatch(entry.value, { ...CLAIM_ENDED })),
      ...(timer ? { timer } : {}),
      ...(entry.enabled === undefined ? {} : { enabled: entry.enabled }),
    });
  }
  return writes;
}
