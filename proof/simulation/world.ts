/** Everything of one run: time, databases, instances, the wire, and the ledger of what happened. */
import { seedChance } from "./chance.ts";
import { Instance } from "./instance.ts";
import { Databases, setDatabases } from "./libsql.ts";
import { type Answer, Ledger } from "./ledger.ts";
import { Random } from "./random.ts";
import { Scheduler, takeOver } from "./scheduler.ts";
import { type Ask, type Fetched, request } from "./transport.ts";
import { CALM, type Climate, drawClimate, Faults } from "./weather.ts";

/** The instant at which every run begins. */
export const START = Date.parse("2026-11-20T08:00:00.000Z");

/** How a run is made; the seed decides what is left out. */
export interface WorldOptions {
  readonly seed: number;
  readonly keepsTrace?: boolean;
  readonly climate?: Climate;
  /** Where the service's own log goes (`json`); nowhere otherwise. */
  readonly log?: string;
  /** Instances over one database; 1 has the database to itself, as a file. */
  readonly instances?: number;
}

/** A simulated world. */
export class World {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly databases: Databases;
  readonly faults: Faults;
  readonly instances: readonly Instance[];
  readonly ledger = new Ledger();
  readonly isShared: boolean;
  readonly #url: string;
  readonly #shards: readonly string[];
  readonly #giveBack: () => void;
  readonly #onRejection: (event: PromiseRejectionEvent) => void;

  constructor(options: WorldOptions) {
    const random = this.random = new Random(options.seed);
    seedChance(random.int(0, 0xffff_ffff));
    this.scheduler = new Scheduler(START, random.fork(), options.keepsTrace ?? false);
    const climate = options.climate ?? drawClimate(random);
    const count = options.instances ?? random.weighted([[2, 1], [4, 2], [1, 3]] as const);
    this.isShared = count > 1;
    const instanceOf = (owner: string): Instance | undefined =>
      this.instances.find((instance) => instance.owner === owner);
    this.faults = new Faults(this.scheduler, random.fork(), climate, instanceOf);
    this.databases = new Databases(this.scheduler, random.fork(), this.faults);
    this.databases.onWritten = () => this.ledger.audit(this.databases.all, this.scheduler.now);
    const url = this.#url = this.isShared ? "http://database.example" : "file:simulated.db";
    this.#shards = this.isShared && random.chance(0.4) ? ["http://second.example"] : [];
    const shards = this.#shards.length > 0 ? { SYNC_SHARDS: this.#shards.join(",") } : {};
    const origin = "http://localhost:8787";
    const env = { SYNC_LOG: options.log ?? "off", SYNC_DB: url, SYNC_ORIGIN: origin, ...shards };
    this.instances = Array.from({ length: count }, (_, i) => {
      const name = `${this.isShared ? "N" : "F"}${i}`;
      const instance = new Instance(name, this.scheduler, this.databases, env, random.int(0, 1e9));
      if (climate !== CALM && random.chance(0.4)) instance.skew = random.skewed(0, 20_000);
      return instance;
    });
    setDatabases(this.databases);
    this.#giveBack = takeOver(this.scheduler);
    this.#onRejection = (event) => {
      event.preventDefault();
      this.ledger.blame(`a rejection that nobody handled: ${textOf(event.reason)}`);
    };
    globalThis.addEventListener("unhandledrejection", this.#onRejection);
    this.scheduler.note(
      `seed ${options.seed}: ${count} instances, ${
        climate === CALM ? "calm" : JSON.stringify(climate)
      }`,
    );
  }

  /** Makes the databases and starts every instance. */
  async begin(): Promise<void> {
    await this.databases.make([this.#url, ...this.#shards]);
    for (const instance of this.instances) await instance.start();
  }

  /** Sends a request to an instance. */
  request(to: Instance, ask: Ask): Promise<Fetched> {
    return request(this, to, ask);
  }

  /** Looks at every answer on its way out. */
  witness(ask: Ask, { status, text }: Answer): void {
    if (status >= 500 && status !== 503) {
      this.ledger.blame(`${ask.method} ${ask.path} answered ${status}: ${text.slice(0, 300)}`);
    }
    if (status === 503) this.ledger.counts.uncertain++;
  }

  /** Lets things happen until something is so. Throws when nothing can happen any more. */
  async until(isSo: () => boolean, stepsMax: number): Promise<void> {
    const last = this.scheduler.steps + stepsMax;
    while (!isSo()) {
      for (const instance of this.instances) if (instance.isDue) await instance.start();
      if (this.ledger.wrong.length > 0) return;
      if (this.scheduler.steps > last) {
        return this.ledger.blame(`it is not over after ${stepsMax} steps`);
      }
      if (!await this.scheduler.step()) return this.ledger.blame("nothing can happen any more");
      this.#checkMemories();
    }
  }

  /** Runs a story to its end. */
  async through<T>(story: () => Promise<T>, stepsMax: number): Promise<T | undefined> {
    let outcome: { value: T } | undefined;
    let failure: unknown;
    story().then((value) => outcome = { value }, (error) => failure = error ?? "nothing");
    await this.until(() => outcome !== undefined || failure !== undefined, stepsMax);
    if (failure !== undefined) this.ledger.blame(`the story broke: ${textOf(failure)}`);
    return outcome?.value;
  }

  /** In every memory the tail is what is durable and what is pending, and no more. */
  #checkMemories(): void {
    for (const { service, owner } of this.instances) {
      for (const hot of service?.engine.hotRooms ?? []) {
        if (hot.isDead || hot.room.head - hot.durable === hot.pending.length) continue;
        const { id, head } = hot.room;
        this.ledger.blame(
          `${owner} holds ${id} at ${head}, ${hot.durable} durable, ${hot.pending.length} pending`,
        );
      }
    }
  }

  /** Gives the process back. */
  dispose(): void {
    globalThis.removeEventListener("unhandledrejection", this.#onRejection);
    this.#giveBack();
    setDatabases(undefined);
    for (const database of this.databases.all) database.close();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
