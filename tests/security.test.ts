/**
 * What must never happen: private values reaching others by any road, writes without authority,
 * confused deputies, tokens that outlive their room, doors open to proxies and other origins.
 */
import assert from "node:assert/strict";
import { ROUTES } from "../http/routes.ts";
import {
  makeRoom,
  makeUser,
  type ManualClock,
  ORIGIN,
  type Reply,
  startService,
  type TestRoom,
  type TestService,
  turns,
  userToken,
} from "./harness.ts";

/** Marks planted in alice's scope: a value, a key, a value used as a key, a number. */
const CANARIES = ["cv7Qvalue", "ck7Qkey", "pz7Qpointer", "77313377", "dd7Qdeleted", "mm7Qparam"];

interface Planted {
  readonly on: TestService;
  readonly room: TestRoom;
  /** Everybody but alice and admins. */
  readonly others: Readonly<Record<string, string | undefined>>;
  readonly lines: readonly string[];
  readonly close: () => Promise<void>;
}

/** A room in which alice keeps secrets and registers all that could give them away. */
async function plant(): Promise<Planted> {
  const lines: string[] = [];
  const unhook = captureConsole(lines);
  const on = await startService({ env: { SYNC_LOG: "json" } });
  const room = await makeRoom(on, ["alice", "bob", "carol"], { public: "read" });
  await makeUser(on, "pat", { [room.id]: "participant" });
  await makeUser(on, "obi", { [room.id]: "observer" });
  const elsewhere = await makeRoom(on, ["alice"]);
  const alice = room.agents["alice"];
  const act = async (id: string, definition: Record<string, unknown>) => {
    const reply = await on.invoke(room.id, "_register_action", {
      id,
      scope: "alice",
      ...definition,
    }, alice);
    assert.equal(reply.status, 201, reply.text);
  };
  const mine = (rest: Record<string, unknown>) => ({ scope: "alice", ...rest });
  await act("keep", { writes: [mine({ key: "${params.k}", value: "${params.v}" })] });
  await act("merge", { writes: [mine({ key: "obj", merge: "${params.v}" })] });
  await act("push", { writes: [mine({ key: "list", append: true, value: "${params.v}" })] });
  await act("drop", { writes: [mine({ key: "${params.k}", delete: true })] });
  await act("count", { writes: [mine({ key: "n", increment: "${params.by}" })] });
  const keep = (k: string, v: unknown) => on.invoke(room.id, "keep", { k, v }, alice);
  await keep("secret", "cv7Qvalue");
  await keep("ck7Qkey", 1);
  await keep("ptr", "pz7Qpointer");
  await keep("map", { pz7Qpointer: "cv7Qvalue" });
  await keep("gone", "dd7Qdeleted");
  await on.invoke(room.id, "drop", { k: "gone" }, alice);
  await on.invoke(room.id, "merge", { v: { a: "cv7Qvalue", ck7Qkey: 1 } }, alice);
  await on.invoke(room.id, "push", { v: "cv7Qvalue" }, alice);
  await on.invoke(room.id, "count", { by: 77313377 }, alice);
  await on.call("POST", `/rooms/${room.id}/actions/keep/invoke`, {
    token: alice,
    headers: { "Idempotency-Key": "alices" },
    body: { params: { k: "idem", v: "cv7Qvalue" } },
  });
  await on.invoke(room.id, "keep", { k: "mm7Qparam", v: { deep: ["mm7Qparam"] } }, alice);
  await plantGates(act, mine);
  await plantViews(on, room);
  const others = {
    bob: room.agents["bob"],
    carol: room.agents["carol"],
    view: room.view,
    participant: await userToken(on, "pat", "rooms:*"),
    observer: await userToken(on, "obi", "rooms:*"),
    stranger: await userToken(on, "stan", "rooms:*"),
    "another room's admin": elsewhere.admin,
    "another room's alice": elsewhere.agents["alice"],
    nobody: undefined,
  };
  return { on, room, others, lines, close: () => on.close().finally(unhook) };
}

type Register = (id: string, definition: Record<string, unknown>) => Promise<void>;

/** Actions of alice's that fail, or are shut, over what only she may read. */
async function plantGates(
  act: Register,
  mine: (rest: Record<string, unknown>) => unknown,
): Promise<void> {
  const gates: Record<string, string> = {
    shut: 'state.alice.secret.value == "open"',
    pointed: "state._shared[state.alice.ptr.value].value > 1",
    inward: "state.alice[state.alice.ptr.value].value > 1",
    mapped: 'state.alice.map.value[state.alice.ptr.value] == "x"',
    listed: 'state.alice.list.value.all(x, x == "y")',
    keyed: "state.alice.keys().all(k, k == params.p)",
    counted: "state.alice.n.value < params.n",
    typed: "state.alice.secret.value > 3",
    matched: 'state.alice.secret.value.matches("^nope")',
    ordered: "top_n(state.alice, 3).size() > 50",
    walked: "state.alice.exists(k, state.alice[k].value == params.p)",
    converted: "int(state.alice.secret.value) > 0",
    lasting: 'written_by(state.alice, "alice").size() > 50',
    thrown: "timestamp(state.alice.secret.value) < now",
    sized: "state.alice.secret.value.size() > 90",
  };
  for (const [id, gate] of Object.entries(gates)) await act(`gate-${id}`, { if: gate, writes: [] });
  const exprs: Record<string, string> = {
    missing: "state._shared[state.alice.ptr.value].value",
    inward: "state.alice[state.alice.ptr.value].value",
    typed: "state.alice.secret.value + 1",
    converted: "int(state.alice.secret.value)",
    indexed: "[1][state.alice.n.value]",
    member: "{'a': 1}[state.alice.ptr.value]",
  };
  for (const [id, expr] of Object.entries(exprs)) {
    await act(`expr-${id}`, { writes: [{ key: "out", value: expr, expr: true }] });
    await act(`result-${id}`, { writes: [], result: expr });
  }
  await act("cas", {
    writes: [mine({ key: "secret", value: "x", if_version: "0123456789abcdef" })],
  });
  await act("not-a-number", { writes: [mine({ key: "secret", increment: 1 })] });
  await act("no-timer", { writes: [mine({ key: "secret", renew: true })] });
  await act("passing", {
    if:
      "salient(state.alice, 0.0).size() >= 0 && top_n(state.alice, 9).size() >= 0 && velocity_above(state.alice, 0.0).size() >= 0",
    writes: [{ key: "passed", value: 1 }],
  });
  await act("touch", {
    writes: [mine({ key: "touched", value: "${params.v}" }), { key: "public", value: 1 }],
  });
}

/** Views of alice's that fail over what they read. */
async function plantViews(on: TestService, room: TestRoom): Promise<void> {
  const exprs: Record<string, string> = {
    missing: "state._shared[state.self.ptr.value].value",
    inward: "state.self[state.self.ptr.value].value",
    typed: "state.self.secret.value + 1",
    converted: "int(state.self.secret.value)",
    thrown: "timestamp(state.self.secret.value)",
    member: "{'a': 1}[state.self.ptr.value]",
    passing: "state.self.map(k, state.self[k]._meta.score).size()",
  };
  for (const [id, expr] of Object.entries(exprs)) {
    const reply = await on.invoke(
      room.id,
      "_register_view",
      { id: `v-${id}`, expr },
      room.agents["alice"],
    );
    assert.equal(reply.status, 201, reply.text);
  }
}

function captureConsole(lines: string[]): () => void {
  const { log, error, warn } = console;
  const note = (...parts: unknown[]): void => {
    lines.push(parts.map(String).join(" "));
  };
  Object.assign(console, { log: note, error: note, warn: note });
  return () => Object.assign(console, { log, error, warn });
}

const EXPRESSIONS = [
  "state",
  "state.alice",
  "state.alice.secret",
  'state["alice"]["secret"].value',
  "state.keys()",
  "state.alice.keys()",
  "state.map(s, state[s].keys())",
  "state.map(s, s)",
  "has(state.alice)",
  "has(state.alice.secret)",
  '"alice" in state',
  '"secret" in state.alice',
  "state.?alice.?secret.orValue('none')",
  "state[?'alice'][?'secret']",
  "size(state.alice)",
  "top_n(state.alice, 9)",
  "salient(state.alice, 0.0)",
  "written_by(state.alice, 'alice')",
  "views",
  "views.map(v, views[v].value)",
  "agents",
  "actions",
  "actions.map(a, actions[a].value.available)",
  "messages",
  "room",
  "memory",
  "state.entries()",
  "state.values()",
  "params.x.y",
];

/** Every request of which anything could come back. */
function requests(
  room: string,
  head: number,
): [method: string, path: string, body?: unknown, headers?: Record<string, string>][] {
  const at = `/rooms/${room}`;
  const list: [string, string, unknown?, Record<string, string>?][] = [
    ["GET", "/rooms"],
    ["GET", at],
    ["GET", `${at}/members`],
    ["GET", `${at}/poll`],
    ["GET", `${at}/poll?agent=alice`],
    ["GET", `${at}/salience?limit=1000`],
    ["GET", `${at}/salience?agent=alice`],
    ["GET", `${at}/help`],
    ["GET", `${at}/vocabulary`],
    ["GET", `${at}/verify`],
    ["GET", `${at}/export`],
    ["GET", "/metrics"],
    ["GET", "/openapi.json"],
  ];
  for (
    const query of [
      "",
      "?depth=usage&explain=true&elision=none&expand_params=true",
      "?depth=full&include=_audit,_actions,_views,_agents,_config,_help,_messages,_alice",
      "?expand=alice.*&expand=alice.secret&expand=self.secret",
      "?only=state.alice",
      "?only=state.alice,state._audit&include=_audit",
      "?since=1",
      "?since=4&shape=plain",
      "?shape=plain&include=_audit",
      "?budget=100000",
      "?messages_kind=action_invocation&messages_limit=500",
      "?messages_kind=action_invocation&messages_after=0",
      "?agent=alice",
      "?focus_threshold=0&elide_threshold=0",
      "?include=_hidden",
    ]
  ) list.push(["GET", `${at}/context${query}`]);
  for (
    const query of [
      "",
      "?proof=true&limit=1000",
      "?scope=alice",
      "?scope=self",
      "?agent=alice",
      "?kind=invoke",
      "?scope=alice&key=secret",
      "?format=jsonl",
      "?action=keep",
      "?key=secret&scope=_shared",
    ]
  ) {
    list.push(["GET", `${at}/log${query}`]);
  }
  for (
    const path of [
      "alice/secret",
      "alice",
      "alice?prefix=s",
      "self/secret",
      "self",
      "_shared",
      "_actions",
      "_views",
      "_audit",
    ]
  ) {
    list.push(["GET", `${at}/history/${path}`]);
  }
  for (const view of ["v-missing", "v-typed", "v-passing"]) {
    list.push(["GET", `${at}/samples/${view}`]);
  }
  for (let seq = 1; seq <= head; seq += 3) {
    list.push(["GET", `${at}/replay/${seq}?depth=full&elision=none&include=_audit`]);
  }
  list.push(["GET", `${at}/replay/${head}?agent=alice`], ["GET", `${at}/diff?from=1&to=${head}`], [
    "GET",
    `${at}/diff?from=8&to=12&agent=alice`,
  ]);
  for (const expr of EXPRESSIONS) {
    list.push(["POST", `${at}/eval`, { expr, explain: true }]);
    list.push(["POST", `${at}/wait`, {
      condition: `${expr} == "no"`,
      timeout: 0,
      include: "state,views",
    }]);
  }
  list.push(["POST", `${at}/eval`, { expr: "state.alice.secret.value", agent: "alice" }]);
  list.push(["GET", `${at}/wait?timeout=0&since=1&include=_audit`], [
    "GET",
    `${at}/wait?timeout=0&agent=alice`,
  ]);
  return [...list, ...invocations(at)];
}

function invocations(at: string): [string, string, unknown?, Record<string, string>?][] {
  const list: [string, string, unknown?, Record<string, string>?][] = [];
  const names = [
    "shut",
    "pointed",
    "inward",
    "mapped",
    "listed",
    "keyed",
    "counted",
    "typed",
    "matched",
    "ordered",
    "walked",
    "converted",
    "lasting",
    "thrown",
    "sized",
  ]
    .map((name) => `gate-${name}`);
  for (const kind of ["expr", "result"]) {
    for (const name of ["missing", "inward", "typed", "converted", "indexed", "member"]) {
      names.push(`${kind}-${name}`);
    }
  }
  names.push("cas", "not-a-number", "no-timer", "passing", "touch", "push", "merge", "keep");
  for (const name of names) {
    const path = `${at}/actions/${name}/invoke`;
    const params = { p: "x", n: 5, v: { a: 1 }, k: "other", by: 1 };
    list.push(["POST", path, { params, dry_run: true }], ["POST", path, {
      params,
      context: { include: "_audit", depth: "usage" },
    }]);
    list.push(["POST", path, { params, agent: "alice" }]);
  }
  const keep = `${at}/actions/keep/invoke`;
  list.push(["POST", keep, { params: { k: "idem", v: "cv7Qother" } }, {
    "Idempotency-Key": "alices",
  }]);
  for (
    const body of [
      { if: 'state.alice.secret.value == "cv7Qother"' },
      { if: "has(state.alice.secret)" },
      { if: "state[params.s][params.k].value == 1", params: { s: "alice", k: "secret" } },
      { if_version: { "alice.secret": 1 } },
      { if_version: { "alice.nothing": "" } },
      { fence: { message: 1, fence: 1 } },
    ]
  ) list.push(["POST", `${at}/actions/_send_message/invoke`, { params: { body: "x" }, ...body }]);
  for (
    const params of [
      { id: "thief", expr: "state.alice.secret.value" },
      { id: "thief2", expr: "state.map(s, state[s].keys())" },
      { id: "thief3", expr: "state.alice.secret.value", scope: "alice" },
      { id: "v-missing", expr: "1" },
    ]
  ) list.push(["POST", `${at}/actions/_register_view/invoke`, { params }]);
  for (
    const params of [
      { id: "thief", writes: [{ key: "loot", value: "state.alice.secret.value", expr: true }] },
      { id: "thief2", scope: "alice", writes: [] },
      { id: "thief3", if: "state.alice.secret.value == params.guess", writes: [] },
      { id: "thief4", writes: [], result: "state.alice" },
      { id: "keep", writes: [] },
      { id: "gate-shut", writes: [], if_version: "" },
    ]
  ) list.push(["POST", `${at}/actions/_register_action/invoke`, { params }]);
  for (const thief of ["thief", "thief3", "thief4"]) {
    list.push(["POST", `${at}/actions/${thief}/invoke`, { params: { guess: "x" } }]);
  }
  for (const id of ["keep", "nothing"]) {
    list.push(["POST", `${at}/actions/_delete_action/invoke`, { params: { id } }]);
  }
  return list;
}

function mustBeSilent(reply: { readonly text: string }, what: string): void {
  for (const canary of CANARIES) {
    const at = reply.text.indexOf(canary);
    assert.ok(
      at === -1,
      `${what} gave away ${canary}: …${reply.text.slice(Math.max(0, at - 160), at + 60)}…`,
    );
  }
}

Deno.test("Private values reach nobody else, whatever is asked", async (t) => {
  const { on, room, others, lines, close } = await plant();
  const clock = on.service.engine.clock as ManualClock;
  const head = (await on.service.engine.find(room.id)).room.head;
  const check = await on.call("GET", `/rooms/${room.id}/context`, { token: room.agents["alice"] });
  for (const canary of ["cv7Qvalue", "ck7Qkey", "pz7Qpointer", "77313377"]) {
    assert.ok(check.text.includes(canary));
  }
  for (const [name, token] of Object.entries(others)) {
    await t.step(name, async () => {
      const leaks: string[] = [];
      for (const [method, path, body, headers] of requests(room.id, head)) {
        const asking = on.call(method, path, {
          token,
          ...(body === undefined ? {} : { body }),
          ...(headers ? { headers } : {}),
        });
        const isWait = path.includes("/wait");
        if (isWait) await turns(3).then(() => clock.advance(1));
        const reply = await asking;
        try {
          mustBeSilent(reply, `${method} ${path} ${JSON.stringify(body ?? "")}`);
        } catch (error) {
          leaks.push((error as Error).message);
        }
        assert.ok(reply.status < 500, `${method} ${path}: ${reply.text}`);
      }
      assert.deepEqual(leaks, []);
    });
  }
  await t.step("the server's log and metrics", async () => {
    for (const line of lines) mustBeSilent({ text: line }, "the server's log");
    mustBeSilent(await on.call("GET", "/metrics"), "metrics");
  });
  await close();
});

Deno.test("A stream of events shows others nothing of a private scope", async () => {
  const { on, room, others, close } = await plant();
  if (!ROUTES.some(({ path }) => path === "/rooms/:id/events")) return await close();
  for (const token of [others["bob"], others["view"]]) {
    const controller = new AbortController();
    const response = await on.service.fetch(
      new Request(`${ORIGIN}/rooms/${room.id}/events?after=1`, {
        headers: { Authorization: `Bearer ${token}` },
        signal: controller.signal,
      }),
    );
    assert.equal(response.status, 200);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    await on.invoke(room.id, "touch", { v: "cv7Qvalue" }, room.agents["alice"]);
    let text = "";
    await turns(20);
    await (on.service.engine.clock as ManualClock).advance(200);
    for (let i = 0; i < 300 && !text.includes('"touch"'); i++) {
      text += (await reader.read()).value ?? "";
    }
    assert.ok(text.includes('"touch"'), text.slice(-500));
    mustBeSilent({ text }, "the stream");
    await reader.cancel();
    controller.abort();
  }
  await close();
});

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
  for (const [name, token] of [["greta", greta], ["admin", room.admin], ["alice", alice]]) {
    const { status, body, text } = await on.invoke(room.id, "spy", {}, token);
    assert.equal(status, 200, text);
    assert.equal(body.writes[0].value, false, `${name}: ${text}`);
    assert.equal(text.includes("bobs-secret"), false, `${name}`);
  }
  const bobs = await on.invoke(room.id, "spy", {}, bob);
  assert.equal(bobs.body.result, "bobs-secret", "the invoker's own scope is its to show");
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

Deno.test("A write-level token without an agent sees no private scope, and writes as nobody", async () => {
  const { on, room, others, close } = await plant();
  const context = await on.call("GET", `/rooms/${room.id}/context`, {
    token: others["participant"],
  });
  assert.equal(context.body.self, "");
  mustBeSilent(context, "context");
  const sent = await on.invoke(room.id, "_send_message", { body: 1 }, others["participant"]);
  assert.deepEqual([sent.status, sent.body.error], [400, "agent_required"]);
  await close();
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
  const { db } = on.service.store;
  const dump = async (): Promise<string> => {
    const tables = await db.all("SELECT name FROM sqlite_master WHERE type = 'table'");
    const rows = await Promise.all(
      tables.map(({ name }) => db.all(`SELECT * FROM "${String(name)}"`)),
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
