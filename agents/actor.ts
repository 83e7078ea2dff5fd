/** The actor that an agent joins with: one that the caller has a right to, else the room's own. */
import { isLocalActor, parseDid, serviceActor, userActor } from "../actors.ts";
import { localActor } from "../auth.ts";
import { invalid, SyncError } from "../errors.ts";
import type { Access, Principal } from "../policy.ts";
import type { Room } from "../room.ts";
import { reachInto } from "../scopes.ts";
import type { ActorsPort } from "../sight/actors.ts";
import { type AgentDefinition, LEVEL } from "../types.ts";

/** What a join says about its actor, and what it has shown. */
export interface Claim {
  /** The actor that is named. */
  readonly wanted?: string | undefined;
  /** The actor whose key signed this join's challenge. */
  readonly proven?: string | undefined;
}

/**
 * The actor of an agent that joins or is joined again. A token that is issued without a right to
 * the agent's actor sets the agent back to one of the room. Throws `actor_denied`.
 */
export function actorFor(
  actors: ActorsPort | undefined,
  access: Access,
  room: Room,
  id: string,
  known: AgentDefinition | undefined,
  { wanted, proven }: Claim,
): string {
  const { principal } = access;
  const may = (did: string): boolean =>
    maySpeakAs(actors, principal, room, did) ||
    (did === proven && actors?.owner(did).isEnded === false);
  const kept = known && isKept(actors, access, room, id, known) ? known.actor : undefined;
  if (wanted !== undefined) {
    const did = parseDid(wanted)?.did;
    if (did === undefined) throw invalid("actor", "a DID is wanted", "did:sync:agent:dev");
    if (did === kept || may(did)) return did;
    throw actorDenied(wanted);
  }
  if (known) return kept ?? (may(known.actor) ? known.actor : localActor(room, id));
  const { service } = principal;
  if (!service) return localActor(room, id);
  const [only] = service.actors;
  return service.actors.length === 1 && may(only!) ? only! : serviceActor(service.id);
}

/** Does the agent stay who it is: one of the room, or called by its own token? */
function isKept(
  actors: ActorsPort | undefined,
  access: Access,
  room: Room,
  id: string,
  known: AgentDefinition,
): boolean {
  if (isLocalActor(known.actor)) return true;
  const [grant] = access.principal.lineage;
  const isOwnToken = grant?.kind === "as" && grant.room === room.uid && grant.agent === id;
  return isOwnToken && actors?.owner(known.actor).isEnded !== true;
}

/**
 * May this caller speak as an actor without showing a key? A user's token that may write here as
 * what the user has registered, one bound to no agent as the user, too; a service account as what
 * it lists.
 */
function maySpeakAs(
  actors: ActorsPort | undefined,
  principal: Principal,
  room: Room,
  did: string,
): boolean {
  const { user, service, lineage } = principal;
  if (!actors || !user || lineage[0]?.kind !== "tok") return false;
  if (lineage.some(({ words }) => reachInto(words, room.id).level < LEVEL.write)) return false;
  const owner = actors.owner(did);
  if (owner.isEnded || owner.user !== user.id) return false;
  if (service) return did === serviceActor(service.id) || service.actors.includes(did);
  const isBound = lineage.some(({ words: { words } }) =>
    words.some((word) => word.agent !== undefined)
  );
  return did !== userActor(user.username) || !isBound;
}

function actorDenied(actor: string): SyncError {
  return new SyncError("actor_denied", `This caller has no right to speak as "${actor}".`, {
    field: "actor",
    hint: 'Leave "actor" out to get an actor of this room; or register it (POST /actors), use a ' +
      "service account of it, or sign a challenge (POST /actors/challenge).",
    help: "trust",
  });
}
