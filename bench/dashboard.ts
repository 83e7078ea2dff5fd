/**
 * `deno run -A bench/dashboard.ts [seconds]`: a room of 10 000 keys with 100 updates a second on
 * the dashboard of a real browser: frames, main thread, memory, and how soon a write is seen.
 */
import type { CDPSession, Page } from "playwright-core";
import { launchChromium } from "../bin/chromium.ts";
import { openThrowaway } from "../bin/throwaway.ts";

const KEYS = 10_000;
const KEYS_A_WRITE = 50;
const UPDATES_A_SECOND = 100;
const TICK_MS = 50;

const seconds = Number(Deno.args[0] ?? 60);
const service = await openThrowaway();
const { origin } = service;
const made = await (await fetch(`${origin}/rooms`, { method: "POST", body: '{"id":"bench"}' }))
  .json();

async function act(action: string, params: unknown): Promise<void> {
  const response = await fetch(`${origin}/rooms/bench/actions/${action}/invoke`, {
    method: "POST",
    headers: { Authorization: `Bearer ${made.token}` },
    body: JSON.stringify({ params }),
  });
  if (!response.ok) throw new Error(await response.text());
  await response.body?.cancel();
}

async function fill(): Promise<void> {
  const writes = Array.from(
    { length: KEYS_A_WRITE },
    (_, i) => ({ key: `\${params.p}-${i}`, value: i }),
  );
  await act("_register_action", { id: "fill", params: { p: {} }, writes });
  const put = [{ key: "${params.key}", value: "${params.value}" }];
  await act("_register_action", { id: "put", params: { key: {}, value: {} }, writes: put });
  for (let i = 0; i < KEYS / KEYS_A_WRITE; i++) await act("fill", { p: `k${i}` });
}

async function metricsOf(session: CDPSession): Promise<Record<string, number>> {
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

/** Writes at the rate until the time is over; answers how many. */
async function write(): Promise<number> {
  const end = performance.now() + seconds * 1_000;
  const perTick = UPDATES_A_SECOND * TICK_MS / 1_000;
  let count = 0;
  while (performance.now() < end) {
    const started = performance.now();
    const writes: Promise<void>[] = [];
    for (let i = 0; i < perTick; i++, count++) {
      const key = `k${(count * 7) % (KEYS / KEYS_A_WRITE)}-${count % KEYS_A_WRITE}`;
      writes.push(act("put", { key, value: count }));
    }
    await Promise.all(writes);
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, started + TICK_MS - performance.now()))
    );
  }
  return count;
}

async function seenAfter(page: Page): Promise<number[]> {
  const found: number[] = [];
  await page.getByRole("searchbox").fill("k0-0");
  for (let i = 0; i < 10; i++) {
    await page.waitForTimeout(300);
    const started = performance.now();
    await act("put", { key: "k0-0", value: `seen-${i}` });
    await page.getByText(`seen-${i}`).waitFor();
    found.push(performance.now() - started);
  }
  return found.sort((a, b) => a - b);
}

await fill();
const browser = await launchChromium();
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
const opened = performance.now();
await page.goto(`${origin}/?room=bench&tab=state#token=${made.token}`);
await page.getByText("10,000 keys").waitFor();
console.log(`open to all keys shown: ${(performance.now() - opened).toFixed(0)} ms`);
await page.getByLabel("Sort by").selectOption("changed");
const session = await page.context().newCDPSession(page);
await session.send("Performance.enable");
const before = await metricsOf(session);
await page.evaluate(() => {
  const frames: number[] = [];
  let last = performance.now();
  const note = (at: number): void => {
    frames.push(at - last);
    last = at;
    requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
  Object.assign(globalThis, { frames });
});
const count = await write();
const frames = (await page.evaluate("frames") as number[]).slice(2).sort((a, b) => a - b);
const after = await metricsOf(session);
const share = (name: string): string =>
  (((after[name] ?? 0) - (before[name] ?? 0)) / seconds * 100).toFixed(1);
const mb = (metrics: Record<string, number>): string =>
  ((metrics["JSHeapUsedSize"] ?? 0) / 1e6).toFixed(2);
console.log(
  `updates: ${count} in ${seconds} s, frames a second: ${(frames.length / seconds).toFixed(1)}`,
);
console.log(
  `frame p99: ${frames[Math.floor(frames.length * 0.99)]?.toFixed(1)} ms, longest: ${
    frames.at(-1)?.toFixed(0)
  } ms`,
);
console.log(`main thread: ${share("TaskDuration")} %, script: ${share("ScriptDuration")} %`);
console.log(
  `heap: ${mb(before)} to ${mb(after)} MB, nodes: ${before["Nodes"]} to ${after["Nodes"]}`,
);
const seen = await seenAfter(page);
console.log(
  `write to screen: median ${seen[5]?.toFixed(0)} ms, longest ${seen.at(-1)?.toFixed(0)} ms`,
);
await browser.close();
await service.close();
Deno.exit(0);
