/** Reads of many rooms over one libSQL server: sent together, answered apart. */
import assert from "node:assert/strict";
import { createClient } from "@libsql/client/web";
import { SyncError } from "../errors.ts";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { Db, type Statement } from "../store/db.ts";
import { Reads } from "../store/reads.ts";

const numbered = (n: number): Statement => ({ sql: "SELECT :n AS n", args: { n } });

Deno.test("what is asked while a read is under way goes with the next, and each gets its own rows", async () => {
  const server = await openLibsqlServer();
  const client = createClient({ url: server.url });
  let trips = 0;
  const batch = client.batch.bind(client);
  client.batch = (statements, mode) => {
    trips++;
    return batch(statements, mode);
  };
  const db = await Db.open({ url: server.url, client });
  try {
    const reads = new Reads(db);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => reads.ask(numbered(n))),
    );
    assert.deepEqual(answers.map(([row]) => Number(row!["n"])), [...Array(100).keys()]);
    assert.equal(trips, 3, "the first alone, then 64, then the rest");
    await server.stop();
    const lost = await Promise.allSettled([1, 2, 3].map((n) => reads.ask(numbered(n))));
    assert.deepEqual(lost.map(({ status }) => status), ["rejected", "rejected", "rejected"]);
    await server.start();
    const [row] = await reads.ask(numbered(7));
    assert.equal(Number(row!["n"]), 7);
  } finally {
    db.close();
    await server.dispose();
  }
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
