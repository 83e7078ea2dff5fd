/**
 * The world of the identity tests: the real routes on a real libSQL file, a clock that is set by
 * hand, a browser with a cookie jar and a soft authenticator, and a stand-in for `auth.ts`.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { type Config, readConfig } from "../config.ts";
import { SyncError } from "../errors.ts";
import type { IdentityDeps, RoomsPort } from "../oauth/deps.ts";
import { memberRooms } from "../oauth/manage.ts";
import { Arrivals } from "../input/arrivals.ts";
import { identityRoutes } from "../oauth/routes.ts";
import { loadServerKey } from "../oauth/signed.ts";
import type { Principal } from "../policy.ts";
import { Store } from "../store.ts";
import { findRoles, findUsername, upsertRole } from "../store/members.ts";
import { findToken, resourceMatches } from "../tokens.ts";
import type { Role } from "../types.ts";
import { type Lies, SoftAuthenticator } from "./soft_authenticator.ts";

export const ORIGIN = "http://localhost:8787";

/** A reply, read. */
export interface Reply {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  readonly body: any;
  readonly text: string;
  readonly headers: Headers;
}

/** A request in short. */
export interface Ask {
  readonly method?: string;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
  readonly raw?: string;
  readonly type?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request to anything that fetches. */
export async function askOf(
  fetch: (request: Request) => Promise<Response>,
  path: string,
  ask: Ask = {},
): Promise<Reply> {
  const headers = new Headers(ask.headers);
  let body: string | undefined;
  if (ask.json !== undefined) {
    body = JSON.stringify(ask.json);
    headers.set("Content-Type", "application/json");
  } else if (ask.form !== undefined) {
    const pairs = Array.isArray(ask.form) ? ask.form : Object.entries(ask.form);
    body = new URLSearchParams(pairs as [string, string][]).toString();
    headers.set("Content-Type", "application/x-www-form-urlencoded");
  } else if (ask.raw !== undefined) {
    body = ask.raw;
    headers.set("Content-Type", ask.type ?? "application/json");
  }
  if (ask.token !== undefined) headers.set("Authorization", `Bearer ${ask.token}`);
  const method = ask.method ?? (body === undefined ? "GET" : "POST");
  const url = path.startsWith("http") ? path : ORIGIN + path;
  const response = await fetch(
    new Request(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    }),
  );
  const text = await response.text();
  const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
  return {
    status: response.status,
    text,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : undefined,
  };
}

/** What a browser needs of the service it is pointed at. */
export interface Site {
  ask(path: string, ask?: Ask): Promise<Reply>;
  readonly deps: { readonly config: Pick<Config, "origin"> };
}

/** The service, its store and its clock. */
export class World {
  now = Date.parse("2026-11-20T08:00:00Z");
  forgets = 0;

  private constructor(
    readonly store: Store,
    readonly deps: IdentityDeps,
    readonly app: Hono,
    private readonly folder: string,
  ) {}

  static async open(
    options: { env?: Record<string, string>; fetchDocument?: (url: URL) => Promise<string> } = {},
  ): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), "sync-identity-"));
    const store = await Store.open({ url: `file:${join(folder, "sync.db")}` });
    const config = readConfig((name) => options.env?.[name]);
    const holder: { world?: World } = {};
    const deps: IdentityDeps = {
      store,
      config,
      serverKey: await loadServerKey(store),
      now: () => holder.world!.now,
      principal: (request) => principalOf(store, config, request, holder.world!.now),
      forget: () => {
        holder.world!.forgets++;
      },
      address: (request) => request.headers.get("X-Test-Address") ?? "127.0.0.1",
      rooms: roomsPort(store),
      arrivals: new Arrivals(),
      ...(options.fetchDocument ? { fetchDocument: options.fetchDocument } : {}),
    };
    const app = new Hono();
    app.onError((error, c) => {
      if (!(error instanceof SyncError)) throw error;
      for (const [name, value] of Object.entries(error.headers)) c.header(name, value);
      return c.json(error.toJSON(), error.status as 400);
    });
    app.route("/", identityRoutes(deps));
    holder.world = new World(store, deps, app, folder);
    return holder.world;
  }

  async close(): Promise<void> {
    this.store.close();
    await rm(this.folder, { recursive: true });
  }

  /** One request, as a program sends it. */
  ask(path: string, ask: Ask = {}): Promise<Reply> {
    return askOf((request) => Promise.resolve(this.app.request(request)), path, ask);
  }

  /** A living room in which users have roles; only its rows, no engine. */
  async room(
    id: string,
    roles: Readonly<Record<string, Role>>,
    agents: Readonly<Record<string, string | null>> = {},
  ) {
    const uid = `uid-${id}`;
    await this.store.run([{
      sql:
        `INSERT INTO room (uid, id, created_at, head, hash, ts, agents) VALUES (:uid, :id, 0, 0, '', 0, 0)`,
      args: { uid, id },
    }]);
    for (const [user, role] of Object.entries(roles)) {
      await this.store.of(uid).batch([upsertRole(uid, user, role, null)]);
    }
    for (const [agent, owner] of Object.entries(agents)) {
      await this.store.run([{
        sql:
          "INSERT INTO fold (room, scope, key, value, meta) VALUES (:uid, '_agents', :agent, :value, '{}')",
        args: {
          uid,
          agent,
          value: JSON.stringify({ name: agent, ...(owner === null ? {} : { owner }) }),
        },
      }]);
    }
    return uid;
  }

  /** How many rows a table holds. */
  async count(table: string): Promise<number> {
    const rows = await this.store.db.all(`SELECT count(*) AS n FROM ${table}`);
    return Number(rows[0]!["n"]);
  }
}

async function principalOf(
  store: Store,
  config: Config,
  request: Request,
  now: number,
): Promise<Principal> {
  const secret = request.headers.get("Authorization")?.replace(/^Bearer /, "") ?? "";
  const found = await findToken(store, secret, now);
  if (!found || !found.lineage.every((grant) => resourceMatches(grant, config.origin))) {
    throw new SyncError("invalid_token", "The token is unknown, expired or revoked.");
  }
  const id = found.lineage[0]!.user;
  const username = id === null ? undefined : await findUsername(store, id);
  return {
    lineage: found.lineage,
    ...(username === undefined ? {} : { user: { id: id!, username } }),
    roles: id === null ? new Map() : await findRoles(store, id),
    embodied: new Map(),
    isOpen: false,
  };
}

function roomsPort(store: Store): RoomsPort {
  const refuse = () => Promise.reject(new SyncError("owner_required", "Not here."));
  return {
    list: (user) => memberRooms(store, user),
    create: (_user, room) => Promise.resolve(room.id ?? "drawn"),
    invite: refuse,
    members: () => Promise.resolve([]),
    changeRole: refuse,
    remove: refuse,
    delete: refuse,
  };
}

/** A person's browser: cookies, the anti-CSRF token, and a passkey. */
export class Browser {
  cookie = "";
  csrf = "";
  user = { id: "", username: "" };

  constructor(
    readonly world: Site,
    readonly key = new SoftAuthenticator(world.deps.config.origin),
  ) {}

  /** One request with the cookie and the browser's own Origin. */
  async ask(path: string, ask: Ask = {}): Promise<Reply> {
    const reply = await this.world.ask(path, {
      ...ask,
      headers: { Cookie: this.cookie, Origin: this.world.deps.config.origin, ...ask.headers },
    });
    const set = reply.headers.get("Set-Cookie");
    if (set) this.cookie = set.split(";")[0]!;
    return reply;
  }

  /** A changing JSON call of the session. */
  call(path: string, json: unknown, method = "POST"): Promise<Reply> {
    return this.ask(path, { json, method, headers: { "X-CSRF-Token": this.csrf } });
  }

  /** A form of the session. */
  submit(path: string, form: Readonly<Record<string, string>>): Promise<Reply> {
    return this.ask(path, { form: { csrf: this.csrf, ...form } });
  }

  /** Creates an account. */
  async register(username: string, lies: Lies = {}): Promise<Reply> {
    const started = await this.ask("/webauthn/register/options", { json: { username } });
    if (started.status !== 200) return started;
    return await this.finish("/webauthn/register/verify", {
      challenge_id: started.body.challenge_id,
      response: await this.key.create(started.body.options, lies),
    });
  }

  /** Logs in. */
  async login(lies: Lies = {}, username?: string): Promise<Reply> {
    const started = await this.ask("/webauthn/login/options", {
      json: username === undefined ? {} : { username },
    });
    if (started.status !== 200) return started;
    return await this.finish("/webauthn/login/verify", {
      challenge_id: started.body.challenge_id,
      response: await this.key.get(started.body.options, lies),
    });
  }

  private async finish(path: string, json: unknown): Promise<Reply> {
    const reply = await this.ask(path, { json });
    if (reply.status === 200) {
      this.user = reply.body.user;
      this.csrf = reply.body.csrf;
    }
    return reply;
  }
}

/** A new world with one signed-in person. */
export async function signedIn(
  username = "alice",
  options: Parameters<typeof World.open>[0] = {},
): Promise<{ world: World; browser: Browser }> {
  const world = await World.open(options);
  const browser = new Browser(world);
  const reply = await browser.register(username);
  assert.equal(reply.status, 200, reply.text);
  return { world, browser };
}

/** The hidden field of a form on a page. */
export function hiddenField(page: string, name: string): string {
  const match = new RegExp(`name="${name}" value="([^"]*)"`).exec(page);
  assert.ok(match, `no field ${name} in the page`);
  return match[1]!.replaceAll("&amp;", "&");
}
