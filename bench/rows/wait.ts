/** Waiting: how fast a write wakes its waiters, and what those cost that sleep. */
import { atLeast, atMost, type Figure, noted } from "../figures.ts";
import { hold, load, wake } from "../load.ts";
import { Machine } from "../machines.ts";
import { BenchRoom } from "../rooms.ts";
import type { RequestSpec } from "../../proof/client.ts";
import type { Bench } from "../run.ts";

const AGENTS = 10;
const ROUNDS: Readonly<Record<number, number>> = { 1: 200, 100: 20, 1_000: 5 };
const LIMIT_MS: Readonly<Record<number, number>> = { 1: 3, 100: 10, 1_000: 60 };

async function agentTokens(room: BenchRoom): Promise<string[]> {
  const tokens = [room.token];
  for (let i = 1; i < AGENTS; i++) tokens.push(await room.join(`agent-${i}`));
  return tokens;
}

function waitSpec(room: BenchRoom, token: string, query: string): RequestSpec {
  return { method: "GET", path: `/rooms/${room.id}/wait?timeout=55000&peek=true&${query}`, token };
}

/** From the writer's reply to the waiters', ten agents sharing them; the reply carries the context. */
export async function wakeUp(_bench: Bench): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const waiters of [1, 100, 1_000]) {
    const machine = await Machine.start("product");
    const room = await BenchRoom.create(machine, "wake");
    await room.fill(10);
    const tokens = await agentTokens(room);
    const waits = Array.from(
      { length: waiters },
      (_, i) => waitSpec(room, tokens[i % AGENTS]!, "since={seq}"),
    );
    const head = room.context("only=agents");
    const job = { port: machine.port, head, waits, write: room.add, openAtLeast: waiters };
    await wake({ ...job, rounds: ROUNDS[waiters]! });
    const before = await machine.vitals();
    const { p50, p99 } = await wake({ ...job, rounds: ROUNDS[waiters]! });
    const after = await machine.vitals();
    await machine.stop();
    const answers = waiters * ROUNDS[waiters]!;
    figures.push(
      atMost(`wake-up of ${waiters} waiter(s), p99`, "ms", p99, LIMIT_MS[waiters]!, {
        reference: p50,
        against: "p50",
      }),
    );
    // Of few waiters, most of it is the driver's asking whether they sleep yet.
    if (waiters === 1_000) {
      const cpuUs = (after.cpuMs - before.cpuMs) * 1000 / answers;
      figures.push(noted("processor time of a wait, slept and woken", "µs", cpuUs));
    }
  }
  return figures;
}

/** 1 000 waiters that nothing wakes: processor time over some seconds, and heap each. */
export async function idle(bench: Bench): Promise<Figure[]> {
  const waiters = 1_000;
  const machine = await Machine.start("product");
  const room = await BenchRoom.create(machine, "idle");
  const tokens = await agentTokens(room);
  const waits = Array.from(
    { length: waiters },
    (_, i) =>
      waitSpec(
        room,
        tokens[i % AGENTS]!,
        `condition=${encodeURIComponent(`state._shared.count.value == -${i % AGENTS}.0`)}`,
      ),
  );
  // Once before: what the service loads and compiles for its first waiters is not theirs.
  await (await hold({ port: machine.port, waits }))();
  while (await machine.metric("sync_waits_open") > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const before = await machine.vitals(true);
  const release = await hold({ port: machine.port, waits });
  const during = await machine.vitals(true);
  await new Promise((resolve) => setTimeout(resolve, bench.ms));
  const after = await machine.vitals();
  await release();
  await machine.stop();
  return [
    atMost(
      "1 000 idle waiters, share of a core",
      "%",
      (after.cpuMs - during.cpuMs) / bench.ms * 100,
      1,
    ),
    atMost("heap of an idle waiter", "KiB", (during.heap - before.heap) / waiters / 1024, 8),
  ];
}

/** 10 000 waiters on different keys: what writes to another key cost, and the waking of one. */
export async function sleepers(bench: Bench): Promise<Figure[]> {
  const waiters = 9_999;
  const machine = await Machine.start("product");
  const room = await BenchRoom.create(machine, "sleepers");
  await room.register({
    id: "ring",
    params: { n: { type: "number" } },
    writes: [{ key: "bell-${params.n}", value: true }],
  });
  const asked = {
    port: machine.port,
    connections: 64,
    ms: bench.ms,
    warmupMs: bench.warmupMs,
    requests: [room.add],
  };
  const tokens = await agentTokens(room);
  const bell = (n: number): string =>
    `condition=${encodeURIComponent(`state._shared["bell-${n}"].value == true`)}`;
  const waits = Array.from(
    { length: waiters },
    (_, i) => waitSpec(room, tokens[i % AGENTS]!, bell(i)),
  );
  // In turn, and the better of two each: a busy machine must not decide between them.
  let alone = (await load(asked)).rate;
  const release = await hold({ port: machine.port, waits });
  const beside = Math.max((await load(asked)).rate, (await load(asked)).rate);
  const { p99, p50 } = await wake({
    port: machine.port,
    rounds: 1,
    head: room.context("only=agents"),
    waits: [waitSpec(room, room.token, bell(waiters))],
    write: room.invoke("ring", { n: waiters }),
    openAtLeast: waiters + 1,
  });
  await release();
  alone = Math.max(alone, (await load(asked)).rate);
  await machine.stop();
  const rates = { product: beside, reference: alone, against: "nobody waiting" };
  return [
    atLeast("invoke beside 9 999 waiters on other keys", rates, 0.9),
    atMost("one of 10 000 waiters woken", "ms", p99, 5, { reference: p50, against: "p50" }),
  ];
}
