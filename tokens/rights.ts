/**
 * What a user may hand out: no scope reaches further than the user's role in each room it names,
 * nor than the token that asks. Pure.
 */
import { SyncError } from "../errors.ts";
import { covers, formatScope, type ScopeWord, type TokenScope } from "../scopes.ts";
import type { MemberRoom } from "../store/security.ts";
import { LEVEL, type Level, type Role } from "../types.ts";

/** How far a role reaches. */
export const ROLE_REACH: Readonly<Record<Role, Level>> = {
  owner: LEVEL.admin,
  collaborator: LEVEL.write,
  participant: LEVEL.write,
  observer: LEVEL.read,
};

/** The rooms a scope names. */
export function namedRooms(scope: TokenScope): string[] {
  return [...new Set(scope.words.flatMap((word) => word.room === undefined ? [] : [word.room]))];
}

/** May this member bind a token to this agent: its own, a new one, or any if the room is its own? */
export function mayBind(room: MemberRoom, user: string, agent: string): boolean {
  if (ROLE_REACH[room.role] < LEVEL.write) return false;
  const known = room.agents.find((other) => other.id === agent);
  return known === undefined || known.owner === user || room.role === "owner";
}

/** The first word of a scope that reaches further than the user does. */
export function beyondAccess(
  scope: TokenScope,
  user: string,
  rooms: readonly MemberRoom[],
): ScopeWord | undefined {
  return scope.words.find((word) => {
    if (word.room === undefined) return false;
    const room = rooms.find((member) => member.id === word.room);
    if (!room || ROLE_REACH[room.role] < word.level) return true;
    return word.agent !== undefined && !mayBind(room, user, word.agent);
  });
}

/** Refuses a scope that reaches further than the user does. Throws `403 scope_exceeds_access`. */
export function mustHaveAccess(
  scope: TokenScope,
  user: string,
  rooms: readonly MemberRoom[],
): void {
  const word = beyondAccess(scope, user, rooms);
  if (!word) return;
  throw new SyncError(
    "scope_exceeds_access",
    `Your access does not reach as far as "${wordText(word)}".`,
    {
      room: word.room,
      ...(word.agent === undefined ? {} : { agent: word.agent }),
      hint:
        "Name rooms you belong to, at most at the level of your role there, and agents of your own.",
    },
  );
}

/** Refuses a scope that reaches further than the calling token's whole lineage. Throws `403 scope_exceeds_token`. */
export function mustStayWithin(
  lineage: readonly { readonly words: TokenScope }[],
  wanted: TokenScope,
): void {
  if (lineage.every((link) => covers(link.words, wanted))) return;
  throw new SyncError("scope_exceeds_token", "A token can only narrow, never widen.", {
    scope: formatScope(wanted),
    hint:
      "Ask for no more than the calling token's own scope; a bound token mints within its binding.",
  });
}

function wordText(word: ScopeWord): string {
  return formatScope({ words: [word], createRooms: false });
}
