/**
 * Tokens: mint, hash, find, narrow, rotate, revoke. A token's secret opens a grant; the scope
 * is the grant's. Rights are judged elsewhere (`policy.ts`).
 */
import { randomBytes, randomUUID } from "node:crypto";
import { Buffer } from "node:buffer";
import { sha256 } from "./canonical.ts";
import { SyncError } from "./errors.ts";
import { formatScope, parseScope, type TokenScope } from "./scopes.ts";
import type { SideStatement } from "./store/rows.ts";
import type { Store } from "./store.ts";
import {
  findGrant,
  findLineage,
  findSecret,
  type GrantKind,
  type GrantRow,
  insertGrant,
  insertSecret,
  listGrants,
  revokeTree,
  rotateSecret,
} from "./store/tokens.ts";
import type { Millis } from "./types.ts";

/** Access tokens of a user live this long. */
export const ACCESS_MS = 3_600_000;
/** Refresh tokens live this long. */
export const REFRESH_MS = 30 * 86_400_000;

/** A grant and the scope it holds, parsed. */
export interface Grant extends GrantRow {
  readonly words: TokenScope;
}

/** A new token: the secret, which is shown once, and the statements that store its hash. */
export interface Minted {
  readonly token: string;
  readonly refreshToken?: string;
  readonly grant: GrantRow;
  readonly statements: readonly SideStatement[];
}

/** What a new token is about. */
export interface MintRequest {
  readonly kind: GrantKind;
  readonly scope: string;
  readonly user?: string | null;
  readonly parent?: string | null;
  readonly label?: string | null;
  readonly room?: string | null;
  readonly agent?: string | null;
  readonly client?: string | null;
  readonly resource?: string | null;
  /** Milliseconds the access token lives; undefined for no end of its own. */
  readonly expiresIn?: number;
  readonly withRefresh?: boolean;
  /**
   * Of tokens about a room: does an id or a hash belong beside it? What is drawn is drawn again
   * until it does, so that a token is found where its room is.
   */
  readonly fits?: (name: string) => boolean;
}

const PREFIX: Record<GrantKind, string> = { tok: "tok_", room: "room_", view: "view_", as: "as_" };

/** A fresh secret: its prefix and 256 random bits. */
export function newSecret(prefix: string): string {
  return prefix + Buffer.from(randomBytes(32)).toString("base64url");
}

/** What kind of grant a secret opens, by how it begins. */
export function kindOfSecret(secret: string): GrantKind {
  return ABOUT_ROOMS.find((kind) => secret.startsWith(PREFIX[kind])) ?? "tok";
}

const ABOUT_ROOMS = ["room", "view", "as"] as const;

/** Draws until the outcome fits. */
export function drawn<T extends string>(draw: () => T, fits: (name: string) => boolean): T {
  for (;;) {
    const name = draw();
    if (fits(name)) return name;
  }
}

/** How a secret is stored. */
export function hashSecret(secret: string): string {
  return sha256(secret);
}

/** Makes a token without storing it: the caller commits the statements with what they belong to. */
export function mint(request: MintRequest, now: Millis): Minted {
  const { fits = () => true } = request;
  const token = drawn(() => newSecret(PREFIX[request.kind]), (secret) => fits(hashSecret(secret)));
  const expiresAt = request.expiresIn === undefined ? null : now + request.expiresIn;
  const grant: GrantRow = {
    id: drawn(randomUUID, fits),
    kind: request.kind,
    user: request.user ?? null,
    parent: request.parent ?? null,
    scope: formatScope(parseScope(request.scope)),
    label: request.label ?? null,
    room: request.room ?? null,
    agent: request.agent ?? null,
    client: request.client ?? null,
    resource: request.resource ?? null,
    createdAt: now,
    // Nothing minted from a grant outlives it: one that refreshes ends with its last refresh token.
    expiresAt: request.withRefresh ? now + REFRESH_MS : expiresAt,
    revokedAt: null,
    lastUsedAt: null,
  };
  const access = {
    hash: hashSecret(token),
    grantId: grant.id,
    kind: "access",
    createdAt: now,
    expiresAt,
  } as const;
  const statements = [insertGrant(grant), insertSecret(access)];
  if (!request.withRefresh) return { token, grant, statements };
  const refreshToken = newSecret("ref_");
  statements.push(insertSecret(refreshRow(refreshToken, grant.id, now)));
  return { token, refreshToken, grant, statements };
}

function refreshRow(secret: string, grantId: string, now: Millis) {
  const expiresAt = now + REFRESH_MS;
  return { hash: hashSecret(secret), grantId, kind: "refresh", createdAt: now, expiresAt } as const;
}

/** The grant of an access token and its lineage, or undefined when it opens nothing (any more). */
export async function findToken(
  store: Store,
  secret: string,
  now: Millis,
): Promise<{ lineage: Grant[]; expiresAt: Millis | null } | undefined> {
  const found = await findSecret(store, hashSecret(secret), kindOfSecret(secret));
  if (!found || found.secret.kind !== "access") return undefined;
  if (found.secret.expiresAt !== null && found.secret.expiresAt <= now) return undefined;
  const lineage = await findLivingLineage(store, found.grant.id, now);
  return lineage && { lineage, expiresAt: found.secret.expiresAt };
}

/** A grant and all it was minted from, or undefined when any of them has ended. */
export async function findLivingLineage(
  store: Store,
  id: string,
  now: Millis,
): Promise<Grant[] | undefined> {
  const rows = await findLineage(store, id);
  const living = rows.every((g) =>
    g.revokedAt === null && (g.expiresAt === null || g.expiresAt > now)
  );
  if (rows.length === 0 || !living || rows.at(-1)!.parent !== null) return undefined;
  return rows.map((row) => ({ ...row, words: parseScope(row.scope) }));
}

/** Is a grant good at this origin (RFC 8707)? One without a resource is; asked of every link at each use. */
export function resourceMatches(
  grant: { readonly resource: string | null },
  origin: string,
): boolean {
  return grant.resource === null || grant.resource === origin ||
    grant.resource.startsWith(`${origin}/`);
}

/** What a refresh answers. */
export interface Refreshed {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly token_type: "Bearer";
  readonly expires_in: number;
  readonly scope: string;
}

/** What a refresh is checked against, and who hears of a misuse. */
export interface RefreshRules {
  /** Refuses a grant that is not this caller's to refresh, before anything is used up. */
  readonly check?: (grant: GrantRow) => void | Promise<void>;
  /** Told when a used refresh token came again and its family was revoked. */
  readonly onReuse?: (grant: GrantRow) => Promise<void>;
}

/**
 * Exchanges a refresh token once. A second use revokes the whole family; a bad request burns
 * nothing. Throws `invalid_grant`, and what the rules throw.
 */
export async function refresh(
  store: Store,
  secret: string,
  now: Millis,
  rules: RefreshRules = {},
): Promise<Refreshed> {
  const hash = hashSecret(secret);
  const found = await findSecret(store, hash, "tok");
  if (!found || found.secret.kind !== "refresh") throw badRefresh();
  if (found.secret.expiresAt !== null && found.secret.expiresAt <= now) throw badRefresh();
  await rules.check?.(found.grant);
  if (!await findLivingLineage(store, found.grant.id, now)) throw badRefresh();
  const grantId = found.grant.id;
  const access = newSecret("tok_"), next = newSecret("ref_");
  const expiresAt = now + ACCESS_MS;
  const successors = [
    { hash: hashSecret(access), grantId, kind: "access", createdAt: now, expiresAt } as const,
    refreshRow(next, grantId, now),
  ];
  if (
    found.usedAt !== null || !await rotateSecret(store, hash, successors, now, now + REFRESH_MS)
  ) {
    await revokeTree(store, grantId, now);
    await rules.onReuse?.(found.grant);
    throw badRefresh();
  }
  const grant = await findGrant(store, grantId);
  return {
    access_token: access,
    refresh_token: next,
    token_type: "Bearer",
    expires_in: ACCESS_MS / 1000,
    scope: grant?.scope ?? found.grant.scope,
  };
}

function badRefresh(): SyncError {
  return new SyncError("invalid_grant", "The refresh token is unknown, used, expired or revoked.", {
    hint: "Start again: POST /auth/device, or sign in.",
  });
}

/** A token as lists show it: never its secret. */
export function describeGrant(grant: GrantRow): Record<string, string | null> {
  const at = (ms: Millis | null): string | null => ms === null ? null : new Date(ms).toISOString();
  return {
    id: grant.id,
    kind: grant.kind,
    scope: grant.scope,
    label: grant.label,
    client: grant.client,
    agent: grant.agent,
    created_at: at(grant.createdAt),
    expires_at: at(grant.expiresAt),
    last_used_at: at(grant.lastUsedAt),
  };
}

export { findGrant, listGrants, revokeTree };
export type { GrantKind, GrantRow };
