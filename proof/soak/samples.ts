/** A soak's samples: how the server is, every some seconds. */
import type { Files, SoakMachine } from "./machine.ts";
import type { Latency, Tally } from "./tally.ts";

/** How the server is at one moment. Bytes, milliseconds, and seconds since the start. */
export interface Sample {
  readonly atS: number;
  readonly rss: number;
  readonly heap: number;
  /** Is the heap that of a moment right after collection? */
  readonly isSettled: boolean;
  readonly heapTotal: number;
  readonly external: number;
  /** Processor time in this window, as a share of one core. */
  readonly cores: number;
  readonly files: Files;
  /** Records and groups committed since the server's start. */
  readonly records: number;
  readonly groups: number;
  readonly roomsHot: number;
  /** Rooms let go from memory since the server's start. */
  readonly evicted: number;
  readonly waitsOpen: number;
  readonly streamsOpen: number;
  /** Records not yet in the database. */
  readonly pending: number;
  readonly underWay: number;
  /** The longest that the driver itself was late in this window: large, and latencies are its own. */
  readonly lateMs: number;
  /** The machine's load average over one minute, from whomever. */
  readonly load: number;
  readonly failures: number;
  readonly latencies: Readonly<Record<string, Latency>>;
}

/** Takes samples of one run, one after the other. */
export class Sampler {
  readonly samples: Sample[] = [];
  #cpuMs = 0;
  #at: number;

  constructor(
    private readonly machine: SoakMachine,
    private readonly tally: Tally,
    private readonly underWay: () => number,
    private readonly start: number,
  ) {
    this.#at = start;
  }

  /** Takes one; `settle` collects the server's garbage first. */
  async take(settle: boolean): Promise<Sample> {
    const lateMs = Math.round(this.tally.late);
    const latencies = this.tally.drain();
    const { rss, heap, heapTotal, external, cpuMs } = await this.machine.vitals(settle);
    const metrics = await this.machine.metrics();
    const metric = (name: string): number => {
      const value = metrics.get(name);
      if (value === undefined) throw new Error(`/metrics shows no ${name}`);
      return value;
    };
    const now = performance.now();
    const sample: Sample = {
      atS: Math.round((now - this.start) / 1000),
      rss,
      heap,
      isSettled: settle,
      heapTotal,
      external,
      cores: Math.round((cpuMs - this.#cpuMs) / (now - this.#at) * 100) / 100,
      files: await this.machine.files(),
      records: metric("sync_records_total"),
      groups: metric("sync_commit_group_records_count"),
      roomsHot: metric("sync_rooms_hot"),
      // Shown only once there was one.
      evicted: metrics.get("sync_room_evictions_total") ?? 0,
      waitsOpen: metric("sync_waits_open"),
      streamsOpen: metric("sync_streams_open"),
      pending: metric("sync_records_pending"),
      underWay: this.underWay(),
      lateMs,
      load: Math.round(Deno.loadavg()[0]! * 100) / 100,
      failures: [...this.tally.failures.values()].reduce((sum, n) => sum + n, 0),
      latencies,
    };
    this.#cpuMs = cpuMs;
    this.#at = now;
    this.samples.push(sample);
    return sample;
  }
}
