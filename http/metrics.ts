/**
 * Metrics that answer "is it well?": the meters that the parts keep, under the names that
 * `/metrics` shows. No label carries anything of a room, an agent or a token.
 */
import type { Auth } from "../auth.ts";
import type { Config } from "../config.ts";
import type { Engine } from "../engine.ts";
import type { Streams } from "../events.ts";
import { type Counter, counters, type Family, histograms, stopwatch } from "../meters.ts";
import type { Quotas } from "../quotas.ts";
import type { Verb } from "../policy.ts";
import type { Waits } from "../wait.ts";
import { RELEASE } from "./render.ts";
import { Exposition, EXPOSITION_TYPE } from "./metrics/exposition.ts";
import { exposeProcess, LoopDelay } from "./metrics/process.ts";
import { ToolMeters } from "./metrics/tools.ts";

/** Whose meters are shown. */
export interface MetricsParts {
  readonly config: Config;
  readonly engine: Engine;
  readonly auth: Auth;
  readonly waits: Waits;
  readonly streams: Streams;
  readonly quotas: Quotas;
}

/** Counts and times the requests of one route. */
export interface RouteMeter {
  /** A request has come; the answer goes into `end`. */
  begin(): number;
  /** It has been answered; the seconds it took. */
  end(started: number, status: number): number;
}

/** The service's metrics. From the start it looks at the event loop, until it is told to stop. */
export class Metrics {
  /** What MCP's tools note of themselves. */
  readonly tools = new ToolMeters();
  /** Requests refused because of a rate limit, by which one. */
  readonly rateLimited = counters("limit");
  readonly #exposition = new Exposition();
  readonly #requests = counters("method", "route", "status");
  readonly #seconds = histograms(["verb"]);
  readonly #refusals = counters("code");
  readonly #underWay = { count: 0 };
  readonly #loop = new LoopDelay();

  constructor(parts: MetricsParts) {
    const to = this.#exposition;
    to.gauges("sync_build_info", "The version that runs, and on which Deno; always 1.", [
      "version",
      "runtime",
    ], () => [[[RELEASE, Deno.version.deno], 1]]);
    this.tools.refused = (code) => this.refused(code);
    this.exposeDoors();
    exposeEngine(to, parts.engine);
    exposeReaders(to, parts);
    exposeLimits(to, parts, this.rateLimited);
    exposeProcess(to, this.#loop);
    this.#loop.start();
  }

  /** Looks at the event loop no more. */
  stop(): void {
    this.#loop.stop();
  }

  private exposeDoors(): void {
    const { tools } = this;
    const to = this.#exposition;
    to.counter("sync_requests_total", "Requests by route and status.", this.#requests);
    to.histogram(
      "sync_request_duration_seconds",
      "Seconds until the answer began, by verb; waits last as long as they wait.",
      this.#seconds,
    );
    to.gauge(
      "sync_requests_in_flight",
      "Requests to a room that are being answered, waits among them.",
      () => this.#underWay.count,
    );
    to.counter("sync_refusals_total", "Refusals by error code.", this.#refusals);
    to.histogram(
      "sync_mcp_tool_duration_seconds",
      "Seconds of tool calls over MCP, by tool.",
      tools.seconds,
    );
    to.counter(
      "sync_mcp_tool_calls_total",
      "Tool calls over MCP by tool and outcome: ok, refused or bug.",
      tools.calls,
    );
    to.gauges("sync_mcp_open", "Sessions and followers of resources over MCP.", ["kind"], () => {
      const { sessions, followers } = tools.open();
      return [[["session"], sessions], [["follower"], followers]];
    });
  }

  /** What counts and times the requests of one route: its labels are put together once. */
  meterOf(method: string, route: string, verb: Verb | "open" | "token"): RouteMeter {
    const seconds = this.#seconds.of(verbOf(method, route, verb));
    const byStatus = new Map<number, Counter>();
    const underWay = this.#underWay;
    return {
      begin: () => {
        underWay.count++;
        return stopwatch();
      },
      end: (started, status) => {
        underWay.count--;
        const took = stopwatch() - started;
        let requests = byStatus.get(status);
        if (!requests) {
          byStatus.set(status, requests = this.#requests.of(method, route, String(status)));
        }
        requests.inc();
        seconds.observe(took);
        return took;
      },
    };
  }

  /** A reading of the stopwatch, in seconds. */
  stopwatch(): number {
    return stopwatch();
  }

  /** Counts a request that no route of the table answered; the seconds it took. */
  other(method: string, route: string, status: number, started: number): number {
    const took = stopwatch() - started;
    this.#requests.of(method, route, String(status)).inc();
    this.#seconds.of(verbOf(method, route, "open")).observe(took);
    return took;
  }

  /** Counts one refusal. */
  refused(code: string): void {
    this.#refusals.of(code).inc();
  }

  /** The exposition format. */
  render(): Response {
    return new Response(this.#exposition.render(), {
      headers: { "Content-Type": EXPOSITION_TYPE, "Cache-Control": "no-store" },
    });
  }
}

/** A route that takes no verb of the table goes by its first part and its method. */
function verbOf(method: string, route: string, verb: string): string {
  if (verb !== "open" && verb !== "token") return verb;
  if (route === "none") return route;
  return `${route.split("/")[1] || "root"}.${method.toLowerCase()}`;
}

function exposeEngine(to: Exposition, engine: Engine): void {
  const { meters } = engine;
  to.histogram(
    "sync_commit_duration_seconds",
    "Seconds that writing a group of records took.",
    meters.commitSeconds,
  );
  to.histogram("sync_commit_group_records", "Records of a group.", meters.groupRecords);
  to.counter("sync_records_total", "Records that became durable.", meters.records);
  to.gauge("sync_records_pending", "Records not yet in the database.", () => {
    let pending = 0;
    for (const hot of engine.hotRooms) pending += hot.pending.length;
    return pending;
  });
  to.counter(
    "sync_commit_failures_total",
    "Rooms whose part of a group was not written, by error code.",
    meters.failures,
  );
  to.counter(
    "sync_lost_races_total",
    "Times another process had written to a room first.",
    meters.lostRaces,
  );
  to.counter(
    "sync_retries_total",
    "Times a call was tried anew because what it saw did not become durable.",
    meters.retries,
  );
  to.counters(
    "sync_database_errors_total",
    "Calls to a database that failed, by kind; a busy one is asked again.",
    engine.store.shards.map(({ troubles }) => troubles),
  );
  to.gauge("sync_rooms_hot", "Rooms in memory.", () => [...engine.hotRooms].length);
  to.gauge("sync_room_value_bytes", "Bytes of values of the rooms in memory.", () => {
    let bytes = 0;
    for (const { room } of engine.hotRooms) bytes += room.valueBytes;
    return bytes;
  });
  to.gauge("sync_timers_open", "Timers and cooldowns pending in the rooms in memory.", () => {
    let timers = 0;
    for (const { room } of engine.hotRooms) timers += room.timers.pending;
    return timers;
  });
  to.histogram(
    "sync_room_load_duration_seconds",
    "Seconds that loading a cold room took.",
    meters.loadSeconds,
  );
  to.counter(
    "sync_room_evictions_total",
    "Rooms let go from memory: idle, or because memory was short.",
    meters.evictions,
  );
}

function exposeReaders(to: Exposition, { waits, streams }: MetricsParts): void {
  to.gauge("sync_waits_open", "Open waits.", () => waits.open);
  to.counter("sync_waits_total", "Waits by how they ended.", waits.sleeping.ended);
  to.histogram(
    "sync_wake_duration_seconds",
    "Seconds from a durable change to the wait that it woke.",
    waits.sleeping.wakeSeconds,
  );
  to.gauge("sync_streams_open", "Open event streams.", () => streams.open);
  to.counter("sync_streams_total", "Event streams opened.", streams.opened);
  to.counter(
    "sync_streams_ended_total",
    "Event streams by why they ended; slow ones were dropped for not reading.",
    streams.ended,
  );
}

function exposeLimits(
  to: Exposition,
  { auth, quotas, config }: MetricsParts,
  rateLimited: Family<Counter>,
): void {
  to.counter(
    "sync_auth_lookups_total",
    "Look-ups of tokens: kept in memory, or not.",
    auth.lookups,
  );
  to.gauge("sync_auth_cached", "Tokens kept in memory.", () => auth.cached);
  to.counter("sync_rate_limited_total", "Requests refused by a rate limit, by which.", rateLimited);
  to.gauges(
    "sync_rate_limit_per_minute",
    "Requests a minute that are let through; 0 is off.",
    ["limit"],
    () => [[["address"], config.rateLimitIp], [["token"], config.rateLimitToken]],
  );
  to.counter("sync_quota_refusals_total", "Calls refused by a quota, by which.", quotas.refused);
}
