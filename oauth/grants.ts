/**
 * `/tokens`: mint, list, change, revoke and refresh, for a session or for a token. A token only
 * sees and touches what it covers itself.
 */
import type { Context } from "hono";
import { z } from "zod";
import { SyncError } from "../errors.ts";
import { covers, formatScope, parseScope, type TokenScope } from "../scopes.ts";
import { listMemberRooms } from "../store/security.ts";
import { replaceScope } from "../store/tokens.ts";
import {
  ACCESS_MS,
  describeGrant,
  findGrant,
  type GrantRow,
  listGrants,
  mint,
  refresh,
  revokeTree,
} from "../tokens.ts";
import { note } from "./audit.ts";
import type { IdentityDeps, UserRef } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { check, fields, readEither, readJson } from "./input.ts";
import { Label } from "./people.ts";
import { mustHaveAccess, mustStayWithin, namedRooms } from "../tokens/rights.ts";
import { mustHaveSession, mustMeanIt } from "./session.ts";

/** The longest life a token may be given: a year, in seconds. */
export const EXPIRES_IN_MAX = 31_536_000;
/** Tokens of one reply unless asked otherwise, and at most. */
export const TOKENS_LIMIT = { fallback: 100, max: 500 } as const;

/** A scope as text. */
export const ScopeText = z.string("a scope is wanted, such as rooms:my-room:write").max(8_192);

/** Who asks: a person by session (then without a lineage), or one of its tokens. */
export interface Caller {
  readonly user: UserRef;
  /** The calling grant first. */
  readonly lineage: readonly { readonly id: string; readonly words: TokenScope }[];
}

/** The caller of a `/tokens` call. Throws `401`, `403`. */
export async function callerOf(c: Context, deps: Doors): Promise<Caller> {
  if (c.req.header("Authorization") === undefined) {
    const isRead = c.req.method === "GET" || c.req.method === "HEAD";
    const session = isRead ? await mustHaveSession(c, deps) : await mustMeanIt(c, deps);
    return { user: session.user, lineage: [] };
  }
  const principal = await deps.principal(c.req.raw);
  if (!principal.user || principal.lineage.length === 0) {
    throw new SyncError(
      "access_denied",
      "This token belongs to no user, so it has no tokens to keep.",
      {
        hint: "Use a tok_ token of a user: POST /auth/device starts the way to one.",
      },
    );
  }
  return { user: principal.user, lineage: principal.lineage };
}

/** What minting asks for. */
export const MintBody = z.strictObject({
  scope: ScopeText,
  label: Label.nullish(),
  expires_in: z.int("a whole number of seconds is wanted").min(1).max(EXPIRES_IN_MAX).nullish(),
  with_refresh: z.boolean("true or false is wanted").nullish(),
}).meta({ examples: [{ scope: "rooms:my-room:write", label: "my script" }] });

/** `POST /tokens`: a token that reaches no further than its caller. */
export async function postToken(c: Context, deps: Doors): Promise<Response> {
  const caller = await callerOf(c, deps);
  const made = await makeToken(deps, caller, await readJson(c.req.raw, MintBody));
  c.header("Cache-Control", "no-store");
  return c.json(made, 201);
}

/** Mints a token within the caller's reach. Throws `invalid_scope`, `scope_exceeds_token`, `scope_exceeds_access`. */
export async function makeToken(deps: Doors, caller: Caller, body: z.infer<typeof MintBody>) {
  const scope = await allowedScope(deps, caller, body.scope);
  const [parent] = caller.lineage;
  const now = deps.now();
  const expiresIn = body.expires_in ? body.expires_in * 1000 : ACCESS_MS;
  const minted = mint({
    kind: "tok",
    scope: formatScope(scope),
    user: caller.user.id,
    parent: parent?.id ?? null,
    label: body.label ?? null,
    resource: parent ? (await findGrant(deps.store, parent.id))?.resource ?? null : null,
    expiresIn,
    withRefresh: body.with_refresh ?? false,
  }, now);
  await deps.store.run(minted.statements);
  await note(deps, caller.user.id, "token_minted", {
    token: minted.grant.id,
    scope: minted.grant.scope,
  });
  deps.forget();
  return {
    id: minted.grant.id,
    token: minted.token,
    ...(minted.refreshToken === undefined ? {} : { refresh_token: minted.refreshToken }),
    scope: minted.grant.scope,
    label: minted.grant.label,
    expires_at: new Date(now + expiresIn).toISOString(),
  };
}

async function allowedScope(deps: Doors, caller: Caller, text: string): Promise<TokenScope> {
  const scope = parseScope(text);
  try {
    mustStayWithin(caller.lineage, scope);
    mustHaveAccess(
      scope,
      caller.user.id,
      await listMemberRooms(deps.store, caller.user.id, namedRooms(scope)),
    );
  } catch (error) {
    if (error instanceof SyncError) {
      await note(deps, caller.user.id, "token_refused", {
        scope: formatScope(scope),
        why: error.code,
      });
    }
    throw error;
  }
  return scope;
}

const ListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(TOKENS_LIMIT.max).default(TOKENS_LIMIT.fallback),
  cursor: z.coerce.number().int().min(0).max(1e9).default(0),
}).meta({ examples: [{ limit: 100 }] });

/** `GET /tokens`: what the caller covers, newest first, never a secret. */
export async function getTokens(c: Context, deps: Doors): Promise<Response> {
  const caller = await callerOf(c, deps);
  const query = check(Object.fromEntries(fields(new URL(c.req.url).searchParams)), ListQuery);
  const grants = await coveredGrants(deps, caller);
  const tokens = grants.slice(query.cursor, query.cursor + query.limit).map(describeGrant);
  const next = query.cursor + tokens.length;
  return c.json({
    tokens,
    total: grants.length,
    returned: tokens.length,
    ...(next < grants.length ? { next_cursor: String(next) } : {}),
  });
}

/** The living grants of the caller's user that the caller covers or has minted. */
export async function coveredGrants(
  deps: Pick<IdentityDeps, "store" | "now">,
  caller: Caller,
): Promise<GrantRow[]> {
  const grants = livingGrants(await listGrants(deps.store, caller.user.id), deps.now());
  const [self] = caller.lineage;
  if (!self) return grants;
  const byId = new Map(grants.map((grant) => [grant.id, grant]));
  return grants.filter((grant) => {
    for (
      let g: GrantRow | undefined = grant;
      g;
      g = g.parent === null ? undefined : byId.get(g.parent)
    ) {
      if (g.id === self.id) return true;
    }
    const words = parseScope(grant.scope);
    return caller.lineage.every((link) => covers(link.words, words));
  });
}

/** Grants that have not ended, nor anything they were minted from. Pure. */
export function livingGrants(grants: readonly GrantRow[], now: number): GrantRow[] {
  const byId = new Map(grants.map((grant) => [grant.id, grant]));
  const lives = (grant: GrantRow | undefined): boolean =>
    grant !== undefined && (grant.expiresAt === null || grant.expiresAt > now) &&
    (grant.parent === null || lives(byId.get(grant.parent)));
  return grants.filter(lives);
}

/** A grant the caller may touch. Throws `404 token_not_found`, also for wider ones, `409 token_revoked`. */
async function mustCoverGrant(deps: Doors, caller: Caller, id: string): Promise<GrantRow> {
  const found = (await coveredGrants(deps, caller)).find((grant) => grant.id === id);
  if (found) return found;
  const dead = caller.lineage.length === 0 ? await findGrant(deps.store, id) : undefined;
  if (dead && dead.user === caller.user.id) {
    throw new SyncError("token_revoked", "The token has ended.", {
      id,
      hint: "Mint another: POST /tokens.",
    });
  }
  throw new SyncError("token_not_found", "There is no such token here.", {
    id,
    hint: "GET /tokens lists the tokens that the calling one covers.",
  });
}

/** What of a token is changed. */
export const PatchTokenBody = z.strictObject({ scope: ScopeText.nullish(), label: Label.nullish() })
  .meta({
    examples: [{ scope: "rooms:my-room:read" }],
  });

/** `PATCH /tokens/:id`: a new scope, bounded by the user's access and the calling token's lineage. */
export async function patchToken(c: Context, deps: Doors): Promise<Response> {
  const caller = await callerOf(c, deps);
  const body = await readJson(c.req.raw, PatchTokenBody);
  const id = c.req.param("id")!;
  for (let attempt = 0; attempt < 4; attempt++) {
    const grant = await mustCoverGrant(deps, caller, id);
    const scope = await patchedScope(deps, caller, grant, body.scope);
    const label = body.label === undefined ? grant.label : body.label;
    if (!await replaceScope(deps.store, id, grant.scope, scope, label)) continue;
    await note(deps, caller.user.id, "token_changed", { token: id, from: grant.scope, to: scope });
    deps.forget();
    return c.json({ id, scope, label, previous_scope: grant.scope });
  }
  throw new SyncError("store_busy", "The token is being changed by others.", {}, {
    "Retry-After": "1",
  });
}

async function patchedScope(
  deps: Doors,
  caller: Caller,
  grant: GrantRow,
  wanted: string | null | undefined,
): Promise<string> {
  if (wanted === undefined || wanted === null) return grant.scope;
  if (grant.kind !== "tok") {
    throw new SyncError("invalid_argument", `The scope of a ${grant.kind}_ token is fixed.`, {
      field: "scope",
      hint: "Mint a tok_ token instead: POST /tokens.",
    });
  }
  const scope = await allowedScope(deps, caller, wanted);
  const parent = grant.parent === null ? undefined : await findGrant(deps.store, grant.parent);
  if (parent) mustStayWithin([{ words: parseScope(parent.scope) }], scope);
  return formatScope(scope);
}

/** `DELETE /tokens/:id`: ends a token and everything minted from it. */
export async function deleteToken(c: Context, deps: Doors): Promise<Response> {
  const caller = await callerOf(c, deps);
  const id = c.req.param("id")!;
  await revokeGrant(deps, caller, id);
  return c.json({ revoked: true, id });
}

/** Ends a token the caller covers, and everything minted from it. Throws `404`, `409`. */
export async function revokeGrant(deps: Doors, caller: Caller, id: string): Promise<void> {
  const grant = await mustCoverGrant(deps, caller, id);
  await revokeTree(deps.store, id, deps.now());
  await note(deps, caller.user.id, "token_revoked", { token: id, scope: grant.scope });
  deps.forget();
}

/** A refresh. */
export const RefreshBody = z.object({
  refresh_token: z.string("the ref_… token is wanted").min(1).max(200),
}).meta({ examples: [{ refresh_token: "ref_…" }] });

/** `POST /tokens/refresh`: new secrets for the old; tokens of an OAuth client refresh at `/oauth/token`. */
export async function postRefresh(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  const body = await readEither(c.req.raw, RefreshBody);
  const reply = await refresh(deps.store, body.refresh_token, deps.now(), {
    check: (grant) => {
      if (grant.client === null) return;
      throw new SyncError("invalid_grant", "This refresh token belongs to an OAuth client.", {
        hint: "The client refreshes it at POST /oauth/token.",
      });
    },
    onReuse: (grant) => noteReuse(deps, grant),
  }).finally(() => deps.forget());
  c.header("Cache-Control", "no-store");
  return c.json(reply);
}

/** Notes that a used refresh token came again. */
export async function noteReuse(deps: IdentityDeps, grant: GrantRow): Promise<void> {
  if (grant.user) await note(deps, grant.user, "refresh_reused", { token: grant.id });
}
