/**
 * Calls that stand in no table of routes: identity, OAuth, MCP, operations and documents, as the
 * OpenAPI document lists them. Pages for people and what they are made of are none.
 */
import { z } from "zod";
import { RenameBody } from "../../oauth/account.ts";
import { Registration } from "../../oauth/clients.ts";
import { DeviceBody, PollBody } from "../../oauth/device.ts";
import { MintBody, PatchTokenBody, RefreshBody } from "../../oauth/grants.ts";
import {
  AddVerifyBody,
  LoginBody,
  LoginVerifyBody,
  RegisterBody,
  RegisterVerifyBody,
} from "../../oauth/passkeys.ts";
import { RecoverBody } from "../../oauth/recovery.ts";
import { RESOURCE_PATHS } from "../../oauth/resources.ts";

/** What opens a door: a token, a browser's session, either of them, or nothing. */
export type Key = "open" | "token" | "session" | "either";

/** A call. */
export interface Door {
  /** `METHOD /path`. */
  readonly name: string;
  readonly key: Key;
  readonly summary: string;
  /** Its JSON body. */
  readonly body?: z.ZodType;
  /** Its body as a form, by field. */
  readonly form?: readonly string[];
  readonly query?: readonly string[];
  /** What it answers, where that is no JSON. */
  readonly answers?: string;
}

const HTML = "text/html";
const TEXT = "text/markdown";

const PASSKEYS: readonly Door[] = [
  {
    name: "POST /webauthn/register/options",
    key: "open",
    summary: "Begin a new account: the challenge for its first passkey.",
    body: RegisterBody,
  },
  {
    name: "POST /webauthn/register/verify",
    key: "open",
    summary: "Create the user, its passkey and a session.",
    body: RegisterVerifyBody,
  },
  {
    name: "POST /webauthn/login/options",
    key: "open",
    summary: "Begin a sign-in: the challenge for a passkey.",
    body: LoginBody,
  },
  {
    name: "POST /webauthn/login/verify",
    key: "open",
    summary: "A session for the passkey's user.",
    body: LoginVerifyBody,
  },
  {
    name: "POST /webauthn/passkeys/options",
    key: "session",
    summary: "Begin another passkey of one's own.",
  },
  {
    name: "POST /webauthn/passkeys/verify",
    key: "session",
    summary: "Add it.",
    body: AddVerifyBody,
  },
  {
    name: "PATCH /webauthn/passkeys/:id",
    key: "session",
    summary: "Name a passkey.",
    body: RenameBody,
  },
  { name: "DELETE /webauthn/passkeys/:id", key: "session", summary: "Remove a passkey." },
  { name: "POST /recover", key: "open", summary: "Use a recovery code.", body: RecoverBody },
  {
    name: "POST /recover/codes",
    key: "session",
    summary: "Ten recovery codes, shown once; older ones end.",
  },
  { name: "GET /me", key: "session", summary: "Who is signed in, and the CSRF token." },
  { name: "POST /logout", key: "open", summary: "End the session." },
];

const TOKENS: readonly Door[] = [
  { name: "POST /tokens", key: "either", summary: "Mint a token, shown once.", body: MintBody },
  {
    name: "GET /tokens",
    key: "either",
    summary: "The tokens that the caller covers, never their secrets.",
    query: ["limit", "cursor"],
  },
  {
    name: "PATCH /tokens/:id",
    key: "either",
    summary: "Change a token's scope or label.",
    body: PatchTokenBody,
  },
  {
    name: "DELETE /tokens/:id",
    key: "either",
    summary: "End a token with everything minted from it.",
  },
  {
    name: "POST /tokens/refresh",
    key: "open",
    summary: "New secrets for the old: a refresh token works once.",
    body: RefreshBody,
  },
  {
    name: "POST /auth/device",
    key: "open",
    summary: "Begin the device flow: the codes, and where a person approves.",
    body: DeviceBody,
  },
  {
    name: "POST /auth/device/token",
    key: "open",
    summary: "Poll the device flow for its token.",
    body: PollBody,
  },
];

const CLIENT = ["client_id", "client_secret"] as const;
const AUTHORIZE = [
  "response_type",
  "client_id",
  "redirect_uri",
  "code_challenge",
  "code_challenge_method",
  "scope",
  "state",
  "resource",
] as const;

const OAUTH: readonly Door[] = [
  {
    name: "GET /oauth/authorize",
    key: "open",
    summary: "OAuth 2.1 with PKCE: leads a person to consent, and back with a code.",
    query: AUTHORIZE,
    answers: HTML,
  },
  {
    name: "POST /oauth/authorize",
    key: "open",
    summary: "The same as a form.",
    form: AUTHORIZE,
    answers: HTML,
  },
  {
    name: "POST /oauth/token",
    key: "open",
    summary: "A code, a refresh token or a device code becomes an access token.",
    form: [
      "grant_type",
      "code",
      "redirect_uri",
      "code_verifier",
      "refresh_token",
      "device_code",
      "scope",
      "resource",
      ...CLIENT,
    ],
  },
  {
    name: "POST /oauth/register",
    key: "open",
    summary: "Register a client (RFC 7591).",
    body: Registration,
  },
  {
    name: "POST /oauth/revoke",
    key: "open",
    summary: "End the grant behind a token (RFC 7009).",
    form: ["token", ...CLIENT],
  },
  {
    name: "POST /oauth/introspect",
    key: "token",
    summary: "What a token is worth (RFC 7662), to its client or its user's tokens.",
    form: ["token", ...CLIENT],
  },
  ...["", ...RESOURCE_PATHS].flatMap((path): Door[] => [
    {
      name: `GET /.well-known/oauth-authorization-server${path}`,
      key: "open",
      summary: "The authorization server's metadata (RFC 8414).",
    },
    {
      name: `GET /.well-known/oauth-protected-resource${path}`,
      key: "open",
      summary: "The protected resource's metadata (RFC 9728).",
    },
  ]),
];

const SERVICE: readonly Door[] = [
  {
    name: "POST /mcp",
    key: "token",
    summary: "The same calls as MCP tools: one JSON-RPC message.",
    body: z.looseObject({ jsonrpc: z.literal("2.0"), method: z.string().optional() }),
  },
  { name: "GET /mcp", key: "token", summary: "The stream of an MCP session of 2025." },
  { name: "DELETE /mcp", key: "token", summary: "End an MCP session of 2025." },
  { name: "GET /healthz", key: "open", summary: "Does the process live?" },
  { name: "GET /readyz", key: "open", summary: "Can it serve?" },
  {
    name: "GET /metrics",
    key: "open",
    summary: "Prometheus text: on loopback, elsewhere with SYNC_METRICS_TOKEN.",
    answers: "text/plain",
  },
  { name: "GET /openapi.json", key: "open", summary: "This document." },
  { name: "GET /SKILL.md", key: "open", summary: "The service in brief.", answers: TEXT },
  {
    name: "GET /",
    key: "open",
    summary: "The same; browsers get a page, and with ?room= a room's dashboard.",
    query: ["room"],
    answers: TEXT,
  },
  { name: "GET /reference", key: "open", summary: "The documents, by name.", answers: TEXT },
  {
    name: "GET /reference/pictures/:name",
    key: "open",
    summary: "A picture of the documents.",
    answers: "image/png",
  },
  { name: "GET /reference/:doc", key: "open", summary: "A document.", answers: TEXT },
  { name: "GET /docs", key: "open", summary: "The documents as pages.", answers: HTML },
  { name: "GET /docs/:slug", key: "open", summary: "A document as a page.", answers: HTML },
];

/** All of them. */
export const DOORS: readonly Door[] = [...PASSKEYS, ...TOKENS, ...OAUTH, ...SERVICE];
