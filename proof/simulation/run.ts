/** One seed from its beginning to the verdict. */
import { Client, type RoomRef } from "./clients.ts";
import { isGone, reaches } from "./conditions.ts";
import type { Instance } from "./instance.ts";
import { judge } from "./judge.ts";
import { firstDifference, hotFromRows } from "./product.ts";
import { live, makeRoom } from "./workload.ts";
import { World, type WorldOptions } from "./world.ts";

/** What a run came to. */
export interface Verdict {
  readonly seed: number;
  /** What was found wrong; empty when all is well. */
  readonly wrong: readonly string[];
  /** Digest of everything that happened, in order. */
  readonly digest: string;
  readonly steps: number;
  readonly lines: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** Milliseconds of virtual time. */
  readonly tookMs: number;
}

const STEPS_MAX = 60_000;

/** Runs a seed. One at a time in a process: it takes the process's timers and turns. */
export async function runSeed(options: WorldOptions): Promise<Verdict> {
  const world = new World(options);
  const { scheduler, ledger, random } = world;
  const from = scheduler.now;
  try {
    await world.begin();
    const host = new Client("host", world, random.fork());
    await world.through(() => story(world, host), STEPS_MAX);
    if (ledger.wrong.length === 0) await scheduler.openly("", () => compare(world));
    if (ledger.wrong.length === 0) await judge(ledger, world.databases.all);
    return {
      seed: options.seed,
      wrong: ledger.wrong,
      digest: scheduler.digest(),
      steps: scheduler.steps,
      lines: scheduler.lines,
      counts: {
        ...ledger.counts,
        records: [...ledger.rooms.values()].reduce((n, r) => n + r.head, 0),
      },
      tookMs: scheduler.now - from,
    };
  } finally {
    world.dispose();
  }
}

/** Rooms are set up in peace, then everybody lives in the weather, then it ends. */
async function story(world: World, host: Client): Promise<void> {
  const { random, scheduler, faults } = world;
  const rooms: RoomRef[] = [];
  for (let i = random.int(1, 2); i > 0; i--) rooms.push(await makeRoom(host, `room${i}`));
  const clients = Array.from(
    { length: random.int(2, 6) },
    (_, i) => new Client(`c${i}`, world, random.fork()),
  );
  faults.begin(random.fork(), world.instances);
  await Promise.all(clients.map((client) => live(client, rooms, random.int(5, 20))));
  faults.end();
  const ahead = Math.max(...world.instances.map(({ skew }) => skew));
  for (const instance of world.instances) {
    if (!instance.service) instance.isDue = true;
    // The clocks agree again.
    instance.skew = ahead;
  }
  // What was under way when the weather ended still arrives.
  await scheduler.sleep(8_000);
  await last(host, rooms, world.instances);
}

/** In good weather everything works: waits are told of what another instance does, logs are whole. */
async function last(host: Client, rooms: readonly RoomRef[], instances: readonly Instance[]) {
  const { ledger } = host.world;
  for (const room of rooms) {
    const before = await host.look(room, "alice", instances[0]!);
    const { state } = JSON.parse(before!.text) as { state: { _shared: Record<string, number> } };
    const goal = (state._shared["n_0"] ?? 0) + 1;
    const waits = instances.map((instance, i) =>
      host.wait(
        room,
        ["alice", "bob", "carol"][i % 3]!,
        { condition: reaches("n_0", goal) },
        20_000,
        instance,
      )
    );
    await host.world.scheduler.sleep(100);
    await host.deed(room, "bob", "inc", { k: "0" }, { isKeyed: true });
    const told = await Promise.all(waits);
    if (told.includes(false)) ledger.blame(`${room.name}: not everybody was told: ${told}`);
    await host.deed(room, "bob", "put", { k: "0", v: 1, ms: 400 }, { isKeyed: true });
    const { now } = host.world.scheduler;
    await host.wait(room, "alice", { condition: isGone("t_0") }, 20_000);
    const late = host.world.scheduler.now - now;
    if (late > 8_000) ledger.blame(`${room.name}: what was due after 400 ms ended after ${late}`);
    for (const instance of instances) {
      await host.look(room, "admin", instance);
      const path = `/rooms/${room.name}/verify`;
      const { text } = await host.insist({ method: "GET", path, token: room.admin }, instance);
      const { ok } = JSON.parse(text) as { ok?: boolean };
      if (ok !== true) ledger.blame(`${room.name} is not whole: ${text}`);
    }
  }
}

/** Every memory holds what the tables say. */
async function compare({ instances, ledger }: World): Promise<void> {
  for (const { service, owner } of instances) {
    for (const hot of [...service?.engine.hotRooms ?? []]) {
      const row = await service!.store.findRoom(hot.room.id);
      // The room has ended, and another may have its name.
      if (row?.uid !== hot.room.uid) continue;
      const tables = hotFromRows(await service!.store.loadRoom(row, 0), 0).room;
      // An instance nobody asks stands where it was; what it stands at is compared by whoever asks.
      if (tables.head !== hot.room.head) continue;
      const difference = firstDifference(hot.room, tables);
      if (difference !== undefined) {
        ledger.blame(`${owner}: ${hot.room.id} differs from its tables at ${difference}`);
      }
    }
  }
}
