/**
 * Rooms over several databases: where everything is, what happens when one of them is away or two
 * instances write, and what an instance that dies leaves to the others. Over real libSQL servers.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type LibsqlServer, openLibsqlServer } from "../proof/libsql-server.ts";
import { SyncError } from "../errors.ts";
import { FOLLOW_RECORDS, PEER_PAUSE_MS, PEER_TIMEOUT_MS } from "../limits.ts";
import { Store } from "../store.ts";
import { shardOf } from "../store/shards.ts";
import { findGrant, hashSecret } from "../tokens.ts";
import {
  makeRoom,
  makeUser,
  ManualClock,
  mustVerify,
  type Reply,
  startService,
  SYSTEM_CLOCK,
  type TestRoom,
  type TestService,
  turns,
  userToken,
} from "./harness.ts";
import { commitAfter } from "./commits.ts";
import "./seed.ts";

const NAMES = ["amber", "birch", "cedar", "dahlia", "elder", "fern", "ginkgo", "hazel"];
const PEER_TOKEN = "hint-hint-hint-hint";

async function withServers(n: number, test: (servers: LibsqlServer[]) => Promise<void>) {
  const servers = await Promise.all(Array.from({ length: n }, openLibsqlServer));
  try {
    await test(servers);
  } finally {
    await Promise.all(servers.map((server) => server.dispose()));
  }
}

function overServers(
  servers: readonly LibsqlServer[],
  more: Record<string, string> = {},
): Promise<TestService> {
  const [first, ...further] = servers.map(({ url }) => url);
  return startService({
    clock: SYSTEM_CLOCK,
    env: { SYNC_DB: first!, SYNC_SHARDS: further.join(","), ...more },
  });
}

async function countingRoom(on: TestService, id: string): Promise<TestRoom> {
  const room = await makeRoom(on, ["alice"], { id });
  const register = { id: "inc", writes: [{ key: "n", increment: 1 }] };
  const { status, text } = await on.invoke(id, "_register_action", register, room.admin);
  assert.equal(status, 201, text);
  return room;
}

async function until(ask: () => Promise<Reply>, isDone: (reply: Reply) => boolean): Promise<Reply> {
  for (let i = 0; i < 400; i++) {
    const reply = await ask();
    if (isDone(reply)) return reply;
    assert.ok(reply.status === 503, reply.text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it never came");
}

const isOk = ({ status }: Reply): boolean => status === 200;

async function valueOf(on: TestService, { id, view }: TestRoom): Promise<number> {
  const { body } = await on.call("GET", `/rooms/${id}/context?only=state`, { token: view });
  return body.state._shared.n?.value ?? 0;
}

Deno.test("A name's shard never changes, and names spread evenly", () => {
  const known = NAMES.map((name) => shardOf(name, 16));
  assert.deepEqual(known, [12, 13, 5, 12, 14, 14, 5, 4]);
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (name, count) => {
      const shard = shardOf(name, count);
      return Number.isInteger(shard) && shard >= 0 && shard < count && shardOf(name, 1) === 0;
    }),
  );
  const counts = new Array<number>(8).fill(0);
  for (let i = 0; i < 8_000; i++) counts[shardOf(`room-${i}`, 8)]!++;
  for (const count of counts) assert.ok(count > 850 && count < 1_150, counts.join(" "));
});

Deno.test("Over three files: a room, its uid, its tokens and their grants are in one of them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-shards-"));
  const files = ["a", "b", "c"].map((name) => `file:${join(folder, `${name}.db`)}`);
  const on = await startService({
    folder,
    env: { SYNC_DB: files[0]!, SYNC_SHARDS: files.slice(1).join(",") },
  });
  const { store } = on.service;
  const used = new Set<number>();
  for (const id of NAMES) {
    const room = await makeRoom(on, ["alice"], { id });
    const shard = store.shardOf(id);
    used.add(shard);
    const row = (await store.findRoom(id))!;
    assert.equal(store.shardOf(row.uid), shard);
    for (const token of [room.admin, room.view, room.agents["alice"]!]) {
      assert.equal(store.shardOf(hashSecret(token)), shard);
      const { lineage } = await on.service.deps.auth.bySecret(token);
      assert.equal(store.shardOf(lineage[0]!.id), shard);
    }
    const elsewhere = store.shards.filter((_db, i) => i !== shard);
    for (const db of elsewhere) {
      assert.equal((await db.all("SELECT 1 FROM log WHERE room = :u", { u: row.uid })).length, 0);
    }
  }
  assert.equal(used.size, 3);
  await on.close();
  const swapped = { SYNC_DB: files[0]!, SYNC_SHARDS: [files[2], files[1]].join(",") };
  await assert.rejects(
    startService({ folder, env: swapped }),
    (error) => error instanceof SyncError && error.facts["field"] === "SYNC_SHARDS",
  );
  await assert.rejects(
    startService({ folder, env: { SYNC_DB: files[0]!, SYNC_SHARDS: "" } }),
    /place/,
  );
  await rm(folder, { recursive: true });
});

Deno.test("A user's rooms, roles and lists go over all databases; what a room owes the first one is done", async () => {
  const env = (folder: string) => ({
    SYNC_SHARDS: ["b", "c"].map((name) => `file:${join(folder, `${name}.db`)}`).join(","),
  });
  const folder = await mkdtemp(join(tmpdir(), "sync-shards-"));
  const on = await startService({ folder, env: env(folder) });
  const token = await userToken(on, "uma", "create_rooms");
  for (const id of NAMES) {
    assert.equal((await on.call("POST", "/rooms", { token, body: { id } })).status, 201);
  }
  const { body: list } = await on.call("GET", "/rooms?limit=3", { token });
  assert.deepEqual(list.rooms.map(({ id }: { id: string }) => id), [...NAMES].sort().slice(0, 3));
  assert.equal(list.total, NAMES.length);
  const [grant] = (await on.service.deps.auth.bySecret(token)).lineage;
  const { scope } = (await findGrant(on.service.store, grant!.id))!;
  for (const id of NAMES) assert.ok(scope.split(" ").includes(`rooms:${id}`), scope);
  assert.ok(scope.endsWith(" create_rooms"), scope);
  const left = await on.service.store.everywhere((db) => db.all("SELECT id FROM errand"));
  assert.deepEqual(left, []);
  await on.close();
  await rm(folder, { recursive: true });
});

Deno.test("Errands that a crash left behind are run by whoever comes next, once", async () => {
  const clock = new ManualClock();
  const folder = await mkdtemp(join(tmpdir(), "sync-shards-"));
  const env = { SYNC_SHARDS: `file:${join(folder, "b.db")}` };
  const on = await startService({ folder, clock, env });
  const token = await userToken(on, "uma", "create_rooms");
  const { store } = on.service;
  const id = NAMES.find((name) => store.shardOf(name) === 1)!;
  const { batch } = store.db;
  // The first database goes away between the room's commit and its errand.
  store.db.batch = () => Promise.reject(new SyncError("unavailable", "It is away.", {}));
  assert.equal((await on.call("POST", "/rooms", { token, body: { id } })).status, 201);
  store.db.batch = batch;
  const errands = () => store.shards[1]!.all("SELECT id FROM errand");
  assert.equal((await errands()).length, 1);
  assert.equal((await on.call("GET", `/rooms/${id}`, { token })).status, 403, "not widened yet");
  await clock.advance(11_000);
  await turns(50);
  assert.deepEqual(await errands(), []);
  on.service.deps.auth.forget();
  assert.equal((await on.call("GET", `/rooms/${id}`, { token })).status, 200);
  await on.close();
  await rm(folder, { recursive: true });
});

Deno.test("Two instances, two servers: exact counts in every room, whoever writes; rights end everywhere at once", async () => {
  await withServers(2, async (servers) => {
    const [one, two] = [await overServers(servers), await overServers(servers)];
    const rooms = await Promise.all(NAMES.slice(0, 4).map((id) => countingRoom(one, id)));
    assert.equal(new Set(rooms.map(({ id }) => one.service.store.shardOf(id))).size, 2);
    await Promise.all(rooms.flatMap((room) =>
      [one, two].map(async (on) => {
        for (let i = 0; i < 15; i++) {
          await until(() => on.invoke(room.id, "inc", {}, room.agents["alice"]), isOk);
        }
      })
    ));
    for (const room of rooms) {
      for (const on of [one, two]) {
        assert.equal(await valueOf(on, room), 30);
        await mustVerify(on, room);
      }
    }
    const [room] = rooms as [TestRoom];
    await makeUser(one, "uma", { [room.id]: "participant" });
    const token = await userToken(one, "uma", "rooms:*");
    const path = `/rooms/${room.id}/context`;
    for (const on of [one, two]) assert.equal((await on.call("GET", path, { token })).status, 200);
    const stream = await two.service.fetch(
      new Request(`http://localhost:8787/rooms/${room.id}/events`, {
        headers: { Authorization: `Bearer ${token}` },
      }),
    );
    const ended = stream.text();
    const waiting = two.call("GET", `/rooms/${room.id}/wait?condition=false&timeout=20000`, {
      token,
    });
    const { lineage } = await one.service.deps.auth.bySecret(token);
    const gone = await one.call("DELETE", `/tokens/${lineage[0]!.id}`, { token });
    assert.equal(gone.status, 200, gone.text);
    assert.equal((await two.call("GET", path, { token })).status, 401, "at the next request");
    assert.equal((await waiting).status, 401, "an open wait");
    assert.match(await ended, /event: (end|error)/, "an open stream");
    await one.close();
    await two.close();
  });
});

Deno.test("A key of one instance is known at the other, and a deleted room is gone there", async () => {
  await withServers(2, async (servers) => {
    const [one, two] = [await overServers(servers), await overServers(servers)];
    const room = await countingRoom(one, "birch");
    const ask = (on: TestService) =>
      on.call("POST", `/rooms/${room.id}/actions/inc/invoke`, {
        token: room.agents["alice"],
        body: { params: {} },
        headers: { "Idempotency-Key": "once" },
      });
    assert.equal(await valueOf(two, room), 0);
    const first = await ask(one);
    const second = await ask(two);
    assert.equal(second.headers.get("Idempotent-Replayed"), "true");
    assert.deepEqual(second.body, first.body);
    const together = await Promise.all(
      [one, two, one, two].map((on) =>
        on.call("POST", `/rooms/${room.id}/actions/inc/invoke`, {
          token: room.agents["alice"],
          body: { params: {} },
          headers: { "Idempotency-Key": "together" },
        })
      ),
    );
    assert.deepEqual(new Set(together.map(({ body }) => body.seq)).size, 1);
    assert.equal(await valueOf(one, room), 2);
    assert.equal((await one.call("DELETE", "/rooms/birch", { token: room.admin })).status, 200);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const after = await two.call("GET", "/rooms/birch/context", { token: room.view });
    assert.equal(after.status, 401, after.text);
    const again = await makeRoom(two, ["alice"], { id: "birch" });
    assert.equal(await valueOf(one, again), 0, "a new room of that name inherits nothing");
    await one.close();
    await two.close();
  });
});

Deno.test("One server away: its rooms say 503 and go on when it is back; the others never notice", async () => {
  await withServers(2, async (servers) => {
    const on = await overServers(servers);
    const { store } = on.service;
    const here = await countingRoom(on, NAMES.find((name) => store.shardOf(name) === 0)!);
    const there = await countingRoom(on, NAMES.find((name) => store.shardOf(name) === 1)!);
    await servers[1]!.stop();
    const inc = (room: TestRoom): Promise<Reply> =>
      on.invoke(room.id, "inc", {}, room.agents["alice"]);
    const refused = await inc(there);
    assert.equal(refused.status, 503, refused.text);
    assert.match(refused.headers.get("Retry-After") ?? "", /^\d+$/);
    for (let i = 0; i < 5; i++) assert.equal((await inc(here)).status, 200);
    await servers[1]!.start();
    await until(() => inc(there), isOk);
    const value = await valueOf(on, there);
    assert.ok(value === 1 || value === 2, "what was refused in doubt may have happened once");
    await mustVerify(on, there);
    await mustVerify(on, here);
    await on.close();
  });
});

Deno.test("A group that is answered too late is settled by its ticket: written once, or never", async () => {
  await withServers(1, async (servers) => {
    const on = await overServers(servers);
    const room = await countingRoom(on, "cedar");
    const db = on.service.store.of("cedar");
    const batch = db.batch.bind(db);
    const away = new SyncError("unavailable", "The answer was lost.", {});
    const isGroup = (sql: string): boolean => sql.startsWith("INSERT INTO ticket (id, at) VALUES");
    const inc = (): Promise<Reply> => on.invoke(room.id, "inc", {}, room.agents["alice"]);
    // Written, but nobody hears of it.
    db.batch = async (statements) => {
      const rows = await batch(statements);
      if (!statements.some(({ sql }) => isGroup(sql))) return rows;
      db.batch = batch;
      throw away;
    };
    assert.equal((await inc()).status, 200, "it was found to be written");
    assert.equal(await valueOf(on, room), 1);
    // Still on its way when it is given up: it comes too late.
    let late: (() => Promise<unknown>) | undefined;
    db.batch = (statements) => {
      if (!statements.some(({ sql }) => isGroup(sql))) return batch(statements);
      late = () => batch(statements);
      db.batch = batch;
      return Promise.reject(away);
    };
    assert.equal((await inc()).status, 503);
    await assert.rejects(late!(), "what was given up cannot come true");
    assert.equal(await valueOf(on, room), 1);
    assert.equal((await inc()).status, 200);
    assert.equal(await valueOf(on, room), 2);
    // Sent twice by a client that means well.
    db.batch = async (statements) => {
      if (!statements.some(({ sql }) => isGroup(sql))) return await batch(statements);
      db.batch = batch;
      await batch(statements);
      return await batch(statements);
    };
    assert.equal((await inc()).status, 200);
    assert.equal(await valueOf(on, room), 3);
    await mustVerify(on, room);
    await on.close();
  });
});

Deno.test("A room far behind follows in pieces and stands where the others left it", async () => {
  await withServers(1, async (servers) => {
    const [one, two] = [await overServers(servers), await overServers(servers)];
    const room = await countingRoom(one, "elder");
    assert.equal(await valueOf(two, room), 0);
    await Promise.all(
      Array.from(
        { length: FOLLOW_RECORDS + 200 },
        () => until(() => one.invoke(room.id, "inc", {}, room.agents["alice"]), isOk),
      ),
    );
    assert.equal(await valueOf(two, room), FOLLOW_RECORDS + 200);
    await mustVerify(two, room);
    await one.close();
    await two.close();
  });
});

Deno.test("Hints wake at once, only peers may give them, and a peer that is away costs nothing", async () => {
  await withServers(1, async (servers) => {
    const heard: { headers: Headers; body: unknown }[] = [];
    const listening: TestService[] = [];
    const door = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => undefined },
      async (request) => {
        heard.push({ headers: request.headers, body: await request.clone().json() });
        return await listening[0]!.service.fetch(request);
      },
    );
    const gone = "http://127.0.0.1:9";
    const peers = {
      SYNC_PEERS: `http://127.0.0.1:${door.addr.port},${gone}`,
      SYNC_PEER_TOKEN: PEER_TOKEN,
    };
    const one = await overServers(servers, peers);
    // It would look by itself only after a minute.
    const two = await overServers(servers, { SYNC_PEER_TOKEN: PEER_TOKEN, SYNC_POLL_MS: "60000" });
    listening.push(two);
    const room = await countingRoom(one, "fern");
    const waiting = two.call(
      "GET",
      `/rooms/fern/wait?condition=${
        encodeURIComponent("state._shared.n.value >= 1")
      }&timeout=20000`,
      { token: room.view },
    );
    for (let i = 0; i < 100 && two.service.deps.waits.open === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await one.invoke("fern", "inc", {}, room.agents["alice"]);
    const { body } = await waiting;
    assert.equal(body.triggered, true);
    assert.deepEqual(heard.at(-1)!.body, { shards: [0] });
    assert.ok(PEER_TIMEOUT_MS > 0 && PEER_PAUSE_MS > 0);
    const hint = (token: string | undefined, hinted: unknown) =>
      two.call("POST", "/_wake", { token, body: hinted });
    assert.equal((await hint(undefined, { shards: [0] })).status, 404);
    assert.equal((await hint("wrong-wrong-wrong", { shards: [0] })).status, 404);
    for (const bad of [{}, { shards: [1] }, { shards: ["0"] }, { shards: [-1] }, "nonsense"]) {
      assert.equal((await hint(PEER_TOKEN, bad)).status, 400, JSON.stringify(bad));
    }
    assert.equal((await hint(PEER_TOKEN, { shards: [0] })).status, 202);
    await one.close();
    await two.close();
    await door.shutdown();
  });
});

Deno.test("An agent's status and what it has read are known at the other instance by and by", async () => {
  await withServers(1, async (servers) => {
    const [one, two] = [await overServers(servers), await overServers(servers)];
    const room = await makeRoom(one, ["alice", "bob"], { id: "fern" });
    const of = async (on: TestService) => {
      const { body } = await on.call("GET", "/rooms/fern/context?only=agents&peek=true", {
        token: room.view,
      });
      return body.agents.alice.value;
    };
    assert.equal((await of(two)).status, "active");
    const set = await one.invoke("fern", "_set_status", { status: "busy" }, room.agents["alice"]);
    assert.equal(set.status, 200, set.text);
    // What it has not written yet it writes when it stops.
    await one.close();
    assert.equal((await of(two)).status, "busy");
    await two.close();
  });
});

Deno.test("One room from both instances at once: those who lose a race get their turn, nobody is refused", async () => {
  await withServers(1, async (servers) => {
    const both = [await overServers(servers), await overServers(servers)];
    const room = await countingRoom(both[0]!, "hazel");
    const replies = await Promise.all(Array.from({ length: 32 }, async (_, i) => {
      const statuses: number[] = [];
      for (let n = 0; n < 12; n++) {
        const { status } = await both[i % 2]!.invoke("hazel", "inc", {}, room.agents["alice"]);
        statuses.push(status);
      }
      return statuses;
    }));
    assert.deepEqual(new Set(replies.flat()), new Set([200]));
    for (const on of both) {
      assert.equal(await valueOf(on, room), 32 * 12);
      await mustVerify(on, room);
      await on.close();
    }
  });
});

Deno.test("One server away: who waits in rooms of another is woken by what other instances write", async () => {
  await withServers(2, async (servers) => {
    const [one, two] = [await overServers(servers), await overServers(servers)];
    const { store } = one.service;
    const here = await countingRoom(one, NAMES.find((name) => store.shardOf(name) === 0)!);
    const there = await countingRoom(one, NAMES.find((name) => store.shardOf(name) === 1)!);
    const wait = (room: TestRoom, condition: string, ms: number): Promise<Reply> =>
      two.call(
        "GET",
        `/rooms/${room.id}/wait?condition=${encodeURIComponent(condition)}&timeout=${ms}`,
        { token: room.view },
      );
    const isCounted = "state._shared.n.value >= 1";
    const [woken, kept] = [wait(here, isCounted, 50_000), wait(there, isCounted, 50_000)];
    const control = wait(here, "false", 4_000);
    while (two.service.deps.waits.open < 3) await new Promise((resolve) => setTimeout(resolve, 10));
    await servers[1]!.stop();
    // Long enough for looks at the one that is gone to fail.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal((await one.invoke(here.id, "inc", {}, here.agents["alice"])).status, 200);
    const first = await Promise.race([woken, control]);
    assert.equal(first.body.triggered, true, first.text);
    await servers[1]!.start();
    await until(() => one.invoke(there.id, "inc", {}, there.agents["alice"]), isOk);
    assert.equal((await kept).body.triggered, true);
    await control;
    await one.close();
    await two.close();
  });
});

Deno.test("Who lost a race for a room has the next turn: the winner's second group waits for it", async () => {
  await withServers(1, async ([server]) => {
    const clock = new ManualClock();
    const on = await startService({ clock, env: { SYNC_DB: server!.url } });
    const { id, agents } = await countingRoom(on, "amber");
    const { uid } = (await on.service.store.findRoom(id))!;
    const inc = () => on.invoke(id, "inc", {}, agents["alice"]);
    assert.equal((await inc()).status, 200);
    const other = await Store.open({ url: server!.url, instance: "other" });
    const race = { onNews: () => undefined, onWanted: () => undefined };
    assert.equal((await other.commit([commitAfter(uid, 1)], race)).size, 0, "it was not behind");
    assert.equal((await inc()).status, 200);
    let isAnswered = false;
    const next = inc().finally(() => isAnswered = true);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(isAnswered, false, "the other one had no turn");
    await clock.advance(1_000);
    assert.equal((await next).status, 200);
    assert.equal((await inc()).status, 200, "and only one");
    other.close();
    await on.close();
  });
});
