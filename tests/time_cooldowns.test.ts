/** Cooldowns by both clocks, and the leases of claimed messages. */
import assert from "node:assert/strict";
import { START } from "./harness.ts";
import { World } from "./time_world.ts";

const COOLDOWNS = [
  { name: "ms", timer: { ms: 10_000, effect: "enable" } },
  { name: "at", timer: { at: new Date(START + 10_000).toISOString(), effect: "enable" } },
  { name: "ticks", timer: { ticks: 2, tick_on: "state._shared.turn", effect: "enable" } },
] as const;

for (const { name, timer } of COOLDOWNS) {
  for (const isDown of [false, true]) {
    if (isDown && name === "ticks") continue;
    const how = isDown ? "through downtime" : "live";
    Deno.test(`A cooldown of ${name}, ${how}`, async () => {
      await World.run(async (world) => {
        await world.register("alice", "turn", { writes: [{ key: "turn", increment: 1 }] });
        await world.register("alice", "fire", {
          on_invoke: { timer },
          writes: [{ key: "shots", increment: 1 }, { key: "turn", increment: 1 }],
        });
        assert.equal((await world.context("bob")).actions.fire.value.available, true);
        await world.must("alice", "fire");
        const isTicks = name === "ticks";
        const left = isTicks
          ? { ticks_left: 2 }
          : { available_at: new Date(START + 10_000).toISOString() };
        const refused = await world.invoke("bob", "fire");
        assert.deepEqual([refused.status, refused.body.error], [409, "action_cooldown"]);
        for (const [member, value] of Object.entries(left)) {
          assert.equal(refused.body[member], value);
        }
        const listed = (await world.context("bob")).actions.fire.value;
        assert.deepEqual(listed, { available: false, reason: "cooldown", ...left });
        const polled = (await world.call("GET", "/poll", "bob")).body.actions.fire.value;
        assert.equal(polled.reason, "cooldown");
        assert.equal(await world.eval("bob", "actions.fire.value.reason"), "cooldown");
        if (isDown) await world.sleepThrough(10_000);
        else {
          const wait = await world.wait("bob", {
            condition: 'actions["fire"].value.available',
          });
          assert.equal(wait.reply(), undefined);
          if (isTicks) {
            await world.must("alice", "turn");
            assert.equal((await world.invoke("bob", "fire")).body.ticks_left, 1);
            await world.must("alice", "turn");
          } else await world.pass(9_999);
          if (!isTicks) assert.equal(wait.reply(), undefined);
          await world.pass(1);
          assert.equal(wait.reply()?.body.triggered, true);
          assert.equal(wait.reply()?.body.woken_by.agent, "_system");
        }
        const [end] = await world.log("&kind=timer");
        assert.equal(end.writes[0].op, "cooldown");
        await world.must("bob", "fire");
        assert.equal((await world.context("bob")).state._shared.shots.value, 2);
      });
    });
  }
}

Deno.test("A cooldown outlives the action's new registration, and ends with its deletion", async () => {
  await World.run(async (world) => {
    const on_invoke = { timer: { ms: 10_000, effect: "enable" } };
    await world.register("alice", "fire", { on_invoke });
    await world.must("alice", "fire");
    await world.register("alice", "fire", { on_invoke, description: "again" });
    assert.equal((await world.invoke("alice", "fire")).body.error, "action_cooldown");
    await world.must("alice", "_delete_action", { id: "fire" });
    await world.register("alice", "fire", {});
    await world.must("alice", "fire");
    await world.pass(60_000);
    assert.deepEqual(await world.log("&kind=timer"), []);
  });
});

Deno.test("A cooldown must bring the action back: another effect is 400", async () => {
  await World.run(async (world) => {
    for (
      const timer of [{ ms: 10, effect: "delete" }, { ms: -1, effect: "enable" }, {
        effect: "enable",
      }]
    ) {
      const { status, body } = await world.invoke("alice", "_register_action", {
        id: "x",
        writes: [],
        on_invoke: { timer },
      });
      assert.deepEqual([status, body.error], [400, "invalid_timer"]);
      assert.match(body.field, /^params\.on_invoke\.timer/);
    }
  });
});

Deno.test("A refused or rehearsed invocation starts no cooldown", async () => {
  await World.run(async (world) => {
    await world.register("alice", "fire", {
      if: "has(state._shared.ready)",
      on_invoke: { timer: { ms: 10, effect: "enable" } },
    });
    assert.equal((await world.invoke("alice", "fire")).status, 409);
    await world.register("alice", "ready", { writes: [{ key: "ready", value: true }] });
    await world.must("alice", "ready");
    await world.must("alice", "fire", {}, { dry_run: true });
    await world.must("alice", "fire");
  });
});

async function sendTask(world: World, rest: Record<string, unknown> = {}): Promise<number> {
  const sent = await world.must("alice", "_send_message", { body: "do", kind: "task", ...rest });
  return sent.body.seq;
}

Deno.test("A lease runs out: a record frees the task, wakes waits, and ends the fence", async () => {
  await World.run(async (world) => {
    const seq = await sendTask(world);
    await world.register("bob", "work", { writes: [{ key: "done", value: true }] });
    const claim = (await world.must("bob", "_claim_message", { seq, lease_ms: 5_000 })).body;
    assert.equal(claim.lease_expires_at, new Date(START + 5_000).toISOString());
    assert.equal(await world.eval("alice", "messages.unclaimed"), 0);
    const fence = { message: seq, fence: claim.fence };
    await world.must("bob", "work", {}, { fence });
    const wait = await world.wait("alice", { condition: "messages.unclaimed > 0" });
    await world.pass(4_999);
    assert.equal(wait.reply(), undefined);
    await world.pass(1);
    assert.equal(wait.reply()?.body.woken_by.action, "timer");
    const stale = await world.invoke("bob", "work", {}, { fence });
    assert.deepEqual([stale.status, stale.body.error], [409, "stale_fence"]);
    const next = (await world.must("alice", "_claim_message", { seq })).body;
    assert.notEqual(next.fence, claim.fence);
    assert.equal((await world.invoke("bob", "work", {}, { fence })).body.error, "stale_fence");
    const taken = await world.invoke("bob", "_claim_message", { seq });
    assert.deepEqual([taken.body.error, taken.body.claimed_by], ["already_claimed", "alice"]);
  });
});

Deno.test("The holder renews its lease and keeps the fence", async () => {
  await World.run(async (world) => {
    const seq = await sendTask(world);
    const first = (await world.must("bob", "_claim_message", { seq, lease_ms: 5_000 })).body;
    await world.pass(4_000);
    const again = (await world.must("bob", "_claim_message", { seq })).body;
    assert.equal(again.fence, first.fence);
    assert.equal(again.claimed_at, first.claimed_at);
    assert.equal(again.lease_expires_at, new Date(START + 9_000).toISOString());
    await world.pass(4_999);
    assert.equal(await world.eval("alice", "messages.unclaimed"), 0);
    await world.pass(1);
    assert.equal(await world.eval("alice", "messages.unclaimed"), 1);
  });
});

Deno.test("A result ends the lease and keeps the claim, also when it is claimed again", async () => {
  await World.run(async (world) => {
    const seq = await sendTask(world);
    await world.must("bob", "_claim_message", { seq, lease_ms: 5_000 });
    await world.must("bob", "_send_message", { body: 42, kind: "result", reply_to: seq });
    const again = (await world.must("bob", "_claim_message", { seq, lease_ms: 1_000 })).body;
    assert.equal(again.lease_expires_at, undefined);
    await world.pass(3_600_000);
    assert.deepEqual(await world.log("&kind=timer"), []);
    const { recent } = (await world.context("alice")).messages;
    assert.equal(recent[0].claimed_by, "bob");
    assert.equal(recent[0].lease_expires_at, undefined);
    assert.equal(await world.eval("alice", "messages.unclaimed"), 0);
  });
});

const REST = [
  { name: "ms", timer: { ms: 10_000, effect: "delete" } },
  { name: "at", timer: { at: new Date(START + 10_000).toISOString(), effect: "delete" } },
  { name: "ticks", timer: { ticks: 2, tick_on: "_shared.turn", effect: "delete" } },
] as const;

for (const { name, timer } of REST) {
  for (const how of ["release", "lapse", "leave"] as const) {
    Deno.test(`A message's timer of ${name} rests while it is claimed, until ${how}`, async () => {
      await World.run(async (world) => {
        const seq = await sendTask(world, { timer });
        await world.register("alice", "turn", { writes: [{ key: "turn", increment: 1 }] });
        const isTicks = name === "ticks";
        const half = async (): Promise<void> => {
          if (isTicks) await world.must("alice", "turn");
          else await world.pass(5_000);
        };
        await half();
        await world.must("bob", "_claim_message", { seq, lease_ms: 60_000 });
        for (let i = 0; i < 5; i++) await half();
        assert.equal(await world.eval("alice", "messages.count"), 1, "it rests");
        if (how === "release") await world.must("bob", "_release_message", { seq });
        else if (how === "leave") await world.call("DELETE", "/agents/bob");
        else await world.pass(START + (isTicks ? 60_000 : 65_000) - world.clock.now());
        assert.equal(await world.eval("alice", "messages.unclaimed"), 1, "it goes on");
        if (!isTicks) {
          await world.pass(4_999);
          assert.equal(await world.eval("alice", "messages.count"), 1);
          await world.pass(1);
        } else await world.must("alice", "turn");
        assert.equal(await world.eval("alice", "messages.count"), 0);
      });
    });
  }
}

Deno.test("A bad lease is a clear 400", async () => {
  await World.run(async (world) => {
    const seq = await sendTask(world);
    for (const lease_ms of [0, -1, 1.5, "5", 86_400_001, 9e15, true]) {
      const { status, body } = await world.invoke("bob", "_claim_message", { seq, lease_ms });
      assert.deepEqual([status, body.error, body.field], [
        400,
        "invalid_argument",
        "params.lease_ms",
      ]);
    }
    const fences = [{ message: seq, fence: 1 }, { message: 10 ** 15, fence: -1 }];
    for (const fence of fences) {
      const { status, body } = await world.invoke("bob", "_set_status", { status: "busy" }, {
        fence,
      });
      assert.deepEqual([status, body.error], [409, "stale_fence"]);
    }
  });
});
