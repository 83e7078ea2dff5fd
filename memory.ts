/** What a running service keeps of its rooms' past: snapshots to fold from, samples, retention. */
import type { Engine } from "./engine.ts";
import { Snapshotter } from "./snapshots.ts";

/** The keepers of rooms' past. */
export class Memory {
  readonly snapshots: Snapshotter;

  constructor(engine: Engine) {
    this.snapshots = new Snapshotter(engine);
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.snapshots.idle();
  }
}
