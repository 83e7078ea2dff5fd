/** `/oauth/revoke` (RFC 7009) and `/oauth/introspect` (RFC 7662). */
import type { Context } from "hono";
import { covers, parseScope } from "../scopes.ts";
import { findClient } from "../store/oauth.ts";
import { findUsername } from "../store/members.ts";
import { findSecret } from "../store/tokens.ts";
import {
  findLivingLineage,
  type GrantRow,
  hashSecret,
  kindOfSecret,
  revokeTree,
} from "../tokens.ts";
import { note } from "./audit.ts";
import { clientProof, isPublicClient, mustBeClient, mustBeKnown, mustProve } from "./clients.ts";
import type { Doors } from "./doors.ts";
import { readForm } from "./input.ts";
import { badClient, OAuthError } from "./refusals.ts";

/** `POST /oauth/revoke`: ends the grant behind a token, and everything minted from it. */
export async function postRevoke(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  const form = await readForm(c.req.raw);
  const token = form.get("token");
  if (!token) throw new OAuthError("invalid_request", "token is missing.");
  const proof = clientProof(c.req.raw, form);
  if (proof) await mustBeKnown(deps, proof);
  const found = await findSecret(deps.store, hashSecret(token), kindOfSecret(token));
  // A token that opens nothing is no error here; one of another kind is not revoked by this door.
  if (found && found.grant.kind === "tok") {
    const { client } = found.grant;
    // A public client that leaves its name out still holds the token.
    const mayBeUnnamed = !proof && client !== null && await isPublicClient(deps, client);
    if (client !== null && !mayBeUnnamed) await mustBeClient(deps, client, proof);
    if (await revokeTree(deps.store, found.grant.id, deps.now()) && found.grant.user) {
      await note(deps, found.grant.user, "token_revoked", {
        token: found.grant.id,
        scope: found.grant.scope,
      });
    }
    deps.forget();
  }
  return c.body(null, 200);
}

/** `POST /oauth/introspect`: to a token of the same user that covers it, or to the client it was given to. */
export async function postIntrospect(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  const form = await readForm(c.req.raw);
  const maySee = await introspector(c, deps, form);
  const token = form.get("token");
  if (!token) throw new OAuthError("invalid_request", "token is missing.");
  c.header("Cache-Control", "no-store");
  return c.json(await describe(deps, token, maySee));
}

type MaySee = (lineage: readonly GrantRow[]) => boolean;

/** Who asks, and what it may see. Throws `401` for a caller that proves nothing. */
async function introspector(
  c: Context,
  deps: Doors,
  form: ReadonlyMap<string, string>,
): Promise<MaySee> {
  if (/^bearer /i.test(c.req.header("Authorization") ?? "")) {
    const principal = await deps.principal(c.req.raw);
    return ([grant]) =>
      grant !== undefined && (grant.user ?? null) === (principal.user?.id ?? null) &&
      (grant.id === principal.lineage[0]?.id || (principal.user !== undefined &&
        principal.lineage.every((link) => covers(link.words, parseScope(grant.scope)))));
  }
  const proof = clientProof(c.req.raw, form);
  const client = proof && await findClient(deps.store, proof.id);
  if (!proof || !client || client.authMethod === "none") {
    throw badClient(
      "Introspection is for authenticated callers: a client with a secret, or a bearer token.",
    );
  }
  mustProve(client, proof);
  return ([grant]) => grant?.client === client.id;
}

async function describe(
  deps: Doors,
  token: string,
  maySee: MaySee,
): Promise<Record<string, unknown>> {
  const now = deps.now();
  const found = await findSecret(deps.store, hashSecret(token), kindOfSecret(token));
  const isOver = !found || found.usedAt !== null ||
    (found.secret.expiresAt !== null && found.secret.expiresAt <= now);
  const lineage = isOver ? undefined : await findLivingLineage(deps.store, found.grant.id, now);
  const [grant] = lineage ?? [];
  if (!found || !lineage || !grant || !maySee(lineage)) return { active: false };
  const username = grant.user === null ? undefined : await findUsername(deps.store, grant.user);
  return {
    active: true,
    scope: grant.scope,
    ...(grant.client === null ? {} : { client_id: grant.client }),
    ...(username === undefined ? {} : { username, sub: grant.user }),
    token_type: found.secret.kind === "access" ? "Bearer" : "refresh_token",
    iat: Math.floor(found.secret.createdAt / 1000),
    ...(found.secret.expiresAt === null ? {} : { exp: Math.floor(found.secret.expiresAt / 1000) }),
    iss: deps.config.origin,
    ...(grant.resource === null ? {} : { aud: grant.resource }),
  };
}
