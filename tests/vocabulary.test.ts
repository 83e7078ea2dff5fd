/** The review of a vocabulary: what it finds in bad rooms, and that it leaves good ones alone. */
import { strict as assert } from "node:assert";
import { STANDARD_LIBRARY } from "../help-content/standard_library.ts";
import { makeRoom, startService, type TestService, turns } from "./harness.ts";

interface Case {
  readonly name: string;
  readonly actions?: readonly Record<string, unknown>[];
  readonly views?: readonly Record<string, unknown>[];
  readonly set?: Readonly<Record<string, unknown>>;
  /** Code and subject of each finding. */
  readonly finds: readonly (readonly [code: string, about: string])[];
}

const SET = {
  id: "set_phase",
  params: { to: {} },
  writes: [{ key: "phase", value: "${params.to}" }],
};

const CASES: readonly Case[] = [
  {
    name: "a gate on a key that no action writes",
    actions: [{
      id: "go",
      if: "state._shared.phase.value == 'on'",
      writes: [{ key: "x", value: 1 }],
    }],
    finds: [["gate_stuck", "go"], ["key_never_written", "_shared.phase"]],
  },
  {
    name: "a gate on a key that another action writes",
    actions: [{
      id: "go",
      if: "state._shared.phase.value == 'on'",
      writes: [{ key: "x", value: 1 }],
    }, SET],
    finds: [],
  },
  {
    name: "two gates that wait for each other",
    actions: [
      { id: "a", if: "state._shared.b.value == 1", writes: [{ key: "a", value: 1 }] },
      { id: "b", if: "state._shared.a.value == 1", writes: [{ key: "b", value: 1 }] },
    ],
    finds: [["gate_stuck", "a"], ["gate_stuck", "b"]],
  },
  {
    name: "a chain of gates that begins with an open one",
    actions: [
      { id: "a", writes: [{ key: "a", value: 1 }] },
      { id: "b", if: "state._shared.a.value == 1", writes: [{ key: "b", value: 1 }] },
      { id: "c", if: "state._shared.b.value == 1", writes: [{ key: "c", value: 1 }] },
    ],
    finds: [],
  },
  {
    name: "a gate that is simply false",
    actions: [{ id: "never", if: "1 > 2", writes: [{ key: "x", value: 1 }] }],
    finds: [["gate_stuck", "never"]],
  },
  {
    name: "gates that time, people, messages or one's own state open",
    actions: [
      {
        id: "late",
        if: "now > timestamp('2030-01-01T00:00:00Z')",
        writes: [{ key: "a1", value: 1 }],
      },
      { id: "crowd", if: "agents.keys().size() > 5", writes: [{ key: "a2", value: 1 }] },
      { id: "mail", if: "messages.count > 3", writes: [{ key: "a3", value: 1 }] },
      { id: "judge", if: "self == 'judge'", writes: [{ key: "a4", value: 1 }] },
      { id: "own", if: "state.self.ready.value == true", writes: [{ key: "a5", value: 1 }] },
    ],
    finds: [],
  },
  {
    name: "a constant that a gate reads and only an admin could have set",
    actions: [SET, {
      id: "go",
      if: "state._shared.limit.value > 3",
      writes: [{ key: "x", value: 1 }],
    }],
    finds: [["gate_stuck", "go"], ["key_never_written", "_shared.limit"]],
  },
  {
    name: "a slip of the key's name",
    actions: [
      { id: "score", writes: [{ key: "scores", increment: 1 }] },
      { id: "win", if: "state._shared.score.value > 3", writes: [{ key: "won", value: true }] },
    ],
    finds: [["gate_stuck", "win"], ["key_never_written", "_shared.score"]],
  },
  {
    name: "parameters that nothing uses",
    actions: [
      {
        id: "say",
        params: { text: {}, tone: {} },
        writes: [{ key: "said", value: "${params.text}" }],
      },
      {
        id: "all",
        params: { a: {}, b: {} },
        writes: [{ key: "all", value: "size(params)", expr: true }],
      },
      {
        id: "gate",
        params: { who: {} },
        if: "params.who == self",
        writes: [{ key: "g", value: 1 }],
      },
      {
        id: "timer",
        params: { ms: {} },
        writes: [{ key: "t", value: 1, timer: { ms: "${params.ms}", effect: "delete" } }],
      },
    ],
    finds: [["unused_params", "say"]],
  },
  {
    name: "one target, two actions",
    actions: [
      { id: "open", writes: [{ key: "door", value: "open" }] },
      { id: "shut", writes: [{ key: "door", value: "shut" }] },
    ],
    finds: [["contested_target", "_shared:door"]],
  },
  {
    name: "one target by way of a template",
    actions: [
      { id: "vote", params: { n: {} }, writes: [{ key: "vote.${params.n}", value: 1 }] },
      { id: "first", writes: [{ key: "vote.1", value: 2 }] },
    ],
    finds: [["contested_target", "_shared:vote.1"]],
  },
  {
    name: "a write that computes from a key that is not there",
    actions: [{
      id: "next",
      writes: [{ key: "turn", value: "state._shared.turn.value + 1", expr: true }],
    }],
    finds: [["fails_on_missing_key", "next"]],
  },
  {
    name: "a write that computes from a key that may be missing, with care",
    actions: [{
      id: "next",
      writes: [{
        key: "turn",
        value: "has(state._shared.turn) ? state._shared.turn.value + 1 : 1",
        expr: true,
      }],
    }],
    finds: [],
  },
  {
    name: "views that fail and views that do not",
    actions: [SET],
    views: [
      { id: "bad", expr: "state._shared.nothing.value + 1" },
      { id: "good", expr: "has(state._shared.phase) ? state._shared.phase.value : ''" },
    ],
    finds: [["view_broken", "bad"]],
  },
  {
    name: "a gate that yields no boolean",
    actions: [SET, {
      id: "odd",
      if: "state._shared.phase.value",
      writes: [{ key: "o", value: 1 }],
    }],
    set: { phase: 7 },
    finds: [["gate_fails", "odd"]],
  },
  {
    name: "turns, fan-in and a pipeline, as people write them",
    actions: [
      {
        id: "move",
        if: "!has(state._shared.turn) || state._shared.turn.value == self",
        writes: [{ key: "turn", value: "self == 'alice' ? 'bob' : 'alice'", expr: true }],
      },
      { id: "draft", writes: [{ key: "draft", value: "text" }] },
      { id: "review", if: "has(state._shared.draft)", writes: [{ key: "review", value: "ok" }] },
      {
        id: "publish",
        if: "state._shared.review.value == 'ok'",
        writes: [{ key: "published", value: true }],
      },
      {
        id: "submit",
        params: { r: {} },
        writes: [{ key: "${self}.result", value: "${params.r}" }],
      },
      {
        id: "finish",
        if: "state._shared.keys().filter(k, k.endsWith('.result')).size() >= 2",
        writes: [{ key: "finished", value: true }],
      },
    ],
    finds: [],
  },
];

// deno-lint-ignore no-explicit-any -- findings have many shapes
function subject(finding: any): string {
  return finding.action ?? finding.view ?? finding.path ?? finding.target;
}

async function review(on: TestService, id: string, token: string) {
  const reply = await on.call("GET", `/rooms/${id}/vocabulary`, { token });
  assert.equal(reply.status, 200, reply.text);
  for (const finding of reply.body.findings) {
    assert.ok(
      finding.message.length > 10 && finding.suggestion.length > 10,
      JSON.stringify(finding),
    );
    assert.ok(["problem", "notice"].includes(finding.severity));
  }
  return reply.body;
}

for (const { name, actions = [], views = [], set = {}, finds } of CASES) {
  Deno.test(`the review of ${name}`, async () => {
    const on = await startService();
    const { id, admin } = await makeRoom(on, ["alice", "bob"]);
    for (const action of actions) {
      const made = await on.invoke(id, "_register_action", action, admin);
      assert.equal(made.status, 201, made.text);
    }
    for (const view of views) {
      const made = await on.invoke(id, "_register_view", { ...view, scope: "_shared" }, admin);
      assert.equal(made.status, 201, made.text);
    }
    for (const value of Object.values(set)) await on.invoke(id, "set_phase", { to: value }, admin);
    const { findings } = await review(on, id, admin);
    // deno-lint-ignore no-explicit-any -- findings have many shapes
    const found = findings.map((finding: any) => [finding.code, subject(finding)]);
    assert.deepEqual(found, finds.map((find) => [...find]));
    await on.close();
  });
}

Deno.test("the standard library raises no alarm: unused, in use, and in a quiet room", async () => {
  const on = await startService();
  const { id, admin, agents } = await makeRoom(on, ["alice", "bob"]);
  for (const action of STANDARD_LIBRARY) {
    const made = await on.invoke(id, "_register_action", action, admin);
    assert.equal(made.status, 201, made.text);
  }
  assert.deepEqual((await review(on, id, admin)).findings, []);
  const steps: [string, unknown][] = [
    ["set", { key: "phase", value: "one" }],
    ["claim", { key: "door" }],
    ["submit_result", { result: 1 }],
    ["vote", { choice: "a" }],
    ["define_role", { role: "lead" }],
    ["fill_role", { role: "lead" }],
    ["post_task", { title: "x" }],
    ["update_objective", { objective: "o" }],
    ["append", { key: "list", item: 1 }],
    ["increment", { key: "n" }],
    ["gate_on_writer", { key: "phase", writer: "alice" }],
    ["delete", { key: "n" }],
  ];
  for (const [action, params] of steps) {
    const reply = await on.invoke(id, action, params, agents["alice"]);
    assert.equal(reply.status, 200, `${action}: ${reply.text}`);
    assert.deepEqual((await review(on, id, agents["bob"]!)).findings.filter(isAlarm), []);
  }
  for (let i = 0; i < 30; i++) await on.invoke(id, "set", { key: "n", value: i }, agents["alice"]);
  const { findings } = await review(on, id, admin);
  assert.deepEqual(findings.filter(isAlarm), []);
  await on.close();
});

function isAlarm({ code }: { code: string }): boolean {
  return code !== "never_invoked";
}

Deno.test("what nobody uses is noticed after a while: actions and views", async () => {
  const on = await startService();
  const { id, admin } = await makeRoom(on, ["alice"]);
  await on.invoke(id, "_register_action", SET, admin);
  await on.invoke(id, "_register_action", { id: "idle", writes: [{ key: "i", value: 1 }] }, admin);
  await on.invoke(id, "_register_view", { id: "alone", expr: "1", scope: "_shared" }, admin);
  await on.invoke(id, "_register_view", { id: "named", expr: "2", scope: "_shared" }, admin);
  await on.invoke(id, "_register_view", {
    id: "shown",
    expr: "views.named.value",
    scope: "_shared",
    render: { type: "metric" },
  }, admin);
  for (let i = 0; i < 25; i++) await on.invoke(id, "set_phase", { to: i }, admin);
  const codes = async () => {
    // deno-lint-ignore no-explicit-any -- findings have many shapes
    return (await review(on, id, admin)).findings.map((f: any) => [f.code, subject(f)]);
  };
  assert.deepEqual(await codes(), [["view_never_read", "alone"], ["never_invoked", "idle"]]);
  await on.call("GET", `/rooms/${id}/context`, { token: admin });
  assert.deepEqual(await codes(), [["never_invoked", "idle"]]);
  await on.close();
});

Deno.test("waits: who waits on what, who could satisfy it, and what nothing can end", async () => {
  const on = await startService();
  const { id, admin, agents } = await makeRoom(on, ["alice", "bob"]);
  await on.invoke(id, "_register_action", SET, admin);
  await on.invoke(id, "_register_action", {
    id: "lift",
    if: "self == 'bob'",
    writes: [{ key: "ban", value: false }],
  }, admin);
  const wait = (token: string, condition: string) =>
    on.call("POST", `/rooms/${id}/wait`, { token, body: { condition, timeout: 50_000 } });
  const open = [
    wait(agents["alice"]!, "state._shared.ban.value == false && state._shared.phase.value == 'on'"),
    wait(agents["alice"]!, "state._shared.nowhere.value == 1"),
    wait(agents["bob"]!, "has(state.self.secret)"),
  ];
  await turns(20);
  const { waits } = await review(on, id, admin);
  // deno-lint-ignore no-explicit-any -- waits have many shapes
  const byCondition = (text: string) => waits.find((w: any) => w.condition.includes(text));
  assert.deepEqual(byCondition("ban").could_satisfy, [
    { action: "lift", agents: ["bob"] },
    { action: "set_phase", agents: ["alice", "bob"] },
  ]);
  assert.equal(byCondition("ban").stalled, "circle");
  assert.equal(byCondition("nowhere").stalled, "nobody");
  // deno-lint-ignore no-explicit-any -- waits have many shapes
  const seen = (await review(on, id, agents["alice"]!)).waits.find((w: any) => w.agent === "bob");
  assert.equal(seen.hidden, true);
  assert.equal(seen.could_satisfy, undefined);
  on.service.deps.waits.close();
  await Promise.all(open);
  await on.close();
});

Deno.test("a review tells nothing of what its reader may not read", async () => {
  const on = await startService();
  const { id, agents } = await makeRoom(on, ["alice", "bob"], { vocabulary: "open" });
  const register = (action: unknown) => on.invoke(id, "_register_action", action, agents["alice"]);
  await register({
    id: "keep",
    params: { v: {} },
    writes: [{ scope: "alice", key: "n", value: "${params.v}" }],
  });
  await on.invoke(id, "keep", { v: "text" }, agents["alice"]);
  await register({
    id: "peek",
    scope: "alice",
    if: "state.alice.n.value",
    writes: [{ key: "x", value: 1 }],
  });
  await on.invoke(id, "_register_view", {
    id: "leak",
    scope: "alice",
    expr: "state.alice.n.value + 1",
  }, agents["alice"]);
  const text = JSON.stringify(await review(on, id, agents["bob"]!));
  assert.ok(!text.includes("gate_fails"), text);
  assert.ok(!text.includes("text"), text);
  const own = JSON.stringify(await review(on, id, agents["alice"]!));
  assert.ok(own.includes("gate_fails"), own);
  await on.close();
});
