/** What actors remember: theirs and their owner's alone, by every route; in CEL only their own. */
import assert from "node:assert/strict";
import { MEMORIES_MAX } from "../limits.ts";
import { recallAll } from "../store/memories.ts";
import { turns, userToken } from "./harness.ts";
import { at, makeWorld, type World } from "./actors_world.ts";
import { call as tool } from "./mcp_world.ts";

const DEV = "did:sync:agent:dev";
const SECRET = "the heron flies at noon";

interface Dev extends World {
  /** The token of an agent that is the actor. */
  readonly dev: string;
  readonly service: string;
}

async function makeDev(): Promise<Dev> {
  const world = await makeWorld();
  await world.as(world.uma, "POST", "/actors", { did: DEV, manual: "Be brief." });
  const dev = (await world.join(world.uma, { id: "dev", actor: DEV })).body.token;
  const made = await world.as(world.uma, "POST", "/service-accounts", {
    name: "ci",
    actors: [DEV],
    scope: "rooms:R:write",
  });
  return { ...world, dev, service: made.body.token };
}

const body = { kind: "reference", description: "where the bird is", body: SECRET };

Deno.test("Remembered, recalled by name and by words, changed and forgotten; also after a restart", async () => {
  const world = await makeDev();
  const { as, dev, uma, service } = world;
  const put = (name: string, rest: object, token = dev) =>
    as(token, "PUT", at(DEV, `/memory/${name}`), rest);
  assert.equal((await put("bird", body)).status, 200);
  await put("commit-style", {
    kind: "feedback",
    description: "no emojis",
    body: { rule: "plain" },
  });
  await put("heron-diet", { description: "what herons eat", body: "heron heron heron fish" }, uma);
  const names = async (query: string, token = dev) =>
    (await as(token, "GET", at(DEV, `/memory${query}`))).body.memories.map(
      ({ name }: { name: string }) => name,
    );
  assert.deepEqual((await names("")).sort(), ["bird", "commit-style", "heron-diet"]);
  assert.deepEqual(await names("?q=heron"), ["heron-diet", "bird"]);
  assert.deepEqual(await names("?q=heron&kind=reference", service), ["bird"]);
  assert.deepEqual(await names("?q=EMOJIS"), ["commit-style"]);
  assert.deepEqual(await names("?q=plain", uma), ["commit-style"]);
  assert.deepEqual(
    await names('?q="(*'),
    (await names("")).sort((a: string, b: string) => a < b ? -1 : 1),
  );
  assert.deepEqual(await names("?q=nothing-like-it"), []);
  const found = await as(dev, "GET", at(DEV, "/memory?q=heron"));
  assert.equal(found.body.search, "fts5");
  const one = await as(uma, "GET", at(DEV, "/memory/bird"));
  assert.deepEqual([one.body.body, one.body.uses], [SECRET, 1]);
  await put("bird", { description: "moved" });
  assert.equal((await as(dev, "GET", at(DEV, "/memory/bird"))).body.body, SECRET);
  assert.deepEqual(await names("?q=moved"), ["bird"]);
  assert.deepEqual(await names("?q=where"), []);
  assert.equal((await as(dev, "DELETE", at(DEV, "/memory/heron-diet"))).status, 200);
  assert.deepEqual(await names("?q=heron"), ["bird"]);
  assert.equal((await as(dev, "GET", at(DEV, "/memory/heron-diet"))).status, 404);
  const on = await world.on.restart();
  const after = await on.call("GET", at(DEV, "/memory?q=noon"), { token: dev });
  assert.equal(after.body.memories[0].name, "bird");
  await on.close();
});

Deno.test("Another's memory is out of reach by every route", async (t) => {
  const world = await makeDev();
  const { on, as, room, ulf, uma, dev } = world;
  await as(dev, "PUT", at(DEV, "/memory/bird"), body);
  const ulfs = (await world.join(ulf, { id: "ulfs" })).body.token;
  await on.invoke("R", "_register_view", { id: "own", expr: "memory.bird.value.size()" }, dev);
  const foreign = {
    "another user": ulf,
    "another user's agent": ulfs,
    "a local agent": room.agents["alice"]!,
    "the room's admin": room.admin,
    "the room's viewer": room.view,
    "nobody": undefined,
    "the owner's token to read": await userToken(on, "uma", "rooms:*:read"),
    "the owner's token for nothing": await userToken(on, "uma", ""),
    "the owner's token bound to another agent": await userToken(on, "uma", "rooms:R:agent:bound"),
    "a service account that does not list it": (await as(uma, "POST", "/service-accounts", {
      name: "x",
      scope: "rooms:R:write",
    })).body.token as string,
  };
  const expressions = ["memory.bird.value", 'memory["bird"].value', "memory.keys()"];
  for (const [name, token] of Object.entries(foreign)) {
    await t.step(name, async () => {
      const routes: readonly (readonly [string, string, unknown?])[] = [
        ["GET", at(DEV, "/memory")],
        ["GET", at(DEV, "/memory?q=heron")],
        ["GET", at(DEV, "/memory/bird")],
        ["PUT", at(DEV, "/memory/bird"), { body: "mine now" }],
        ["DELETE", at(DEV, "/memory/bird")],
        ["GET", at(DEV, "/log")],
      ];
      for (const [method, path, sent] of routes) {
        const reply = await on.call(method, path, { token, body: sent });
        assert.ok([401, 403].includes(reply.status), `${method} ${path}: ${reply.text}`);
        assert.equal(reply.text.includes("heron"), false);
      }
      const profile = await on.call("GET", at(DEV), { token });
      assert.equal(profile.text.includes("Be brief"), false);
      for (
        const [tool_, args] of [
          ["sync_recall", { actor: DEV }],
          ["sync_recall", { actor: DEV, name: "bird" }],
          ["sync_remember", { actor: DEV, name: "bird", body: "x" }],
          ["sync_forget", { actor: DEV, name: "bird" }],
        ] as const
      ) {
        const reply = await tool(on, token, tool_, args as never);
        assert.equal(reply.text.includes("heron"), false, reply.text);
      }
      for (const expr of expressions) {
        const reply = await on.call("POST", "/rooms/R/eval", { token, body: { expr } });
        assert.equal(reply.text.includes("heron"), false);
        if (reply.status === 200) assert.deepEqual(reply.body.value, [], reply.text);
      }
    });
  }
  assert.equal((await recallAll(on.service.store, DEV)).get("bird")!.body, SECRET);
  await t.step("an admin through the agent's eyes, and in its name", async () => {
    for (const expr of expressions) {
      const seen = await on.call("POST", "/rooms/R/eval?agent=dev", {
        token: room.admin,
        body: { expr, agent: "dev" },
      });
      assert.equal(seen.text.includes("heron"), false, seen.text);
    }
    const leak = { id: "leak", scope: "dev", expr: "memory.bird.value" };
    for (const rest of [{}, { agent: "dev" }]) {
      const made = await on.invoke("R", "_register_view", leak, room.admin, rest);
      assert.equal(made.text.includes("heron"), false, made.text);
    }
    const act = {
      id: "tell",
      scope: "dev",
      writes: [{ key: "told", value: "memory.bird.value", expr: true }],
    };
    await on.invoke("R", "_register_action", act, room.admin, { agent: "dev" });
    const told = await on.invoke("R", "tell", {}, dev);
    assert.equal(told.text.includes("heron"), false, told.text);
    const waiting = on.call(
      "GET",
      `/rooms/R/wait?agent=dev&timeout=1000&condition=${
        encodeURIComponent(`memory.bird.value == "${SECRET}"`)
      }`,
      { token: room.admin },
    );
    await turns();
    await world.clock.advance(2_000);
    const wait = await waiting;
    assert.equal(wait.body.triggered, false, wait.text);
  });
  await t.step("what a gate remembers is in no refusal", async () => {
    const gate = { id: "gated", scope: "dev", if: 'memory.bird.value == "no"', writes: [] };
    await on.invoke("R", "_register_action", gate, dev);
    for (const token of [room.admin, room.agents["alice"]!, dev]) {
      const refused = await on.invoke("R", "gated", {}, token);
      assert.equal(refused.body.error, "precondition_failed", refused.text);
      assert.equal(refused.text.includes("heron"), false, refused.text);
    }
    const poll = await on.call("GET", "/rooms/R/poll", { token: room.admin });
    assert.equal(poll.text.includes("heron"), false);
  });
  await t.step("once the agent is another's, its definitions remember nothing", async () => {
    const read = async () =>
      (await on.call("GET", "/rooms/R/context?only=views", { token: room.admin })).body.views.own
        .value;
    assert.equal(await read(), SECRET.length);
    await world.join(room.admin, { id: "dev" });
    assert.equal(await read(), null);
    await world.join(uma, { id: "dev", actor: DEV });
    assert.equal(await read(), SECRET.length);
  });
  await world.close();
});

Deno.test("In CEL an agent reads its own memory: evals, waits, and what it registered for itself", async () => {
  const world = await makeDev();
  const { on, as, dev, room } = world;
  await as(dev, "PUT", at(DEV, "/memory/limit"), { body: 3 });
  const evaluate = async (expr: string) =>
    (await on.call("POST", "/rooms/R/eval", { token: dev, body: { expr } })).body.value;
  assert.equal(await evaluate("memory.limit.value + 1"), 4);
  assert.deepEqual(await evaluate("memory.keys()"), ["limit"]);
  const act = {
    id: "take",
    scope: "dev",
    if: "size(memory.keys()) > 0 && state.self.?n.value.orValue(0) < memory.limit.value",
    writes: [{ scope: "dev", key: "n", increment: 1 }],
  };
  assert.equal((await on.invoke("R", "_register_action", act, dev)).status, 201);
  for (const status of [200, 200, 200, 409]) {
    assert.equal((await on.invoke("R", "take", {}, dev)).status, status);
  }
  const view = { id: "left", expr: "memory.limit.value - state.self.n.value" };
  assert.equal((await on.invoke("R", "_register_view", view, dev)).body.value, 0);
  await as(dev, "PUT", at(DEV, "/memory/limit"), { body: 5 });
  const shown = await on.call("GET", "/rooms/R/context?only=views", { token: room.admin });
  assert.equal(shown.body.views.left.value, 2);
  const shared = { id: "all", scope: "_shared", expr: "memory.limit.value" };
  assert.equal((await on.invoke("R", "_register_view", shared, dev)).body.value, null);
  const past = await on.call("GET", `/rooms/R/replay/${shown.body.seq}?only=views`, { token: dev });
  assert.equal(past.body.views.left.value, null, "memory is no history of the room");
  await world.close();
});

Deno.test("A wait on one's memory wakes when it changes", async () => {
  const world = await makeDev();
  const { on, as, dev, clock } = world;
  const condition = encodeURIComponent('"go" in memory');
  const waiting = on.call("GET", `/rooms/R/wait?condition=${condition}&timeout=5000`, {
    token: dev,
  });
  await turns();
  await clock.advance(10);
  await as(dev, "PUT", at(DEV, "/memory/go"), { body: true });
  await clock.advance(1_000);
  const reply = await waiting;
  assert.equal(reply.body.triggered, true, reply.text);
  await world.close();
});

Deno.test("What somebody planted in a scope reads no memory of who comes to it later", async () => {
  const world = await makeDev();
  const { on, as, dev, uma } = world;
  await as(dev, "PUT", at(DEV, "/memory/bird"), body);
  const mine = (await as(uma, "POST", "/rooms", { id: "mine", join: "open" })).body.token;
  const planted = await on.call("POST", "/rooms/mine/agents", { body: { id: "x" } });
  const view = { id: "leak", expr: "memory.bird.value" };
  const made = await on.invoke("mine", "_register_view", view, planted.body.token);
  assert.equal(made.status, 201, made.text);
  const taken = await on.call("POST", "/rooms/mine/agents", {
    token: uma,
    body: { id: "x", actor: DEV },
  });
  assert.equal(taken.body.actor, DEV, taken.text);
  const read = async () =>
    (await on.call("GET", "/rooms/mine/context?only=views", { token: mine })).body.views.leak.value;
  assert.equal(await read(), null);
  await on.invoke("mine", "_register_view", view, taken.body.token);
  assert.equal(await read(), SECRET, "what it registers itself is its own doing");
  const fork = await as(mine, "POST", "/rooms/mine/fork", { id: "copy" });
  const again = await on.call("POST", "/rooms/copy/agents", {
    token: uma,
    body: { id: "x", actor: DEV },
  });
  assert.equal(again.body.actor, DEV, again.text);
  const copied = await as(fork.body.token, "GET", "/rooms/copy/context?only=views");
  assert.equal(copied.body.views.leak.value, null, "nor does a definition take it to a fork");
  await world.close();
});

Deno.test("An admin who waits with an agent's eyes is not woken by what the agent remembers", async () => {
  const world = await makeDev();
  const { on, as, dev, clock, room } = world;
  const condition = encodeURIComponent('"go" in memory');
  const wait = (token: string, query = "") =>
    on.call("GET", `/rooms/R/wait?condition=${condition}&timeout=5000${query}`, { token });
  const own = wait(dev);
  await turns();
  const borrowed = wait(room.admin, "&agent=dev");
  await turns();
  await as(dev, "PUT", at(DEV, "/memory/go"), { body: true });
  await clock.advance(6_000);
  assert.equal((await own).body.triggered, true);
  assert.equal((await borrowed).body.triggered, false);
  await world.close();
});

Deno.test("Without FTS5 memory is searched plainly, and says so", async () => {
  const world = await makeDev();
  const { on, as, dev } = world;
  const { store } = on.service;
  const run = store.run.bind(store);
  store.run = (statements) =>
    statements.some(({ sql }) => sql.includes("fts5"))
      ? run([{ sql: "CREATE VIRTUAL TABLE t USING no_such_module(x)", args: {} }])
      : run(statements);
  await as(dev, "PUT", at(DEV, "/memory/bird"), body);
  const found = await as(dev, "GET", at(DEV, "/memory?q=HERON"));
  assert.equal(found.body.search, "plain", found.text);
  assert.equal(found.body.memories[0].name, "bird");
  await world.close();
});

Deno.test("Bounds of memory are clear refusals", async () => {
  const world = await makeDev();
  const { as, dev, room } = world;
  const put = (name: string, rest: object) => as(dev, "PUT", at(DEV, `/memory/${name}`), rest);
  assert.equal((await put("big", { body: "x".repeat(65_534) })).status, 200);
  assert.equal((await put("big", { body: "x".repeat(65_535) })).status, 413);
  assert.equal((await put(encodeURIComponent("a b"), {})).status, 400);
  assert.equal((await put("a", { kind: "odd" })).status, 400);
  assert.equal((await put("constructor", {})).status, 400);
  const local = await world.join(undefined, { id: "loc" });
  const denied = await as(local.body.token, "GET", at(local.body.actor, "/memory"));
  assert.equal(denied.body.error, "actor_denied", denied.text);
  assert.ok(MEMORIES_MAX > 0 && room.id === "R");
  await world.close();
});

Deno.test("Embodying answers with the manual and what matters, within a budget", async () => {
  const world = await makeDev();
  const { on, as, dev, uma } = world;
  await as(dev, "PUT", at(DEV, "/memory/bird"), body);
  await as(dev, "PUT", at(DEV, "/memory/long"), { description: "long", body: "y".repeat(60_000) });
  const reply = await tool(on, uma, "sync_embody", { room: "R", agent: "dev" });
  assert.equal(reply.body.result?.isError, undefined, reply.text.slice(0, 500));
  const memory = reply.body.result.structuredContent._memory;
  assert.equal(memory.manual, "Be brief.");
  assert.equal(memory.total, 2);
  const bodies = memory.memories.map((m: { name: string; body?: unknown }) => [m.name, m.body]);
  assert.deepEqual(bodies.find(([name]: [string]) => name === "bird")[1], SECRET);
  assert.equal(bodies.find(([name]: [string]) => name === "long")[1], undefined);
  const kept = await tool(on, uma, "sync_remember", { name: "style", body: "plain" });
  assert.equal(kept.body.result.isError, undefined, kept.text);
  const own = await tool(on, dev, "sync_recall", { room: "R", q: "heron" });
  assert.equal(own.body.result.structuredContent.memories[0].name, "bird");
  await world.close();
});
