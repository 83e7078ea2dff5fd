/** `/manage`: the page, and the forms on it. Every form carries the session's anti-CSRF token. */
import type { Context } from "hono";
import { html as markup } from "hono/html";
import { invalid, SyncError } from "../errors.ts";
import type { Store } from "../store.ts";
import { countRecoveryCodes, endSessions, listPasskeys, listSessions } from "../store/identity.ts";
import { listEvents, listMemberRooms } from "../store/security.ts";
import type { Role } from "../types.ts";
import { remove, rename } from "./account.ts";
import { note } from "./audit.ts";
import { toSignIn } from "./consent.ts";
import type { PortRoom } from "./deps.ts";
import type { Doors } from "./doors.ts";
import { coveredGrants, makeToken, revokeGrant } from "./grants.ts";
import { check, readForm } from "./input.ts";
import { manageBody, membersBody, type Part, ROLES, roomLink } from "./manage_pages.ts";
import { notice, refusalPage, show } from "./pages.ts";
import { Label } from "./people.ts";
import { makeCodes } from "./recovery.ts";
import {
  mustBeSameOrigin,
  mustHaveSession,
  mustMatch,
  type Session,
  sessionOf,
} from "./session.ts";

/** Items of a list on one page. */
export const PAGE_ITEMS = 50;
/** Security events on the page. */
export const EVENTS_SHOWN = 100;

/** What `RoomsPort.list` answers, straight from the store. */
export async function memberRooms(store: Store, user: string): Promise<PortRoom[]> {
  const rooms = await listMemberRooms(store, user);
  return rooms.map((room) => ({ ...room, agents: room.agents.map((agent) => agent.id) }));
}

/** `GET /manage`. */
export async function managePage(c: Context, deps: Doors): Promise<Response> {
  const session = await sessionOf(c, deps);
  const url = new URL(c.req.url);
  if (!session) return toSignIn(c, url);
  if (session.kind === "recovery") return c.redirect("/recover", 303);
  const user = session.user;
  const tokens = await coveredGrants(deps, { user, lineage: [] });
  return await show(c, {
    title: `Hello, ${user.username}`,
    session,
    script: true,
    body: manageBody({
      session,
      rooms: partOf(await deps.rooms.list(user.id), url, "rooms"),
      tokens: partOf(tokens, url, "tokens"),
      passkeys: await listPasskeys(deps.store, user.id),
      recoveryCodes: await countRecoveryCodes(deps.store, user.id),
      sessions: await listSessions(deps.store, user.id, deps.now()),
      events: await listEvents(deps.store, user.id, EVENTS_SHOWN),
    }),
  });
}

/** The page's part of a list: `?rooms=50` begins at the fifty-first. Pure. */
export function partOf<T>(items: readonly T[], url: URL, name: string): Part<T> {
  const from = Math.max(0, Math.floor(Number(url.searchParams.get(name) ?? "0")) || 0);
  const part = items.slice(from, from + PAGE_ITEMS);
  if (from + part.length >= items.length) return { items: part, total: items.length };
  const next = new URLSearchParams(url.searchParams);
  next.set(name, String(from + part.length));
  return { items: part, total: items.length, next: `/manage?${next}#${name}` };
}

/** `GET /manage/room?room=ID`: its members, for an owner. */
export async function roomPage(c: Context, deps: Doors): Promise<Response> {
  const session = await sessionOf(c, deps);
  const url = new URL(c.req.url);
  if (!session) return toSignIn(c, url);
  return await orRefusal(c, session, async () => {
    await mustHaveSession(c, deps);
    const room = await mustFindRoom(deps, session, url.searchParams.get("room") ?? "");
    const members = await deps.rooms.members(session.user, room.id);
    return await show(c, {
      title: `Members of ${room.label ?? room.id}`,
      session,
      body: membersBody(session, room, members),
    });
  });
}

async function mustFindRoom(deps: Doors, session: Session, id: string): Promise<PortRoom> {
  const room = (await deps.rooms.list(session.user.id)).find((mine) => mine.id === id);
  if (room) return room;
  throw new SyncError("room_not_found", `You are no member of a room "${id}".`, {
    room: id.slice(0, 128),
  });
}

async function orRefusal(
  c: Context,
  session: Session | undefined,
  run: () => Promise<Response>,
): Promise<Response> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return await refusalPage(c, error, session);
  }
}

type Form = ReadonlyMap<string, string>;
/** What a form does; where the browser goes then, or the page it gets. */
type Action = (c: Context, deps: Doors, session: Session, form: Form) => Promise<string | Response>;

const ACTIONS: Readonly<Record<string, Action>> = {
  "/manage/rooms": async (_c, deps, { user }, form) => {
    const id = form.get("id")?.trim(), label = form.get("label")?.trim();
    const room = await deps.rooms.create(user, {
      ...(id ? { id } : {}),
      ...(label ? { label } : {}),
    });
    return roomLink(room);
  },
  "/manage/room/invite": async (_c, deps, { user }, form) => {
    await deps.rooms.invite(
      user,
      field(form, "room"),
      field(form, "username").toLowerCase(),
      roleOf(form),
    );
    return roomLink(field(form, "room"));
  },
  "/manage/room/role": async (_c, deps, { user }, form) => {
    await deps.rooms.changeRole(user, field(form, "room"), field(form, "username"), roleOf(form));
    return roomLink(field(form, "room"));
  },
  "/manage/room/remove": async (_c, deps, { user }, form) => {
    await deps.rooms.remove(user, field(form, "room"), field(form, "username"));
    return field(form, "username") === user.username ? "/manage" : roomLink(field(form, "room"));
  },
  "/manage/room/delete": async (_c, deps, { user }, form) => {
    const room = field(form, "room");
    if (field(form, "confirm") !== room) {
      throw invalid("confirm", "the room's id is wanted, to be sure", room);
    }
    await deps.rooms.delete(user, room);
    return "/manage";
  },
  "/manage/tokens": async (c, deps, session, form) => {
    const days = Number(field(form, "days"));
    if (!Number.isInteger(days) || days < 1 || days > 365) {
      throw invalid("days", "a whole number from 1 to 365", 30);
    }
    const label = form.get("label")?.trim();
    const { token } = await makeToken(deps, { user: session.user, lineage: [] }, {
      scope: form.get("scope") ?? "",
      label: label ? check(label, Label) : null,
      expires_in: days * 86_400,
    });
    return await show(c, {
      title: "Your new token",
      session,
      body:
        markup`<p>It is shown once: copy it now.</p><p><code>${token}</code></p><p><a href="/manage">Back</a></p>`,
    });
  },
  "/manage/tokens/revoke": async (_c, deps, { user }, form) => {
    await revokeGrant(deps, { user, lineage: [] }, field(form, "id"));
    return "/manage#tokens";
  },
  "/manage/passkeys/rename": async (_c, deps, { user }, form) => {
    await rename(deps, user, field(form, "id"), check(form.get("name"), Label));
    return "/manage#passkeys";
  },
  "/manage/passkeys/remove": async (_c, deps, { user }, form) => {
    await remove(deps, user, field(form, "id"));
    return "/manage#passkeys";
  },
  "/manage/recovery-codes": async (c, deps, session) => {
    const codes = await makeCodes(deps, session.user);
    return await show(c, {
      title: "Your recovery codes",
      session,
      body:
        markup`<p>They are shown once. Keep them where you keep paper you trust; each works once.</p>
<ul class="codes">${
          codes.map((code) => markup`<li>${code}</li>`)
        }</ul><p><a href="/manage">Back</a></p>`,
    });
  },
  "/manage/sessions/end": async (_c, deps, { user }, form) => {
    const ended = await endSessions(deps.store, user.id, { id: field(form, "id") });
    await note(deps, user.id, "sessions_ended", { sessions: String(ended) });
    return "/manage#sessions";
  },
  "/manage/sessions/end-others": async (_c, deps, { user, hash }) => {
    const ended = await endSessions(deps.store, user.id, { butHash: hash });
    await note(deps, user.id, "sessions_ended", { sessions: String(ended) });
    return "/manage#sessions";
  },
};

/** The paths of the forms of `/manage`. */
export const MANAGE_FORMS: readonly string[] = Object.keys(ACTIONS);

/** `POST /manage/…`: one form. */
export async function manageForm(c: Context, deps: Doors): Promise<Response> {
  const session = await sessionOf(c, deps);
  if (!session) {
    return await notice(c, "Your session has ended", "Sign in again, then repeat what you did.", {
      status: 401,
    });
  }
  return await orRefusal(c, session, async () => {
    await mustHaveSession(c, deps);
    mustBeSameOrigin(c.req.raw, deps.config.origin);
    const form = await readForm(c.req.raw);
    mustMatch(session, form.get("csrf"), "csrf");
    const result = await ACTIONS[c.req.path]!(c, deps, session, form);
    return typeof result === "string" ? c.redirect(result, 303) : result;
  });
}

function field(form: Form, name: string): string {
  const value = form.get(name)?.trim();
  if (value) return value;
  throw invalid(name, "it is missing");
}

function roleOf(form: Form): Role {
  const role = ROLES.find((known) => known === form.get("role"));
  if (role) return role;
  throw new SyncError("invalid_role", "The role is not known.", {
    hint: `One of ${ROLES.join(", ")}.`,
  });
}
