/**
 * The registry of actors: who registered whom, and each actor's own log. Every change is a record
 * there, chained by hash; the rows beside it are what the log has come to.
 */
import { z } from "zod";
import { type Did, parseDid, serviceActor, userActor } from "./actors.ts";
import { authenticated } from "./auth.ts";
import { visibleRooms } from "./auth/visible.ts";
import { invalid, SyncError } from "./errors.ts";
import { jsonObject, parseBody } from "./input.ts";
import { domainWord } from "./judge.ts";
import {
  ACTORS_LIMIT_DEFAULT,
  ACTORS_LIMIT_MAX,
  MANUAL_LENGTH_MAX,
  TEXT_LENGTH_MAX,
  USER_ACTORS_MAX,
} from "./limits.ts";
import { actorProof } from "./registry/proof.ts";
import { begin, change } from "./registry/log.ts";
import {
  type ActorCall,
  actorDenied,
  actorNotFound,
  isOwnedBy,
  mayRemember,
  mustBeUser,
  mustSeeActor,
  Readers,
} from "./registry/rights.ts";
import { ENGINE, newRow, unregistered } from "./registry/unregistered.ts";
import { SYSTEM_ACTOR } from "./room.ts";
import { keyFromMultibase, keyOfDid } from "./signatures.ts";
import { multibaseOf } from "./signing.ts";
import {
  type ActorRow,
  countActorsOf,
  findActor,
  lastSeen,
  listActors,
  readActorLog,
  updateActor,
} from "./store/actors.ts";
import { insertReset } from "./store/evidence.ts";
import { findUsername, findUsersOf } from "./store/members.ts";
import { iso } from "./timers.ts";
import type { Json, JsonObject, Millis } from "./types.ts";

const publicKey = z.string().refine((text) => keyFromMultibase(text) !== undefined, {
  error: "an Ed25519 public key in multibase is wanted: z6Mk…",
});
const profile = {
  display_name: z.string().max(200).nullable().optional(),
  substrate: jsonObject.nullable().optional(),
  manual: z.string().max(MANUAL_LENGTH_MAX).nullable().optional(),
  public_key: publicKey.nullable().optional(),
};
/** The body of a registration. */
export const registerActorBody = z.strictObject({
  did: z.string({ error: "a DID is wanted" }).max(512),
  ...profile,
  actor_proof: actorProof.optional(),
});
/** The body of a change to an actor. */
export const patchActorBody = z.strictObject(profile);
/** The body of a reset. */
export const resetBody = z.strictObject({
  domain: domainWord.nullable().optional(),
  note: z.string().max(TEXT_LENGTH_MAX).nullable().optional(),
});
const EXAMPLE = { did: "did:sync:agent:dev", display_name: "Dev" };

/** A DID in its one form. Throws `invalid_argument`. */
export function mustBeDid(text: string, field = "did"): Did {
  const did = parseDid(text);
  if (did) return did;
  throw invalid(
    field,
    "a DID is wanted: did:sync:agent:<name>, did:key:z6Mk…, did:web:<host>",
    EXAMPLE.did,
  );
}

/** Registers an actor; the caller's user becomes its owner. Throws `actor_exists`, `actor_denied`. */
export async function registerActor(call: ActorCall, raw: Json): Promise<JsonObject> {
  const user = mustBeUser(call.principal);
  const body = parseBody(registerActorBody, raw, { example: EXAMPLE });
  const { did, kind } = mustBeDid(body.did);
  mustBeRegistrable(did, kind, user.username);
  if (kind === "key" || kind === "web") {
    if (!body.actor_proof) {
      throw invalid(
        "actor_proof",
        "a signature over a challenge from POST /actors/challenge is wanted",
        {
          challenge: "…",
          signature: "<base64>",
        },
      );
    }
    await call.prove(did, body.actor_proof);
  }
  const { engine: { store, clock } } = call;
  if (await countActorsOf(store, user.id) >= USER_ACTORS_MAX) {
    throw new SyncError("limit_exceeded", `A user has at most ${USER_ACTORS_MAX} actors.`, {
      limit: USER_ACTORS_MAX,
    });
  }
  const row = { ...newRow(did, kind, user.id, clock.now()), ...changesOf(body) };
  if (!await begin(call, row, shownChanges(body))) throw actorExists(did);
  return await showActor(call, did);
}

function mustBeRegistrable(did: string, kind: string, username: string): void {
  if (did.includes("~")) throw invalid("did", 'names with "~" belong to rooms', EXAMPLE.did);
  if (kind === "service") {
    throw invalid("did", "service accounts are made by POST /service-accounts", EXAMPLE.did);
  }
  const isOwn = kind !== "user" || did === userActor(username);
  if (kind === "system" || !isOwn) {
    throw actorDenied(
      did,
      kind === "system"
        ? "The service keeps this actor for itself"
        : "This is another user's actor",
    );
  }
}

function actorExists(did: string): SyncError {
  return new SyncError("actor_exists", `The actor "${did}" is registered already.`, {
    actor: did,
    hint: "Choose another name; an actor that was ended stays taken.",
  });
}

function changesOf(body: z.output<typeof patchActorBody>): Partial<ActorRow> {
  const { display_name, substrate, manual, public_key } = body;
  return {
    ...(display_name === undefined ? {} : { displayName: display_name }),
    ...(substrate === undefined ? {} : { substrate }),
    ...(manual === undefined ? {} : { manual }),
    ...(public_key === undefined ? {} : { publicKey: public_key }),
  };
}

function shownChanges(
  { display_name, substrate, manual, public_key }: z.output<typeof patchActorBody>,
): JsonObject {
  const changes = { display_name, substrate, manual, public_key };
  return Object.fromEntries(
    Object.entries(changes).filter(([, value]) => value !== undefined),
  ) as JsonObject;
}

/** A service account's own actor. */
export function serviceRow(id: string, name: string, user: string, now: number): ActorRow {
  return { ...newRow(serviceActor(id), "service", user, now), displayName: name };
}

/** The row of a living actor of the caller's user. Throws `actor_not_found`, `actor_denied`. */
export async function mustOwn(call: ActorCall, did: string): Promise<ActorRow> {
  const user = mustBeUser(call.principal);
  const row = await findOrBegin(call, did);
  if (!isOwnedBy(user, did, row)) throw actorDenied(did, "This caller does not own the actor");
  return row;
}

/** An actor's row; a user's own actor is there as soon as it is needed. */
export async function findOrBegin(call: ActorCall, did: string): Promise<ActorRow> {
  const { engine: { store, clock }, principal: { user } } = call;
  const row = await findActor(store, did);
  if (row && row.endedAt === null) return row;
  if (row || !user || did !== userActor(user.username)) throw actorNotFound(did);
  await begin(call, newRow(did, "user", user.id, clock.now()), {});
  return (await findActor(store, did))!;
}

/** Changes what an actor says of itself; a new substrate leaves its trust as it is. */
export async function patchActor(call: ActorCall, did: string, raw: Json): Promise<JsonObject> {
  const body = parseBody(patchActorBody, raw, {
    example: { substrate: { model: "large", version: "2" } },
  });
  await mustOwn(call, did);
  await change(call, did, (row) => ({
    kind: "change",
    body: shownChanges(body),
    statements: [updateActor({ ...row, ...changesOf(body) })],
  }));
  return await showActor(call, did);
}

/** Ends an actor: nobody speaks as it any more; its trust and its records stay. */
export async function endActor(call: ActorCall, did: string): Promise<JsonObject> {
  await mustOwn(call, did);
  const now = call.engine.clock.now();
  await change(call, did, (row) => ({
    kind: "end",
    body: {},
    statements: [updateActor({ ...row, endedAt: now })],
  }));
  return { deleted: true, did };
}

/** Sets a marker: what was judged before it no longer counts. */
export async function resetActor(call: ActorCall, did: string, raw: Json): Promise<JsonObject> {
  const { domain = null, note } = parseBody(resetBody, raw, {
    example: { domain: "code", note: "new model" },
  });
  await mustOwn(call, did);
  const at = call.engine.clock.now();
  await change(call, did, () => ({
    kind: "reset",
    body: { domain, ...(note == null ? {} : { note }) },
    statements: [insertReset(did, { domain, at })],
  }));
  return { reset: true, did, domain, at: iso(at) };
}

/** Registered actors by kind and by words. */
export async function showActors(
  call: ActorCall,
  query: {
    readonly kind?: string;
    readonly q?: string;
    readonly cursor?: string;
    readonly limit?: number;
  },
): Promise<JsonObject> {
  authenticated(call.principal);
  const limit = Math.min(query.limit ?? ACTORS_LIMIT_DEFAULT, ACTORS_LIMIT_MAX);
  const { actors, total } = await listActors(call.engine.store, {
    kind: query.kind ?? null,
    q: query.q ?? null,
    users: await usersKnownTo(call),
    after: query.cursor ?? "",
    limit: limit + 1,
  });
  const page = actors.slice(0, limit);
  return {
    actors: await Promise.all(page.map((row) => describe(call, row))),
    total,
    returned: page.length,
    ...(actors.length > limit ? { next_cursor: page.at(-1)!.did } : {}),
  };
}

/** The users that a caller may know of: itself, and those with a role in a room that it may see. */
async function usersKnownTo({ engine, principal }: ActorCall): Promise<string[]> {
  const users = await findUsersOf(engine.store, await visibleRooms(engine.store, principal));
  return principal.user ? [...users, principal.user.id] : users;
}

async function describe(
  call: ActorCall,
  row: ActorRow,
  seenAt?: Millis | null,
): Promise<JsonObject> {
  const { store, clock } = call.engine;
  const owner = row.owner === null ? undefined : await findUsername(store, row.owner);
  const evidence = await call.standing.evidenceOf(row.did);
  const now = clock.now();
  const seen = seenAt === undefined ? await lastSeen(store, row.did) : seenAt;
  return {
    did: row.did,
    kind: row.kind,
    display_name: row.displayName,
    ...(owner === undefined ? {} : { owner }),
    substrate: row.substrate,
    ...(row.publicKey === null ? {} : { public_key: row.publicKey }),
    created_at: iso(row.createdAt),
    ...(row.endedAt === null ? {} : { ended_at: iso(row.endedAt) }),
    last_seen_at: seen == null ? null : iso(seen),
    trust: evidence.domains(now).map((domain) => ({ ...evidence.figures(domain, now) })),
  };
}

/** An actor, with its manual for those who may speak as it. */
export async function showActor(call: ActorCall, did: string): Promise<JsonObject> {
  await mustSeeActor(call, did, new Readers(call.engine, call.principal));
  if (did === SYSTEM_ACTOR) return ENGINE;
  const kept = await findActor(call.engine.store, did);
  const { row, seenAt } = kept ? { row: kept } : await unregistered(call, did);
  const shown = await describe(call, row, seenAt);
  return await mayRemember(call, did) ? { ...shown, manual: row.manual } : shown;
}

/** An actor's own log, for its owner. */
export async function showActorLog(
  call: ActorCall,
  did: string,
  after: number,
  limit: number,
): Promise<JsonObject> {
  const row = await mustOwn(call, did);
  const records = await readActorLog(call.engine.store, did, after, limit);
  const last = records.at(-1);
  return {
    did,
    records: records as unknown as Json,
    head: row.head,
    ...(last && last.seq < row.head ? { next_after: last.seq } : {}),
  };
}

/** A registered actor's DID document. */
export async function actorDocument(
  call: Pick<ActorCall, "engine">,
  did: string,
): Promise<JsonObject> {
  const row = await findActor(call.engine.store, did);
  // Everybody may ask this: of a user it tells no more than a key to those who know the name.
  if (!row || (row.kind === "user" && row.publicKey === null)) throw actorNotFound(did);
  const own = keyOfDid(did);
  const key = own === undefined ? row.publicKey : multibaseOf(own);
  const id = own === undefined ? `${did}#key-1` : `${did}#${key}`;
  const isUsable = key !== null && row.endedAt === null;
  return {
    "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
    id: did,
    ...(isUsable
      ? {
        verificationMethod: [{ id, type: "Multikey", controller: did, publicKeyMultibase: key }],
        authentication: [id],
        assertionMethod: [id],
      }
      : {}),
  };
}
