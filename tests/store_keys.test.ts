/** The history of a key, however far the index by key is behind the log. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { Db } from "../store/db.ts";
import type { RoomCommit } from "../store/rows.ts";
import { Store } from "../store.ts";
import type { LogRecord } from "../types.ts";

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

function commitOf(uid: string, base: number, group: readonly Writes[]): RoomCommit {
  const rows = group.map((of, i) => ({
    ts: 1,
    record: {
      seq: base + i + 1,
      ts: "2026-01-01T00:00:00.000Z",
      kind: "invoke",
      agent: "alice",
      actor: "did:sync:user:a",
      prev: "",
      nonce: "n",
      hash: `${uid}-${base + i + 1}`,
      ...(of.length > 0 ? { writes: of.map((write) => ({ ...write, op: "set", value: 1 })) } : {}),
    } as unknown as LogRecord,
  }));
  const last = rows.at(-1)!.record;
  return {
    uid,
    base,
    head: last.seq,
    hash: last.hash,
    ts: 1,
    label: null,
    meta: null,
    agents: 0,
    rows,
    isFolded: true,
    entries: [],
    gone: [],
    side: [],
    ...(base === 0 ? { created: { id: uid, createdAt: 1, base: null, forkedFrom: null } } : {}),
  };
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
  const heads = ofRooms.map(() => 0);
  for (let at = 0; ofRooms.some((of) => at < of.length); at++) {
    const commits = ofRooms.flatMap((of, room) => {
      const group = of[at];
      if (!group) return [];
      const commit = commitOf(`${name}-${room}`, heads[room]!, group);
      heads[room] = commit.head;
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
    const [row] = await db.all("SELECT max(head - keyed) AS most, min(keyed) AS least FROM room");
    // 64 records are let be, and then what two groups bring of fewer than eight each.
    assert.ok(Number(row!["most"]) < 64 + 16, `${row!["most"]} records are in no index`);
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
