/** Timers on everything that takes them, by every clock: live, after downtime, in order. */
import assert from "node:assert/strict";
import { START, turns } from "./harness.ts";
import { bring, IS_THERE, type Kind, KINDS, mustBe } from "./time_places.ts";
import { World } from "./time_world.ts";

type Effect = "delete" | "enable";
interface Form {
  readonly name: string;
  readonly timer: Record<string, unknown>;
  /** How long until it is due; undefined for ticks. */
  readonly ms?: number;
}

const EFFECTS: readonly Effect[] = ["delete", "enable"];
const FORMS: readonly Form[] = [
  { name: "ms", timer: { ms: 30_000 }, ms: 30_000 },
  { name: "at", timer: { at: new Date(START + 45_000).toISOString() }, ms: 45_000 },
  { name: "at with an offset", timer: { at: "2026-11-20T10:00:40.5+02:00" }, ms: 40_500 },
  { name: "ticks", timer: { ticks: 2, tick_on: "state._shared.turn" } },
  { name: "ticks on a short path", timer: { ticks: 3, tick_on: "_shared.turn" } },
];

/** Lets the timer run out: the clock goes on, or the key that ticks is written. */
async function runOut(world: World, form: Form): Promise<void> {
  if (form.ms !== undefined) return await world.pass(form.ms - (world.clock.now() - START));
  for (let i = 0; i < Number(form.timer["ticks"]); i++) await world.must("alice", "turn");
  await turns(12);
}

async function mustEnd(world: World, kind: Kind, effect: Effect, form: Form): Promise<void> {
  const ends = await world.log("&kind=timer");
  assert.equal(ends.length, 1);
  const [end] = ends;
  assert.equal(end.agent, "_system");
  assert.equal(end.actor, "did:sync:system:engine");
  assert.deepEqual(
    end.writes.map((w: { op: string }) => w.op),
    [effect === "delete" ? "expire" : "enable"],
  );
  const due = form.ms === undefined ? world.clock.now() : START + form.ms;
  assert.equal(end.ts, new Date(due).toISOString(), kind);
}

for (const kind of KINDS) {
  for (const effect of EFFECTS) {
    for (const form of FORMS) {
      const timer = { ...form.timer, effect };
      const isDelete = effect === "delete";

      Deno.test(`A timer of ${form.name} with ${effect} on one ${kind}, live`, async () => {
        await World.run(async (world) => {
          await world.register("alice", "turn", { writes: [{ key: "turn", increment: 1 }] });
          const seq = await bring(world, kind, { timer });
          await mustBe(world, kind, seq, isDelete);
          const condition = isDelete ? `!(${IS_THERE[kind]})` : IS_THERE[kind];
          const wait = await world.wait("bob", { condition });
          const never = await world.wait("bob", { condition: "1 > 2" });
          assert.equal(wait.reply(), undefined);
          if (form.ms !== undefined) {
            await world.pass(form.ms - 1);
            assert.equal(wait.reply(), undefined, "a millisecond early");
          }
          await runOut(world, form);
          const woken = wait.reply()?.body;
          assert.equal(woken?.triggered, true);
          assert.deepEqual([woken.woken_by.agent, woken.woken_by.action], ["_system", "timer"]);
          assert.equal(never.reply(), undefined);
          await mustBe(world, kind, seq, !isDelete);
          await mustEnd(world, kind, effect, form);
        });
      });

      if (form.ms === undefined) continue;
      Deno.test(`A timer of ${form.name} with ${effect} on one ${kind}, through downtime`, async () => {
        await World.run(async (world) => {
          const seq = await bring(world, kind, { timer });
          await world.sleepThrough(86_400_000);
          await mustBe(world, kind, seq, !isDelete);
          await mustEnd(world, kind, effect, form);
        });
      });
    }
  }
}
