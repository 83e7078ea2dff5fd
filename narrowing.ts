/** Narrowing a token in one room: it keeps what it reaches elsewhere, and reaches here no further. */
import { z } from "zod";
import type { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { agentId, parseBody } from "./input.ts";
import { NARROWED_ROOMS_MAX } from "./limits.ts";
import { type Access, accessTo, type Principal } from "./policy.ts";
import type { Room } from "./room.ts";
import { formatScope, minReach, reachInto, type ScopeWord, type TokenScope } from "./scopes.ts";
import { deleteGrantEmbodiments } from "./store/embodiment.ts";
import { replaceScope } from "./store/tokens.ts";
import { findGrant } from "./tokens.ts";
import { type Json, type JsonObject, LEVEL } from "./types.ts";

/** The body of a restriction. */
export const restrictBody = z.strictObject({
  level: z.enum(["read", "write"]),
  agent: agentId.optional(),
});

/** What narrowing needs from its door. */
export interface NarrowCall {
  readonly engine: Engine;
  readonly principal: Principal;
  readonly room: string;
  readonly forget: () => void;
}

/** Narrows the calling token in a room to a level, or to one agent. Throws `scope_exceeds_token`. */
export async function restrictScope(call: NarrowCall, raw: Json): Promise<JsonObject> {
  const { level, agent } = parseBody(restrictBody, raw, { example: { level: "read" } });
  const wanted = { level: LEVEL[level], ...(agent === undefined ? {} : { agent }) };
  if (agent !== undefined && level === "read") throw bindsWriters();
  return { ...await narrow(call, wanted), level, ...(agent === undefined ? {} : { agent }) };
}

/** Takes a room out of the calling token's scope; what it drove there is let go. */
export async function revokeAccess(call: NarrowCall): Promise<JsonObject> {
  const narrowed = await narrow(call, { level: LEVEL.none });
  return { ...narrowed, revoked: true };
}

function bindsWriters(): SyncError {
  return new SyncError("invalid_argument", '"agent" binds a token that writes.', {
    field: "agent",
    example: { level: "write", agent: "alice" },
  });
}

async function narrow(
  call: NarrowCall,
  wanted: { readonly level: ScopeWord["level"]; readonly agent?: string },
): Promise<JsonObject> {
  const { engine, principal, room } = call;
  const [grant] = principal.lineage;
  const hot = await engine.find(room);
  const access = accessTo(principal, hot.room, room);
  const row = grant && await findGrant(engine.store, grant.id);
  if (!grant || !row || grant.kind !== "tok") throw fixedScope(grant?.kind);
  const now = reachInto(grant.words, room);
  const isOtherAgent = now.agent !== undefined && wanted.agent !== undefined &&
    now.agent !== wanted.agent;
  if (wanted.level > now.level || isOtherAgent) {
    throw new SyncError("scope_exceeds_token", "A token can only narrow, never widen.", { room });
  }
  if (wanted.agent !== undefined) mustBeOwn(access, hot.room, wanted.agent);
  const reach = minReach(now, wanted);
  const words = (await spelledOut(call, grant.words)).filter((word) => word.room !== room);
  if (reach.level > LEVEL.none) {
    const isBound = reach.agent !== undefined && reach.level >= LEVEL.write;
    words.push({ room, level: reach.level, ...(isBound ? { agent: reach.agent! } : {}) });
  }
  const scope = formatScope({ ...grant.words, words });
  if (!await replaceScope(engine.store, grant.id, row.scope, scope, row.label)) {
    throw new SyncError("store_busy", "The token is being changed by others.", {}, {
      "Retry-After": "1",
    });
  }
  if (reach.level < LEVEL.write) {
    const { uid } = hot.room;
    await engine.store.of(uid).batch([deleteGrantEmbodiments(grant.id, uid)]);
  }
  call.forget();
  return { room, scope, previous_scope: row.scope };
}

/** Binding a token to an agent makes it that agent: only one's own, or one that does not exist yet. */
function mustBeOwn(access: Access, room: Room, agent: string): void {
  const known = room.agent(agent);
  const user = access.principal.user?.id;
  if (!known || access.embodied.includes(agent) || access.bound === agent) return;
  if (user !== undefined && known.owner === user) return;
  throw new SyncError("identity_mismatch", `The agent "${agent}" is not yours.`, {
    claimed: agent,
    authenticated_as: access.embodied[0] ?? null,
    hint: "Bind the token to an agent of your own.",
  });
}

/** A wildcard as the rooms it stands for today: the grammar takes nothing away from a wildcard. */
async function spelledOut(call: NarrowCall, scope: TokenScope): Promise<ScopeWord[]> {
  const wide = scope.words.filter((word) => word.room === undefined);
  const named = scope.words.filter((word) => word.room !== undefined);
  if (wide.length === 0) return named;
  const uids = [...call.principal.roles.keys()];
  if (uids.length > NARROWED_ROOMS_MAX) {
    throw new SyncError(
      "limit_exceeded",
      "This token's wildcard stands for too many rooms to name.",
      {
        limit: NARROWED_ROOMS_MAX,
        actual: uids.length,
        hint: "Mint a narrower token instead: POST /tokens.",
      },
    );
  }
  const { rooms } = await call.engine.store.listRooms(uids, "", NARROWED_ROOMS_MAX);
  return [...named, ...rooms.flatMap(({ id }) => wide.map((word) => ({ ...word, room: id })))];
}

function fixedScope(kind: string | undefined): SyncError {
  return new SyncError("invalid_argument", `The scope of a ${kind ?? ""}_ token is fixed.`, {
    field: "token",
    hint:
      "Only tok_ tokens are narrowed; leave the room or let its admin revoke the token instead.",
  });
}
