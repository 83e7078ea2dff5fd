/**
 * `/oauth/authorize`: is this request sound, and may its errors be redirected? What is sound
 * goes on to the consent page, sealed.
 */
import type { Context } from "hono";
import { SyncError } from "../errors.ts";
import { parseScope } from "../scopes.ts";
import type { JsonObject } from "../types.ts";
import { type Client, mustFindClient } from "./clients.ts";
import type { IdentityDeps } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { fields, readForm } from "./input.ts";
import { notice } from "./pages.ts";
import { meetsRedirect, redirectWith } from "./redirects.ts";
import { asOAuthError, OAuthError, plain, renderOAuthError } from "./refusals.ts";
import { parseResource } from "./resources.ts";
import { seal } from "./signed.ts";

/** A person may take this long over the consent page. */
export const CONSENT_MS = 15 * 60_000;
const STATE_LENGTH_MAX = 2_000;

/** A sound authorization request, as it travels sealed through the consent page. */
export interface AuthorizeRequest {
  readonly client: string;
  readonly clientName: string;
  /** The host that vouches for the client, when its id is a URL. */
  readonly clientHost: string | null;
  readonly redirectUri: string;
  readonly state: string | null;
  readonly scope: string;
  readonly isExplicit: boolean;
  readonly codeChallenge: string;
  readonly resource: string | null;
}

/** `GET` and `POST /oauth/authorize`. Errors are redirected only once the redirect URI is trusted. */
export async function authorize(c: Context, deps: Doors): Promise<Response> {
  try {
    deps.limits.address(deps, c);
    const params = c.req.method === "POST"
      ? await readForm(c.req.raw)
      : fields(new URL(c.req.url).searchParams);
    const client = await mustFindClient(deps, mustHave(params, "client_id"));
    const redirectUri = trustedRedirect(client, params.get("redirect_uri"));
    return proceed(c, deps, client, redirectUri, params);
  } catch (error) {
    const failure = asOAuthError(error);
    if (!failure) throw error;
    return await untrusted(c, failure);
  }
}

function proceed(
  c: Context,
  deps: Doors,
  client: Client,
  redirectUri: string,
  params: ReadonlyMap<string, string>,
): Response {
  try {
    const request = parseRequest(deps, client, redirectUri, params);
    const sealed = seal(deps.serverKey, "authorize", { ...request }, deps.now() + CONSENT_MS);
    return c.redirect(`/auth/consent?${new URLSearchParams({ request: sealed })}`, 303);
  } catch (error) {
    const failure = asOAuthError(error);
    if (!failure) throw error;
    const state = params.get("state");
    return c.redirect(
      errorRedirect(deps, redirectUri, state === undefined ? null : state, failure),
      303,
    );
  }
}

/** Where an error is sent once the redirect URI is trusted; `iss` tells whose it is (RFC 9207). */
export function errorRedirect(
  deps: Pick<IdentityDeps, "config">,
  redirectUri: string,
  state: string | null,
  failure: OAuthError,
): string {
  return redirectWith(redirectUri, {
    error: failure.code,
    error_description: plain(failure.description),
    state: state ?? undefined,
    iss: deps.config.origin,
  });
}

function untrusted(c: Context, failure: OAuthError): Response | Promise<Response> {
  const wantsPage = (c.req.header("Accept") ?? "").includes("text/html");
  const status = failure.status === 401 ? 400 : failure.status;
  if (!wantsPage) {
    return renderOAuthError(
      c,
      new OAuthError(failure.code, failure.description, status, failure.headers),
    );
  }
  for (const [name, value] of Object.entries(failure.headers)) c.header(name, value);
  return notice(c, "This request cannot be answered", failure.description, { status });
}

function mustHave(params: ReadonlyMap<string, string>, name: string): string {
  const value = params.get(name);
  if (value === undefined || value === "") {
    throw new OAuthError("invalid_request", `${name} is missing.`);
  }
  return value;
}

function trustedRedirect(client: Client, given: string | undefined): string {
  if (given === undefined || given === "") {
    throw new OAuthError("invalid_request", "redirect_uri is missing.");
  }
  if (client.redirectUris.some((registered) => meetsRedirect(registered, given))) return given;
  throw new OAuthError("invalid_request", "The redirect_uri is not one the client has registered.");
}

function parseRequest(
  deps: IdentityDeps,
  client: Client,
  redirectUri: string,
  params: ReadonlyMap<string, string>,
): AuthorizeRequest {
  const state = params.get("state") ?? null;
  if (state !== null && state.length > STATE_LENGTH_MAX) {
    throw new OAuthError("invalid_request", `state has at most ${STATE_LENGTH_MAX} characters.`);
  }
  if (mustHave(params, "response_type") !== "code") {
    throw new OAuthError("unsupported_response_type", "Only response_type=code is supported.");
  }
  const mode = params.get("response_mode");
  if (mode !== undefined && mode !== "query") {
    throw new OAuthError("invalid_request", "Only response_mode=query is supported.");
  }
  const scope = params.get("scope") ?? "";
  mustBeScope(scope);
  return {
    client: client.id,
    clientName: client.name,
    clientHost: client.host ?? null,
    redirectUri,
    state,
    scope,
    isExplicit: scope.trim() !== "",
    codeChallenge: pkceChallenge(params),
    resource: parseResource(deps.config, params.get("resource")),
  };
}

function pkceChallenge(params: ReadonlyMap<string, string>): string {
  const challenge = mustHave(params, "code_challenge");
  if (params.get("code_challenge_method") !== "S256") {
    throw new OAuthError("invalid_request", "PKCE with code_challenge_method=S256 is required.");
  }
  if (!/^[A-Za-z0-9_-]{43}$/.test(challenge)) {
    throw new OAuthError("invalid_request", "code_challenge is no S256 challenge.");
  }
  return challenge;
}

/** Refuses a scope text that is too long or no scope. Throws `invalid_scope`. */
export function mustBeScope(scope: string): void {
  if (scope.length > 2_000) throw new OAuthError("invalid_scope", "The scope is too long.");
  parseScope(scope);
}

/** The body of a sealed authorization request. */
export function authorizeRequestOf(body: JsonObject): AuthorizeRequest {
  // Sealed by this server and opened with its key, so its shape is our own.
  const request = body as unknown as AuthorizeRequest;
  if (typeof request.client !== "string") {
    throw new SyncError("invalid_request", "The request is not valid.");
  }
  return request;
}
