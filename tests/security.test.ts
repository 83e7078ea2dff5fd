/**
 * What must never happen: writes without authority, confused deputies, tokens that outlive their
 * room or their grant, doors open to proxies and other origins, secrets in the database.
 */
import assert from "node:assert/strict";
import {
  makeRoom,
  makeUser,
  type ManualClock,
  ORIGIN,
  type Reply,
  startService,
  turns,
  userToken,
} from "./harness.ts";

Deno.test("Confused deputies: authority is the action's, never the invoker's grants or an admin's sight", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob", "greta"]);
  const { alice, bob, greta } = room.agents as Record<"alice" | "bob" | "greta", string>;
  await on.call("PATCH", `/rooms/${room.id}/agents/greta`, {
    token: room.admin,
    body: { grants: ["bob"] },
  });
  const own = [{ scope: "${self}", key: "s", value: "bobs-secret" }];
  await on.invoke(room.id, "_register_action", { id: "own", writes: own }, alice);
  await on.invoke(room.id, "own", {}, bob);
  const spy = {
    id: "spy",
    scope: "alice",
    writes: [{ key: "loot", value: 'state[?"bob"][?"s"].hasValue()', expr: true }],
    result: 'state["bob"]["s"].value',
  };
  assert.equal((await on.invoke(room.id, "_register_action", spy, alice)).status, 201);
  for (
    const [name, token] of [["greta", greta], ["admin", room.admin], ["alice", alice], ["bob", bob]]
  ) {
    const { status, body, text } = await on.invoke(room.id, "spy", {}, token);
    assert.equal(status, 200, text);
    assert.equal(body.writes[0].value, false, `${name}: ${text}`);
    assert.equal(text.includes("bobs-secret"), false, `${name}`);
  }
  for (const [id, result] of [["mine", "state.self.s.value"], ["same", "state[self].s.value"]]) {
    await on.invoke(room.id, "_register_action", { id, writes: [], result }, alice);
    const bobs = await on.invoke(room.id, id!, {}, bob);
    assert.equal(bobs.body.result, "bobs-secret", "the invoker's own scope is its to show");
  }
  const view = await on.invoke(
    room.id,
    "_register_view",
    { id: "all", expr: "state.bob.s.value" },
    room.admin,
  );
  assert.equal(view.status, 201);
  assert.equal(
    (await on.call("GET", `/rooms/${room.id}/context`, { token: room.admin })).body.views.all.value,
    null,
  );
  for (
    const guess of [{ if: 'state.bob.s.value == "x"' }, { if: "state.bob.nope.value == 1" }, {
      if_version: { "bob.s": "" },
    }, { if_version: { "bob.nope": "" } }]
  ) {
    const reply = await on.call("POST", `/rooms/${room.id}/actions/own/invoke`, {
      token: alice,
      body: guess,
    });
    assert.deepEqual(
      [reply.status, reply.body.error],
      [403, "scope_denied"],
      JSON.stringify(guess),
    );
  }
  const guesses = ["s", "nope"].map((k) => ({
    params: { s: "bob", k },
    if: "state[params.s][params.k].value == 1",
  }));
  const told = await Promise.all(
    guesses.map((body) =>
      on.call("POST", `/rooms/${room.id}/actions/own/invoke`, { token: alice, body })
    ),
  );
  const bare = told.map(({ status, text }) => [status, text.replaceAll(/nope/g, "s")]);
  assert.deepEqual(bare[0], bare[1], "a guess by a computed key");
  await on.close();
});

Deno.test("Nobody grants itself anything, and only owners grant everything", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const grant = (token: string | undefined, body: unknown) =>
    on.call("PATCH", `/rooms/${room.id}/agents/alice`, { token, body });
  for (const grants of [["bob"], ["*"], []]) {
    assert.equal((await grant(room.agents["alice"], { grants })).status, 403);
  }
  await makeUser(on, "cora", { [room.id]: "collaborator" });
  assert.equal(
    (await grant(await userToken(on, "cora", "rooms:*"), { grants: ["*"] })).status,
    403,
  );
  assert.equal((await grant(room.admin, { grants: ["*"] })).status, 200);
  for (const grants of [["_shared"], ["a b"], [1], "bob", { bob: true }]) {
    assert.equal((await grant(room.admin, { grants })).status, 400, JSON.stringify(grants));
  }
  await on.close();
});

Deno.test("A deleted room's tokens, waits and name end; a room of the same id inherits nothing", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"], { id: "phoenix" });
  await on.invoke(room.id, "_send_message", { body: "old-words" }, room.agents["alice"]);
  const waiting = on.call("GET", "/rooms/phoenix/wait?condition=false", {
    token: room.agents["alice"],
  });
  await turns();
  assert.equal((await on.call("DELETE", "/rooms/phoenix", { token: room.admin })).status, 200);
  const ended = await waiting;
  assert.ok([401, 404].includes(ended.status), ended.text);
  const again = await makeRoom(on, [], { id: "phoenix" });
  for (const token of [room.admin, room.view, room.agents["alice"]]) {
    for (
      const [method, path] of [["GET", "/rooms/phoenix"], ["GET", "/rooms/phoenix/context"], [
        "GET",
        "/rooms/phoenix/log",
      ]] as const
    ) {
      const reply = await on.call(method, path, { token });
      assert.ok([401, 404].includes(reply.status), `${method} ${path}: ${reply.text}`);
    }
  }
  const fresh = await on.call("GET", "/rooms/phoenix/log", { token: again.admin });
  assert.equal(fresh.body.total, 1);
  assert.equal(fresh.text.includes("old-words"), false);
  assert.equal(
    (await on.call("POST", "/rooms/phoenix/agents", { body: { id: "alice" } })).status,
    201,
  );
  await (on.service.engine.clock as ManualClock).advance(60_000);
  await on.restart().then(async (after) => {
    const { body } = await after.call("GET", "/rooms/phoenix/log", { token: again.admin });
    assert.equal(body.total, 2);
    await after.close();
  });
  await on.close().catch(() => undefined);
});

const FOREIGN: readonly [string, Record<string, string>][] = [
  ["X-Forwarded-For", { "X-Forwarded-For": "127.0.0.1" }],
  ["X-Forwarded-Host", { "X-Forwarded-Host": "localhost" }],
  ["X-Forwarded-Proto", { "X-Forwarded-Proto": "http" }],
  ["Forwarded", { Forwarded: "for=127.0.0.1" }],
  ["Via", { Via: "1.1 proxy" }],
  ["another origin", { Origin: "http://evil.example" }],
  ["no origin of its own", { Origin: "null" }],
  ["another port's origin", { Origin: "http://localhost:9999" }],
  ["a name that is bound to this machine", { Host: "evil.example" }],
  ["a name that looks like it", { Host: "localhost.evil.example" }],
  ["an address", { Host: "192.168.0.7:8787" }],
];

Deno.test("Open mode answers no proxy, no other origin, no other host", async (t) => {
  const on = await startService();
  for (const [name, headers] of FOREIGN) {
    await t.step(name, async () => {
      const reply = await on.call("POST", "/rooms", { body: {}, headers });
      assert.deepEqual(
        [reply.status, reply.body.error],
        [401, "authentication_required"],
        reply.text,
      );
    });
  }
  const fine: Record<string, string>[] = [
    {},
    { Host: "localhost:8787" },
    { Host: "127.0.0.1:8787" },
    { Host: "[::1]:8787" },
    { Origin: ORIGIN },
  ];
  for (const headers of fine) {
    await t.step(`fine: ${JSON.stringify(headers)}`, async () => {
      assert.equal((await on.call("POST", "/rooms", { body: {}, headers })).status, 201);
    });
  }
  await on.close();
  for (
    const env of [{ SYNC_ROOM_CREATION: "token" }, { HOST: "0.0.0.0" }, {
      SYNC_ORIGIN: "https://sync.example.org",
    }] as Record<string, string>[]
  ) {
    await t.step(`closed by ${JSON.stringify(env)}`, async () => {
      const closed = await startService({ env });
      assert.equal((await closed.call("POST", "/rooms", { body: {} })).status, 401);
      await closed.close();
    });
  }
});

Deno.test("An agent whose tokens were revoked stays taken; only an admin re-issues it", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  await on.call("DELETE", `/rooms/${room.id}/agents/alice`, { token: room.admin });
  const join = (token?: string): Promise<Reply> =>
    on.call("POST", `/rooms/${room.id}/agents`, { token, body: { id: "alice" } });
  assert.equal((await join()).status, 409);
  assert.equal((await join(room.agents["bob"])).status, 403);
  assert.equal((await join(room.agents["alice"])).status, 401);
  assert.equal((await join(await userToken(on, "mallory", "rooms:*"))).status, 409);
  assert.equal((await join(room.admin)).status, 201);
  await on.close();
});

Deno.test("An admin in an agent's name stays an admin in the record", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  await on.call("POST", `/rooms/${room.id}/actions/_send_message/invoke`, {
    token: room.admin,
    body: { agent: "alice", params: { body: "as her" } },
  });
  const { body } = await on.call("GET", `/rooms/${room.id}/log?kind=message`, { token: room.view });
  const [record] = body.records;
  assert.equal(record.agent, "alice");
  assert.match(record.actor, /admin$/);
  assert.match(record.on_behalf, /alice$/);
  const claimed = await on.call("POST", `/rooms/${room.id}/agents`, {
    body: { id: "eve", actor: record.on_behalf },
  });
  assert.deepEqual([claimed.status, claimed.body.error], [403, "actor_denied"]);
  await on.close();
});

Deno.test("A narrow token cannot invite, mint, list or touch wider siblings, or create rooms", async (t) => {
  const on = await startService({ env: { SYNC_ROOM_CREATION: "token" } });
  const wide = await userToken(on, "olga", "rooms:* create_rooms");
  assert.equal((await on.call("POST", "/rooms", { token: wide, body: { id: "R" } })).status, 201);
  await makeUser(on, "paul");
  const narrow = await userToken(on, "olga", "rooms:R:agent:al");
  assert.equal(
    (await on.call("POST", "/rooms/R/agents", { token: narrow, body: { id: "al" } })).status,
    201,
  );
  const all = (await on.call("GET", "/tokens", { token: wide })).body.tokens as {
    id: string;
    scope: string;
  }[];
  const sibling = all.find(({ scope }) => scope.includes("create_rooms"))!.id;
  const table: [string, string, string, unknown, number[]][] = [
    ["invite", "POST", "/rooms/R/invite", { username: "paul" }, [403]],
    ["list members", "GET", "/rooms/R/members", undefined, [403]],
    ["create", "POST", "/rooms", { id: "S" }, [403]],
    ["join as another", "POST", "/rooms/R/agents", { id: "other" }, [403]],
    ["act as another", "POST", "/rooms/R/actions/_send_message/invoke", {
      agent: "other",
      params: { body: 1 },
    }, [403]],
    ["mint wider", "POST", "/tokens", { scope: "rooms:R" }, [403]],
    ["mint outside its agent", "POST", "/tokens", { scope: "rooms:R:write" }, [403]],
    ["mint another agent", "POST", "/tokens", { scope: "rooms:R:agent:other" }, [403]],
    ["mint creation", "POST", "/tokens", { scope: "create_rooms" }, [403]],
    ["widen itself by a sibling", "PATCH", `/tokens/${sibling}`, { label: "mine" }, [403, 404]],
    ["revoke a wider sibling", "DELETE", `/tokens/${sibling}`, undefined, [403, 404]],
    ["an unknown scope word", "POST", "/tokens", { scope: "rooms:R:admin" }, [400]],
  ];
  for (const [name, method, path, body, statuses] of table) {
    await t.step(name, async () => {
      const reply = await on.call(method, path, {
        token: narrow,
        ...(body === undefined ? {} : { body }),
      });
      assert.ok(statuses.includes(reply.status), `${reply.status} ${reply.text}`);
    });
  }
  const seen = (await on.call("GET", "/tokens", { token: narrow })).body.tokens as {
    scope: string;
  }[];
  assert.deepEqual(seen.filter(({ scope }) => scope.includes("create_rooms")), []);
  await on.close();
});

Deno.test("Revoking, leaving and losing the role end what is open at once", async (t) => {
  const on = await startService();
  const olga = await userToken(on, "olga", "rooms:* create_rooms");
  await on.call("POST", "/rooms", { token: olga, body: { id: "R", join: "token" } });
  await makeUser(on, "paul", { R: "participant" });
  const paul = await userToken(on, "paul", "rooms:R:write");
  const join = async (id: string, token = olga) =>
    (await on.call("POST", "/rooms/R/agents", { token, body: { id } })).body.token as string;
  const cases: Record<string, { token: string; end: () => Promise<Reply> }> = {
    "joining again": {
      token: await join("alice"),
      end: () => on.call("POST", "/rooms/R/agents", { token: olga, body: { id: "alice" } }),
    },
    "leaving": {
      token: await join("bob"),
      end: () => on.call("DELETE", "/rooms/R/agents/bob", { token: olga }),
    },
    "losing the role": {
      token: await join("pauls", paul),
      end: () => on.call("DELETE", "/rooms/R/members/paul", { token: olga }),
    },
  };
  for (const [name, { token, end }] of Object.entries(cases)) {
    await t.step(name, async () => {
      const waiting = on.call("GET", "/rooms/R/wait?condition=false&timeout=50000", { token });
      const controller = new AbortController();
      const response = await on.service.fetch(
        new Request(`${ORIGIN}/rooms/R/events`, {
          headers: { Authorization: `Bearer ${token}` },
          signal: controller.signal,
        }),
      );
      assert.equal(response.status, 200);
      await turns();
      const ended = await end();
      assert.ok(ended.status < 300, ended.text);
      assert.ok([401, 404].includes((await waiting).status), "the wait");
      const told = await response.text();
      assert.match(told, /event: end/, "the stream");
      const later = await on.invoke("R", "_send_message", { body: "x" }, token);
      assert.ok([401, 404].includes(later.status));
    });
  }
  await on.close();
});

Deno.test("The database holds no secret, and nothing of a room that was deleted and purged", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"], { id: "gone", label: "zz9Qlabel" });
  const tok = await userToken(on, "olga", "rooms:*");
  await on.invoke("gone", "_send_message", { body: "zz9Qbody" }, room.agents["alice"]);
  await on.call("POST", "/rooms/gone/agents", { body: { id: "bob", state: { k: "zz9Qvalue" } } });
  const { store } = on.service;
  const dump = async (): Promise<string> => {
    const tables = await store.db.all("SELECT name FROM sqlite_master WHERE type = 'table'");
    const rows = await store.everywhere(async (db) =>
      await Promise.all(tables.map(({ name }) => db.all(`SELECT * FROM "${String(name)}"`)))
    );
    return JSON.stringify(rows.flat().map((row) => Object.values(row)));
  };
  const before = await dump();
  for (const secret of [room.admin, room.view, room.agents["alice"]!, tok]) {
    assert.equal(before.includes(secret), false, "a token in the clear");
    assert.equal(
      before.includes(secret.slice(secret.indexOf("_") + 1)),
      false,
      "its body in the clear",
    );
  }
  assert.ok(before.includes("zz9Qbody") && before.includes("zz9Qvalue"));
  await on.call("DELETE", "/rooms/gone", { token: room.admin });
  for (let i = 0; i < 50; i++) await (on.service.engine.clock as ManualClock).advance(100);
  const after = await dump();
  for (const mark of ["zz9Qbody", "zz9Qvalue", "zz9Qlabel"]) {
    assert.equal(after.includes(mark), false, mark);
  }
  await on.close();
});
