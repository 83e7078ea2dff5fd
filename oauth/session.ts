/**
 * Sessions: an HttpOnly cookie that names a person's browser, and the proof that a changing
 * request was meant (anti-CSRF token and same-origin `Origin`).
 */
import { randomBytes, randomUUID } from "node:crypto";
import type { Context } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { SyncError } from "../errors.ts";
import { findSession, type SessionRow } from "../store/identity.ts";
import { hashSecret } from "../tokens.ts";
import type { Millis } from "../types.ts";
import type { IdentityDeps, UserRef } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { isSame, mac, type ServerKey } from "./signed.ts";

/** A session lives this long: 12 hours. */
export const SESSION_MS = 12 * 3_600_000;
/** A recovery session lives this long: 15 minutes, to add a passkey in. */
export const RECOVERY_SESSION_MS = 15 * 60_000;

/** A living session. */
export interface Session {
  readonly hash: string;
  readonly id: string;
  readonly user: UserRef;
  readonly kind: "full" | "recovery";
  readonly expiresAt: Millis;
  /** What forms and `X-CSRF-Token` must carry. */
  readonly csrf: string;
}

type SessionDeps = Pick<IdentityDeps, "store" | "config" | "serverKey" | "now">;

/** The cookie's name; `__Host-` pins it to this host where the origin is https. */
export function cookieName(origin: string): string {
  return origin.startsWith("https:") ? "__Host-sync_session" : "sync_session";
}

/** A new session's row and the secret that opens it. */
export function newSession(
  user: string,
  kind: "full" | "recovery",
  passkey: string | null,
  request: Request,
  now: Millis,
): { secret: string; row: SessionRow } {
  const secret = `ses_${randomBytes(32).toString("base64url")}`;
  const expiresAt = now + (kind === "full" ? SESSION_MS : RECOVERY_SESSION_MS);
  const label = request.headers.get("User-Agent")?.slice(0, 200) ?? null;
  const row = {
    hash: hashSecret(secret),
    id: randomUUID(),
    user,
    kind,
    passkey,
    label,
    createdAt: now,
    expiresAt,
  };
  return { secret, row };
}

/** Hands the session to the browser. */
export function giveCookie(c: Context, deps: SessionDeps, secret: string): void {
  setCookie(c, cookieName(deps.config.origin), secret, {
    httpOnly: true,
    sameSite: "Lax",
    secure: deps.config.origin.startsWith("https:"),
    path: "/",
    maxAge: SESSION_MS / 1000,
  });
}

/** Takes the cookie back. */
export function takeCookie(c: Context, deps: SessionDeps): void {
  setCookie(c, cookieName(deps.config.origin), "", {
    httpOnly: true,
    sameSite: "Lax",
    secure: deps.config.origin.startsWith("https:"),
    path: "/",
    maxAge: 0,
  });
}

/** The session of a request, if its cookie opens one. */
export async function sessionOf(c: Context, deps: SessionDeps): Promise<Session | undefined> {
  const secret = getCookie(c, cookieName(deps.config.origin));
  if (!secret) return undefined;
  const row = await findSession(deps.store, hashSecret(secret), deps.now());
  return row && {
    hash: row.hash,
    id: row.id,
    user: { id: row.user, username: row.username },
    kind: row.kind,
    expiresAt: row.expiresAt,
    csrf: csrfOf(deps.serverKey, row.hash),
  };
}

/** The anti-CSRF token of a session. */
export function csrfOf(key: ServerKey, sessionHash: string): string {
  return mac(key, "session", sessionHash);
}

/** The session, or `401`. A recovery session counts only where it is allowed for. */
export async function mustHaveSession(
  c: Context,
  deps: Doors,
  allow: "full" | "recovery" = "full",
): Promise<Session> {
  const session = await sessionOf(c, deps);
  if (!session) {
    const known = getCookie(c, cookieName(deps.config.origin)) !== undefined;
    throw new SyncError(
      known ? "invalid_session" : "authentication_required",
      known ? "The session has ended." : "This call needs a signed-in session.",
      { hint: `Sign in with a passkey at ${deps.config.origin}/auth/signin.` },
    );
  }
  deps.limits.session(deps, session.hash);
  if (session.kind === "recovery" && allow === "full") {
    throw new SyncError("access_denied", "A recovery session is good for adding a passkey only.", {
      hint: `Add a passkey at ${deps.config.origin}/recover, then go on.`,
    });
  }
  return session;
}

/** The session of a changing JSON call: with `X-CSRF-Token` and a same-origin `Origin`. Throws `403 csrf_failed`. */
export async function mustMeanIt(
  c: Context,
  deps: Doors,
  allow: "full" | "recovery" = "full",
): Promise<Session> {
  const session = await mustHaveSession(c, deps, allow);
  mustMatch(session, c.req.header("X-CSRF-Token"), "X-CSRF-Token");
  mustBeSameOrigin(c.req.raw, deps.config.origin);
  return session;
}

/** Refuses a form or call whose anti-CSRF token is not the session's. Throws `403 csrf_failed`. */
export function mustMatch(session: Session, given: string | undefined, where: string): void {
  if (given !== undefined && isSame(given, session.csrf)) return;
  throw new SyncError("csrf_failed", `${where} is missing or not this session's.`, {
    hint: "Take csrf from GET /me and send it as X-CSRF-Token.",
  });
}

/** Refuses a request that does not name our own origin as its `Origin`. Throws `403 csrf_failed`. */
export function mustBeSameOrigin(request: Request, origin: string): void {
  if (request.headers.get("Origin") === new URL(origin).origin) return;
  throw new SyncError("csrf_failed", "The Origin header is missing or not the server's own.", {
    hint: `Use the service at ${origin}.`,
  });
}

/** Refuses a request whose `Origin`, if there is one, is another's. Throws `403 csrf_failed`. */
export function mustNotBeForeign(request: Request, origin: string): void {
  if (request.headers.has("Origin")) mustBeSameOrigin(request, origin);
}
