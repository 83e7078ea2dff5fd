/**
 * Many at once: no lost write, one winner, no gap and no duplicate, no missed wake-up. The real
 * clock and the real event loop; after every test the log folds to the state and its tables.
 */
import assert from "node:assert/strict";
import {
  makeRoom,
  mustVerify,
  type Reply,
  send,
  startService,
  SYSTEM_CLOCK,
  type TestRoom,
  type TestService,
} from "./harness.ts";

const CLIENTS = 64;
const ROUNDS = 200;

async function world(
  agents: number,
): Promise<{ on: TestService; room: TestRoom; names: string[] }> {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const names = Array.from({ length: agents }, (_, i) => `a${i}`);
  const room = await makeRoom(on, names);
  const register = (params: Record<string, unknown>) =>
    on.invoke(room.id, "_register_action", params, room.admin);
  await register({ id: "inc", writes: [{ key: "n", increment: 1 }] });
  await register({
    id: "take",
    if: '!("holder" in state._shared)',
    writes: [{ key: "holder", value: "${self}" }],
  });
  await register({
    id: "swap",
    writes: [{ key: "n", value: "${params.v}", if_version: "${params.version}" }],
  });
  return { on, room, names };
}

/** Sequence numbers without gap or duplicate, as the log has them. */
async function mustBeGapless(on: TestService, room: TestRoom): Promise<number> {
  const seqs: number[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const { body }: Reply = await on.call(
      "GET",
      `/rooms/${room.id}/log?after=${after}&limit=1000`,
      { token: room.admin },
    );
    seqs.push(...body.records.map(({ seq }: { seq: number }) => seq));
    after = body.next_after;
  }
  assert.deepEqual(seqs, seqs.map((_, i) => i + 1));
  return seqs.length;
}

Deno.test(`${CLIENTS} clients, ${ROUNDS} increments each: exact, and every seq once`, async () => {
  const { on, room, names } = await world(CLIENTS);
  const before = await mustBeGapless(on, room);
  const seen = new Set<number>();
  await Promise.all(names.map(async (name) => {
    for (let i = 0; i < ROUNDS; i++) {
      const { status, body } = await on.invoke(room.id, "inc", {}, room.agents[name]);
      assert.equal(status, 200);
      assert.equal(seen.has(body.seq), false, "a seq was given out twice");
      seen.add(body.seq);
      assert.equal(
        body.writes[0].value,
        body.seq - before,
        "the value is the state after its own record",
      );
    }
  }));
  const { body } = await on.call("GET", `/rooms/${room.id}/context?only=state`, {
    token: room.view,
  });
  assert.equal(body.state._shared.n.value, CLIENTS * ROUNDS);
  assert.equal(body.state._shared.n._meta.revision, CLIENTS * ROUNDS);
  assert.equal(await mustBeGapless(on, room), before + CLIENTS * ROUNDS);
  await mustVerify(on, room);
  await on.close();
});

Deno.test("The same over real sockets", async () => {
  const { on, room, names } = await world(16);
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => undefined },
    on.service.fetch,
  );
  const origin = `http://127.0.0.1:${server.addr.port}`;
  await Promise.all(names.map(async (name) => {
    for (let i = 0; i < 40; i++) {
      const path = `${origin}/rooms/${room.id}/actions/inc/invoke`;
      const reply = await send(fetch, "POST", path, { token: room.agents[name], body: {} });
      assert.equal(reply.status, 200, reply.text);
    }
  }));
  const { body } = await on.call("GET", `/rooms/${room.id}/context?only=state`, {
    token: room.view,
  });
  assert.equal(body.state._shared.n.value, 16 * 40);
  await mustVerify(on, room);
  await server.shutdown();
  await on.close();
});

Deno.test("A gated claim, a message and a version have one winner each, whoever comes", async () => {
  const { on, room, names } = await world(24);
  const all = <T>(run: (name: string, i: number) => Promise<T>): Promise<T[]> =>
    Promise.all(names.map(run));
  const statuses = (replies: Reply[]): Record<number, number> => {
    const counts: Record<number, number> = {};
    for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  };
  const taken = await all((name) => on.invoke(room.id, "take", {}, room.agents[name]));
  assert.deepEqual(statuses(taken), { 200: 1, 409: 23 });
  for (let round = 0; round < 20; round++) {
    const { body: task } = await on.invoke(
      room.id,
      "_send_message",
      { body: round, kind: "task" },
      room.agents["a0"],
    );
    const claims = await all((name) =>
      on.invoke(room.id, "_claim_message", { seq: task.seq }, room.agents[name])
    );
    assert.deepEqual(statuses(claims), { 200: 1, 409: 23 });
    const [winner] = claims.filter(({ status }) => status === 200);
    for (const { status, body } of claims) {
      if (status === 409) assert.equal(body.claimed_by, winner!.body.claimed_by);
    }
  }
  await on.invoke(room.id, "inc", {}, room.agents["a0"]);
  for (let round = 0; round < 20; round++) {
    const { body } = await on.call("GET", `/rooms/${room.id}/context?only=state&expand=_shared.n`, {
      token: room.view,
    });
    const { version } = body.state._shared.n._meta;
    const swaps = await all((name, i) =>
      on.invoke(room.id, "swap", { v: round * 100 + i, version }, room.agents[name])
    );
    assert.deepEqual(statuses(swaps), { 200: 1, 409: 23 });
  }
  await mustBeGapless(on, room);
  await mustVerify(on, room);
  await on.close();
});

Deno.test("One agent id, many strangers: one gets it", async () => {
  const { on, room } = await world(0);
  const joins = await Promise.all(
    Array.from(
      { length: 30 },
      () => on.call("POST", `/rooms/${room.id}/agents`, { body: { id: "the-one" } }),
    ),
  );
  assert.equal(joins.filter(({ status }) => status === 201).length, 1);
  assert.equal(joins.filter(({ status }) => status === 409).length, 29);
  await mustVerify(on, room);
  await on.close();
});

Deno.test("One room id, many creators: one gets it, and the others' tokens are none", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const made = await Promise.all(
    Array.from({ length: 30 }, () => on.call("POST", "/rooms", { body: { id: "x" } })),
  );
  const winners = made.filter(({ status }) => status === 201);
  assert.equal(winners.length, 1);
  assert.equal(
    made.filter(({ status, body }) => status === 409 && body.error === "room_exists").length,
    29,
  );
  await mustVerify(on, { id: "x", admin: winners[0]!.body.token });
  const rows = await on.service.store.db.all("SELECT count(*) AS n FROM token_grant");
  assert.equal(Number(rows[0]!["n"]), 2, "a loser's tokens stayed behind");
  await on.close();
});

Deno.test("An Idempotency-Key: one record under a race, replayed after a restart, refused for another body", async () => {
  let { on, room } = await world(2);
  const ask = (body: unknown, key = "k1", agent = "a0", action = "inc"): Promise<Reply> =>
    on.call("POST", `/rooms/${room.id}/actions/${action}/invoke`, {
      token: room.agents[agent],
      headers: { "Idempotency-Key": key },
      body,
    });
  const counter = async (): Promise<number> =>
    (await on.call("POST", `/rooms/${room.id}/eval`, {
      token: room.admin,
      body: { expr: "state._shared.n.value" },
    })).body.value;
  const replies = await Promise.all(Array.from({ length: 25 }, () => ask({})));
  assert.deepEqual([...new Set(replies.map(({ text }) => text))], [replies[0]!.text]);
  assert.equal(
    replies.filter(({ headers }) => headers.get("Idempotent-Replayed") === "true").length,
    24,
  );
  assert.equal(await counter(), 1);
  assert.deepEqual([(await ask({ params: { x: 1 } })).status], [422]);
  assert.equal(
    (await ask({}, "k1", "a1")).headers.get("Idempotent-Replayed"),
    null,
    "keys are an agent's own",
  );
  const refused = await ask({ if: "false" }, "k2");
  assert.equal(refused.status, 409);
  assert.equal((await ask({}, "k2")).status, 200, "a refusal is not kept");
  assert.equal((await ask({ dry_run: true }, "k3")).status, 200);
  assert.equal((await ask({}, "k3")).status, 200, "nor is a dry run");
  const before = await counter();
  on = await on.restart();
  const again = await ask({});
  assert.equal(again.headers.get("Idempotent-Replayed"), "true");
  assert.equal(again.text, replies[0]!.text);
  assert.equal((await ask({ params: { x: 1 } })).status, 422);
  assert.equal(await counter(), before);
  for (const key of ["", "x".repeat(256)]) {
    assert.equal((await ask({}, key)).status, 400, `key of ${key.length}`);
  }
  await mustVerify(on, room);
  await on.close();
});

Deno.test("A wait never misses, however it falls between commit and sleep", async () => {
  const { on, room, names } = await world(8);
  const goals = Array.from({ length: 120 }, (_, i) => 1 + i);
  const waits = goals.map(async (goal, i) => {
    for (let n = 0; n < i % 7; n++) await new Promise((resolve) => setImmediate(resolve));
    const condition = encodeURIComponent(`state._shared.n.value >= ${goal}`);
    const path = `/rooms/${room.id}/wait?condition=${condition}&include=state&timeout=20000`;
    return await on.call("GET", path, { token: room.view });
  });
  const writers = names.map(async (name) => {
    for (let i = 0; i < 15; i++) {
      await on.invoke(room.id, "inc", {}, room.agents[name]);
      for (let n = 0; n < i % 3; n++) await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await Promise.all(writers);
  for (const [i, { status, body }] of (await Promise.all(waits)).entries()) {
    assert.equal(status, 200);
    assert.equal(body.triggered, true, `nobody woke who waited for ${goals[i]}`);
    assert.ok(body.state._shared.n.value >= goals[i]!);
  }
  assert.equal(on.service.deps.waits.open, 0);
  await on.close();
});

Deno.test("Following with since: every record is met, none twice", async () => {
  const { on, room, names } = await world(4);
  const start = (await on.service.engine.find(room.id)).room.head;
  const total = 4 * 25;
  const follow = async (): Promise<number[]> => {
    const values: number[] = [];
    for (let since = start; values.at(-1) !== total;) {
      const { body } = await on.call(
        "GET",
        `/rooms/${room.id}/wait?since=${since}&timeout=20000&include=state`,
        { token: room.view },
      );
      assert.equal(body.triggered, true);
      assert.ok(body.seq > since);
      since = body.seq;
      values.push(body.state._shared.n.value);
    }
    return values;
  };
  const followers = Array.from({ length: 5 }, follow);
  await Promise.all(names.map(async (name) => {
    for (let i = 0; i < 25; i++) await on.invoke(room.id, "inc", {}, room.agents[name]);
  }));
  for (const values of await Promise.all(followers)) {
    assert.deepEqual(values, [...values].sort((a, b) => a - b));
    assert.equal(new Set(values).size, values.length);
    assert.equal(values.at(-1), total);
  }
  await on.close();
});

Deno.test("Many rooms at once share groups, and each stays whole", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const rooms = await Promise.all(Array.from({ length: 40 }, () => makeRoom(on, ["alice"])));
  await Promise.all(rooms.map(async (room) => {
    const register = { id: "inc", writes: [{ key: "n", increment: 1 }] };
    await on.invoke(room.id, "_register_action", register, room.admin);
    await Promise.all(
      Array.from({ length: 20 }, () => on.invoke(room.id, "inc", {}, room.agents["alice"])),
    );
  }));
  const { groups, records } = on.service.engine.commits;
  assert.ok(groups < records / 4, `${records} records took ${groups} groups`);
  for (const room of rooms) await mustVerify(on, room);
  await on.close();
});
