/**
 * The frame of every identity page: one layout, one stylesheet, strict headers. Values only
 * enter through `markup`, which escapes them.
 */
import type { Context } from "hono";
import { html as markup } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import type { SyncError } from "../errors.ts";
import type { UserRef } from "./deps.ts";
import type { Session } from "./session.ts";
import passkeysScript from "./static/passkeys.js" with { type: "text" };
import pagesStyle from "./static/pages.css" with { type: "text" };

/** A piece of a page. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** The static files of these pages: nothing else is ever served by path. */
export const ASSETS: ReadonlyMap<string, { readonly type: string; readonly text: string }> =
  new Map([
    ["/static/passkeys.js", { type: "text/javascript; charset=utf-8", text: passkeysScript }],
    ["/static/pages.css", { type: "text/css; charset=utf-8", text: pagesStyle }],
  ]);

/** What a page is made of. */
export interface Page {
  readonly title: string;
  readonly body: Html;
  /** Who is signed in, for the header. */
  readonly session?: Session | undefined;
  /** Does it need the passkey script? */
  readonly script?: boolean;
  /** Where its form may lead beside here: the redirect origin of a client. */
  readonly formTarget?: string;
  readonly status?: 200 | 400 | 401 | 403 | 404 | 409 | 413 | 429 | 503;
}

/** The `Content-Security-Policy` of a page: nothing inline, nothing from elsewhere. */
export function contentPolicy(page: Pick<Page, "script" | "formTarget">): string {
  const parts = [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    `form-action 'self'${page.formTarget ? ` ${page.formTarget}` : ""}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  if (page.script) parts.push("script-src 'self'", "connect-src 'self'");
  parts.push("require-trusted-types-for 'script'", "trusted-types 'none'");
  return parts.join("; ");
}

/** Answers a page. */
export function show(c: Context, page: Page): Response | Promise<Response> {
  c.header("Content-Security-Policy", contentPolicy(page));
  c.header("X-Frame-Options", "DENY");
  c.header("X-Content-Type-Options", "nosniff");
  // Not no-referrer: with it browsers send "Origin: null" with forms.
  c.header("Referrer-Policy", "same-origin");
  c.header("Cache-Control", "no-store");
  return c.html(frame(page), page.status ?? 200);
}

function frame(page: Page): Html {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title} · sync</title>
<link rel="stylesheet" href="/static/pages.css">
${page.script ? markup`<script src="/static/passkeys.js" defer></script>` : ""}
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header><a class="brand" href="/">sync</a>${page.session ? signedIn(page.session) : ""}</header>
<main id="main">
<h1>${page.title}</h1>
${page.body}
</main>
</body>
</html>`;
}

function signedIn(session: Session): Html {
  return markup`<nav aria-label="Account">
<a href="/manage">${session.user.username}</a>
<form method="post" action="/logout">${
    csrfField(session)
  }<button class="plain">Sign out</button></form>
</nav>`;
}

/** The hidden field that every form of a session carries. */
export function csrfField(session: Pick<Session, "csrf">): Html {
  return markup`<input type="hidden" name="csrf" value="${session.csrf}">`;
}

/** A page that says one thing. */
export function notice(
  c: Context,
  title: string,
  text: string,
  more: { status?: Page["status"]; session?: Session | undefined } = {},
): Response | Promise<Response> {
  return show(c, {
    title,
    body: markup`<p>${text}</p>`,
    ...(more.status === undefined ? {} : { status: more.status }),
    session: more.session,
  });
}

/** A refusal as a page. */
export function refusalPage(
  c: Context,
  error: SyncError,
  session?: Session,
): Response | Promise<Response> {
  for (const [name, value] of Object.entries(error.headers)) c.header(name, value);
  const status = [400, 401, 403, 404, 409, 429, 503].includes(error.status) ? error.status : 400;
  const hint = error.facts.hint;
  return show(c, {
    title: "That did not work",
    body: markup`<p role="alert">${error.message}</p>${hint ? markup`<p>${hint}</p>` : ""}`,
    status: status as NonNullable<Page["status"]>,
    session,
  });
}

/** An instant as people read it. */
export function instant(ms: number | null): Html {
  if (ms === null) return markup`never`;
  const iso = new Date(ms).toISOString();
  return markup`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>`;
}

/** Sign-in: a passkey of an account, or a new account. */
export function signInPage(c: Context, next: string, user?: UserRef): Response | Promise<Response> {
  return show(c, {
    title: "Sign in",
    script: true,
    body: markup`<p>${
      user ? `You are signed in as ${user.username}.` : "Your passkey is your account: no password."
    }</p>
<noscript><p role="alert">Passkeys need JavaScript in this page.</p></noscript>
<section aria-labelledby="have">
<h2 id="have">I have an account</h2>
<form data-passkey="login" data-next="${next}"><button>Sign in with a passkey</button></form>
</section>
<section aria-labelledby="new">
<h2 id="new">I am new here</h2>
<form data-passkey="register" data-next="${next}">
<label for="username">Username</label>
<input id="username" name="username" required maxlength="64" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*"
  autocomplete="username" autocapitalize="none" spellcheck="false" aria-describedby="username-rule">
<p id="username-rule" class="quiet">Letters, digits, dots, dashes and underscores; kept in lower case.</p>
<button>Create an account with a passkey</button>
</form>
</section>
<p role="status" id="status"></p>
<p><a href="/recover">I have lost my passkey</a></p>`,
  });
}
