/** Retention: a log that begins with a signed snapshot, and says so. */
import { strict as assert } from "node:assert";
import { canonical } from "../canonical.ts";
import { verifyExport } from "../bin/verify.ts";
import {
  makeRoom,
  ManualClock,
  mustVerify,
  startService,
  type TestService,
  turns,
} from "./harness.ts";
import { World } from "./memory_world.ts";

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

async function settled(on: TestService): Promise<void> {
  await turns(20);
  await on.service.deps.memory.retention.idle();
}

const WHOLE = "elision=none&depth=full&include=_config,_agents,_views,_actions";

Deno.test("a log is cut to what its room keeps, and says from where it can speak", async () => {
  const clock = new ManualClock();
  let on = await startService({ clock });
  const world = await World.make(on, clock, 51);
  const { id, admin, view } = world.room;
  for (let i = 0; i < 60; i++) await world.step();
  const before = (await world.get("")).body.head as number;
  const then = await world.get(`/replay/${before}?${WHOLE}`);
  const kept = await world.invoke(
    "_configure",
    { key: "retention", value: { records: 50 } },
    "admin",
  );
  assert.equal(kept.status, 200, kept.text);
  for (let i = 0; i < 150; i++) await world.step();
  await settled(on);
  await mustVerify(on, world.room);
  const proof = (await world.get("/verify", view)).body;
  assert.ok(
    proof.base.seq > before && proof.records >= 50 && proof.records < 150,
    JSON.stringify(proof),
  );
  assert.equal(proof.base.salt, undefined);
  const gone = await world.get(`/replay/${before}`);
  assert.deepEqual([gone.status, gone.body.first], [404, proof.base.seq]);
  assert.equal((await world.get(`/replay/${proof.base.seq}`)).status, 200);
  assert.equal((await world.get(`/diff?from=${before}`)).status, 404);
  const log = (await world.get("/log?limit=1")).body;
  assert.deepEqual([log.records[0].seq, log.base.seq], [proof.base.seq + 1, proof.base.seq]);
  on = world.on = await on.restart();
  await mustVerify(on, world.room);
  for (let i = 0; i < 120; i++) await world.step();
  await settled(on);
  await mustVerify(on, world.room);
  const again = (await world.get("/verify")).body;
  assert.ok(again.base.seq > proof.base.seq);
  const parts = await on.service.store.db.all("SELECT min(seq) AS first FROM log");
  assert.equal(Number(parts[0]!["first"]), again.base.seq + 1);
  void [then, id, admin];
  await on.close();
});

Deno.test("a cut log can be exported, checked, imported and forked like any other", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const world = await World.make(on, clock, 52);
  await world.invoke("_configure", { key: "retention", value: { records: 20 } }, "admin");
  for (let i = 0; i < 100; i++) await world.step();
  await settled(on);
  const base = (await world.get("/verify")).body.base.seq as number;
  assert.ok(base > 0);
  const text = (await world.get("/log?format=jsonl")).text;
  const found = await verifyExport(bytes(text));
  assert.equal(found.ok, true, JSON.stringify(found));
  const forged = text.replace(
    /"signature":"(.)/,
    (_all, digit) => `"signature":"${digit === "0" ? "1" : "0"}`,
  );
  const refused = await verifyExport(bytes(forged));
  assert.deepEqual([refused.ok, refused["seq"]], [false, base], JSON.stringify(refused));
  const made = await on.call("POST", "/rooms/import?id=copy", { body: text });
  assert.equal(made.status, 201, made.text);
  await mustVerify(on, { id: "copy", admin: made.body.token });
  const fork = await on.call("POST", `/rooms/${world.room.id}/fork`, {
    token: world.room.admin,
    body: { at: base + 3, id: "branch" },
  });
  assert.equal(fork.status, 201, fork.text);
  const ours = await on.call("GET", `/rooms/branch/replay/${base + 3}?${WHOLE}`, {
    token: fork.body.token,
  });
  const theirs = await world.get(`/replay/${base + 3}?${WHOLE}`);
  assert.equal(canonical(ours.body), canonical(theirs.body));
  await mustVerify(on, { id: "branch", admin: fork.body.token });
  await on.close();
});

Deno.test("by age: what is older goes; keys of requests that may be repeated stay", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const { id, admin } = await makeRoom(on);
  const say = (body: string, key?: string) =>
    on.call("POST", `/rooms/${id}/actions/_send_message/invoke`, {
      token: admin,
      body: { params: { body } },
      ...(key === undefined ? {} : { headers: { "Idempotency-Key": key } }),
    });
  await on.invoke(id, "_configure", { key: "retention", value: { ms: 3_600_000 } }, admin);
  for (let i = 0; i < 20; i++) await say(`old ${i}`);
  const once = await say("once", "k1");
  for (let i = 0; i < 20; i++) await say(`middle ${i}`);
  await clock.advance(7_200_000);
  await say("now");
  await settled(on);
  const { body } = await on.call("GET", `/rooms/${id}/verify`, { token: admin });
  assert.equal(body.base.seq, once.body.seq - 1);
  const again = await say("once", "k1");
  assert.equal(again.headers.get("Idempotent-Replayed"), "true");
  assert.deepEqual(again.body, once.body);
  await clock.advance(86_400_000);
  await say("tomorrow");
  await settled(on);
  const later = await on.call("GET", `/rooms/${id}/verify`, { token: admin });
  assert.ok(later.body.ok && later.body.base.seq > once.body.seq + 20);
  await on.close();
});

Deno.test("a policy that makes no sense is refused; without one everything stays", async () => {
  const on = await startService();
  const { id, admin } = await makeRoom(on);
  for (
    const value of [{}, { records: 1 }, { ms: 5 }, { records: "all" }, 5, { records: 100, more: 1 }]
  ) {
    const reply = await on.invoke(id, "_configure", { key: "retention", value }, admin);
    assert.deepEqual(
      [reply.status, reply.body.error],
      [400, "invalid_argument"],
      JSON.stringify(value),
    );
  }
  for (let i = 0; i < 60; i++) await on.invoke(id, "_send_message", { body: i }, admin);
  await settled(on);
  assert.equal((await on.call("GET", `/rooms/${id}/verify`, { token: admin })).body.base, null);
  await on.close();
});
