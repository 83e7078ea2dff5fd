/** What the machine says about the process: memory, processor, open files, and how late timers run. */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { Histogram } from "../../meters.ts";
import type { Exposition } from "./exposition.ts";

const LOOK_MS = 100;

/** How late the event loop comes to what is due: a timer set again and again, and what it is late by. */
export class LoopDelay {
  readonly seconds = new Histogram();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Begins to look; the timer keeps no process alive. */
  start(): void {
    const due = performance.now() + LOOK_MS;
    this.#timer = setTimeout(() => {
      this.seconds.observe(Math.max(0, performance.now() - due) / 1000);
      this.start();
    }, LOOK_MS);
    Deno.unrefTimer(Number(this.#timer));
  }

  /** Looks no more. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** A reading that a sandbox may refuse. */
function allowed(read: () => number): number | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    return undefined;
  }
}

/** The soft limit of open files of this process; infinite where there is none. */
function openFilesMax(): number {
  const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === "unlimited" ? Infinity : Number(soft);
}

/** Adds what every process tells under the names that Prometheus has for it. */
export function exposeProcess(to: Exposition, loop: LoopDelay): void {
  to.gauge(
    "process_start_time_seconds",
    "When the process started, in seconds since 1970.",
    () => performance.timeOrigin / 1000,
  );
  to.counter("process_cpu_seconds_total", "Seconds of processor time used.", () =>
    allowed(() => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }));
  to.gauge(
    "process_resident_memory_bytes",
    "Resident memory.",
    () => Deno.memoryUsage().rss,
  );
  to.gauge("sync_heap_used_bytes", "Heap in use.", () => Deno.memoryUsage().heapUsed);
  to.gauge(
    "sync_heap_total_bytes",
    "Heap taken from the machine.",
    () => Deno.memoryUsage().heapTotal,
  );
  to.gauge(
    "sync_external_memory_bytes",
    "Memory held outside the heap, such as buffers.",
    () => Deno.memoryUsage().external,
  );
  to.gauge(
    "process_open_fds",
    "Open files and connections.",
    () => allowed(() => readdirSync("/proc/self/fd").length),
  );
  to.gauge(
    "process_max_fds",
    "Open files and connections that are allowed.",
    () => allowed(openFilesMax),
  );
  to.histogram(
    "sync_event_loop_delay_seconds",
    "How late the event loop comes to a timer that is due, looked at ten times a second.",
    loop.seconds,
  );
}
