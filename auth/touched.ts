/** Whom a change of rights in one room may touch, so that nobody else is looked up or judged again. */
import type { Principal } from "../policy.ts";

/** What changed of rights, where that is one room's: whom it may touch. */
export interface Touched {
  /** The room's uid. */
  readonly room: string;
  /** Whose call changed it: tokens of the same user may now do more, or less. */
  readonly by: Principal;
  /** The user who was given a role there, and had none. */
  readonly newcomer?: string;
}

/**
 * The uids of the rooms in which somebody is known, and the ids of its users and grants: all of them
 * drawn at random, so that no two are alike.
 */
export function* marksOf({ lineage, roles, embodied }: Principal): Generator<string> {
  for (const { id, user, room } of lineage) {
    yield id;
    if (user !== null) yield user;
    if (room !== null) yield room;
  }
  yield* roles.keys();
  yield* embodied.keys();
}

/** What those whom a change may touch have at least one of. */
export function touchedMarks({ room, by, newcomer }: Touched): Set<string> {
  const marks = new Set([room]);
  if (newcomer !== undefined) marks.add(newcomer);
  for (const { id, user } of by.lineage) {
    marks.add(id);
    if (user !== null) marks.add(user);
  }
  return marks;
}

/** Has the principal one of the marks? */
export function isTouched(principal: Principal, marks: ReadonlySet<string>): boolean {
  for (const mark of marksOf(principal)) if (marks.has(mark)) return true;
  return false;
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
  const marks = touchedMarks(touched);
  for (const one of judged) {
    if (one.generation === generation - 1 && !isTouched(one.request.principal, marks)) {
      one.generation = generation;
    }
  }
}
