/** Joining a room, or joining it again as the same agent. */
import { z } from "zod";
import { isLocalActor, parseDid } from "../actors.ts";
import { type Acting, authorship, type Touched } from "../auth.ts";
import { versionOf } from "../canonical.ts";
import { compile } from "../cel.ts";
import type { Decision, Moment } from "../engine/types.ts";
import type { Engine } from "../engine.ts";
import { invalid, SyncError } from "../errors.ts";
import {
  agentId,
  condition,
  isKey,
  json,
  jsonObject,
  keyName,
  noKey,
  parseBody,
  record,
  vocabularyId,
} from "../input.ts";
import { TEXT_LENGTH_MAX } from "../limits.ts";
import type { Elevate, Principal } from "../policy.ts";
import { actorProof, type Prove } from "../registry/proof.ts";
import type { Room } from "../room.ts";
import { mustFitValue, mustGateSoundly, mustHaveRoomFor, mustStayWithinLimits } from "../rules.ts";
import { deleteEmbodiments, insertEmbodiment, revokeRoomGrants } from "../store/tokens.ts";
import { iso } from "../timers.ts";
import { mint } from "../tokens.ts";
import type { AgentDefinition, Json, JsonObject, Millis, Write } from "../types.ts";
import { viewWrite } from "../views.ts";
import { actorFor } from "./actor.ts";
import { agentWrite } from "./entry.ts";
import { setStatus } from "./presence.ts";
import { joinAccess, mustOwnAgent, tokenWanted } from "./rights.ts";

export const text = z.string().max(TEXT_LENGTH_MAX);

/** The body of a join. */
export const joinBody = z.strictObject({
  id: agentId.optional(),
  name: text.optional(),
  role: text.optional(),
  meta: json.optional(),
  enabled: condition.nullable().optional(),
  state: record(json).optional(),
  public_keys: z.array(keyName).max(256).optional(),
  views: z.array(z.looseObject({ id: vocabularyId, expr: z.string() })).max(256).optional(),
  actor: z.string().max(512).optional(),
  actor_proof: actorProof.optional(),
  substrate: jsonObject.optional(),
});
const JOIN_EXAMPLE = { id: "alice", name: "Alice", role: "agent" };

/** What joining answers. */
export interface Joined {
  readonly id: string;
  readonly room_id: string;
  readonly name: string;
  readonly role: string;
  readonly actor: string;
  readonly status: string;
  readonly joined_at: string;
  readonly last_heartbeat: string;
  readonly grants: readonly string[];
  readonly token: string;
}

/** Letters, digits and `-` of a name, as an id. */
export function idFromName(name: string): string | undefined {
  const id = name.toLowerCase().replace(/[^a-z0-9_:@-]+/g, "-").replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, 128);
  return agentId.safeParse(id).success ? id : undefined;
}

/** The id a join gets when it names none: from `role`, else `name`, else the user's, else at random. */
function drawId(
  body: z.output<typeof joinBody>,
  principal: Principal,
  room: Room,
  chance: string,
): string {
  const user = principal.user ? idFromName(`${principal.user.username}-agent`) : undefined;
  const wanted = [body.role, body.name].map((name) =>
    name === undefined ? undefined : idFromName(name)
  );
  const base = wanted.find((id) => id !== undefined) ?? user ?? `agent-${chance.slice(0, 8)}`;
  if (!room.agent(base)) return base;
  for (let n = 2;; n++) {
    const id = `${base.slice(0, 120)}-${n}`;
    if (!room.agent(id)) return id;
  }
}

/** What joining needs from its door. */
export interface JoinDoor {
  readonly elevate?: Elevate | undefined;
  readonly prove?: Prove | undefined;
  /** Drops what was kept of those whose rights changed. */
  forget(touched: Touched): void;
}

/** Joins a room, or joins it again as the same agent. */
export async function join(
  engine: Engine,
  principal: Principal,
  roomId: string,
  raw: Json,
  { elevate, prove, forget }: JoinDoor,
): Promise<{ readonly joined: Joined; readonly seq: number }> {
  const body = parseBody(joinBody, raw, { example: JOIN_EXAMPLE });
  const chance = engine.clock.nonce();
  try {
    const proven = await provenActor(engine, principal, roomId, body, elevate, prove);
    let room = "";
    const { reply: joined, seq } = await engine.submit(roomId, (moment) => {
      room = moment.room.uid;
      return decideJoin(engine, moment, principal, { ...body, proven }, chance, elevate);
    });
    forget({ room, by: principal });
    return { joined, seq };
  } catch (error) {
    const isMissing = error instanceof SyncError && error.code === "room_not_found";
    // A room that is not there answers like one that wants a token.
    if (isMissing && principal.lineage.length === 0) throw tokenWanted();
    throw error;
  }
}

/** The actor whose key signed the challenge that came along. Throws `bad_signature`. */
async function provenActor(
  engine: Engine,
  principal: Principal,
  room: string,
  { actor, actor_proof }: z.output<typeof joinBody>,
  elevate: Elevate | undefined,
  prove: Prove | undefined,
): Promise<string | undefined> {
  if (!actor_proof) return undefined;
  const did = actor === undefined ? undefined : parseDid(actor)?.did;
  if (did === undefined || !prove) {
    throw invalid("actor", "the DID that the proof is of is wanted", "did:key:z6Mk…");
  }
  await engine.read(room, (moment) => void joinAccess(principal, moment.room, elevate));
  await prove(did, actor_proof);
  return did;
}

function decideJoin(
  engine: Engine,
  { hot, room, now }: Moment,
  principal: Principal,
  body: z.output<typeof joinBody> & { readonly proven: string | undefined },
  chance: string,
  elevate: Elevate | undefined,
): Decision<Joined> {
  const access = joinAccess(principal, room, elevate);
  const id = body.id ??
    (access.bound !== undefined ? access.bound : drawId(body, principal, room, chance));
  const known = room.agent(id);
  if (access.bound !== undefined && access.bound !== id) throw boundToAnother(access.bound, id);
  if (known) mustOwnAgent(access, known, id);
  if (!known && room.get("_agents", id) === undefined) mustStayWithinLimits(room, "agents", 1);
  // A user without a role here joins an open room like anybody else.
  const isMember = principal.user !== undefined && principal.roles.has(room.uid);
  const user = isMember ? principal.user!.id : null;
  const claim = { wanted: body.actor, proven: body.proven };
  const actor = actorFor(hot.actors, access, room, id, known, claim);
  const definition = definitionOf(id, body, known, actor, user, now);
  const writes = joinWrites(room, id, body, definition, now);
  const scope = `rooms:${room.id}:agent:${id}`;
  // An agent's own token ends with this join, so the new one hangs on what that one hung on.
  const [grant, above] = principal.lineage;
  const isClaimed = !isLocalActor(actor) && actor !== body.proven;
  const parent = user === null && !isClaimed
    ? null
    : (grant!.kind === "as" ? above?.id : grant!.id) ?? null;
  const fits = engine.store.beside(room.uid);
  const minted = mint({ kind: "as", scope, user, parent, room: room.uid, agent: id, fits }, now);
  const isUsersToken = user !== null && grant!.kind === "tok";
  const side = [
    revokeRoomGrants(room.uid, "as", id, now),
    ...(known ? [deleteEmbodiments(room.uid, id)] : []),
    ...minted.statements,
    ...(isUsersToken ? [insertEmbodiment(grant!.id, room.uid, id, now)] : []),
  ];
  const acting: Acting = { access, agent: id, seesAll: false, isBorrowed: false, isAdmin: false };
  return {
    draft: {
      ...authorship(acting, room),
      agent: id,
      actor: definition.actor,
      kind: "join",
      writes,
    },
    side,
    reply: () => {
      setStatus(engine, hot, id, "active", now);
      return {
        id,
        room_id: room.id,
        name: definition.name,
        role: definition.role,
        actor: definition.actor,
        status: "active",
        joined_at: definition.joined_at,
        last_heartbeat: iso(now),
        grants: definition.grants,
        token: minted.token,
      };
    },
  };
}

function boundToAnother(bound: string, claimed: string): SyncError {
  return new SyncError("identity_mismatch", `This token is bound to the agent "${bound}".`, {
    claimed,
    authenticated_as: bound,
    hint: `Join as "${bound}", or with another token.`,
  });
}

/** An agent as a join leaves it. Throws `invalid_cel`. */
export function definitionOf(
  id: string,
  body: z.output<typeof joinBody>,
  known: AgentDefinition | undefined,
  actor: string,
  user: string | null,
  now: Millis,
): AgentDefinition {
  const meta = body.meta ?? known?.meta;
  const substrate = body.substrate ?? known?.substrate;
  const enabled = body.enabled === undefined ? known?.enabled : body.enabled ?? undefined;
  const owner = known ? known.owner : user ?? undefined;
  if (enabled !== undefined) {
    compile(enabled, { field: "enabled", place: "enabled", expect: "bool" });
  }
  return {
    name: body.name ?? known?.name ?? id,
    role: body.role ?? known?.role ?? "agent",
    actor,
    joined_at: known && known.left_at === undefined ? known.joined_at : iso(now),
    grants: known?.grants ?? [],
    ...(meta === undefined || meta === null ? {} : { meta }),
    ...(substrate === undefined ? {} : { substrate }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(owner === undefined ? {} : { owner }),
  };
}

/** What a join writes: the agent, its first state, its views. */
export function joinWrites(
  room: Room,
  id: string,
  body: z.output<typeof joinBody>,
  definition: AgentDefinition,
  now: Millis,
): Write[] {
  mustFitValue(definition as unknown as Json, "meta");
  const writes = [agentWrite(room, id, definition)];
  const state = Object.entries(body.state ?? {});
  for (const [key, value] of state) {
    if (!isKey(key)) throw noKey(`state.${key}`, key);
    mustFitValue(value, `state.${key}`);
    const revision = (room.get(id, key)?.revision ?? 0) + 1;
    writes.push({ scope: id, key, op: "set", value, revision, version: versionOf(value) });
  }
  for (const key of body.public_keys ?? []) {
    const quoted = JSON.stringify(key);
    const expr = `${quoted} in state.self ? state.self[${quoted}].value : null`;
    const view = { id: viewIdFor(`${id}.${key}`), expr, scope: id };
    writes.push(ownView(room, view, definition, id, now, `public_keys.${key}`));
  }
  for (const [i, view] of (body.views ?? []).entries()) {
    const { scope = id } = view as JsonObject;
    if (scope !== id && scope !== "self") {
      throw invalid(
        `views[${i}].scope`,
        "a view that joining brings has the agent's own scope",
        id,
      );
    }
    writes.push(
      ownView(room, { ...view, scope: id } as JsonObject, definition, id, now, `views[${i}]`),
    );
  }
  const isPlain = definition.enabled === undefined && writes.every((w) => w.scope !== "_views");
  if (!isPlain) mustGateSoundly(room, writes);
  mustHaveRoomFor(room, writes);
  return writes;
}

/** A view that joining brings along: never one of somebody else's. Throws `view_owned`. */
function ownView(
  room: Room,
  view: JsonObject,
  { actor }: AgentDefinition,
  id: string,
  now: Millis,
  field: string,
): Write {
  const write = viewWrite(room, view, id, now, field, actor);
  const known = room.view(write.key);
  if (!known || known.scope === id) return write;
  throw new SyncError("view_owned", `The view "${write.key}" belongs to "${known.scope}".`, {
    id: write.key,
    owner: known.scope,
    field,
    hint: "Choose another id for the view.",
  });
}

function viewIdFor(id: string): string {
  if (vocabularyId.safeParse(id).success) return id;
  throw invalid(
    "public_keys",
    "the key must make a view id: letters, digits, '_', ':', '@', '.', '-'",
    ["status"],
  );
}
