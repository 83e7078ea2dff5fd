/**
 * Bodies on their way in. One that breaks off, or stops arriving, is given up: nobody holds a
 * request open by sending half of it. Whoever owns this sweeps it now and then.
 */
import { SyncError } from "../errors.ts";

/** What is being read at the moment. */
export class Arrivals {
  #young = new Set<() => void>();
  #old = new Set<() => void>();

  /** How many bodies are on their way. */
  get open(): number {
    return this.#young.size + this.#old.size;
  }

  /** What was read. Throws `invalid_json` when it broke off, or was still coming at two sweeps. */
  take<T>(reading: Promise<T>): Promise<T> {
    return this.during(reading.catch((error: unknown) => {
      throw error instanceof SyncError ? error : notWhole();
    }));
  }

  /** What comes of work that reads a body. Throws `invalid_json` when two sweeps found it under way. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => reject(notWhole());
      this.#young.add(giveUp);
      const done = (): void => {
        if (!this.#young.delete(giveUp)) this.#old.delete(giveUp);
      };
      work.then((result) => {
        done();
        resolve(result);
      }, (error) => {
        done();
        reject(error);
      });
    });
  }

  /** The chunks of a long body, each of which has to arrive in time. Throws as `take` does. */
  async *each(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
    const reader = body.getReader();
    try {
      for (;;) {
        const { done, value } = await this.take(reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      reader.releaseLock();
    }
  }

  /** Gives up what has been on its way since the last sweep but one. */
  sweep(): void {
    for (const giveUp of this.#old) giveUp();
    this.#old = this.#young;
    this.#young = new Set();
  }
}

/** The failure of a body that broke off. */
export function notWhole(): SyncError {
  return new SyncError("invalid_json", "The body did not arrive whole.");
}
