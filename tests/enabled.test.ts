/** `enabled` on everything: the same answer in every place, cascades, cycles, and what `since` tells. */
import assert from "node:assert/strict";
import { turns } from "./harness.ts";
import { bring, IS_THERE, KINDS, mustBe } from "./time_places.ts";
import { World } from "./time_world.ts";

/** An action that sets `open`. */
async function withDoor(world: World): Promise<(open: boolean) => Promise<number>> {
  await world.register("alice", "door", {
    params: { open: {} },
    writes: [{ key: "open", value: "${params.open}" }],
  });
  return async (open) => {
    const { body } = await world.must("alice", "door", { open });
    await turns(12);
    return body.seq;
  };
}

const GATES = [
  ["a key", "has(state._shared.open) && state._shared.open.value"],
  ["a whole scope", "state._shared.exists(k, k == 'open' && state._shared[k].value == true)"],
  ["a view", "views.is_open.value == true"],
  ["an action", "actions['door']._meta.invocations % 2 == 1"],
] as const;

for (const kind of KINDS) {
  for (const [name, enabled] of GATES) {
    Deno.test(`One ${kind} gated by ${name} comes and goes everywhere at once`, async () => {
      await World.run(async (world) => {
        const door = await withDoor(world);
        await world.must("admin", "_register_view", {
          id: "is_open",
          expr: "has(state._shared.open) ? state._shared.open.value : false",
        });
        const seq = await bring(world, kind, { enabled });
        await mustBe(world, kind, seq, false);
        for (const open of [true, false, true]) {
          const held = open ? IS_THERE[kind] : `!(${IS_THERE[kind]})`;
          const wait = await world.wait("bob", { condition: held });
          assert.equal(wait.reply(), undefined);
          await door(open);
          assert.equal(wait.reply()?.body.triggered, true);
          await mustBe(world, kind, seq, open);
        }
        await world.sleepThrough(1_000);
        await mustBe(world, kind, seq, true);
        if (kind === "message") return;
        await door(false);
        const refused = await world.invoke("bob", "x");
        if (kind === "action") {
          assert.deepEqual([refused.status, refused.body.error], [409, "action_disabled"]);
        }
      });
    });
  }

  Deno.test(`One ${kind} whose enabled reads self is there for some readers only`, async () => {
    await World.run(async (world) => {
      const seq = await bring(world, kind, { enabled: 'self == "bob"' });
      await mustBe(world, kind, seq, true, ["bob"]);
      await mustBe(world, kind, seq, false, ["alice", "admin", "view"]);
      await mustBe(world, kind, seq, true, ["bob"]);
      const hidden = await world.context("admin", "include=_hidden&peek=true");
      assert.equal(hidden.hidden[0].hidden, "disabled");
      assert.equal(hidden.hidden.length, 1);
    });
  });

  Deno.test(`One ${kind} that is written again with another enabled answers by the new one`, async () => {
    if (kind === "message") return;
    await World.run(async (world) => {
      for (const enabled of ["true", "false", "1 > 2 || true", undefined, "false"]) {
        const seq = await bring(world, kind, enabled === undefined ? {} : { enabled });
        await mustBe(world, kind, seq, enabled !== "false");
      }
    });
  });

  Deno.test(`Reading one ${kind} since a record tells when it comes and goes`, async () => {
    await World.run(async (world) => {
      const door = await withDoor(world);
      const seq = await bring(world, kind, { enabled: GATES[0][1] });
      const gone = {
        entry: { scope: "_shared", key: "x" },
        action: { action: "x" },
        view: { view: "x" },
        message: { message: seq },
      }[kind];
      // deno-lint-ignore no-explicit-any -- a reply
      const shows = (body: any): boolean =>
        ({
          entry: () => body.state._shared.x !== undefined,
          action: () => body.actions.x !== undefined,
          view: () => body.views.x !== undefined,
          message: () => body.messages.recent.length === 1,
        })[kind]();
      let since = seq;
      for (const open of [true, false, true, false]) {
        await door(open);
        const body = await world.context("bob", `since=${since}&peek=true`);
        assert.equal(body.reset, undefined);
        assert.equal(shows(body), open, `shown when ${open}`);
        assert.deepEqual(body.removed, open ? [] : [gone]);
        // A reader that asked for other things only in between misses nothing.
        await world.context("bob", `since=${since}&only=agents&peek=true`);
        since = body.seq;
      }
    });
  });
}

Deno.test("A disabled agent takes its scope, actions and messages along, and may read", async () => {
  await World.run(async (world) => {
    const door = await withDoor(world);
    await world.register("carol", "save", { writes: [{ scope: "carol", key: "x", value: 1 }] });
    await world.must("carol", "save");
    const sent = (await world.must("carol", "_send_message", { body: 1, kind: "task" })).body.seq;
    await world.call("PATCH", "/agents/dave", "admin", { grants: ["carol"] });
    const { seq } = await world.context("dave");
    const enabled = GATES[0][1];
    const patched = await world.call("PATCH", "/agents/carol", "admin", { enabled });
    assert.equal(patched.status, 200, patched.text);
    for (const isIn of [false, true, false]) {
      await door(isIn);
      for (const who of ["dave", "admin"]) {
        const body = await world.context(who);
        assert.equal(body.agents.carol !== undefined, isIn, "agents");
        assert.equal(body.actions.save !== undefined, isIn, "actions");
        assert.equal(body.messages.count === 1, isIn, "messages");
        assert.equal(body.state.carol?.x !== undefined, isIn, "scope");
        assert.equal(await world.eval(who, '"carol" in agents'), isIn);
        assert.equal(await world.eval(who, "has(actions.save)"), isIn);
        assert.equal(await world.eval(who, "messages.unclaimed"), isIn ? 1 : 0);
        assert.equal(await world.eval(who, "has(state.carol.x)"), isIn);
      }
      const invoked = await world.invoke("carol", "door", { open: isIn });
      if (isIn) assert.equal(invoked.status, 200);
      else assert.deepEqual([invoked.status, invoked.body.error], [403, "agent_disabled"]);
      const told = await world.invoke("carol", "_send_message", { body: "hello" }, {
        dry_run: true,
      });
      assert.equal(told.status, isIn ? 200 : 403);
      assert.equal((await world.invoke("dave", "save")).status, isIn ? 200 : 409);
      assert.equal((await world.call("GET", "/context?peek=true", "carol")).status, 200);
    }
    const body = await world.context("dave", `since=${seq}&peek=true`);
    if (body.reset === undefined) {
      const removed = JSON.stringify(body.removed);
      for (
        const gone of [{ scope: "carol", key: "x" }, { action: "save" }, { message: sent }]
      ) assert.ok(removed.includes(JSON.stringify(gone)), removed);
    }
  }, ["alice", "bob", "carol", "dave"]);
});

Deno.test("Reading since a record tells what is back with an agent that lost its enabled", async () => {
  await World.run(async (world) => {
    await world.register("carol", "save", { writes: [{ scope: "carol", key: "x", value: 1 }] });
    await world.must("carol", "save");
    await world.must("carol", "_send_message", { body: 1 });
    await world.register("carol", "mine", { scope: "carol" });
    const patch = (body: unknown) => world.call("PATCH", "/agents/carol", "admin", body);
    await patch({ enabled: false });
    for (const door of ["shut", "open"]) {
      const { seq } = await world.context("admin");
      await patch({ enabled: null });
      const { state, actions, messages } = await world.context("admin", `since=${seq}&peek=true`);
      const told = [state.carol, actions.mine?.value.available, messages.recent.length];
      assert.deepEqual([told[0].x?.value, told[1], told[2]], [1, true, 1], door);
      // Something else is gated now: it is the same in rooms where `enabled` is in use.
      if (door === "shut") await world.register("admin", "other", { enabled: "1 == 1" });
      await patch({ enabled: false });
    }
    await patch({ enabled: null });
    const { seq } = await world.context("admin");
    await patch({ meta: { n: 1 } });
    const { state, messages } = await world.context("admin", `since=${seq}&peek=true`);
    assert.deepEqual([state.carol, messages.recent], [{}, []], "nothing of it came or went");
  }, ["alice", "bob", "carol"]);
});

Deno.test("Reading since a record does not name as removed what was never there", async () => {
  await World.run(async (world) => {
    const enabled = 'self != "bob"';
    const dormant = { timer: { ms: 60_000, effect: "enable" } };
    const hidden = (id: string, write: unknown) =>
      world.register("alice", id, { writes: [write], enabled });
    await hidden("put", { key: "x", value: 1, enabled });
    await hidden("lull", { key: "asleep", value: 1, ...dormant });
    await hidden("drop", { key: "asleep", delete: true });
    await world.must("alice", "lull");
    const { seq } = await world.context("bob");
    const wait = await world.wait("bob", { since: seq });
    await world.must("alice", "drop");
    await world.must("alice", "put");
    await world.must("alice", "_send_message", { body: 1, enabled });
    await world.must("alice", "_send_message", { body: 2, ...dormant });
    await world.must("alice", "_register_view", { id: "v", expr: "1", enabled });
    await turns(16);
    assert.equal(wait.reply(), undefined);
    // The actions that were invoked are hidden as well, but may have come to be hidden since.
    const { removed, state } = await world.context("bob", `since=${seq}&peek=true`);
    const named = removed.filter((each: { action?: string; view?: string }) =>
      each.action === undefined && each.view !== "_contested"
    );
    assert.deepEqual(named, []);
    assert.deepEqual(state._shared, {});
  });
});

Deno.test("A custom scope in which all is hidden from a reader is not named to it", async () => {
  await World.run(async (world) => {
    const enabled = 'self == "alice" || has(state._shared.open)';
    const door = await withDoor(world);
    await world.must("admin", "_register_view", { id: "names", expr: "state.keys()" });
    await world.register("alice", "put", {
      writes: [{ scope: "_secret", key: "x", value: 1, enabled }],
      enabled,
    });
    await world.register("alice", "later", {
      writes: [{ scope: "_late", key: "x", value: 1, timer: { ms: 1_000, effect: "enable" } }],
    });
    await world.must("alice", "put");
    await world.must("alice", "later");
    const named = async (who: string): Promise<unknown[]> => {
      const { state, views } = await world.context(who);
      const keys = await world.eval(who, "state.keys()") as string[];
      const asked = await world.context(who, "peek=true&only=state._secret");
      const all = [Object.keys(state), keys, views.names.value, Object.keys(asked.state)];
      return all.map((names) => ["_secret", "_late"].filter((name) => names.includes(name)));
    };
    assert.deepEqual(await named("bob"), [[], [], [], []]);
    assert.deepEqual(await named("alice"), [["_secret"], ["_secret"], [], ["_secret"]]);
    await door(true);
    await world.pass(1_000);
    const both = ["_secret", "_late"];
    assert.deepEqual(await named("bob"), [both, both, both, ["_secret"]]);
  });
});

Deno.test("Waits wake when an agent that had no enabled gets one", async () => {
  await World.run(async (world) => {
    await world.register("carol", "own", { scope: "carol", writes: [] });
    await world.must("carol", "_send_message", { body: 1 });
    await world.must("admin", "_register_view", { id: "n", expr: "messages.count" });
    assert.equal((await world.context("bob")).views.n.value, 1);
    const waits = [
      await world.wait("bob", { condition: "messages.count == 0" }),
      await world.wait("bob", { condition: "!has(actions.own)" }),
      await world.wait("bob", { condition: "views.n.value == 0" }),
      await world.wait("bob", { condition: '!("carol" in agents)' }),
    ];
    await world.call("PATCH", "/agents/carol", "admin", { enabled: "false" });
    await turns(20);
    for (const wait of waits) assert.equal(wait.reply()?.body.triggered, true);
    assert.equal((await world.context("bob")).views.n.value, 0);
  }, ["alice", "bob", "carol"]);
});

Deno.test("What a scope's agent may read decides anew when its grants change", async () => {
  await World.run(async (world) => {
    await world.register("bob", "save", { writes: [{ scope: "bob", key: "x", value: true }] });
    await world.must("bob", "save");
    await world.register("alice", "mine", {
      scope: "alice",
      enabled: "has(state.bob.x) && state.bob.x.value",
    });
    await world.must("alice", "_register_view", { id: "v", expr: '"bob" in state' });
    const looks = async (): Promise<unknown[]> => {
      const { actions, views } = await world.context("bob");
      return [actions.mine !== undefined, views.v.value];
    };
    assert.deepEqual(await looks(), [false, false]);
    const wait = await world.wait("alice", { condition: "has(state.bob.x)" });
    await world.call("PATCH", "/agents/alice", "admin", { grants: ["bob"] });
    await turns(20);
    assert.deepEqual(await looks(), [true, true]);
    assert.equal(wait.reply()?.body.triggered, true);
    await world.call("PATCH", "/agents/alice", "admin", { grants: [] });
    assert.deepEqual(await looks(), [false, false]);
  });
});

Deno.test("A view of the room's seq is never old", async () => {
  await World.run(async (world) => {
    await world.must("admin", "_register_view", { id: "at", expr: "room.seq" });
    for (let i = 0; i < 3; i++) {
      const { seq } = (await world.must("alice", "_send_message", { body: i })).body;
      assert.equal((await world.context("bob")).views.at.value, seq);
    }
  });
});

/** Registrations that would close a circle, after those that are fine. */
const CYCLES: readonly {
  readonly name: string;
  readonly fine: readonly [who: string, action: string, params: Record<string, unknown>][];
  readonly last: [who: string, action: string, params: Record<string, unknown>];
}[] = [
  {
    name: "two entries in one record",
    fine: [],
    last: ["alice", "both", {}],
  },
  {
    name: "two entries, one after the other",
    fine: [["alice", "a", {}]],
    last: ["alice", "b", {}],
  },
  {
    name: "two actions",
    fine: [["alice", "_register_action", { id: "p", writes: [], enabled: "has(actions.q)" }]],
    last: ["alice", "_register_action", { id: "q", writes: [], enabled: "!has(actions.p)" }],
  },
  {
    name: "two readers of a whole scope",
    fine: [["alice", "whole1", {}]],
    last: ["alice", "whole2", {}],
  },
  {
    name: "an entry and a view",
    fine: [["alice", "by_view", {}]],
    last: ["alice", "_register_view", { id: "v", expr: "has(state._shared.c)", scope: "_shared" }],
  },
  {
    name: "two messages",
    fine: [["alice", "_send_message", { body: 1, enabled: "messages.count == 0" }]],
    last: ["alice", "_send_message", { body: 1, enabled: "messages.count == 0" }],
  },
  {
    name: "an action of a gated agent",
    fine: [["carol", "_register_action", {
      id: "p",
      writes: [],
      enabled: "has(actions.q)",
    }]],
    last: ["bob", "_register_action", {
      id: "q",
      writes: [],
      scope: "bob",
      enabled: "has(actions.p)",
    }],
  },
];

for (const { name, fine, last } of CYCLES) {
  Deno.test(`A circle of enabled is 409 enabled_cycle: ${name}`, async () => {
    await World.run(async (world) => {
      const gate = (key: string, enabled: string): unknown => ({ key, value: 1, enabled });
      const on = (key: string): string => `has(state._shared.${key})`;
      const actions: Record<string, unknown[]> = {
        both: [gate("a", on("b")), gate("b", on("a"))],
        a: [gate("a", on("b"))],
        b: [gate("b", `!${on("a")}`)],
        whole1: [gate("a", "size(state._shared) > 2")],
        whole2: [gate("b", "size(state._shared) > 3")],
        by_view: [gate("c", "has(views.v) && views.v.value == true")],
      };
      for (const [id, writes] of Object.entries(actions)) {
        await world.register("alice", id, { writes });
      }
      for (const [who, action, params] of fine) await world.must(who, action, params);
      const before = await world.context("bob");
      const { status, body } = await world.invoke(...last);
      assert.deepEqual([status, body.error], [409, "enabled_cycle"]);
      assert.ok(body.path.length >= 3, JSON.stringify(body.path));
      assert.equal(body.path[0], body.path.at(-1));
      assert.equal((await world.context("bob")).seq, before.seq, "nothing was written");
    }, ["alice", "bob", "carol"]);
  });
}

Deno.test("Agents that would decide about each other are refused, however they come about", async () => {
  await World.run(async (world) => {
    const patch = async (who: string, enabled: string): Promise<string> => {
      const { status, body } = await world.call("PATCH", `/agents/${who}`, "admin", { enabled });
      return status === 200 ? "ok" : body.error;
    };
    assert.equal(await patch("bob", 'agents.exists(a, a == "carol")'), "ok");
    assert.equal(await patch("carol", '"bob" in agents'), "enabled_cycle");
    assert.equal(await patch("carol", "messages.count > 0"), "enabled_cycle");
    assert.equal(await patch("bob", "has(actions.hers)"), "ok");
    await world.register("carol", "hers", { scope: "carol" });
    await world.register("bob", "his", { scope: "bob" });
    assert.equal(await patch("carol", "has(actions.his)"), "enabled_cycle");
    const joins = await world.call("POST", "/agents", "admin", {
      id: "dave",
      enabled: "views.d.value == true",
      views: [{ id: "d", expr: "has(state.self.x)" }],
      state: { x: 1 },
    });
    assert.deepEqual([joins.status, joins.body.error], [409, "enabled_cycle"]);
    assert.equal((await world.context("admin")).agents.dave, undefined);
    const alone = await world.call("POST", "/agents", "admin", {
      id: "erin",
      enabled: "!has(actions.none) && size(agents) >= 0 && self != ''",
    });
    assert.equal(alone.status, 201, alone.text);
  }, ["alice", "bob", "carol"]);
});

Deno.test("Things build on each other only so far, whatever the order they come in", async () => {
  for (const isReversed of [false, true]) {
    await World.run(async (world) => {
      const ids = Array.from({ length: 200 }, (_, i) => i);
      let refused = 0;
      for (const i of isReversed ? ids.toReversed() : ids) {
        const reply = await world.invoke("alice", "_register_action", {
          id: `a${i}`,
          writes: [],
          enabled: `has(actions.a${i + 1})`,
        });
        if (reply.status === 201) continue;
        assert.deepEqual([reply.status, reply.body.error], [400, "limit_exceeded"]);
        refused++;
      }
      assert.ok(refused > 0);
      await world.context("bob");
    });
  }
});

const BAD: readonly [expr: string, error: string][] = [
  ["now > timestamp('2030-01-01T00:00:00Z')", "invalid_cel"],
  ['agents.bob.value.status == "active"', "invalid_cel"],
  ["agents.bob.value.waiting_on == null", "invalid_cel"],
  ["state._shared.x._meta.score > 0.5", "invalid_cel"],
  ["state._shared.x._meta.velocity > 1.0", "invalid_cel"],
  ["size(focus(state._shared)) > 0", "invalid_cel"],
  ["messages.unread > 0", "invalid_cel"],
  ["messages.directed_unread > 0", "invalid_cel"],
  ["actions.door.value.available", "invalid_cel"],
  ["state.self.x.value == 1", "invalid_cel"],
  ["1 + 1", "invalid_cel"],
  ["state._shared.x ==", "invalid_cel"],
  ["nothing.x == 1", "invalid_cel"],
  ["state._shared.x == 1", "invalid_cel"],
  ["params.x == 1", "invalid_cel"],
];

Deno.test("A bad enabled is 400 invalid_cel with its field, wherever it stands", async () => {
  await World.run(async (world) => {
    const before = (await world.context("bob")).seq;
    for (const [enabled, error] of BAD) {
      const asks: [string, string, unknown][] = [
        ["_send_message", "params.enabled", { body: 1, enabled }],
        ["_register_view", "params.enabled", { id: "v", expr: "1", enabled }],
        ["_register_action", "params.enabled", { id: "a", writes: [], enabled }],
        ["_register_action", "params.writes[0].enabled", {
          id: "a",
          writes: [{ key: "x", value: 1, enabled }],
        }],
      ];
      for (const [action, field, params] of asks) {
        const { status, body } = await world.invoke("alice", action, params);
        assert.deepEqual([status, body.error, body.field], [400, error, field], enabled);
        assert.ok(body.detail && body.message, enabled);
      }
      const patch = await world.call("PATCH", "/agents/alice", "admin", { enabled });
      assert.deepEqual([patch.status, patch.body.field], [400, "enabled"], enabled);
      const join = await world.call("POST", "/agents", "admin", { id: "eve", enabled });
      assert.deepEqual([join.status, join.body.field], [400, "enabled"], enabled);
    }
    for (const enabled of [5, {}, []]) {
      const { status, body } = await world.invoke("alice", "_send_message", { body: 1, enabled });
      assert.deepEqual([status, body.error], [400, "invalid_argument"]);
    }
    assert.equal((await world.context("bob")).seq, before);
  });
});

Deno.test("An enabled that fails when evaluated is false, and comes back when it no longer fails", async () => {
  await World.run(async (world) => {
    const door = await withDoor(world);
    await world.register("alice", "x", { enabled: "state._shared.open.value" });
    assert.equal(await world.eval("bob", "has(actions.x)"), false, "missing");
    await door("no" as unknown as boolean);
    assert.equal(await world.eval("bob", "has(actions.x)"), false, "no boolean");
    await door(true);
    assert.equal(await world.eval("bob", "has(actions.x)"), true);
  });
});

Deno.test("True and false as JSON are the expressions that they spell, wherever one is taken", async () => {
  await World.run(async (world) => {
    await world.register("alice", "off", { enabled: false });
    await world.register("alice", "shut", { enabled: true, if: false });
    await world.register("alice", "put", { writes: [{ key: "x", value: 1, enabled: false }] });
    await world.must("alice", "_register_view", { id: "v", expr: "1", enabled: false });
    await world.must("alice", "_send_message", { body: 1, enabled: false });
    await world.must("alice", "put");
    const { actions, views, messages, state } = await world.context("bob", "peek=true&depth=full");
    assert.equal("off" in actions, false);
    assert.deepEqual([actions.shut.value.if, actions.shut.value.available], ["false", false]);
    assert.deepEqual([views, messages.count, state._shared], [{}, 0, {}]);
    assert.equal((await world.invoke("alice", "put", {}, { if: false })).status, 409);
    await world.must("alice", "put", {}, { if: true });
    const gone = await world.call("PATCH", "/agents/bob", "admin", { enabled: false });
    assert.equal(gone.status, 200, gone.text);
    const joined = await world.call("POST", "/agents", "admin", { id: "eve", enabled: false });
    assert.equal(joined.status, 201, joined.text);
    assert.deepEqual(Object.keys((await world.context("alice")).agents), ["alice"]);
  });
});

Deno.test("What passes does not decide about what is there, by way of views either", async () => {
  await World.run(async (world) => {
    const view = (id: string, expr: string) =>
      world.must("alice", "_register_view", { id, expr, scope: "_shared" });
    await view("late", "now > timestamp('2030-01-01T00:00:00Z')");
    await view("by_way", "views.late.value");
    await view("calm", "true");
    const writes = (enabled: string) => [{ key: "x", value: 1, enabled }];
    for (const enabled of ["views.late.value", 'views["by_way"].value == true']) {
      const asks: [string, string, unknown][] = [
        ["_send_message", "params.enabled", { body: 1, enabled }],
        ["_register_view", "params.enabled", { id: "v", expr: "1", enabled }],
        ["_register_action", "params.enabled", { id: "a", writes: [], enabled }],
        ["_register_action", "params.writes[0].enabled", { id: "a", writes: writes(enabled) }],
      ];
      for (const [action, field, params] of asks) {
        const { status, body } = await world.invoke("alice", action, params);
        assert.deepEqual([status, body.error, body.field], [400, "invalid_cel", field], enabled);
        assert.match(body.detail, /now by way of views\./);
      }
      const patch = await world.call("PATCH", "/agents/alice", "admin", { enabled });
      assert.deepEqual([patch.status, patch.body.error], [400, "invalid_cel"], enabled);
    }
    await world.register("alice", "put", { writes: writes("views.calm.value") });
    await world.must("alice", "put");
    await world.register("alice", "own", {
      writes: [{ scope: "alice", key: "y", value: 1, enabled: "views.calm.value" }],
    });
    await world.must("alice", "own");
    const { body } = await world.must("bob", "_register_view", {
      id: "calm",
      expr: "views.by_way.value",
      scope: "_shared",
    });
    assert.deepEqual(body.warning, ["view_redefined", "hidden_by_passing"]);
    assert.deepEqual(body.hidden, ["_shared.x"], "what lies in alice's own scope is not named");
    const again = await world.must("alice", "_register_view", {
      id: "calm",
      expr: "views.late.value",
      scope: "_shared",
    });
    assert.deepEqual(again.body.hidden, ["_shared.x", "alice.y"]);
    const calm = await world.must("alice", "_register_view", {
      id: "calm",
      expr: "1 == 1",
      scope: "_shared",
    });
    assert.equal(calm.body.warning, "view_redefined");
  });
});
