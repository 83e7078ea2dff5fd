/**
 * The service: opens the store, wires the modules, and turns requests into calls. `createService`
 * for those who run it; the default export for hosts that bring their own server.
 */
import { Hono } from "hono";
import { Auth } from "./auth.ts";
import type { Config } from "./config.ts";
import { type Clock, SYSTEM_CLOCK } from "./engine/types.ts";
import { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { Streams } from "./events.ts";
import { clientOf, type Handler, type HostClient, hostService } from "./host.ts";
import { handlerOf, newRequestId, type Watch, watchOthers } from "./http/answer.ts";
import type { Deps } from "./http/call.ts";
import { Dispatch } from "./http/dispatch.ts";
import { type Documents, loadDocuments, showDocument } from "./http/documents.ts";
import { notFound } from "./http/former.ts";
import { logger, type LogLine } from "./http/log-lines.ts";
import { UNTOLD_ADDRESS } from "./http/address.ts";
import { Metrics } from "./http/metrics.ts";
import { refusedMetrics } from "./http/metrics/rights.ts";
import { openApi } from "./http/openapi.ts";
import { type ErrorPages, mountPages } from "./http/pages.ts";
import { compressed } from "./http/pages/files.ts";
import { renderError, renderReply, withCommonHeaders } from "./http/render.ts";
import { ROUTES } from "./http/routes.ts";
import { Limits } from "./http/limits.ts";
import { mountIdentity } from "./http/identity.ts";
import { mountMcp } from "./mcp/entrance.ts";
import type { McpDoor, McpParts } from "./mcp/mount.ts";
import { Arrivals } from "./input/arrivals.ts";
import { BODY_MS_MAX } from "./limits.ts";
import { Memory } from "./memory.ts";
import { fetchPublic } from "./oauth/documents.ts";
import { Quotas } from "./quotas.ts";
import { KeyRing } from "./registry/proof.ts";
import { Standing } from "./standing.ts";
import { HINT_PATH, Peers } from "./peers.ts";
import { Store } from "./store.ts";
import { startTracing } from "./tracing.ts";
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
  readonly mcp: Pick<McpDoor, "open" | "close">;
  /** Every door there is, by method (`ALL` for any) and path; several handlers may stand at one. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
  /** Answers the waiters, writes what is left, and closes the database. */
  close(): Promise<void>;
}

/** Opens the store and wires the service. */
export async function createService(options: ServiceOptions): Promise<Service> {
  const { config, clock = SYSTEM_CLOCK } = options;
  const log = logger(config.log, () => clock.now(), config.logLevel);
  const stopTracing = await startTracing(config, (detail) => log("warn", "tracing", { detail }));
  const store = await openStore(config, options.client);
  const engine = new Engine(store, clock, config.pollMs);
  const standing = new Standing(engine);
  engine.actors = standing;
  const quotas = engine.quotas = new Quotas(config.quotas);
  const fetchDocument = options.fetchDidDocument ?? fetchPublic;
  const keys = new KeyRing({ store, clock, origin: config.origin, fetchDocument });
  const auth = new Auth(store, config, () => clock.now());
  engine.onRights = () => auth.forget();
  const waits = new Waits(engine, auth);
  waits.longestMs = config.waitMsMax;
  const streams = new Streams(engine, auth);
  const memory = new Memory(engine);
  await memory.start();
  const address = options.address ?? (() => UNTOLD_ADDRESS);
  const app = new Hono();
  const metrics = new Metrics({ config, engine, auth, waits, streams, quotas });
  const { rateLimited, tools } = metrics;
  const watch: Watch = { metrics, log };
  watchOthers(app, watch);
  const arrivals = new Arrivals();
  const identityParts = { store, engine, auth, config, clock, address, arrivals, rateLimited };
  const elevate = await mountIdentity(app, identityParts);
  const doors = { auth, waits, streams, memory, elevate, arrivals };
  const deps: Deps = { config, store, engine, standing, keys, ...doors };
  const documents = loadDocuments(config.origin);
  const limits = new Limits(config, clock, address, rateLimited);
  const dispatch = mountRoutes(app, deps, limits, watch);
  mountOperations(app, deps, metrics, address);
  mountPeers(app, new Peers(engine, config));
  const mcp = mountMcp(app, {
    deps: { ...deps, clock, documents },
    limit: (request, verb) => limits.take(request, { verb }),
    noteBug: (error, route) => noteMcpBug(error, route, log),
    newRequestId,
    meters: tools,
    extend: options.extendMcp,
  });
  const skill = mountDocuments(app, documents, config);
  const pages = mountPages(app, { config, documents, log, skill, arrivals });
  const cancelTidy = every(clock, TIDY_MS, () => tidy(deps));
  app.options("*", () => preflight());
  app.notFound((c) => pages.missing(c.req.raw) ?? respondMissing(c.req.raw));
  app.onError((error, c) => respondBroken(error, log, c.req.raw, pages));
  return {
    fetch: (request) => dispatch.answer(request) ?? goLongWay(app, request),
    engine,
    store,
    deps,
    mcp,
    routes: app.routes,
    close: async () => {
      engine.isClosing = true;
      cancelTidy();
      metrics.stop();
      waits.close();
      streams.close();
      await mcp.close();
      await engine.close();
      await memory.close();
      await auth.flushUses();
      store.close();
      await stopTracing();
    },
  };
}

const TIDY_MS = BODY_MS_MAX / 2;

/** What is done now and then: tokens' last uses are written down, bodies that stand still given up. */
function tidy({ auth, arrivals }: Deps): void {
  void auth.flushUses();
  arrivals.sweep();
}

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

/** The databases of a configuration, or the one that a host brings. */
async function openStore(config: Config, client: ServiceOptions["client"]): Promise<Store> {
  const { db: url, dbToken, shards } = config;
  if (!client) await prepareFolder(url);
  for (const shard of shards) await prepareFolder(shard);
  return await Store.open({
    url,
    shards,
    instance: crypto.randomUUID(),
    ...(dbToken === undefined ? {} : { authToken: dbToken }),
    ...(client ? { client } : {}),
  });
}

/** A `file:` database gets its folder made. */
async function prepareFolder(url: string): Promise<void> {
  if (!url.startsWith("file:")) return;
  const folder = url.slice("file:".length).replace(/[^/]*$/, "");
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
}

/** Through the framework, where no route of a room's was meant as it stands. */
async function goLongWay(app: Hono, request: Request): Promise<Response> {
  const answer = withCommonHeaders(await app.fetch(request), newRequestId());
  if (request.method !== "HEAD" || !answer.ok || answer.status === 204) return answer;
  // Of no body the server would say its length, as if a GET's were none.
  return new Response(new Blob([]).stream(), answer);
}

/** Puts the routes of the table on the app, and those of rooms on the short way to them. */
function mountRoutes(app: Hono, deps: Deps, limits: Limits, watch: Watch): Dispatch {
  const dispatch = new Dispatch();
  for (const route of ROUTES) {
    const handle = handlerOf(deps, route, limits, watch);
    app.on(route.method, route.path, (c) => handle(c.req.raw, c.req.param()));
    dispatch.add(route.method, route.path, handle);
  }
  return dispatch;
}

function noteMcpBug(error: unknown, route: string, log: LogLine): string {
  const requestId = newRequestId();
  const text = error instanceof Error ? error.stack : String(error);
  log("error", "bug", { request_id: requestId, route, error: text });
  return requestId;
}

function mountOperations(app: Hono, deps: Deps, metrics: Metrics, address: AddressOf): void {
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
  app.get("/metrics", (c) => {
    const refused = refusedMetrics(c.req.raw, deps.config, address(c.req.raw));
    if (!refused) return metrics.render();
    return refused === "unknown" ? respondMissing(c.req.raw) : renderError(refused, newRequestId());
  });
}

/** Where other instances tell of what they have written. */
function mountPeers(app: Hono, peers: Peers): void {
  app.post(HINT_PATH, async (c) => {
    try {
      peers.mustBePeer(c.req.header("authorization"));
      peers.take(await c.req.json<unknown>().catch(() => undefined));
      return renderReply({ status: 202, body: { ok: true } }, newRequestId(), false);
    } catch (error) {
      return renderError(error, newRequestId());
    }
  });
}

/** Mounts the documents; answers how the skill is shown. */
function mountDocuments(app: Hono, documents: Documents, config: Config): () => Response {
  const skill = (): Response => showDocument(documents, "SKILL.md");
  const answer = (show: () => Response): Response => {
    try {
      return show();
    } catch (error) {
      return renderError(error, newRequestId());
    }
  };
  app.get("/SKILL.md", (c) => compressed(c.req.raw, skill()));
  app.get("/reference/:doc", (c) => {
    const name = c.req.param("doc");
    const file = name.endsWith(".md") ? name : `${name}.md`;
    return answer(() => compressed(c.req.raw, showDocument(documents, file)));
  });
  let api: ReturnType<typeof openApi> | undefined;
  app.get("/openapi.json", () => {
    api ??= openApi(config.origin);
    return renderReply({ body: api }, newRequestId(), false);
  });
  return skill;
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
  ...[...READ_ONLY, "/reference", "/reference/:doc", "/docs"].map((path) => ({
    method: "GET",
    path,
  })),
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
      example: `${methods[0]} ${pathname}`,
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

/** How long what listens over MCP may still hear of answered waits when the service stops. */
const MCP_CLOSE_MS = 500;

/** What a host calls; configured by the environment, over the host's own database if it has one. */
export function serviceFor(client?: HostClient): Handler {
  return hostService(async (config, address) => {
    const injected = client ? { client: clientOf(client) } : {};
    const { fetch, deps, mcp, close } = await createService({ config, address, ...injected });
    const release = (): void => {
      deps.waits.close();
      deps.streams.close();
      setTimeout(() => void mcp.close(), MCP_CLOSE_MS);
    };
    return { fetch, close, release };
  }, client === undefined);
}

export default serviceFor() satisfies Deno.ServeDefaultExport;
