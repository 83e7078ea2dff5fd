/**
 * Private values reach nobody else: marks planted in one agent's scope are looked for in every
 * reply of every route and tool, in streams, in the server's log and in metrics.
 */
import assert from "node:assert/strict";
import { ROUTES } from "../http/routes.ts";
import type { JsonObject } from "../types.ts";
import {
  makeRoom,
  makeUser,
  type ManualClock,
  ORIGIN,
  startService,
  type TestRoom,
  type TestService,
  turns,
  userToken,
} from "./harness.ts";
import { call } from "./mcp_world.ts";

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
  for (const agent of ["alice", "bob", "carol", undefined]) {
    const named = agent === undefined ? {} : { agent };
    for (
      const action of [
        "push",
        "gate-shut",
        "gate-keyed",
        "expr-member",
        "result-member",
        "passing",
        "touch",
        "cas",
      ]
    ) {
      const params = { p: "x", n: 5, v: { a: 1 }, k: "other", by: 1 };
      const watch = ["state.alice.secret.value", "state.alice", "views"];
      list.push(["POST", `${at}/simulate`, { steps: [{ ...named, action, params }] }]);
      list.push(["POST", `${at}/simulate`, {
        steps: [{ ...named, action, params }],
        watch,
        watches: watch,
      }]);
    }
    const thief = {
      id: "thief",
      writes: [{ key: "loot", value: "state.alice.secret.value", expr: true }],
    };
    const steps = [{ ...named, action: "_register_action", params: thief }, {
      ...named,
      action: "thief",
    }];
    list.push(["POST", `${at}/simulate`, { steps }]);
  }
  list.push(["POST", `${at}/fork`, {}], ["GET", `${at}/vocabulary?review=true`]);
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

/** The same questions, asked through the tools. */
function toolCalls(room: string, head: number): [name: string, args: JsonObject][] {
  const calls: [string, JsonObject][] = [["sync_lobby", {}], ["sync_list_rooms", {}], [
    "sync_review_vocabulary",
    { room },
  ]];
  for (
    const rest of [{}, { depth: "usage", include: "_audit", elision: "none" }, { agent: "alice" }, {
      expand: "alice.*",
    }]
  ) {
    calls.push(["sync_read_context", { room, ...rest }]);
  }
  for (const expr of EXPRESSIONS) {
    calls.push(["sync_eval_cel", { room, expr, explain: true }]);
    calls.push(["sync_wait", { room, condition: `${expr} == "no"`, timeout: 0 }]);
  }
  for (
    const rest of [{}, { scope: "alice" }, { scope: "alice", key: "secret" }, { scope: "self" }]
  ) {
    calls.push(["sync_history", { room, ...rest }]);
  }
  for (let seq = 1; seq <= head; seq += 9) calls.push(["sync_replay", { room, seq }]);
  for (
    const action of [
      "gate-pointed",
      "gate-keyed",
      "gate-thrown",
      "expr-member",
      "result-indexed",
      "passing",
      "touch",
      "cas",
      "push",
    ]
  ) {
    const params = { p: "x", n: 5, v: { a: 1 }, k: "other", by: 1 };
    calls.push(["sync_invoke_action", { room, action, params }], ["sync_invoke_action", {
      room,
      action,
      params,
      dry_run: true,
    }]);
  }
  calls.push(["sync_register_view", { room, id: "thief", expr: "state.alice.secret.value" }]);
  calls.push(["sync_embody", { room, agent: "alice" }], ["sync_embody", {
    room,
    agent: "alice",
    take_over: true,
  }]);
  calls.push(["sync_claim_message", { room, seq: 1 }], ["sync_help", { room, key: "guide" }]);
  return calls;
}

Deno.test("Private values reach nobody else through the tools either", async (t) => {
  const { on, room, others, close } = await plant();
  const clock = on.service.engine.clock as ManualClock;
  const head = (await on.service.engine.find(room.id)).room.head;
  for (const [name, token] of Object.entries(others)) {
    if (token === undefined) continue;
    await t.step(name, async () => {
      const leaks: string[] = [];
      let answered = 0;
      for (const [tool, args] of toolCalls(room.id, head)) {
        const asking = call(on, token, tool, args);
        if (tool === "sync_wait") await turns(3).then(() => clock.advance(1));
        const reply = await asking;
        assert.ok(reply.status < 500, `${tool}: ${reply.text}`);
        if (reply.status === 200) answered++;
        try {
          mustBeSilent(reply, `${tool} ${JSON.stringify(args)}`);
        } catch (error) {
          leaks.push((error as Error).message);
        }
      }
      assert.deepEqual(leaks, []);
      assert.ok(answered > 20, `only ${answered} calls were answered`);
    });
  }
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
