/** The history of a key, however far the index by key is behind the log. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { MIGRATIONS } from "../schema.ts";
import { Db } from "../store/db.ts";
import { migrate } from "../store/migrate.ts";
import type { RoomCommit } from "../store/rows.ts";
import { Store } from "../store.ts";
import { commitAfter } from "./commits.ts";

const SCOPES = ["_shared", "alice"], KEYS = ["a", "ab", "b", "ä"];

/** What one record writes. */
const writes = fc.array(
  fc.record({ scope: fc.constantFrom(...SCOPES), key: fc.constantFrom(...KEYS) }),
  { maxLength: 3 },
);
type Writes = readonly { readonly scope: string; readonly key: string }[];

/** Groups as they come: few records mostly, sometimes many, sometimes a long time of single ones. */
const groups = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.array(writes, { minLength: 1, maxLength: 7 }) },
    { weight: 2, arbitrary: fc.array(writes, { minLength: 8, maxLength: 90 }) },
  ),
  { minLength: 1, maxLength: 25 },
);

/** Brought up to its end now and then, which is for whoever commits to say. */
function commitOf(
  uid: string,
  base: number,
  group: readonly Writes[],
  folded: number,
): RoomCommit {
  const told = group.map((writes) => writes.length > 0 ? { writes } : {});
  return commitAfter(uid, base, told, {
    isFolded: group.length >= 8 || (base + group.length) % 5 === 0,
    isBehind: folded < base,
  });
}

async function mustAgree(store: Store, uid: string): Promise<void> {
  const all = await store.readLog(uid, {});
  const wrote = (fits: (write: { scope: string; key: string }) => boolean): number[] =>
    all.filter((record) => record.writes?.some(fits)).map(({ seq }) => seq);
  const seqs = async (filter: Parameters<Store["readLog"]>[1]): Promise<number[]> =>
    (await store.readLog(uid, filter)).map(({ seq }) => seq);
  for (const scope of SCOPES) {
    assert.deepEqual(await seqs({ scope }), wrote((w) => w.scope === scope));
    for (const key of KEYS) {
      const found = wrote((w) => w.scope === scope && w.key === key);
      assert.deepEqual(await seqs({ scope, key }), found);
      assert.equal(await store.countLog(uid, { scope, key }), found.length);
      assert.deepEqual(
        await seqs({ scope, prefix: key }),
        wrote((w) => w.scope === scope && w.key.startsWith(key)),
      );
      assert.deepEqual(
        await seqs({ scope, key, newestFirst: true, limit: 2, after: 3 }),
        found.filter((seq) => seq > 3).reverse().slice(0, 2),
      );
    }
  }
}

/** Writes the groups of several rooms, one of each at a time, and compares on the way. */
async function check(store: Store, name: string, ofRooms: readonly (readonly Writes[][])[]) {
  const heads = ofRooms.map(() => 0), folded = ofRooms.map(() => 0);
  for (let at = 0; ofRooms.some((of) => at < of.length); at++) {
    const commits = ofRooms.flatMap((of, room) => {
      const group = of[at];
      if (!group) return [];
      const commit = commitOf(`${name}-${room}`, heads[room]!, group, folded[room]!);
      heads[room] = commit.head;
      if (commit.isFolded) folded[room] = commit.head;
      return [commit];
    });
    const outcome = await store.commit(commits);
    assert.deepEqual(commits.map(({ uid }) => outcome.get(uid)), commits.map(() => true));
    if (at % 8 === 3) await mustAgree(store, `${name}-0`);
  }
  for (let room = 0; room < ofRooms.length; room++) await mustAgree(store, `${name}-${room}`);
}

async function checkAll(store: Store, numRuns: number): Promise<void> {
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(groups, { minLength: 1, maxLength: 3 }),
      async (ofRooms) => await check(store, `run${runs++}`, ofRooms),
    ),
    { numRuns },
  );
}

Deno.test("The history of a key and of a prefix is that of the log, whatever is in the index: a file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-keys-"));
  const url = `file:${join(folder, "a.db")}`;
  const store = await Store.open({ url });
  try {
    await checkAll(store, 25);
    const db = await Db.open({ url });
    const row = await db.first(
      "SELECT count(*) AS n FROM room AS r WHERE folded < head AND folded > 0",
    );
    assert.ok(Number(row!["n"]) > 0, "no room is behind");
    db.close();
  } finally {
    store.close();
    await rm(folder, { recursive: true, force: true });
  }
});

Deno.test("The history of a key and of a prefix is that of the log, whatever is in the index: a server", async () => {
  const server = await openLibsqlServer();
  const store = await Store.open({ url: server.url });
  try {
    await checkAll(store, 5);
  } finally {
    store.close();
    await server.dispose();
  }
});

Deno.test("What was behind in an older database is in the index when the two become one", async () => {
  const db = await Db.open({ url: ":memory:" });
  const until = MIGRATIONS.findIndex(({ name }) => name === "0010_fold_behind");
  const sql = MIGRATIONS.slice(0, until).flatMap(({ statements }) => statements);
  await db.batch([
    { sql: "CREATE TABLE migration (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT", args: {} },
    ...sql.map((sql) => ({ sql, args: {} })),
    ...MIGRATIONS.slice(0, until).map(({ name }) => ({
      sql: "INSERT INTO migration (name, at) VALUES (:name, 1)",
      args: { name },
    })),
    {
      sql: `INSERT INTO room (uid, id, created_at, head, hash, ts, agents, keyed)
        VALUES ('a', 'a', 1, 9, '', 1, 0, 4)`,
      args: {},
    },
    {
      sql: `INSERT INTO log (room, seq, ts, kind, agent, actor, body, nonce, hash)
        SELECT 'a', j.value, 1, 'invoke', 'x', 'y',
          json_object('writes', json_array(json_object('scope', '_shared', 'key', 'k' || j.value))),
          'n', 'h' || j.value
        FROM json_each('[1,2,3,4,5,6,7,8,9]') AS j`,
      args: {},
    },
  ]);
  await migrate(db);
  const rows = await db.all("SELECT key, seq FROM log_key WHERE room = 'a' ORDER BY seq");
  assert.deepEqual(
    rows.map(({ key, seq }) => [key, seq]),
    [5, 6, 7, 8, 9].map((n) => [`k${n}`, n]),
  );
  assert.equal((await db.first("SELECT folded FROM room"))?.["folded"], 9);
  db.close();
});
