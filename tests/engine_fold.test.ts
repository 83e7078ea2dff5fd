/** The fold's rows may be behind the log: never by much, always whole, and nothing is lost by it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { firstDifference } from "../audit.ts";
import { hotFromRows } from "../engine/rows.ts";
import { roomAt } from "../replay.ts";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import {
  makeRoom,
  mustVerify,
  startService,
  SYSTEM_CLOCK,
  type TestRoom,
  type TestService,
} from "./harness.ts";

/** Records that the rows are behind at most. */
const BEHIND_MAX = 64;
/** Of 256 KiB of values, each as a parameter and as what is written. */
const UNFOLDED_CHARS_MAX = 700_000;

const NOT_INDEXED = `SELECT l.seq FROM log AS l JOIN json_each(l.body, '$.writes') AS w
  WHERE l.room = :room AND l.seq <= :folded AND NOT EXISTS (SELECT 1 FROM log_key AS k
    WHERE k.room = l.room AND k.scope = w.value->>'scope' AND k.key = w.value->>'key'
      AND k.seq = l.seq)`;

/** The rows are what the log had come to at the record that they name, not far behind its end. */
async function mustBeWhole({ service: { store } }: TestService, { id }: TestRoom): Promise<number> {
  const loaded = await store.loadRoom((await store.findRoom(id))!, 0);
  const { head, folded } = loaded.row;
  assert.ok(head - folded < BEHIND_MAX, `${head - folded} behind`);
  assert.ok(JSON.stringify(loaded.unfolded).length < UNFOLDED_CHARS_MAX);
  assert.deepEqual(
    loaded.unfolded.map(({ seq }) => seq),
    Array.from({ length: head - folded }, (_, i) => folded + i + 1),
  );
  const rows = hotFromRows({ ...loaded, unfolded: [] }, 0).room;
  assert.equal(firstDifference(rows, await roomAt(store, rows, folded)), undefined);
  assert.deepEqual(await store.of(rows.uid).all(NOT_INDEXED, { room: rows.uid, folded }), []);
  return head - folded;
}

async function uidOf({ service: { store } }: TestService, { id }: TestRoom): Promise<string> {
  return (await store.findRoom(id))!.uid;
}

const ACTIONS = [
  {
    id: "set",
    params: { k: { type: "string" } },
    writes: [{ key: "${params.k}", value: "${now}" }],
  },
  {
    id: "add",
    params: { k: { type: "string" } },
    writes: [{ key: "n-${params.k}", increment: 1 }],
  },
  {
    id: "push",
    params: { k: { type: "string" } },
    writes: [{ key: "l-${params.k}", append: true, value: "${seq}" }],
  },
  {
    id: "big",
    params: { k: { type: "string" }, v: { type: "string" } },
    writes: [{ key: "b-${params.k}", value: "${params.v}" }],
  },
  { id: "drop", params: { k: { type: "string" } }, writes: [{ key: "${params.k}", delete: true }] },
  {
    id: "tick",
    params: { k: { type: "string" } },
    writes: [{
      key: "t-${params.k}",
      value: 1,
      timer: { ticks: 3, tick_on: "_shared.n-${params.k}", effect: "delete" },
    }],
  },
];

const LARGE = "x".repeat(60_000);

async function openRoom(on: TestService): Promise<TestRoom> {
  const room = await makeRoom(on, ["alice"]);
  for (const action of ACTIONS) {
    const { status, text } = await on.invoke(room.id, "_register_action", action, room.admin);
    assert.equal(status, 201, text);
  }
  return room;
}

const what = fc.constantFrom("set", "add", "push", "drop", "tick");
const some = fc.constantFrom("a", "b", "c");
const one = fc.record({ what, k: some });
const deed = fc.oneof(
  { weight: 4, arbitrary: fc.record({ one, times: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ one, times: fc.integer({ min: 20, max: 70 }) }) },
  { weight: 2, arbitrary: fc.record({ together: fc.array(one, { minLength: 2, maxLength: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ distinct: fc.constantFrom(5, 90) }) },
  { weight: 1, arbitrary: fc.record({ large: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.constant({ joins: true }) },
  { weight: 1, arbitrary: fc.constant({ isNext: true }) },
);
type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

/** Does it. */
async function carryOut(on: TestService, room: TestRoom, deed: Deed, count: number): Promise<void> {
  const invoke = async ({ what, ...params }: { what: string; [name: string]: string }) => {
    const { status, text } = await on.invoke(room.id, what, params, room.agents["alice"]);
    assert.equal(status, 200, text);
  };
  if ("together" in deed) await Promise.all(deed.together.map(invoke));
  else if ("distinct" in deed) {
    const keys = Array.from({ length: deed.distinct }, (_, i) => `k-${count}-${i}`);
    await Promise.all(keys.map((k) => invoke({ what: "set", k })));
  } else if ("times" in deed) { for (let i = 0; i < deed.times; i++) await invoke(deed.one); }
  else if ("large" in deed) {
    for (let i = 0; i < deed.large; i++) await invoke({ what: "big", k: `${i}`, v: LARGE });
  } else if ("joins" in deed) {
    const path = `/rooms/${room.id}/agents`;
    await on.call("POST", path, { token: room.admin, body: { id: `agent-${count}` } });
    assert.equal(await mustBeWhole(on, room), 0);
  }
}

Deno.test("The fold's rows follow the log, whatever comes, and a restart finds all of it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { minLength: 4, maxLength: 14 }), async (deeds) => {
      let on = await startService();
      const room = await openRoom(on);
      for (const [i, one] of deeds.entries()) {
        if ("isNext" in one) on = await on.restart();
        else await carryOut(on, room, one, i);
        await mustBeWhole(on, room);
      }
      await mustVerify(on, room);
      on = await on.restart();
      await mustVerify(on, room);
      await on.close();
    }),
    { numRuns: 12 },
  );
});

const single = (k: "a" | "b" | "c", times: number): Deed => ({ one: { what: "add", k }, times });
const isNext: Deed = { isNext: true };
/** What chance would rarely bring: a room handed over with rows nearly as far behind as may be. */
const HANDED_OVER: readonly (readonly Deed[])[] = [
  [single("a", 60), isNext, single("b", 60), isNext, single("c", 60)],
  [{ large: 12 }, isNext, { large: 3 }, isNext, { large: 3 }],
  [
    ...Array.from({ length: 5 }, (): Deed => ({ distinct: 90 })),
    ...[single("a", 5), isNext, single("b", 70)],
  ],
];

Deno.test("Two instances write the fold's rows of one room, each what the other has left", async () => {
  const server = await openLibsqlServer();
  try {
    const options = { clock: SYSTEM_CLOCK, env: { SYNC_DB: server.url, SYNC_SHARDS: "" } };
    const services = [await startService(options), await startService(options)] as const;
    const check = async (deeds: readonly Deed[]): Promise<void> => {
      let at: 0 | 1 = 0;
      const room = await openRoom(services[at]);
      // Both have it in memory from the beginning.
      await mustVerify(services[1], room);
      for (const [i, one] of deeds.entries()) {
        if ("isNext" in one) at = at === 0 ? 1 : 0;
        else await carryOut(services[at], room, one, i);
        await mustBeWhole(services[at], room);
      }
      for (const on of services) await mustVerify(on, room);
    };
    for (const deeds of HANDED_OVER) await check(deeds);
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { minLength: 4, maxLength: 10 }), check),
      { numRuns: 8 },
    );
    for (const on of services) await on.close();
  } finally {
    await server.dispose();
  }
});

Deno.test("What goes from a room's log has come to the fold's rows before", async () => {
  let on = await startService({ clock: SYSTEM_CLOCK });
  const room = await openRoom(on);
  const configured = await on.invoke(
    room.id,
    "_configure",
    { key: "retention", value: { records: 10 } },
    room.admin,
  );
  assert.equal(configured.status, 200, configured.text);
  for (let i = 0; i < 40; i++) {
    await on.invoke(room.id, "add", { k: `${i % 3}` }, room.agents["alice"]);
  }
  await on.service.deps.memory.retention.idle();
  assert.equal((await on.service.store.readLog(await uidOf(on, room), { upTo: 20 })).length, 0);
  await mustVerify(on, room);
  on = await on.restart();
  await mustVerify(on, room);
  await on.close();
});
