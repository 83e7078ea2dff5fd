/** Timers on everything that takes them, by every clock: live, after downtime, in order. */
import assert from "node:assert/strict";
import { START, turns } from "./harness.ts";
import { World } from "./time_world.ts";

type Kind = "entry" | "action" | "view" | "message";
type Effect = "delete" | "enable";
interface Form {
  readonly name: string;
  readonly timer: Record<string, unknown>;
  /** How long until it is due; undefined for ticks. */
  readonly ms?: number;
}

const KINDS: readonly Kind[] = ["entry", "action", "view", "message"];
const EFFECTS: readonly Effect[] = ["delete", "enable"];
const FORMS: readonly Form[] = [
  { name: "ms", timer: { ms: 30_000 }, ms: 30_000 },
  { name: "at", timer: { at: new Date(START + 45_000).toISOString() }, ms: 45_000 },
  { name: "at with an offset", timer: { at: "2026-11-20T10:00:40.5+02:00" }, ms: 40_500 },
  { name: "ticks", timer: { ticks: 2, tick_on: "state._shared.turn" } },
  { name: "ticks on a short path", timer: { ticks: 3, tick_on: "_shared.turn" } },
];

/** Brings a thing named `x` about, with a timer; answers a message's seq. */
async function bring(world: World, kind: Kind, timer: unknown): Promise<number> {
  if (kind === "entry") {
    await world.register("alice", "put", {
      params: { timer: {} },
      writes: [{ key: "x", value: 1, timer: "${params.timer}" }],
    });
    return (await world.must("alice", "put", { timer })).body.seq;
  }
  const forms = {
    action: ["_register_action", { id: "x", writes: [{ key: "hit", increment: 1 }], timer }],
    view: ["_register_view", { id: "x", expr: "1 + 1", scope: "_shared", timer }],
    message: ["_send_message", { body: "look", kind: "task", timer }],
  } as const;
  const [action, params] = forms[kind];
  return (await world.must("alice", action, params)).body.seq;
}

const IS_THERE: Record<Kind, string> = {
  entry: "has(state._shared.x)",
  action: '"x" in actions',
  view: '"x" in views',
  message: "messages.count == 1",
};

/** Where a reader sees the thing: every place must say the same. */
async function places(world: World, kind: Kind, seq: number): Promise<Record<string, boolean>> {
  const found: Record<string, boolean> = {};
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  const look = (name: string, body: any): void => {
    if (kind === "entry") found[name] = body.state._shared.x !== undefined;
    if (kind === "action") found[name] = body.actions.x !== undefined;
    if (kind === "view") found[name] = body.views.x !== undefined;
    if (kind !== "message") return;
    // deno-lint-ignore no-explicit-any -- as above
    found[name] = body.messages.recent.some((m: any) => m.seq === seq);
    found[`${name} count`] = body.messages.count === 1;
    found[`${name} unclaimed`] = body.messages.unclaimed === 1;
  };
  for (const who of ["bob", "admin", "view"]) {
    look(`context of ${who}`, await world.context(who));
    look(`poll of ${who}`, (await world.call("GET", "/poll", who)).body);
    found[`CEL of ${who}`] = await world.eval(who, IS_THERE[kind]) as boolean;
  }
  const dry = { dry_run: true };
  if (kind === "entry") {
    const { entries } = (await world.call("GET", "/salience", "bob")).body;
    // deno-lint-ignore no-explicit-any -- as above
    found["salience"] = entries.some((e: any) => e.key === "x");
    found["whole scope"] = await world.eval("bob", "state._shared.exists(k, k == 'x')") as boolean;
  } else if (kind === "action") {
    found["invoke"] = (await world.invoke("bob", "x", {}, dry)).status === 200;
    found["plain"] = (await world.context("bob", "shape=plain&peek=true")).actions.x !== undefined;
  } else if (kind === "message") {
    found["claim"] = (await world.invoke("bob", "_claim_message", { seq }, dry)).status === 200;
    const answer = await world.invoke("bob", "_send_message", { body: "", reply_to: seq }, dry);
    found["reply"] = answer.status < 300;
    found["open"] = await world.eval("bob", "messages.unclaimed == 1") as boolean;
    found["recent"] = await world.eval("bob", "messages.recent.size() == 1") as boolean;
  }
  return found;
}

async function mustBe(world: World, kind: Kind, seq: number, isThere: boolean): Promise<void> {
  for (const [place, is] of Object.entries(await places(world, kind, seq))) {
    assert.equal(is, isThere, `${kind} in ${place}`);
  }
}

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
          const seq = await bring(world, kind, timer);
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
          const seq = await bring(world, kind, timer);
          await world.sleepThrough(86_400_000);
          await mustBe(world, kind, seq, !isDelete);
          await mustEnd(world, kind, effect, form);
        });
      });
    }
  }
}
