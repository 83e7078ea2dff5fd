/**
 * The load driver: a process of its own. Reads one job as JSON from standard input, runs it, and
 * prints what it measured as one line of JSON.
 */
import { Connection, encodeRequest, jsonOf, type RequestSpec } from "../proof/client.ts";
import type { Job, LoadJob, LoadResult, WakeJob, WakeResult } from "./load.ts";

/** The value below which a share of sorted numbers lies. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Every connection asks as soon as it is answered; requests are taken in turn. */
async function runLoad(job: LoadJob): Promise<LoadResult> {
  const requests = job.requests.map((spec) => encodeRequest(job.port, spec));
  const connections = await Promise.all(
    Array.from({ length: job.connections }, () => Connection.open(job.port)),
  );
  let turn = 0, refused = 0, isWarm = false, bytes = 0;
  const took: number[] = [];
  const end = performance.now() + job.warmupMs + job.ms;
  const limit = job.count ?? Infinity;
  let startedAt = performance.now();
  const warm = startedAt + job.warmupMs;
  await Promise.all(connections.map(async (connection) => {
    for (let now = performance.now(); now < end && turn < limit; now = performance.now()) {
      if (!isWarm && now >= warm) {
        isWarm = true;
        startedAt = now;
      }
      const counts = isWarm;
      const answer = await connection.send(requests[turn++ % requests.length]!);
      if (answer.status >= 300) refused++;
      if (!counts) continue;
      took.push(performance.now() - now);
      bytes += answer.body.length;
    }
  }));
  const seconds = (performance.now() - startedAt) / 1000;
  for (const connection of connections) connection.close();
  took.sort((a, b) => a - b);
  return {
    done: took.length,
    refused,
    rate: took.length / seconds,
    p50: quantile(took, 0.5),
    p99: quantile(took, 0.99),
    bytes: took.length > 0 ? bytes / took.length : 0,
  };
}

async function untilOpen(control: Connection, waits: number): Promise<void> {
  for (let tries = 0; tries < 3_000; tries++) {
    const { body } = await control.ask({ method: "GET", path: "/metrics" });
    const open = Number(/^sync_waits_open (\d+)/m.exec(new TextDecoder().decode(body))?.[1] ?? 0);
    if (open >= waits) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the server never had ${waits} open waits`);
}

/** Waiters sleep, one write wakes them: how long after the writer's reply each is answered. */
async function runWake(job: WakeJob): Promise<WakeResult> {
  const control = await Connection.open(job.port);
  const writer = await Connection.open(job.writerPort ?? job.port);
  const waiters = await Promise.all(
    Array.from({ length: job.waits.length }, () => Connection.open(job.port)),
  );
  const took: number[] = [];
  const bytes = { sum: 0 };
  for (let round = 0; round < job.rounds; round++) {
    const { seq } = jsonOf<{ seq: number }>(await control.ask(job.head));
    const answers = waiters.map(async (connection, i) => {
      const spec: RequestSpec = job.waits[i]!;
      const { body, status } = await connection.ask({
        ...spec,
        path: spec.path.replaceAll("{seq}", String(seq)),
      });
      const at = performance.now();
      if (status !== 200) throw new Error(new TextDecoder().decode(body));
      return { at, bytes: body.length };
    });
    await untilOpen(control, job.openAtLeast);
    jsonOf(await writer.ask(job.write));
    const written = performance.now();
    for (const answer of await Promise.all(answers)) {
      took.push(answer.at - written);
      bytes.sum += answer.bytes;
    }
  }
  for (const connection of [control, writer, ...waiters]) connection.close();
  took.sort((a, b) => a - b);
  return {
    p50: quantile(took, 0.5),
    p99: quantile(took, 0.99),
    bytes: bytes.sum / Math.max(1, took.length),
  };
}

/** Opens waits and holds them until standard input ends. */
async function hold(
  port: number,
  waits: readonly RequestSpec[],
  ended: Promise<unknown>,
): Promise<void> {
  const connections: Connection[] = [];
  for (let at = 0; at < waits.length; at += 500) {
    connections.push(
      ...await Promise.all(waits.slice(at, at + 500).map(() => Connection.open(port))),
    );
  }
  let answered = 0;
  connections.forEach((connection, i) => {
    const count = (): void => void answered++;
    void connection.ask(waits[i]!).then(count, count);
  });
  const control = await Connection.open(port);
  await untilOpen(control, waits.length);
  console.log(JSON.stringify({ open: waits.length }));
  await ended;
  console.log(JSON.stringify({ answered }));
  for (const connection of [control, ...connections]) connection.close();
}

const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
let text = "";
while (!text.includes("\n")) {
  const { value, done } = await reader.read();
  if (done) break;
  text += value;
}
const job = JSON.parse(text) as Job;
if (job.kind === "load") console.log(JSON.stringify(await runLoad(job)));
else if (job.kind === "wake") console.log(JSON.stringify(await runWake(job)));
else await hold(job.port, job.waits, reader.read());
Deno.exit(0);
