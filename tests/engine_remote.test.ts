/**
 * The same statements over a real libSQL server: two instances of the service share one database.
 * The server comes as a package; without it these tests fail and say so.
 */
import assert from "node:assert/strict";
import { type LibsqlServer, openLibsqlServer } from "../proof/libsql-server.ts";
import {
  makeRoom,
  mustVerify,
  type Reply,
  startService,
  SYSTEM_CLOCK,
  type TestRoom,
  type TestService,
} from "./harness.ts";

async function withServer(test: (remote: LibsqlServer) => Promise<void>): Promise<void> {
  const server = await openLibsqlServer();
  try {
    await test(server);
  } finally {
    await server.dispose();
  }
}

async function instances(url: string, n: number): Promise<TestService[]> {
  const services: TestService[] = [];
  for (let i = 0; i < n; i++) {
    services.push(await startService({ clock: SYSTEM_CLOCK, env: { SYNC_DB: url } }));
  }
  return services;
}

async function countingRoom(on: TestService): Promise<TestRoom> {
  const room = await makeRoom(on, ["alice", "bob"]);
  const register = { id: "inc", writes: [{ key: "n", increment: 1 }] };
  const { status, text } = await on.invoke(room.id, "_register_action", register, room.admin);
  assert.equal(status, 201, text);
  return room;
}

/** Repeats what the service says is safe to repeat. */
async function until200(ask: () => Promise<Reply>): Promise<Reply> {
  for (let i = 0; i < 200; i++) {
    const reply = await ask();
    if (reply.status !== 503) return reply;
    assert.match(reply.headers.get("Retry-After") ?? "", /^\d+$/);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("still 503");
}

Deno.test("Two instances over a libSQL server: exact counts, one log, shared rights", async () => {
  await withServer(async ({ url }) => {
    const services = await instances(url, 2);
    const [one, two] = services as [TestService, TestService];
    const room = await countingRoom(one);
    await Promise.all(Array.from({ length: 8 }, async (_, i) => {
      for (let n = 0; n < 10; n++) {
        const reply = await until200(() =>
          services[i % 2]!.invoke(room.id, "inc", {}, room.agents[i % 2 ? "alice" : "bob"])
        );
        assert.equal(reply.status, 200, reply.text);
      }
    }));
    for (const on of services) {
      const { body } = await on.call("GET", `/rooms/${room.id}/context?only=state`, {
        token: room.view,
      });
      assert.equal(body.state._shared.n.value, 80);
      await mustVerify(on, room);
    }
    const { body: log } = await two.call("GET", `/rooms/${room.id}/log?limit=1000`, {
      token: room.admin,
    });
    assert.deepEqual(
      log.records.map(({ seq }: { seq: number }) => seq),
      log.records.map((_: unknown, i: number) => i + 1),
    );
    const taken = await Promise.all(
      services.map((on) => on.call("POST", "/rooms", { body: { id: "twice" } })),
    );
    assert.deepEqual(taken.map(({ status }) => status).sort(), [201, 409]);
    await one.call("DELETE", `/rooms/${room.id}/agents/alice`, { token: room.admin });
    assert.equal(
      (await two.invoke(room.id, "inc", {}, room.agents["alice"])).status,
      401,
      "revoked at the other instance",
    );
    await one.call("DELETE", `/rooms/${room.id}`, { token: room.admin });
    assert.ok(
      [401, 404].includes(
        (await two.call("GET", `/rooms/${room.id}`, { token: room.admin })).status,
      ),
    );
    for (const on of services) await on.close();
  });
});

Deno.test("An instance's wait is woken by what another writes", async () => {
  await withServer(async ({ url }) => {
    const [one, two] = await instances(url, 2) as [TestService, TestService];
    const room = await countingRoom(one);
    const waiting = two.call(
      "GET",
      `/rooms/${room.id}/wait?condition=state._shared.n.value%3E%3D1&timeout=15000`,
      {
        token: room.view,
      },
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    await until200(() => one.invoke(room.id, "inc", {}, room.agents["alice"]));
    const { status, body, text } = await waiting;
    assert.equal(status, 200, text);
    assert.equal(body.triggered, true, text);
    await one.close();
    await two.close();
  });
});

Deno.test("A database server that is lost and comes back: 503 meanwhile, nothing acknowledged is lost", async () => {
  await withServer(async ({ url, stop, start }) => {
    const [on] = await instances(url, 1) as [TestService];
    const room = await countingRoom(on);
    assert.equal((await on.invoke(room.id, "inc", {}, room.agents["alice"])).status, 200);
    await stop();
    const refused = await on.invoke(room.id, "inc", {}, room.agents["alice"]);
    assert.equal(refused.status, 503, refused.text);
    assert.match(refused.headers.get("Retry-After") ?? "", /^\d+$/);
    assert.equal((await on.call("GET", "/readyz")).status, 503);
    await start();
    const again = await until200(() => on.invoke(room.id, "inc", {}, room.agents["alice"]));
    assert.equal(again.status, 200, again.text);
    assert.equal(again.body.writes[0].value, 2);
    await mustVerify(on, room);
    await on.close();
  });
});

Deno.test("A room of more than a server answers at once: followed, loaded, replayed, exported, copied", async () => {
  const bytes = 240_000, values = 60;
  await withServer(async ({ url }) => {
    const services = await instances(url, 2);
    const [one, two] = services as [TestService, TestService];
    const room = await countingRoom(one);
    const alice = room.agents["alice"];
    const params = { k: { type: "string" }, v: { type: "string" } };
    const put = { id: "put", params, writes: [{ key: "${params.k}", value: "${params.v}" }] };
    await one.invoke(room.id, "_register_action", put, room.admin);
    assert.equal((await two.invoke(room.id, "inc", {}, alice)).status, 200);
    for (let i = 0; i < values; i += 10) {
      await Promise.all(Array.from({ length: 10 }, async (_, j) => {
        const given = { k: `k${i + j}`, v: String.fromCharCode(97 + j).repeat(bytes) };
        const { status, text } = await until200(() => one.invoke(room.id, "put", given, alice));
        assert.equal(status, 200, text.slice(0, 300));
      }));
    }
    const isWhole = async (on: TestService): Promise<void> => {
      const { status, text } = await on.invoke(room.id, "inc", {}, alice);
      assert.equal(status, 200, text.slice(0, 300));
      const path = `/rooms/${room.id}/context?only=state._shared&expand=_shared.k59`;
      const { body } = await on.call("GET", path, { token: alice });
      assert.equal(body.state._shared.k59.value, "j".repeat(bytes));
      await mustVerify(on, room);
    };
    await isWhole(two);
    const { store } = one.service, { uid, head } = (await store.findRoom(room.id))!;
    const seqs: number[] = [];
    for (let pages = 1;; pages++) {
      const { records, isAll } = await store.readNews(uid, seqs.at(-1) ?? 0);
      seqs.push(...records.map(({ seq }) => seq));
      assert.equal(isAll, seqs.length === head);
      if (isAll) break;
      assert.ok(records.length > 0 && pages < values);
    }
    assert.deepEqual(seqs, Array.from({ length: head }, (_, i) => i + 1));
    for (const on of services) await on.close();
    const [later] = await instances(url, 1) as [TestService];
    await isWhole(later);
    const log = await later.call("GET", `/rooms/${room.id}/log?format=jsonl`, {
      token: room.admin,
    });
    assert.ok(log.text.length > 2 * values * bytes);
    for (
      const [path, body] of [["import?id=copy", log.text], [`${room.id}/fork`, { id: "fork" }]]
    ) {
      const made = await later.call("POST", `/rooms/${path as string}`, {
        token: room.admin,
        body,
      });
      assert.equal(made.status, 201, made.text.slice(0, 300));
      await mustVerify(later, { id: made.body.id, admin: made.body.token });
    }
    const at = values + 4;
    const then = await later.call("GET", `/rooms/${room.id}/replay/${at}?only=agents`, {
      token: room.admin,
    });
    assert.equal(then.status, 200, then.text.slice(0, 300));
    // What is kept of a reply does not grow with the room.
    const again = () =>
      later.call("POST", `/rooms/${room.id}/actions/inc/invoke`, {
        token: alice,
        headers: { "Idempotency-Key": "k" },
        body: { context: { elision: "none" } },
      });
    const [first, second] = [await again(), await again()];
    assert.equal(first.status, 200, first.text.slice(0, 300));
    assert.equal(second.headers.get("Idempotent-Replayed"), "true");
    assert.equal(second.body.seq, first.body.seq);
    for (const { text } of [first, second]) assert.ok(text.length > values * bytes);
    await later.close();
  });
});

Deno.test("More rooms than a server takes connections, all asked for at once after a restart", async () => {
  await withServer(async ({ url }) => {
    const [before] = await instances(url, 1) as [TestService];
    const rooms: TestRoom[] = [];
    for (let i = 0; i < 300; i++) rooms.push(await makeRoom(before, ["alice"]));
    await before.close();
    const services = await instances(url, 2);
    const replies = await Promise.all(
      rooms.flatMap(({ id, agents }) =>
        services.map((on) =>
          on.call("GET", `/rooms/${id}/context?only=agents`, { token: agents["alice"] })
        )
      ),
    );
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    for (const on of services) await on.close();
  });
});
