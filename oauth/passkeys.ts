/** The passkey ceremonies: register, log in, add a passkey. The JSON doors behind the pages. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Context } from "hono";
import { z } from "zod";
import { sha256 } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import {
  findPasskey,
  insertChallenge,
  insertPasskey,
  insertSession,
  listPasskeys,
  type PasskeyRow,
  type Purpose,
  registerUser,
  takeChallenge,
  upgradeSession,
  usePasskey,
} from "../store/identity.ts";
import { findUser, findUsername } from "../store/members.ts";
import { hashSecret } from "../tokens.ts";
import { describePasskey } from "./account.ts";
import { note } from "./audit.ts";
import type { IdentityDeps, UserRef } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { readJson } from "./input.ts";
import { Label, Username } from "./people.ts";
import {
  csrfOf,
  giveCookie,
  mustMeanIt,
  mustNotBeForeign,
  newSession,
  SESSION_MS,
} from "./session.ts";
import {
  CEREMONY_MS,
  loginOptions,
  LoginResponse,
  type NewCredential,
  notVerified,
  registrationOptions,
  RegistrationResponse,
  verifyLogin,
  verifyRegistration,
} from "./webauthn.ts";

const ChallengeId = z.string("the challenge_id of …/options is wanted").min(1).max(100);

/** A new account. */
export const RegisterBody = z.object({ username: Username }).meta({
  examples: [{ username: "alice" }],
});

/** `POST /webauthn/register/options`: the challenge of a new account. 409 `username_taken`. */
export async function registerOptions(c: Context, deps: Doors): Promise<Response> {
  openDoor(c, deps);
  const { username } = await readJson(c.req.raw, RegisterBody);
  if (await findUser(deps.store, username)) throw nameTaken(username);
  const user = { id: randomUUID(), username };
  const options = await registrationOptions(deps.config.origin, user, []);
  return c.json({
    challenge_id: await remember(deps, "register", options.challenge, user),
    options,
  });
}

/** A new account's passkey. */
export const RegisterVerifyBody = z.object({
  challenge_id: ChallengeId,
  response: RegistrationResponse,
})
  .meta({ examples: [{ challenge_id: "…", response: {} }] });

/** `POST /webauthn/register/verify`: creates the user, its passkey and a session, or nothing. */
export async function registerVerify(c: Context, deps: Doors): Promise<Response> {
  openDoor(c, deps);
  const body = await readJson(c.req.raw, RegisterVerifyBody);
  const kept = await take(deps, "register", body.challenge_id);
  const user = { id: kept.user!, username: kept.username! };
  const credential = await verifyRegistration(deps.config.origin, kept.challenge, body.response);
  const now = deps.now();
  const session = newSession(user.id, "full", credential.id, c.req.raw, now);
  const passkey = passkeyOf(credential, user.id, "First passkey", now);
  if (!await registerUser(deps.store, user, passkey, session.row, now)) {
    throw await whyNotRegistered(deps, user);
  }
  await note(deps, user.id, "registered", { username: user.username });
  giveCookie(c, deps, session.secret);
  return c.json({ verified: true, user, csrf: csrfOf(deps.serverKey, session.row.hash) });
}

async function whyNotRegistered(deps: Doors, user: UserRef): Promise<SyncError> {
  const holder = await findUser(deps.store, user.username);
  return holder && holder.id !== user.id ? nameTaken(user.username) : notVerified();
}

function nameTaken(username: string): SyncError {
  return new SyncError("username_taken", `The username "${username}" is taken.`, {
    username,
    hint: "Choose another one; if it is yours, sign in with POST /webauthn/login/options.",
  });
}

function passkeyOf(credential: NewCredential, user: string, name: string, now: number): PasskeyRow {
  return { ...credential, user, name, createdAt: now, lastUsedAt: null };
}

/** Whose sign-in begins. */
export const LoginBody = z.object({ username: Username.optional() }).meta({
  examples: [{ username: "alice" }],
});

/** `POST /webauthn/login/options`: a challenge; the same whether the name exists or not. */
export async function loginOptionsDoor(c: Context, deps: Doors): Promise<Response> {
  openDoor(c, deps);
  const { username } = await readJson(c.req.raw, LoginBody);
  const options = await loginOptions(deps.config.origin);
  const user = { id: null, username: username ?? null };
  return c.json({ challenge_id: await remember(deps, "login", options.challenge, user), options });
}

/** A passkey's answer. */
export const LoginVerifyBody = z.object({ challenge_id: ChallengeId, response: LoginResponse })
  .meta({
    examples: [{ challenge_id: "…", response: {} }],
  });

/** `POST /webauthn/login/verify`: a session for the passkey's user. */
export async function loginVerify(c: Context, deps: Doors): Promise<Response> {
  openDoor(c, deps);
  const body = await readJson(c.req.raw, LoginVerifyBody);
  const kept = await take(deps, "login", body.challenge_id);
  const passkey = await findPasskey(deps.store, body.response.id);
  if (!passkey) throw notVerified();
  const user = await proveLogin(deps, kept, body.response, passkey);
  const now = deps.now();
  const session = newSession(user.id, "full", passkey.id, c.req.raw, now);
  await deps.store.run([insertSession(session.row)]);
  await note(deps, user.id, "signed_in", { passkey: passkey.name, from: deps.address(c.req.raw) });
  giveCookie(c, deps, session.secret);
  return c.json({ verified: true, user, csrf: csrfOf(deps.serverKey, session.row.hash) });
}

async function proveLogin(
  deps: Doors,
  kept: { challenge: string; username: string | null },
  response: z.infer<typeof LoginResponse>,
  passkey: PasskeyRow,
): Promise<UserRef> {
  const refuse = async (error: unknown): Promise<never> => {
    await note(deps, passkey.user, "sign_in_refused", { passkey: passkey.name });
    throw error;
  };
  const named = kept.username === null ? undefined : await findUser(deps.store, kept.username);
  if (kept.username !== null && named?.id !== passkey.user) return await refuse(notVerified());
  const counter = await verifyLogin(
    deps.config.origin,
    kept.challenge,
    response,
    passkey,
    named?.id ?? null,
  )
    .catch(refuse);
  const used = await usePasskey(deps.store, passkey.id, passkey.counter, counter, deps.now());
  const user = await findUserById(deps, passkey.user);
  return used && user ? user : await refuse(notVerified());
}

async function findUserById(
  deps: Pick<IdentityDeps, "store">,
  id: string,
): Promise<UserRef | undefined> {
  const username = await findUsername(deps.store, id);
  return username === undefined ? undefined : { id, username };
}

/** `POST /webauthn/passkeys/options`: the challenge of another passkey for the session's user. */
export async function addOptions(c: Context, deps: Doors): Promise<Response> {
  const session = await mustMeanIt(c, deps, "recovery");
  const known = await listPasskeys(deps.store, session.user.id);
  const options = await registrationOptions(deps.config.origin, session.user, known);
  return c.json({
    challenge_id: await remember(deps, "add", options.challenge, session.user),
    options,
  });
}

/** Another passkey. */
export const AddVerifyBody = RegisterVerifyBody.extend({ name: Label.optional() }).meta({
  examples: [{ challenge_id: "…", response: {}, name: "My phone" }],
});

/** `POST /webauthn/passkeys/verify`: adds it; a recovery session becomes a full one by it. */
export async function addVerify(c: Context, deps: Doors): Promise<Response> {
  const session = await mustMeanIt(c, deps, "recovery");
  const body = await readJson(c.req.raw, AddVerifyBody);
  const kept = await take(deps, "add", body.challenge_id);
  if (kept.user !== session.user.id) throw notVerified();
  const credential = await verifyRegistration(deps.config.origin, kept.challenge, body.response);
  const now = deps.now();
  const row = passkeyOf(credential, session.user.id, body.name ?? "Passkey", now);
  const [added] = await deps.store.run([insertPasskey(row)]);
  if (!added?.[0]) throw notVerified();
  await deps.store.run([upgradeSession(session.hash, row.id, now + SESSION_MS)]);
  await note(deps, session.user.id, "passkey_added", { passkey: row.name });
  return c.json({ verified: true, passkey: describePasskey(row) }, 201);
}

function openDoor(c: Context, deps: Doors): void {
  deps.limits.address(deps, c);
  mustNotBeForeign(c.req.raw, deps.config.origin);
}

async function remember(
  deps: Doors,
  purpose: Purpose,
  challenge: string,
  user: { readonly id: string | null; readonly username: string | null },
): Promise<string> {
  const id = randomBytes(24).toString("base64url");
  await insertChallenge(deps.store, {
    hash: hashSecret(id),
    purpose,
    challenge: sha256(challenge),
    user: user.id,
    username: user.username,
    expiresAt: deps.now() + CEREMONY_MS,
  });
  return id;
}

async function take(deps: Doors, purpose: Purpose, id: string) {
  const kept = await takeChallenge(deps.store, hashSecret(id), purpose, deps.now());
  if (kept) return kept;
  throw new SyncError("invalid_challenge", "The challenge is unknown, used or expired.", {
    hint: "Start again with …/options.",
  });
}
