/** An actor's records over several databases, page by page: each once, in order, however large. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { recordsOfActor } from "../store/actors.ts";
import type { RoomCommit } from "../store/rows.ts";
import { Store } from "../store.ts";
import type { LogRecord } from "../types.ts";

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

function commitOf(uid: string, base: number, { ts, size }: Made): RoomCommit {
  const seq = base + 1;
  const record = {
    seq,
    ts: new Date(ts).toISOString(),
    kind: "invoke",
    agent: "a",
    actor: ACTOR,
    prev: "",
    nonce: "n",
    params: { text: "x".repeat(size) },
    hash: `${uid}-${seq}`,
  } as unknown as LogRecord;
  const created = { id: uid, createdAt: 1, base: null, forkedFrom: null };
  return {
    uid,
    base,
    head: seq,
    hash: record.hash,
    ts,
    label: null,
    meta: null,
    agents: 0,
    rows: [{ record, ts }],
    isFolded: true,
    isBehind: false,
    entries: [],
    gone: [],
    side: [],
    ...(base === 0 ? { created } : {}),
  };
}

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
          await store.commit([commitOf(uid, base, one)]);
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
