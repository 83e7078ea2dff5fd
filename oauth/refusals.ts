/**
 * Failures of the OAuth doors, in the words of RFC 6749, 7591, 7009 and 8628, and the one
 * renderer that turns them and everything else into JSON there.
 */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, type ErrorFacts, SyncError } from "../errors.ts";

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
  | "too_large"
  | "temporarily_unavailable";

/** A refusal at an OAuth door. */
export class OAuthError extends Error {
  override readonly name = "OAuthError";
  constructor(
    readonly code: OAuthCode,
    readonly description: string,
    readonly status: 400 | 401 | 403 | 413 | 429 | 503 = 400,
    readonly headers: Readonly<Record<string, string>> = {},
    /** What else callers may read: the field, a hint, an example. */
    readonly facts: ErrorFacts = {},
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
  too_large: "too_large",
  unavailable: "temporarily_unavailable",
  store_busy: "temporarily_unavailable",
};

/** Statuses that stay what they are; everything else is a bad request. */
const SHOWN = [401, 413, 429, 503] as const;

/** Any failure that callers may read, in OAuth's words; other errors stay what they are. */
export function asOAuthError(error: unknown): OAuthError | undefined {
  if (error instanceof OAuthError) return error;
  if (!(error instanceof SyncError)) return undefined;
  const code = KEPT[error.code] ?? "invalid_request";
  const status = SHOWN.find((one) => one === error.status) ?? 400;
  return new OAuthError(code, error.message, status, error.headers, error.facts);
}

/** Renders a refusal as OAuth's JSON, with the members of all other doors beside it. */
export function renderOAuthError(c: Context, error: OAuthError): Response {
  for (const [name, value] of Object.entries(error.headers)) c.header(name, value);
  c.header("Cache-Control", "no-store");
  c.header("Pragma", "no-cache");
  const { description, facts } = error;
  // As every other door says it, too: the standards let more members be.
  const body = {
    ...facts,
    error: error.code,
    error_description: plain(description),
    message: description,
  };
  return c.json(body, error.status as ContentfulStatusCode);
}

/** Text as RFC 6749 wants descriptions: printable ASCII without quotes and backslashes. */
export function plain(text: string): string {
  return text.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, "?").slice(0, 500);
}
