/**
 * `deno task profile [invoke|context|wait|floor] [--connections=64] [--ms=5000] [--save=<file>]`:
 * samples the server under a load and prints where its processor time and its allocations go, by
 * function and by module. `--save` keeps the processor samples for a browser's developer tools.
 */
import { FLOOR_TOKEN } from "./floor.ts";
import type { RequestSpec } from "../proof/client.ts";
import { load } from "./load.ts";
import { Machine } from "./machines.ts";
import { BenchRoom } from "./rooms.ts";
import {
  type CpuSamples,
  type HeapSamples,
  hottest,
  type Share,
  type Shares,
  shares,
} from "./samples.ts";

const MODULES = 30;
const FUNCTIONS = 45;
const WARMUP_MS = 8_000;

function option(name: string): string | undefined {
  return Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

/** The requests of a load by name. */
async function requestsOf(what: string, machine: Machine): Promise<RequestSpec[]> {
  if (what === "floor") {
    const body = { params: { by: 1 } };
    return [{ method: "POST", path: "/invoke", token: FLOOR_TOKEN, body }];
  }
  if (what === "rooms") {
    const rooms: BenchRoom[] = [];
    for (let i = 0; i < 1_000; i++) rooms.push(await BenchRoom.create(machine, `room-${i}`));
    return rooms.map((room) => room.add);
  }
  const room = await BenchRoom.create(machine, "profiled");
  await room.fill(200);
  if (what === "invoke") return [room.add];
  if (what === "context") return [room.context("elision=none")];
  if (what === "poll") return [room.context("only=agents")];
  throw new Error(`no load "${what}": invoke, rooms, context, poll, floor`);
}

/** Prints parts of the whole: own, with callees, and what that is of one request. */
function print(title: string, found: readonly Share[], each: (share: number) => string): void {
  console.log(`\n${title}\n      own    total   own each`);
  for (const { name, self, total } of found) {
    const percent = (share: number): string => `${(share * 100).toFixed(1)} %`.padStart(8);
    console.log(`${percent(self)} ${percent(total)} ${each(self).padStart(10)}  ${name}`);
  }
}

async function main(): Promise<void> {
  const what = Deno.args.find((arg) => !arg.startsWith("--")) ?? "invoke";
  const connections = Number(option("connections") ?? 64), ms = Number(option("ms") ?? 4_000);
  const machine = await Machine.start(what === "floor" ? "floor" : "product");
  const requests = await requestsOf(what, machine);
  const asked = { port: machine.port, connections, warmupMs: 0, requests, ms };
  await load({ ...asked, ms: WARMUP_MS });
  const before = await machine.vitals();
  const { done } = await load(asked);
  const after = await machine.vitals();
  const us = (after.cpuMs - before.cpuMs) * 1_000 / done;
  const [cpu, inTime] = await machine.sampled("cpu", () => load(asked));
  const [heap, inSpace] = await machine.sampled("heap", () => load(asked));
  await machine.stop();
  const saved = option("save");
  if (saved !== undefined) await Deno.writeTextFile(saved, cpu);
  report(what, connections, us, {
    time: shares(JSON.parse(cpu) as CpuSamples),
    requestsInTime: inTime.done,
    space: shares(JSON.parse(heap) as HeapSamples),
    requestsInSpace: inSpace.done,
  });
}

function report(what: string, connections: number, us: number, found: {
  readonly time: Shares;
  readonly requestsInTime: number;
  readonly space: Shares;
  readonly requestsInSpace: number;
}): void {
  const { time, space } = found;
  const script = time.sum / found.requestsInTime, bytes = space.sum / found.requestsInSpace;
  const inUs = (share: number): string => `${(share * script).toFixed(2)} µs`;
  const inBytes = (share: number): string => `${(share * bytes).toFixed(0)} B`;
  console.log(
    `${what}, ${connections} connections: ${us.toFixed(1)} µs of processor time a request,`,
  );
  console.log(
    `of which script and what it calls ${script.toFixed(1)} µs; ${bytes.toFixed(0)} B allocated`,
  );
  print("Processor time by module", time.modules.slice(0, MODULES), inUs);
  print("Processor time by function", time.functions.slice(0, FUNCTIONS), inUs);
  print(
    "Processor time by function, with callees",
    hottest(time.functions).slice(0, FUNCTIONS),
    inUs,
  );
  print("Allocations by function", space.functions.slice(0, FUNCTIONS), inBytes);
}

await main();
