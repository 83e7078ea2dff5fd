/** A gated, durable increment in one room, against the floor. */
import { FLOOR_TOKEN } from "../floor.ts";
import { atLeast, type Figure } from "../figures.ts";
import { load } from "../load.ts";
import { Machine } from "../machines.ts";
import { BenchRoom } from "../rooms.ts";
import type { Bench } from "../run.ts";

/** `connections` clients, each asking again as soon as it is answered. */
export async function invoke(bench: Bench, connections: number, share: number): Promise<Figure[]> {
  const { ms, warmupMs } = bench;
  const floor = await Machine.start("floor");
  const body = { params: { by: 1 } };
  const requests = [{ method: "POST", path: "/invoke", token: FLOOR_TOKEN, body }] as const;
  const least = await load({ port: floor.port, connections, ms, warmupMs, requests });
  await floor.stop();
  const machine = await Machine.start("product");
  const room = await BenchRoom.create(machine, "one");
  const before = await countIn(machine, room);
  const result = await load({
    port: machine.port,
    connections,
    ms,
    warmupMs,
    requests: [room.add],
  });
  const after = await countIn(machine, room);
  await machine.stop();
  if (after - before < result.done) {
    throw new Error(`${result.done} answered, ${after - before} counted`);
  }
  const rates = { product: result.rate, reference: least.rate, against: "floor" };
  return [atLeast(`gated durable increment, ${connections} connection(s)`, rates, share)];
}

async function countIn(machine: Machine, room: BenchRoom): Promise<number> {
  const { state } = await machine.call<{ state: { _shared: { count: { value: number } } } }>(
    room.context("only=state&elision=none"),
  );
  return state._shared.count.value;
}
