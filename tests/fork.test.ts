/** Forks: the same past, its own future. */
import { strict as assert } from "node:assert";
import { canonical } from "../canonical.ts";
import { makeRoom, makeUser, ManualClock, mustVerify, startService, userToken } from "./harness.ts";
import { World } from "./memory_world.ts";

const WHOLE = "elision=none&depth=full&include=_config,_agents,_views,_actions";

Deno.test("fork and replay commute: a fork replays its origin at the point where it began", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const world = await World.make(on, clock, 11);
  for (let i = 0; i < 150; i++) await world.step();
  const head = (await world.get("")).body.head as number;
  for (const at of [head, head - 1, head >> 1, 20, 1]) {
    const made = await on.call("POST", `/rooms/${world.room.id}/fork`, {
      token: world.room.admin,
      body: { id: `fork-${at}`, at },
    });
    assert.equal(made.status, 201, made.text);
    assert.deepEqual([made.body.id, made.body.forked_from, made.body.at], [
      `fork-${at}`,
      world.room.id,
      at,
    ]);
    const fork = { id: made.body.id as string, admin: made.body.token as string };
    const ours = await on.call("GET", `/rooms/${fork.id}/replay/${at}?${WHOLE}`, {
      token: fork.admin,
    });
    const theirs = await world.get(`/replay/${at}?${WHOLE}`);
    assert.equal(canonical(ours.body), canonical(theirs.body), `at ${at}`);
    await mustVerify(on, fork);
    const [first] =
      (await on.call("GET", `/rooms/${fork.id}/log`, { token: fork.admin })).body.records;
    const origin = (await world.get(`/log?after=${at - 1}&limit=1`)).body.records[0];
    assert.equal(first.seq, at + 1);
    assert.equal(first.prev, origin.hash);
    assert.equal(first.kind, "base");
    const before = await on.call("GET", `/rooms/${fork.id}/replay/${at - 1}`, {
      token: fork.admin,
    });
    assert.equal(before.status, 404);
  }
  await on.close();
});

Deno.test("a fork lives on by itself: after a restart, with a fork of its own, and without its origin", async () => {
  const clock = new ManualClock();
  let on = await startService({ clock });
  const world = await World.make(on, clock, 12);
  for (let i = 0; i < 80; i++) await world.step();
  const first = await on.call("POST", `/rooms/${world.room.id}/fork`, {
    token: world.room.admin,
    body: {},
  });
  assert.equal(first.status, 201, first.text);
  const fork = { id: first.body.id as string, admin: first.body.token as string };
  const room = { ...world.room, id: fork.id, admin: fork.admin, agents: {} };
  const other = new World(on, clock, room, 13);
  for (const id of ["alice", "bob", "carol"]) {
    const joined = await on.call("POST", `/rooms/${fork.id}/agents`, {
      token: fork.admin,
      body: { id },
    });
    assert.equal(joined.status, 201, joined.text);
    other.tokens[id] = joined.body.token;
  }
  for (let i = 0; i < 80; i++) await other.step();
  await mustVerify(on, fork);
  on = await on.restart();
  await mustVerify(on, fork);
  assert.equal(
    (await on.call("DELETE", `/rooms/${world.room.id}`, { token: world.room.admin })).status,
    200,
  );
  const again = await on.call("POST", `/rooms/${fork.id}/fork`, { token: fork.admin, body: {} });
  assert.equal(again.status, 201, again.text);
  await mustVerify(on, { id: again.body.id, admin: again.body.token });
  assert.deepEqual((await on.call("GET", `/rooms/${fork.id}`, { token: fork.admin })).body.forks, [
    { id: again.body.id, at: again.body.at },
  ]);
  await on.close();
});

Deno.test("what belongs to the origin alone stays behind: tokens, owners, actors, cursors", async () => {
  const on = await startService();
  const owner = await userToken(on, "olga", "create_rooms");
  const made = await on.call("POST", "/rooms", { token: owner, body: { id: "origin" } });
  assert.equal(made.status, 201, made.text);
  const bob = await userToken(on, "bob", "rooms:*:write");
  await makeUser(on, "bob", { origin: "collaborator" });
  const joined = await on.call("POST", "/rooms/origin/agents", {
    token: bob,
    body: { id: "bob", state: { secret: 42 } },
  });
  assert.equal(joined.status, 201, joined.text);
  const fork = await on.call("POST", "/rooms/origin/fork", {
    token: owner,
    body: { id: "branch" },
  });
  assert.equal(fork.status, 201, fork.text);
  const refused = await on.call("GET", "/rooms/branch/context", { token: joined.body.token });
  assert.equal(refused.status, 404);
  assert.equal((await on.call("GET", "/rooms/branch/context", { token: bob })).status, 404);
  const context = await on.call("GET", "/rooms/branch/context", { token: owner });
  assert.equal(context.body.state.bob.secret.value, 42);
  const inOrigin = await on.call("GET", "/rooms/origin/context", { token: owner });
  assert.notEqual(context.body.agents.bob.value.actor, inOrigin.body.agents.bob.value.actor);
  const shown = await on.call("GET", "/rooms/branch", { token: owner });
  assert.equal(shown.body.forked_from.id, "origin");
  assert.equal(shown.body.role, "owner");
  assert.deepEqual((await on.call("GET", "/rooms/origin", { token: owner })).body.forks, [
    { id: "branch", at: fork.body.at },
  ]);
  assert.equal((await on.call("GET", "/rooms/origin", { token: bob })).body.forks, undefined);
  assert.equal((await on.call("POST", "/rooms/origin/fork", { token: bob, body: {} })).status, 403);
  await on.close();
});

Deno.test("timers keep the time they had left", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const { id, admin } = await makeRoom(on);
  await on.invoke(id, "_register_action", {
    id: "light",
    writes: [{ key: "lamp", value: "on", timer: { ms: 60_000, effect: "delete" } }],
    on_invoke: { timer: { ms: 60_000, effect: "enable" } },
  }, admin);
  await on.invoke(id, "light", {}, admin);
  const at = (await on.call("GET", `/rooms/${id}`, { token: admin })).body.head;
  await clock.advance(40_000);
  const now = await on.call("POST", `/rooms/${id}/fork`, { token: admin, body: { id: "now" } });
  await on.invoke(id, "_send_message", { body: "later" }, admin);
  const then = await on.call("POST", `/rooms/${id}/fork`, {
    token: admin,
    body: { id: "then", at },
  });
  assert.deepEqual([now.status, then.status], [201, 201], then.text);
  const lamp = async (room: string, token: string): Promise<unknown> => {
    const { body } = await on.call("GET", `/rooms/${room}/context`, { token });
    return [body.state._shared.lamp?.value, body.actions.light.value.available];
  };
  await clock.advance(19_000);
  assert.deepEqual(await lamp("now", now.body.token), ["on", false]);
  await clock.advance(2_000);
  assert.deepEqual(await lamp("now", now.body.token), [undefined, true]);
  assert.deepEqual(await lamp("then", then.body.token), ["on", false]);
  await clock.advance(40_000);
  assert.deepEqual(await lamp("then", then.body.token), [undefined, true]);
  for (const made of [now, then]) {
    await mustVerify(on, { id: made.body.id, admin: made.body.token });
  }
  await on.close();
});

Deno.test("refusals of a fork name what is wanted", async () => {
  const on = await startService();
  const { id, admin, view } = await makeRoom(on);
  const rows: [string, unknown, number, string][] = [
    [admin, { at: 99 }, 400, "invalid_argument"],
    [admin, { at: -1 }, 400, "invalid_argument"],
    [admin, { id: "no good" }, 400, "invalid_argument"],
    [admin, { id: null }, 400, "invalid_argument"],
    [admin, { id }, 409, "room_exists"],
    [admin, { more: 1 }, 400, "invalid_argument"],
    [view, {}, 403, "read_only_token"],
  ];
  for (const [token, body, status, error] of rows) {
    const reply = await on.call("POST", `/rooms/${id}/fork`, { token, body });
    assert.deepEqual([reply.status, reply.body.error], [status, error], reply.text);
  }
  assert.equal((await on.call("POST", `/rooms/${id}/fork`, { body: {} })).status, 401);
  await on.close();
});
