/** Whose eyes lie over a room: which scopes they may read, who `self` is, and whose memory. Pure. */
import { canReadScope, isPrivateScope } from "../policy.ts";
import type { Room } from "../room.ts";
import type { ActionDefinition } from "../types.ts";

/** Who looks, and with whose rights. */
export interface Eyes {
  /** `self` in expressions: an agent's id, `admin`, or "" for nobody. */
  readonly self: string;
  /** The scope behind `state.self`; undefined where there is none. */
  readonly own?: string;
  /** The actor whose memory may be looked into: the looker's own. */
  readonly actor?: string;
  canRead(scope: string): boolean;
}

/** Eyes of a caller: an agent, an admin, or nobody in particular. */
export function callerEyes(room: Room, agent: string, isAdmin: boolean): Eyes {
  const own = agent !== "" && agent !== "admin" ? { own: agent } : {};
  return { self: agent, ...own, canRead: (scope) => canReadScope(room, agent, isAdmin, scope) };
}

/** Eyes of a caller that may look into the memory of its own actor. */
export function ownEyes(
  room: Room,
  caller: { readonly agent: string; readonly seesAll: boolean; readonly isBorrowed: boolean },
): Eyes {
  const eyes = callerEyes(room, caller.agent, caller.seesAll);
  const actor = caller.isBorrowed ? undefined : room.agent(caller.agent)?.actor;
  return actor === undefined ? eyes : { ...eyes, actor };
}

/** How a definition names the actor whose memory it reads: it holds in this room only. */
export function memoryMark(room: Room, actor: string): string {
  return `${actor} ${room.uid}`;
}

/** Eyes that look into a memory, as long as the agent is the actor that a definition names. */
export function remembering(eyes: Eyes, room: Room, agent: string, mark: string | undefined): Eyes {
  const actor = mark === undefined ? undefined : room.agent(agent)?.actor;
  return actor !== undefined && memoryMark(room, actor) === mark ? { ...eyes, actor } : eyes;
}

/** Eyes of a scope: a view's, or those of an `enabled`, whose `self` is the reader. */
export function scopeEyes(room: Room, scope: string, reader?: string): Eyes {
  const agent = isPrivateScope(scope) ? scope : "";
  const canRead = (other: string): boolean => canReadScope(room, agent, false, other);
  if (reader !== undefined) return { self: reader, canRead };
  return { self: agent, ...(agent === "" ? {} : { own: agent }), canRead };
}

/**
 * Eyes of an action: its scope's rights and, as `state.self`, the invoker's own scope; nothing else
 * of the invoker's. By its id that scope is seen only where who invokes is who registered.
 */
export function actionEyes(
  room: Room,
  action: Pick<ActionDefinition, "scope" | "registered_by">,
  invoker: string,
  memoryOf?: string,
): Eyes {
  const agent = isPrivateScope(action.scope) ? action.scope : "";
  const own = invoker !== "" && invoker !== "admin" ? { own: invoker } : {};
  const eyes: Eyes = {
    self: invoker,
    ...own,
    canRead: (other) =>
      (other === invoker && invoker === action.registered_by && invoker !== "") ||
      canReadScope(room, agent, false, other),
  };
  return remembering(eyes, room, agent, memoryOf);
}
