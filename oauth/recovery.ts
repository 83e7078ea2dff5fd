/**
 * Recovery codes: ten one-time codes a person keeps on paper. One of them opens a session that
 * is good for adding a passkey only, and ends all others.
 */
import { randomInt } from "node:crypto";
import type { Context } from "hono";
import { html as markup } from "hono/html";
import { z } from "zod";
import { SyncError } from "../errors.ts";
import {
  countRecoveryCodes,
  findRecoveryCode,
  replaceRecoveryCodes,
  useRecoveryCode,
} from "../store/identity.ts";
import { hashSecret } from "../tokens.ts";
import { note } from "./audit.ts";
import type { UserRef } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { isForm, readForm, readJson } from "./input.ts";
import { show } from "./pages.ts";
import {
  csrfOf,
  giveCookie,
  mustBeSameOrigin,
  mustMeanIt,
  mustNotBeForeign,
  newSession,
  type Session,
  sessionOf,
} from "./session.ts";

/** Codes a person gets at a time. */
export const RECOVERY_CODES = 10;

const ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789";
const GROUPS = 4, GROUP = 5;

/** A fresh recovery code: twenty letters and digits, 98 bits. */
export function newRecoveryCode(): string {
  const group = () =>
    Array.from({ length: GROUP }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
  return Array.from({ length: GROUPS }, group).join("-");
}

/** How a typed code is stored and looked up: dashes, spaces and case do not count. */
export function hashCode(typed: string): string {
  return hashSecret(`recovery:${typed.toUpperCase().replace(/[^A-Z0-9]/g, "")}`);
}

/** Makes a person's recovery codes anew; the old ones are void. */
export async function makeCodes(deps: Doors, user: UserRef): Promise<string[]> {
  const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
  await replaceRecoveryCodes(deps.store, user.id, codes.map(hashCode), deps.now());
  await note(deps, user.id, "recovery_codes_made", { codes: String(codes.length) });
  return codes;
}

/** `POST /recover/codes`: the codes, shown once. */
export async function postCodes(c: Context, deps: Doors): Promise<Response> {
  const session = await mustMeanIt(c, deps);
  c.header("Cache-Control", "no-store");
  return c.json({ codes: await makeCodes(deps, session.user) }, 201);
}

/** A recovery code. */
export const RecoverBody = z.object({
  code: z.string("the recovery code is wanted").min(1).max(200),
})
  .meta({ examples: [{ code: "…" }] });

/** `POST /recover`, from the page or as JSON: a session to add a passkey in. 401 `invalid_code`. */
export async function postRecover(c: Context, deps: Doors): Promise<Response> {
  const form = isForm(c.req.raw);
  if (form) mustBeSameOrigin(c.req.raw, deps.config.origin);
  else mustNotBeForeign(c.req.raw, deps.config.origin);
  deps.limits.address(deps, c);
  deps.limits.guess(deps, c, "recover");
  const code = form
    ? (await readForm(c.req.raw)).get("code")
    : (await readJson(c.req.raw, RecoverBody)).code;
  const { user, csrf } = await recover(c, deps, code ?? "");
  return form ? c.redirect("/recover", 303) : c.json({ recovered: true, user, csrf });
}

async function recover(
  c: Context,
  deps: Doors,
  code: string,
): Promise<{ user: { id: string }; csrf: string }> {
  const hash = hashCode(code);
  const user = await findRecoveryCode(deps.store, hash);
  const session = user && newSession(user, "recovery", null, c.req.raw, deps.now());
  if (!user || !session || !await useRecoveryCode(deps.store, hash, session.row, deps.now())) {
    throw new SyncError("invalid_code", "The recovery code is unknown or used.", {
      hint: "Each code works once; making new ones voids the old.",
    });
  }
  await note(deps, user, "recovered", {
    left: String(await countRecoveryCodes(deps.store, user)),
    from: deps.address(c.req.raw),
  });
  giveCookie(c, deps, session.secret);
  return { user: { id: user }, csrf: csrfOf(deps.serverKey, session.row.hash) };
}

/** `GET /recover`: asks for a code, or for the new passkey once a code was used. */
export async function recoverPage(c: Context, deps: Doors): Promise<Response> {
  const session = await sessionOf(c, deps);
  if (session?.kind === "recovery") return await newPasskeyPage(c, session);
  return await show(c, {
    title: "Recover your account",
    session,
    body:
      markup`<p>Enter one of the recovery codes you kept. It works once, and signs out every session.</p>
<form method="post" action="/recover">
<label for="code">Recovery code</label>
<input id="code" name="code" required maxlength="40" autocomplete="off" autocapitalize="characters" spellcheck="false">
<div><button>Use this code</button></div>
</form>
<p><a href="/auth/signin">Sign in with a passkey instead</a></p>`,
  });
}

function newPasskeyPage(c: Context, session: Session): Response | Promise<Response> {
  return show(c, {
    title: "Add a new passkey",
    session,
    script: true,
    body:
      markup`<p>The code was right, ${session.user.username}. Add a passkey within fifteen minutes.</p>
<form data-passkey="add" data-csrf="${session.csrf}" data-next="/manage">
<label for="name">A name for it</label>
<input id="name" name="name" maxlength="200" value="New passkey" autocomplete="off">
<div><button>Add a passkey</button></div>
</form>
<p role="status" id="status"></p>`,
  });
}
