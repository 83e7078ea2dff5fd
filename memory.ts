/** What a running service keeps of its rooms' past: snapshots to fold from, samples, retention. */
import type { Engine } from "./engine.ts";
import { Sampler } from "./samples.ts";
import { Signer } from "./signing.ts";
import { Snapshotter } from "./snapshots.ts";

/** The keepers of rooms' past. */
export class Memory {
  readonly snapshots: Snapshotter;
  readonly samples: Sampler;

  #signer: Promise<Signer> | undefined;

  constructor(private readonly engine: Engine) {
    this.snapshots = new Snapshotter(engine);
    this.samples = new Sampler(engine);
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
    await this.samples.close();
  }
}
