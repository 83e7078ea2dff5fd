/**
 * Pages for people: landing, dashboard, documents, overview, errors, and the files they load.
 * Whoever does not ask for HTML gets what the JSON door has.
 */
import type { Context, Hono } from "hono";
import type { Config } from "../config.ts";
import type { Arrivals } from "../input/arrivals.ts";
import { readForm } from "../oauth/input.ts";
import { cookieName } from "../oauth/session.ts";
import { Frontend, PICTURE_PREFIX, STYLES } from "./pages/bundle.ts";
import { type Doc, indexDocuments, searchDocuments } from "./pages/doc-index.ts";
import { docPage, docsPage } from "./pages/docs.tsx";
import { compressed, sendFile, type StaticFile } from "./pages/files.ts";
import { landingPage } from "./pages/landing.tsx";
import type { Visitor } from "./pages/layout.tsx";
import { dashboardPage, noticePage } from "./pages/notices.tsx";
import { overviewPage } from "./pages/overview.tsx";
import type { Documents } from "./documents.ts";
import type { LogLine } from "./log-lines.ts";
import { PICTURES } from "./shipped.ts";

/** What the pages are made of. */
export interface PageDeps {
  readonly config: Config;
  readonly documents: Documents;
  readonly log: LogLine;
  readonly arrivals: Arrivals;
  /** What `/` answers to those who are no browsers. */
  skill(): Response;
}

/** Error pages for browsers; undefined for everybody else. */
export interface ErrorPages {
  missing(request: Request): Response | undefined;
  broken(request: Request, requestId: string): Response | undefined;
}

/** Mounts the pages. */
export function mountPages(app: Hono, deps: PageDeps): ErrorPages {
  const frontend = new Frontend();
  let index: readonly Doc[] | undefined;
  const docs = (): readonly Doc[] => index ??= indexDocuments(deps.documents);
  const visitor = visitorOf(deps.config);
  app.get("/", async (c) => {
    const moved = behindHash(new URL(c.req.url));
    if (moved) return moved;
    const room = c.req.query("room");
    if (room !== undefined && room !== "") {
      return await dashboard(frontend, deps, room, visitor(c.req.raw));
    }
    if (!wantsHtml(c.req.raw)) return compressed(c.req.raw, deps.skill());
    const script = await scriptPath(frontend, "landing.js", deps.log);
    const picture = PICTURE_FILES.has(`${PICTURE_PREFIX}dashboard.png`)
      ? `${PICTURE_PREFIX}dashboard.png`
      : undefined;
    return compressed(
      c.req.raw,
      landingPage(deps.config.origin, visitor(c.req.raw), script, picture),
    );
  });
  mountDocs(app, docs, visitor);
  mountFiles(app, frontend);
  app.get("/overview", (c) => compressed(c.req.raw, overviewPage(visitor(c.req.raw))));
  app.post("/theme", (c) => chooseTheme(c, deps.arrivals));
  return {
    missing: (request) => wantsHtml(request) ? missingPage(visitor(request)) : undefined,
    broken: (request, requestId) =>
      wantsHtml(request) ? brokenPage(visitor(request), requestId) : undefined,
  };
}

/** A file under this address is another one after a change: asked for again after a while. */
const FOR_A_WHILE = "public, max-age=300";
/** A file whose address changes with its content. */
const FOR_EVER = "public, max-age=31536000, immutable";

/** Scripts, styles and pictures, from lists: no address of a request is looked up anywhere else. */
function mountFiles(app: Hono, frontend: Frontend): void {
  app.get("/static/app/*", async (c) => {
    const path = new URL(c.req.url).pathname;
    const picture = PICTURE_FILES.get(path);
    if (picture) return await sendFile(c.req.raw, picture, FOR_A_WHILE);
    const file = STYLES.served.get(path) ?? (await frontend.scripts()).files.get(path);
    return file ? await sendFile(c.req.raw, file, FOR_EVER) : c.notFound();
  });
  app.get("/reference/pictures/:name", async (c) => {
    const picture = PICTURE_FILES.get(PICTURE_PREFIX + c.req.param("name"));
    return picture ? await sendFile(c.req.raw, picture, FOR_A_WHILE) : c.notFound();
  });
}

/** Sends a browser on whose token was sent along, to the address whose token is not; undefined else. */
function behindHash(url: URL): Response | undefined {
  const token = url.searchParams.get("token");
  if (token === null) return undefined;
  url.searchParams.delete("token");
  return new Response(null, {
    status: 303,
    headers: {
      "Location": `/${url.search}#${new URLSearchParams({ token })}`,
      "Cache-Control": "no-store",
      "Referrer-Policy": "no-referrer",
    },
  });
}

async function dashboard(
  frontend: Frontend,
  deps: PageDeps,
  room: string,
  visitor: Visitor,
): Promise<Response> {
  const script = await scriptPath(frontend, "app.js", deps.log);
  if (script !== undefined) return dashboardPage(room.slice(0, 128), visitor, script);
  return noticePage(visitor, 503, "The dashboard cannot be made here", [
    "The browser's code could not be bundled: the bundler is fetched once, and needs the network for it.",
    "Run `deno task build` where there is one, or start the service once with a network; everything else works.",
  ]);
}

async function scriptPath(
  frontend: Frontend,
  name: string,
  log: LogLine,
): Promise<string | undefined> {
  try {
    const { base } = await frontend.scripts();
    return base + name;
  } catch (error) {
    log("warn", "frontend", { error: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

type VisitorOf = (request: Request) => Visitor;

function mountDocs(app: Hono, docs: () => readonly Doc[], visitor: VisitorOf): void {
  app.get("/docs", (c) => {
    const query = (c.req.query("q") ?? "").trim().slice(0, 200);
    const search = query === "" ? undefined : { query, hits: searchDocuments(docs(), query) };
    return compressed(c.req.raw, docsPage(docs(), visitor(c.req.raw), search));
  });
  app.get("/docs/", (c) => c.redirect("/docs", 308));
  app.get("/reference/", (c) => c.redirect("/reference", 308));
  app.get("/reference", (c) => {
    c.header("Vary", "Accept");
    return wantsHtml(c.req.raw) ? c.redirect("/docs") : listDocuments(docs());
  });
  app.get("/docs/:slug", (c) => {
    const slug = c.req.param("slug").replace(/\.md$/, "").toLowerCase();
    const doc = docs().find((known) => known.slug === slug);
    return doc ? compressed(c.req.raw, docPage(docs(), doc, visitor(c.req.raw))) : c.notFound();
  });
}

/** Does this request come from somebody who reads pages? */
export function wantsHtml(request: Request): boolean {
  return request.method === "GET" && (request.headers.get("accept") ?? "").includes("text/html");
}

function visitorOf(config: Config): VisitorOf {
  const session = new RegExp(`(?:^|;\\s*)${cookieName(config.origin)}=`);
  return (request) => {
    const cookies = request.headers.get("cookie") ?? "";
    const theme = /(?:^|;\s*)theme=(light|dark)\b/.exec(cookies)?.[1];
    const url = new URL(request.url);
    return {
      theme: theme === "light" || theme === "dark" ? theme : undefined,
      isSignedIn: session.test(cookies),
      path: url.pathname + url.search,
    };
  };
}

/** The theme of a form without script: a cookie, and back to where one was. */
async function chooseTheme(c: Context, arrivals: Arrivals): Promise<Response> {
  const form = await arrivals.take(readForm(c.req.raw));
  const theme = form.get("theme"), next = form.get("next") ?? "/";
  const path = /^\/(?![/\\])/.test(next) && URL.canParse(next, "http://sync.invalid") ? next : "/";
  const isChosen = theme === "light" || theme === "dark";
  return new Response(null, {
    status: 303,
    headers: {
      "Location": encodeURI(decodeURISafe(path)),
      "Set-Cookie": `theme=${isChosen ? theme : ""}; Path=/; SameSite=Lax; Max-Age=${
        isChosen ? 31_536_000 : 0
      }`,
    },
  });
}

function decodeURISafe(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return "/";
  }
}

/** The documents for those who read Markdown. */
function listDocuments(docs: readonly Doc[]): Response {
  const lines = docs.map(({ slug, title }) =>
    `- [${title}](${slug === "skill" ? "/SKILL.md" : `/reference/${slug}.md`})`
  );
  return new Response(`# Documents\n\n${lines.join("\n")}\n`, {
    headers: { "Content-Type": "text/markdown; charset=utf-8", "Vary": "Accept" },
  });
}

function missingPage(visitor: Visitor): Response {
  return noticePage(visitor, 404, "There is nothing here", [
    `No page has the address ${visitor.path.slice(0, 200)}.`,
  ]);
}

function brokenPage(visitor: Visitor, requestId: string): Response {
  return noticePage(visitor, 500, "Something went wrong", [
    `It has been noted as ${requestId}. Trying again may help.`,
  ]);
}

/** The pictures by their addresses. */
const PICTURE_FILES: ReadonlyMap<string, StaticFile> = new Map(
  Object.entries(PICTURES).map(([name, body]) => [
    PICTURE_PREFIX + name,
    { type: "image/png", body },
  ]),
);
