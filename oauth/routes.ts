/**
 * Every identity route: what path leads to which flow. Nothing is decided here.
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { isLoopbackName } from "../config.ts";
import { SyncError } from "../errors.ts";
import { deletePasskey, logout, me, patchPasskey } from "./account.ts";
import { authorize } from "./authorize.ts";
import { register } from "./clients.ts";
import { consentPage, postConsent } from "./consent.ts";
import type { IdentityDeps } from "./deps.ts";
import { devicePage, postDevice, postDeviceToken } from "./device.ts";
import { DoorLimits, type Doors } from "./doors.ts";
import { deleteToken, getTokens, patchToken, postRefresh, postToken } from "./grants.ts";
import { MANAGE_FORMS, manageForm, managePage, roomPage } from "./manage.ts";
import { resourceMetadata, serverMetadata } from "./metadata.ts";
import { ASSETS, signInPage } from "./pages.ts";
import {
  addOptions,
  addVerify,
  loginOptionsDoor,
  loginVerify,
  registerOptions,
  registerVerify,
} from "./passkeys.ts";
import { postCodes, postRecover, recoverPage } from "./recovery.ts";
import { asOAuthError, renderOAuthError } from "./refusals.ts";
import { RESOURCE_PATHS } from "./resources.ts";
import { postIntrospect, postRevoke } from "./revoke.ts";
import { sessionOf } from "./session.ts";
import { sweepIdentity } from "./sweep.ts";
import { postToken as postOAuthToken } from "./token.ts";

type Flow = (c: Context, deps: Doors) => Response | Promise<Response>;

/** The identity routes. Refusals of the JSON doors are thrown as `SyncError` for the app's own renderer. */
export function identityRoutes(deps: IdentityDeps): Hono {
  const doors: Doors = Object.assign(Object.create(deps), {
    limits: new DoorLimits(deps.config, deps.rateLimited),
  });
  const app = new Hono();
  const on = (flow: Flow) => (c: Context) =>
    c.req.raw.body === null
      ? flow(c, doors)
      : deps.arrivals.during((async () => await flow(c, doors))());
  for (const path of ["/webauthn/*", "/auth/*", "/oauth/*", "/tokens/*"]) {
    app.use(path, sweeping(deps));
  }
  mountPages(app, doors, on);
  mountPasskeys(app, on);
  mountTokens(app, on);
  app.route("/", oauthRoutes(doors, on));
  refuseOtherMethods(app);
  return app;
}

/** Sweeps what has expired along with a request, at most this often. */
const SWEEP_MS = 600_000;

function sweeping(deps: IdentityDeps): MiddlewareHandler {
  let last = -SWEEP_MS;
  return async (_c, next) => {
    if (deps.now() - last >= SWEEP_MS) {
      last = deps.now();
      await sweepIdentity(deps.store, last);
    }
    await next();
  };
}

/** `405` with `Allow` where the path is known. */
function refuseOtherMethods(app: Hono): void {
  const known = new Map<string, Set<string>>();
  for (const { method, path } of app.routes) {
    if (method === "ALL") continue;
    known.set(path, (known.get(path) ?? new Set()).add(method));
  }
  for (const [path, methods] of known) {
    app.all(path, (c, next) => {
      if (c.req.method === "OPTIONS") return next();
      const allow = [...methods];
      throw new SyncError("method_not_allowed", `${c.req.method} does not go with this path.`, {
        allow,
        hint: `Use ${allow.join(" or ")}.`,
      }, { Allow: allow.join(", ") });
    });
  }
}

type On = (flow: Flow) => (c: Context) => Response | Promise<Response>;

function mountPages(app: Hono, deps: Doors, on: On): void {
  for (
    const path of [
      "/auth/signin",
      "/auth/device",
      "/auth/consent",
      "/auth/elevate",
      "/manage",
      "/manage/room",
      "/recover",
    ]
  ) {
    app.use(path, (c, next) => toOwnOrigin(c, deps) ?? next());
  }
  app.get("/auth/signin", on(signIn));
  app.get("/auth/device", on(devicePage));
  app.get("/auth/consent", on(consentPage));
  app.get("/auth/elevate", on(consentPage));
  app.post("/auth/consent", on(postConsent));
  app.get("/manage", on(managePage));
  app.get("/manage/room", on(roomPage));
  for (const path of MANAGE_FORMS) app.post(path, on(manageForm));
  app.get("/recover", on(recoverPage));
  app.post("/recover", on(postRecover));
  app.post("/recover/codes", on(postCodes));
  for (const [path, asset] of ASSETS) {
    app.get(path, (c) => {
      c.header("Content-Type", asset.type);
      c.header("Cache-Control", "public, max-age=300");
      c.header("X-Content-Type-Options", "nosniff");
      return c.body(asset.text);
    });
  }
}

/** Passkeys belong to one host: on a laptop, 127.0.0.1 is led to the configured localhost. */
function toOwnOrigin(c: Context, deps: Doors): Promise<Response> | undefined {
  const url = new URL(c.req.url), own = new URL(deps.config.origin);
  const isTwin = isLoopbackName(url.host) && isLoopbackName(own.host) && url.port === own.port;
  if (c.req.method !== "GET" || !isTwin || url.hostname === own.hostname) return undefined;
  return Promise.resolve(c.redirect(deps.config.origin + url.pathname + url.search, 302));
}

async function signIn(c: Context, deps: Doors): Promise<Response> {
  const next = localPath(c.req.query("next"));
  const session = await sessionOf(c, deps);
  if (session?.kind === "full" && c.req.query("next") !== undefined) return c.redirect(next, 303);
  return await signInPage(c, next, session?.user);
}

/** A path of this service to go on to; anything else becomes `/manage`. Pure. */
export function localPath(given: string | undefined): string {
  if (given === undefined || given.length > 16_000 || !/^\/[^/\\]/.test(given)) return "/manage";
  const base = "http://sync.invalid";
  if (!URL.canParse(given, base)) return "/manage";
  const url = new URL(given, base);
  // Dots are gone by now: "/.//host" would lead to another host.
  if (url.pathname.startsWith("//")) return "/manage";
  return url.origin === base ? url.pathname + url.search : "/manage";
}

function mountPasskeys(app: Hono, on: On): void {
  app.post("/webauthn/register/options", on(registerOptions));
  app.post("/webauthn/register/verify", on(registerVerify));
  app.post("/webauthn/login/options", on(loginOptionsDoor));
  app.post("/webauthn/login/verify", on(loginVerify));
  app.post("/webauthn/passkeys/options", on(addOptions));
  app.post("/webauthn/passkeys/verify", on(addVerify));
  app.patch("/webauthn/passkeys/:id", on(patchPasskey));
  app.delete("/webauthn/passkeys/:id", on(deletePasskey));
  app.post("/logout", on(logout));
  app.get("/me", on(me));
}

const ANYWHERE = cors({
  origin: "*",
  allowHeaders: ["Authorization", "Content-Type", "MCP-Protocol-Version"],
  exposeHeaders: ["WWW-Authenticate", "Retry-After", "X-Request-Id"],
});

function mountTokens(app: Hono, on: On): void {
  app.use("/tokens", ANYWHERE);
  app.use("/tokens/*", ANYWHERE);
  app.post("/tokens", on(postToken));
  app.get("/tokens", on(getTokens));
  app.post("/tokens/refresh", on(postRefresh));
  app.patch("/tokens/:id", on(patchToken));
  app.delete("/tokens/:id", on(deleteToken));
}

/** The doors that speak OAuth: their refusals are `{error, error_description}`. */
function oauthRoutes(deps: Doors, on: On): Hono {
  const app = new Hono();
  app.onError((error, c) => {
    const failure = asOAuthError(error);
    if (!failure) throw error;
    return renderOAuthError(c, failure);
  });
  const doors = [
    "/oauth/token",
    "/oauth/register",
    "/oauth/revoke",
    "/oauth/introspect",
    "/auth/device",
    "/auth/device/token",
  ];
  for (const path of [...doors, "/.well-known/*"]) app.use(path, ANYWHERE);
  app.get("/oauth/authorize", on(authorize));
  app.post("/oauth/authorize", on(authorize));
  app.post("/oauth/token", on(postOAuthToken));
  app.post("/oauth/register", on(register));
  app.post("/oauth/revoke", on(postRevoke));
  app.post("/oauth/introspect", on(postIntrospect));
  app.post("/auth/device", on(postDevice));
  app.post("/auth/device/token", on(postDeviceToken));
  for (const path of ["", ...RESOURCE_PATHS]) {
    app.get(
      `/.well-known/oauth-authorization-server${path}`,
      (c) => c.json(serverMetadata(deps.config)),
    );
    app.get(
      `/.well-known/oauth-protected-resource${path}`,
      (c) => c.json(resourceMetadata(deps.config, path)),
    );
  }
  return app;
}
