/** Whose memory a registered expression may look into: its registrar's own, and only there. */
import type { Acting } from "../auth.ts";
import type { Room } from "../room.ts";
import { memoryMark } from "../sight.ts";

/** The actor that a caller is in the room, unless it only looks through another's eyes. */
export function ownActor(room: Room, acting: Acting): string | undefined {
  return acting.isBorrowed ? undefined : room.agent(acting.agent)?.actor;
}

/**
 * What a definition keeps of that: a mark, where its text names `memory` and its scope is the
 * registrar's own. Without it `memory` is empty.
 */
export function rememberingAs(
  room: Room,
  registrar: { readonly agent: string; readonly actor: string | undefined },
  scope: string,
  text: string,
): { readonly memory_of?: string } {
  const { agent, actor } = registrar;
  const isOwn = actor !== undefined && agent === scope && /\bmemory\b/.test(text);
  return isOwn ? { memory_of: memoryMark(room, actor) } : {};
}
