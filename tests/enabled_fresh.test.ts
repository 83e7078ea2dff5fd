/**
 * What is kept of `enabled`, views and availability is never old: after every random operation
 * each reader sees what it would see in the room freshly loaded from its tables.
 */
import assert from "node:assert/strict";
import type { Acting } from "../auth.ts";
import { buildContext } from "../context.ts";
import { parseContextQuery } from "../context/query.ts";
import { hotFromRows } from "../engine/rows.ts";
import type { Moment } from "../engine/types.ts";
import type { Access } from "../policy.ts";
import type { JsonObject } from "../types.ts";
import { Random } from "../proof/simulation/random.ts";
import { World } from "./time_world.ts";

const AGENTS = ["alice", "bob", "carol"] as const;
const READERS = [...AGENTS, "admin", ""];
const KEYS = ["k0", "k1", "k2"];
const VARS = ["a", "b", "c"];

/** Expressions that read what the operations change: values, scopes, things, the reader. */
const EXPRESSIONS = [
  ...VARS.map((v) => `has(state._shared.${v}) && state._shared.${v}.value > 1`),
  "has(state._shared.a) && !has(state._shared.b)",
  "size(state._shared) > 3",
  ...KEYS.map((k) => `has(state._shared.${k})`),
  "has(actions.p0)",
  "has(actions.p1) || self == 'bob'",
  "actions.exists(x, actions[x]._meta.invocations > 2)",
  "has(views.v0)",
  "views.v1.value == true",
  "messages.count > 2",
  "messages.unclaimed > 0",
  "messages.recent.exists(m, m.from == 'carol')",
  "'carol' in agents",
  "agents.carol.value.role == 'agent' && self != 'alice'",
  "has(state.carol.own) && state.carol.own.value > 1",
  "has(state.bob.own)",
  "self == 'alice' || has(state._shared.c)",
  "room.seq % 3 == 0",
  "written_by(state._shared, 'alice').size() > 2",
  "'x' in state.self && state.self.x.value > 1",
];

/** What a reader sees, without what is beside the fold. */
function seen(moment: Moment, agent: string): unknown {
  const isAdmin = agent === "admin";
  const acting: Acting = {
    agent,
    isAdmin,
    seesAll: isAdmin,
    isBorrowed: false,
    access: {} as Access,
  };
  const query = parseContextQuery((name) =>
    name === "peek" ? ["true"] : name === "elision" ? ["none"] : name === "depth" ? ["full"] : []
  );
  const { body } = buildContext(moment, acting, query);
  const values = (section: string): unknown =>
    Object.entries(body[section] as JsonObject).map(([id, item]) => [
      id,
      (item as JsonObject)["value"],
      ((item as JsonObject)["_meta"] as JsonObject | undefined)?.["revision"],
    ]);
  const state = Object.entries(body["state"] as JsonObject).map(([scope, entries]) => [
    scope,
    Object.entries(entries as JsonObject).map(([key, e]) => [key, (e as JsonObject)["value"]]),
  ]);
  const { count, unclaimed, recent } = body["messages"] as JsonObject;
  const agents = Object.keys(body["agents"] as JsonObject);
  return {
    state,
    views: values("views"),
    actions: values("actions"),
    agents,
    count,
    unclaimed,
    recent,
  };
}

/** Compares the live room with one loaded anew. */
async function mustBeFresh(world: World, after: string): Promise<void> {
  const { engine, store } = world.on.service;
  const { hot } = await engine.read(world.room.id, () => undefined);
  const row = await store.findRoom(world.room.id);
  const loaded = await store.loadRoom(row!, 0);
  for (const reader of READERS) {
    const { value: live } = await engine.read(world.room.id, (moment) => seen(moment, reader));
    // A memo kept for one reader must not answer another: each fresh look begins without any.
    const fresh = hotFromRows(loaded, world.clock.now());
    const anew = seen({ hot: fresh, room: fresh.room, now: hot.room.ts }, reader);
    assert.deepEqual(live, anew, `${reader || "nobody"} after ${after}`);
  }
}

type Operation = (world: World, random: Random) => Promise<string>;

function life(random: Random): Record<string, unknown> {
  const enabled = random.chance(0.7) ? { enabled: random.pick(EXPRESSIONS) } : {};
  const effect = random.pick(["delete", "enable"]);
  const clock = random.chance(0.5)
    ? { ms: random.int(1, 5) * 1_000 }
    : { ticks: random.int(1, 3), tick_on: `_shared.${random.pick(VARS)}` };
  return { ...enabled, ...(random.chance(0.3) ? { timer: { ...clock, effect } } : {}) };
}

const OPERATIONS: readonly Operation[] = [
  async (world, random) => {
    const key = random.pick(VARS);
    const { status } = await world.invoke(random.pick(AGENTS), `set_${key}`, {
      v: random.int(0, 3),
    });
    return `set ${key} ${status}`;
  },
  async (world, random) => {
    const key = random.pick(VARS);
    return `drop ${key} ${(await world.invoke(random.pick(AGENTS), `drop_${key}`)).status}`;
  },
  async (world, random) => {
    const id = "gate";
    const writes = [{ key: random.pick(KEYS), value: random.int(0, 9), ...life(random) }];
    await world.invoke("admin", "_register_action", { id, writes });
    return `write ${JSON.stringify(writes)} ${(await world.invoke("admin", id)).status}`;
  },
  async (world, random) => {
    const id = random.pick(["p0", "p1"]);
    const params = { id, scope: random.pick(["_shared", "carol"]), writes: [], ...life(random) };
    return `register ${JSON.stringify(params)} ${
      (await world.invoke("admin", "_register_action", params)).status
    }`;
  },
  async (world, random) => {
    const params = {
      id: random.pick(["v0", "v1", "v2"]),
      scope: random.pick(["_shared", "carol", "bob"]),
      expr: random.pick(EXPRESSIONS),
      ...life(random),
    };
    return `view ${JSON.stringify(params)} ${
      (await world.invoke("admin", "_register_view", params)).status
    }`;
  },
  async (world, random) => {
    const params = { body: 1, kind: random.pick(["task", "chat"]), ...life(random) };
    const { status } = await world.invoke(random.pick(AGENTS), "_send_message", params);
    return `send ${JSON.stringify(params)} ${status}`;
  },
  async (world, random) => {
    const who = random.pick(["bob", "carol"]);
    const enabled = random.chance(0.4) ? null : random.pick(EXPRESSIONS);
    const reply = await world.call("PATCH", `/agents/${who}`, "admin", { enabled });
    return `patch ${who} ${enabled} ${reply.status}`;
  },
  async (world, random) => {
    const who = random.pick(AGENTS);
    const grants = random.pick([[], ["carol"], ["bob", "carol"]]);
    await world.call("PATCH", `/agents/${who}`, "admin", { grants });
    return `grant ${who} ${grants}`;
  },
  async (world, random) => {
    const who = random.pick(AGENTS);
    return `own ${who} ${(await world.invoke(who, "own", { v: random.int(0, 3) })).status}`;
  },
  async (world, random) => {
    const action = random.pick(["p0", "p1"]);
    return `invoke ${action} ${(await world.invoke(random.pick(AGENTS), action)).status}`;
  },
  async (world, random) => {
    const action = random.pick(["_delete_action", "_delete_view"]);
    const id = random.pick(["p0", "p1", "v0", "v1", "v2"]);
    return `${action} ${id} ${(await world.invoke("admin", action, { id })).status}`;
  },
  async (world, random) => {
    await world.pass(random.int(1, 3_000));
    return "time";
  },
  async (world, random) => {
    const { status } = await world.invoke("admin", `set_${random.pick(VARS)}`, { v: 2 }, {
      dry_run: true,
    });
    return `rehearse ${status}`;
  },
  async (world, random) => {
    await world.context(random.pick(AGENTS), "");
    return "read";
  },
];

for (const seed of [1, 2, 3, 4, 5, 6]) {
  Deno.test(`Nothing kept is ever old, seed ${seed}`, async () => {
    await World.run(async (world) => {
      const random = new Random(seed);
      for (const key of VARS) {
        await world.register("admin", `set_${key}`, {
          params: { v: {} },
          writes: [{ key, value: "${params.v}" }],
        });
        await world.register("admin", `drop_${key}`, { writes: [{ key, delete: true }] });
      }
      await world.register("admin", "own", {
        params: { v: {} },
        writes: [{ scope: "${self}", key: "own", value: "${params.v}" }],
      });
      const done: string[] = [];
      for (let i = 0; i < 120; i++) {
        done.push(await random.pick(OPERATIONS)(world, random));
        assert.ok(!/ 5\d\d$/.test(done.at(-1)!), done.at(-1)!);
        await mustBeFresh(world, done.slice(-6).join("\n"));
      }
    }, AGENTS);
  });
}
