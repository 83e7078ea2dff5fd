/** What a group of commits answers on a file: which rooms were written, and when that is not known. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SyncError } from "../errors.ts";
import { Store } from "../store.ts";
import { commitAfter } from "./commits.ts";

async function withStore(run: (store: Store) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-commit-"));
  const store = await Store.open({ url: `file:${join(folder, "a.db")}` });
  try {
    await run(store);
  } finally {
    store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

Deno.test("Of a group in which one room stands elsewhere the others are written, and only they", async () => {
  await withStore(async (store) => {
    const both = await store.commit([commitAfter("a", 0), commitAfter("b", 0)]);
    assert.deepEqual([...both], [["a", true], ["b", true]]);
    const outcome = await store.commit([commitAfter("a", 1), commitAfter("b", 7)]);
    assert.deepEqual([...outcome], [["a", true]]);
    assert.equal((await store.findRoom("a"))?.head, 2);
    assert.equal((await store.findRoom("b"))?.head, 1);
    assert.equal(await store.countLog("b", {}), 1);
  });
});

Deno.test("When nobody can say which rooms of a group were written, that is what is said", async () => {
  await withStore(async (store) => {
    await store.commit([commitAfter("a", 0), commitAfter("b", 0)]);
    store.db.all = () => Promise.reject(new SyncError("unavailable", "It is away.", {}));
    const outcome = await store.commit([commitAfter("a", 1), commitAfter("b", 7)]);
    for (const uid of ["a", "b"]) {
      const error = outcome.get(uid);
      assert.ok(error instanceof SyncError);
      assert.equal(error.code, "outcome_unknown");
    }
  });
});
