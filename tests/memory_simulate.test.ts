/** Simulation: what steps would come to, and that nothing of it stays. */
import { strict as assert } from "node:assert";
import { canonical } from "../canonical.ts";
import { makeRoom, ManualClock, mustVerify, startService, turns } from "./harness.ts";
import { World } from "./memory_world.ts";

async function setUp() {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice", "bob"]);
  const { id, admin, agents } = room;
  const actions = [
    {
      id: "next",
      if: "!has(state._shared.turn) || state._shared.turn.value < 2",
      writes: [{ key: "turn", increment: 1 }],
    },
    {
      id: "keep",
      params: { v: {} },
      writes: [{ scope: "${self}", key: "note", value: "${params.v}" }],
    },
    { id: "wipe", writes: [{ key: "turn", delete: true }] },
    {
      id: "fuse",
      writes: [{
        key: "fuse",
        value: "lit",
        timer: { ticks: 1, tick_on: "_shared.turn", effect: "delete" },
      }],
    },
  ];
  for (const action of actions) await on.invoke(id, "_register_action", action, admin);
  const simulate = (token: string, steps: unknown, query = "") =>
    on.call("POST", `/rooms/${id}/simulate${query}`, { token, body: { steps } });
  return {
    clock,
    on,
    id,
    admin,
    alice: agents["alice"]!,
    bob: agents["bob"]!,
    simulate,
    view: room.view,
  };
}

Deno.test("steps build on each other, refusals included, and nothing of it stays", async () => {
  const { on, id, admin, simulate } = await setUp();
  const before = await on.call("GET", `/rooms/${id}/context?elision=none&depth=usage`, {
    token: admin,
  });
  const { body, status, text } = await simulate(admin, [
    { agent: "alice", action: "next" },
    { agent: "bob", action: "next" },
    { agent: "alice", action: "next" },
    { agent: "alice", action: "keep", params: { v: 7 } },
    { agent: "bob", action: "nonsense" },
    { action: "_send_message", params: { body: "hello" } },
    { agent: "bob", action: "_set_status", params: { status: "busy" } },
  ]);
  assert.equal(status, 200, text);
  assert.deepEqual(body.steps.map((s: { ok: boolean }) => s.ok), [
    true,
    true,
    false,
    true,
    false,
    true,
    true,
  ]);
  assert.equal(body.steps[2].refused.error, "precondition_failed");
  assert.equal(body.steps[4].refused.error, "action_not_found");
  assert.equal(body.steps[1].reply.writes[0].value, 2);
  assert.deepEqual(
    body.diff.added.filter((e: { scope: string }) => e.scope !== "_messages")
      .map(({ scope, key, after, by }: Record<string, unknown>) => [scope, key, after, by]),
    [["_shared", "turn", 2, "bob"], ["alice", "note", 7, "alice"]],
  );
  const after = await on.call("GET", `/rooms/${id}/context?elision=none&depth=usage`, {
    token: admin,
  });
  assert.equal(canonical(after.body), canonical(before.body));
  const poll = await on.call("GET", `/rooms/${id}/poll`, { token: admin });
  assert.deepEqual(poll.body.refusals, []);
  await mustVerify(on, { id, admin });
  await on.close();
});

Deno.test("ticks that a step uses up end their things within the simulation", async () => {
  const { on, id, admin, simulate } = await setUp();
  const { body } = await simulate(admin, [{ action: "fuse" }, { action: "next" }]);
  assert.deepEqual(body.diff.added.map((e: { key: string }) => e.key), ["turn"]);
  await on.invoke(id, "fuse", {}, admin);
  const later = await simulate(admin, [{ action: "next" }]);
  assert.deepEqual(
    later.body.diff.removed.map((e: Record<string, unknown>) => [e["key"], e["by"]]),
    [["fuse", "_system"]],
  );
  await mustVerify(on, { id, admin });
  await on.close();
});

Deno.test("one simulates as who one is; private outcomes are not told to others", async () => {
  const { on, alice, bob, admin, view, simulate } = await setUp();
  const rows: [string, unknown[], number, string][] = [
    [view, [{ action: "next" }], 403, "read_only_token"],
    [alice, [], 400, "invalid_argument"],
    [alice, [{ act: "next" }], 400, "invalid_argument"],
    [alice, Array.from({ length: 51 }, () => ({ action: "next" })), 400, "invalid_argument"],
  ];
  for (const [token, steps, status, error] of rows) {
    const reply = await simulate(token, steps);
    assert.deepEqual([reply.status, reply.body.error], [status, error], reply.text);
  }
  const other = await simulate(alice, [{ agent: "bob", action: "next" }]);
  assert.equal(other.body.steps[0].refused.error, "identity_mismatch");
  const own = await simulate(bob, [{ action: "keep", params: { v: "mine" } }]);
  assert.equal(own.body.diff.added[0].after, "mine");
  const borrowed = await simulate(
    admin,
    [{ agent: "bob", action: "keep", params: { v: "x" } }],
    "?agent=alice",
  );
  assert.deepEqual(borrowed.body.diff.added, []);
  await on.close();
});

Deno.test("it names the waits that would wake, and counts those that read what the caller may not", async () => {
  const { on, id, admin, alice, bob, simulate } = await setUp();
  const wait = (token: string, condition?: string) =>
    on.call("POST", `/rooms/${id}/wait`, {
      token,
      body: { timeout: 50_000, ...(condition === undefined ? {} : { condition }) },
    });
  const open = [
    wait(alice, "has(state._shared.turn) && state._shared.turn.value >= 2"),
    wait(bob, "has(state.self.note) && state.self.note.value == 1"),
  ];
  await turns(20);
  const one = await simulate(admin, [{ action: "next" }]);
  assert.deepEqual(one.body.waits_woken, []);
  const two = await simulate(alice, [{ action: "next" }, { action: "next" }]);
  assert.deepEqual(two.body.waits_woken.map((w: { agent: string }) => w.agent), ["alice"]);
  const steps = [{ agent: "bob", action: "keep", params: { v: 1 } }];
  const all = await simulate(admin, steps);
  assert.deepEqual(all.body.waits_woken.map((w: { agent: string }) => w.agent), ["bob"]);
  const seen = await simulate(admin, steps, "?agent=alice");
  assert.deepEqual([seen.body.waits_woken, seen.body.waits_woken_hidden], [[], 1]);
  on.service.deps.waits.close();
  await Promise.all(open);
  await on.close();
});

Deno.test("what a simulation says of a step is what the step then does", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const world = await World.make(on, clock, 41);
  for (let i = 0; i < 60; i++) await world.step();
  for (let i = 0; i < 60; i++) {
    const agent = world.dice.pick(["alice", "bob", "carol"]);
    const [action, params] = world.dice.pick<[string, unknown]>([
      ["inc", { by: 1 }],
      ["set", { key: "phase", value: i }],
      ["calc", {}],
      ["push", { item: i }],
      ["drop", { key: "x" }],
      ["renew", {}],
      ["ticking", {}],
      ["_send_message", { body: "m" }],
    ]);
    const token = world.tokens[agent];
    const told = await on.call("POST", `/rooms/${world.room.id}/simulate`, {
      token,
      body: { steps: [{ action, params }] },
    });
    assert.equal(told.status, 200, told.text);
    const [step] = told.body.steps;
    const done = await world.invoke(action, params, agent);
    assert.equal(step.ok, done.status < 300, `${action}: ${done.text}`);
    assert.equal(canonical(step.ok ? step.reply : step.refused), canonical(done.body), action);
    await clock.advance(100);
  }
  await mustVerify(on, world.room);
  await on.close();
});
