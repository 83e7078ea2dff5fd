/** One process of the service in a simulated world: it starts, dies, stops, and its clock may jump. */
import type { Service } from "../../main.ts";
import { Random } from "./random.ts";
import type { Databases } from "./libsql.ts";
import { createService, readConfig } from "./product.ts";
import type { Scheduler } from "./scheduler.ts";

/** An instance. `name` stays, `life` counts its starts. */
export class Instance {
  service: Service | undefined;
  /** Milliseconds by which its clock is ahead of the world's. */
  skew = 0;
  life = 0;
  /** The last instant at which anything it needs failed it. */
  troubledAt = 0;
  isStopping = false;
  /** It is to be started before the next step. */
  isDue = false;
  /** Requests that it has taken and not answered: told when it dies. */
  readonly open = new Set<() => void>();
  readonly #nonces: Random;

  constructor(
    readonly name: string,
    private readonly scheduler: Scheduler,
    private readonly databases: Databases,
    private readonly env: Readonly<Record<string, string>>,
    seed: number,
  ) {
    this.#nonces = new Random(seed);
  }

  /** Whose code runs while this life of it does. */
  get owner(): string {
    return `${this.name}.${this.life}`;
  }

  /** Starts it; takes no virtual time. */
  async start(): Promise<void> {
    this.life++;
    this.isStopping = false;
    this.isDue = false;
    const { owner, scheduler } = this;
    const clock = {
      now: () => Math.floor(scheduler.now + this.skew),
      after: (ms: number, run: () => void) => scheduler.after(ms, owner, "timer", run),
      nonce: () => this.#hex(),
    };
    const config = readConfig((name) => this.env[name]);
    this.service = await scheduler.openly(owner, () => createService({ config, clock }));
    this.troubledAt = scheduler.now;
    scheduler.note(`${owner} is up`);
  }

  /** Gone from one moment to the next, with everything in its memory. */
  crash(): void {
    this.databases.disconnect(this.owner);
    this.scheduler.forget(this.owner);
    this.service = undefined;
    this.isStopping = false;
    this.troubledAt = this.scheduler.now;
    const cut = [...this.open];
    this.open.clear();
    for (const tell of cut) tell();
  }

  /** Stops as on SIGTERM: answers who waits, writes what is left, and goes. */
  async stop(): Promise<void> {
    const { service, owner } = this;
    this.isStopping = true;
    await service?.close();
    if (this.owner !== owner || this.service !== service) return;
    this.crash();
  }

  #hex(): string {
    return Array.from(this.#nonces.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join(
      "",
    );
  }
}
