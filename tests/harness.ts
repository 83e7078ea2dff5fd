/**
 * The service as tests meet it: the real app on a real libSQL file in a folder of its own, and a
 * clock that stands still until it is told to go on. `startService` is all most tests need.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { join } from "node:path";
import Threaded from "libsql/promise";
import { firstDifference } from "../audit.ts";
import { sha256 } from "../canonical.ts";
import { readConfig } from "../config.ts";
import { hotFromRows } from "../engine/rows.ts";
import { type Clock, SYSTEM_CLOCK } from "../engine/types.ts";
import { createService, type Service } from "../main.ts";
import { findUser, insertUser, upsertRole } from "../store/members.ts";
import { mint } from "../tokens.ts";
import type { Role } from "../types.ts";

export { SYSTEM_CLOCK };

/** The instant at which a `ManualClock` starts. */
export const START = Date.parse("2026-11-20T08:00:00.000Z");

interface Alarm {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock set by hand. Nonces count up, so that hashes repeat from run to run. */
export class ManualClock implements Clock {
  #now: number;
  #alarms: Alarm[] = [];
  #count = 0;

  constructor(start: number = START) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const alarm = { at: this.#now + Math.max(0, ms), order: this.#count++, run };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  nonce(): string {
    return sha256(String(this.#count++)).slice(0, 32);
  }

  /** Goes on by `ms`, running on the way what falls due, in order; gives the event loop its turns. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#alarms = this.#alarms.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await turns(2);
    }
    this.#now = end;
    await turns(4);
  }

  #next(end: number): Alarm | undefined {
    return this.#alarms.filter((alarm) => alarm.at <= end).sort((a, b) =>
      a.at - b.at || a.order - b.order
    )[0];
  }
}

/** What libSQL does in threads of its own. */
const aside = new Set<Promise<unknown>>();
const inThread = Threaded.prototype.exec;
Threaded.prototype.exec = function (sql: string): Promise<void> {
  const done = inThread.call(this, sql) as Promise<void>;
  const noted = done.catch((error: unknown) => error).finally(() => aside.delete(noted));
  aside.add(noted);
  return done;
};

/** Lets the event loop turn `n` times, and databases end what they are at: what was begun gets on. */
export async function turns(n = 8): Promise<void> {
  for (let i = 0; i < n; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (aside.size > 0) await Promise.all(aside);
  }
}

/** A reply, read. `body` is the JSON, or undefined where the reply is none. */
export interface Reply {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  readonly body: any;
  readonly text: string;
  readonly headers: Headers;
}

/** What goes with a request. A string `body` is sent as it is, anything else as JSON. */
export interface Ask {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Where requests go unless they name a host. */
export const ORIGIN = "http://localhost:8787";

/** One request to anything that fetches. */
export async function send(
  fetch: (request: Request) => Promise<Response>,
  method: string,
  path: string,
  ask: Ask = {},
): Promise<Reply> {
  const headers = new Headers(ask.headers);
  if (ask.token !== undefined) headers.set("Authorization", `Bearer ${ask.token}`);
  let body: string | Uint8Array<ArrayBuffer> | undefined;
  if (typeof ask.body === "string" || ask.body instanceof Uint8Array) body = ask.body as string;
  else if (ask.body !== undefined) body = JSON.stringify(ask.body);
  if (body !== undefined && !headers.has("Content-Type")) {
    headers.set("Content-Type", "application/json");
  }
  const url = path.startsWith("http") ? path : ORIGIN + path;
  const init: RequestInit = { method, headers, ...(ask.signal ? { signal: ask.signal } : {}) };
  const response = await fetch(new Request(url, body === undefined ? init : { ...init, body }));
  const text = await response.text();
  const isJson = /\bjson\b/.test(response.headers.get("Content-Type") ?? "");
  return {
    status: response.status,
    text,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : undefined,
  };
}

/** A service under test. */
export interface TestService {
  readonly service: Service;
  readonly url: string;
  call(method: string, path: string, ask?: Ask): Promise<Reply>;
  /** Invokes an action and answers the reply. */
  invoke(
    room: string,
    action: string,
    params: unknown,
    token?: string,
    rest?: Record<string, unknown>,
  ): Promise<Reply>;
  /** Closes it and opens another on the same database, as after a restart. */
  restart(): Promise<TestService>;
  /** Closes it; the database's folder goes with it. */
  close(): Promise<void>;
}

/** What a service under test starts with. */
export interface StartOptions {
  readonly clock?: Clock;
  readonly env?: Readonly<Record<string, string>>;
  /** A folder that outlives the service; one of its own otherwise. */
  readonly folder?: string;
  readonly address?: (request: Request) => string;
  /** What the documents of `did:web` are fetched with. */
  readonly fetchDidDocument?: (url: URL) => Promise<string>;
}

/** Starts the service in this process, on a file, with a clock that stands still unless one is given. */
export async function startService(options: StartOptions = {}): Promise<TestService> {
  const clock = options.clock ?? new ManualClock();
  const folder = options.folder ?? await mkdtemp(join(tmpdir(), "sync-test-"));
  const url = options.env?.["SYNC_DB"] ?? `file:${join(folder, "sync.db")}`;
  const env: Record<string, string> = {
    SYNC_LOG: "off",
    SYNC_SHARDS: furtherFiles(folder),
    ...options.env,
    SYNC_DB: url,
  };
  const service = await createService({
    config: readConfig((name) => env[name]),
    clock,
    ...(options.address ? { address: options.address } : {}),
    ...(options.fetchDidDocument ? { fetchDidDocument: options.fetchDidDocument } : {}),
  });
  const call: TestService["call"] = (method, path, ask) => send(service.fetch, method, path, ask);
  return {
    service,
    url,
    call,
    invoke: (room, action, params, token, rest = {}) =>
      call("POST", `/rooms/${room}/actions/${action}/invoke`, { token, body: { params, ...rest } }),
    restart: async () => {
      await service.close();
      return await startService({ ...options, clock, folder });
    },
    close: async () => {
      await service.close();
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** `TEST_SHARDS=3` runs every test over three databases in place of one. */
function furtherFiles(folder: string): string {
  const further = Math.max(0, Number(process.env["TEST_SHARDS"] ?? 1) - 1);
  return Array.from({ length: further }, (_, i) => `file:${join(folder, `shard-${i + 1}.db`)}`)
    .join(",");
}

/** A room with some agents in it, and everybody's tokens. */
export interface TestRoom {
  readonly id: string;
  readonly admin: string;
  readonly view: string;
  readonly agents: Readonly<Record<string, string>>;
}

/** Creates a room and joins agents by these ids. */
export async function makeRoom(
  on: TestService,
  agents: readonly string[] = [],
  settings: Record<string, unknown> = {},
): Promise<TestRoom> {
  const made = await on.call("POST", "/rooms", { body: settings });
  if (made.status !== 201) throw new Error(`no room: ${made.text}`);
  const { id, token: admin, view_token: view } = made.body;
  const tokens: Record<string, string> = {};
  for (const agent of agents) {
    const joined = await on.call("POST", `/rooms/${id}/agents`, {
      token: admin,
      body: { id: agent },
    });
    if (joined.status !== 201) throw new Error(`no agent: ${joined.text}`);
    tokens[agent] = joined.body.token;
  }
  return { id, admin, view, agents: tokens };
}

/** Makes sure there is a user of this name, with these roles by room id; answers its id. */
export async function makeUser(
  on: TestService,
  username: string,
  roles: Readonly<Record<string, Role>> = {},
): Promise<string> {
  const { store, engine, clock } = partsOf(on);
  await store.run([insertUser(randomUUID(), username, clock.now())]);
  const { id } = (await findUser(store, username))!;
  for (const [room, role] of Object.entries(roles)) {
    const hot = await engine.find(room);
    await store.of(hot.room.uid).batch([upsertRole(hot.room.uid, id, role, null)]);
  }
  on.service.deps.auth.forget();
  return id;
}

/** Mints a `tok_` for a user, as the operator would. */
export async function userToken(
  on: TestService,
  username: string,
  scope: string,
  days = 30,
): Promise<string> {
  const { store, clock } = partsOf(on);
  const user = await makeUser(on, username);
  const minted = mint(
    { kind: "tok", scope, user, label: username, expiresIn: days * 86_400_000 },
    clock.now(),
  );
  await store.run(minted.statements);
  return minted.token;
}

function partsOf(on: TestService) {
  const { store, engine } = on.service;
  return { store, engine, clock: engine.clock };
}

/** Throws unless the room's log is whole and folds to its live state, in memory and in the tables. */
export async function mustVerify(
  on: TestService,
  room: Pick<TestRoom, "id" | "admin">,
): Promise<void> {
  const reply = await on.call("GET", `/rooms/${room.id}/verify`, { token: room.admin });
  if (reply.status !== 200 || reply.body.ok !== true) throw new Error(`verify: ${reply.text}`);
  const { store, engine } = on.service;
  const hot = await engine.find(room.id);
  const row = await store.findRoom(room.id);
  const tables = hotFromRows(await store.loadRoom(row!, 0), 0).room;
  const difference = firstDifference(hot.room, tables);
  if (difference !== undefined) throw new Error(`the tables differ from the fold at ${difference}`);
  if (tables.head !== hot.room.head || tables.hash !== hot.room.hash) {
    throw new Error("the tables' head differs");
  }
}
