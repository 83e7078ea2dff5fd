/** Prometheus metrics that answer "is it well?". No label carries anything of a room. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Engine } from "../engine.ts";
import type { Waits } from "../wait.ts";

const SECONDS = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  10,
  30,
  60,
];

/** The service's metrics. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: "sync_requests_total",
    help: "Requests by route and status.",
    labelNames: ["method", "route", "status"],
    registers: [this.#registry],
  });
  readonly #latency = new Histogram({
    name: "sync_request_seconds",
    help: "Seconds a request took, by route; waits last as long as they wait.",
    labelNames: ["route"],
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly #refusals = new Counter({
    name: "sync_refusals_total",
    help: "Refusals by error code.",
    labelNames: ["code"],
    registers: [this.#registry],
  });

  constructor(engine: Engine, waits: Waits) {
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(read());
        },
      });
    };
    gauge("sync_rooms_hot", "Rooms in memory.", () => [...engine.hotRooms].length);
    gauge("sync_waits_open", "Open waits.", () => waits.open);
    gauge("sync_commit_groups", "Groups committed since the start.", () => engine.commits.groups);
    gauge(
      "sync_commit_records",
      "Records committed since the start.",
      () => engine.commits.records,
    );
    gauge("sync_records_pending", "Records not yet in the database.", () => {
      let pending = 0;
      for (const hot of engine.hotRooms) pending += hot.pending.length;
      return pending;
    });
    gauge("sync_memory_bytes", "Resident memory.", () => Deno.memoryUsage().rss);
  }

  /** What counts the requests of one route: its labels are put together once. */
  counterOf(method: string, route: string): (status: number, seconds: number) => void {
    const latency = this.#latency.labels({ route });
    const byStatus = new Map<number, { inc(): void }>();
    return (status, seconds) => {
      let requests = byStatus.get(status);
      if (!requests) {
        byStatus.set(status, requests = this.#requests.labels({ method, route, status }));
      }
      requests.inc();
      latency.observe(seconds);
    };
  }

  /** Counts one refusal. */
  refused(code: string): void {
    this.#refusals.inc({ code });
  }

  /** The exposition format. */
  async render(): Promise<Response> {
    return new Response(await this.#registry.metrics(), {
      headers: { "Content-Type": this.#registry.contentType },
    });
  }
}
