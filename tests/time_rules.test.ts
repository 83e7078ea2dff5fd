/** What keeps, restarts, renews and removes a timer; what ticks one; the order after downtime. */
import assert from "node:assert/strict";
import { START } from "./harness.ts";
import { World } from "./time_world.ts";

const MINUTE = { ms: 60_000, effect: "delete" };
const TICKS = { ticks: 3, tick_on: "_shared.turn", effect: "delete" };

/** What a second write, half-way, makes of a timer that has half its time left. */
const REWRITES: readonly {
  readonly name: string;
  readonly write: Record<string, unknown>;
  readonly left: "half" | "whole" | "none" | "gone" | "ten";
  readonly first?: Record<string, unknown>;
}[] = [
  { name: "value starts it anew", write: { value: 2 }, left: "whole" },
  { name: "value with null removes it", write: { value: 2, timer: null }, left: "none" },
  {
    name: "value with another",
    write: { value: 2, timer: { ms: 10, effect: "delete" } },
    left: "ten",
  },
  { name: "merge lets it run on", write: { merge: { a: 1 } }, left: "half" },
  { name: "increment lets it run on", write: { increment: 1 }, left: "half" },
  { name: "append lets it run on", write: { append: true, value: 1 }, left: "half" },
  { name: "merge with null removes it", write: { merge: { a: 1 }, timer: null }, left: "none" },
  {
    name: "increment with another",
    write: { increment: 1, timer: { ms: 10, effect: "delete" } },
    left: "ten",
  },
  { name: "renew starts it anew", write: { renew: true }, left: "whole" },
  { name: "delete takes it along", write: { delete: true }, left: "gone" },
  {
    name: "value drops one bound to an instant",
    first: { at: new Date(START + 60_000).toISOString(), effect: "delete" },
    write: { value: 2 },
    left: "none",
  },
  {
    name: "merge keeps one bound to an instant",
    first: { at: new Date(START + 60_000).toISOString(), effect: "delete" },
    write: { merge: {} },
    left: "half",
  },
];

for (const { name, write, left, first = MINUTE } of REWRITES) {
  Deno.test(`A second write to an entry with a timer: ${name}`, async () => {
    await World.run(async (world) => {
      const kept = write["append"] ? [1] : write["merge"] ? {} : 1;
      await world.register("alice", "put", { writes: [{ key: "x", value: kept, timer: first }] });
      await world.register("alice", "again", { writes: [{ key: "x", ...write }] });
      await world.must("alice", "put");
      await world.pass(30_000);
      const { body } = await world.must("alice", "again");
      const entry = (await world.context("bob")).state._shared.x;
      assert.equal(body.writes[0]._meta?.timer?.due_at, entry?._meta.timer?.due_at, "the reply");
      if (left === "gone") return assert.equal(entry, undefined);
      const due = { half: 30_000, whole: 60_000, ten: 10 }[left as "half"];
      const at = due === undefined ? undefined : new Date(START + 30_000 + due).toISOString();
      assert.equal(entry._meta.timer?.due_at, at);
      assert.equal(entry._meta.revision, write["renew"] ? 1 : 2);
      if (at === undefined) return;
      await world.pass(due! - 1);
      assert.ok((await world.context("bob")).state._shared.x);
      await world.pass(1);
      assert.equal((await world.context("bob")).state._shared.x, undefined);
    });
  });
}

/** What one record makes of a timer of three ticks, set before. */
const TICKING: readonly {
  readonly name: string;
  readonly writes: readonly Record<string, unknown>[];
  readonly left: number | undefined;
}[] = [
  { name: "a write ticks", writes: [{ key: "turn", value: 1 }], left: 2 },
  { name: "an increment ticks", writes: [{ key: "turn", increment: 1 }], left: 2 },
  { name: "a merge ticks", writes: [{ key: "turn", merge: { a: 1 } }], left: 2 },
  { name: "an append ticks", writes: [{ key: "turn", append: true, value: 1 }], left: 2 },
  { name: "a deletion ticks", writes: [{ key: "turn", delete: true }], left: 2 },
  {
    name: "two writes of one record are one tick",
    writes: [{ key: "turn", value: 1 }, { key: "turn", increment: 1 }],
    left: 2,
  },
  { name: "another key does not tick", writes: [{ key: "other", value: 1 }], left: 3 },
  {
    name: "the record that sets it does not tick it",
    writes: [{ key: "turn", value: 1 }, { key: "x", value: 2, timer: { ...TICKS, ticks: 9 } }],
    left: 9,
  },
  {
    name: "the record that sets it by a merge does not tick it",
    writes: [{ key: "x", merge: { a: 1 }, timer: TICKS }, { key: "turn", value: 1 }],
    left: 3,
  },
  {
    name: "the record that starts it anew does not tick it",
    writes: [{ key: "turn", value: 1 }, { key: "x", renew: true }],
    left: 3,
  },
  {
    name: "a record that writes the thing and lets the timer run on ticks it",
    writes: [{ key: "turn", value: 1 }, { key: "x", merge: { a: 1 } }],
    left: 2,
  },
  {
    name: "a record that removes it ticks nothing",
    writes: [{ key: "turn", value: 1 }, { key: "x", merge: {}, timer: null }],
    left: undefined,
  },
];

for (const { name, writes, left } of TICKING) {
  Deno.test(`A timer of ticks: ${name}`, async () => {
    await World.run(async (world) => {
      await world.register("alice", "start", { writes: [{ key: "turn", value: [] }] });
      await world.register("alice", "put", {
        writes: [{ key: "x", value: {}, timer: TICKS }],
      });
      await world.must("alice", "put");
      if (writes[0]!["increment"] === undefined && writes[0]!["merge"] === undefined) {
        await world.must("alice", "start");
        await world.must("alice", "put");
      }
      await world.register("alice", "do", { writes });
      await world.must("alice", "do");
      const entry = (await world.context("bob")).state._shared.x;
      assert.equal(entry._meta.timer?.ticks_left, left);
    });
  });
}

Deno.test("An expiry ticks nothing, and what ticks end ends in the same group", async () => {
  await World.run(async (world) => {
    await world.register("alice", "put", {
      writes: [
        { key: "turn", value: 1, timer: { ms: 1_000, effect: "delete" } },
        { key: "x", value: 1, timer: { ticks: 1, tick_on: "_shared.turn", effect: "delete" } },
      ],
    });
    await world.register("alice", "turn", {
      writes: [{ key: "turn", increment: 1 }],
      result: "has(state._shared.x)",
    });
    await world.must("alice", "put");
    await world.pass(1_000);
    assert.equal((await world.context("bob")).state._shared.x.value, 1);
    const { body } = await world.must("alice", "turn", {}, { context: { only: "state" } });
    assert.equal(body.result, true, "the result sees the room right after the writes");
    assert.equal(body.context.state._shared.x, undefined, "nobody else sees a thing that is due");
    assert.equal(body.context.seq, body.seq + 1);
    const [, end] = await world.log("&kind=timer");
    assert.deepEqual([end.seq, end.ts], [body.seq + 1, new Date(world.clock.now()).toISOString()]);
  });
});

Deno.test("A dry run counts the expiries it would cause, and undoes them", async () => {
  await World.run(async (world) => {
    await world.register("alice", "put", {
      writes: [{
        key: "x",
        value: 1,
        timer: { ticks: 1, tick_on: "_shared.turn", effect: "delete" },
      }],
    });
    await world.register("alice", "needs", { if: "has(state._shared.x)" });
    await world.register("alice", "turn", { writes: [{ key: "turn", increment: 1 }] });
    await world.must("alice", "put");
    const wait = await world.wait("bob", { condition: "!has(state._shared.x)" });
    const { body } = await world.must("alice", "turn", {}, { dry_run: true });
    assert.deepEqual(body.actions_changed, [{ id: "needs", available: false, was: true }]);
    assert.deepEqual(body.waits_woken.map((w: { agent: string }) => w.agent), ["bob"]);
    assert.ok((await world.context("bob")).state._shared.x);
    assert.equal(wait.reply(), undefined);
    wait.abort();
  });
});

Deno.test("What fell due during downtime is recorded in order, each at its instant", async () => {
  await World.run(async (world) => {
    const due = [50, 10, 40, 10, 30];
    for (const [i, s] of due.entries()) {
      await world.register("alice", `put${i}`, {
        writes: [{ key: `k${i}`, value: i, timer: { ms: s * 1_000, effect: "delete" } }],
      });
      await world.must("alice", `put${i}`);
    }
    const { body } = await world.must("alice", "_send_message", { body: 1, kind: "task" });
    await world.must("bob", "_claim_message", { seq: body.seq, lease_ms: 20_000 });
    await world.sleepThrough(3_600_000);
    await world.context("bob");
    const ends = await world.log("&kind=timer");
    const seen = ends.map((end) => [
      (Date.parse(end.ts) - START) / 1_000,
      end.writes.map((w: { key: string }) => w.key).join(),
    ]);
    assert.deepEqual(seen, [[10, "k1,k3"], [20, `${body.seq}`], [30, "k4"], [40, "k2"], [
      50,
      "k0",
    ]]);
    assert.deepEqual(ends.map((e) => e.seq - body.seq), [2, 3, 4, 5, 6]);
  });
});

Deno.test("An `at` in the past: enable is live at once, delete is refused", async () => {
  await World.run(async (world) => {
    const at = "2020-01-01T00:00:00Z";
    const live = await world.must("alice", "_register_view", {
      id: "v",
      expr: "1",
      scope: "_shared",
      timer: { at, effect: "enable" },
    });
    assert.equal(live.status, 201);
    assert.equal((await world.context("bob")).views.v.value, 1);
    const refused = await world.invoke("alice", "_send_message", {
      body: "",
      timer: { at, effect: "delete" },
    });
    assert.equal(refused.status, 400);
    assert.equal(refused.body.error, "invalid_timer");
    assert.equal(refused.body.field, "params.timer.at");
  });
});

Deno.test("An action that has run out is 404 action_expired, until it is registered again", async () => {
  await World.run(async (world) => {
    await world.register("alice", "x", { timer: { ms: 5_000, effect: "delete" } });
    await world.pass(5_000);
    const ended = await world.invoke("bob", "x");
    assert.deepEqual([ended.status, ended.body.error], [404, "action_expired"]);
    assert.equal(ended.body.expired_at, new Date(START + 5_000).toISOString());
    await world.register("alice", "x", { timer: { ms: 5_000, effect: "enable" } });
    const dormant = await world.invoke("bob", "x");
    assert.deepEqual([dormant.status, dormant.body.error], [404, "action_not_found"]);
    await world.pass(5_000);
    await world.must("bob", "x");
    await world.must("alice", "_delete_action", { id: "x" });
    assert.equal((await world.invoke("bob", "x")).body.error, "action_not_found");
  });
});

Deno.test("A live entry that falls asleep again is reported as removed", async () => {
  await World.run(async (world) => {
    await world.register("alice", "put", { writes: [{ key: "x", value: 1 }] });
    await world.register("alice", "rest", {
      writes: [{ key: "x", value: 2, timer: { ms: 1_000, effect: "enable" } }],
    });
    await world.must("alice", "put");
    const { seq } = await world.context("bob");
    await world.must("alice", "rest");
    const asleep = await world.context("bob", `since=${seq}&peek=true`);
    assert.deepEqual(asleep.removed, [{ scope: "_shared", key: "x" }]);
    assert.equal(asleep.state._shared.x, undefined);
    await world.pass(1_000);
    const awake = await world.context("bob", `since=${asleep.seq}&peek=true`);
    assert.equal(awake.state._shared.x.value, 2);
    assert.deepEqual(awake.removed, []);
  });
});

Deno.test("A timer made of parameters: missing ones leave it unnamed, wrong ones are refused", async () => {
  await World.run(async (world) => {
    await world.register("alice", "put", {
      params: { ms: {}, timer: {} },
      writes: [{ key: "x", value: 1, timer: "${params.timer}" }],
    });
    await world.register("alice", "for", {
      params: { ms: {} },
      writes: [{ key: "x", value: 1, timer: { ms: "${params.ms}", effect: "delete" } }],
    });
    await world.must("alice", "for", { ms: 1_000 });
    await world.pass(500);
    await world.must("alice", "put");
    const { timer } = (await world.context("bob")).state._shared.x._meta;
    assert.equal(timer.due_at, new Date(START + 1_500).toISOString(), "started anew");
    await world.must("alice", "put", { timer: null });
    assert.equal((await world.context("bob")).state._shared.x._meta.timer, undefined);
    for (const ms of ["1000", 0, -1, 1.5, 9e15, true, null, [], undefined]) {
      const reply = await world.invoke("alice", "for", ms === undefined ? {} : { ms });
      assert.equal(reply.status, 400, JSON.stringify(ms));
      assert.equal(reply.body.error, "invalid_timer");
      assert.match(reply.body.field, /^writes\[0\]\.timer/);
    }
  });
});

const BAD: readonly [timer: unknown, field: string][] = [
  [5, ""],
  ["1m", ""],
  [[], ""],
  [{}, ""],
  [{ ms: 1 }, ".effect"],
  [{ ms: 1, effect: "vanish" }, ".effect"],
  [{ effect: "delete" }, ""],
  [{ ms: 1, at: "2030-01-01T00:00:00Z", effect: "delete" }, ""],
  [{ ms: 1, ticks: 1, tick_on: "_shared.a", effect: "delete" }, ""],
  [{ ms: 1, tick_on: "_shared.a", effect: "delete" }, ".tick_on"],
  [{ ms: 0, effect: "delete" }, ".ms"],
  [{ ms: -5, effect: "delete" }, ".ms"],
  [{ ms: 1.5, effect: "delete" }, ".ms"],
  [{ ms: "1000", effect: "delete" }, ".ms"],
  [{ ms: 315_360_000_001, effect: "delete" }, ".ms"],
  [{ ms: 9e15, effect: "delete" }, ".ms"],
  [{ ms: null, effect: "delete" }, ".ms"],
  [{ at: "tomorrow", effect: "delete" }, ".at"],
  [{ at: "2030-01-01", effect: "delete" }, ".at"],
  [{ at: "2030-02-30T00:00:00Z", effect: "delete" }, ".at"],
  [{ at: "2030-13-01T00:00:00Z", effect: "delete" }, ".at"],
  [{ at: "2030-01-01T24:00:00Z", effect: "delete" }, ".at"],
  [{ at: "2030-01-01T00:00:00", effect: "delete" }, ".at"],
  [{ at: "2030-01-01T00:00:00+25:00", effect: "delete" }, ".at"],
  [{ at: 1_900_000_000_000, effect: "delete" }, ".at"],
  [{ at: "2020-01-01T00:00:00Z", effect: "delete" }, ".at"],
  [{ ticks: 0, tick_on: "_shared.a", effect: "delete" }, ".ticks"],
  [{ ticks: -1, tick_on: "_shared.a", effect: "delete" }, ".ticks"],
  [{ ticks: 2.5, tick_on: "_shared.a", effect: "delete" }, ".ticks"],
  [{ ticks: 1e12, tick_on: "_shared.a", effect: "delete" }, ".ticks"],
  [{ ticks: 1, effect: "delete" }, ".tick_on"],
  [{ ticks: 1, tick_on: "turn", effect: "delete" }, ".tick_on"],
  [{ ticks: 1, tick_on: "", effect: "delete" }, ".tick_on"],
  [{ ticks: 1, tick_on: 7, effect: "delete" }, ".tick_on"],
  ...["self.turn", "state.self.turn", "admin.x", "system.x", "__proto__.x", "did:sync:x.y", "_.x"]
    .map((tick_on): [unknown, string] => [{ ticks: 1, tick_on, effect: "enable" }, ".tick_on"]),
  [{ ticks: 1, tick_on: "_shared.constructor", effect: "delete" }, ".tick_on"],
  [{ ms: 1, effect: "delete", unit: "s" }, ".unit"],
];

Deno.test("A bad timer is 400 invalid_timer with its field, wherever it stands", async () => {
  await World.run(async (world) => {
    const before = (await world.context("bob")).seq;
    for (const [timer, field] of BAD) {
      const asks: [string, string, unknown][] = [
        ["_send_message", "params.timer", { body: 1, timer }],
        ["_register_view", "params.timer", { id: "v", expr: "1", timer }],
        ["_register_action", "params.timer", { id: "a", writes: [], timer }],
        ["_register_action", "params.writes[0].timer", {
          id: "a",
          writes: [{ key: "x", value: 1, timer }],
        }],
      ];
      for (const [action, at, params] of asks) {
        const { status, body } = await world.invoke("alice", action, params);
        const what = `${at} ${JSON.stringify(timer)}`;
        assert.deepEqual(
          [status, body.error, body.field],
          [400, "invalid_timer", at + field],
          what,
        );
        assert.ok(body.message && body.detail && body.example, what);
      }
    }
    const own = { ticks: 1, tick_on: "self.turn", effect: "enable" };
    const hinted = await world.invoke("alice", "_send_message", { body: 1, timer: own });
    assert.match(hinted.body.detail, /\$\{self\}/);
    assert.equal((await world.context("bob")).seq, before);
    // Numbers that JSON cannot hold are no numbers.
    const broken = await world.on.call(
      "POST",
      `/rooms/${world.room.id}/actions/_send_message/invoke`,
      {
        token: world.token("alice"),
        body: '{"params":{"body":1,"timer":{"ms":NaN,"effect":"delete"}}}',
      },
    );
    assert.deepEqual([broken.status, broken.body.error], [400, "invalid_json"]);
  });
});

Deno.test("A leap second is the first instant of the next: at the end of a month in UTC, nowhere else", async () => {
  await World.run(async (world) => {
    const dueAt = async (at: string): Promise<unknown> => {
      const timer = { at, effect: "enable" };
      const { status, body } = await world.invoke("alice", "_register_action", {
        id: "later",
        writes: [],
        timer,
      });
      return status === 201 ? body.timer.due_at : body.error;
    };
    for (
      const [at = "", due] of [
        ["1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000Z"],
        ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"],
        ["2028-02-29T23:59:60.25z", "2028-03-01T00:00:00.250Z"],
        ["2030-07-01T05:29:60+05:30", "2030-07-01T00:00:00.000Z"],
        ["2030-12-30T23:59:60Z", "invalid_timer"],
        ["2030-12-31T23:58:60Z", "invalid_timer"],
        ["2030-12-31T22:59:60Z", "invalid_timer"],
        ["2030-12-31T23:59:60-08:00", "invalid_timer"],
        ["2030-12-31T23:59:61Z", "invalid_timer"],
        ["9999-12-31T23:59:60Z", "invalid_timer"],
      ]
    ) assert.equal(await dueAt(at), due, at);
  });
});

Deno.test("Only a timer with ms or ticks is renewed: else 409 no_timer", async () => {
  await World.run(async (world) => {
    await world.register("alice", "renew", {
      params: { key: {} },
      writes: [{ key: "${params.key}", renew: true }],
    });
    await world.register("alice", "put", {
      writes: [
        { key: "plain", value: 1 },
        { key: "at", value: 1, timer: { at: "2030-01-01T00:00:00Z", effect: "delete" } },
        { key: "ms", value: 1, timer: { ms: 10, effect: "enable" } },
      ],
    });
    await world.must("alice", "put");
    for (const key of ["plain", "at", "missing"]) {
      const { status, body } = await world.invoke("alice", "renew", { key });
      assert.deepEqual([status, body.error], [409, "no_timer"], key);
    }
    await world.pass(9);
    await world.must("alice", "renew", { key: "ms" });
    await world.pass(9);
    assert.equal((await world.context("bob")).state._shared.ms, undefined);
    await world.pass(1);
    assert.equal((await world.context("bob")).state._shared.ms.value, 1);
  });
});
