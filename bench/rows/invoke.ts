/** A gated, durable increment in one room, against the floor. */
import { FLOOR_TOKEN } from "../floor.ts";
import type { RequestSpec } from "../../proof/client.ts";
import { atLeast, atMostTimes, type Figure } from "../figures.ts";
import { load } from "../load.ts";
import { Machine } from "../machines.ts";
import { BenchRoom } from "../rooms.ts";
import type { Bench } from "../run.ts";

/** What a server does under a load: requests a second, and its own processor time for each. */
export interface Measured {
  readonly rate: number;
  /** Microseconds a request. */
  readonly cpuUs: number;
  readonly done: number;
}

/** Loads a server once. */
export async function measure(
  machine: Machine,
  connections: number,
  requests: readonly RequestSpec[],
  ms: number,
): Promise<Measured> {
  const before = await machine.vitals();
  const { done, rate } = await load({
    port: machine.port,
    connections,
    requests,
    ms,
    warmupMs: 0,
  });
  const after = await machine.vitals();
  return { rate, cpuUs: (after.cpuMs - before.cpuMs) * 1000 / done, done };
}

/** The better of two: a busy machine must not decide between what is compared. */
export function better(a: Measured | undefined, b: Measured): Measured {
  if (!a) return b;
  return {
    rate: Math.max(a.rate, b.rate),
    cpuUs: Math.min(a.cpuUs, b.cpuUs),
    done: a.done + b.done,
  };
}

/** `connections` clients, each asking again as soon as it is answered; floor and product in turn. */
export async function invoke(bench: Bench, connections: number, share: number): Promise<Figure[]> {
  const floor = await Machine.start("floor"), machine = await Machine.start("product");
  const room = await BenchRoom.create(machine, "one");
  const body = { params: { by: 1 } };
  const least = [{ method: "POST", path: "/invoke", token: FLOOR_TOKEN, body } as const];
  // Twice as long as other rows: the engine goes on compiling for many thousands of requests.
  await measure(floor, connections, least, 2 * bench.warmupMs);
  await measure(machine, connections, [room.add], 2 * bench.warmupMs);
  const before = await countIn(machine, room);
  let reference: Measured | undefined, product: Measured | undefined;
  for (let turn = 0; turn < 2; turn++) {
    reference = better(reference, await measure(floor, connections, least, bench.ms / 2));
    product = better(product, await measure(machine, connections, [room.add], bench.ms / 2));
  }
  const after = await countIn(machine, room);
  await floor.stop();
  await machine.stop();
  if (after - before < product!.done) {
    throw new Error(`${product!.done} answered, ${after - before} counted`);
  }
  const pair = (name: "rate" | "cpuUs") => ({
    product: product![name],
    reference: reference![name],
    against: "floor",
  });
  return [
    atLeast(`gated durable increment, ${connections} connection(s)`, pair("rate"), share),
    atMostTimes(
      `its processor time, ${connections} connection(s)`,
      "µs",
      pair("cpuUs"),
      1 / share,
    ),
  ];
}

async function countIn(machine: Machine, room: BenchRoom): Promise<number> {
  const { state } = await machine.call<{ state: { _shared: { count: { value: number } } } }>(
    room.context("only=state&elision=none"),
  );
  return state._shared.count.value;
}
