/** The contract's §0, §2, §3 and the seeds' first walk, as rows. */
import assert from "node:assert/strict";
import { makeRoom, makeUser, startService, userToken } from "./harness.ts";
import { type Row, rowsRoom, runRows } from "./contract_rows.ts";

Deno.test("A stranger with curl: create, join, register, read, act, wait", async (t) => {
  const on = await startService();
  const made = await on.call("POST", "/rooms", { body: { id: "my-room" } });
  assert.equal(made.status, 201);
  assert.deepEqual(Object.keys(made.body).sort(), [
    "created_at",
    "id",
    "meta",
    "token",
    "view_token",
  ]);
  assert.match(made.body.token, /^room_/);
  assert.match(made.body.view_token, /^view_/);
  const room = { id: "my-room", admin: made.body.token, view: made.body.view_token, agents: {} };
  const rows: Row[] = [
    {
      does: "joining an open room takes no token and answers the agent's",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: {
        id: "alice",
        name: "Alice",
        role: "agent",
        state: { mood: "calm" },
        public_keys: ["mood"],
      },
      status: 201,
      has: {
        id: "alice",
        room_id: "my-room",
        role: "agent",
        status: "active",
        grants: [],
        token: /^as_/,
      },
      log: ["join _agents.alice=set alice.mood=set _views.alice.mood=set"],
      keep: (reply, kept) => kept["alice"] = reply.body.token,
    },
    {
      does: "the first context offers the bootstrap",
      ask: "GET /rooms/:id/context",
      status: 200,
      as: "alice",
      has: {
        state: {
          _shared: {},
          self: { mood: { value: "calm", _meta: { revision: 1, writer: "alice" } } },
        },
        views: { "alice.mood": { value: "calm" } },
        agents: { alice: { value: { name: "Alice", status: "active" } } },
        actions: { _register_action: { value: { available: true, builtin: true } } },
        messages: { count: 0, unread: 0, directed_unread: 0, recent: [] },
        self: "alice",
        _context: {
          depth: "lean",
          help: (help: string[]) => help.includes("vocabulary_bootstrap"),
        },
      },
    },
    {
      does: "an action is declared",
      ask: "POST /rooms/:id/actions/_register_action/invoke",
      as: "alice",
      body: {
        params: {
          id: "vote",
          description: "Cast or change your vote",
          params: { choice: { type: "string", enum: ["yes", "no"] } },
          writes: [{ scope: "${self}", key: "vote", value: "${params.choice}" }],
        },
      },
      status: 201,
      has: { invoked: true, action: "_register_action", id: "vote", scope: "_shared", revision: 1 },
      log: ["invoke _actions.vote=set"],
    },
    {
      does: "it is invoked",
      ask: "POST /rooms/:id/actions/vote/invoke",
      as: "alice",
      body: { params: { choice: "yes" } },
      status: 200,
      has: {
        invoked: true,
        action: "vote",
        agent: "alice",
        writes: [{
          scope: "alice",
          key: "vote",
          value: "yes",
          _meta: { revision: 1, writer: "alice", via: "vote" },
        }],
      },
      log: ["invoke alice.vote=set"],
    },
    {
      does: "a wait that holds already answers at once",
      ask: 'GET /rooms/:id/wait?condition=state.self.vote.value%3D%3D"yes"&include=state',
      as: "alice",
      status: 200,
      has: {
        triggered: true,
        value: true,
        state: { self: { vote: { value: "yes" } } },
        context: undefined,
      },
    },
    {
      does: "the room can be shown",
      ask: "GET /rooms/:id",
      as: "view",
      status: 200,
      has: { id: "my-room", agents: 1, join: "open", public: null, vocabulary: "open", head: 4 },
    },
    {
      does: "the room's token sees it in the list",
      ask: "GET /rooms",
      as: "admin",
      status: 200,
      has: { rooms: [{ id: "my-room", agents: 1, head: 4 }], total: 1, returned: 1 },
    },
  ];
  await runRows(t, on, rows, room);
  await on.close();
});

const BAD_ROOMS: readonly [string, unknown, string][] = [
  ["a slash", { id: "a/b" }, "id"],
  ["a leading dot", { id: ".a" }, "id"],
  ["nothing", { id: "" }, "id"],
  ["129 characters", { id: "a".repeat(129) }, "id"],
  ["a reserved word", { id: "self" }, "id"],
  ["__proto__", { id: "__proto__" }, "id"],
  ["a number", { id: 7 }, "id"],
  ["a join that is none", { join: "closed" }, "join"],
  ["a public that is none", { public: "write" }, "public"],
  ["a vocabulary that is none", { vocabulary: "any" }, "vocabulary"],
  ["a member nobody knows", { colour: "red" }, "colour"],
  ["a label that is a list", { label: [] }, "label"],
  ["a list", [], "body"],
  ["null", null, "body"],
];

Deno.test("Rooms that cannot be: 400 names the field and gives an example", async (t) => {
  const on = await startService();
  for (const [name, body, field] of BAD_ROOMS) {
    await t.step(name, async () => {
      const reply = await on.call("POST", "/rooms", { body: JSON.stringify(body) });
      assert.equal(reply.status, 400, reply.text);
      assert.equal(reply.body.error, "invalid_argument");
      assert.equal(reply.body.field, field);
      assert.ok(reply.body.example !== undefined, reply.text);
    });
  }
  await on.close();
});

Deno.test("Rooms: settings, listing, tokens, deletion", async (t) => {
  const on = await startService();
  const room = await rowsRoom(on);
  const rows: Row[] = [
    {
      does: "the same id again is taken",
      ask: "POST /rooms",
      as: null,
      body: { id: room.id },
      status: 409,
      has: { error: "room_exists" },
    },
    {
      does: "an admin changes settings in one record",
      ask: "PATCH /rooms/:id",
      as: "admin",
      body: { label: "Planning", meta: { a: [1, null] }, vocabulary: "closed" },
      status: 200,
      has: {
        id: room.id,
        label: "Planning",
        meta: { a: [1, null] },
        vocabulary: "closed",
        join: "open",
      },
      log: ["configure _config.meta=set _config.label=set _config.vocabulary=set"],
    },
    {
      does: "nothing to change is no record",
      ask: "PATCH /rooms/:id",
      as: "admin",
      body: {},
      status: 200,
    },
    {
      does: "an agent may not",
      ask: "PATCH /rooms/:id",
      body: { label: "Mine" },
      status: 403,
      has: { error: "scope_denied" },
    },
    {
      does: "a view token may not",
      ask: "PATCH /rooms/:id",
      as: "view",
      body: { label: "Mine" },
      status: 403,
      has: { error: "read_only_token" },
    },
    {
      does: "settings stand in the history of their scope",
      ask: "GET /rooms/:id/history/_config/label",
      as: "view",
      status: 200,
      has: {
        scope: "_config",
        key: "label",
        entries: [{ value: "Planning", op: "set", revision: 1 }],
      },
    },
    {
      does: "a member list takes an owner",
      ask: "GET /rooms/:id/members",
      status: 403,
      has: { error: "owner_required" },
    },
    {
      does: "which the room's token is",
      ask: "GET /rooms/:id/members",
      as: "admin",
      status: 200,
      has: { members: [] },
    },
    {
      does: "inviting nobody there is",
      ask: "POST /rooms/:id/invite",
      as: "admin",
      body: { username: "nobody-here" },
      status: 404,
      has: { error: "user_not_found" },
    },
    {
      does: "the view token rotates",
      ask: "POST /rooms/:id/rotate-view-token",
      as: "admin",
      status: 200,
      has: { view_token: /^view_/ },
      keep: (reply, kept) => kept["fresh"] = reply.body.view_token,
    },
    {
      does: "the old one is dead",
      ask: "GET /rooms/:id",
      as: "view",
      status: 401,
      has: { error: "invalid_token" },
    },
    { does: "the new one lives", ask: "GET /rooms/:id", as: "fresh", status: 200 },
    {
      does: "limits of the list are checked",
      ask: "GET /rooms?limit=0",
      status: 400,
      has: { field: "limit" },
    },
  ];
  await runRows(t, on, rows, room);
  const gone = await on.call("DELETE", `/rooms/${room.id}`, { token: room.admin });
  assert.deepEqual([gone.status, gone.body], [200, { deleted: true, id: room.id }]);
  assert.equal((await on.call("GET", `/rooms/${room.id}`, { token: room.admin })).status, 401);
  assert.equal(
    (await on.call("GET", `/rooms/${room.id}`, { token: room.agents["alice"] })).status,
    401,
  );
  await on.close();
});

Deno.test("Rooms page by name, without gap or repetition", async () => {
  const on = await startService();
  for (let i = 0; i < 7; i++) await on.call("POST", "/rooms", { body: { id: `r${i}` } });
  const token = await userToken(on, "olga", "rooms:* create_rooms");
  for (let i = 0; i < 7; i++) {
    await on.call("POST", "/rooms", { token, body: { id: `o${i}`, label: `L${i}` } });
  }
  const seen: string[] = [];
  for (let path = "/rooms?limit=3"; path !== "";) {
    const { status, body } = await on.call("GET", path, { token });
    assert.equal(status, 200);
    assert.equal(body.total, 7);
    seen.push(...body.rooms.map((room: { id: string }) => room.id));
    path = body.next_cursor ? `/rooms?limit=3&cursor=${body.next_cursor}` : "";
  }
  assert.deepEqual(seen, ["o0", "o1", "o2", "o3", "o4", "o5", "o6"]);
  for (const cursor of ["zz", "o2", "after:", "after:a/b", "5"]) {
    const { status, body } = await on.call("GET", `/rooms?cursor=${cursor}`, { token });
    assert.deepEqual([status, body.error, body.field], [400, "invalid_argument", "cursor"], cursor);
  }
  assert.equal((await on.call("GET", "/rooms?cursor=", { token })).body.returned, 7);
  await on.close();
});

const BAD_IDS = [
  "",
  "_agents",
  "_shared",
  "_x",
  "self",
  "admin",
  "system",
  "constructor",
  "prototype",
  "__proto__",
  "did:web:x",
  "a.b",
  "a b",
  "ä",
  "a/b",
  "a\u0000b",
  "a".repeat(129),
  "-a",
];

Deno.test("Agents: ids that cannot be are 400, and nothing is written", async (t) => {
  const on = await startService();
  const room = await makeRoom(on);
  for (const id of BAD_IDS) {
    await t.step(JSON.stringify(id).slice(0, 40), async () => {
      const reply = await on.call("POST", `/rooms/${room.id}/agents`, { body: { id } });
      assert.equal(reply.status, 400, reply.text);
      assert.deepEqual([reply.body.error, reply.body.field], ["invalid_argument", "id"]);
    });
  }
  assert.equal((await on.service.engine.find(room.id)).room.head, 1);
  await on.close();
});

Deno.test("Agents: joining, joining again, changing, leaving", async (t) => {
  const on = await startService();
  const room = await rowsRoom(on);
  const rows: Row[] = [
    {
      does: "a taken id is refused to strangers",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: { id: "alice" },
      status: 409,
      has: { error: "agent_exists", agent: "alice" },
    },
    {
      does: "and to other agents",
      ask: "POST /rooms/:id/agents",
      as: "bob",
      body: { id: "alice" },
      status: 403,
      has: { error: "identity_mismatch", authenticated_as: "bob" },
    },
    {
      does: "a bad view refuses the whole join",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: {
        id: "carol",
        state: { a: 1 },
        views: [{ id: "v", expr: "state._shared.a.value" }, { id: "w", expr: "1 +" }],
      },
      status: 400,
      has: { error: "invalid_cel" },
    },
    {
      does: "state keys are checked",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: '{"id":"carol","state":{"__proto__":1}}',
      status: 400,
      has: { error: "invalid_argument", field: /^state/ },
    },
    {
      does: "an id left out is drawn from the role",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: { role: "Code Reviewer" },
      status: 201,
      has: { id: "code-reviewer", role: "Code Reviewer" },
      log: ["join _agents.code-reviewer=set"],
    },
    {
      does: "an agent changes its own name and status",
      ask: "PATCH /rooms/:id/agents/alice",
      body: { name: "Al", status: "busy" },
      status: 200,
      has: { name: "Al", status: "busy" },
      log: ["agent _agents.alice=set"],
    },
    {
      does: "a status alone is no record",
      ask: "PATCH /rooms/:id/agents/alice",
      body: { status: "idle" },
      status: 200,
      has: { status: "idle" },
    },
    {
      does: "but not its grants",
      ask: "PATCH /rooms/:id/agents/alice",
      body: { grants: ["bob"] },
      status: 403,
      has: { error: "room_token_required", field: "grants" },
    },
    {
      does: "and nobody else's name",
      ask: "PATCH /rooms/:id/agents/bob",
      body: { name: "Bo" },
      status: 403,
    },
    {
      does: "an admin grants",
      ask: "PATCH /rooms/:id/agents/alice",
      as: "admin",
      body: { grants: ["bob"] },
      status: 200,
      has: { grants: ["bob"] },
      log: ["agent _agents.alice=set"],
    },
    {
      does: "an unknown agent is 404",
      ask: "PATCH /rooms/:id/agents/zed",
      as: "admin",
      body: { name: "Z" },
      status: 404,
      has: { error: "agent_not_found" },
    },
    {
      does: "joining again rotates the token and keeps grants",
      ask: "POST /rooms/:id/agents",
      body: { id: "alice" },
      status: 201,
      has: { grants: ["bob"], token: /^as_/ },
      log: ["join _agents.alice=set"],
      keep: (reply, kept) => kept["alice2"] = reply.body.token,
    },
    {
      does: "the old token is dead",
      ask: "GET /rooms/:id/context",
      status: 401,
      has: { error: "invalid_token" },
    },
    {
      does: "bob may not make alice leave",
      ask: "DELETE /rooms/:id/agents/alice",
      as: "bob",
      status: 403,
    },
    {
      does: "alice leaves",
      ask: "DELETE /rooms/:id/agents/alice",
      as: "alice2",
      status: 200,
      has: { left: true },
      log: ["leave _agents.alice=set"],
    },
    { does: "her token has ended", ask: "GET /rooms/:id/context", as: "alice2", status: 401 },
    {
      does: "her id stays taken",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: { id: "alice" },
      status: 409,
      has: { error: "agent_exists" },
    },
    {
      does: "she is listed no more",
      ask: "GET /rooms/:id/context?only=agents",
      as: "bob",
      status: 200,
      has: { agents: { alice: undefined, bob: { value: { name: "bob" } } } },
    },
    { does: "nor counted", ask: "GET /rooms/:id", as: "bob", status: 200, has: { agents: 2 } },
    {
      does: "nor counted in the list",
      ask: "GET /rooms",
      as: "bob",
      status: 200,
      has: { rooms: [{ agents: 2 }] },
    },
    {
      does: "an admin brings her back",
      ask: "POST /rooms/:id/agents",
      as: "admin",
      body: { id: "alice" },
      status: 201,
      has: { grants: ["bob"] },
      log: ["join _agents.alice=set"],
    },
  ];
  await runRows(t, on, rows, room);
  await on.close();
});

Deno.test("A closed room: joining takes a token, and 401 says which", async (t) => {
  const on = await startService();
  const room = await makeRoom(on, [], { join: "token" });
  const join = (token?: string) =>
    on.call("POST", `/rooms/${room.id}/agents`, { token, body: { id: "x" } });
  await t.step("none: 401", async () => {
    const reply = await join();
    assert.deepEqual([reply.status, reply.body.error], [401, "authentication_required"]);
    assert.match(reply.body.hint, /room_/);
    assert.match(reply.body.hint, /tok_/);
  });
  await t.step("a view token: 403", async () => assert.equal((await join(room.view)).status, 403));
  await t.step(
    "the room's token: 201",
    async () => assert.equal((await join(room.admin)).status, 201),
  );
  await on.close();
});

const FORMER: readonly [string, string][] = [
  ["PUT", "/state"],
  ["PUT", "/state/_shared/x"],
  ["PUT", "/state/batch"],
  ["PATCH", "/state/timer"],
  ["DELETE", "/state"],
  ["GET", "/state"],
  ["PUT", "/actions"],
  ["DELETE", "/actions/x"],
  ["GET", "/actions"],
  ["PUT", "/views"],
  ["GET", "/views"],
  ["POST", "/messages"],
  ["GET", "/messages"],
  ["POST", "/messages/7/claim"],
  ["POST", "/agents/a/heartbeat"],
  ["GET", "/agents"],
];

Deno.test("Calls of earlier versions answer 404 with the call to use now", async (t) => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  for (const [method, path] of FORMER) {
    await t.step(`${method} ${path}`, async () => {
      const reply = await on.call(method, `/rooms/${room.id}${path}`, {
        token: room.agents["alice"],
        ...(method === "GET" ? {} : { body: {} }),
      });
      assert.equal(reply.status, 404, reply.text);
      assert.deepEqual([reply.body.error, reply.body.help], ["not_found", "migrating"]);
      assert.equal(typeof reply.body.hint, "string");
    });
  }
  await on.close();
});

Deno.test("Unknown paths are 404, wrong methods 405 with Allow, always JSON", async () => {
  const on = await startService();
  const missing = await on.call("GET", "/nowhere");
  assert.deepEqual([missing.status, missing.body.error], [404, "not_found"]);
  const wrong = await on.call("PUT", "/rooms/x");
  assert.deepEqual([wrong.status, wrong.body.error], [405, "method_not_allowed"]);
  assert.deepEqual(wrong.headers.get("Allow")?.split(", ").sort(), ["DELETE", "GET", "PATCH"]);
  await on.close();
});

Deno.test("compact drops members that are null, and nothing inside values", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  const token = room.agents["alice"];
  const params = {
    id: "put",
    writes: [{ key: "k", value: { a: null, b: { c: null } } }, { key: "n", value: null }],
  };
  assert.equal((await on.invoke(room.id, "_register_action", params, token)).status, 201);
  await on.invoke(room.id, "put", {}, token);
  const { body } = await on.call("GET", `/rooms/${room.id}/context?compact=true`, { token });
  assert.deepEqual(body.state._shared.k.value, { a: null, b: { c: null } });
  assert.equal(body.state._shared.n.value, null);
  assert.equal(
    "meta" in (await on.call("GET", `/rooms/${room.id}?compact=true`, { token })).body,
    false,
  );
  await on.close();
});

Deno.test("compact is true or false, wherever it is asked for, and nothing else is done", async () => {
  const on = await startService();
  const room = await rowsRoom(on);
  const calls: [string, string, unknown?][] = [
    ["GET", ""],
    ["GET", "/context"],
    ["GET", "/log"],
    ["PATCH", "", { label: "x" }],
    ["POST", "/actions/_send_message/invoke", { params: { body: 1 }, agent: "alice" }],
  ];
  for (const [method, path, body] of calls) {
    const ask = { token: room.admin, ...(body === undefined ? {} : { body }) };
    const reply = await on.call(method, `/rooms/${room.id}${path}?compact=zz`, ask);
    assert.deepEqual([reply.status, reply.body.field], [400, "compact"], `${method} ${path}`);
  }
  assert.equal((await on.service.engine.find(room.id)).room.head, 3, "nothing was done");
  assert.equal((await on.call("GET", "/rooms?compact=zz", { token: room.admin })).status, 400);
  await on.close();
});

Deno.test("X-Sync-Seq tells where the room was, whatever was read or written of it", async () => {
  const on = await startService();
  await makeUser(on, "bea", {});
  const olga = await userToken(on, "olga", "rooms:* create_rooms");
  const { body: made } = await on.call("POST", "/rooms", { token: olga, body: { id: "seqs" } });
  const { body: open } = await on.call("POST", "/rooms", { body: { id: "open" } });
  const { text: log } = await on.call("GET", "/rooms/open/log?format=jsonl", { token: open.token });
  const calls: [method: string, path: string, token: string, seq: number, body?: unknown][] = [
    ["POST", "/rooms/seqs/agents", olga, 2, { id: "alice" }],
    ["POST", "/rooms/seqs/agents", olga, 3, { id: "alice" }],
    ["PATCH", "/rooms/seqs/agents/alice", olga, 4, { role: "x" }],
    ["POST", "/rooms/seqs/rotate-view-token", olga, 4],
    ["POST", "/rooms/seqs/invite", olga, 4, { username: "bea" }],
    ["GET", "/rooms/seqs/members", olga, 4],
    ["PATCH", "/rooms/seqs/members/bea", olga, 4, { role: "observer" }],
    ["DELETE", "/rooms/seqs/members/bea", olga, 4],
    ["POST", "/rooms/seqs/fork", olga, 5, { id: "forked" }],
    ["POST", "/rooms/import?id=imported", olga, 2, log],
    ["DELETE", "/rooms/seqs/agents/alice", olga, 5],
    ["POST", "/rooms/open/claim", olga, 1, { room_token: open.token }],
    ["DELETE", "/rooms/seqs", made.token, 5],
  ];
  for (const [method, path, token, seq, body] of calls) {
    const reply = await on.call(method, path, { token, ...(body === undefined ? {} : { body }) });
    assert.ok(reply.status < 300, `${method} ${path}: ${reply.text}`);
    assert.equal(reply.headers.get("X-Sync-Seq"), String(seq), `${method} ${path}`);
  }
  await on.close();
});

Deno.test("An agent that has left is not there to be changed, nor does joining write elsewhere", async (t) => {
  const on = await startService();
  await runRows(t, on, [
    {
      does: "alice leaves",
      ask: "DELETE /rooms/:id/agents/alice",
      status: 200,
      has: { left: true },
      log: ["leave _agents.alice=set"],
    },
    {
      does: "an admin finds her no more",
      ask: "PATCH /rooms/:id/agents/alice",
      as: "admin",
      body: { name: "Al" },
      status: 404,
      has: { error: "agent_not_found" },
    },
    ...["bob", "_shared", 5].map((scope): Row => ({
      does: `joining with a view of ${scope}`,
      ask: "POST /rooms/:id/agents",
      as: null,
      body: { id: "eve", views: [{ id: "mine", expr: "1" }, { id: "v", expr: "1", scope }] },
      status: 400,
      has: { error: "invalid_argument", field: "views[1].scope", example: "eve" },
    })),
    {
      does: "its own may be named",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: {
        id: "eve",
        views: [{ id: "v", expr: "1", scope: "eve" }, { id: "w", expr: "1", scope: "self" }],
      },
      status: 201,
      log: ["join _agents.eve=set _views.v=set _views.w=set"],
    },
  ], await rowsRoom(on));
  await on.close();
});
