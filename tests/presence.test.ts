/** Presence: what agents say of themselves, waiting, signs of life; beside the log, never in it. */
import assert from "node:assert/strict";
import { makeRoom, ManualClock, type Reply, START, startService, turns } from "./harness.ts";
import { World } from "./time_world.ts";

/** How an agent shows, in every place at once. */
// deno-lint-ignore no-explicit-any -- replies are read by many shapes
async function shown(world: World, agent: string): Promise<any> {
  const { value, _meta } = (await world.context("admin")).agents[agent];
  const polled = (await world.call("GET", "/poll")).body.agents[agent].value;
  for (const member of ["status", "waiting_on", "last_heartbeat"]) {
    assert.equal(
      await world.eval("admin", `agents.${agent}.value.${member}`),
      value[member],
      member,
    );
    assert.equal(polled[member], value[member], member);
  }
  return { ...value, silent: _meta.silent };
}

const WAYS = {
  "PATCH": (world: World, who: string, status: string) =>
    world.call("PATCH", `/agents/${who}`, who, { status }),
  "_set_status": (world: World, who: string, status: string) =>
    world.invoke(who, "_set_status", { status }),
} as const;

for (const [name, set] of Object.entries(WAYS)) {
  Deno.test(`An agent says by ${name} how it is: shown, waking waits, no record`, async () => {
    await World.run(async (world) => {
      const { seq } = await world.context("admin");
      for (const status of ["busy", "idle", "done", "active"]) {
        const condition = `agents["bob"].value.status == "${status}"`;
        const wait = await world.wait("alice", { condition });
        const since = await world.wait("alice", { condition, since: seq });
        assert.equal(wait.reply(), undefined);
        const reply = await set(world, "bob", status);
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.body.status, status);
        await turns(12);
        assert.equal(wait.reply()?.body.triggered, true);
        assert.equal(since.reply()?.body.triggered, true, "it came true since");
        assert.equal(wait.reply()?.body.woken_by, undefined);
        assert.equal((await shown(world, "bob")).status, status);
      }
      assert.equal((await world.context("admin")).seq, seq, "presence is no history");
      for (const status of ["waiting", "BUSY", "", 5, null, "gone"]) {
        const bad = await set(world, "bob", status as string);
        assert.deepEqual([bad.status, bad.body.error], [400, "invalid_argument"], `${status}`);
      }
    });
  });
}

Deno.test("Nobody but an admin speaks for another agent", async () => {
  await World.run(async (world) => {
    const other = await world.call("PATCH", "/agents/bob", "alice", { status: "done" });
    assert.equal(other.status, 403);
    const view = await world.call("PATCH", "/agents/bob", "view", { status: "done" });
    assert.equal(view.status, 403);
    assert.equal((await shown(world, "bob")).status, "active");
    const nobody = await world.invoke("admin", "_set_status", { status: "busy" });
    assert.equal(nobody.status, 400);
  });
});

Deno.test("Any call turns idle to active; busy and done stay; an admin's borrowed eyes are none", async () => {
  await World.run(async (world) => {
    for (const [status, after] of [["idle", "active"], ["busy", "busy"], ["done", "done"]]) {
      await WAYS._set_status(world, "bob", status!);
      await world.pass(30_000);
      await world.call("GET", "/context?agent=bob&peek=true", "admin");
      assert.equal((await shown(world, "bob")).status, status);
      await world.context("bob");
      const now = await shown(world, "bob");
      assert.equal(now.status, after);
      const last = status === "done" ? world.clock.now() - 30_000 : world.clock.now();
      assert.equal(now.last_heartbeat, new Date(last).toISOString(), status!);
    }
  });
});

/** Calls that keep nothing, go by the token alone, or are refused. */
const LESSER: Readonly<Record<string, (world: World, who: string) => Promise<Reply>>> = {
  "an action that is not there": (world, who) => world.invoke(who, "nope"),
  "a gate that is shut": (world, who) => world.invoke(who, "shut"),
  "a parameter that is missing": (world, who) => world.invoke(who, "put"),
  "a body that makes no sense": (world, who) =>
    world.call("POST", "/actions/put/invoke", who, { parms: {} }),
  "what is no JSON": (world, who) => world.call("POST", "/actions/put/invoke", who, "{"),
  "a scope that it may not write": (world, who) => world.invoke(who, "put", { s: "alice" }),
  "another's name": (world, who) => world.invoke(who, "put", { s: "_x" }, { agent: "alice" }),
  "a dry run": (world, who) => world.invoke(who, "put", { s: "_x" }, { dry_run: true }),
  "help": (world, who) => world.invoke(who, "help"),
  "a simulation": (world, who) =>
    world.call("POST", "/simulate", who, { steps: [{ action: "put", params: { s: "_x" } }] }),
  "a simulation of nothing": (world, who) => world.call("POST", "/simulate", who, { steps: [] }),
  "members, which are the owner's": (world, who) => world.call("GET", "/members", who),
  "a room's settings, which are an admin's": (world, who) =>
    world.call("PATCH", "", who, { label: "x" }),
  "a context with a parameter that is none": (world, who) =>
    world.call("GET", "/context?depth=deep", who),
  "a wait that cannot be": (world, who) => world.call("GET", "/wait?condition=nope", who),
  "somebody else's update": (world, who) =>
    world.call("PATCH", "/agents/alice", who, { name: "A" }),
};

Deno.test("Any call is a sign of life, also one that is refused or keeps nothing; not when it is done", async (t) => {
  await World.run(async (world) => {
    await world.register("alice", "shut", { if: "false" });
    await world.register("alice", "put", {
      params: { s: { type: "string", required: true } },
      writes: [{ scope: "${params.s}", key: "k", value: 1 }],
    });
    const { seq } = await world.context("admin");
    for (const [name, ask] of Object.entries(LESSER)) {
      await t.step(name, async () => {
        for (const [status, after] of [["idle", "active"], ["busy", "busy"], ["done", "done"]]) {
          await WAYS._set_status(world, "bob", status!);
          await world.pass(30_000);
          const { last_heartbeat } = await shown(world, "bob");
          await ask(world, "bob");
          const now = await shown(world, "bob");
          assert.equal(now.status, after);
          const last = status === "done"
            ? last_heartbeat
            : new Date(world.clock.now()).toISOString();
          assert.equal(now.last_heartbeat, last, status!);
        }
      });
    }
    assert.equal((await world.context("admin")).seq, seq, "and nothing is written");
  });
});

Deno.test("An admin in an agent's name is no sign of its life, whatever comes of the call", async () => {
  await World.run(async (world) => {
    await WAYS._set_status(world, "bob", "idle");
    const before = await shown(world, "bob");
    await world.pass(30_000);
    for (const rest of [{ dry_run: true }, {}]) {
      await world.invoke("admin", "nope", {}, { ...rest, agent: "bob" });
      await world.invoke("admin", "_send_message", { body: 1 }, { ...rest, agent: "bob" });
    }
    await world.call("GET", "/context?agent=bob&depth=deep", "admin");
    const { status, last_heartbeat } = await shown(world, "bob");
    assert.deepEqual([status, last_heartbeat], ["idle", before.last_heartbeat]);
  });
});

Deno.test("An agent is waiting, on what all can read, as long as its wait is open", async () => {
  await World.run(async (world) => {
    await WAYS._set_status(world, "bob", "busy");
    await world.register("alice", "go", { writes: [{ key: "go", value: true }] });
    const isWaiting = await world.wait("alice", {
      condition: 'agents.bob.value.status == "waiting"',
    });
    const ways: Record<string, (wait: { abort(): void }) => Promise<unknown>> = {
      woken: async () => await world.must("alice", "go"),
      timeout: async () => await world.pass(55_000),
      abort: async (wait) => await Promise.resolve(wait.abort()),
    };
    for (const [name, end] of Object.entries(ways)) {
      const condition = name === "woken" ? "has(state._shared.go)" : "1 > 2";
      const wait = await world.wait("bob", { condition });
      const now = await shown(world, "bob");
      assert.deepEqual([now.status, now.waiting_on], ["waiting", condition]);
      if (name === "woken") assert.equal(isWaiting.reply()?.body.triggered, true);
      const free = await world.wait("alice", {
        condition: "agents.bob.value.waiting_on == null",
      });
      assert.equal(free.reply(), undefined);
      await end(wait);
      await turns(12);
      const after = await shown(world, "bob");
      assert.deepEqual([after.status, after.waiting_on], ["busy", null], name);
      if (name !== "timeout") assert.equal(free.reply()?.body.triggered, true);
    }
  });
});

Deno.test("With several waits open an agent waits on the oldest", async () => {
  await World.run(async (world) => {
    const first = await world.wait("bob", { condition: "1 > 2" });
    const second = await world.wait("bob", { condition: "2 > 3" });
    assert.equal((await shown(world, "bob")).waiting_on, "1 > 2");
    assert.equal((await world.call("GET", "/poll")).body.waits.length, 2);
    first.abort();
    await turns(12);
    assert.equal((await shown(world, "bob")).waiting_on, "2 > 3");
    second.abort();
    await turns(12);
    assert.equal((await shown(world, "bob")).status, "active");
  });
});

Deno.test("A client that goes away over a real socket waits no longer", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const { id, agents, admin } = await makeRoom(on, ["alice"]);
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    on.service.fetch,
  );
  const stop = new AbortController();
  const url = `http://127.0.0.1:${server.addr.port}/rooms/${id}/wait?condition=1%20%3E%202`;
  const gone = fetch(url, {
    headers: { Authorization: `Bearer ${agents["alice"]}` },
    signal: stop.signal,
  }).then(() => "answered", () => "gone");
  const status = async (): Promise<string> => {
    const { body } = await on.call("GET", `/rooms/${id}/context`, { token: admin });
    return body.agents.alice.value.status;
  };
  const until = async (wanted: string): Promise<void> => {
    for (let i = 0; i < 200 && await status() !== wanted; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(await status(), wanted);
  };
  await until("waiting");
  stop.abort();
  assert.equal(await gone, "gone");
  await until("active");
  assert.equal(on.service.deps.waits.open, 0);
  await server.shutdown();
  await on.close();
});

Deno.test("Signs of life cost no record and at most one write per agent in ten seconds", async () => {
  await World.run(async (world) => {
    const { store } = world.on.service;
    const save = store.savePresence.bind(store);
    const writes: [at: number, agent: string][] = [];
    Object.assign(store, {
      savePresence: async (rows: Parameters<typeof save>[0]) => {
        for (const { agent } of rows) writes.push([world.clock.now(), agent]);
        await save(rows);
      },
    });
    await world.pass(20_000);
    const { seq } = await world.context("admin");
    writes.length = 0;
    for (let second = 0; second < 120; second++) {
      await world.context("alice", "");
      await world.invoke("alice", "nope");
      await world.invoke("bob", "_set_status", { status: second % 2 ? "busy" : "idle" });
      await world.pass(1_000);
    }
    for (const agent of ["alice", "bob"]) {
      const times = writes.filter(([, a]) => a === agent).map(([at]) => at);
      assert.ok(times.length >= 9 && times.length <= 13, `${agent}: ${times.length} writes`);
      times.reduce((before, at) => {
        assert.ok(at - before >= 10_000, `${agent} after ${at - before} ms`);
        return at;
      }, -Infinity);
    }
    assert.equal((await world.context("admin")).seq, seq);
  });
});

Deno.test("Presence outlives a restart, and a crash but for its last seconds; waiting does not", async () => {
  await World.run(async (world) => {
    await WAYS._set_status(world, "bob", "busy");
    const wait = await world.wait("bob", { condition: "1 > 2" });
    await world.pass(5_000);
    await world.sleepThrough(60_000);
    assert.equal((await wait.done).body.closing, true);
    const { value } = (await world.context("admin")).agents.bob;
    assert.deepEqual([value.status, value.waiting_on], ["busy", null]);
    assert.equal(value.last_heartbeat, new Date(START).toISOString());
  });
});

Deno.test("An agent that calls often is known to have lived until just now after a restart", async () => {
  await World.run(async (world) => {
    for (let i = 0; i < 30; i++) {
      await world.context("alice");
      await world.pass(4_000);
    }
    // As after a crash: what was not written is gone.
    const { store } = world.on.service;
    Object.assign(store, { savePresence: () => Promise.resolve() });
    await world.sleepThrough(0);
    const { value } = (await world.context("admin")).agents.alice;
    const age = world.clock.now() - Date.parse(value.last_heartbeat);
    assert.ok(age <= 30_000, `${age} ms`);
  });
});

Deno.test("An agent silent for more than two minutes is shown as silent, until it calls", async () => {
  await World.run(async (world) => {
    await world.pass(120_000);
    assert.equal((await shown(world, "bob")).silent, undefined);
    await world.pass(1);
    assert.equal((await shown(world, "bob")).silent, true);
    assert.equal((await shown(world, "bob")).status, "active");
    await world.context("bob");
    assert.equal((await shown(world, "bob")).silent, undefined);
  });
});

Deno.test("A wait is a sign of life", async () => {
  await World.run(async (world) => {
    await WAYS._set_status(world, "bob", "idle");
    await world.pass(200_000);
    const wait = await world.wait("bob", { condition: "1 > 2" });
    const { silent, last_heartbeat, status } = await shown(world, "bob");
    assert.deepEqual([silent, status], [undefined, "waiting"]);
    assert.equal(last_heartbeat, new Date(world.clock.now()).toISOString());
    wait.abort();
  });
});

Deno.test("Leaving ends an agent's presence, its waits and its claims, and wakes those who watch", async () => {
  await World.run(async (world) => {
    const { body } = await world.must("alice", "_send_message", { body: 1, kind: "task" });
    await world.must("bob", "_claim_message", { seq: body.seq });
    const own = await world.wait("bob", { condition: "1 > 2" });
    const waits = [
      await world.wait("alice", { condition: '!("bob" in agents)' }),
      await world.wait("alice", { condition: "messages.unclaimed == 1" }),
    ];
    assert.equal((await world.call("DELETE", "/agents/bob", "bob")).status, 200);
    await world.pass(10);
    for (const wait of waits) assert.equal(wait.reply()?.body.triggered, true);
    assert.equal(own.reply()?.status, 401);
    assert.equal((await world.context("admin")).agents.bob, undefined);
    assert.equal((await world.call("GET", "/poll")).body.waits.length, 0);
  });
});

Deno.test("Reading since the newest record shows what presence and the clock may have changed", async () => {
  await World.run(async (world) => {
    const view = (id: string, expr: string) =>
      world.must("alice", "_register_view", { id, expr, scope: "_shared" });
    await view("mood", "agents.alice.value.status");
    await view("by_way", 'views.mood.value + "!"');
    await view("calm", "1");
    const late = 'now > timestamp("2026-11-20T08:00:10Z")';
    const gates = {
      busy: 'agents.alice.value.status == "busy"',
      moody: "views.by_way.value != ''",
    };
    for (const [id, gate] of Object.entries({ ...gates, late, calm: "views.calm.value == 2" })) {
      await world.register("alice", id, { if: gate });
    }
    const { seq, actions } = await world.context("bob");
    assert.deepEqual([actions.busy.value.available, actions.late.value.available], [false, false]);
    await WAYS._set_status(world, "alice", "busy");
    await world.pass(20_000);
    const told = await world.context("bob", `since=${seq}&peek=true`);
    assert.equal(told.seq, seq, "no record came between");
    assert.deepEqual([told.views.mood.value, told.views.by_way.value], ["busy", "busy!"]);
    assert.deepEqual(Object.keys(told.views).sort(), ["by_way", "mood"]);
    assert.deepEqual(Object.keys(told.actions).sort(), ["busy", "late", "moody"]);
    assert.deepEqual(
      [told.actions.busy.value.available, told.actions.late.value.available],
      [true, true],
    );
  });
});
