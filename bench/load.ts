/** Jobs for the load driver, and the running of one in a process of its own. */
import { fromFileUrl } from "./paths.ts";
import type { RequestSpec } from "../proof/client.ts";

/** Requests in turn over some connections, for some time or some number of them. */
export interface LoadJob {
  readonly kind: "load";
  readonly port: number;
  readonly connections: number;
  readonly ms: number;
  readonly warmupMs: number;
  readonly requests: readonly RequestSpec[];
  readonly count?: number;
}

/** What a load came to: rate in requests a second, latencies in milliseconds. */
export interface LoadResult {
  readonly done: number;
  readonly refused: number;
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** Bytes of a reply's body, on average. */
  readonly bytes: number;
}

/** Waits that one write answers, several times over. `{seq}` in a wait's path is the head. */
export interface WakeJob {
  readonly kind: "wake";
  readonly port: number;
  /** Where the write goes, when that is another instance than the one that is waited on. */
  readonly writerPort?: number;
  readonly rounds: number;
  readonly head: RequestSpec;
  readonly waits: readonly RequestSpec[];
  readonly write: RequestSpec;
  /** Open waits on the whole server before the write is sent. */
  readonly openAtLeast: number;
}

/** Milliseconds from the writer's reply to a waiter's. */
export interface WakeResult {
  readonly p50: number;
  readonly p99: number;
  readonly bytes: number;
}

/** Waits that are held open until they are let go. */
export interface HoldJob {
  readonly kind: "hold";
  readonly port: number;
  readonly waits: readonly RequestSpec[];
}

/** What the driver takes. */
export type Job = LoadJob | WakeJob | HoldJob;

function spawn(): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", fromFileUrl(new URL("./driver.ts", import.meta.url))],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

async function start(job: Job): Promise<{
  readonly child: Deno.ChildProcess;
  readonly input: WritableStreamDefaultWriter<Uint8Array>;
  readonly lines: ReadableStreamDefaultReader<string>;
}> {
  const child = spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(`${JSON.stringify(job)}\n`));
  return { child, input, lines: child.stdout.pipeThrough(new TextDecoderStream()).getReader() };
}

async function firstLine(lines: ReadableStreamDefaultReader<string>): Promise<string> {
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) throw new Error(`the driver ended without a result: ${text}`);
    text += value;
  }
  return text;
}

async function run<T>(job: Job): Promise<T> {
  const { child, input, lines } = await start(job);
  const text = await firstLine(lines);
  await input.close();
  await child.status;
  await lines.cancel();
  return JSON.parse(text) as T;
}

/** Runs a load. Throws when a request was refused: what is measured must succeed. */
export async function load(job: Omit<LoadJob, "kind">): Promise<LoadResult> {
  const result = await run<LoadResult>({ kind: "load", ...job });
  if (result.refused > 0) throw new Error(`${result.refused} requests were refused`);
  return result;
}

/** Measures wake-ups. */
export function wake(job: Omit<WakeJob, "kind">): Promise<WakeResult> {
  return run<WakeResult>({ kind: "wake", ...job });
}

/** Holds waits open; the answer lets them go. */
export async function hold(job: Omit<HoldJob, "kind">): Promise<() => Promise<void>> {
  const { child, input, lines } = await start({ kind: "hold", ...job });
  await firstLine(lines);
  return async () => {
    await input.close();
    await child.status;
    await lines.cancel();
  };
}
