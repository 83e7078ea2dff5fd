/** What the engine counts and times of itself: commits, races, rooms coming and going. */
import { Counter, counters, Histogram, SIZES, stopwatch } from "../meters.ts";
import { traced } from "../tracing.ts";
import type { LogRecord } from "../types.ts";

/** The engine's meters. */
export class EngineMeters {
  /** Seconds that writing a group took, whether it was written or not. */
  readonly commitSeconds = new Histogram();
  readonly groupRecords = new Histogram(SIZES);
  /** Records that became durable. */
  readonly records = new Counter();
  /** Tails dropped because another process had written first. */
  readonly lostRaces = new Counter();
  /** Times a command or a look was taken again because what it saw did not become durable. */
  readonly retries = new Counter();
  /** Rooms whose part of a group was not written, by error code. */
  readonly failures = counters("code").with("unavailable", "store_busy", "outcome_unknown");
  readonly loadSeconds = new Histogram();
  /** Rooms let go from memory: `idle`, or `memory` when it was short. */
  readonly evictions = counters("reason").with("idle", "memory");

  /** Runs the write of a group: timed, and one span that hangs together with whoever wrote it. */
  async commit<T>(groups: readonly (readonly LogRecord[])[], run: () => Promise<T>): Promise<T> {
    const records = groups.flat();
    const started = stopwatch();
    this.groupRecords.observe(records.length);
    const attributes = { "sync.records": records.length, "sync.rooms": groups.length };
    try {
      return await traced("commit", { attributes, writes: records }, run);
    } finally {
      this.commitSeconds.since(started);
    }
  }

  /** Runs the load of a cold room. */
  async load<T>(run: () => Promise<T>): Promise<T> {
    const started = stopwatch();
    const loaded = await traced("load", {}, run);
    this.loadSeconds.since(started);
    return loaded;
  }
}
