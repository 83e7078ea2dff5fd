/** Routes about actors against every kind of credential, and the bounds of what they take. */
import assert from "node:assert/strict";
import { ROUTES } from "../http/routes.ts";
import * as limits from "../limits.ts";
import { insertActor } from "../store/actors.ts";
import { userToken } from "./harness.ts";
import { at, makeWorld, type World } from "./actors_world.ts";

const DEV = "did:sync:agent:dev";

/** What may call a route: anybody, any credential, users in person, the actor and its owner, the owner. */
type Who = "anybody" | "token" | "user" | "self" | "owner";

const ROWS: Readonly<Record<string, { who: Who; path: (sa: string) => string; body?: unknown }>> = {
  "POST /actors": {
    who: "user",
    path: () => "/actors",
    body: { did: `did:sync:agent:n${Math.PI.toString(36).slice(2, 6)}` },
  },
  "GET /actors": { who: "token", path: () => "/actors" },
  "POST /actors/challenge": { who: "anybody", path: () => "/actors/challenge", body: { did: DEV } },
  "GET /actors/:did": { who: "token", path: () => at(DEV) },
  "GET /actors/:did/did.json": { who: "anybody", path: () => at(DEV, "/did.json") },
  "PATCH /actors/:did": { who: "owner", path: () => at(DEV), body: {} },
  "DELETE /actors/:did": { who: "owner", path: () => at(DEV) },
  "POST /actors/:did/reset": { who: "owner", path: () => at(DEV, "/reset"), body: {} },
  "GET /actors/:did/trust": { who: "token", path: () => at(DEV, "/trust") },
  "GET /actors/:did/records": { who: "token", path: () => at(DEV, "/records") },
  "GET /actors/:did/log": { who: "owner", path: () => at(DEV, "/log") },
  "GET /actors/:did/memory": { who: "self", path: () => at(DEV, "/memory") },
  "GET /actors/:did/memory/:name": { who: "self", path: () => at(DEV, "/memory/kept") },
  "PUT /actors/:did/memory/:name": { who: "self", path: () => at(DEV, "/memory/kept"), body: {} },
  "DELETE /actors/:did/memory/:name": { who: "self", path: () => at(DEV, "/memory/kept") },
  "POST /service-accounts": {
    who: "user",
    path: () => "/service-accounts",
    body: { name: "x", scope: "" },
  },
  "GET /service-accounts": { who: "user", path: () => "/service-accounts" },
  "POST /service-accounts/:account/rotate": {
    who: "owner",
    path: (sa) => `/service-accounts/${sa}/rotate`,
    body: {},
  },
  "DELETE /service-accounts/:account": { who: "owner", path: (sa) => `/service-accounts/${sa}` },
};

/** What each credential is, to the actor `dev` of uma's. */
const CREDENTIALS: Readonly<Record<string, readonly Who[]>> = {
  "none": ["anybody"],
  "garbage": [],
  "room_": ["anybody", "token"],
  "view_": ["anybody", "token"],
  "as_ of a local agent": ["anybody", "token"],
  "as_ of the actor": ["anybody", "token", "self"],
  "service account of it": ["anybody", "token", "self"],
  "service account of another": ["anybody", "token"],
  "tok_ of the owner": ["anybody", "token", "user", "self", "owner"],
  "tok_ of the owner, to read": ["anybody", "token"],
  "tok_ of the owner, for nothing": ["anybody", "token"],
  "tok_ of the owner, bound": ["anybody", "token"],
  "tok_ of another user": ["anybody", "token", "user"],
};

async function makeRow(): Promise<
  World & { tokens: Record<string, string | undefined>; sa: string }
> {
  const world = await makeWorld();
  const { uma, ulf, as, on, room } = world;
  await as(uma, "POST", "/actors", { did: DEV });
  const dev = (await world.join(uma, { id: "dev", actor: DEV })).body.token;
  await as(dev, "PUT", at(DEV, "/memory/kept"), { body: "x" });
  const account = async (actors: string[], token = uma) =>
    (await as(token, "POST", "/service-accounts", { name: "s", actors, scope: "rooms:R:write" }))
      .body;
  const mine = await account([DEV]);
  return {
    ...world,
    sa: mine.id,
    tokens: {
      "none": undefined,
      "garbage": "tok_garbage-garbage-garbage",
      "room_": room.admin,
      "view_": room.view,
      "as_ of a local agent": room.agents["alice"]!,
      "as_ of the actor": dev,
      "service account of it": mine.token,
      "service account of another": (await account([])).token,
      "tok_ of the owner": uma,
      "tok_ of the owner, to read": await userToken(on, "uma", "rooms:*:read"),
      "tok_ of the owner, for nothing": await userToken(on, "uma", ""),
      "tok_ of the owner, bound": await userToken(on, "uma", "rooms:R:agent:other"),
      "tok_ of another user": ulf,
    },
  };
}

Deno.test("Every route about actors stands in this table", () => {
  const names = ROUTES.map(({ method, path }) => `${method} ${path}`)
    .filter((name) => / \/(actors|service-accounts)\b/.test(name));
  assert.deepEqual(names.sort(), Object.keys(ROWS).sort());
});

for (const [name, row] of Object.entries(ROWS)) {
  Deno.test(`${name} answers ${row.who}, and nobody else`, async () => {
    let world = await makeRow();
    for (const [credential, is] of Object.entries(CREDENTIALS)) {
      const [method] = name.split(" ") as [string];
      const reply = await world.on.call(method, row.path(world.sa), {
        token: world.tokens[credential],
        body: row.body,
      });
      const told = `${credential}: ${reply.status} ${reply.text.slice(0, 300)}`;
      // A door for anybody does not look at credentials.
      if (is.includes(row.who) || row.who === "anybody") assert.ok(reply.status < 300, told);
      else if (credential === "none" || credential === "garbage") {
        assert.equal(reply.status, 401, told);
      } else assert.ok([403, 404].includes(reply.status), told);
      const isSpent = reply.status < 300 && (method === "DELETE" || method === "POST");
      if (!isSpent) continue;
      await world.close();
      world = await makeRow();
    }
    await world.close();
  });
}

Deno.test("A service account never reaches further than its maker, its maker's token and its scope", async () => {
  const world = await makeWorld();
  const { on, uma, as } = world;
  const narrow = await userToken(on, "uma", "rooms:R:write");
  const wide = await as(narrow, "POST", "/service-accounts", { name: "x", scope: "rooms:*" });
  assert.equal(wide.body.error, "scope_exceeds_token", wide.text);
  for (const scope of ["rooms:R", "rooms:elsewhere:read", "rooms:R:agent:alice"]) {
    const beyond = await as(uma, "POST", "/service-accounts", { name: "x", scope });
    const { error, room } = beyond.body;
    assert.deepEqual([beyond.status, error, room], [
      403,
      "scope_exceeds_access",
      scope.split(":")[1],
    ]);
  }
  const made = await as(uma, "POST", "/service-accounts", { name: "x", scope: "rooms:*" });
  const patch = () => as(made.body.token, "PATCH", "/rooms/R", { label: "x" });
  assert.equal((await patch()).status, 403, "its maker is a collaborator, no admin");
  const log = await as(made.body.token, "GET", "/rooms/R/context?only=agents");
  assert.equal(log.status, 200);
  const child = await as(made.body.token, "POST", "/tokens", { scope: "rooms:R:write" });
  assert.equal(child.status, 201, child.text);
  const joined = await on.call("POST", "/rooms/R/agents", {
    token: child.body.token,
    body: { id: "kid", actor: "did:sync:user:uma" },
  });
  assert.equal(joined.body.error, "actor_denied", "what it mints speaks for no more than it");
  const parent = await userToken(on, "uma", "rooms:R:write");
  const hung = await as(parent, "POST", "/service-accounts", { name: "y", scope: "rooms:R:read" });
  const read = async () => (await as(hung.body.token, "GET", "/rooms/R/context")).status;
  assert.equal(await read(), 200);
  for (const { id, scope, client } of (await as(uma, "GET", "/tokens")).body.tokens) {
    if (scope === "rooms:R:write" && client === null) await as(uma, "DELETE", `/tokens/${id}`);
  }
  assert.equal(await read(), 401, "it ends with the token that made it");
  await world.close();
});

Deno.test("A rotated token is good for the overlap, the new one for good; deleting ends both", async () => {
  const world = await makeWorld();
  const { as, uma, clock } = world;
  const made = await as(uma, "POST", "/service-accounts", { name: "x", scope: "rooms:R:write" });
  const { id, token } = made.body;
  const rotated = await as(uma, "POST", `/service-accounts/${id}/rotate`, { overlap_ms: 60_000 });
  const works = async (secret: string) =>
    (await as(secret, "GET", "/rooms/R/context?only=agents")).status;
  assert.deepEqual([await works(token), await works(rotated.body.token)], [200, 200]);
  await clock.advance(60_000);
  assert.deepEqual([await works(token), await works(rotated.body.token)], [401, 200]);
  await as(uma, "DELETE", `/service-accounts/${id}`);
  assert.equal(await works(rotated.body.token), 401);
  assert.equal((await as(uma, "GET", "/service-accounts")).body.service_accounts.length, 0);
  await world.close();
});

Deno.test("What a service account does by itself is recorded as its own, not as its maker's", async () => {
  const world = await makeWorld();
  const { as, uma, on } = world;
  const made = await as(uma, "POST", "/service-accounts", {
    name: "x",
    scope: "rooms:* create_rooms",
  });
  const { did, token } = made.body;
  const room = await as(token, "POST", "/rooms", { id: "S" });
  assert.equal(room.status, 201, room.text);
  await on.invoke("S", "_send_message", { body: 1 }, token);
  const log = await as(token, "GET", "/rooms/S/log");
  assert.deepEqual([...new Set(log.body.records.map((r: { actor: string }) => r.actor))], [did]);
  await world.close();
});

Deno.test("Bounds of actors, manuals and service accounts are clear refusals", async () => {
  const world = await makeWorld();
  const { as, uma, on } = world;
  const owner = (await as(uma, "GET", "/tokens")).status === 200
    ? (await on.service.store.db.all("SELECT id FROM user WHERE username = 'uma'"))[0]!["id"]
    : "";
  await on.service.store.run(
    Array.from({ length: limits.USER_ACTORS_MAX - 1 }, (_, i) =>
      insertActor({
        did: `did:sync:agent:x${i}`,
        kind: "agent",
        displayName: null,
        owner: String(owner),
        substrate: null,
        publicKey: null,
        manual: null,
        createdAt: 0,
      })),
  );
  const manual = (length: number, did: string) =>
    as(uma, "POST", "/actors", { did, manual: "x".repeat(length) });
  assert.equal((await manual(limits.MANUAL_LENGTH_MAX + 1, DEV)).status, 400);
  assert.equal((await manual(limits.MANUAL_LENGTH_MAX, DEV)).status, 201);
  assert.equal((await manual(1, "did:sync:agent:past")).body.error, "limit_exceeded");
  const list = await as(uma, "GET", `/actors?limit=${limits.ACTORS_LIMIT_MAX}`);
  assert.equal(list.body.returned, limits.ACTORS_LIMIT_MAX);
  assert.equal((await as(uma, "GET", `/actors?limit=${limits.ACTORS_LIMIT_MAX + 1}`)).status, 400);
  assert.equal((await as(uma, "GET", "/actors")).body.returned, limits.ACTORS_LIMIT_DEFAULT);
  const account = (n: number) =>
    as(uma, "POST", "/service-accounts", {
      name: "x",
      scope: "",
      actors: Array.from({ length: n }, () => DEV),
    });
  assert.equal((await account(limits.SERVICE_ACTORS_MAX + 1)).status, 400);
  for (let i = 0; i < limits.SERVICE_ACCOUNTS_MAX; i++) {
    assert.equal((await account(i === 0 ? limits.SERVICE_ACTORS_MAX : 0)).status, 201);
  }
  assert.equal((await account(0)).body.error, "limit_exceeded");
  const { id } = (await as(uma, "GET", "/service-accounts")).body.service_accounts[0];
  const rotate = (overlap_ms: number) =>
    as(uma, "POST", `/service-accounts/${id}/rotate`, { overlap_ms });
  assert.equal((await rotate(limits.SERVICE_OVERLAP_MS_MAX + 1)).status, 400);
  assert.equal((await rotate(limits.SERVICE_OVERLAP_MS_MAX)).status, 200);
  await world.close();
});
