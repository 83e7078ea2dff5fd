/**
 * Rounds of SIGKILL at random moments: under a mixed load, and while the server starts. After
 * each the file as it was left is sound, and everything the server had said holds.
 */
import assert from "node:assert/strict";
import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type AskServer, MixedLoad, seeded } from "./mixed-load.ts";
import { launchServer, type ServerProcess, startServer } from "./server.ts";

/** What a run is to do. */
export interface CrashPlan {
  readonly rounds: number;
  readonly seed: number;
  /** Told after every round. */
  readonly report?: (figures: CrashFigures) => void;
}

/** What a run has come to. */
export interface CrashFigures {
  readonly round: number;
  readonly acknowledged: number;
  /** Commands whose answer the kill has swallowed. */
  readonly inDoubt: number;
  /** Kills before the server listened. */
  readonly atStart: number;
}

const CLIENTS = 8;
const LOAD_MS_MAX = 300;
const START_MS_MAX = 450;
/** One round in so many is begun with a kill during the start. */
const AT_START_EVERY = 8;
const ROUNDS_PER_ROOM = 10;

/** Throws at the first round after which anything is not as it was said, naming round and seed. */
export async function crashRounds({ rounds, seed, report }: CrashPlan): Promise<CrashFigures> {
  const folder = await mkdtemp(join(tmpdir(), "sync-crash-"));
  const run = new CrashRun(folder, seeded(seed));
  try {
    for (let round = 1; round <= rounds; round++) {
      try {
        await run.round(round);
      } catch (error) {
        const said = run.server?.output().split("\n").slice(-5).join("\n");
        throw new Error(`round ${round} of seed ${seed}: ${said}`, { cause: error });
      }
      report?.(run.figures(round));
    }
    assert.equal(await run.server!.stop(), 0, "the server does not stop politely");
    return run.figures(rounds);
  } finally {
    await run.server?.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

class CrashRun {
  server: ServerProcess | undefined;
  #load: MixedLoad | undefined;
  #acknowledged = 0;
  #inDoubt = 0;
  #atStart = 0;

  constructor(private readonly folder: string, private readonly chance: () => number) {}

  figures(round: number): CrashFigures {
    const acknowledged = this.#acknowledged + (this.#load?.acknowledged.length ?? 0);
    return { round, acknowledged, inDoubt: this.#inDoubt, atStart: this.#atStart };
  }

  async round(round: number): Promise<void> {
    this.server ??= await startServer({ folder: this.folder });
    const ask: AskServer = (...request) => this.server!.ask(...request);
    if ((round - 1) % ROUNDS_PER_ROOM === 0) {
      this.#acknowledged += this.#load?.acknowledged.length ?? 0;
      this.#load = await MixedLoad.begin(ask, `room-${round}`, this.chance);
    }
    const load = this.#load!;
    const { server } = this;
    let isOver = false;
    const killing = pause(this.chance() * LOAD_MS_MAX).then(async () => {
      await server.kill();
      isOver = true;
    });
    // Together, so that what the load finds wrong is not lost while the kill is waited for.
    await Promise.all([load.run(ask, CLIENTS, () => isOver), killing]);
    this.#inDoubt += load.inDoubt.length;
    await mustBeSound(this.folder);
    if (round % AT_START_EVERY === 0) await this.killAtStart();
    this.server = await startServer({ folder: this.folder });
    await load.check(ask);
  }

  private async killAtStart(): Promise<void> {
    this.#atStart++;
    const starting = launchServer({ folder: this.folder });
    await pause(this.chance() * START_MS_MAX);
    await starting.kill();
    await mustBeSound(this.folder);
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Looks at a copy of what a killed server left, so that the server itself finds it as it was. */
export async function mustBeSound(folder: string): Promise<void> {
  const copy = await mkdtemp(join(tmpdir(), "sync-image-"));
  try {
    for (const name of await readdir(folder)) {
      if (name.startsWith("sync.db")) await copyFile(join(folder, name), join(copy, name));
    }
    const database = new DatabaseSync(join(copy, "sync.db"));
    const found = database.prepare("PRAGMA integrity_check").all();
    database.close();
    assert.deepEqual(found.map((row) => ({ ...row })), [{ integrity_check: "ok" }]);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
