/**
 * Backup and restore, as an operator does them: a copy taken by another process beside a server
 * under load, the server killed, the copy served in a new place.
 */
import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, rename, stat } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { backUp, proveCopy } from "../bin/backup.ts";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { type ServerProcess, startServer } from "../proof/server.ts";
import { makeRoom, mustVerify, startService, SYSTEM_CLOCK } from "./harness.ts";
import { inFolder, ROOT } from "./hosts_process.ts";

const ROOMS = ["a", "b", "c"];
const NOTE = { id: "note", writes: [{ key: "${params.k}", value: "${params.k}" }] };

/** A room under load: its token, and the keys whose writes were acknowledged. */
interface Loaded {
  readonly id: string;
  readonly token: string;
  readonly acknowledged: string[];
}

async function makeLoaded(server: ServerProcess, id: string): Promise<Loaded> {
  const made = await server.ask("POST", "/rooms", { body: { id } });
  assert.equal(made.status, 201, made.text);
  const { token } = made.body;
  const body = { params: NOTE };
  const path = `/rooms/${id}/actions/_register_action/invoke`;
  assert.equal((await server.ask("POST", path, { token, body })).status, 201);
  return { id, token, acknowledged: [] };
}

/** Writes to a room until its server is gone. */
async function write(server: ServerProcess, { id, token, acknowledged }: Loaded): Promise<void> {
  for (let i = 0;; i++) {
    const k = `k${i}`;
    try {
      const path = `/rooms/${id}/actions/note/invoke`;
      const { status, text } = await server.ask("POST", path, { token, body: { params: { k } } });
      assert.equal(status, 200, text);
      acknowledged.push(k);
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

/** Runs the task as an operator does. */
async function task(
  args: readonly string[],
  db?: string,
  shards: readonly string[] = [],
): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "backup", ...args],
    cwd: ROOT,
    ...(db === undefined ? {} : { env: { SYNC_DB: db, SYNC_SHARDS: shards.join(",") } }),
  }).output();
  return { code, text: [stdout, stderr].map((part) => new TextDecoder().decode(part)).join("") };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("A copy taken beside a server under load holds all that was acknowledged before, and serves", async () => {
  await inFolder(async (folder) => {
    const [old, place] = [join(folder, "old"), join(folder, "new")];
    for (const path of [old, place]) await mkdir(path);
    const server = await startServer({ folder: old });
    const rooms: Loaded[] = [];
    for (const id of ROOMS) rooms.push(await makeLoaded(server, id));
    const writing = rooms.map((room) => write(server, room));
    await until(() => rooms.every(({ acknowledged }) => acknowledged.length >= 50));
    const before = rooms.map(({ acknowledged }) => [...acknowledged]);
    const copy = join(folder, "copy.db"), db = `file:${join(old, "sync.db")}`;
    const made = await task(["--to", copy], db);
    assert.equal(made.code, 0, made.text);
    const after = rooms.map(({ acknowledged }) => acknowledged.length);
    await until(() => rooms.every(({ acknowledged }, i) => acknowledged.length > after[i]!));
    await server.kill();
    await Promise.all(writing);
    assert.deepEqual((await readdir(folder)).sort(), ["copy.db", "new", "old"]);
    const again = await task(["--to", copy], db);
    assert.equal(again.code, 1);
    assert.match(again.text, /exists already/);
    const proof = await task(["--verify", copy]);
    assert.equal(proof.code, 0, proof.text);
    assert.equal(JSON.parse(proof.text).rooms, ROOMS.length);
    await rename(copy, join(place, "sync.db"));
    const restored = await startServer({ folder: place });
    for (const [i, { id, token }] of rooms.entries()) {
      await mustHold(restored, id, token, before[i]!);
    }
    assert.equal(await restored.stop(), 0);
  });
});

Deno.test("Several databases are copied beside a server under load, proven together, and serve", async () => {
  await inFolder(async (folder) => {
    const [old, place] = [join(folder, "old"), join(folder, "new")];
    for (const path of [old, place]) await mkdir(path);
    const shardsIn = (path: string) => [1, 2].map((i) => `file:${join(path, `sync.db.${i}`)}`);
    const envOf = (path: string) => ({ SYNC_SHARDS: shardsIn(path).join(",") });
    const server = await startServer({ folder: old, env: envOf(old) });
    const rooms: Loaded[] = [];
    for (let i = 0; i < 12; i++) rooms.push(await makeLoaded(server, `room-${i}`));
    const writing = rooms.map((room) => write(server, room));
    await until(() => rooms.every(({ acknowledged }) => acknowledged.length >= 5));
    const before = rooms.map(({ acknowledged }) => [...acknowledged]);
    const copy = join(folder, "copy.db"), copies = [copy, `${copy}.1`, `${copy}.2`];
    const made = await task(["--to", copy], `file:${join(old, "sync.db")}`, shardsIn(old));
    assert.equal(made.code, 0, made.text);
    await server.kill();
    await Promise.all(writing);
    // What the others owe the first database is in their copies until it is in its own.
    const written = await Promise.all(copies.map(async (path) => (await stat(path)).mtimeMs));
    assert.ok(
      written[0]! > Math.max(written[1]!, written[2]!),
      "the first database is not the last copy",
    );
    const proof = await task(["--verify", ...copies]);
    assert.equal(proof.code, 0, proof.text);
    assert.equal(JSON.parse(proof.text).rooms, rooms.length);
    const inOtherOrder = [copies[1]!, copies[0]!, copies[2]!];
    assert.equal((await task(["--verify", ...inOtherOrder])).code, 1);
    for (const [i, file] of copies.entries()) {
      await rename(file, join(place, i === 0 ? "sync.db" : `sync.db.${i}`));
    }
    const restored = await startServer({ folder: place, env: envOf(place) });
    for (const [i, { id, token }] of rooms.entries()) {
      await mustHold(restored, id, token, before[i]!);
    }
    assert.equal(await restored.stop(), 0);
  });
});

/** The room holds together and has these keys, and is written to as before. */
async function mustHold(
  server: ServerProcess,
  id: string,
  token: string,
  keys: readonly string[],
): Promise<void> {
  const verified = await server.ask("GET", `/rooms/${id}/verify`, { token });
  assert.equal(verified.body?.ok, true, verified.text);
  const { body, text } = await server.ask("GET", `/rooms/${id}/context?only=state&limit=1000`, {
    token,
  });
  const found = new Set(Object.keys(body?.state?._shared ?? {}));
  const lost = keys.filter((key) => !found.has(key));
  assert.deepEqual(lost, [], text.slice(0, 200));
  const path = `/rooms/${id}/actions/note/invoke`;
  const written = await server.ask("POST", path, { token, body: { params: { k: "more" } } });
  assert.equal(written.status, 200, written.text);
}

Deno.test("A copy that was changed does not pass: a record, and the file itself", async () => {
  await inFolder(async (folder) => {
    const on = await startService({ folder });
    const room = await makeRoom(on, ["alice"]);
    const file = join(folder, "sync.db"), copy = join(folder, "copy.db");
    await backUp({ url: `file:${file}` }, copy);
    // All of it lies in the log beside the file as yet.
    const { body: { head } } = await on.call("GET", `/rooms/${room.id}`, { token: room.admin });
    assert.deepEqual(await proveCopy([copy]), { ok: true, rooms: 1, records: head, broken: [] });
    const forged = join(folder, "forged.db");
    await copyFile(copy, forged);
    const db = new DatabaseSync(forged);
    db.exec("UPDATE fold SET value = '\"forged\"' WHERE rowid = (SELECT min(rowid) FROM fold)");
    db.close();
    const { ok, broken } = await proveCopy([forged]);
    assert.equal(ok, false);
    assert.equal(broken[0]?.["room"], room.id);
    const torn = join(folder, "torn.db");
    await Deno.writeFile(torn, (await Deno.readFile(copy)).subarray(0, 20_480));
    await assert.rejects(proveCopy([torn]));
    const { code } = await task(["--verify", torn]);
    assert.equal(code, 1);
    await on.close();
  });
});

Deno.test("A libSQL server is copied into a file, private state and full text included, and the file serves", async () => {
  const server = await openLibsqlServer();
  try {
    await inFolder(async (folder) => {
      const remote = await startService({ clock: SYSTEM_CLOCK, env: { SYNC_DB: server.url } });
      const room = await makeRoom(remote, ["alice"]);
      const told = await remote.invoke(
        room.id,
        "_send_message",
        { body: "it's; -- 'quoted'\n€" },
        room.agents["alice"],
      );
      assert.equal(told.status, 201, told.text);
      const copy = join(folder, "sync.db");
      const made = await task(["--to", copy], server.url);
      assert.equal(made.code, 0, made.text);
      await remote.close();
      const local = await startService({ clock: SYSTEM_CLOCK, folder });
      const { text } = await local.call("GET", `/rooms/${room.id}/context`, {
        token: room.agents["alice"],
      });
      assert.match(text, /it's; -- 'quoted'\\n€/);
      await mustVerify(local, room);
      await local.close();
    });
  } finally {
    await server.dispose();
  }
});
