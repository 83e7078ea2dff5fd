/** What a commit that came too late is told in passing: records that follow one another, as they stand. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import type { Row } from "../store/db.ts";
import type { Told } from "../store/rows.ts";
import { newsByRoom } from "../store/statements.ts";
import { Store } from "../store.ts";
import { commitAfter } from "./commits.ts";

const LARGE = 20_000;
const ROOMS = ["a", "b", "c"];

/** By room the sizes of the records that others wrote. */
const written = fc.tuple(
  ...ROOMS.map(() => fc.array(fc.constantFrom(5, 300, LARGE), { minLength: 0, maxLength: 12 })),
);

Deno.test("Who lost a race is told of others' records up to the first large one", async () => {
  const server = await openLibsqlServer();
  const store = await Store.open({ url: server.url, instance: "one" });
  let run = 0;
  try {
    await fc.assert(
      fc.asyncProperty(written, async (sizes) => {
        run++;
        const uids = ROOMS.map((room) => `${room}-${run}`);
        const quiet = { onNews: () => undefined, onWanted: () => undefined };
        await store.commit(uids.map((uid) => commitAfter(uid, 0)), quiet);
        for (const [i, uid] of uids.entries()) {
          const told = sizes[i]!.map((size) => ({ params: { text: "x".repeat(size) } }));
          if (told.length > 0) await store.commit([commitAfter(uid, 1, told)], quiet);
        }
        const news = new Map<string, Told>();
        const won = await store.commit(uids.map((uid) => commitAfter(uid, 1, [{}, {}])), {
          ...quiet,
          onNews: (uid, found) => void news.set(uid, found),
        });
        for (const [i, uid] of uids.entries()) {
          const all = sizes[i]!;
          assert.equal(won.get(uid), all.length === 0 ? true : undefined);
          const end = all.indexOf(LARGE);
          const wanted = await store.readLog(uid, { after: 1 });
          const small = end < 0 ? all.length : end;
          if (all.length === 0) assert.equal(news.get(uid), undefined);
          else assert.deepEqual(news.get(uid)!.records, wanted.slice(0, small));
        }
      }),
      { numRuns: 25 },
    );
  } finally {
    store.close();
    await server.dispose();
  }
});

Deno.test("Records that come in any order, and not all of them, are told up to the first that is missing", () => {
  const seqs = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1 });
  fc.assert(fc.property(seqs, (given) => {
    const rows = given.map((seq) =>
      ({
        room: "a",
        seq,
        kind: "invoke",
        body: '{"ts":"","prev":""}',
        idem: null,
      }) as unknown as Row
    );
    const [[, { records }]] = newsByRoom(rows) as [[string, Told]];
    const first = Math.min(...given);
    const told = records.map(({ seq }) => seq);
    assert.deepEqual(told, told.map((_seq, i) => first + i));
    assert.ok(!given.includes(first + told.length));
  }));
});
