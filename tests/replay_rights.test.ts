/** Replay and diff go by today's rights; their refusals and bounds. */
import { strict as assert } from "node:assert";
import { makeRoom, ManualClock, startService } from "./harness.ts";

async function setUp() {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice", "bob"]);
  const { id, admin, agents } = room;
  await on.invoke(id, "_register_action", {
    id: "note",
    params: { v: {} },
    writes: [{ scope: "${self}", key: "note", value: "${params.v}" }],
  }, admin);
  await on.invoke(id, "_register_action", {
    id: "set",
    params: { k: {}, v: {} },
    writes: [{ key: "${params.k}", value: "${params.v}" }],
  }, admin);
  const head = async () =>
    (await on.call("GET", `/rooms/${id}`, { token: admin })).body.head as number;
  const grant = (agent: string, grants: string[]) =>
    on.call("PATCH", `/rooms/${id}/agents/${agent}`, { token: admin, body: { grants } });
  const get = (path: string, token?: string) => on.call("GET", `/rooms/${id}${path}`, { token });
  return {
    clock,
    on,
    id,
    admin,
    view: room.view,
    alice: agents["alice"]!,
    bob: agents["bob"]!,
    head,
    grant,
    get,
  };
}

Deno.test("what one may read of the past is what one may read today", async () => {
  const { on, id, admin, alice, bob, view, head, grant, get } = await setUp();
  await on.invoke(id, "note", { v: "bob's secret" }, bob);
  await grant("alice", ["bob"]);
  const granted = await head();
  assert.equal((await get(`/replay/${granted}`, alice)).body.state.bob.note.value, "bob's secret");
  await grant("alice", []);
  for (const [who, token] of [["alice", alice], ["view", view]] as const) {
    for (
      const path of [
        `/replay/${granted}?expand=bob.note&include=_audit`,
        `/diff?from=0&to=${granted}`,
      ]
    ) {
      const reply = await get(path, token);
      assert.equal(reply.status, 200, reply.text);
      assert.ok(!reply.text.includes("bob's secret"), `${who} ${path}`);
    }
  }
  await grant("alice", ["bob"]);
  const later = await head();
  await grant("alice", []);
  const before = await get(`/replay/${granted - 1}`, alice);
  assert.equal(before.body.state.bob, undefined);
  await grant("alice", ["bob"]);
  assert.equal(
    (await get(`/replay/${granted - 1}`, alice)).body.state.bob.note.value,
    "bob's secret",
  );
  assert.equal(
    (await get(`/replay/${later}?agent=bob`, admin)).body.state.self.note.value,
    "bob's secret",
  );
  assert.equal((await get(`/replay/${later}?agent=bob`, alice)).status, 403);
  await on.close();
});

Deno.test("in a replay nobody is present, nothing is unread, and now is the record's instant", async () => {
  const { on, id, admin, alice, bob, head, clock, get } = await setUp();
  await on.invoke(
    id,
    "_register_view",
    { id: "clock", expr: "string(now)", scope: "_shared" },
    admin,
  );
  await on.invoke(id, "_send_message", { body: "hi", to: "alice" }, bob);
  const at = await head();
  const ts = new Date(clock.now()).toISOString();
  await clock.advance(3_600_000);
  await on.invoke(id, "set", { k: "later", v: 1 }, bob);
  const { body } = await get(`/replay/${at}?explain=true`, alice);
  assert.equal(body.seq, at);
  assert.equal(Date.parse(body.views.clock.value), Date.parse(ts));
  assert.deepEqual(
    [
      body.agents.bob.value.status,
      body.agents.bob.value.waiting_on,
      body.agents.bob.value.last_heartbeat,
    ],
    [null, null, null],
  );
  assert.deepEqual([body.messages.unread, body.messages.directed_unread, body.messages.count], [
    0,
    0,
    1,
  ]);
  assert.equal(body.state._shared.later, undefined);
  const live = await get("/context", alice);
  assert.equal(live.body.messages.directed_unread, 1, "a replay moves no cursor");
  await on.close();
});

Deno.test("replay takes context's parameters, and refuses what is no record", async () => {
  const { on, head, get, alice, admin } = await setUp();
  const at = await head();
  const only = await get(`/replay/${at}?only=actions&depth=full&compact=true`, alice);
  assert.deepEqual(Object.keys(only.body).filter((name) => !name.startsWith("_")), [
    "seq",
    "actions",
    "self",
  ]);
  assert.ok(only.body.actions.note.value.writes);
  assert.equal((await get(`/replay/${at}?budget=500`, alice)).body._shaping.budget.tokens, 500);
  assert.equal((await get(`/replay/${at}?since=2`, alice)).body.reset, true);
  assert.equal((await get(`/replay/${at}?shape=plain`, alice)).body._shaping.shape, "plain");
  const empty = await get("/replay/0", admin);
  assert.deepEqual([empty.status, empty.body.seq, empty.body.state], [200, 0, { _shared: {} }]);
  for (const seq of [String(at + 1), "-1", "x", "1.5", "99999999999999999"]) {
    const reply = await get(`/replay/${seq}`, alice);
    assert.deepEqual([reply.status, reply.body.error, reply.body.field], [
      400,
      "invalid_argument",
      "seq",
    ], seq);
  }
  assert.equal((await get(`/replay/${at}?depth=deep`, alice)).status, 400);
  assert.equal((await get(`/replay/${at}`)).status, 401);
  await on.close();
});

Deno.test("a diff tells what changed, was added and is gone, by whom and through what", async () => {
  const { on, id, admin, alice, bob, head, get, clock } = await setUp();
  await on.invoke(id, "set", { k: "a", v: 1 }, alice);
  await on.invoke(id, "set", { k: "same", v: 1 }, alice);
  await on.invoke(id, "_register_action", {
    id: "blink",
    writes: [{ key: "brief", value: 1, timer: { ms: 1000, effect: "delete" } }],
  }, admin);
  await on.invoke(id, "blink", {}, alice);
  await on.invoke(id, "note", { v: "mine" }, alice);
  const from = await head();
  await on.invoke(id, "set", { k: "a", v: 2 }, bob);
  await on.invoke(id, "set", { k: "b", v: 3 }, alice);
  const added = await head();
  await clock.advance(2_000);
  await on.invoke(id, "note", { v: "changed" }, alice);
  const { body } = await get(`/diff?from=${from}`, bob);
  const shared = (list: Record<string, unknown>[]) =>
    list.filter(({ scope }) => scope === "_shared");
  assert.deepEqual(body.changed.filter((c: { scope: string }) => !c.scope.startsWith("_act")), [
    { scope: "_shared", key: "a", before: 1, after: 2, by: "bob", via: "set", seq: from + 1 },
  ]);
  assert.deepEqual(shared(body.added), [
    { scope: "_shared", key: "b", after: 3, by: "alice", via: "set", seq: added },
  ]);
  assert.deepEqual(shared(body.removed), [
    { scope: "_shared", key: "brief", before: 1, by: "_system", via: "timer", seq: added + 1 },
  ]);
  const own = await get(`/diff?from=${from}&scope=self`, alice);
  assert.deepEqual(own.body.changed.map((c: { after: unknown }) => c.after), ["changed"]);
  assert.deepEqual((await get(`/diff?from=${from}&to=${from}`, bob)).body.total, 0);
  await on.close();
});

Deno.test("a long diff comes in pages that lose nothing", async () => {
  const { on, id, admin, alice, head, get } = await setUp();
  const from = await head();
  for (let i = 0; i < 25; i++) await on.invoke(id, "set", { k: `k${i % 20}.x`, v: i }, alice);
  const keys: string[] = [];
  let after = "", total = 0;
  for (let page = 0; page < 10; page++) {
    const { body } = await get(`/diff?from=${from}&scope=_shared&limit=7${after}`, admin);
    keys.push(...body.added.map((entry: { key: string }) => entry.key));
    total = body.total;
    if (body.next_after === undefined) break;
    after = `&after=${encodeURIComponent(body.next_after)}`;
  }
  assert.equal(total, 20);
  assert.deepEqual(keys, [...new Set(keys)]);
  assert.equal(keys.length, 20);
  for (const query of ["from=9&to=3", "from=x", "to=3", "from=1&to=999", "from=1&limit=0"]) {
    assert.equal((await get(`/diff?${query}`, admin)).status, 400, query);
  }
  await on.close();
});

Deno.test("a refusal says who wrote what shut the gate, which element decided, and who could change it", async () => {
  const { on, id, admin, alice, bob } = await setUp();
  await on.invoke(id, "_register_action", {
    id: "ready",
    params: { n: {} },
    writes: [{ scope: "_votes", key: "${params.n}", value: true }],
    if: "self == 'bob'",
  }, admin);
  await on.invoke(id, "_register_action", {
    id: "unready",
    writes: [{ scope: "_votes", key: "two", value: false }],
  }, admin);
  await on.invoke(id, "_register_view", {
    id: "all_ready",
    expr: "state._votes.keys().all(k, state._votes[k].value == true)",
    scope: "_shared",
  }, admin);
  await on.invoke(id, "_register_action", {
    id: "go",
    if: "state._votes.all(k, state._votes[k].value == true) && views.all_ready.value",
    writes: [{ key: "gone", value: true }],
  }, admin);
  await on.invoke(id, "ready", { n: "one" }, bob);
  await on.invoke(id, "unready", {}, bob);
  const { body, status } = await on.invoke(id, "go", {}, alice);
  assert.deepEqual([status, body.error], [409, "precondition_failed"]);
  const [macro, view] = body.why;
  assert.equal(macro.element, "two");
  const operand = macro.operands.find((o: { path: string }) => o.path.includes("two"));
  assert.deepEqual([operand.value, operand.writer, operand.via], [false, "bob", "unready"]);
  assert.match(operand.updated_at, /^2026-/);
  assert.deepEqual(macro.could_change, ["ready", "unready"]);
  assert.deepEqual(macro.could_change_by, [
    { action: "ready", agents: ["bob"] },
    { action: "unready", agents: ["alice", "bob"] },
  ]);
  assert.deepEqual(view.could_change, ["ready", "unready"]);
  const writes = [{ scope: "_votes", key: "two", value: true }];
  const hidden = { timer: { ms: 60_000, effect: "enable" }, writes };
  await on.invoke(id, "_register_action", { id: "asleep", ...hidden }, admin);
  const enabled = 'self == "bob"';
  await on.invoke(id, "_register_action", { id: "bobs", enabled, writes }, admin);
  const hints = async (token?: string): Promise<string[]> =>
    (await on.invoke(id, "go", {}, token)).body.why[0].could_change;
  assert.deepEqual(await hints(alice), ["ready", "unready"]);
  assert.deepEqual(await hints(bob), ["bobs", "ready", "unready"]);
  await on.close();
});

Deno.test("whose private state opens a gate is nobody else's to know", async () => {
  const { on, id, admin, alice } = await setUp();
  await on.invoke(id, "_register_action", {
    id: "raise",
    if: "state.self.note.value == 'strong'",
    writes: [{ key: "bar", value: 2 }],
  }, admin);
  await on.invoke(id, "_register_action", {
    id: "jump",
    if: "state._shared.bar.value == 2",
    writes: [{ key: "up", value: true }],
  }, admin);
  await on.invoke(
    id,
    "note",
    { v: "strong" },
    (await on.call("POST", `/rooms/${id}/agents`, {
      token: admin,
      body: { id: "carol" },
    })).body.token,
  );
  const why = async (token: string) =>
    (await on.invoke(id, "jump", {}, token)).body.why[0].could_change_by;
  const isRaise = ({ action }: { action: string }) => action === "raise";
  assert.deepEqual((await why(alice)).filter(isRaise), [{
    action: "raise",
    agents: [],
    unknown: true,
  }]);
  assert.deepEqual((await why(admin)).filter(isRaise), [{ action: "raise", agents: ["carol"] }]);
  await on.close();
});
