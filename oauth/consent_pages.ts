/** The consent page as HTML: what asks, what is offered, and where the answer goes. */
import type { Context } from "hono";
import { html as markup } from "hono/html";
import { parseScope } from "../scopes.ts";
import type { DeviceRow } from "../store/oauth.ts";
import type { MemberRoom } from "../store/security.ts";
import { LEVEL } from "../types.ts";
import type { AuthorizeRequest } from "./authorize.ts";
import { type Choice, choiceFor, type Choices, offer, type RoomChoice } from "./choices.ts";
import { type Elevation, wideningOf } from "./elevation.ts";
import { csrfField, type Html, show } from "./pages.ts";
import { redirectHost, redirectSource } from "./redirects.ts";
import { ROLE_REACH } from "../tokens/rights.ts";
import { LEVEL_WORDS, scopeInWords } from "./rights.ts";
import type { Session } from "./session.ts";

type Shown = Response | Promise<Response>;

const CHOICE_WORDS: Readonly<Record<Choice, string>> = {
  "": "nothing",
  read: "read",
  write: "read and write",
  full: "full access",
  agent: "as one agent only",
};

/** Consent for an OAuth client. */
export function clientConsent(
  c: Context,
  session: Session,
  request: AuthorizeRequest,
  sealed: string,
  rooms: readonly MemberRoom[],
): Shown {
  const target = redirectSource(request.redirectUri);
  const host = redirectHost(request.redirectUri);
  const isLocal = /^(localhost|127\.|\[::1\])/.test(host);
  const who = markup`<dl>
<dt>Application</dt><dd>${request.clientName}${
    request.clientHost ? markup` (${request.clientHost})` : " (it named itself)"
  }</dd>
<dt>Sends you to</dt><dd><strong>${host}</strong></dd>
<dt>Asks for</dt><dd>${asked(request.scope, request.isExplicit)}</dd>
</dl>${
    isLocal
      ? markup`<p role="note">The answer goes to a program on this computer. Approve only if you started it yourself.</p>`
      : ""
  }`;
  return consent(c, session, {
    title: "An application asks for access",
    who,
    hidden: markup`<input type="hidden" name="request" value="${sealed}">`,
    choices: offer(parseScope(request.scope), request.isExplicit, rooms),
    ...(target === undefined ? {} : { formTarget: target }),
  });
}

/** Consent for a device. */
export function deviceConsent(
  c: Context,
  session: Session,
  row: DeviceRow,
  userCode: string,
  rooms: readonly MemberRoom[],
): Shown {
  const who = markup`<p>Approve only if you started this yourself and it shows the same code:</p>
<p class="code">${userCode}</p>
<dl>
<dt>Device</dt><dd>${row.clientName}${row.client === null ? " (it named itself)" : ""}</dd>
<dt>Asks for</dt><dd>${asked(row.asked, row.explicit)}</dd>
</dl>`;
  return consent(c, session, {
    title: "A device asks for access",
    who,
    hidden: markup`<input type="hidden" name="user_code" value="${userCode}">`,
    choices: offer(parseScope(row.asked), row.explicit, rooms),
  });
}

function asked(scope: string, isExplicit: boolean): Html {
  if (!isExplicit) return markup`nothing in particular: you choose`;
  return markup`<ul class="plain">${
    scopeInWords(parseScope(scope)).map((line) => markup`<li>${line}</li>`)
  }</ul>`;
}

interface Consent {
  readonly title: string;
  readonly who: Html;
  readonly hidden: Html;
  readonly choices: Choices;
  readonly formTarget?: string;
}

function consent(c: Context, session: Session, page: Consent): Shown {
  const { choices } = page;
  return show(c, {
    title: page.title,
    session,
    ...(page.formTarget === undefined ? {} : { formTarget: page.formTarget }),
    body: markup`${page.who}
<form method="post" action="/auth/consent">
${csrfField(session)}${page.hidden}
<p>It gets exactly what you choose here. With nothing chosen it reaches nothing, and may ask again later.</p>
${missing(choices.missing)}
<fieldset>
<legend>Every room</legend>
<label for="all">All rooms of mine, also later ones</label>
${select("all", "all", ["", "read", "write", "full"], choices.everyRoom)}
<div><label class="inline"><input type="checkbox" name="create_rooms"${
      choices.createRooms ? markup` checked` : ""
    }>
It may create rooms</label></div>
</fieldset>
${choices.rooms.map(roomRow)}
${
      choices.total > choices.rooms.length
        ? markup`<p>${choices.rooms.length} of your ${choices.total} rooms are shown: those asked for first.</p>`
        : ""
    }
${buttons()}
</form>`,
  });
}

function missing(rooms: readonly string[]): Html {
  if (rooms.length === 0) return markup``;
  return markup`<p role="note">You are no member of: ${
    rooms.slice(0, 20).join(", ")
  }. Nothing can be granted there.</p>`;
}

function roomRow(choice: RoomChoice): Html {
  const { room } = choice;
  const canBind = choice.offered.includes("agent");
  return markup`<fieldset>
<legend>${room.label ? `${room.label} (${room.id})` : room.id}</legend>
<div class="grid">
<div><label for="level:${room.id}">In this room, as its ${room.role}</label>
${select(`level:${room.id}`, `level:${room.id}`, choice.offered, choice.preset)}</div>
${canBind ? agentField(choice) : ""}
</div>
</fieldset>`;
}

function agentField({ room, agent }: RoomChoice): Html {
  return markup`<div><label for="agent:${room.id}">Agent, if “as one agent only”</label>
<input id="agent:${room.id}" name="agent:${room.id}" value="${agent}" maxlength="128" list="agents:${room.id}"
  autocomplete="off" autocapitalize="none" spellcheck="false">
<datalist id="agents:${room.id}">${
    room.agents.slice(0, 200).map(({ id }) => markup`<option value="${id}">`)
  }</datalist></div>`;
}

function select(id: string, name: string, offered: readonly Choice[], preset: Choice): Html {
  return markup`<select id="${id}" name="${name}">${
    offered.map((choice) =>
      markup`<option value="${choice}"${choice === preset ? markup` selected` : ""}>${
        CHOICE_WORDS[choice]
      }</option>`
    )
  }</select>`;
}

function buttons(): Html {
  return markup`<div><button name="decision" value="approve">Approve</button>
<button class="danger" name="decision" value="deny">Refuse</button></div>`;
}

/** Consent for widening a token. */
export function elevationConsent(
  c: Context,
  session: Session,
  asked: Elevation,
  sealed: string,
  room: MemberRoom,
): Shown {
  const [grant] = asked.lineage;
  const reach = ROLE_REACH[room.role];
  const offered = ([LEVEL.read, LEVEL.write, LEVEL.admin] as const).filter((level) =>
    level <= reach
  ).map(choiceFor);
  const preset = choiceFor(Math.min(asked.level, reach) as 1 | 2 | 3);
  const ancestors = wideningOf(asked.lineage.slice(1), asked.room, asked.level);
  return show(c, {
    title: "A token asks for more",
    session,
    body: markup`<dl>
<dt>Token</dt><dd>${grant?.label ?? "without a name"}</dd>
<dt>It may now</dt><dd><ul class="plain">${
      scopeInWords(parseScope(grant?.scope ?? "")).map((line) => markup`<li>${line}</li>`)
    }</ul></dd>
<dt>It asks to</dt><dd>${LEVEL_WORDS[asked.level]} in the room <strong>${room.id}</strong>${
      room.label ? ` (${room.label})` : ""
    }</dd>
</dl>
${
      ancestors.length > 0
        ? markup`<p role="note">It was made from a narrower token, which is widened with it: ${
          ancestors.map((a) => a.label ?? "a token without a name").join(", ")
        }.</p>`
        : ""
    }
<form method="post" action="/auth/consent">
${csrfField(session)}<input type="hidden" name="request" value="${sealed}">
<label for="level">Let it, in this room only</label>
${select("level", "level", offered, preset)}
${buttons()}
</form>`,
  });
}
