/** What a running service keeps of its rooms' past: snapshots to fold from, samples, retention. */
import type { Engine } from "./engine.ts";
import { Retention } from "./retention.ts";
import { Sampler } from "./samples.ts";
import { Signer } from "./signing.ts";
import { Snapshotter } from "./snapshots.ts";
import { sweepPrepared } from "./store/snapshots.ts";

/** No import takes this long: a day. */
const PREPARED_MS = 86_400_000;

/** The keepers of rooms' past. */
export class Memory {
  readonly snapshots: Snapshotter;
  readonly samples: Sampler;
  readonly retention: Retention;

  #signer: Promise<Signer> | undefined;

  constructor(private readonly engine: Engine) {
    this.snapshots = new Snapshotter(engine);
    this.samples = new Sampler(engine);
    this.retention = new Retention(engine, () => this.signer());
  }

  /** Clears away what imports and forks left behind when a server fell. */
  async start(): Promise<void> {
    await sweepPrepared(this.engine.store, this.engine.clock.now() - PREPARED_MS);
  }

  /** The server's key, drawn at its first use. */
  signer(): Promise<Signer> {
    this.#signer ??= Signer.load(this.engine.store).catch((error) => {
      this.#signer = undefined;
      throw error;
    });
    return this.#signer;
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.snapshots.idle();
    await this.retention.idle();
    await this.samples.close();
  }
}
