/**
 * The server as it is run, in a process that also tells of itself: each line on standard input is
 * answered with its memory and processor time; `settle` collects garbage first.
 */
import { cpuUsage } from "node:process";
import "../../serve.ts";

/** What a process says of itself: bytes, and milliseconds of processor time since its start. */
export interface Vitals {
  readonly rss: number;
  readonly heap: number;
  /** Bytes taken for the heap, in use or not. */
  readonly heapTotal: number;
  /** Bytes outside the heap that the heap holds on to. */
  readonly external: number;
  readonly cpuMs: number;
}

function vitals(): Vitals {
  const { rss, heapUsed, heapTotal, external } = Deno.memoryUsage();
  const { user, system } = cpuUsage();
  return { rss, heap: heapUsed, heapTotal, external, cpuMs: (user + system) / 1000 };
}

const collect = (globalThis as unknown as { gc?: () => void }).gc;
for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  if (line.includes("settle")) collect?.();
  console.log(JSON.stringify(vitals()));
}
