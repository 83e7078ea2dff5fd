/** An actor's records over several databases, page by page: each once, in order, however large. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { recordsOfActor } from "../store/actors.ts";
import { Store } from "../store.ts";
import { commitAfter } from "./commits.ts";

const ACTOR = "did:sync:agent:a";
const SHARDS = 3;

interface Made {
  readonly room: number;
  readonly ts: number;
  readonly size: number;
}

/** Records of a few instants, some of them too large for others to be beside them. */
const made = fc.array(
  fc.record({
    room: fc.nat(5),
    ts: fc.nat(20),
    size: fc.oneof(
      { weight: 1, arbitrary: fc.constant(10) },
      { weight: 1, arbitrary: fc.integer({ min: 500_000, max: 2_500_000 }) },
    ),
  }),
  { minLength: 1, maxLength: 40 },
);

Deno.test("An actor's records in rooms of several databases come once each, by instant, in pages that fit", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-timeline-"));
  const files = Array.from({ length: SHARDS }, (_, i) => `file:${join(folder, `${i}.db`)}`);
  const store = await Store.open({ url: files[0]!, shards: files.slice(1) });
  let run = 0;
  try {
    await fc.assert(
      fc.asyncProperty(made, fc.integer({ min: 1, max: 30 }), async (all, limit) => {
        run++;
        const heads = new Map<string, number>();
        const wanted: [number, string, number][] = [];
        for (const one of all) {
          const uid = `run-${run}-${one.room}`, base = heads.get(uid) ?? 0;
          const told = { actor: ACTOR, params: { text: "x".repeat(one.size) } };
          await store.commit([commitAfter(uid, base, [told], { ts: one.ts })]);
          heads.set(uid, base + 1);
          wanted.push([one.ts, uid, base + 1]);
        }
        wanted.sort(([a, room, seq], [b, other, then]) =>
          a - b || (room === other ? seq - then : room < other ? -1 : 1)
        );
        const found: [number, string, number][] = [];
        for (let after = { ts: -1, room: "", seq: 0 }, isMore = true; isMore;) {
          const page = await recordsOfActor(store, ACTOR, [...heads.keys()], after, limit);
          assert.ok(page.records.length > 0 && page.records.length <= limit);
          for (const { ts, room, record } of page.records) found.push([ts, room, record.seq]);
          const last = page.records.at(-1)!;
          after = { ts: last.ts, room: last.room, seq: last.record.seq };
          isMore = page.isMore;
        }
        assert.deepEqual(found, wanted);
      }),
      { numRuns: 20 },
    );
  } finally {
    store.close();
    await rm(folder, { recursive: true, force: true });
  }
});
