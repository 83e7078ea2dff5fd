/** The door of MCP: who may knock, what is no message, and that nothing answers 5xx. */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { BODY_BYTES_MAX } from "../limits.ts";
import { mint } from "../tokens.ts";
import { makeRoom, makeUser, ORIGIN, send, startService, userToken } from "./harness.ts";
import { Agent, call, framed, post } from "./mcp_world.ts";

const LIST_HEADERS = { "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list" };
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "raw", version: "1" },
  },
};

Deno.test("a request without a token is 401 with the way to one, which leads to the server's documents", async () => {
  const on = await startService();
  const reply = await post(on, framed("tools/list"), undefined, LIST_HEADERS);
  assert.equal(reply.status, 401);
  const challenge = reply.headers.get("WWW-Authenticate")!;
  const url = /resource_metadata="([^"]+)"/.exec(challenge)![1]!;
  assert.equal(url, `${ORIGIN}/.well-known/oauth-protected-resource/mcp`);
  const resource = await on.call("GET", url.slice(ORIGIN.length));
  assert.equal(resource.body.resource, `${ORIGIN}/mcp`);
  assert.deepEqual(resource.body.authorization_servers, [ORIGIN]);
  const bad = await post(on, framed("tools/list"), "tok_nobody-knows-it", LIST_HEADERS);
  assert.equal(bad.status, 401);
  assert.match(bad.headers.get("WWW-Authenticate")!, /error="invalid_token"/);
  for (const method of ["GET", "DELETE"]) {
    assert.equal((await on.call(method, "/mcp")).status, 401);
  }
  await on.close();
});

Deno.test("a token for another resource is refused, one for this resource or this origin is not", async () => {
  const on = await startService();
  const user = await makeUser(on, "alice");
  const cases = [
    ["https://elsewhere.example/mcp", 401],
    ["http://localhost:87871/mcp", 401],
    [`${ORIGIN}/mcp`, 200],
    [ORIGIN, 200],
    [null, 200],
  ] as const;
  for (const [resource, status] of cases) {
    const minted = mint(
      { kind: "tok", scope: "rooms:*", user, resource, expiresIn: 60_000 },
      on.service.engine.clock.now(),
    );
    await on.service.store.run(minted.statements);
    const reply = await post(on, framed("tools/list"), minted.token, LIST_HEADERS);
    assert.equal(reply.status, status, String(resource));
  }
  await on.close();
});

Deno.test("a foreign Host or Origin is refused before anything else", async () => {
  const on = await startService();
  const token = await userToken(on, "alice", "rooms:*");
  const ask = (url: string, headers: Record<string, string>) =>
    send(on.service.fetch, "POST", url, {
      token,
      body: framed("tools/list"),
      headers: { ...LIST_HEADERS, Accept: "application/json, text/event-stream", ...headers },
    });
  const cases: [string, Record<string, string>, number][] = [
    ["http://localhost:8787/mcp", {}, 200],
    ["http://127.0.0.1:8787/mcp", {}, 200],
    ["http://localhost:8787/mcp", { Origin: "http://localhost:6274" }, 200],
    ["http://localhost:8787/mcp", { Origin: ORIGIN }, 200],
    ["http://localhost:8787/mcp", { Origin: "https://evil.example" }, 403],
    ["http://localhost:8787/mcp", { Origin: "null" }, 403],
    ["http://localhost:8787/mcp", { Origin: "http://localhost.evil.example" }, 403],
    ["http://evil.example/mcp", {}, 403],
    ["http://localhost.evil.example:8787/mcp", {}, 403],
  ];
  for (const [url, headers, status] of cases) {
    assert.equal((await ask(url, headers)).status, status, `${url} ${JSON.stringify(headers)}`);
  }
  await on.close();
  const away = await startService({
    env: { SYNC_ORIGIN: "https://sync.example.org", HOST: "0.0.0.0" },
  });
  const there = await userToken(away, "alice", "rooms:*");
  const from = async (origin: string) =>
    (await send(away.service.fetch, "POST", "https://sync.example.org/mcp", {
      token: there,
      body: framed("tools/list"),
      headers: { ...LIST_HEADERS, Origin: origin, Accept: "application/json, text/event-stream" },
    })).status;
  assert.equal(await from("https://sync.example.org"), 200);
  assert.equal(await from("http://localhost:6274"), 403);
  await away.close();
});

/** What is no proper message: what is sent, with which status and code it is answered. */
const MALFORMED: readonly [name: string, body: unknown, status: number, code: number][] = [
  ["no JSON", "{", 400, -32700],
  ["nothing", "", 400, -32700],
  [
    "a number beyond exactness",
    '{"jsonrpc":"2.0","id":1,"method":"x","params":{"n":9007199254740993}}',
    400,
    -32700,
  ],
  ["a number", "7", 400, -32600],
  ["null", "null", 400, -32600],
  ["a string", '"hi"', 400, -32600],
  ["an empty object", {}, 400, -32600],
  ["an empty batch", [], 400, -32600],
  ["a batch with something else in it", [1], 400, -32600],
  ["another version", { jsonrpc: "1.0", id: 1, method: "tools/list" }, 400, -32600],
  ["an id that is an object", { jsonrpc: "2.0", id: {}, method: "tools/list" }, 400, -32600],
  ["an id that is null", { jsonrpc: "2.0", id: null, method: "tools/list" }, 400, -32600],
  ["a method that is a number", { jsonrpc: "2.0", id: 1, method: 7 }, 400, -32600],
  [
    "params that are a list",
    { jsonrpc: "2.0", id: 1, method: "tools/list", params: [] },
    400,
    -32600,
  ],
  ["an id alone", { jsonrpc: "2.0", id: 1 }, 400, -32600],
];

Deno.test("what is no JSON-RPC message gets the protocol's own error", async () => {
  const on = await startService();
  const token = await userToken(on, "alice", "rooms:*");
  for (const [name, body, status, code] of MALFORMED) {
    const raw = typeof body === "string" ? body : JSON.stringify(body);
    const reply = await post(on, raw, token);
    assert.equal(reply.status, status, `${name}: ${reply.text}`);
    assert.equal(reply.body.error.code, code, name);
    assert.equal(reply.body.jsonrpc, "2.0");
  }
  const modern = (method: string, params: object, name?: string) =>
    post(on, framed(method, params as never), token, {
      "MCP-Protocol-Version": "2026-07-28",
      "Mcp-Method": method,
      ...(name === undefined ? {} : { "Mcp-Name": name }),
    });
  const unknown = await modern("no/such", {});
  assert.deepEqual([unknown.status, unknown.body.error.code], [404, -32601]);
  const noTool = await modern("tools/call", { name: "no_such" }, "no_such");
  assert.equal(noTool.body.error.code, -32602);
  const wrongHeader = await post(on, framed("tools/list"), token, {
    ...LIST_HEADERS,
    "Mcp-Method": "tools/call",
  });
  assert.deepEqual([wrongHeader.status, wrongHeader.body.error.code], [400, -32020]);
  const wrongVersion = framed("tools/list");
  (wrongVersion["params"] as never as { _meta: Record<string, string> })
    ._meta["io.modelcontextprotocol/protocolVersion"] = "1999-01-01";
  const version = await post(on, wrongVersion, token, {
    ...LIST_HEADERS,
    "MCP-Protocol-Version": "1999-01-01",
  });
  assert.deepEqual([version.status, version.body.error.code], [400, -32022]);
  const noResource = await modern(
    "resources/read",
    { uri: "sync://rooms/none/context" },
    "sync://rooms/none/context",
  );
  assert.equal(noResource.body.error.code, -32602);
  const pings = [1, 2].map((id) => ({ jsonrpc: "2.0", id, method: "ping" }));
  for (const revision of ["2025-06-18", "2025-11-25", "2026-07-28"]) {
    const batch = await post(on, pings, token, { "MCP-Protocol-Version": revision });
    assert.deepEqual([batch.status, batch.body.error.code], [400, -32600], revision);
  }
  for (const headers of [{ "MCP-Protocol-Version": "2025-03-26" }, undefined]) {
    assert.equal((await post(on, pings, token, headers)).status, 200);
  }
  const slashed = await send(on.service.fetch, "POST", "/mcp/", {
    token,
    body: pings[0],
    headers: { Accept: "application/json, text/event-stream" },
  });
  assert.equal(slashed.status, 200, slashed.text);
  const big = await post(on, `{"pad":"${"x".repeat(BODY_BYTES_MAX)}"}`, token);
  assert.equal(big.status, 413);
  const form = await post(on, "a=b", token, {
    "Content-Type": "application/x-www-form-urlencoded",
  });
  assert.equal(form.status, 415);
  for (const method of ["PUT", "PATCH"]) {
    const reply = await on.call(method, "/mcp", { token, body: {} });
    assert.equal(reply.status, 405);
    assert.equal(reply.headers.get("Allow"), "POST, GET, DELETE");
  }
  assert.equal((await on.call("GET", "/mcp", { token })).status, 405);
  await on.close();
});

Deno.test("bad arguments are results that name the field; nothing is internal", async () => {
  const on = await startService();
  const room = await makeRoom(on);
  const cases: [string, object, string, string][] = [
    ["sync_read_context", {}, "invalid_argument", "room"],
    ["sync_read_context", { room: 7 }, "invalid_argument", "room"],
    ["sync_read_context", { room: room.id, budget: 3 }, "invalid_argument", "budget"],
    ["sync_read_context", { room: room.id, nonsense: 1 }, "invalid_argument", "nonsense"],
    ["sync_wait", { room: room.id, timeout: 99_999 }, "invalid_argument", "timeout"],
    ["sync_wait", { room: room.id, condition: "1 +" }, "invalid_cel", "condition"],
    ["sync_register_action", { room: room.id, id: "_no", writes: [] }, "invalid_argument", "id"],
    ["sync_embody", { room: room.id, agent: "__proto__" }, "invalid_argument", "agent"],
    ["sync_replay", { room: room.id, seq: 99 }, "invalid_argument", "seq"],
    ["sync_create_room", { id: room.id }, "room_exists", ""],
    ["sync_help", { room: room.id, key: "none" }, "help_key_not_found", ""],
  ];
  for (const [tool, args, error, field] of cases) {
    const reply = await call(on, room.admin, tool, args as never);
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.body.result.isError, true, reply.text);
    const told = JSON.parse(reply.body.result.content[0].text);
    assert.equal(told.error, error, reply.text);
    if (field !== "") assert.equal(told.field, field, reply.text);
  }
  await on.close();
});

Deno.test("no message whatever answers 5xx", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  const methods = fc.constantFrom(
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "initialize",
    "ping",
    "x",
  );
  const names = fc.constantFrom(
    "sync_wait",
    "sync_embody",
    "sync_read_context",
    "sync_invoke_action",
    "join_room",
    "__proto__",
  );
  const params = fc.oneof(
    fc.record({
      name: names,
      arguments: fc.dictionary(
        fc.constantFrom("room", "agent", "seq", "params", "__proto__"),
        fc.oneof(fc.jsonValue(), fc.constant(room.id)),
      ),
    }),
    fc.record({
      uri: fc.oneof(
        fc.string(),
        fc.constant(`sync://rooms/${room.id}/context`),
        fc.constant("sync://rooms/%/log"),
      ),
    }),
    fc.jsonValue(),
  );
  const message = fc.record({
    jsonrpc: fc.constantFrom("2.0", 2),
    id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()),
    method: methods,
    params,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(message, fc.array(message, { maxLength: 3 }), fc.jsonValue()),
      fc.boolean(),
      async (body, isModern) => {
        const headers = isModern
          ? { "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call" }
          : {};
        const reply = await post(on, JSON.stringify(body) ?? "", room.agents["alice"]!, headers);
        assert.ok(reply.status < 500, `${reply.status} ${reply.text}`);
        assert.doesNotMatch(reply.text, /"internal"|-32603/, JSON.stringify(body));
      },
    ),
    { numRuns: 300, seed: 6 },
  );
  await on.close();
});

Deno.test("a session belongs to its token; an unknown one is 404; without one, requests are served alone", async () => {
  const on = await startService();
  const alice = await userToken(on, "alice", "rooms:*"),
    eve = await userToken(on, "eve", "rooms:*");
  const begun = await post(on, INITIALIZE, alice);
  assert.equal(begun.status, 200, begun.text);
  const session = begun.headers.get("Mcp-Session-Id")!;
  const list = { jsonrpc: "2.0", id: 2, method: "tools/list" };
  const headers = { "Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25" };
  assert.equal((await post(on, list, alice, headers)).status, 200);
  assert.equal((await post(on, list, eve, headers)).status, 404);
  assert.equal((await post(on, list, alice, { ...headers, "Mcp-Session-Id": "none" })).status, 404);
  assert.equal((await post(on, list, alice)).status, 200);
  const ended = await on.call("DELETE", "/mcp", { token: alice, headers });
  assert.equal(ended.status, 200);
  assert.equal((await post(on, list, alice, headers)).status, 404);
  await on.close();
});

Deno.test("secrets are shown only to those who ask", async () => {
  const on = await startService();
  const token = await userToken(on, "alice", "rooms:* create_rooms");
  const alice = await Agent.connect(on, token, "2026-07-28");
  const hidden = await alice.tell("sync_create_room", { id: "one" });
  assert.doesNotMatch(hidden.text, /room_|view_[A-Za-z0-9]/);
  const shown = await alice.do("sync_create_room", { id: "two", reveal_tokens: true });
  assert.match(shown.token, /^room_/);
  const joined = await alice.tell("sync_join_room", { room: "one", id: "helper" });
  assert.doesNotMatch(joined.text, /as_[A-Za-z0-9]{20}/);
  const revealed = await alice.do("sync_join_room", {
    room: "one",
    id: "helper",
    reveal_tokens: true,
  });
  assert.match(revealed.token, /^as_/);
  await alice.close();
  await on.close();
});
