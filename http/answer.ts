/** A request behind the door: limits, call and reply, and what is counted, traced and logged of it. */
import { randomBytes } from "node:crypto";
import type { Hono } from "hono";
import { routePath } from "hono/route";
import { SyncError } from "../errors.ts";
import { isTracing, tracedRequest } from "../tracing.ts";
import { Call, type Deps, refusalOf } from "./call.ts";
import type { Handle } from "./dispatch.ts";
import type { Limits } from "./limits.ts";
import type { LogLine } from "./log-lines.ts";
import type { Metrics } from "./metrics.ts";
import { renderError, renderReply } from "./render.ts";
import { type Route, ROUTES } from "./routes.ts";

/** Who watches requests. */
export interface Watch {
  readonly metrics: Metrics;
  readonly log: LogLine;
}

const ID_DIGITS = 20;
let drawn = "";

/** An id for a request, by which its line in the log is found. Chance is drawn for many at a time. */
export function newRequestId(): string {
  if (drawn === "") drawn = randomBytes(ID_DIGITS * 64).toString("hex");
  const id = drawn.slice(0, ID_DIGITS);
  drawn = drawn.slice(ID_DIGITS);
  return `req_${id}`;
}

/** A route of the table as a handler. */
export function handlerOf(
  deps: Deps,
  route: Route,
  limits: Limits,
  { metrics, log }: Watch,
): Handle {
  const { method, path } = route;
  const meter = metrics.meterOf(method, path, route.verb);
  const attributes = { "http.request.method": method, "http.route": path };
  // There ?agent= says whose records are wanted, not who reads.
  const isFiltered = route.verb === "log.read";
  const answer: Handle = async (request, params) => {
    const requestId = newRequestId();
    const started = meter.begin();
    let response: Response, call: Call | undefined;
    try {
      limits.take(request, route);
      call = new Call(deps, request, params);
      const { isCompact } = call;
      const reply = await route.handle(call);
      if (!call.isAlive) await call.noteLife(isFiltered);
      response = renderReply(reply, requestId, isCompact);
    } catch (thrown) {
      const error = call ? await refusalOf(call, route.verb, thrown) : thrown;
      await call?.noteLife(isFiltered, error);
      response = renderError(error, requestId);
      if (error instanceof SyncError) metrics.refused(error.code);
      noteFailure(error, requestId, `${method} ${path}`, log);
    }
    const took = meter.end(started, response.status);
    if (log.isDebug) noteRequest(log, `${method} ${path}`, requestId, response.status, took);
    return response;
  };
  return (request, params) =>
    isTracing()
      ? tracedRequest(request, `${method} ${path}`, attributes, () => answer(request, params))
      : answer(request, params);
}

const TABLE: ReadonlySet<string> = new Set(ROUTES.map(({ path }) => path));

/** Counts, traces and logs what is answered by no route of the table: the other doors, and pages. */
export function watchOthers(app: Hono, { metrics, log }: Watch): void {
  app.use("*", async (c, next) => {
    const { method } = c.req;
    const run = async (): Promise<Response> => {
      const started = metrics.stopwatch();
      await next();
      const matched = routePath(c, -1);
      if (TABLE.has(matched)) return c.res;
      const path = matched === "*" || matched === "/*" ? "none" : matched;
      const took = metrics.other(knownMethod(method), path, c.res.status, started);
      const requestId = c.res.headers.get("X-Request-Id") ?? undefined;
      if (log.isDebug) noteRequest(log, `${method} ${path}`, requestId, c.res.status, took);
      return c.res;
    };
    if (!isTracing()) await run();
    else {
      const attributes = { "http.request.method": knownMethod(method) };
      await tracedRequest(
        c.req.raw,
        `${knownMethod(method)} ${doorOf(c.req.path)}`,
        attributes,
        run,
      );
    }
  });
}

const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
]);

function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "OTHER";
}

const DOORS = /^\/(mcp|oauth|auth|webauthn|tokens|\.well-known|static|docs|reference)(?=\/|$)/;

/** The first part of a path, where it is one of ours. */
function doorOf(path: string): string {
  return DOORS.exec(path)?.[0] ?? "page";
}

function noteRequest(
  log: LogLine,
  route: string,
  requestId: string | undefined,
  status: number,
  seconds: number,
): void {
  log("debug", "request", {
    request_id: requestId,
    route,
    status,
    ms: Math.round(seconds * 1e6) / 1e3,
  });
}

/** Notes what went wrong in the service itself: a bug, or a database that is away. */
export function noteFailure(
  error: unknown,
  requestId: string,
  route: string,
  log: LogLine,
): void {
  const facts = { request_id: requestId, route };
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
