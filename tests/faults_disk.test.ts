/**
 * The real server on a disk that is full, read-only, or locked by somebody else: 503 until it can
 * write again, reads meanwhile, nothing acknowledged lost, and no restart.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { limitFileSize, underFileSizeLimit } from "../proof/disk.ts";
import { mustBeSound } from "../proof/crash-rounds.ts";
import { type AskServer, MixedLoad, seeded } from "../proof/mixed-load.ts";
import { launchServer, type ServerProcess, startServer } from "../proof/server.ts";

const SEED = 20_261_121;
const CLIENTS = 6;

/** A server in a folder of its own, and what it was told on the way. */
interface Patient {
  readonly server: ServerProcess;
  readonly folder: string;
  readonly load: MixedLoad;
  readonly ask: AskServer;
  /** The token of a room in which nothing happens. */
  readonly quiet: string;
  /** Runs the load until so many more commands were answered in one way. */
  until(what: "acknowledged" | "refused", n: number): Promise<void>;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function refusals(load: MixedLoad): number {
  return [...load.refused.values()].reduce((sum, n) => sum + n, 0);
}

async function withServer(
  under: readonly string[],
  test: (patient: Patient) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-disk-"));
  const server = await startServer({ folder, under });
  try {
    const ask: AskServer = (...request) => server.ask(...request);
    const load = await MixedLoad.begin(ask, "x", seeded(SEED));
    const until: Patient["until"] = async (what, n) => {
      const count = (): number => what === "refused" ? refusals(load) : load.acknowledged.length;
      const goal = count() + n;
      await load.run(ask, CLIENTS, () => count() >= goal);
    };
    const { body } = await ask("POST", "/rooms", { body: { id: "quiet" } });
    await test({ server, folder, load, ask, until, quiet: body.token });
    await load.check(ask);
    assert.equal(await server.stop(), 0, server.output());
    await mustBeSound(folder);
    const again = await startServer({ folder });
    await load.check((...request) => again.ask(...request));
    assert.equal(await again.stop(), 0);
  } finally {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

/** What goes on while nothing can be written: what needs no record, which what is due does. */
async function mustBeReadable({ ask, quiet }: Patient): Promise<void> {
  for (const path of ["context?only=state", "poll", "wait?timeout=50", "log"]) {
    const { status, text } = await ask("GET", `/rooms/quiet/${path}`, { token: quiet });
    assert.equal(status, 200, `${path}: ${text}`);
  }
  assert.equal((await ask("GET", "/healthz")).status, 200);
}

async function mustNotBeReady({ ask }: Patient): Promise<void> {
  const ready = await ask("GET", "/readyz");
  assert.equal(ready.status, 503, ready.text);
  assert.match(ready.headers.get("Retry-After") ?? "", /^\d+$/);
}

Deno.test("A disk that fills up in the middle of load: 503, reads go on, and writes too once there is room", async () => {
  await withServer(underFileSizeLimit(1_500_000), async (patient) => {
    const { server, load, until, ask } = patient;
    await until("refused", 40);
    assert.ok(load.acknowledged.length > 20, "it was full from the beginning");
    assert.deepEqual([...load.refused.keys()], ["unavailable"]);
    await mustBeReadable(patient);
    await limitFileSize(server.pid, undefined);
    assert.equal((await ask("GET", "/readyz")).status, 200);
    await until("acknowledged", 60);
  });
});

Deno.test("A database that cannot be written for a while: 503, nothing half written, and on it goes", async () => {
  await withServer(underFileSizeLimit(100_000_000), async (patient) => {
    const { server, load, until, ask } = patient;
    await until("acknowledged", 30);
    const before = load.acknowledged.length;
    for (let times = 0; times < 3; times++) {
      await limitFileSize(server.pid, 0);
      await until("refused", 20);
      await mustBeReadable(patient);
      await mustNotBeReady(patient);
      const made = await ask("POST", "/rooms", { body: { id: "later" } });
      assert.equal(made.status, 503, made.text);
      await limitFileSize(server.pid, undefined);
      await until("acknowledged", 20);
    }
    assert.ok(load.acknowledged.length >= before + 60);
    const made = await ask("POST", "/rooms", { body: { id: "later" } });
    assert.equal(made.status, 201, made.text);
  });
});

Deno.test("A server that finds its database unwritable at the start says so and leaves with an error", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-disk-"));
  const { ended, output } = launchServer({ folder, under: underFileSizeLimit(0) });
  assert.equal(await ended, 1, output());
  assert.match(output(), /"level":"error".*sync\.db/);
  assert.doesNotMatch(output(), /Uncaught/);
  const server = await startServer({ folder });
  assert.equal((await server.ask("GET", "/readyz")).status, 200);
  assert.equal(await server.stop(), 0);
  await rm(folder, { recursive: true, force: true });
});

Deno.test("A database that somebody else locks: short locks are waited for, long ones are a 503", async () => {
  await withServer([], async (patient) => {
    const { folder, load, until } = patient;
    await until("acknowledged", 20);
    const other = new DatabaseSync(join(folder, "sync.db"), { timeout: 5_000 });
    const held = async (run: () => Promise<unknown>): Promise<void> => {
      other.exec("BEGIN IMMEDIATE");
      try {
        await run();
      } finally {
        other.exec("ROLLBACK");
      }
    };
    let running: Promise<void> | undefined;
    await held(async () => {
      running = until("acknowledged", 20);
      await pause(600);
    });
    await running;
    assert.equal(refusals(load), 0, "a lock of half a second refuses nobody");
    await held(async () => {
      running = until("refused", 1);
      while (refusals(load) === 0) await pause(20);
      await mustBeReadable(patient);
    });
    await running;
    assert.deepEqual([...load.refused.keys()], ["store_busy"]);
    await until("acknowledged", 30);
    other.close();
  });
});
