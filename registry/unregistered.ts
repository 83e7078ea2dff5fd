/** Actors that nobody registers: the agents of one room, users, and the service itself. */
import { isLocalActor, roomOfLocalActor, userOfActor } from "../actors.ts";
import { localActor } from "../auth.ts";
import { SYSTEM_ACTOR } from "../room.ts";
import type { ActorRow } from "../store/actors.ts";
import { findUser } from "../store/members.ts";
import { parseInstant } from "../timers.ts";
import type { Json, JsonObject, Millis } from "../types.ts";
import { type ActorCall, actorNotFound, Readers } from "./rights.ts";

/** A row for an actor that has none; and when it was last heard of, where no log has to be asked. */
export interface Unregistered {
  readonly row: ActorRow;
  readonly seenAt?: Millis | null;
}

/** The service itself. When it last wrote is each room's own affair. */
export const ENGINE: JsonObject = {
  did: SYSTEM_ACTOR,
  kind: "system",
  display_name: null,
  substrate: null,
  created_at: null,
  last_seen_at: null,
  trust: [],
};

/** An actor's row before anything of it is kept. */
export function newRow(
  did: string,
  kind: string,
  owner: string | null,
  createdAt: Millis,
): ActorRow {
  return {
    did,
    kind,
    displayName: null,
    owner,
    substrate: null,
    publicKey: null,
    manual: null,
    createdAt,
    endedAt: null,
    head: 0,
    hash: "",
  };
}

/** What there is of an actor without a row, which the caller may know of. Throws `actor_not_found`. */
export async function unregistered(call: ActorCall, did: string): Promise<Unregistered> {
  if (isLocalActor(did)) return await agentOfRoom(call, did);
  const username = userOfActor(did);
  const user = username === undefined ? undefined : await findUser(call.engine.store, username);
  if (!user) throw actorNotFound(did);
  return { row: newRow(did, "user", user.id, user.createdAt) };
}

async function agentOfRoom(call: ActorCall, did: string): Promise<Unregistered> {
  const reader = await new Readers(call.engine, call.principal).of(roomOfLocalActor(did)!);
  const id = decoded(did.slice(did.lastIndexOf("~") + 1));
  const definition = id === undefined ? undefined : reader?.hot.room.agent(id);
  if (!reader || !definition || localActor(reader.hot.room, id!) !== did) throw actorNotFound(did);
  const { hot } = reader;
  const row = newRow(did, "agent", null, parseInstant(definition.joined_at)!);
  return {
    row: {
      ...row,
      displayName: definition.name,
      substrate: (definition.substrate ?? null) as Json,
    },
    seenAt: hot.presence.get(id!)?.lastHeartbeat ?? null,
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // No agent's id is encoded so.
    return undefined;
  }
}
