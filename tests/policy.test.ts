/**
 * Every route against every kind of credential, compared with a table written by hand: who
 * reaches how far, and what each route wants. A route that is missing here fails.
 */
import assert from "node:assert/strict";
import { ROUTES } from "../http/routes.ts";
import {
  makeUser,
  ManualClock,
  ORIGIN,
  startService,
  type TestService,
  userToken,
} from "./harness.ts";

const LEVELS = ["none", "read", "write", "admin", "owner"] as const;
type Level = typeof LEVELS[number];

/** What a call with a credential comes to, before the room itself has a say. */
type Standing =
  | { readonly status: 401; readonly error: string }
  | { readonly status: 404 }
  | { readonly reach: Level; readonly canWiden?: boolean; readonly role?: Level };

/** The credentials, how they are made, and how far each reaches into the room `R`. */
const CREDENTIALS: Readonly<Record<string, Standing>> = {
  "none": { status: 401, error: "authentication_required" },
  "garbage": { status: 401, error: "invalid_token" },
  "no bearer": { status: 401, error: "invalid_token" },
  "revoked": { status: 401, error: "invalid_token" },
  "expired": { status: 401, error: "invalid_token" },
  "room_ of another room": { status: 404 },
  "as_ of another room": { status: 404 },
  "tok_ of a stranger": { status: 404 },
  "tok_ of a stranger with a fitting scope": { status: 404 },
  "view_": { reach: "read" },
  "tok_ of an observer": { reach: "read", canWiden: true, role: "read" },
  "tok_ of an observer with an admin's scope": { reach: "read", canWiden: true, role: "read" },
  "as_ alice": { reach: "write" },
  "as_ bob": { reach: "write" },
  "tok_ of a participant": { reach: "write", canWiden: true, role: "write" },
  "tok_ of a collaborator": { reach: "write", canWiden: true, role: "write" },
  "tok_ of the owner, for nothing": { reach: "none", canWiden: true, role: "owner" },
  "tok_ of the owner, for creating": { reach: "none", canWiden: true, role: "owner" },
  "tok_ of the owner, for another room": { reach: "none", canWiden: true, role: "owner" },
  "tok_ of the owner, to read": { reach: "read", canWiden: true, role: "owner" },
  "tok_ of the owner, to read everything": { reach: "read", canWiden: true, role: "owner" },
  "tok_ of the owner, to write": { reach: "write", canWiden: true, role: "owner" },
  "tok_ of the owner, as carol": { reach: "write", canWiden: true, role: "owner" },
  "tok_ of the owner": { reach: "owner", canWiden: true, role: "owner" },
  "tok_ of the owner, for everything": { reach: "owner", canWiden: true, role: "owner" },
  "room_": { reach: "owner" },
};

/** What a route wants of its caller, and a request that nothing but rights can stop. */
interface Row {
  readonly level: Level;
  /** Where it is about an agent that the caller is not. */
  readonly ofOthers?: Level;
  readonly path: string;
  readonly body?: unknown;
}

const WANTED: Readonly<Record<string, Row>> = {
  "GET /rooms/:id": { level: "read", path: "" },
  "PATCH /rooms/:id": { level: "admin", path: "", body: { label: "x" } },
  "DELETE /rooms/:id": { level: "owner", path: "" },
  "POST /rooms/:id/invite": {
    level: "owner",
    path: "/invite",
    body: { username: "paul", role: "participant" },
  },
  "GET /rooms/:id/members": { level: "owner", path: "/members" },
  "PATCH /rooms/:id/members/:username": {
    level: "owner",
    path: "/members/paul",
    body: { role: "participant" },
  },
  "DELETE /rooms/:id/members/:username": { level: "owner", path: "/members/paul" },
  "POST /rooms/:id/rotate-view-token": { level: "admin", path: "/rotate-view-token" },
  "PATCH /rooms/:id/agents/:agent": {
    level: "write",
    ofOthers: "admin",
    path: "/agents/alice",
    body: { name: "Al" },
  },
  "DELETE /rooms/:id/agents/:agent": { level: "write", ofOthers: "admin", path: "/agents/alice" },
  "POST /rooms/:id/actions/:action/invoke": {
    level: "write",
    path: "/actions/_send_message/invoke",
    body: { params: { body: "hi" } },
  },
  "GET /rooms/:id/context": { level: "read", path: "/context" },
  "GET /rooms/:id/wait": { level: "read", path: "/wait?condition=true" },
  "POST /rooms/:id/wait": { level: "read", path: "/wait", body: { condition: "true" } },
  "GET /rooms/:id/events": { level: "read", path: "/events" },
  "GET /rooms/:id/poll": { level: "read", path: "/poll" },
  "POST /rooms/:id/eval": { level: "read", path: "/eval", body: { expr: "1" } },
  "GET /rooms/:id/salience": { level: "read", path: "/salience" },
  "GET /rooms/:id/help": { level: "read", path: "/help" },
  "GET /rooms/:id/help/:key": { level: "read", path: "/help/guide" },
  "GET /rooms/:id/log": { level: "read", path: "/log" },
  "GET /rooms/:id/history/:scope/:key": { level: "read", path: "/history/_shared/x" },
  "GET /rooms/:id/history/:scope": { level: "read", path: "/history/_shared" },
  "GET /rooms/:id/samples/:view": { level: "read", path: "/samples/x" },
  "GET /rooms/:id/verify": { level: "read", path: "/verify" },
  "GET /rooms/:id/replay/:seq": { level: "read", path: "/replay/1" },
  "GET /rooms/:id/diff": { level: "read", path: "/diff?from=1&to=2" },
  "GET /rooms/:id/vocabulary": { level: "read", path: "/vocabulary" },
  "GET /rooms/:id/export": { level: "read", path: "/export" },
  "POST /rooms/:id/simulate": { level: "write", path: "/simulate", body: { steps: [] } },
  "POST /rooms/:id/fork": { level: "admin", path: "/fork", body: {} },
};

/** Routes about no room or for those who have no rights in one yet: other tests below hold them. */
const APART = new Set([
  "POST /rooms",
  "GET /rooms",
  "POST /rooms/:id/agents",
  "POST /rooms/:id/claim",
  "POST /rooms/import",
  "GET /.well-known/did.json",
]);

/** A route's words that say that rights, and nothing else, stood in the way. */
const REFUSED = new Set([
  "authentication_required",
  "invalid_token",
  "room_not_found",
  "scope_denied",
  "read_only_token",
  "owner_required",
]);

interface World {
  readonly on: TestService;
  readonly tokens: Readonly<Record<string, string | undefined>>;
  readonly close: () => Promise<void>;
}

async function makeWorld(settings: Record<string, unknown> = { join: "token" }): Promise<World> {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const create = async (id: string, token: string | undefined, rest = {}) =>
    (await on.call("POST", "/rooms", { token, body: { id, ...rest } })).body;
  const olga = await userToken(on, "olga", "create_rooms rooms:*");
  const other = await create("other", undefined);
  const room = await create("R", olga, settings);
  await create("olgas", olga);
  const tok = (name: string, scope: string) => userToken(on, name, scope);
  await makeUser(on, "obs", { R: "observer" });
  await makeUser(on, "part", { R: "participant" });
  await makeUser(on, "coll", { R: "collaborator" });
  await makeUser(on, "paul", { R: "participant" });
  const anonymous = await on.call("POST", "/rooms/other/agents", { body: { id: "alice" } });
  const join = async (id: string) =>
    (await on.call("POST", "/rooms/R/agents", { token: room.token, body: { id } })).body
      .token as string;
  const revoked = await join("rex");
  const expired = await userToken(on, "olga", "rooms:R", 1);
  await on.call("DELETE", "/rooms/R/agents/rex", { token: room.token });
  await clock.advance(86_400_000);
  const tokens = {
    "none": undefined,
    "garbage": "tok_garbage-garbage-garbage",
    "no bearer": "*",
    "revoked": revoked,
    "expired": expired,
    "room_ of another room": other.token,
    "as_ of another room": anonymous.body.token,
    "tok_ of a stranger": await tok("stranger", "rooms:*"),
    "tok_ of a stranger with a fitting scope": await tok("stranger", "rooms:R"),
    "view_": room.view_token,
    "tok_ of an observer": await tok("obs", "rooms:*"),
    "tok_ of an observer with an admin's scope": await tok("obs", "rooms:R"),
    "as_ alice": await join("alice"),
    "as_ bob": await join("bob"),
    "tok_ of a participant": await tok("part", "rooms:*"),
    "tok_ of a collaborator": await tok("coll", "rooms:R"),
    "tok_ of the owner, for nothing": await tok("olga", ""),
    "tok_ of the owner, for creating": await tok("olga", "create_rooms"),
    "tok_ of the owner, for another room": await tok("olga", "rooms:olgas"),
    "tok_ of the owner, to read": await tok("olga", "rooms:R:read"),
    "tok_ of the owner, to read everything": await tok("olga", "rooms:*:read rooms:olgas"),
    "tok_ of the owner, to write": await tok("olga", "rooms:R:write"),
    "tok_ of the owner, as carol": await tok("olga", "rooms:R:agent:carol"),
    "tok_ of the owner": await tok("olga", "rooms:R"),
    "tok_ of the owner, for everything": await tok("olga", "rooms:*"),
    "room_": room.token,
  };
  return { on, tokens, close: () => on.close() };
}

interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  readonly body: any;
}

/** One request; a stream is opened and closed again. */
async function ask(
  { on, tokens }: World,
  method: string,
  path: string,
  credential: string,
  body?: unknown,
): Promise<Answer> {
  const token = tokens[credential];
  const authorization = token === undefined
    ? undefined
    : token === "*"
    ? "Basic YTpi"
    : `Bearer ${token}`;
  const controller = new AbortController();
  const request = new Request(ORIGIN + path, {
    method,
    headers: {
      ...(authorization ? { Authorization: authorization } : {}),
      "Content-Type": "application/json",
    },
    signal: controller.signal,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const response = await on.service.fetch(request);
  if ((response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
    await response.body?.cancel();
    controller.abort();
    return { status: response.status, body: {} };
  }
  return { status: response.status, body: await response.json() };
}

/** May a consent of its user let the token do what it cannot do yet? */
function mayAskFor(standing: Extract<Standing, { reach: Level }>, wanted: Level): boolean {
  return standing.canWiden === true &&
    LEVELS.indexOf(standing.reach) < LEVELS.indexOf(wanted) &&
    LEVELS.indexOf(standing.role ?? "none") >= LEVELS.indexOf(wanted);
}

/** What the hand-written table says about a credential and a level. */
function mustFit(answer: Answer, standing: Standing, row: Row, what: string): void {
  const told = `${what}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 300)}`;
  if ("status" in standing) {
    assert.equal(answer.status, standing.status, told);
    assert.equal(
      answer.body.error,
      standing.status === 401 ? standing.error : "room_not_found",
      told,
    );
    return;
  }
  const isReached = LEVELS.indexOf(standing.reach) >= LEVELS.indexOf(row.level);
  const others = row.ofOthers ?? row.level;
  const wanted = isReached && mayAskFor(standing, others) ? others : row.level;
  if (isReached && wanted === row.level) {
    assert.equal(REFUSED.has(answer.body.error), false, told);
    assert.ok(answer.status < 500, told);
    return;
  }
  assert.equal(answer.status, 403, told);
  assert.ok(REFUSED.has(answer.body.error), told);
  if (mayAskFor(standing, wanted)) {
    assert.equal(answer.body.error, "scope_denied", told);
    assert.match(answer.body.elevate, /^http:\/\/localhost:8787\/auth\/elevate\?request=/, told);
  }
  if (!standing.canWiden && standing.reach === "read" && wanted !== "owner") {
    assert.equal(answer.body.error, "read_only_token", told);
  }
}

Deno.test("Every route that is about a room stands in this table, and the other way round", () => {
  const names = ROUTES.map(({ method, path }) => `${method} ${path}`);
  // Those about actors have a table of their own.
  const others = names.filter((name) => !/ \/(actors|service-accounts)\b/.test(name));
  assert.deepEqual(others.filter((name) => !APART.has(name) && !(name in WANTED)), []);
});

for (const { method, path } of ROUTES) {
  const name = `${method} ${path}`;
  const row = WANTED[name];
  if (!row) continue;
  Deno.test(`${name} answers who reaches it, and nobody else`, async () => {
    let world = await makeWorld();
    for (const [credential, standing] of Object.entries(CREDENTIALS)) {
      const answer = await ask(world, method, `/rooms/R${row.path}`, credential, row.body);
      mustFit(answer, standing, row, `${name} with ${credential}`);
      const isSpent = method === "DELETE" || path.endsWith("rotate-view-token") ||
        path.endsWith("fork");
      if (!isSpent || answer.status >= 300) continue;
      await world.close();
      world = await makeWorld();
    }
    await world.close();
  });
}

Deno.test("A room one may not see is a room that does not exist, to the letter", async () => {
  const world = await makeWorld();
  const blind = Object.entries(CREDENTIALS).filter(([, standing]) => "status" in standing).map((
    [name],
  ) => name);
  for (const [name, row] of Object.entries(WANTED)) {
    const [method] = name.split(" ") as [string];
    if (!ROUTES.some((route) => `${route.method} ${route.path}` === name)) continue;
    for (const credential of blind) {
      const there = await ask(world, method, `/rooms/R${row.path}`, credential, row.body);
      const gone = await ask(world, method, `/rooms/Q${row.path}`, credential, row.body);
      const told = JSON.stringify(there).replaceAll('"R"', '"Q"').replaceAll('\\"R\\"', '\\"Q\\"');
      assert.equal(told, JSON.stringify(gone), `${name} with ${credential}`);
    }
  }
  await world.close();
});

/** A path whose every part is nonsense, and parameters that no route takes so. */
function nonsense(path: string): string {
  const made = path.replace(/:([a-z]+)/g, (_, name) => name === "id" ? "R" : "bad%20name");
  return `${made}?limit=x&after=x&depth=x&timeout=x&from=x&proof=x&format=x&since=x`;
}

Deno.test("Nonsense without a credential is 401 at every route, whether the room exists or not", async () => {
  const { on, tokens, close } = await makeWorld();
  const asked = async (method: string, path: string, body: unknown, token?: string) =>
    await on.call(method, path, {
      headers: { Host: "sync.example.org" },
      ...(method === "GET" ? {} : { body }),
      ...(token === undefined ? {} : { token }),
    });
  for (const { method, path, verb } of ROUTES) {
    const isForAll = path === "/.well-known/did.json" || path.endsWith("/did.json") ||
      path === "/actors/challenge";
    if (isForAll) continue;
    for (const body of [{}, { nonsense: 1 }, [], "{", { username: 5, role: 5, id: 5 }]) {
      const there = await asked(method, nonsense(path), body);
      const what = `${method} ${path} with ${JSON.stringify(body)}: ${there.text}`;
      assert.equal(there.status, 401, what);
      assert.equal(there.body.error, "authentication_required", what);
      const gone = await asked(method, nonsense(path).replace("/R", "/Q"), body);
      assert.equal(gone.text, there.text.replaceAll("/R", "/Q"), what);
      const isOfRoom = verb !== "open" && verb !== "token" && verb !== "room.claim";
      if (!isOfRoom) continue;
      const strange = await asked(method, nonsense(path), body, tokens["tok_ of a stranger"]);
      assert.equal(strange.status, 404, `${what}\n${strange.text}`);
    }
  }
  await close();
});

Deno.test("A user's token that is about one room is refused in the user's other rooms, with no link to widen it", async () => {
  const { on, tokens, close } = await makeWorld();
  const token = tokens["tok_ of the owner, for everything"];
  const made = await on.call("POST", "/rooms", {
    token: await userToken(on, "olga", "create_rooms"),
    body: { id: "third" },
  });
  const joined = await on.call("POST", "/rooms/olgas/agents", { token, body: { id: "own" } });
  for (const secret of [made.body.token, made.body.view_token, joined.body.token]) {
    for (const [name, { path, body }] of Object.entries(WANTED)) {
      const [method] = name.split(" ") as [string];
      if (!ROUTES.some((route) => `${route.method} ${route.path}` === name)) continue;
      const reply = await on.call(method, `/rooms/R${path}`, { token: secret, body });
      assert.deepEqual([reply.status, reply.body.error], [403, "read_only_token"], name);
      assert.equal("elevate" in reply.body, false);
    }
  }
  await close();
});

Deno.test("A room that is public to read is read by anybody, and written by nobody more", async () => {
  const world = await makeWorld({ join: "token", public: "read" });
  for (const credential of ["none", "tok_ of a stranger", "room_ of another room"]) {
    for (const [name, row] of Object.entries(WANTED)) {
      const [method] = name.split(" ") as [string];
      if (!ROUTES.some((route) => `${route.method} ${route.path}` === name)) continue;
      const answer = await ask(world, method, `/rooms/R${row.path}`, credential, row.body);
      const what = `${name} with ${credential}: ${JSON.stringify(answer.body).slice(0, 200)}`;
      if (row.level === "read") {
        assert.ok(answer.status < 500 && !REFUSED.has(answer.body.error), what);
      } else if (credential === "none") {
        assert.deepEqual(
          [answer.status, answer.body.error],
          [401, "authentication_required"],
          what,
        );
      } else assert.equal(answer.status, 403, what);
    }
  }
  await world.close();
});

/** Joining as a new agent, `carol`: who may, in a closed and in an open room. */
const JOINS: Readonly<Record<string, readonly [closed: number, open: number]>> = {
  "none": [401, 201],
  "garbage": [401, 401],
  "revoked": [401, 401],
  "expired": [401, 401],
  "room_ of another room": [404, 201],
  "tok_ of a stranger": [404, 201],
  "view_": [403, 403],
  "tok_ of an observer": [403, 403],
  "as_ alice": [403, 403],
  "tok_ of a participant": [201, 201],
  "tok_ of a collaborator": [201, 201],
  "tok_ of the owner, for nothing": [403, 403],
  "tok_ of the owner, to read": [403, 403],
  "tok_ of the owner, to write": [201, 201],
  "tok_ of the owner, as carol": [201, 201],
  "tok_ of the owner": [201, 201],
  "room_": [201, 201],
};

Deno.test("Joining: who may, and the token that comes of it works as the agent", async () => {
  for (const [i, join] of (["token", "open"] as const).entries()) {
    for (const [credential, expected] of Object.entries(JOINS)) {
      const world = await makeWorld({ join });
      const answer = await ask(world, "POST", "/rooms/R/agents", credential, { id: "carol" });
      const what = `${credential} into a room with join:${join}: ${JSON.stringify(answer.body)}`;
      assert.equal(answer.status, expected[i], what);
      if (answer.status === 201) {
        const { token } = answer.body;
        const sent = await world.on.invoke("R", "_send_message", { body: "hi" }, token);
        assert.equal(sent.status, 201, `${what}\nthen ${sent.text}`);
        assert.equal(sent.body.agent, "carol");
        const admin = await world.on.call("PATCH", "/rooms/R", { token, body: { label: "x" } });
        assert.equal(admin.status, 403, "an agent's token is no admin's");
      }
      await world.close();
    }
  }
});

Deno.test("Tokens that come of a grant follow it: narrowing, roles and revocation reach them at once", async (t) => {
  const { on, close } = await makeWorld();
  const coll = await userToken(on, "coll", "rooms:R:write");
  const { body: { token: child } } = await on.call("POST", "/rooms/R/agents", {
    token: coll,
    body: { id: "kid" },
  });
  const reads = async () => (await on.call("GET", "/rooms/R/context", { token: child })).status;
  const writes = async () => (await on.invoke("R", "_send_message", { body: 1 }, child)).status;
  const tokens = (await on.call("GET", "/tokens", { token: coll })).body.tokens as {
    id: string;
    scope: string;
  }[];
  const { id } = tokens.find(({ scope }) => scope === "rooms:R:write")!;
  await t.step(
    "it writes",
    async () => assert.deepEqual([await reads(), await writes()], [200, 201]),
  );
  await t.step("the grant is narrowed to reading", async () => {
    const patched = await on.call("PATCH", `/tokens/${id}`, {
      token: coll,
      body: { scope: "rooms:R:read" },
    });
    assert.equal(patched.status, 200, patched.text);
    assert.deepEqual([await reads(), await writes()], [200, 403]);
  });
  await t.step("the role goes", async () => {
    const owner = await userToken(on, "olga", "rooms:R");
    assert.equal((await on.call("DELETE", "/rooms/R/members/coll", { token: owner })).status, 200);
    assert.ok([401, 404].includes(await reads()));
    assert.ok([401, 404].includes(await writes()));
  });
  await close();
});

Deno.test("What a request sees is the acting agent's; an admin looks through others' eyes without a trace", async () => {
  const { on, tokens, close } = await makeWorld();
  const see = async (credential: string, query = "") =>
    (await on.call("GET", `/rooms/R/context${query}`, { token: tokens[credential] })).body;
  const own = [{ scope: "${self}", key: "s", value: "mine" }];
  await on.invoke("R", "_register_action", { id: "own", writes: own }, tokens["room_"]);
  await on.invoke("R", "own", {}, tokens["as_ alice"]);
  assert.equal((await see("as_ alice")).state.self.s.value, "mine");
  assert.equal("alice" in (await see("as_ bob")).state, false);
  assert.equal("self" in (await see("view_")).state, false);
  assert.equal((await see("room_")).state.alice.s.value, "mine");
  assert.equal("alice" in (await see("tok_ of the owner, to write")).state, false);
  await on.invoke("R", "_send_message", { body: 1 }, tokens["as_ bob"]);
  assert.equal((await see("room_", "?agent=alice")).messages.unread, 1);
  assert.equal((await see("as_ alice", "?peek=true")).messages.unread, 1);
  for (
    const [query, status] of [["?agent=bob", 403], ["?agent=admin", 403], [
      "?agent=nobody",
      403,
    ]] as const
  ) {
    assert.equal(
      (await on.call("GET", `/rooms/R/context${query}`, { token: tokens["as_ alice"] })).status,
      status,
    );
  }
  assert.equal(
    (await on.call("GET", "/rooms/R/context?agent=nobody", { token: tokens["room_"] })).status,
    404,
  );
  await close();
});

Deno.test("A user's token acts as the agent it has joined; several have to be named", async () => {
  const { on, tokens, close } = await makeWorld();
  const token = tokens["tok_ of a participant"];
  const join = (id: string) => on.call("POST", "/rooms/R/agents", { token, body: { id } });
  const send = (rest = {}, query = "") =>
    on.call("POST", `/rooms/R/actions/_send_message/invoke${query}`, {
      token,
      body: { params: { body: 1 }, ...rest },
    });
  assert.deepEqual([(await send()).status, (await send()).body.error], [400, "agent_required"]);
  assert.equal((await join("one")).status, 201);
  assert.equal((await send()).body.agent, "one");
  assert.equal((await join("two")).status, 201);
  const unclear = await send();
  assert.deepEqual([unclear.status, unclear.body.error], [400, "agent_required"]);
  assert.equal((await send({ agent: "one" })).body.agent, "one");
  assert.equal((await send({}, "?agent=two")).body.agent, "two");
  assert.equal((await send({ agent: "alice" })).body.error, "identity_mismatch");
  const stolen = await on.call("POST", "/rooms/R/agents", {
    token: tokens["tok_ of a collaborator"],
    body: { id: "one" },
  });
  assert.deepEqual(
    [stolen.status, stolen.body.error],
    [409, "agent_exists"],
    "nobody else re-joins it",
  );
  const another = await userToken(on, "part", "rooms:*:write");
  const again = await on.call("POST", "/rooms/R/agents", { token: another, body: { id: "one" } });
  assert.equal(again.status, 201, "any of the user's tokens that may write does");
  await close();
});

Deno.test("Admin verbs and the log go by the token, however many agents it has joined", async () => {
  const { on, tokens, close } = await makeWorld();
  const token = tokens["tok_ of the owner"];
  for (const id of ["one", "two"]) {
    assert.equal((await on.call("POST", "/rooms/R/agents", { token, body: { id } })).status, 201);
  }
  const calls: [string, string, unknown?][] = [
    ["GET", ""],
    ["GET", "/log"],
    ["GET", "/log?agent=one"],
    ["GET", "/verify"],
    ["GET", "/members"],
    ["PATCH", "", { label: "x" }],
    ["POST", "/invite", { username: "paul", role: "observer" }],
    ["PATCH", "/agents/one", { name: "One" }],
    ["PATCH", "/agents/alice", { grants: ["bob"] }],
    ["GET", "/help"],
    ["GET", "/help/guide"],
    ["POST", "/actions/help/invoke", { params: { key: "guide" } }],
    ["GET", "/vocabulary"],
    ["GET", "/samples/shown"],
    ["GET", "/history/_shared"],
    ["GET", "/diff?from=1&to=2"],
    ["GET", "/log?format=jsonl"],
    ["POST", "/actions/_configure/invoke", { params: { key: "label", value: "y" } }],
    ["POST", "/actions/_configure/invoke", { params: { key: "label", value: "y" }, dry_run: true }],
    ["DELETE", "/agents/two"],
    ["POST", "/rotate-view-token"],
  ];
  const shown = { id: "shown", expr: "1", scope: "_shared", render: { type: "metric" } };
  await on.invoke("R", "_register_view", shown, tokens["room_"]);
  for (const [method, path, body] of calls) {
    const reply = await on.call(method, `/rooms/R${path}`, {
      token,
      ...(body === undefined ? {} : { body }),
    });
    assert.equal(reply.status, 200, `${method} ${path}: ${reply.text}`);
  }
  const { records } = (await on.call("GET", "/rooms/R/log?kind=configure", { token })).body;
  const { agent, actor } = records.at(-1);
  assert.deepEqual([agent, actor], ["admin", "did:sync:user:olga"]);
  await close();
});

Deno.test("With several agents and none named, a token reads what stands for no agent, and no more", async () => {
  const { on, tokens, close } = await makeWorld();
  const token = tokens["tok_ of a participant"];
  const nobody = tokens["tok_ of a collaborator"];
  for (const id of ["one", "two"]) {
    const state = { mine: `private of ${id}` };
    await on.call("POST", "/rooms/R/agents", { token, body: { id, state } });
  }
  const read = (as: string | undefined, path: string) =>
    on.call("GET", `/rooms/R${path}`, { token: as });
  for (const path of ["/history/_agents", "/diff?from=0", "/vocabulary", "/help", "/log"]) {
    const reply = await read(token, path);
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.text.includes("private of"), false, reply.text);
    assert.deepEqual(reply.body, (await read(nobody, path)).body, path);
  }
  const named = await read(token, "/history/one?agent=one");
  assert.equal(named.body.entries[0].value, "private of one");
  const ofOne = ["/history/one", "/history/self", "/diff?from=0&scope=self"];
  const asOne = ["/context", "/wait?condition=true", "/poll", "/salience", "/replay/1"];
  for (const path of [...ofOne, ...asOne]) {
    const reply = await read(token, path);
    assert.deepEqual([reply.status, reply.body.error], [400, "agent_required"], path);
    assert.equal(
      (await read(token, `${path}${path.includes("?") ? "&" : "?"}agent=one`)).status,
      200,
    );
  }
  const configured = await on.invoke("R", "_configure", { key: "label", value: "x" }, token, {
    agent: "one",
  });
  assert.deepEqual([configured.status, configured.body.error], [403, "scope_denied"]);
  await close();
});

Deno.test("GET /rooms shows each token what it may see, and no more", async () => {
  const { on, tokens, close } = await makeWorld();
  const seen: Record<string, string[]> = {
    "view_": ["R"],
    "room_": ["R"],
    "as_ alice": ["R"],
    "as_ of another room": ["other"],
    "tok_ of a stranger": [],
    "tok_ of an observer": ["R"],
    "tok_ of the owner": ["R"],
    "tok_ of the owner, for another room": ["olgas"],
    "tok_ of the owner, for nothing": [],
    "tok_ of the owner, for creating": [],
    "tok_ of the owner, to read everything": ["R", "olgas"],
    "tok_ of the owner, for everything": ["R", "olgas"],
    "tok_ of the owner, as carol": ["R"],
  };
  for (const [credential, ids] of Object.entries(seen)) {
    const { status, body } = await on.call("GET", "/rooms", { token: tokens[credential] });
    assert.equal(status, 200, credential);
    assert.deepEqual(body.rooms.map(({ id }: { id: string }) => id), ids, credential);
    assert.equal(body.total, ids.length, credential);
  }
  for (const credential of ["none", "garbage", "revoked", "expired"]) {
    assert.equal(
      (await on.call("GET", "/rooms", { token: tokens[credential] })).status,
      401,
      credential,
    );
  }
  await close();
});

Deno.test("Claiming: a user with the room's token owns an anonymous room, once, and the token rotates", async () => {
  const { on, tokens, close } = await makeWorld();
  const other = tokens["room_ of another room"];
  const claim = (token: string | undefined, room_token: unknown) =>
    on.call("POST", "/rooms/other/claim", { token, body: { room_token } });
  assert.equal((await claim(undefined, other)).status, 401);
  assert.equal((await claim(other, other)).status, 403);
  const stranger = tokens["tok_ of a stranger"];
  for (
    const wrong of ["room_wrong-wrong-wrong", tokens["as_ of another room"], tokens["room_"], 7]
  ) {
    const reply = await claim(stranger, wrong);
    assert.ok([400, 401, 404].includes(reply.status), `${wrong}: ${reply.text}`);
  }
  const claimed = await claim(stranger, other);
  assert.equal(claimed.status, 200, claimed.text);
  assert.equal(
    (await on.call("GET", "/rooms/other", { token: other })).status,
    401,
    "the old token is dead",
  );
  assert.equal((await on.call("GET", "/rooms/other", { token: stranger })).body.role, "owner");
  const again = await claim(tokens["tok_ of a participant"], claimed.body.token ?? other);
  assert.ok(again.status >= 400, again.text);
  await close();
});

Deno.test("What a token is too narrow for, its user may allow; what its user may not, nobody is asked", async () => {
  const { on, tokens, close } = await makeWorld();
  await on.call("POST", "/rooms/R/agents", {
    token: tokens["tok_ of the owner, as carol"],
    body: { id: "carol" },
  });
  const calls = {
    "_configure": [
      "POST",
      "/actions/_configure/invoke",
      { params: { key: "a", value: 1 }, agent: "carol" },
    ],
    "its own role": ["PATCH", "/agents/carol", { role: "x" }],
    "another's name": ["PATCH", "/agents/bob", { name: "B" }],
    "another's leaving": ["DELETE", "/agents/bob", undefined],
  } as const;
  for (const [name, [method, path, body]] of Object.entries(calls)) {
    const narrow = await on.call(method, `/rooms/R${path}`, {
      token: tokens["tok_ of the owner, as carol"],
      body,
    });
    assert.deepEqual([narrow.status, narrow.body.error], [403, "scope_denied"], name);
    assert.match(narrow.body.elevate, /\/auth\/elevate\?request=/, name);
  }
  for (const credential of ["as_ alice", "tok_ of a participant", "tok_ of a collaborator"]) {
    const reply = await on.call("PATCH", "/rooms/R/agents/bob", {
      token: tokens[credential],
      body: { role: "x" },
    });
    assert.deepEqual([reply.status, reply.body.error], [403, "room_token_required"], credential);
    assert.equal("elevate" in reply.body, false, credential);
  }
  await close();
});

Deno.test("Without any credential a public room is read; all else says that it takes one", async () => {
  const { on, close } = await makeWorld({ join: "token", public: "read" });
  assert.equal((await on.call("GET", "/rooms/R/context")).status, 200);
  for (const [name, row] of Object.entries(WANTED)) {
    const [method] = name.split(" ") as [string];
    if (row.level === "read" || !ROUTES.some((route) => `${route.method} ${route.path}` === name)) {
      continue;
    }
    const reply = await on.call(method, `/rooms/R${row.path}`, row.body ? { body: row.body } : {});
    assert.deepEqual([reply.status, reply.body.error], [401, "authentication_required"], name);
    assert.match(reply.headers.get("WWW-Authenticate") ?? "", /^Bearer/, name);
  }
  await close();
});
