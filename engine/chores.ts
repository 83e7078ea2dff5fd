/** What is done by and by: rows of deleted rooms go in pieces, and errands left by a crash are run. */
import { SyncError } from "../errors.ts";
import { ERRANDS_MS } from "../limits.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { Clock } from "./types.ts";

const PURGE_FIRST_MS = 100;
const PURGE_NEXT_MS = 20;
const PURGE_AGAIN_MS = 5_000;
const PURGE_ROWS = 2_000;

/** The chores of one process. */
export class Chores {
  #isStopped = false;
  #isPurging = false;
  /** Another room was deleted since the last piece was begun. */
  #isDue = false;
  #cancel: (() => void) | undefined;

  constructor(private readonly store: Store, private readonly clock: Clock) {
    if (store.shards.length > 1) this.runErrands();
  }

  /** Begins no more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** A room was deleted: its rows are purged soon, one piece at a time however many are deleted. */
  purgeSoon(): void {
    this.#isDue = true;
    if (this.#isPurging) return;
    this.#isPurging = true;
    this.clock.after(PURGE_FIRST_MS, () => void this.purge());
  }

  private async purge(): Promise<void> {
    if (this.#isStopped) return;
    let pause: Millis = PURGE_NEXT_MS;
    this.#isDue = false;
    try {
      if (!await this.store.purgeDeleted(PURGE_ROWS) && !this.#isDue) {
        this.#isPurging = false;
        return;
      }
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      pause = PURGE_AGAIN_MS;
    }
    this.clock.after(pause, () => void this.purge());
  }

  private runErrands(): void {
    this.#cancel = this.clock.after(ERRANDS_MS, () => {
      void this.store.sweepErrands().finally(() => {
        if (!this.#isStopped) this.runErrands();
      });
    });
  }
}
