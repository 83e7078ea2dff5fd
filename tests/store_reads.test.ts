/** Reads that go together in one round trip are answered each with its own rows. */
import assert from "node:assert/strict";
import { SyncError } from "../errors.ts";
import { Db } from "../store/db.ts";
import { Reads } from "../store/reads.ts";

Deno.test("Many reads at once: each gets its own rows, in few round trips, and later ones come after", async () => {
  const db = await Db.open({ url: ":memory:" });
  let trips = 0;
  const counted: Pick<Db, "snapshot"> = {
    snapshot: (statements) => {
      trips++;
      return db.snapshot(statements);
    },
  };
  const reads = new Reads(counted as Db);
  const ask = async (n: number): Promise<unknown[]> =>
    (await reads.ask({ sql: "SELECT value FROM json_each(:list)", args: { list: listOf(n) } }))
      .map(({ value }) => value);
  const listOf = (n: number): string => JSON.stringify(Array.from({ length: n % 4 }, () => n));
  const answers = await Promise.all(Array.from({ length: 150 }, (_, n) => ask(n)));
  for (const [n, found] of answers.entries()) assert.deepEqual(found, JSON.parse(listOf(n)));
  assert.ok(trips <= 5, `${trips} round trips`);
  db.close();
});

Deno.test("A round trip that fails refuses those who went with it, and nobody else", async () => {
  const db = await Db.open({ url: ":memory:" });
  const reads = new Reads(db);
  const good = { sql: "SELECT 1 AS n", args: {} };
  const first = reads.ask(good);
  const together = [reads.ask({ sql: "SELECT nonsense", args: {} }), reads.ask(good)];
  assert.deepEqual(await first, [{ n: 1 }]);
  for (const one of together) await assert.rejects(one, SyncError);
  assert.deepEqual(await reads.ask(good), [{ n: 1 }]);
  db.close();
});
