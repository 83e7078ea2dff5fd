/** Export, import and the offline proof: what comes in is what went out, and nothing else. */
import { strict as assert } from "node:assert";
import { writeFile } from "node:fs/promises";
import { verifyExport } from "../bin/verify.ts";
import { canonical } from "../canonical.ts";
import { signedText } from "../export.ts";
import { isSignedBy, Signer } from "../signing.ts";
import { insertRecords, notePrepared } from "../store/snapshots.ts";
import { makeRoom, ManualClock, mustVerify, startService, type TestService } from "./harness.ts";
import { Dice, World } from "./memory_world.ts";

async function* bytes(text: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const all = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let i = 0; i < all.length; i += 10_000) yield all.subarray(i, i + 10_000);
}

async function exported(on: TestService, id: string, token: string): Promise<string> {
  const reply = await on.call("GET", `/rooms/${id}/log?format=jsonl`, { token });
  assert.equal(reply.status, 200, reply.text);
  assert.match(reply.headers.get("Content-Type")!, /jsonl/);
  return reply.text;
}

async function world(seed: number, steps: number): Promise<World> {
  const clock = new ManualClock();
  const made = await World.make(await startService({ clock }), clock, seed);
  for (let i = 0; i < steps; i++) await made.step();
  return made;
}

const WHOLE = "elision=none&depth=full&include=_config,_views,_actions";

Deno.test("a room that is exported and imported verifies, replays alike and lives on", async () => {
  const { on, room, get } = Object.assign(await world(21, 150), {});
  const text = await exported(on, room.id, room.admin);
  const found = await verifyExport(bytes(text));
  assert.equal(found.ok, true, JSON.stringify(found));
  const taken = await on.call("POST", "/rooms/import", { body: text });
  assert.deepEqual([taken.status, taken.body.error], [409, "room_exists"]);
  const made = await on.call("POST", "/rooms/import?id=copy", { body: text });
  assert.equal(made.status, 201, made.text);
  const copy = { id: "copy", admin: made.body.token as string };
  await mustVerify(on, copy);
  const head = found["head"] as number;
  for (const seq of [0, 1, head >> 1, head]) {
    const ours = await on.call("GET", `/rooms/copy/replay/${seq}?${WHOLE}`, { token: copy.admin });
    const theirs = await on.call("GET", `/rooms/${room.id}/replay/${seq}?${WHOLE}`, {
      token: room.admin,
    });
    assert.equal(canonical(ours.body), canonical(theirs.body), `record ${seq}`);
  }
  const again = await exported(on, "copy", copy.admin);
  assert.equal((await verifyExport(bytes(again))).ok, true);
  const lines = text.split("\n"), copied = again.split("\n");
  assert.deepEqual(copied.slice(1, 1 + head), lines.slice(1, 1 + head));
  const refused = await on.call("GET", "/rooms/copy/context", { token: room.agents["alice"]! });
  assert.equal(refused.status, 404);
  void get;
  await on.close();
});

Deno.test("a fork's export carries its base, and comes in again", async () => {
  const origin = await world(22, 60);
  const { on, room } = origin;
  const fork = await on.call("POST", `/rooms/${room.id}/fork`, {
    token: room.admin,
    body: { at: 40 },
  });
  const text = await exported(on, fork.body.id, fork.body.token);
  assert.equal((await verifyExport(bytes(text))).ok, true);
  const made = await on.call("POST", "/rooms/import?id=again", { body: text });
  assert.equal(made.status, 201, made.text);
  await mustVerify(on, { id: "again", admin: made.body.token });
  const restarted = await on.restart();
  await mustVerify(restarted, { id: "again", admin: made.body.token });
  await restarted.close();
});

Deno.test("every change of one byte is found", async () => {
  const { on, room } = await world(23, 40);
  const fork = await on.call("POST", `/rooms/${room.id}/fork`, {
    token: room.admin,
    body: { at: 30 },
  });
  await on.invoke(fork.body.id, "set", { key: "phase", value: "later" }, fork.body.token);
  const dice = new Dice(993);
  for (
    const [id, token] of [[room.id, room.admin], [fork.body.id, fork.body.token], [
      room.id,
      room.view,
    ]]
  ) {
    const whole = new TextEncoder().encode(await exported(on, id, token));
    const places = Array.from({ length: 60 }, () => dice.below(whole.length));
    const tail = Array.from({ length: 30 }, () => whole.length - 1 - dice.below(400));
    for (const at of [...places, ...tail, 0, whole.length - 1]) {
      const changed = whole.slice();
      const bit = 1 << dice.below(7);
      changed[at] = changed[at]! ^ bit;
      const found = await verifyExport(bytes(changed));
      assert.equal(found.ok, false, `byte ${at} of ${whole.length} with bit ${bit}`);
    }
    for (const cut of [whole.length - 1, whole.length >> 1, 0]) {
      assert.equal((await verifyExport(bytes(whole.subarray(0, cut)))).ok, false, `cut at ${cut}`);
    }
  }
  await on.close();
});

Deno.test("tampering names the first record that does not fit", async () => {
  const on = await startService();
  const { id, admin } = await makeRoom(on, ["alice"]);
  for (let i = 0; i < 5; i++) await on.invoke(id, "_send_message", { body: `note ${i}` }, admin);
  const text = await exported(on, id, admin);
  const lines = text.split("\n");
  const rows: [string, string[], number][] = [
    ["a value", lines.map((line) => line.replace("note 2", "note 7")), 5],
    ["a record left out", lines.filter((line) => !line.includes("note 1")), 4],
    ["two records swapped", [...lines.slice(0, 3), lines[4]!, lines[3]!, ...lines.slice(5)], 3],
    ["an agent", lines.map((line) => line.replace('"agent":"alice"', '"agent":"mallory"')), 2],
  ];
  for (const [what, changed, seq] of rows) {
    const reply = await on.call("POST", "/rooms/import?id=fake", { body: changed.join("\n") });
    assert.deepEqual(
      [reply.status, reply.body.error, reply.body.seq],
      [400, "export_invalid", seq],
      what,
    );
  }
  assert.equal((await on.call("GET", "/rooms/fake", { token: admin })).status, 404);
  await on.close();
});

Deno.test("a redacted export verifies, tells nothing private and does not come in", async () => {
  const on = await startService();
  const { id, admin, view, agents } = await makeRoom(on, ["alice", "bob"]);
  await on.invoke(id, "_register_action", {
    id: "keep",
    params: { value: {} },
    writes: [{ scope: "${self}", key: "secret", value: "${params.value}" }],
  }, admin);
  await on.invoke(id, "keep", { value: "hunter2" }, agents["alice"]);
  for (const token of [view, agents["bob"]!]) {
    const text = await exported(on, id, token);
    assert.ok(!text.includes("hunter2"));
    const found = await verifyExport(bytes(text));
    assert.deepEqual([found.ok, found["redacted"]], [true, true]);
    const reply = await on.call("POST", "/rooms/import?id=copy", { body: text });
    assert.deepEqual([reply.status, reply.body.error], [400, "export_incomplete"], reply.text);
  }
  assert.ok((await exported(on, id, admin)).includes("hunter2"));
  await on.close();
});

Deno.test("a log of somebody else's making is taken by its form, never by its signature alone", async () => {
  const on = await startService();
  const { id, admin } = await makeRoom(on);
  const text = await exported(on, id, admin);
  const rows: [string, string][] = [
    ["not json", "hello\n"],
    ["too deep", `${"[".repeat(50_000)}${"]".repeat(50_000)}\n`],
    ["no number", '{"format":1e999}\n'],
    ["empty", ""],
    ["another header", '{"format":"other"}\n'],
    ["nothing but a header", text.split("\n")[0]! + "\n"],
    ["more after the head", text + text.split("\n")[1]! + "\n"],
    ["no last newline", text.slice(0, -1)],
    ["another birth", text.replace('"created_at":"2026', '"created_at":"2025')],
    ["a space more in the head", text.replace('{"head"', '{ "head"')],
    [
      "a space more in a record",
      text.replace('{"action"', '{ "action"').replace('{"actor"', '{ "actor"'),
    ],
  ];
  for (const [what, body] of rows) {
    const reply = await on.call("POST", "/rooms/import?id=copy", { body });
    assert.deepEqual([reply.status, reply.body.error], [400, "export_invalid"], what);
  }
  assert.equal((await on.call("POST", "/rooms/import?id=_x", { body: text })).status, 400);
  const closed = await startService({ env: { SYNC_ROOM_CREATION: "token" } });
  assert.equal((await closed.call("POST", "/rooms/import", { body: text })).status, 401);
  await closed.close();
  for (const filter of ["after=1", "limit=5", "kind=join"]) {
    const reply = await on.call("GET", `/rooms/${id}/log?format=jsonl&${filter}`, { token: admin });
    assert.equal(reply.status, 400);
  }
  await on.close();
});

Deno.test("the head is signed with the key that the server's DID document names, also after a restart", async () => {
  let on = await startService();
  const { id, admin } = await makeRoom(on);
  const did = await on.call("GET", "/.well-known/did.json");
  on = await on.restart();
  const { head, signature } = JSON.parse(
    (await exported(on, id, admin)).trim().split("\n").at(-1)!,
  );
  assert.ok(isSignedBy(head.key, signedText(head), signature));
  assert.ok(!isSignedBy(head.key, signedText({ ...head, seq: 2 }), signature));
  const again = await on.call("GET", "/.well-known/did.json");
  assert.deepEqual(again.body, did.body);
  assert.match(did.body.verificationMethod[0].publicKeyMultibase, /^z6Mk/);
  assert.equal((await Signer.load(on.service.store)).publicKey, head.key);
  await on.close();
});

Deno.test("deno task verify checks a file without a server", async () => {
  const on = await startService();
  const { id, admin } = await makeRoom(on, ["alice"]);
  const text = await exported(on, id, admin);
  const folder = await Deno.makeTempDir();
  const run = async (
    content: string,
    ...more: string[]
  ): Promise<{ code: number; found: Record<string, unknown> }> => {
    await writeFile(`${folder}/room.jsonl`, content);
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "bin/verify.ts", `${folder}/room.jsonl`, ...more],
      cwd: new URL("../", import.meta.url),
      stderr: "inherit",
    }).output();
    return { code, found: JSON.parse(new TextDecoder().decode(stdout)) };
  };
  const good = await run(text);
  assert.deepEqual([good.code, good.found["ok"], good.found["records"]], [0, true, 2]);
  const other = await run(text, "--key", "00".repeat(32));
  assert.deepEqual([other.code, other.found["ok"]], [1, false]);
  const bad = await run(text.replace("alice", "alicf"));
  assert.deepEqual([bad.code, bad.found["ok"], bad.found["seq"]], [1, false, 2]);
  await Deno.remove(folder, { recursive: true });
  await on.close();
});

Deno.test("what an import left behind when the server fell is cleared away", async () => {
  const clock = new ManualClock();
  let on = await startService({ clock });
  const { id, admin } = await makeRoom(on, ["alice"]);
  const text = await exported(on, id, admin);
  const refused = await on.call("POST", "/rooms/import?id=half", { body: text.slice(0, -40) });
  assert.equal(refused.status, 400);
  const rows = async (): Promise<number[]> => {
    const { store } = on.service;
    const count = async (sql: string): Promise<number> =>
      (await store.everywhere((db) => db.all(sql))).reduce((sum, row) => sum + Number(row["n"]), 0);
    return [
      await count("SELECT count(*) AS n FROM log"),
      await count("SELECT count(*) AS n FROM prepared"),
    ];
  };
  assert.deepEqual(await rows(), [2, 0]);
  const { store } = on.service;
  await notePrepared(store, "fallen", clock.now());
  await insertRecords(store, "fallen", await store.readLog((await store.findRoom(id))!.uid, {}));
  on = await on.restart();
  assert.deepEqual(await rows(), [4, 1]);
  await clock.advance(90_000_000);
  on = await on.restart();
  assert.deepEqual(await rows(), [2, 0]);
  await on.call("POST", "/rooms/import?id=whole", { body: text });
  await on.call("POST", `/rooms/${id}/fork`, { token: admin, body: {} });
  assert.equal((await rows())[1], 0);
  await on.close();
});
