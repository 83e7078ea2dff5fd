/** `/oauth/token`: codes, refresh tokens and device codes become access tokens. */
import { createHash } from "node:crypto";
import type { Context } from "hono";
import { covers, parseScope } from "../scopes.ts";
import { type CodeRow, findCode, useCode } from "../store/oauth.ts";
import {
  ACCESS_MS,
  type GrantRow,
  hashSecret,
  mint,
  refresh,
  type Refreshed,
  revokeTree,
} from "../tokens.ts";
import { note } from "./audit.ts";
import { clientProof, isClientId, mustBeClient, mustBeKnown } from "./clients.ts";
import { poll } from "./device.ts";
import type { Doors } from "./doors.ts";
import { noteReuse } from "./grants.ts";
import { isForm, readForm } from "./input.ts";
import { DEVICE_GRANT } from "./metadata.ts";
import { OAuthError } from "./refusals.ts";
import { parseResource } from "./resources.ts";
import { isSame } from "./signed.ts";

type Form = ReadonlyMap<string, string>;

/** `POST /oauth/token`. */
export async function postToken(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  if (!isForm(c.req.raw)) {
    throw new OAuthError(
      "invalid_request",
      "A form is wanted (application/x-www-form-urlencoded).",
    );
  }
  const form = await readForm(c.req.raw);
  const reply = await exchange(c, deps, form);
  c.header("Cache-Control", "no-store");
  c.header("Pragma", "no-cache");
  return c.json(reply);
}

function exchange(c: Context, deps: Doors, form: Form): Promise<Refreshed> {
  switch (form.get("grant_type")) {
    case "authorization_code":
      return exchangeCode(c, deps, form);
    case "refresh_token":
      return exchangeRefresh(c, deps, form);
    case DEVICE_GRANT:
      return poll(c, deps, form);
    case undefined:
      throw new OAuthError("invalid_request", "grant_type is missing.");
    default:
      throw new OAuthError(
        "unsupported_grant_type",
        "authorization_code, refresh_token or the device code grant.",
      );
  }
}

async function exchangeCode(c: Context, deps: Doors, form: Form): Promise<Refreshed> {
  const proof = clientProof(c.req.raw, form);
  const code = await findCode(deps.store, hashSecret(form.get("code") ?? ""));
  if (!code) {
    if (proof) await mustBeKnown(deps, proof);
    throw badCode();
  }
  await mustBeClient(deps, code.client, proof);
  if (code.usedAt !== null) throw await replayed(deps, code);
  const now = deps.now();
  const fault = codeFault(code, form, now);
  if (fault) throw fault;
  const resource = parseResource(deps.config, form.get("resource"));
  if (code.resource !== null && resource !== null && resource !== code.resource) {
    throw new OAuthError("invalid_target", "The code was given for another resource.");
  }
  const minted = mint({
    kind: "tok",
    scope: code.scope,
    user: code.user,
    label: code.clientName,
    client: code.client,
    resource: code.resource ?? resource,
    expiresIn: ACCESS_MS,
    withRefresh: true,
  }, now);
  if (!await useCode(deps.store, code.hash, minted.grant.id, minted.statements, now)) {
    throw await replayed(deps, await findCode(deps.store, code.hash) ?? code);
  }
  return {
    access_token: minted.token,
    refresh_token: minted.refreshToken!,
    token_type: "Bearer",
    expires_in: ACCESS_MS / 1000,
    scope: minted.grant.scope,
  };
}

/** Why a request may not use this code, or undefined when it may. Pure; nothing is used up. */
export function codeFault(code: CodeRow, form: Form, now: number): OAuthError | undefined {
  if (code.expiresAt <= now) return badCode();
  if (form.get("redirect_uri") !== code.redirectUri) {
    return new OAuthError(
      "invalid_grant",
      "The redirect_uri is not the one of the authorization request.",
    );
  }
  const verifier = form.get("code_verifier") ?? "";
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(verifier) || !isSame(s256(verifier), code.codeChallenge)) {
    return new OAuthError("invalid_grant", "The code_verifier does not meet the code_challenge.");
  }
  return undefined;
}

function s256(verifier: string): string {
  return createHash("sha256").update(verifier).digest("base64url");
}

/** A code came again: whatever its first use gave is revoked, whoever of the two was the thief. */
async function replayed(deps: Doors, code: CodeRow): Promise<OAuthError> {
  if (code.grantId !== null) {
    await revokeTree(deps.store, code.grantId, deps.now());
    deps.forget();
    await note(deps, code.user, "code_replayed", { client: code.clientName, token: code.grantId });
  }
  return badCode();
}

function badCode(): OAuthError {
  return new OAuthError("invalid_grant", "The code is unknown, used or expired.");
}

async function exchangeRefresh(c: Context, deps: Doors, form: Form): Promise<Refreshed> {
  const proof = clientProof(c.req.raw, form);
  if (proof && isClientId(proof.id)) await mustBeKnown(deps, proof);
  const check = async (grant: GrantRow): Promise<void> => {
    if (grant.client !== null) await mustBeClient(deps, grant.client, proof);
    mustBeWithin(grant, form.get("scope"));
    const resource = parseResource(deps.config, form.get("resource"));
    if (grant.resource !== null && resource !== null && resource !== grant.resource) {
      throw new OAuthError("invalid_target", "The token was given for another resource.");
    }
  };
  try {
    return await refresh(deps.store, form.get("refresh_token") ?? "", deps.now(), {
      check,
      onReuse: (grant) => noteReuse(deps, grant),
    });
  } finally {
    deps.forget();
  }
}

/** A refresh may ask for no more than the grant holds; its scope stays the grant's. Throws `invalid_scope`. */
function mustBeWithin(grant: GrantRow, asked: string | undefined): void {
  if (asked === undefined || covers(parseScope(grant.scope), parseScope(asked))) return;
  throw new OAuthError("invalid_scope", "A refresh cannot widen the scope.");
}
