/** `/manage` as HTML: rooms, tokens, passkeys, recovery codes, sessions, security events. */
import { html as markup } from "hono/html";
import { parseScope } from "../scopes.ts";
import type { PasskeyRow, SessionRow } from "../store/identity.ts";
import type { EventRow } from "../store/security.ts";
import type { GrantRow } from "../tokens.ts";
import type { Role } from "../types.ts";
import { EVENT_WORDS } from "./audit.ts";
import type { PortRoom } from "./deps.ts";
import { csrfField, type Html, instant } from "./pages.ts";
import { scopeInWords } from "./rights.ts";
import type { Session } from "./session.ts";

/** Roles, widest first. */
export const ROLES: readonly Role[] = ["owner", "collaborator", "participant", "observer"];

/** A part of a list, and where the next part is. */
export interface Part<T> {
  readonly items: readonly T[];
  readonly total: number;
  readonly next?: string;
}

/** Everything the page shows. */
export interface ManageView {
  readonly session: Session;
  readonly rooms: Part<PortRoom>;
  readonly tokens: Part<GrantRow>;
  readonly passkeys: readonly PasskeyRow[];
  readonly recoveryCodes: number;
  readonly sessions: readonly SessionRow[];
  readonly events: readonly EventRow[];
}

/** The page's body. */
export function manageBody(view: ManageView): Html {
  return markup`<nav aria-label="On this page"><a href="#rooms">Rooms</a> · <a href="#tokens">Tokens</a> ·
<a href="#passkeys">Passkeys</a> · <a href="#codes">Recovery codes</a> · <a href="#sessions">Sessions</a> ·
<a href="#events">Security log</a></nav>
${roomsSection(view)}${tokensSection(view)}${passkeysSection(view)}${codesSection(view)}${
    sessionsSection(view)
  }
${eventsSection(view)}`;
}

function more<T>(part: Part<T>): Html {
  const shown = markup`<p class="quiet">${part.items.length} of ${part.total} shown.</p>`;
  return part.next === undefined
    ? shown
    : markup`${shown}<p><a href="${part.next}">Show more</a></p>`;
}

function roomsSection({ session, rooms }: ManageView): Html {
  return markup`<section aria-labelledby="rooms"><h2 id="rooms">Rooms</h2>
${
    rooms.items.map((room) =>
      markup`<article aria-label="Room ${room.id}"><h3>${room.label ?? room.id}</h3>
<dl><dt>Id</dt><dd><code>${room.id}</code></dd><dt>Your role</dt><dd>${room.role}</dd>
<dt>Agents</dt><dd>${room.agents.length === 0 ? "none" : room.agents.slice(0, 20).join(", ")}${
        room.agents.length > 20 ? ` and ${room.agents.length - 20} more` : ""
      }</dd></dl>
<a href="${dashboardLink(room.id)}">Dashboard of ${room.id}</a>
${
        room.role === "owner"
          ? markup` · <a href="${roomLink(room.id)}">Members of ${room.id}</a>`
          : ""
      }</article>`
    )
  }
${more(rooms)}
<form method="post" action="/manage/rooms">${csrfField(session)}
<h3>Create a room</h3>
<div class="grid"><div><label for="room-id">Id, if you like</label><input id="room-id" name="id" maxlength="128"
  autocomplete="off" autocapitalize="none" spellcheck="false"></div>
<div><label for="room-label">Label</label><input id="room-label" name="label" maxlength="200" autocomplete="off"></div></div>
<button>Create room</button></form></section>`;
}

function dashboardLink(room: string): string {
  return `/?${new URLSearchParams({ room })}`;
}

/** Where a room's members are managed. */
export function roomLink(room: string): string {
  return `/manage/room?${new URLSearchParams({ room })}`;
}

function tokensSection({ session, tokens }: ManageView): Html {
  return markup`<section aria-labelledby="tokens"><h2 id="tokens">Tokens</h2>
${tokens.items.map((grant) => tokenArticle(session, grant))}
${more(tokens)}
<form method="post" action="/manage/tokens">${csrfField(session)}
<h3>Make a token</h3>
<label for="scope">Scope</label>
<input id="scope" name="scope" maxlength="2000" autocomplete="off" autocapitalize="none" spellcheck="false"
  aria-describedby="scope-rule">
<p id="scope-rule" class="quiet">Such as <code>rooms:my-room:write</code> or <code>rooms:* create_rooms</code>.</p>
<div class="grid"><div><label for="token-label">Label</label><input id="token-label" name="label" maxlength="200"
  autocomplete="off"></div>
<div><label for="days">Days it lives</label><input id="days" name="days" inputmode="numeric" value="30" maxlength="3"
  autocomplete="off"></div></div>
<button>Make token</button></form></section>`;
}

function tokenArticle(session: Session, grant: GrantRow): Html {
  const name = grant.label ??
    (grant.agent === null ? "Token without a name" : `Agent ${grant.agent}`);
  return markup`<article aria-label="Token ${name}"><h3>${name}</h3>
<ul>${scopeInWords(parseScope(grant.scope)).map((line) => markup`<li>${line}</li>`)}</ul>
<dl><dt>Made</dt><dd>${instant(grant.createdAt)}</dd><dt>Last used</dt><dd>${
    instant(grant.lastUsedAt)
  }</dd>
<dt>Ends</dt><dd>${instant(grant.expiresAt)}</dd></dl>
<form method="post" action="/manage/tokens/revoke">${csrfField(session)}
<input type="hidden" name="id" value="${grant.id}">
<button class="danger" aria-label="Revoke ${name}">Revoke</button></form></article>`;
}

function passkeysSection({ session, passkeys }: ManageView): Html {
  return markup`<section aria-labelledby="passkeys"><h2 id="passkeys">Passkeys</h2>
${
    passkeys.map((passkey) =>
      markup`<article aria-label="Passkey ${passkey.name}"><h3>${passkey.name}</h3>
<dl><dt>Added</dt><dd>${instant(passkey.createdAt)}</dd><dt>Last used</dt><dd>${
        instant(passkey.lastUsedAt)
      }</dd></dl>
<form method="post" action="/manage/passkeys/rename">${csrfField(session)}
<input type="hidden" name="id" value="${passkey.id}">
<label for="name-${passkey.id}">New name of ${passkey.name}</label>
<input id="name-${passkey.id}" name="name" required maxlength="200" autocomplete="off"><button>Rename</button></form>
${
        passkeys.length > 1
          ? markup`<form method="post" action="/manage/passkeys/remove">${csrfField(session)}
<input type="hidden" name="id" value="${passkey.id}">
<button class="danger" aria-label="Remove ${passkey.name}">Remove</button></form>`
          : ""
      }</article>`
    )
  }
<form data-passkey="add" data-csrf="${session.csrf}" data-next="/manage">
<h3>Add a passkey</h3><label for="passkey-name">A name for it</label>
<input id="passkey-name" name="name" maxlength="200" value="Another passkey" autocomplete="off">
<button>Add a passkey</button></form><p role="status" id="status"></p></section>`;
}

function codesSection({ session, recoveryCodes }: ManageView): Html {
  return markup`<section aria-labelledby="codes"><h2 id="codes">Recovery codes</h2>
<form method="post" action="/manage/recovery-codes">${csrfField(session)}
<p>${
    recoveryCodes === 0
      ? "You have none. Without one, losing your passkey loses the account."
      : `You have ${recoveryCodes} left.`
  }</p>
<button>Make new codes</button><p class="quiet">New codes void the old ones.</p></form></section>`;
}

function sessionsSection({ session, sessions }: ManageView): Html {
  return markup`<section aria-labelledby="sessions"><h2 id="sessions">Sessions</h2>
${
    sessions.map((row) =>
      markup`<article><h3>${row.id === session.id ? "This browser" : "Another browser"}</h3>
<p class="quiet">${row.label ?? "It did not say what it is."}</p>
<dl><dt>Since</dt><dd>${instant(row.createdAt)}</dd><dt>Until</dt><dd>${
        instant(row.expiresAt)
      }</dd></dl>
${
        row.id === session.id
          ? ""
          : markup`<form method="post" action="/manage/sessions/end">${csrfField(session)}
<input type="hidden" name="id" value="${row.id}">
<button class="danger" aria-label="End the session of ${row.createdAt}">End</button></form>`
      }</article>`
    )
  }
${
    sessions.length > 1
      ? markup`<form method="post" action="/manage/sessions/end-others">${csrfField(session)}
<button class="danger">End all others</button></form>`
      : ""
  }</section>`;
}

function eventsSection({ events }: ManageView): Html {
  return markup`<section aria-labelledby="events"><h2 id="events">Security log</h2>
<p class="quiet">The newest ${events.length} events.</p>
<ul class="plain">${
    events.map((event) => markup`<li>${instant(event.at)} · ${eventWords(event)}</li>`)
  }</ul></section>`;
}

function eventWords(event: EventRow): string {
  const words = (EVENT_WORDS as Readonly<Record<string, string>>)[event.kind] ?? event.kind;
  const detail = Object.entries(event.detail).map(([name, value]) => `${name} ${value}`).join(", ");
  return detail === "" ? words : `${words}: ${detail}`;
}

/** A room's members, for its owner. */
export function membersBody(
  session: Session,
  room: PortRoom,
  members: readonly { readonly username: string; readonly role: Role }[],
): Html {
  const hidden = markup`${csrfField(session)}<input type="hidden" name="room" value="${room.id}">`;
  return markup`<p><a href="/manage">Back to everything</a> · <a href="${
    dashboardLink(room.id)
  }">Dashboard</a></p>
<section aria-labelledby="members"><h2 id="members">Members</h2>
${
    members.map((member) =>
      markup`<article aria-label="Member ${member.username}"><h3>${member.username}</h3>
<form method="post" action="/manage/room/role">${hidden}<input type="hidden" name="username" value="${member.username}">
<label for="role-${member.username}">Role of ${member.username}</label>${
        roleSelect(`role-${member.username}`, member.role)
      }
<button>Change</button></form>
<form method="post" action="/manage/room/remove">${hidden}<input type="hidden" name="username" value="${member.username}">
<button class="danger" aria-label="Remove ${member.username}">Remove</button></form></article>`
    )
  }
<form method="post" action="/manage/room/invite">${hidden}<h3>Invite</h3>
<label for="username">Username</label><input id="username" name="username" required maxlength="64" autocomplete="off"
  autocapitalize="none" spellcheck="false">
<label for="role">Role</label>${roleSelect("role", "participant")}
<div><button>Invite</button></div></form></section>
<section aria-labelledby="delete"><h2 id="delete">Delete the room</h2>
<form method="post" action="/manage/room/delete">${hidden}
<p>Its tokens, waits and streams end at once. There is no way back.</p>
<label for="confirm">Type the room's id to confirm</label>
<input id="confirm" name="confirm" required maxlength="128" autocomplete="off" autocapitalize="none" spellcheck="false">
<div><button class="danger">Delete ${room.id}</button></div></form></section>`;
}

function roleSelect(id: string, role: Role): Html {
  return markup`<select id="${id}" name="role">${
    ROLES.map((r) =>
      markup`<option value="${r}"${r === role ? markup` selected` : ""}>${r}</option>`
    )
  }</select>`;
}
