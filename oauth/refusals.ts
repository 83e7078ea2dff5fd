/**
 * Failures of the OAuth doors, in the words of RFC 6749, 7591, 7009 and 8628, and the one
 * renderer that turns them and everything else into JSON there.
 */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, SyncError } from "../errors.ts";

/** Error codes of the OAuth doors. */
export type OAuthCode =
  | "invalid_request"
  | "invalid_client"
  | "invalid_grant"
  | "unauthorized_client"
  | "unsupported_grant_type"
  | "unsupported_response_type"
  | "unsupported_token_type"
  | "invalid_scope"
  | "invalid_token"
  | "invalid_target"
  | "access_denied"
  | "authorization_pending"
  | "slow_down"
  | "expired_token"
  | "invalid_redirect_uri"
  | "invalid_client_metadata"
  | "rate_limited"
  | "temporarily_unavailable";

/** A refusal at an OAuth door. */
export class OAuthError extends Error {
  override readonly name = "OAuthError";
  constructor(
    readonly code: OAuthCode,
    readonly description: string,
    readonly status: 400 | 401 | 403 | 429 | 503 = 400,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(description);
  }
}

/** `401 invalid_client`. */
export function badClient(description: string): OAuthError {
  return new OAuthError("invalid_client", description, 401, {
    "WWW-Authenticate": 'Basic realm="sync"',
  });
}

const KEPT: Partial<Record<ErrorCode, OAuthCode>> = {
  invalid_scope: "invalid_scope",
  invalid_grant: "invalid_grant",
  invalid_token: "invalid_token",
  rate_limited: "rate_limited",
  unavailable: "temporarily_unavailable",
  store_busy: "temporarily_unavailable",
};

/** Any failure that callers may read, in OAuth's words; other errors stay what they are. */
export function asOAuthError(error: unknown): OAuthError | undefined {
  if (error instanceof OAuthError) return error;
  if (!(error instanceof SyncError)) return undefined;
  const code = KEPT[error.code] ?? "invalid_request";
  const status = error.status === 429 || error.status === 503 || error.status === 401
    ? error.status
    : 400;
  return new OAuthError(code, error.message, status, error.headers);
}

/** Renders a refusal as OAuth's JSON. */
export function renderOAuthError(c: Context, error: OAuthError): Response {
  for (const [name, value] of Object.entries(error.headers)) c.header(name, value);
  c.header("Cache-Control", "no-store");
  c.header("Pragma", "no-cache");
  const body = { error: error.code, error_description: plain(error.description) };
  return c.json(body, error.status as ContentfulStatusCode);
}

/** Text as RFC 6749 wants descriptions: printable ASCII without quotes and backslashes. */
export function plain(text: string): string {
  return text.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, "?").slice(0, 500);
}
