/** Who may do what with an actor: its owner, its own tokens, and readers of its rooms. */
import { isLocalActor, roomOfLocalActor, serviceActor, userActor, userOfActor } from "../actors.ts";
import { actAs, type Acting, authenticated } from "../auth.ts";
import type { Engine } from "../engine.ts";
import type { HotRoom } from "../engine/hot.ts";
import { SyncError } from "../errors.ts";
import { accessTo, type Principal } from "../policy.ts";
import type { Prove } from "./proof.ts";
import type { Standing } from "../standing.ts";
import { type ActorRow, findActor } from "../store/actors.ts";
import { findRoles, findUser } from "../store/members.ts";
import { LEVEL } from "../types.ts";

/** What calls about actors need from their door. */
export interface ActorCall {
  readonly engine: Engine;
  readonly standing: Standing;
  readonly principal: Principal;
  readonly prove: Prove;
}

/** `404 actor_not_found`. */
export function actorNotFound(did: string): SyncError {
  return new SyncError("actor_not_found", `There is no actor "${did}" here.`, {
    actor: did,
    hint: "GET /actors lists those that are registered; POST /actors registers one.",
  });
}

/** `403 actor_denied`. */
export function actorDenied(did: string, why: string): SyncError {
  return new SyncError("actor_denied", `${why}: "${did}".`, {
    actor: did,
    hint: "An actor belongs to the user that registered it; GET /actors/:did names its owner.",
    help: "trust",
  });
}

/**
 * Refuses a caller that is not a user in person: with a token of the user's own, bound to no agent,
 * that reaches further than reading. Throws `access_denied`.
 */
export function mustBeUser(principal: Principal): NonNullable<Principal["user"]> {
  authenticated(principal);
  if (isInPerson(principal)) return principal.user!;
  throw new SyncError("access_denied", "This takes a user's own token, bound to no agent.", {
    hint:
      "Get one with POST /auth/device; as_, room_ and read-only tokens and service accounts cannot.",
  });
}

/** Is the caller a user, by a token that may act for the user wherever the user may? */
export function isInPerson({ user, service, lineage }: Principal): boolean {
  if (!user || service || lineage[0]?.kind !== "tok") return false;
  return lineage.every(({ words: { words, createRooms } }) =>
    words.every((word) => word.agent === undefined) &&
    (createRooms || words.some((word) => word.level >= LEVEL.write))
  );
}

/** Is this the user's own actor, or one it registered? */
export function isOwnedBy(
  user: NonNullable<Principal["user"]>,
  did: string,
  row: ActorRow | undefined,
): boolean {
  return did === userActor(user.username) || row?.owner === user.id;
}

/** Is this one of the actor's own tokens, or its owner's? */
export async function mayRemember(call: ActorCall, did: string): Promise<boolean> {
  const { engine, principal } = call;
  if (isLocalActor(did)) return false;
  const row = await findActor(engine.store, did);
  if (row && row.endedAt !== null) return false;
  const { user, service } = principal;
  if (service) {
    return did === serviceActor(service.id) ||
      (service.actors.includes(did) && row?.owner === user?.id);
  }
  if (isInPerson(principal) && isOwnedBy(user!, did, row)) return true;
  return await isEmbodied(call, did);
}

/** Does the caller speak as the actor in some room, as an agent of its own? */
async function isEmbodied({ engine, principal }: ActorCall, did: string): Promise<boolean> {
  const [grant] = principal.lineage;
  const uids = new Set([
    ...principal.embodied.keys(),
    ...(grant?.kind === "as" && grant.room !== null ? [grant.room] : []),
  ]);
  for (const uid of uids) {
    const hot = await findByUid(engine, uid);
    if (!hot) continue;
    const access = accessOf(principal, hot);
    if (!access || access.level < LEVEL.write) continue;
    const mine = access.bound === undefined ? access.embodied : [access.bound];
    const isMine = (id: string): boolean =>
      (grant!.kind === "as" || access.embodied.includes(id)) && hot.room.agent(id)?.actor === did &&
      hot.room.agent(id)?.left_at === undefined;
    if (mine.some(isMine)) return true;
  }
  return false;
}

function accessOf(principal: Principal, hot: HotRoom): ReturnType<typeof accessTo> | undefined {
  try {
    return accessTo(principal, hot.room, hot.room.id);
  } catch (error) {
    if (error instanceof SyncError) return undefined;
    throw error;
  }
}

/** A room by its uid, in memory. */
async function findByUid(engine: Engine, uid: string): Promise<HotRoom | undefined> {
  const row = await engine.store.findRoomByUid(uid);
  const hot = row && await engine.peek(row.id);
  return hot?.room.uid === uid ? hot : undefined;
}

/** Rooms that the caller has to do with, and how it reads each; those it may not read are left out. */
export class Readers {
  readonly #known = new Map<string, { hot: HotRoom; acting: Acting } | undefined>();
  constructor(private readonly engine: Engine, private readonly principal: Principal) {}

  /** Uids of rooms that the caller may have a right in. */
  candidates(): string[] {
    const uids = new Set(this.principal.roles.keys());
    for (const { room } of this.principal.lineage) if (room !== null) uids.add(room);
    return [...uids];
  }

  /** How the caller reads a room; undefined when it may not. */
  async of(uid: string): Promise<{ hot: HotRoom; acting: Acting } | undefined> {
    if (!this.#known.has(uid)) this.#known.set(uid, await this.find(uid));
    return this.#known.get(uid);
  }

  private async find(uid: string): Promise<{ hot: HotRoom; acting: Acting } | undefined> {
    const hot = await findByUid(this.engine, uid);
    const access = hot && accessOf(this.principal, hot);
    if (!hot || !access || access.level < LEVEL.read) return undefined;
    try {
      return { hot, acting: actAs(access, hot.room, undefined) };
    } catch (error) {
      // Several agents of one token: what everybody may read.
      if (!(error instanceof SyncError)) throw error;
      return {
        hot,
        acting: { access, agent: "", seesAll: false, isBorrowed: false, isAdmin: false },
      };
    }
  }
}

/**
 * Refuses a caller that may not know of an actor: of one room to those who do not read that room,
 * of a user to those who read no room the user has a role in. Throws `actor_not_found`.
 */
export async function mustSeeActor(call: ActorCall, did: string, readers: Readers): Promise<void> {
  authenticated(call.principal);
  const uid = roomOfLocalActor(did);
  if (uid !== undefined && !await readers.of(uid)) throw actorNotFound(did);
  const username = userOfActor(did);
  if (username === undefined || username === call.principal.user?.username) return;
  const user = await findUser(call.engine.store, username);
  const rooms = user ? await findRoles(call.engine.store, user.id) : new Map();
  for (const candidate of readers.candidates()) {
    if (rooms.has(candidate) && await readers.of(candidate)) return;
  }
  throw actorNotFound(did);
}
