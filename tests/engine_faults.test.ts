/**
 * The engine when the database fails, is slow, or belongs to several processes: nothing half
 * written, nothing acknowledged that is lost, clear refusals, and recovery without a restart.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@libsql/client";
import { readConfig } from "../config.ts";
import { SyncError } from "../errors.ts";
import { createService, type Service } from "../main.ts";
import { type CommitFault, withFailingCommits } from "../proof/hurt-client.ts";
import { type AskServer, MixedLoad, seeded } from "../proof/mixed-load.ts";
import {
  makeRoom,
  mustVerify,
  type Reply,
  send,
  startService,
  SYSTEM_CLOCK,
  type TestService,
  turns,
} from "./harness.ts";

const SEED = 20_261_123;

type Batch = TestService["service"]["store"]["db"]["batch"];

/** Puts something between the store and its database; the answer takes it away again. */
function between(on: TestService, wrap: (batch: Batch) => Batch): () => void {
  const { db } = on.service.store;
  const batch = db.batch.bind(db);
  Object.assign(db, { batch: wrap(batch) });
  return () => Object.assign(db, { batch });
}

const failing: Batch = () =>
  Promise.reject(
    new SyncError("unavailable", "The database cannot be reached or written.", {}, {
      "Retry-After": "2",
    }),
  );

async function counting(agents: readonly string[] = ["alice"]) {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const room = await makeRoom(on, agents);
  await on.invoke(
    room.id,
    "_register_action",
    { id: "inc", writes: [{ key: "n", increment: 1 }] },
    room.admin,
  );
  const inc = (): Promise<Reply> => on.invoke(room.id, "inc", {}, room.agents["alice"]);
  const value = async (): Promise<number> => {
    const { body } = await on.call("GET", `/rooms/${room.id}/context?only=state`, {
      token: room.view,
    });
    return body.state._shared.n?.value ?? 0;
  };
  return { on, room, inc, value };
}

Deno.test("A database that fails: 503 with Retry-After, nothing half written, and on it goes", async () => {
  const { on, room, inc, value } = await counting();
  await inc();
  const mend = between(on, () => failing);
  const refused = await Promise.all(Array.from({ length: 20 }, inc));
  for (const { status, body, headers } of refused) {
    assert.deepEqual([status, body.error], [503, "unavailable"]);
    assert.match(headers.get("Retry-After") ?? "", /^\d+$/);
  }
  assert.equal(await value(), 1, "what was not written is not seen");
  const created = await on.call("POST", "/rooms", { body: { id: "later" } });
  assert.equal(created.status, 503);
  const joined = await on.call("POST", `/rooms/${room.id}/agents`, { body: { id: "later" } });
  assert.equal(joined.status, 503);
  mend();
  assert.equal((await inc()).body.writes[0].value, 2);
  assert.equal((await on.call("POST", "/rooms", { body: { id: "later" } })).status, 201);
  assert.equal(
    (await on.call("POST", `/rooms/${room.id}/agents`, { body: { id: "later" } })).status,
    201,
  );
  await mustVerify(on, room);
  await on.close();
});

Deno.test("A database that fails now and then: what was answered 200 is there, the rest is not", async () => {
  const { on, room, inc, value } = await counting();
  let calls = 0;
  const mend = between(
    on,
    (batch) => (statements) => ++calls % 3 === 0 ? failing([]) : batch(statements),
  );
  let acknowledged = 0;
  await Promise.all(Array.from({ length: 12 }, async () => {
    for (let i = 0; i < 20; i++) if ((await inc()).status === 200) acknowledged++;
  }));
  mend();
  assert.ok(acknowledged > 0 && acknowledged < 240);
  assert.equal(await value(), acknowledged);
  await mustVerify(on, room);
  const after = await on.restart();
  await mustVerify(after, room);
  await after.close();
});

Deno.test("A failing database does not leave a wait behind, nor an agent waiting for ever", async () => {
  const { on, room, inc } = await counting();
  const mend = between(on, () => failing);
  const writing = inc();
  const path = `/rooms/${room.id}/wait?condition=false&timeout=20000`;
  const waiting = on.call("GET", path, { token: room.agents["alice"] });
  assert.equal((await writing).status, 503);
  await turns();
  const { waits } = on.service.deps;
  if (waits.open > 0) waits.close();
  await waiting;
  mend();
  assert.equal(waits.open, 0);
  const { body } = await on.call("GET", `/rooms/${room.id}/context?only=agents`, {
    token: room.view,
  });
  assert.notEqual(body.agents.alice.value.status, "waiting");
  await on.close();
});

Deno.test("An Idempotency-Key survives the failure of its first try", async () => {
  const { on, room, value } = await counting();
  const ask = (): Promise<Reply> =>
    on.call("POST", `/rooms/${room.id}/actions/inc/invoke`, {
      token: room.agents["alice"],
      headers: { "Idempotency-Key": "k" },
      body: {},
    });
  const mend = between(on, () => failing);
  assert.equal((await ask()).status, 503);
  mend();
  assert.equal((await ask()).status, 200);
  assert.equal((await ask()).headers.get("Idempotent-Replayed"), "true");
  assert.equal(await value(), 1);
  await on.close();
});

Deno.test("A slow database: nobody hears of what is not durable, and reads are of one cut", async () => {
  const { on, room, inc } = await counting();
  await inc();
  let isWritten = false;
  const mend = between(on, (batch) => async (statements) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    const rows = await batch(statements);
    isWritten = true;
    return rows;
  });
  const writing = inc();
  await turns(2);
  const replies = await Promise.all([
    writing,
    on.call("GET", `/rooms/${room.id}/context?only=state`, { token: room.view }),
    on.invoke(room.id, "inc", {}, room.agents["alice"], { if: "state._shared.n.value == 1" }),
    on.call("POST", `/rooms/${room.id}/eval`, {
      token: room.view,
      body: { expr: "state._shared.n.value" },
    }),
  ].map(async (reply) => [await reply, isWritten] as const));
  for (const [{ status, body, text }, written] of replies) {
    const isOfOld = status === 200 && (body.value === 1 || body.state?._shared.n.value === 1);
    assert.ok(written || isOfOld, `told before it was durable: ${text}`);
  }
  mend();
  await mustVerify(on, room);
  await on.close();
});

Deno.test("A file whose commit took place although it failed: 503, and the room goes on from there", async () => {
  const { on, room, inc, value } = await counting();
  await inc();
  const waiting = on.call("GET", `/rooms/${room.id}/wait?condition=state._shared.n.value%3E4`, {
    token: room.view,
  });
  while (on.service.deps.waits.open === 0) await turns(1);
  const mend = between(on, (batch) => async (statements) => {
    await batch(statements);
    return await failing([]);
  });
  assert.equal((await inc()).status, 503);
  mend();
  const next = await inc();
  assert.equal(next.status, 200, next.text);
  assert.equal(await value(), 3, "what failed had taken place");
  await mustVerify(on, room);
  await inc();
  await inc();
  const { text } = await waiting;
  assert.match(text, /"triggered":true/, `who waited is told: ${text}`);
  await on.close();
});

type HurtTest = (load: MixedLoad, ask: AskServer, client: Client) => Promise<void>;

/** A service over a file, whose client was opened by somebody else and is hurt. */
async function withClient(hurt: (client: Client) => Client, test: HurtTest): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-hurt-"));
  try {
    await onHurtFile(folder, hurt, test);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function onHurtFile(
  folder: string,
  hurt: (client: Client) => Client,
  test: HurtTest,
): Promise<void> {
  const env: Record<string, string> = { SYNC_LOG: "off", SYNC_DB: `file:${folder}/sync.db` };
  const config = readConfig((name) => env[name]);
  const client = createClient({ url: config.db, concurrency: 1 });
  await client.executeMultiple("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
  const service = await createService({ config, client: hurt(client) });
  const ask: AskServer = (method, path, given = {}) => send(service.fetch, method, path, given);
  const load = await MixedLoad.begin(ask, "x", seeded(SEED));
  await test(load, ask, client);
  await load.check(ask);
  await service.close();
  const again = await createService({ config });
  await load.fresh().check((method, path, given = {}) => send(again.fetch, method, path, given));
  await again.close();
}

async function runUntil(load: MixedLoad, ask: AskServer, isOver: () => boolean): Promise<void> {
  await load.run(ask, 4, isOver);
}

function refusals(load: MixedLoad): number {
  return [...load.refused.values()].reduce((sum, n) => sum + n, 0);
}

Deno.test("fsync errors before and after a commit: what was answered is so, and nothing is done twice", async () => {
  const chance = seeded(SEED);
  let isHurt = false;
  const draw = (): CommitFault => {
    const drawn = chance();
    return !isHurt || drawn > 0.3 ? undefined : drawn > 0.15 ? "before" : "after";
  };
  await withClient((client) => withFailingCommits(client, draw), async (load, ask) => {
    isHurt = true;
    await runUntil(load, ask, () => load.acknowledged.length > 120);
    assert.ok(refusals(load) > 10, "nothing failed");
    isHurt = false;
  });
});

/** What SQLite itself can be told, so that it fails as on such a disk. */
const STATES: readonly (readonly [what: string, hurt: string, mend: string])[] = [
  ["full", "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"],
  ["read-only", "PRAGMA query_only = ON", "PRAGMA query_only = OFF"],
];

for (const [what, hurt, mend] of STATES) {
  Deno.test(`A database that is ${what} for a while: 503 and nothing half written, then on it goes`, async () => {
    await withClient((client) => client, async (load, ask, client) => {
      await runUntil(load, ask, () => load.acknowledged.length > 20);
      await client.execute(hurt);
      await runUntil(load, ask, () => refusals(load) > 10);
      await client.execute(mend);
      const goal = load.acknowledged.length + 20;
      await runUntil(load, ask, () => load.acknowledged.length > goal);
    });
  });
}

Deno.test("A room refused for its content does not take its group with it", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const rooms = await Promise.all(Array.from({ length: 5 }, () => makeRoom(on, ["alice"])));
  const mend = between(on, (batch) => (statements) => {
    if (!JSON.stringify(statements).includes("poison")) return batch(statements);
    const failure = new SyncError("unavailable", "The database cannot be reached or written.");
    failure.cause = Object.assign(new Error("constraint"), { code: "SQLITE_CONSTRAINT" });
    return Promise.reject(failure);
  });
  const replies = await Promise.all(
    rooms.map((room, i) =>
      on.invoke(
        room.id,
        "_send_message",
        { body: i === 2 ? "poison" : "fine" },
        room.agents["alice"],
      )
    ),
  );
  assert.deepEqual(replies.map(({ status }) => status), [201, 201, 503, 201, 201]);
  mend();
  for (const room of rooms) await mustVerify(on, room);
  assert.equal(
    (await on.invoke(rooms[2]!.id, "_send_message", { body: "fine" }, rooms[2]!.agents["alice"]))
      .status,
    201,
  );
  await on.close();
});

Deno.test("Several processes over one database: exact counts, one log, and each sees the others' writes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-shared-"));
  const url = `file:${join(folder, "sync.db")}`;
  const services: Service[] = [];
  for (let i = 0; i < 3; i++) {
    const client = createClient({ url, concurrency: 1, timeout: 250 });
    await client.executeMultiple("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
    const env: Record<string, string> = { SYNC_LOG: "off", SYNC_DB: url };
    services.push(await createService({ config: readConfig((name) => env[name]), client }));
  }
  const call = (
    i: number,
    method: string,
    path: string,
    token: string | undefined,
    body?: unknown,
  ): Promise<Reply> =>
    send(services[i % services.length]!.fetch, method, path, {
      token,
      ...(body === undefined ? {} : { body }),
    });
  const { body: room } = await call(0, "POST", "/rooms", undefined, { id: "x" });
  const register = { params: { id: "inc", writes: [{ key: "n", increment: 1 }] } };
  await call(1, "POST", "/rooms/x/actions/_register_action/invoke", room.token, register);
  const { body: alice } = await call(2, "POST", "/rooms/x/agents", undefined, { id: "alice" });
  const statuses: Record<number, number> = {};
  await Promise.all(Array.from({ length: 9 }, async (_, i) => {
    for (let n = 0; n < 10;) {
      const { status } = await call(i, "POST", "/rooms/x/actions/inc/invoke", alice.token, {});
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === 200) n++;
      else assert.equal(status, 503);
    }
  }));
  assert.equal(statuses[200], 90);
  for (let i = 0; i < services.length; i++) {
    const { body } = await call(i, "GET", "/rooms/x/context?only=state", alice.token);
    assert.equal(body.state._shared.n.value, 90, `process ${i}`);
    const verified = await call(i, "GET", "/rooms/x/verify", room.token);
    assert.equal(verified.body.ok, true, verified.text);
  }
  const left = await call(0, "DELETE", "/rooms/x/agents/alice", room.token);
  assert.equal(left.status, 200);
  for (let i = 0; i < services.length; i++) {
    assert.equal(
      (await call(i, "GET", "/rooms/x/context", alice.token)).status,
      401,
      `process ${i} honours a revoked token`,
    );
  }
  for (const service of services) await service.close();
  await rm(folder, { recursive: true, force: true });
});
