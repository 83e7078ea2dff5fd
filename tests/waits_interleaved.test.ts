/**
 * Ten thousand seeded interleavings of commit, timer and sleep, many in one room at a time: a
 * condition that holds in the end is never missed, and one that was told of did hold.
 */
import assert from "node:assert/strict";
import { turns } from "./harness.ts";
import { Random } from "../proof/simulation/random.ts";
import { World } from "./time_world.ts";

const ROOMS = 40;
const LANES = 250;
const AGENTS = ["a", "b", "c", "d"];

/** What a waiter sleeps on; `k` stands for the key of its lane. */
const CONDITIONS = [
  (k: string) => `has(state._shared.${k}) && state._shared.${k}.value == 1`,
  (k: string) => `"${k}" in state._shared ? state._shared.${k}.value == 1 : false`,
  (k: string) => `state._shared.${k}.value == 1`,
  (k: string) => `[state._shared].exists(s, has(s.${k}) && s.${k}.value == 1)`,
  // What it reads changes on the way.
  (k: string) => `has(state._shared.p${k}) && state._shared.${k}.value == 1`,
  (k: string) => `actions.go_${k}.value.available`,
];

/** Writes that do not make the condition hold for good. */
const STEPS = ["zero", "drop", "brief", "one", "late", "renew"] as const;
type Step = typeof STEPS[number] | "wait" | "open";

interface Lane {
  readonly key: string;
  readonly steps: readonly Step[];
  readonly condition: string;
  readonly gated: boolean;
}

function lanesOf(random: Random): Lane[] {
  return Array.from({ length: LANES }, (_, i) => {
    const steps: Step[] = Array.from({ length: random.int(0, 2) }, () => random.pick(STEPS));
    // In the end it holds: at once, or when the last timer has run out.
    steps.push(random.pick(["one", "late"]));
    for (const step of ["wait", "open"] as const) {
      steps.splice(random.int(0, steps.length), 0, step);
    }
    const key = `k${i}`;
    const make = random.pick(CONDITIONS);
    return { key, steps, condition: make(key), gated: make === CONDITIONS.at(-1) };
  });
}

const TIMERS: Partial<Record<Step, { effect: string }>> = {
  brief: { effect: "delete" },
  late: { effect: "enable" },
};

async function write(world: World, random: Random, step: Step, key: string): Promise<void> {
  const who = random.pick(AGENTS);
  if (step === "drop" || step === "renew") return void await world.invoke(who, step, { k: key });
  if (step === "open") return void await world.must(who, "put", { k: `p${key}`, v: 1 });
  const timer = TIMERS[step] ? { ms: random.int(1, 400), ...TIMERS[step] } : null;
  await world.must(who, "put", { k: key, v: step === "zero" ? 0 : 1, timer });
}

for (let part = 0; part < 4; part++) {
  Deno.test(`No wake-up is lost: interleavings ${part * 2_500} to ${(part + 1) * 2_500}`, async () => {
    for (let seed = part * ROOMS / 4; seed < (part + 1) * ROOMS / 4; seed++) {
      await World.run((world) => interleave(world, seed), AGENTS);
    }
  });
}

async function interleave(world: World, seed: number): Promise<void> {
  const random = new Random(seed);
  await world.register("admin", "put", {
    params: { k: {}, v: {}, timer: {} },
    writes: [{ key: "${params.k}", value: "${params.v}", timer: "${params.timer}" }],
  });
  await world.register("admin", "drop", { writes: [{ key: "${params.k}", delete: true }] });
  await world.register("admin", "renew", { writes: [{ key: "${params.k}", renew: true }] });
  const lanes = lanesOf(random);
  for (const { key, gated } of lanes) {
    if (!gated) continue;
    await world.register("admin", `go_${key}`, {
      if: `has(state._shared.${key}) && state._shared.${key}.value == 1`,
    });
  }
  let running = lanes.length;
  const replies = new Map<Lane, { status: number; triggered: boolean }>();
  const run = async (lane: Lane): Promise<void> => {
    for (const step of lane.steps) {
      await turns(random.int(0, 3));
      if (step !== "wait") {
        const written = write(world, random, step, lane.key);
        if (random.chance(0.5)) await written;
        continue;
      }
      const reply = world.call("POST", "/wait", random.pick(AGENTS), {
        condition: lane.condition,
        include: "agents",
        timeout: 55_000,
      });
      void reply.then(({ status, body }) =>
        replies.set(lane, { status, triggered: body.triggered })
      );
    }
    running--;
  };
  const all = lanes.map(run);
  while (running > 0) {
    await world.clock.advance(random.int(0, 30));
    await turns(random.int(0, 2));
  }
  await Promise.all(all);
  await turns(20);
  await world.pass(1_000);
  for (const lane of lanes) {
    const what = `seed ${seed}, ${lane.key}: ${lane.steps.join(", ")}: ${lane.condition}`;
    assert.deepEqual(replies.get(lane), { status: 200, triggered: true }, what);
  }
  assert.equal(world.on.service.deps.waits.open, 0);
}
