/**
 * Elevation: the link by which a token's own user may widen it to a room, and what approving
 * it changes. The link is stateless until it is answered, which it can be once.
 */
import { SyncError } from "../errors.ts";
import { formatScope, parseScope, reachInto } from "../scopes.ts";
import { answerByScopes } from "../store/oauth.ts";
import { findLineage } from "../store/tokens.ts";
import type { GrantRow } from "../tokens.ts";
import { LEVEL, type Level } from "../types.ts";
import { note } from "./audit.ts";
import type { IdentityDeps, UserRef } from "./deps.ts";
import { withRoom } from "./rights.ts";
import { type Opened, seal } from "./signed.ts";

/** An elevation link is good for this long. */
export const ELEVATION_MS = 15 * 60_000;

/** The link that asks the token's user to let a grant into a room at a level. */
export function elevationLink(
  deps: Pick<IdentityDeps, "config" | "serverKey" | "now">,
  grantId: string,
  room: string,
  level: Level,
): string {
  const request = seal(
    deps.serverKey,
    "elevate",
    { grant: grantId, room, level },
    deps.now() + ELEVATION_MS,
  );
  return `${deps.config.origin}/auth/elevate?${new URLSearchParams({ request })}`;
}

/** An elevation that waits for its answer. */
export interface Elevation {
  readonly opened: Opened;
  readonly room: string;
  readonly level: Level;
  /** The token that asked, then what it was minted from. */
  readonly lineage: readonly GrantRow[];
}

/** What an opened link asks for. Throws `403 access_denied` for all but the token's own user. */
export async function elevationOf(
  deps: IdentityDeps,
  opened: Opened,
  user: UserRef,
): Promise<Elevation> {
  const { grant, room, level } = opened.body as { grant: string; room: string; level: Level };
  const lineage = await findLineage(deps.store, grant);
  const now = deps.now();
  if (lineage[0]?.user !== user.id) {
    throw new SyncError("access_denied", "This link is for the token's own user.", {
      hint: "Sign in as the user the token belongs to.",
    });
  }
  if (lineage.some((g) => g.revokedAt !== null || (g.expiresAt !== null && g.expiresAt <= now))) {
    throw new SyncError("token_revoked", "The token that asked has ended.", {
      hint: "Ask for a new token.",
    });
  }
  return { opened, room, level, lineage };
}

/** The grants that must be widened for the asking one to reach that far: itself, and what limits it. Pure. */
export function wideningOf(
  lineage: readonly GrantRow[],
  room: string,
  level: Level,
): {
  readonly grant: string;
  readonly label: string | null;
  readonly from: string;
  readonly to: string;
}[] {
  return lineage.flatMap((grant) => {
    const scope = parseScope(grant.scope);
    if (grant.kind !== "tok" || reachInto(scope, room).level >= level) return [];
    return [{
      grant: grant.id,
      label: grant.label,
      from: grant.scope,
      to: formatScope(withRoom(scope, room, level)),
    }];
  });
}

/** Widens the token, once. Throws `409 token_revoked` when the link was answered already. */
export async function elevate(
  deps: IdentityDeps,
  user: UserRef,
  asked: Elevation,
  level: Level,
): Promise<void> {
  if (level <= LEVEL.none) {
    throw new SyncError("invalid_argument", "A level is wanted.", { field: "level" });
  }
  let current = asked;
  for (let attempt = 0; attempt < 4; attempt++) {
    const changes = wideningOf(current.lineage, asked.room, level);
    if (await answerByScopes(deps.store, asked.opened.id, asked.opened.expiresAt, changes)) {
      for (const change of changes) {
        await note(deps, user.id, "elevated", {
          token: change.grant,
          from: change.from,
          to: change.to,
        });
      }
      deps.forget();
      return;
    }
    current = await elevationOf(deps, asked.opened, user);
    if (
      wideningOf(current.lineage, asked.room, level).every((c, i) => c.from === changes[i]?.from)
    ) break;
  }
  throw alreadyAnswered();
}

/** A request that was answered before. */
export function alreadyAnswered(): SyncError {
  return new SyncError("invalid_request", "This request was answered already; it is good once.", {
    hint: "Let the agent or the application ask again.",
  });
}
