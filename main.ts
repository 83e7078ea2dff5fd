/**
 * The service: opens the store, wires the modules, and turns requests into calls. `createService`
 * for those who run it; the default export for hosts that bring their own server.
 */
import { Hono } from "hono";
import { Auth } from "./auth.ts";
import { isLoopbackName, readConfig } from "./config.ts";
import type { Config } from "./config.ts";
import { type Clock, SYSTEM_CLOCK } from "./engine/types.ts";
import { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { Streams } from "./events.ts";
import { Call, type Deps } from "./http/call.ts";
import { Dispatch, type Handle } from "./http/dispatch.ts";
import { type Documents, loadDocuments, showDocument } from "./http/documents.ts";
import { notFound } from "./http/former.ts";
import { logger, type LogLine } from "./http/log-lines.ts";
import { Metrics } from "./http/metrics.ts";
import { openApi } from "./http/openapi.ts";
import { type ErrorPages, mountPages } from "./http/pages.ts";
import { renderError, renderReply } from "./http/render.ts";
import { type Route, ROUTES } from "./http/routes.ts";
import { Limits } from "./http/limits.ts";
import { mountIdentity } from "./http/identity.ts";
import { type McpDoor, type McpParts, mountMcp } from "./mcp/mount.ts";
import { Memory } from "./memory.ts";
import { fetchPublic } from "./oauth/documents.ts";
import { KeyRing } from "./registry/proof.ts";
import { Standing } from "./standing.ts";
import { Store } from "./store.ts";
import { Waits } from "./wait.ts";
import type { DbOptions } from "./store/db.ts";

/** The address of a request's client, as the server saw it. */
export type AddressOf = (request: Request) => string;

/** How a service is made; everything but the configuration has a default. */
export interface ServiceOptions {
  readonly config: Config;
  readonly clock?: Clock;
  /** A database somebody else opened, such as a host's own. */
  readonly client?: NonNullable<DbOptions["client"]>;
  readonly address?: AddressOf;
  /** Fetches the documents of `did:web`; the default takes public https addresses only. */
  readonly fetchDidDocument?: (url: URL) => Promise<string>;
  /** What tests of the protocol itself add to every MCP server. */
  readonly extendMcp?: McpParts["extend"];
}

/** A running service. */
export interface Service {
  readonly fetch: (request: Request) => Promise<Response>;
  readonly engine: Engine;
  readonly store: Store;
  readonly deps: Deps;
  readonly mcp: McpDoor;
  /** Answers the waiters, writes what is left, and closes the database. */
  close(): Promise<void>;
}

/** Opens the store and wires the service. */
export async function createService(options: ServiceOptions): Promise<Service> {
  const { config, clock = SYSTEM_CLOCK } = options;
  await prepareFolder(config.db);
  const store = await Store.open({
    url: config.db,
    ...(config.dbToken === undefined ? {} : { authToken: config.dbToken }),
    ...(options.client ? { client: options.client } : {}),
  });
  const engine = new Engine(store, clock);
  const standing = new Standing(engine);
  engine.actors = standing;
  const fetchDocument = options.fetchDidDocument ?? fetchPublic;
  const keys = new KeyRing({ store, clock, origin: config.origin, fetchDocument });
  const auth = new Auth(store, config, () => clock.now());
  const waits = new Waits(engine, auth);
  const streams = new Streams(engine, auth);
  const memory = new Memory(engine);
  await memory.start();
  const log = logger(config.log, () => clock.now());
  const address = options.address ?? (() => "local");
  const app = new Hono();
  const elevate = await mountIdentity(app, { store, engine, auth, config, clock, address });
  const doors = { auth, waits, streams, memory, elevate };
  const deps: Deps = { config, store, engine, standing, keys, ...doors };
  const metrics = new Metrics(engine, waits);
  const documents = await loadDocuments(new URL("./", import.meta.url), config.origin);
  const limits = new Limits(config, clock, address);
  const dispatch = new Dispatch();
  for (const route of ROUTES) {
    const handle = handler(deps, route, metrics, log, limits);
    app.on(route.method, route.path, (c) => handle(c.req.raw, c.req.param()));
    dispatch.add(route.method, route.path, handle);
  }
  mountOperations(app, deps, metrics);
  const mcp = mountMcp(app, {
    deps: { ...deps, clock, documents },
    limit: (request, verb) => limits.take(request, { verb }),
    noteBug: (error, route) => noteMcpBug(error, route, log),
    newRequestId,
    extend: options.extendMcp,
  });
  mountDocuments(app, documents, config);
  const skill = (): Response => showDocument(documents, "SKILL.md");
  const pages = await mountPages(app, { config, documents, log, skill });
  const cancelFlush = every(clock, USES_FLUSH_MS, () => void auth.flushUses());
  app.options("*", () => preflight());
  app.notFound((c) => pages.missing(c.req.raw) ?? respondMissing(c.req.raw));
  app.onError((error, c) => respondBroken(error, log, c.req.raw, pages));
  return {
    fetch: async (request) =>
      await dispatch.answer(request) ?? withRequestId(await app.fetch(request)),
    engine,
    store,
    deps,
    mcp,
    close: async () => {
      engine.isClosing = true;
      cancelFlush();
      waits.close();
      streams.close();
      await mcp.close();
      await engine.close();
      await memory.close();
      await auth.flushUses();
      store.close();
    },
  };
}

/** Tokens' last uses are written down this often. */
const USES_FLUSH_MS = 60_000;

/** Runs again and again until cancelled. */
function every(clock: Clock, ms: number, run: () => void): () => void {
  let cancel = (): void => undefined;
  const next = (): void => {
    cancel = clock.after(ms, () => {
      run();
      next();
    });
  };
  next();
  return () => cancel();
}

/** A `file:` database gets its folder made. */
async function prepareFolder(url: string): Promise<void> {
  if (!url.startsWith("file:")) return;
  const folder = url.slice("file:".length).replace(/[^/]*$/, "");
  if (folder !== "") await Deno.mkdir(folder, { recursive: true });
}

function newRequestId(): string {
  return `req_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
}

/** Every response carries an id, also those that no route of the table made. */
function withRequestId(response: Response): Response {
  if (response.headers.has("X-Request-Id")) return response;
  const headers = new Headers(response.headers);
  headers.set("X-Request-Id", newRequestId());
  return new Response(response.body, { status: response.status, headers });
}

/** A route of the table behind the door: limits, call, reply, metrics, log. */
function handler(
  deps: Deps,
  route: Route,
  metrics: Metrics,
  log: LogLine,
  limits: Limits,
): Handle {
  const count = metrics.counterOf(route.method, route.path);
  return async (request, params) => {
    const requestId = newRequestId();
    const started = performance.now();
    let response: Response;
    try {
      limits.take(request, route);
      const call = new Call(deps, request, params);
      const reply = await route.handle(call);
      response = renderReply(reply, requestId, call.isCompact);
    } catch (error) {
      response = renderError(error, requestId);
      if (error instanceof SyncError) metrics.refused(error.code);
      noteBug(error, requestId, route, log);
    }
    count(response.status, (performance.now() - started) / 1000);
    return response;
  };
}

function noteBug(error: unknown, requestId: string, route: Route, log: LogLine): void {
  const facts = { request_id: requestId, route: `${route.method} ${route.path}` };
  if (!(error instanceof SyncError)) {
    log("error", "bug", { ...facts, error: error instanceof Error ? error.stack : String(error) });
  } else if (error.status >= 500) {
    const { cause } = error;
    log("warn", "store", {
      ...facts,
      code: error.code,
      cause: cause instanceof Error ? cause.message : undefined,
    });
  }
}

function noteMcpBug(error: unknown, route: string, log: LogLine): string {
  const requestId = newRequestId();
  const text = error instanceof Error ? error.stack : String(error);
  log("error", "bug", { request_id: requestId, route, error: text });
  return requestId;
}

function mountOperations(app: Hono, deps: Deps, metrics: Metrics): void {
  app.get("/healthz", () => renderReply({ body: { ok: true } }, newRequestId(), false));
  app.get("/readyz", async () => {
    try {
      if (deps.engine.isClosing) throw new SyncError("unavailable", "The service is stopping.");
      await deps.store.probe();
      return renderReply({ body: { ok: true } }, newRequestId(), false);
    } catch (error) {
      return renderError(error, newRequestId());
    }
  });
  app.get("/metrics", async (c) => {
    const { metricsToken, isLoopback } = deps.config;
    const given = c.req.header("authorization");
    const isLocal = isLoopback && isLoopbackName(c.req.header("host") ?? "") &&
      !c.req.header("x-forwarded-for");
    const isAllowed = metricsToken === undefined ? isLocal : given === `Bearer ${metricsToken}`;
    return isAllowed ? await metrics.render() : respondMissing(c.req.raw);
  });
}

function mountDocuments(app: Hono, documents: Documents, config: Config): void {
  const skill = (): Response => showDocument(documents, "SKILL.md");
  const answer = (show: () => Response): Response => {
    try {
      return show();
    } catch (error) {
      return renderError(error, newRequestId());
    }
  };
  app.get("/SKILL.md", skill);
  app.get("/reference/:doc", (c) => {
    const name = c.req.param("doc");
    return answer(() => showDocument(documents, name.endsWith(".md") ? name : `${name}.md`));
  });
  const api = openApi(config.origin);
  app.get("/openapi.json", () => renderReply({ body: api }, newRequestId(), false));
}

const ALLOW_HEADERS =
  "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-CSRF-Token, Signature, " +
  "Signature-Input, Content-Digest, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id";

function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, PUT, OPTIONS",
      "Access-Control-Allow-Headers": ALLOW_HEADERS,
      "Access-Control-Max-Age": "86400",
    },
  });
}

/** What is only ever read, beside the routes. */
const READ_ONLY = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/SKILL.md"];
const PATTERNS = [
  ...ROUTES,
  ...[...READ_ONLY, "/reference/:doc", "/docs"].map((path) => ({ method: "GET", path })),
].map((route) => ({
  method: route.method,
  pattern: new RegExp(`^${route.path.replace(/:[a-z]+/g, "[^/]+")}$`),
}));

/** 405 with `Allow` where the path is known, 404 where it is not. */
function respondMissing(request: Request): Response {
  const { pathname } = new URL(request.url);
  const methods = [
    ...new Set(
      PATTERNS.filter(({ pattern }) => pattern.test(pathname)).map(({ method }) => method),
    ),
  ];
  const former = notFound(request.method, pathname);
  const isRefused = methods.includes(request.method);
  if (methods.length === 0 || isRefused || former.facts.help === "migrating") {
    return renderError(former, newRequestId());
  }
  const error = new SyncError(
    "method_not_allowed",
    `${request.method} does not go with this path.`,
    {
      allow: methods,
      hint: `Use ${methods.join(" or ")}.`,
    },
    { Allow: methods.join(", ") },
  );
  return renderError(error, newRequestId());
}

function respondBroken(
  error: Error,
  log: LogLine,
  request: Request,
  pages: ErrorPages,
): Response {
  const requestId = newRequestId();
  if (error instanceof SyncError) return renderError(error, requestId);
  log("error", "bug", { request_id: requestId, error: error.stack });
  return pages.broken(request, requestId) ?? renderError(error, requestId);
}

function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    // A host that grants no access to this variable has not set it.
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

let running: Promise<Service> | undefined;

/** The service of a host that calls `fetch`: made at the first request. */
async function handle(request: Request): Promise<Response> {
  running ??= createService({ config: readConfig(environment) });
  return await (await running).fetch(request);
}

export default Object.assign(handle, { fetch: handle }) satisfies Deno.ServeDefaultExport;
