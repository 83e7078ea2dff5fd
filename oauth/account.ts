/** The account of a signed-in person: who am I, sign out, name and remove passkeys. */
import type { Context } from "hono";
import { z } from "zod";
import { SyncError } from "../errors.ts";
import {
  countRecoveryCodes,
  deleteSession,
  findPasskey,
  listPasskeys,
  type PasskeyRow,
  removePasskey,
  renamePasskey,
} from "../store/identity.ts";
import { note } from "./audit.ts";
import type { UserRef } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { isForm, readForm, readJson } from "./input.ts";
import { Label } from "./people.ts";
import {
  mustBeSameOrigin,
  mustHaveSession,
  mustMatch,
  mustMeanIt,
  sessionOf,
  takeCookie,
} from "./session.ts";

/** `POST /logout`: ends the session, from a form or as JSON. */
export async function logout(c: Context, deps: Doors): Promise<Response> {
  const form = isForm(c.req.raw) ? await readForm(c.req.raw) : undefined;
  const session = await sessionOf(c, deps);
  if (session) {
    mustMatch(
      session,
      form ? form.get("csrf") : c.req.header("X-CSRF-Token"),
      form ? "csrf" : "X-CSRF-Token",
    );
    mustBeSameOrigin(c.req.raw, deps.config.origin);
    await deleteSession(deps.store, session.hash);
    await note(deps, session.user.id, "signed_out");
  }
  takeCookie(c, deps);
  return form ? c.redirect("/auth/signin", 303) : c.json({ signed_out: true });
}

/** `GET /me`: who is signed in, its passkeys, and the anti-CSRF token. */
export async function me(c: Context, deps: Doors): Promise<Response> {
  const session = await mustHaveSession(c, deps, "recovery");
  const passkeys = await listPasskeys(deps.store, session.user.id);
  c.header("Cache-Control", "no-store");
  return c.json({
    user: session.user,
    passkeys: passkeys.map(describePasskey),
    recovery_codes: await countRecoveryCodes(deps.store, session.user.id),
    session: { kind: session.kind, expires_at: new Date(session.expiresAt).toISOString() },
    csrf: session.csrf,
  });
}

/** A passkey as lists show it. */
export function describePasskey(p: PasskeyRow): Record<string, string | null> {
  return {
    id: p.id,
    name: p.name,
    created_at: new Date(p.createdAt).toISOString(),
    last_used_at: p.lastUsedAt === null ? null : new Date(p.lastUsedAt).toISOString(),
  };
}

/** A passkey's new name. */
export const RenameBody = z.strictObject({ name: Label }).meta({
  examples: [{ name: "My laptop" }],
});

/** `PATCH /webauthn/passkeys/:id`: names a passkey. */
export async function patchPasskey(c: Context, deps: Doors): Promise<Response> {
  const session = await mustMeanIt(c, deps);
  const { name } = await readJson(c.req.raw, RenameBody);
  await rename(deps, session.user, c.req.param("id")!, name);
  return c.json({ id: c.req.param("id"), name });
}

/** Names a passkey of a user. Throws `not_found`. */
export async function rename(deps: Doors, user: UserRef, id: string, name: string): Promise<void> {
  if (!await renamePasskey(deps.store, user.id, id, name)) throw noPasskey();
  await note(deps, user.id, "passkey_renamed", { passkey: name });
}

/** `DELETE /webauthn/passkeys/:id`: removes a passkey and ends the sessions it opened. */
export async function deletePasskey(c: Context, deps: Doors): Promise<Response> {
  const session = await mustMeanIt(c, deps);
  await remove(deps, session.user, c.req.param("id")!);
  return c.json({ deleted: true, id: c.req.param("id") });
}

/** Removes a passkey of a user, but never the last. Throws `not_found`, `invalid_request`. */
export async function remove(deps: Doors, user: UserRef, id: string): Promise<void> {
  const passkey = await findPasskey(deps.store, id);
  if (!passkey || passkey.user !== user.id) throw noPasskey();
  if (!await removePasskey(deps.store, user.id, id)) {
    throw new SyncError("invalid_request", "The last passkey of an account cannot be removed.", {
      hint: "Add another passkey first.",
    });
  }
  await note(deps, user.id, "passkey_removed", { passkey: passkey.name });
}

function noPasskey(): SyncError {
  return new SyncError("not_found", "There is no such passkey here.", {
    hint: "GET /me lists your passkeys.",
  });
}
