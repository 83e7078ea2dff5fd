/** Reading a room: whole at three sizes, and the parts whose cost must follow what is returned. */
import { atMost, atMostTimes, type Figure } from "../figures.ts";
import { FLOOR_TOKEN } from "../floor.ts";
import { load } from "../load.ts";
import { Machine } from "../machines.ts";
import { BenchRoom } from "../rooms.ts";
import type { Bench } from "../run.ts";
import { better, measure, type Measured } from "./invoke.ts";

const LIMIT_MS: Readonly<Record<number, number>> = { 10: 0.3, 1_000: 2, 10_000: 20 };

/** The whole context at one connection, against turning as many kept entries into text. */
export async function contextSizes(bench: Bench): Promise<Figure[]> {
  const ms = bench.ms / 2, warmupMs = bench.warmupMs / 2;
  const floor = await Machine.start("floor");
  const machine = await Machine.start("product");
  const figures: Figure[] = [];
  for (const keys of [10, 1_000, 10_000]) {
    const room = await BenchRoom.create(machine, `keys-${keys}`);
    await room.fill(keys);
    const path = `/context/${keys}`;
    const one = { connections: 1, ms, warmupMs };
    const least = await load({
      port: floor.port,
      ...one,
      requests: [{ method: "GET", path, token: FLOOR_TOKEN }],
    });
    const whole = await load({
      port: machine.port,
      ...one,
      requests: [room.context("elision=none")],
    });
    figures.push(
      atMost(`context, ${keys} keys, p50`, "ms", whole.p50, LIMIT_MS[keys]!, {
        reference: least.p50,
        against: "floor: JSON.stringify",
      }),
    );
  }
  await floor.stop();
  await machine.stop();
  return figures;
}

/** Parts of a room of 10 000 keys and 10 000 messages, against the whole of it. */
export async function contextParts(bench: Bench): Promise<Figure[]> {
  const ms = bench.ms / 4, warmupMs = bench.warmupMs / 4;
  const machine = await Machine.start("product");
  const room = await BenchRoom.create(machine, "parts");
  await room.fill(10_000);
  await room.talk(10_000);
  const { seq } = await machine.call<{ seq: number }>(room.add);
  const p50 = async (query: string): Promise<number> => {
    const requests = [room.context(query)];
    return (await load({ port: machine.port, connections: 1, ms, warmupMs, requests })).p50;
  };
  const reference = await p50("elision=none&messages_limit=500");
  const figures: Figure[] = [];
  for (
    const [query, times] of [
      ["only=agents", 0.02],
      [`since=${seq - 1}`, 0.05],
      ["budget=2000", 0.3],
      ["only=messages&messages_limit=5", 0.02],
    ] as const
  ) {
    const costs = { product: await p50(query), reference, against: "the whole room" };
    figures.push(atMostTimes(`context?${query}, p50`, "ms", costs, times));
  }
  await machine.stop();
  return figures;
}

/** 20 views over a room, against the same room without. */
export async function views(bench: Bench): Promise<Figure[]> {
  const { ms, warmupMs } = bench;
  const machine = await Machine.start("product");
  const rooms: BenchRoom[] = [];
  for (const id of ["bare", "viewed"]) {
    const room = await BenchRoom.create(machine, id);
    await room.fill(200);
    rooms.push(room);
  }
  const [bare, viewed] = rooms as [BenchRoom, BenchRoom];
  for (let i = 0; i < 20; i++) {
    await machine.call(
      viewed.invoke("_register_view", {
        id: `view${i}`,
        expr: `state._shared["k${i % 4}-${i}"].value.n * 2`,
      }),
    );
  }
  const reads = [Infinity, Infinity], writes: (Measured | undefined)[] = [undefined, undefined];
  const asked = { port: machine.port, ms: ms / 2, warmupMs: warmupMs / 2 };
  // In turn, and the better of two each: a busy machine must not decide between them.
  for (const at of [0, 1, 1, 0] as const) {
    const room = at === 0 ? bare : viewed;
    const read = await load({ ...asked, connections: 1, requests: [room.context("elision=none")] });
    await measure(machine, 64, [room.add], warmupMs / 2);
    writes[at] = better(writes[at], await measure(machine, 64, [room.add], ms / 2));
    reads[at] = Math.min(reads[at]!, read.p50);
  }
  await machine.stop();
  const against = "no views";
  return [
    atMostTimes("context with 20 views, p50", "ms", {
      product: reads[1]!,
      reference: reads[0]!,
      against,
    }, 1.3),
    atMostTimes("invoke beside 20 views, processor time", "µs", {
      product: writes[1]!.cpuUs,
      reference: writes[0]!.cpuUs,
      against,
    }, 1.05),
  ];
}
