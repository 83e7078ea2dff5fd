/** What age and number do: a room with a long log, a cold room, many rooms, memory. */
import { atLeast, atMost, atMostTimes, type Figure, noted } from "../figures.ts";
import { load } from "../load.ts";
import { Machine } from "../machines.ts";
import { BenchRoom } from "../rooms.ts";
import type { Bench } from "../run.ts";
import { better, measure, type Measured } from "./invoke.ts";

const PAST = 100_000;

/** Invoking and reading with 100 000 past invocations, against a new room. */
export async function growth(bench: Bench): Promise<Figure[]> {
  const machine = await Machine.start("product");
  const young = await BenchRoom.create(machine, "young");
  const old = await BenchRoom.create(machine, "old");
  await old.age(PAST);
  const asked = {
    port: machine.port,
    connections: 1,
    ms: bench.ms / 2,
    warmupMs: bench.warmupMs / 2,
  };
  const p50 = async (room: BenchRoom, isRead: boolean): Promise<number> => {
    const requests = [isRead ? room.context("elision=none") : room.add];
    return (await load({ ...asked, requests })).p50;
  };
  const against = "a new room";
  const [reference, product] = [await p50(young, false), await p50(old, false)];
  const [readYoung, readOld] = [await p50(young, true), await p50(old, true)];
  await machine.stop();
  return [
    atMostTimes(
      `invoke after ${PAST} invocations, p50`,
      "ms",
      { product, reference, against },
      1.2,
    ),
    atMostTimes(`context after ${PAST} invocations, p50`, "ms", {
      product: readOld,
      reference: readYoung,
      against,
    }, 1.2),
  ];
}

/** The first read of a room that is not in memory, less that of an empty one. */
export async function cold(_bench: Bench): Promise<Figure[]> {
  const first = await Machine.start("product");
  const room = await BenchRoom.create(first, "cold");
  await room.fill(10_000);
  await room.age(PAST);
  const empty = await BenchRoom.create(first, "empty");
  await first.stop(true);
  const second = await Machine.start("product", first.folder);
  const timed = async (of: BenchRoom): Promise<number> => {
    const started = performance.now();
    await second.call(of.context("only=agents"));
    return performance.now() - started;
  };
  const reference = await timed(empty);
  const product = await timed(room);
  await second.stop();
  return [
    atMost("load a room of 10 000 keys, 100 000 records", "ms", product, 150, {
      reference,
      against: "an empty room",
    }),
  ];
}

/** 1 000 rooms in turn, against one. */
export async function manyRooms(bench: Bench): Promise<Figure[]> {
  const { ms, warmupMs } = bench;
  const machine = await Machine.start("product");
  const rooms: BenchRoom[] = [];
  for (let i = 0; i < 1_000; i++) rooms.push(await BenchRoom.create(machine, `room-${i}`));
  const loaded = (of: readonly BenchRoom[], forMs: number): Promise<Measured> =>
    measure(machine, 64, of.map((room) => room.add), forMs);
  let one: Measured | undefined, many: Measured | undefined;
  for (let turn = 0; turn < 2; turn++) {
    for (const asked of [rooms.slice(0, 1), rooms]) {
      await loaded(asked, warmupMs);
      const found = await loaded(asked, ms / 2);
      if (asked.length === 1) one = better(one, found);
      else many = better(many, found);
    }
  }
  await machine.stop();
  const pair = (name: "rate" | "cpuUs") => ({
    product: many![name],
    reference: one![name],
    against: "one room",
  });
  return [
    atLeast("1 000 rooms in turn, 64 connections", pair("rate"), 0.9),
    noted("its processor time", "µs", many!.cpuUs, pair("cpuUs")),
  ];
}

/** Memory at rest, and of a key beyond its value. */
export async function memory(_bench: Bench): Promise<Figure[]> {
  const floor = await Machine.start("floor");
  const least = await floor.vitals(true);
  await floor.stop();
  const machine = await Machine.start("product");
  await machine.call({ method: "GET", path: "/healthz" });
  const rest = await machine.vitals(true);
  const room = await BenchRoom.create(machine, "memory");
  await room.fill(50);
  const before = await machine.vitals(true);
  await room.fill(20_000);
  const after = await machine.vitals(true);
  await machine.stop();
  const mebi = 1_048_576;
  const value = JSON.stringify({ n: 100, text: "some text as agents leave it" }).length;
  return [
    atMost("memory at rest, resident", "MiB", rest.rss / mebi, 80, {
      reference: least.rss / mebi,
      against: "floor: its packages alone",
    }),
    atMost("heap at rest", "MiB", rest.heap / mebi, 80, {
      reference: least.heap / mebi,
      against: "floor: its packages alone",
    }),
    atMost(
      "heap per key beyond its value",
      "KiB",
      ((after.heap - before.heap) / 19_950 - value) / 1024,
      3,
    ),
  ];
}
