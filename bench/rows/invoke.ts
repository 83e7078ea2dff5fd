/** A gated, durable increment in one room, against the floor. */
import { FLOOR_TOKEN } from "../floor.ts";
import type { RequestSpec } from "../../proof/client.ts";
import { atLeast, atMostTimes, type Figure } from "../figures.ts";
import { load, type LoadResult } from "../load.ts";
import { Machine } from "../machines.ts";
import { BenchRoom } from "../rooms.ts";
import type { Bench } from "../run.ts";

/** A load and the server's own processor time for it, in microseconds a request. */
async function measured(
  machine: Machine,
  bench: Bench,
  connections: number,
  request: RequestSpec,
): Promise<{ readonly result: LoadResult; readonly cpuUs: number }> {
  const asked = { port: machine.port, connections, warmupMs: 0, requests: [request] };
  await load({ ...asked, ms: bench.warmupMs });
  const before = await machine.vitals();
  const result = await load({ ...asked, ms: bench.ms });
  const after = await machine.vitals();
  return { result, cpuUs: (after.cpuMs - before.cpuMs) * 1000 / result.done };
}

/** `connections` clients, each asking again as soon as it is answered. */
export async function invoke(bench: Bench, connections: number, share: number): Promise<Figure[]> {
  const floor = await Machine.start("floor");
  const body = { params: { by: 1 } };
  const least = await measured(floor, bench, connections, {
    method: "POST",
    path: "/invoke",
    token: FLOOR_TOKEN,
    body,
  });
  await floor.stop();
  const machine = await Machine.start("product");
  const room = await BenchRoom.create(machine, "one");
  const before = await countIn(machine, room);
  const found = await measured(machine, bench, connections, room.add);
  const after = await countIn(machine, room);
  await machine.stop();
  if (after - before < found.result.done) {
    throw new Error(`${found.result.done} answered, ${after - before} counted`);
  }
  const against = "floor";
  const rates = { product: found.result.rate, reference: least.result.rate, against };
  const costs = { product: found.cpuUs, reference: least.cpuUs, against };
  return [
    atLeast(`gated durable increment, ${connections} connection(s)`, rates, share),
    atMostTimes(`its processor time, ${connections} connection(s)`, "µs", costs, 1 / share),
  ];
}

async function countIn(machine: Machine, room: BenchRoom): Promise<number> {
  const { state } = await machine.call<{ state: { _shared: { count: { value: number } } } }>(
    room.context("only=state&elision=none"),
  );
  return state._shared.count.value;
}
