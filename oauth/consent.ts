/**
 * `/auth/consent`: the one page where a person decides, for an OAuth client, a device or a
 * token that asks for more. Each question is answered once.
 */
import type { Context } from "hono";
import { html as markup } from "hono/html";
import { SyncError } from "../errors.ts";
import {
  answerDevice,
  answerRequest,
  type DeviceRow,
  findPendingDevice,
  insertCode,
  isAnswered,
} from "../store/oauth.ts";
import { listMemberRooms, type MemberRoom } from "../store/security.ts";
import { hashSecret, newSecret } from "../tokens.ts";
import { note } from "./audit.ts";
import { type AuthorizeRequest, authorizeRequestOf, errorRedirect } from "./authorize.ts";
import { chosenLevel, chosenScope } from "./choices.ts";
import { clientConsent, deviceConsent, elevationConsent } from "./consent_pages.ts";
import { hashUserCode, shownUserCode } from "./device_codes.ts";
import type { Doors } from "./doors.ts";
import { alreadyAnswered, elevate, type Elevation, elevationOf } from "./elevation.ts";
import { fields, readForm } from "./input.ts";
import { notice, refusalPage, show } from "./pages.ts";
import { redirectHost, redirectSource, redirectWith } from "./redirects.ts";
import { OAuthError } from "./refusals.ts";
import { ROLE_REACH } from "../tokens/rights.ts";
import {
  mustBeSameOrigin,
  mustHaveSession,
  mustMatch,
  type Session,
  sessionOf,
} from "./session.ts";
import { type Opened, unseal } from "./signed.ts";

/** An authorization code is good for this long: one minute. */
export const CODE_MS = 60_000;

/** What a consent page is about. */
type Question =
  | {
    readonly kind: "client";
    readonly opened: Opened;
    readonly request: AuthorizeRequest;
    readonly sealed: string;
  }
  | { readonly kind: "device"; readonly row: DeviceRow; readonly userCode: string }
  | {
    readonly kind: "elevation";
    readonly asked: Elevation;
    readonly room: MemberRoom;
    readonly sealed: string;
  };

/** `GET /auth/consent`, `/auth/elevate` and `/auth/device` with a code: the question as a page. */
export async function consentPage(c: Context, deps: Doors): Promise<Response> {
  const session = await sessionOf(c, deps);
  const url = new URL(c.req.url);
  if (!session) return toSignIn(c, url);
  try {
    await mustHaveSession(c, deps);
    const question = await questionOf(c, deps, session, fields(url.searchParams));
    if (question.kind === "elevation") {
      return await elevationConsent(c, session, question.asked, question.sealed, question.room);
    }
    const rooms = await listMemberRooms(deps.store, session.user.id);
    return question.kind === "client"
      ? await clientConsent(c, session, question.request, question.sealed, rooms)
      : await deviceConsent(c, session, question.row, question.userCode, rooms);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return await refusalPage(c, error, session);
  }
}

/** Sends a browser without a session to the sign-in page, and back here afterwards. */
export function toSignIn(c: Context, url: URL): Response {
  return c.redirect(
    `/auth/signin?${new URLSearchParams({ next: url.pathname + url.search })}`,
    303,
  );
}

async function questionOf(
  c: Context,
  deps: Doors,
  session: Session,
  params: ReadonlyMap<string, string>,
): Promise<Question> {
  const userCode = params.get("user_code");
  if (userCode !== undefined) return await deviceQuestion(c, deps, session, userCode);
  const sealed = params.get("request") ?? "";
  const now = deps.now();
  const forClient = unseal(deps.serverKey, "authorize", sealed, now);
  const opened = forClient ?? unseal(deps.serverKey, "elevate", sealed, now);
  if (!opened) {
    throw new SyncError("invalid_request", "This link is not valid, or has expired.", {
      hint: "Let the agent or the application ask again.",
    });
  }
  if (await isAnswered(deps.store, opened.id)) throw alreadyAnswered();
  if (forClient) {
    return { kind: "client", opened, request: authorizeRequestOf(opened.body), sealed };
  }
  const asked = await elevationOf(deps, opened, session.user);
  const [room] = await listMemberRooms(deps.store, session.user.id, [asked.room]);
  if (!room) {
    throw new SyncError("room_not_found", `You are no member of the room "${asked.room}".`);
  }
  return { kind: "elevation", asked, room, sealed };
}

async function deviceQuestion(
  c: Context,
  deps: Doors,
  session: Session,
  typed: string,
): Promise<Question> {
  deps.limits.guess(deps, c, "device", session.user.id);
  const row = await findPendingDevice(deps.store, hashUserCode(typed), deps.now());
  if (row) return { kind: "device", row, userCode: shownUserCode(typed) };
  throw new SyncError(
    "not_found",
    "No device waits with this code: it is mistyped, answered or expired.",
    {
      hint: "Compare it with what the device shows, or let the device ask again.",
    },
  );
}

/** `POST /auth/consent`: the answer. */
export async function postConsent(c: Context, deps: Doors): Promise<Response> {
  const session = await sessionOf(c, deps);
  if (!session) {
    return await refusalPage(
      c,
      new SyncError("invalid_session", "Your session has ended: sign in again."),
    );
  }
  try {
    await mustHaveSession(c, deps);
    mustBeSameOrigin(c.req.raw, deps.config.origin);
    const form = await readForm(c.req.raw);
    mustMatch(session, form.get("csrf"), "csrf");
    const question = await questionOf(c, deps, session, form);
    const isApproved = form.get("decision") === "approve";
    if (question.kind === "client") {
      return await answerClient(c, deps, session, question, form, isApproved);
    }
    if (question.kind === "device") {
      return await answerForDevice(c, deps, session, question, form, isApproved);
    }
    return await answerElevation(c, deps, session, question, form, isApproved);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return await refusalPage(c, error, session);
  }
}

async function scopeChosen(
  deps: Doors,
  session: Session,
  form: ReadonlyMap<string, string>,
): Promise<string> {
  const named = [...form.keys()].filter((name) => name.startsWith("level:")).map((name) =>
    name.slice(6)
  );
  return chosenScope(
    form,
    session.user.id,
    await listMemberRooms(deps.store, session.user.id, named),
  );
}

async function answerClient(
  c: Context,
  deps: Doors,
  session: Session,
  { opened, request }: Question & { kind: "client" },
  form: ReadonlyMap<string, string>,
  isApproved: boolean,
): Promise<Response> {
  const { redirectUri, state } = request;
  const detail = { client: request.clientName, host: redirectHost(redirectUri) };
  if (!isApproved) {
    if (!await answerRequest(deps.store, opened.id, opened.expiresAt, [])) throw alreadyAnswered();
    await note(deps, session.user.id, "client_denied", detail);
    const denied = new OAuthError("access_denied", "The user refused.");
    return await leave(c, session, errorRedirect(deps, redirectUri, state, denied), redirectUri);
  }
  const scope = await scopeChosen(deps, session, form);
  const code = newSecret("code_");
  const row = {
    hash: hashSecret(code),
    client: request.client,
    clientName: request.clientName,
    redirectUri,
    user: session.user.id,
    scope,
    codeChallenge: request.codeChallenge,
    resource: request.resource,
    expiresAt: deps.now() + CODE_MS,
    usedAt: null,
    grantId: null,
  };
  if (!await answerRequest(deps.store, opened.id, opened.expiresAt, [insertCode(row)])) {
    throw alreadyAnswered();
  }
  await note(deps, session.user.id, "client_approved", { ...detail, scope });
  const target = redirectWith(redirectUri, {
    code,
    state: state ?? undefined,
    iss: deps.config.origin,
  });
  return await leave(c, session, target, redirectUri);
}

/** Sends the browser to the client; by a link where the page's policy cannot name the target. */
function leave(
  c: Context,
  session: Session,
  target: string,
  redirectUri: string,
): Response | Promise<Response> {
  c.header("Cache-Control", "no-store");
  if (redirectSource(redirectUri) !== undefined) return c.redirect(target, 303);
  const host = redirectHost(redirectUri);
  return show(c, {
    title: "Done",
    session,
    body: markup`<p><a class="button" href="${target}">Continue to ${host}</a></p>`,
  });
}

async function answerForDevice(
  c: Context,
  deps: Doors,
  session: Session,
  { row, userCode }: Question & { kind: "device" },
  form: ReadonlyMap<string, string>,
  isApproved: boolean,
): Promise<Response> {
  const granted = isApproved ? await scopeChosen(deps, session, form) : null;
  const answered = await answerDevice(
    deps.store,
    hashUserCode(userCode),
    session.user.id,
    granted,
    deps.now(),
  );
  if (!answered) throw alreadyAnswered();
  const detail = { device: row.clientName, ...(granted === null ? {} : { scope: granted }) };
  await note(deps, session.user.id, isApproved ? "device_approved" : "device_denied", detail);
  return isApproved
    ? await notice(c, "Approved", "Go back to your device: it goes on by itself.", { session })
    : await notice(c, "Refused", "The device gets nothing.", { session });
}

async function answerElevation(
  c: Context,
  deps: Doors,
  session: Session,
  { asked, room }: Question & { kind: "elevation" },
  form: ReadonlyMap<string, string>,
  isApproved: boolean,
): Promise<Response> {
  if (!isApproved) {
    if (!await answerRequest(deps.store, asked.opened.id, asked.opened.expiresAt, [])) {
      throw alreadyAnswered();
    }
    await note(deps, session.user.id, "elevation_denied", {
      token: asked.lineage[0]!.id,
      room: asked.room,
    });
    return await notice(c, "Refused", "The token stays as it is.", { session });
  }
  const level = chosenLevel(form);
  if (level > ROLE_REACH[room.role]) {
    throw new SyncError(
      "scope_exceeds_access",
      `As ${room.role} you cannot give that in "${room.id}".`,
      { room: room.id },
    );
  }
  await elevate(deps, session.user, asked, level);
  return await notice(
    c,
    "Approved",
    "The same token now reaches further: let the agent try again.",
    { session },
  );
}
