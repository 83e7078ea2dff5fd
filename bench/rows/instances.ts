/**
 * Two instances over one libSQL server: a room that both write to, many rooms from both, and a
 * wait on one that a write on the other wakes, by polling and by hints.
 */
import { freePort, type LibsqlServer, openLibsqlServer } from "../../proof/libsql-server.ts";
import { seeded } from "../../proof/mixed-load.ts";
import { type ServerProcess, startServer } from "../../proof/server.ts";
import { Connection, jsonOf, type RequestSpec } from "../../proof/client.ts";
import { atMost, type Figure } from "../figures.ts";
import { load, wake } from "../load.ts";
import { BenchRoom } from "../rooms.ts";
import type { Bench } from "../run.ts";

const CONNECTIONS = 64;
const ROOMS = 200;
const ROUNDS = 200;

/** Instances over one database, and how to reach the first of them. */
interface Fleet {
  readonly ports: readonly number[];
  call<T>(spec: RequestSpec): Promise<T>;
  stop(): Promise<void>;
}

async function startInstances(
  database: LibsqlServer,
  folder: string,
  instances: number,
  isHinted: boolean,
): Promise<ServerProcess[]> {
  const ports: number[] = [];
  for (let i = 0; i < instances; i++) ports.push(await freePort());
  const started: ServerProcess[] = [];
  for (const port of ports) {
    const peers = ports.filter((other) => other !== port).map((p) => `http://127.0.0.1:${p}`);
    const hints = { SYNC_PEERS: peers.join(","), SYNC_PEER_TOKEN: "one secret for this bench" };
    started.push(
      await startServer({
        folder,
        env: {
          PORT: String(port),
          SYNC_DB: database.url,
          SYNC_LOG_LEVEL: "info",
          ...(isHinted ? hints : {}),
        },
      }),
    );
  }
  return started;
}

async function startFleet(instances: number, isHinted = false): Promise<Fleet> {
  const folder = await Deno.makeTempDir({ prefix: "sync-bench-" });
  const database = await openLibsqlServer();
  const started = await startInstances(database, folder, instances, isHinted);
  const control = await Connection.open(started[0]!.port);
  return {
    ports: started.map(({ port }) => port),
    call: async <T>(spec: RequestSpec): Promise<T> => jsonOf<T>(await control.ask(spec)),
    stop: async () => {
      control.close();
      for (const server of started) await server.stop();
      await database.dispose();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** The same things in another order, a different one for each number: instances do not march in step. */
function shuffled<T>(things: readonly T[], number: number): T[] {
  const chance = seeded(number + 1), left = [...things];
  return things.map(() => left.splice(Math.floor(chance() * left.length), 1)[0]!);
}

/** The same requests through every instance at once; their rates together. */
async function rateOf(fleet: Fleet, bench: Bench, requests: readonly RequestSpec[]) {
  const connections = CONNECTIONS / fleet.ports.length;
  const once = { connections, ms: 60_000, warmupMs: 0, requests, count: requests.length };
  // Every instance has met every room and token before anything is measured.
  for (const port of fleet.ports) await load({ port, ...once });
  const { ms, warmupMs } = bench;
  const results = await Promise.all(
    fleet.ports.map((port, i) =>
      load({ port, connections, ms, warmupMs, requests: shuffled(requests, i) })
    ),
  );
  return results.reduce((sum, { rate }) => sum + rate, 0);
}

async function ratesOf(instances: number, bench: Bench): Promise<{ hot: number; many: number }> {
  const fleet = await startFleet(instances);
  try {
    const machine = { port: fleet.ports[0]!, call: fleet.call };
    const rooms: BenchRoom[] = [];
    for (let i = 0; i < ROOMS; i++) rooms.push(await BenchRoom.create(machine, `room-${i}`));
    const hot = await rateOf(fleet, bench, [rooms[0]!.add]);
    return { hot, many: await rateOf(fleet, bench, rooms.map((room) => room.add)) };
  } finally {
    await fleet.stop();
  }
}

function reaches(what: string, product: number, reference: number, target: number): Figure {
  return {
    what,
    unit: "req/s",
    product,
    reference,
    against: "one instance over a server of its own",
    target: `≥ ${target}`,
    holds: product >= target,
  };
}

/** From the reply to a write on one instance to the answer of a wait on the other. */
async function wakeAcross(isHinted: boolean): Promise<{ p50: number; p99: number }> {
  const fleet = await startFleet(2, isHinted);
  try {
    const [writerPort, port] = fleet.ports as [number, number];
    const room = await BenchRoom.create({ port: writerPort, call: fleet.call }, "wake");
    const wait = `/rooms/${room.id}/wait?timeout=55000&peek=true&only=agents&since={seq}`;
    const job = {
      port,
      writerPort,
      head: room.context("only=agents"),
      waits: [{ method: "GET", path: wait, token: room.token }] as const,
      write: room.add,
      openAtLeast: 1,
    };
    await wake({ ...job, rounds: ROUNDS });
    return await wake({ ...job, rounds: ROUNDS });
  } finally {
    await fleet.stop();
  }
}

/** The rows of two instances over one libSQL server. */
export async function instances(bench: Bench): Promise<Figure[]> {
  const one = await ratesOf(1, bench);
  const two = await ratesOf(2, bench);
  const polled = await wakeAcross(false);
  const hinted = await wakeAcross(true);
  return [
    reaches("two instances, one room from both", two.hot, one.hot, 3_000),
    reaches(`two instances, ${ROOMS} rooms from both`, two.many, one.many, 5_000),
    atMost("woken across instances by polling, p99", "ms", polled.p99, 60, {
      reference: polled.p50,
      against: "p50",
    }),
    atMost("woken across instances by a hint, p99", "ms", hinted.p99, 5, {
      reference: hinted.p50,
      against: "p50",
    }),
  ];
}
