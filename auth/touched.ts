/** Whom a change of rights in one room may touch, so that nobody else is looked up or judged again. */
import type { Principal } from "../policy.ts";

/** What changed of rights, where that is one room's: whom it may touch. */
export interface Touched {
  /** The room's uid. */
  readonly room: string;
  /** Whose call changed it: tokens of the same user may now do more, or less. */
  readonly by: Principal;
}

/** Is the principal known in the room, or of the user or the token that changed it? */
export function isTouched(
  { lineage, roles, embodied }: Principal,
  { room, by }: Touched,
): boolean {
  if (roles.has(room) || embodied.has(room)) return true;
  return lineage.some((grant) =>
    grant.room === room ||
    by.lineage.some(({ id, user }) => id === grant.id || (user !== null && user === grant.user))
  );
}

/** Somebody who waits or listens, and the count of changes when its rights were last judged. */
interface Judged {
  generation: number;
  readonly request: { readonly principal: Principal };
}

/**
 * Those who had been judged before the last change, and are not touched by it, count as judged after
 * it, too. Without `touched` the change may touch everybody.
 */
export function passOver(
  judged: Iterable<Judged>,
  touched: Touched | undefined,
  generation: number,
): void {
  if (!touched) return;
  for (const one of judged) {
    if (one.generation === generation - 1 && !isTouched(one.request.principal, touched)) {
      one.generation = generation;
    }
  }
}
