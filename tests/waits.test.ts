/** Waiting: what wakes, what does not, what the reply says, and that nothing is lost in between. */
import assert from "node:assert/strict";
import { turns } from "./harness.ts";
import { World } from "./time_world.ts";

async function withSet(
  world: World,
): Promise<(key: string, v: unknown, who?: string) => Promise<number>> {
  await world.register("admin", "set", {
    params: { k: {}, v: {} },
    writes: [{ key: "${params.k}", value: "${params.v}" }],
  });
  return async (k, v, who = "alice") => {
    const { body } = await world.must(who, "set", { k, v });
    await turns(16);
    return body.seq;
  };
}

Deno.test("A condition that holds answers at once, one that comes true when it does", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const seq = await set("x", 1);
    const now =
      (await world.call("GET", "/wait?condition=state._shared.x.value%20%3D%3D%201", "bob"))
        .body;
    assert.deepEqual(
      [now.triggered, now.value, now.seq, now.waited_ms, now.woken_by],
      [true, true, seq, 0, undefined],
    );
    assert.equal(now.context.state._shared.x.value, 1);
    const wait = await world.wait("bob", { condition: "state._shared.x.value == 2" });
    await world.pass(3_000);
    await set("other", 2);
    assert.equal(wait.reply(), undefined);
    const woke = await set("x", 2);
    const { body, headers } = wait.reply()!;
    assert.deepEqual(body.woken_by, { seq: woke, agent: "alice", action: "set" });
    assert.deepEqual([body.seq, body.waited_ms], [woke, 3_000]);
    assert.equal(headers.get("X-Sync-Seq"), String(woke));
    assert.equal(body.context.state._shared.x.value, 2);
  });
});

Deno.test("Waits end when their time is up, at most after 55 s, and say so", async () => {
  await World.run(async (world) => {
    for (const [timeout, ms] of [[0, 0], [1, 1], [55_000, 55_000], [undefined, 25_000]]) {
      const wait = await world.wait("bob", {
        condition: "has(state._shared.x)",
        timeout: timeout ?? null,
      });
      if (ms! > 0) {
        await world.pass(ms! - 1);
        assert.equal(wait.reply(), undefined);
        await world.pass(1);
      } else await world.pass(0);
      const { body } = wait.reply()!;
      assert.deepEqual([body.triggered, body.timeout, body.elapsed_ms], [false, true, ms]);
      assert.ok(body.context.state._shared);
    }
    for (const timeout of [-1, 55_001, 1.5, "soon"]) {
      const { status, body } = await world.call("POST", "/wait", "bob", { timeout });
      assert.deepEqual([status, body.error, body.field], [400, "invalid_argument", "timeout"]);
    }
  });
});

Deno.test("include: the context, sections at the top level, scopes besides", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    await set("x", 1);
    const ask = async (include: unknown) =>
      (await world.call("POST", "/wait", "bob", { condition: "true", include })).body;
    assert.ok((await ask(undefined)).context.state);
    assert.ok((await ask("context")).context.messages);
    const sections = await ask("state,agents");
    assert.deepEqual(
      ["context", "state", "agents", "messages", "actions"].filter((name) => name in sections),
      ["state", "agents"],
    );
    assert.equal(sections.agents.alice.value.status, "active");
    const scopes = await ask(["state", "_config"]);
    assert.ok(scopes.state._config);
    for (
      const [include, shown] of [
        ["state._shared", ["_shared"]],
        ["state.self", ["self"]],
        ["state.self,state._shared", ["_shared", "self"]],
        [["state._shared", "_config"], ["_config", "_shared"]],
        [["state._shared", "agents"], ["_shared"]],
      ] as const
    ) {
      const { state, context, agents, messages } = await ask(include);
      assert.deepEqual(Object.keys(state).sort(), shown, String(include));
      assert.deepEqual([context, messages], [undefined, undefined]);
      assert.equal(agents !== undefined, String(include).includes("agents"));
    }
    assert.equal((await ask("_audit")).context.state._audit["1"].kind, "create");
    assert.deepEqual(Object.keys((await ask("state._shared,_audit")).state), ["_shared", "_audit"]);
    const slept = [];
    for (const include of ["context", "_audit"]) {
      for (const who of ["bob", "bob", "alice"]) {
        slept.push(await world.wait(who, { include, messages_kind: "action_invocation" }));
      }
    }
    const woke = await set("x", 2);
    for (const [i, { reply }] of slept.entries()) {
      const { state, messages } = reply()!.body.context;
      assert.deepEqual(Object.keys(state._audit ?? {}).at(-1), i < 3 ? undefined : String(woke));
      assert.equal(messages.recent.at(-1).seq, woke);
    }
    const bare = await world.call("POST", "/wait", "bob", { include: "state." });
    assert.deepEqual([bare.status, bare.body.field], [400, "include"]);
    const { status, body } = await world.call("POST", "/wait", "bob", { include: "rooms" });
    assert.deepEqual([status, body.error], [400, "invalid_argument"]);
  });
});

Deno.test("A condition that can never hold is refused at once", async () => {
  await World.run(async (world) => {
    const bad = ["state._shared.x ==", "nothing.x", "1 + 1", "state._shared.x == 1", "nope(1)"];
    bad.push("params.x == 1", "has(params.x)");
    for (const condition of bad) {
      const { status, body } = await world.call("POST", "/wait", "bob", { condition });
      assert.deepEqual(
        [status, body.error, body.field],
        [400, "invalid_cel", "condition"],
        condition,
      );
    }
  });
});

Deno.test("A failure while it runs counts as not yet true, and is told as last_error", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const ask = { condition: "state._shared.x.value > 1", timeout: 1_000 };
    const missing = await world.wait("bob", ask);
    await world.pass(1_000);
    assert.match(missing.reply()!.body.last_error, /x/);
    await set("x", "text");
    const wrong = await world.wait("bob", ask);
    await world.pass(500);
    assert.equal(wrong.reply(), undefined);
    await set("x", 2);
    assert.equal(wrong.reply()?.body.triggered, true);
  });
});

Deno.test("Without a condition any change wakes", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const wait = await world.wait("bob", {});
    assert.equal((await world.context("admin")).agents.bob.value.waiting_on, "any change");
    // Presence is no record: two that wait for anything do not wake each other.
    const other = await world.wait("alice", {});
    other.abort();
    await world.must("alice", "_set_status", { status: "busy" });
    await turns(16);
    assert.equal(wait.reply(), undefined);
    const seq = await set("x", 1);
    assert.equal(wait.reply()?.body.woken_by.seq, seq);
  });
});

Deno.test("since: the first change after it, with the context as a delta", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const first = await set("x", 1);
    const second = await set("y", 2);
    const at = await world.wait("bob", { since: first });
    assert.equal(at.reply()?.body.seq, second);
    assert.deepEqual(Object.keys(at.reply()!.body.context.state._shared), ["y"]);
    const later = await world.wait("bob", { since: second });
    assert.equal(later.reply(), undefined);
    const third = await set("z", 3);
    assert.deepEqual(
      [later.reply()?.body.seq, later.reply()?.body.woken_by.seq],
      [third, third],
    );
    // A condition that holds already waits for a change all the same.
    const held = await world.wait("bob", { since: third, condition: "has(state._shared.x)" });
    assert.equal(held.reply(), undefined);
    await set("x", 2);
    assert.equal(held.reply()?.body.triggered, true);
    const { status } = await world.call("POST", "/wait", "bob", { since: -1 });
    assert.equal(status, 400);
  });
});

Deno.test("since beyond the head: answers at once, with the whole", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const head = await set("x", 1);
    for (const condition of ["", "has(state._shared.x)"]) {
      const { reply } = await world.wait("bob", { since: head + 50, condition });
      const { triggered, seq, context } = reply()?.body ?? {};
      assert.deepEqual([triggered, seq, context?.reset], [true, head, true], condition);
      assert.equal(context.state._shared.x.value, 1);
    }
    const later = await world.wait("bob", {
      since: head + 50,
      condition: "has(state._shared.y)",
    });
    assert.equal(later.reply(), undefined, "the condition has still to hold");
    await set("y", 1);
    assert.equal(later.reply()?.body.context.reset, true);
  });
});

Deno.test("POST takes its parameters from the body, else from the query", async () => {
  await World.run(async (world) => {
    const ask = async (query: string, body?: unknown) =>
      (await world.call("POST", `/wait?${query}`, "bob", body)).body;
    for (const body of [undefined, {}]) {
      const reply = await ask("condition=true&include=state", body);
      assert.deepEqual([reply.triggered, "context" in reply], [true, false]);
    }
    const both = await ask("condition=1%20%3E%202&include=state", { condition: "2 > 1" });
    assert.deepEqual([both.condition, "context" in both], ["2 > 1", false]);
  });
});

Deno.test("Resuming by seq loses nothing, however many changes fall between two waits", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    let since = (await world.context("bob")).seq;
    const seen = new Set<string>();
    let written = 0;
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < round % 4; i++) await set(`k${written++}`, 1);
      const wait = await world.wait("bob", { since });
      if (round % 4 === 0) await set(`k${written++}`, 1);
      const { body } = wait.reply()!;
      for (const key of Object.keys(body.context.state._shared)) seen.add(key);
      since = body.seq;
    }
    assert.equal(seen.size, written);
  });
});

Deno.test("What changes by itself is judged once a second: now, scores, velocity", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    await set("x", 1);
    const soon = new Date(world.clock.now() + 5_500).toISOString();
    const waits = {
      now: await world.wait("bob", { condition: `now >= timestamp("${soon}")` }),
      velocity: await world.wait("bob", { condition: "state._shared.x._meta.velocity < 0.99" }),
      score: await world.wait("bob", { condition: "state._shared.x._meta.score < 0.299" }),
      since: await world.wait("bob", {
        condition: `now >= timestamp("${soon}")`,
        since: (await world.context("bob")).seq,
      }),
      // Reads the clock only once something else has come true.
      later: await world.wait("bob", {
        condition: `state._shared.y.value == 1 && now >= timestamp("${soon}")`,
      }),
    };
    await set("y", 1);
    await world.pass(5_000);
    assert.equal(waits.now.reply(), undefined);
    await world.pass(1_500);
    for (const name of ["now", "velocity", "since", "later"] as const) {
      assert.equal(waits[name].reply()?.body.triggered, true, name);
    }
    waits.score.abort();
  });
});

Deno.test("A condition that comes to read the clock only later is judged once a second from then on", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const soon = new Date(world.clock.now() + 5_500).toISOString();
    const wait = await world.wait("bob", {
      condition: `has(state._shared.y) && now >= timestamp("${soon}")`,
    });
    await set("y", 1);
    await world.pass(5_000);
    assert.equal(wait.reply(), undefined);
    await world.pass(1_500);
    assert.equal(wait.reply()?.body.triggered, true);
  });
});

Deno.test("What ends unseen wakes nobody, unless a view shows it", async () => {
  await World.run(async (world) => {
    const brief = (key: string, ms: number): unknown => ({
      scope: "alice",
      key,
      value: 1,
      timer: { ms, effect: "delete" },
    });
    await world.register("alice", "keep", { writes: [brief("x", 1_000), brief("y", 2_000)] });
    await world.must("alice", "keep");
    await world.must("alice", "_register_view", { id: "has_y", expr: '"y" in state.self' });
    const { seq } = await world.context("bob");
    const blind = await world.wait("bob", { since: seq });
    await world.pass(1_000);
    assert.equal((await world.context("admin")).seq, seq + 1, "x has ended");
    assert.equal(blind.reply(), undefined);
    await world.pass(1_000);
    assert.equal(blind.reply()?.body.triggered, true);
    assert.equal(blind.reply()?.body.context.views.has_y.value, false);
  });
});

Deno.test("What enabled or a timer hides from a reader does not wake it", async () => {
  await World.run(async (world) => {
    const enabled = 'self == "bob"';
    const note = { writes: [{ key: "note", value: "${seq}", enabled }], enabled };
    await world.register("bob", "note", note);
    await world.must("bob", "note");
    const { seq: since } = await world.context("alice");
    const waits = {
      since: await world.wait("alice", { since }),
      any: await world.wait("alice", {}),
      holds: await world.wait("alice", { since, condition: "true" }),
      timed: await world.wait("alice", { since, timeout: 1_000 }),
    };
    const bobs = await world.wait("bob", { since });
    const task =
      (await world.must("bob", "_send_message", { body: 1, kind: "task", enabled })).body;
    await turns(16);
    assert.equal(bobs.reply()?.body.woken_by.seq, task.seq);
    const hidden: [string, Record<string, unknown>][] = [
      ["_claim_message", { seq: task.seq }],
      ["_register_view", { id: "v", expr: "1", scope: "_shared", enabled }],
      ["_register_action", { id: "a", writes: [], enabled }],
      ["note", {}],
      ["_delete_action", { id: "note" }],
      ["_send_message", { body: "later", timer: { ms: 5_000, effect: "enable" } }],
    ];
    for (const [action, params] of hidden) await world.must("bob", action, params);
    await world.pass(1_000);
    const { timed, ...asleep } = waits;
    assert.equal(timed.reply()?.body.timeout, true, timed.reply()?.text ?? "no reply");
    for (const [name, { reply }] of Object.entries(asleep)) {
      assert.equal(reply(), undefined, `${name}: ${reply()?.text}`);
    }
    await world.pass(4_000);
    for (const [name, { reply }] of Object.entries(asleep)) {
      assert.equal(reply()?.body.woken_by?.action, "timer", `${name}: the message has come`);
      assert.deepEqual(
        reply()?.body.context.messages.recent.map((m: { body: unknown }) => m.body),
        ["later"],
      );
    }
  });
});

Deno.test("What comes or goes by what a reader may not read wakes it", async () => {
  await World.run(async (world) => {
    const enabled = "state.bob.?open.value.orValue(false)";
    await world.register("bob", "open", {
      params: { on: {} },
      writes: [{ scope: "${self}", key: "open", value: "${params.on}" }],
      // Nobody else sees how often it is invoked.
      enabled: 'self == "bob"',
    });
    await world.must("bob", "_send_message", { body: "sealed", enabled });
    for (const [on, bodies] of [[true, ["sealed"]], [false, []]] as const) {
      const { seq } = await world.context("alice");
      const waits = [await world.wait("alice", { since: seq }), await world.wait("alice", {})];
      await world.must("bob", "open", { on });
      await turns(16);
      for (const { reply } of waits) assert.equal(reply()?.body.triggered, true, `open: ${on}`);
      const { messages } = await world.context("alice");
      assert.deepEqual(messages.recent.map((m: { body: unknown }) => m.body), bodies);
    }
    // What was written anew, and is hidden since, has gone as well.
    await world.register("admin", "hide", {
      writes: [{ key: "x", value: 1, enabled: 'self != "alice"' }],
      enabled: 'self != "alice"',
    });
    const set = await withSet(world);
    await set("x", 1, "bob");
    const wait = await world.wait("alice", {});
    await world.must("admin", "hide");
    await turns(16);
    assert.equal(wait.reply()?.body.triggered, true);
  });
});

Deno.test("A disabled agent's wait is woken by what becomes of its rights", async () => {
  await World.run(async (world) => {
    const patch = (body: unknown) => world.call("PATCH", "/agents/bob", "admin", body);
    await patch({ enabled: false });
    const { seq: since } = await world.context("bob");
    const asleep = await world.wait("bob", { since });
    await patch({ grants: ["alice"] });
    await turns(16);
    const fresh = await world.wait("bob", { since });
    for (const { reply } of [asleep, fresh]) {
      assert.equal(reply()?.body.context.reset, true);
      assert.ok("alice" in reply()!.body.context.state);
    }
  });
});

Deno.test("An action that comes under an agent hidden from a reader is gone for it", async () => {
  await World.run(async (world) => {
    await world.call("PATCH", "/agents/alice", "admin", { enabled: 'self != "bob"' });
    await world.register("alice", "a", { scope: "_shared" });
    const { seq: since } = await world.context("bob");
    const asleep = await world.wait("bob", { since });
    await world.register("alice", "a", { scope: "alice" });
    await turns(16);
    const fresh = await world.wait("bob", { since });
    for (const { reply } of [asleep, fresh]) {
      assert.deepEqual(reply()?.body.context.removed[0], { action: "a" });
    }
    const { removed } = await world.context("admin", `since=${since}&peek=true`);
    assert.equal(removed.some(({ action }: { action?: string }) => action), false);
  });
});

Deno.test("Actions that are not there for a reader compete with none of those that are", async () => {
  await World.run(async (world) => {
    const writes = [{ key: "t", value: 1 }];
    await world.register("alice", "w1", { scope: "_shared", writes });
    const { seq: since } = await world.context("bob");
    const wait = await world.wait("bob", { since });
    const enabled = 'self == "alice" || has(state._shared.open)';
    await world.register("alice", "hid", { enabled, writes });
    const timer = { ms: 60_000, effect: "enable" };
    await world.register("alice", "dorm", { timer, writes });
    await turns(16);
    assert.equal(wait.reply(), undefined);
    const looks = async (who: string, more = ""): Promise<unknown[]> => {
      const { views, actions } = await world.context(who, `peek=true${more}`);
      return [views._contested?.value, actions.w1?._meta.contested];
    };
    const both = [{ "_shared:t": ["hid", "w1"] }, ["hid"]];
    assert.deepEqual(await looks("bob"), [undefined, []]);
    assert.deepEqual(await looks("alice"), both);
    const exprs = ["contested(actions)", '"_contested" in views', "actions.w1._meta.contested"];
    assert.deepEqual(await Promise.all(exprs.map((e) => world.eval("bob", e))), [[], false, []]);
    const { text } = await world.call("GET", "/vocabulary", "bob");
    const found = (await world.call("GET", "/vocabulary", "alice")).text;
    const names = [text.includes('"hid'), text.includes('"dorm'), found.includes('"hid')];
    assert.deepEqual(names, [false, false, true]);
    const set = await withSet(world);
    await set("open", 1, "bob");
    await turns(16);
    assert.equal(wait.reply()?.body.triggered, true);
    assert.deepEqual(await looks("bob", `&since=${since}`), both);
    await world.pass(60_000);
    assert.deepEqual(await looks("bob", `&since=${since}`), [
      { "_shared:t": ["dorm", "hid", "w1"] },
      ["dorm", "hid"],
    ]);
    const { body } = await world.register("bob", "late", { enabled: false, writes });
    assert.deepEqual(body.competing_actions[0].actions, ["dorm", "hid", "late", "w1"]);
    await world.must("alice", "_delete_action", { id: "hid" });
    await world.register("alice", "hid", { enabled: 'self == "alice"', writes });
    const other = await world.register("bob", "later", { writes });
    assert.deepEqual(other.body.competing_actions[0].actions, ["dorm", "later", "w1"]);
  });
});

Deno.test("A volatile view is looked at once a second while a wait needs it", async () => {
  await World.run(async (world) => {
    const soon = new Date(world.clock.now() + 2_500).toISOString();
    await world.must("admin", "_register_view", {
      id: "late",
      expr: `now >= timestamp("${soon}")`,
    });
    const wait = await world.wait("bob", { condition: "views.late.value == true" });
    await world.pass(2_000);
    assert.equal(wait.reply(), undefined);
    await world.pass(1_000);
    assert.equal(wait.reply()?.body.triggered, true);
  });
});

/** Who waits on what, and whether anybody inside can still make something happen. */
const STALLS: readonly {
  readonly name: string;
  readonly prepare?: (world: World) => Promise<unknown>;
  readonly waits: Readonly<Record<string, string | undefined>>;
  readonly stalled: boolean;
}[] = [
  { name: "everybody waits", waits: { alice: "1 > 2", bob: "2 > 3" }, stalled: true },
  { name: "everybody waits, one for anything", waits: { alice: "", bob: "2 > 3" }, stalled: true },
  { name: "one is at work", waits: { alice: "1 > 2" }, stalled: false },
  {
    name: "one has done its part",
    prepare: (world) => world.must("bob", "_set_status", { status: "done" }),
    waits: { alice: "1 > 2" },
    stalled: true,
  },
  {
    name: "one has left",
    prepare: (world) => world.call("DELETE", "/agents/bob"),
    waits: { alice: "1 > 2" },
    stalled: true,
  },
  {
    name: "one is disabled",
    prepare: (world) => world.call("PATCH", "/agents/bob", "admin", { enabled: "false" }),
    waits: { alice: "1 > 2" },
    stalled: true,
  },
  {
    name: "one was not heard of for long",
    prepare: (world) => world.pass(121_000),
    waits: { alice: "1 > 2" },
    stalled: true,
  },
  {
    name: "one waits on the time",
    waits: { alice: "1 > 2", bob: 'now > timestamp("2030-01-01T00:00:00Z")' },
    stalled: false,
  },
  {
    name: "the one that asks waits on the time",
    waits: { bob: "1 > 2", alice: 'now > timestamp("2030-01-01T00:00:00Z")' },
    stalled: false,
  },
  {
    name: "a timer is pending",
    prepare: (world) =>
      world.must("alice", "_send_message", { body: 1, timer: { ms: 10 ** 9, effect: "delete" } }),
    waits: { alice: "1 > 2", bob: "2 > 3" },
    stalled: false,
  },
  {
    name: "a timer of ticks is pending, which nobody moves",
    prepare: (world) =>
      world.must("alice", "_send_message", {
        body: 1,
        timer: { ticks: 5, tick_on: "_shared.x", effect: "delete" },
      }),
    waits: { alice: "1 > 2", bob: "2 > 3" },
    stalled: true,
  },
  {
    name: "a lease will run out",
    prepare: async (world) => {
      const { seq } = (await world.must("alice", "_send_message", { body: 1, kind: "task" })).body;
      await world.must("bob", "_claim_message", { seq, lease_ms: 80_000_000 });
    },
    waits: { alice: "1 > 2", bob: "2 > 3" },
    stalled: false,
  },
];

for (const { name, prepare, waits, stalled } of STALLS) {
  Deno.test(`A wait that times out ${stalled ? "tells" : "does not speak"} of a stall: ${name}`, async () => {
    await World.run(async (world) => {
      await prepare?.(world);
      const open = [];
      for (const [who, condition] of Object.entries(waits)) {
        open.push(await world.wait(who, { condition, timeout: who === "alice" ? 1_000 : 2_000 }));
      }
      await world.pass(1_000);
      const alices = open[Object.keys(waits).indexOf("alice")]!;
      const { body } = alices.reply()!;
      const agents = Object.entries(waits).map(([agent, condition]) => ({
        agent,
        waiting_on: condition === "" ? "any change" : condition,
      }));
      assert.deepEqual(body.stalled?.agents, stalled ? agents : undefined);
      await world.pass(1_000);
      if (!stalled || open.length < 2) return;
      // Alice's wait has ended a second ago, and counts for five.
      const other = open[1 - open.indexOf(alices)]!;
      assert.equal(other.reply()!.body.stalled.agents.length, 2);
      const late = await world.wait("bob", { condition: "1 > 2", timeout: 10_000 });
      await world.pass(10_000);
      assert.equal(late.reply()!.body.stalled, undefined, "she may have gone on to work");
    });
  });
}

Deno.test("Many agents, many rooms of thought: equal waits all wake, each with its own eyes", async () => {
  const agents = Array.from({ length: 20 }, (_, i) => `a${i}`);
  await World.run(async (world) => {
    const set = await withSet(world);
    await world.register("admin", "own", { writes: [{ scope: "${self}", key: "x", value: 1 }] });
    const shared = [], own = [];
    for (const who of agents) {
      shared.push(await world.wait(who, { condition: "has(state._shared.x)" }));
      own.push(await world.wait(who, { condition: "has(state.self.x)" }));
    }
    await set("x", 1, "a0");
    assert.ok(shared.every((wait) => wait.reply()?.body.triggered));
    assert.ok(own.every((wait) => wait.reply() === undefined));
    await world.must("a3", "own");
    await turns(16);
    assert.deepEqual(own.flatMap((wait, i) => wait.reply() ? [i] : []), [3]);
    for (const wait of own) wait.abort();
  }, agents);
});

Deno.test("A wait ends with its room, with its rights, and with the service", async () => {
  const world = await World.start(["alice", "bob"]);
  const rights = await world.wait("bob", { condition: "1 > 2" });
  await world.call("POST", "/agents", "admin", { id: "bob" });
  await turns(20);
  assert.equal(rights.reply()?.status, 401, "joining again has rotated the token");
  const closing = await world.wait("alice", { condition: "1 > 2" });
  const ended = await world.wait("admin", { condition: "1 > 2" });
  await world.call("DELETE", "");
  await turns(20);
  for (const wait of [closing, ended]) {
    assert.ok([401, 404].includes(wait.reply()?.status ?? 0), wait.reply()?.text ?? "no reply");
  }
  await world.on.close();
});
