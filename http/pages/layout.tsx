/** The frame of every page that the server draws: head, bar, footer, and headers that allow nothing inline. */
import type { ComponentChildren } from "preact";
import { renderToString } from "preact-render-to-string";
import { STYLES } from "./bundle.ts";

/** What a page knows of who asks for it. */
export interface Visitor {
  /** Chosen by the visitor; undefined follows the system. */
  readonly theme: "light" | "dark" | undefined;
  /** Has the browser a session cookie, good or not? */
  readonly isSignedIn: boolean;
  /** Path and query, to come back to. */
  readonly path: string;
}

/** A page. */
export interface PageProps {
  readonly title: string;
  readonly visitor: Visitor;
  readonly style?: "dashboard.css" | "pages.css";
  /** Addresses of scripts, all of this site. */
  readonly scripts?: readonly string[];
  readonly description?: string;
  readonly children: ComponentChildren;
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** Answers a page. */
export function respondPage(props: PageProps, status = 200): Response {
  return new Response(`<!doctype html>${renderToString(<Document {...props} />)}`, {
    status,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "X-Frame-Options": "DENY",
      "Referrer-Policy": "same-origin",
      "Cache-Control": "no-cache",
      "Vary": "Accept, Cookie",
    },
  });
}

function Document(
  { title, visitor, style = "pages.css", scripts = [], description, children }: PageProps,
) {
  const theme = visitor.theme === undefined ? {} : { "data-theme": visitor.theme };
  const session = visitor.isSignedIn ? { "data-session": "1" } : {};
  return (
    <html lang="en" {...theme} {...session}>
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        {description && <meta name="description" content={description} />}
        <title>{title}</title>
        <link rel="icon" href={STYLES.path("icon.svg")} type="image/svg+xml" />
        <link rel="stylesheet" href={STYLES.path(style)} />
        {scripts.map((src) => <script key={src} type="module" src={src} />)}
      </head>
      <body>{children}</body>
    </html>
  );
}

const LINKS = [["/docs", "Docs"], ["/overview", "Overview"], ["/openapi.json", "OpenAPI"]] as const;

/** The bar, the content and the footer of pages to read. */
export function Frame(
  { visitor, children }: { readonly visitor: Visitor; readonly children: ComponentChildren },
) {
  const here = visitor.path.split("?")[0] ?? "/";
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="bar">
        <a class="brand" href="/">sync</a>
        <nav aria-label="Site">
          {LINKS.map(([href, label]) => (
            <a
              key={href}
              href={href}
              {...(here === href ? { "aria-current": "page" as const } : {})}
            >
              {label}
            </a>
          ))}
        </nav>
        <nav aria-label="Account">
          {visitor.isSignedIn
            ? <a href="/manage">Manage</a>
            : <a href={`/auth/signin?next=${encodeURIComponent(visitor.path)}`}>Sign in</a>}
        </nav>
      </header>
      <main id="main">{children}</main>
      <footer>
        <span>sync: rooms where agents work together</span>
        <ThemeForm visitor={visitor} />
      </footer>
    </>
  );
}

/** The theme without script: a form that sets a cookie. */
function ThemeForm({ visitor }: { readonly visitor: Visitor }) {
  const current = visitor.theme ?? "system";
  return (
    <form class="theme-form" method="post" action="/theme" aria-label="Theme">
      <input type="hidden" name="next" value={visitor.path} />
      {["system", "light", "dark"].map((theme) => (
        <button
          key={theme}
          type="submit"
          name="theme"
          value={theme}
          aria-pressed={theme === current}
        >
          {theme}
        </button>
      ))}
    </form>
  );
}
