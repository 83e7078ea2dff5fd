/**
 * The security events of a user: what happened to its passkeys, sessions and tokens, visible on
 * `/manage`. Never a secret, and only words of the closed list.
 */
import { insertEvent } from "../store/security.ts";
import type { IdentityDeps } from "./deps.ts";

/** Every kind of event, in the words of the page. */
export const EVENT_WORDS = {
  registered: "Account created",
  signed_in: "Signed in",
  sign_in_refused: "Sign-in refused",
  signed_out: "Signed out",
  sessions_ended: "Sessions ended",
  passkey_added: "Passkey added",
  passkey_renamed: "Passkey renamed",
  passkey_removed: "Passkey removed",
  recovery_codes_made: "Recovery codes made",
  recovered: "Recovery code used",
  token_minted: "Token made",
  token_changed: "Token's scope changed",
  token_revoked: "Token revoked",
  token_refused: "Token refused",
  refresh_reused: "Refresh token used twice: all its tokens ended",
  code_replayed: "Authorization code used twice: all its tokens ended",
  device_approved: "Device approved",
  device_denied: "Device refused",
  client_approved: "Client approved",
  client_denied: "Client refused",
  elevated: "Token widened",
  elevation_denied: "Widening refused",
} as const;

/** A kind of security event. */
export type EventKind = keyof typeof EVENT_WORDS;

/** Security events kept per user; the oldest go first. */
export const EVENTS_KEPT = 500;

/** Notes a security event of a user. */
export async function note(
  deps: Pick<IdentityDeps, "store" | "now">,
  user: string,
  kind: EventKind,
  detail: Readonly<Record<string, string>> = {},
): Promise<void> {
  const clipped = Object.entries(detail).map(([name, value]) => [name, value.slice(0, 300)]);
  await insertEvent(
    deps.store,
    user,
    { at: deps.now(), kind, detail: Object.fromEntries(clipped) },
    EVENTS_KEPT,
  );
}
