/**
 * The soak, small: a few seconds of it run through the real server and add up, and its judge
 * knows growth from noise.
 */
import assert from "node:assert/strict";
import { fit, judge } from "../proof/soak/judge.ts";
import { markdown } from "../proof/soak/report.ts";
import type { Sample } from "../proof/soak/samples.ts";
import { seeded } from "../proof/mixed-load.ts";
import { SOAK, soak } from "../proof/soak.ts";

const MIB = 1_048_576;

/** An hour of samples, a minute apart, of a server that stays as it is, but for what is given. */
function hour(change: (minute: number, noise: number) => Partial<Sample>): Sample[] {
  const chance = seeded(7);
  return Array.from({ length: 60 }, (_, minute) => ({
    atS: minute * 60,
    rss: 200 * MIB,
    heap: 60 * MIB,
    isSettled: true,
    heapTotal: 90 * MIB,
    external: 0,
    cores: 0.5,
    files: { db: (10 + minute) * MIB, wal: 4 * MIB },
    records: minute * 2_000,
    groups: minute * 1_000,
    roomsHot: 10,
    evicted: 0,
    waitsOpen: 5,
    streamsOpen: 3,
    pending: 0,
    underWay: 1,
    lateMs: 1,
    load: 1,
    failures: 0,
    latencies: { invoke: { count: 1_000, p50: 1, p99: 5 } },
    ...change(minute, chance() - 0.5),
  }));
}

const judged = (samples: readonly Sample[], judgement: string, rooms = 1): string[] =>
  judge(samples, rooms).filter((verdict) => verdict.judgement === judgement)
    .map(({ what }) => what);

/** What is said to grow. */
const growing = (samples: readonly Sample[]): string[] => judged(samples, "grows");

Deno.test("a server that stays as it is, is flat, and so is one that is merely noisy", () => {
  assert.deepEqual(growing(hour(() => ({}))), []);
  const noisy = hour((_, noise) => ({
    heap: (60 + 20 * noise) * MIB,
    rss: (200 + 50 * noise) * MIB,
    latencies: { invoke: { count: 1_000, p50: 1, p99: 5 + 4 * noise } },
  }));
  assert.deepEqual(growing(noisy), []);
});

Deno.test("a heap that grows by a little every minute is found under noise", () => {
  const leaking = hour((minute, noise) => ({ heap: (60 + minute / 4 + 4 * noise) * MIB }));
  assert.deepEqual(growing(leaking), ["heap after collection"]);
});

Deno.test("a heap that grows by what rooms remember is explained until they are full", () => {
  const filling = hour((minute) => ({ heap: 60 * MIB + minute * 2_000 * 150 }));
  assert.deepEqual(judged(filling, "explained", 20), ["heap after collection", "file"]);
  assert.deepEqual(judged(filling, "grows", 1), ["heap after collection"]);
  const faster = hour((minute) => ({ heap: 60 * MIB + minute * 2_000 * 600 }));
  assert.deepEqual(judged(faster, "grows", 20), ["heap after collection"]);
});

Deno.test("only the second half counts: a heap that fills and then stays is flat", () => {
  assert.deepEqual(growing(hour((minute) => ({ heap: (60 + Math.min(minute, 28)) * MIB }))), []);
});

Deno.test("a p99 that rises is found; one of few requests says nothing", () => {
  const rising = (count: number): Sample[] =>
    hour((minute) => ({ latencies: { invoke: { count, p50: 1, p99: 5 + minute / 5 } } }));
  assert.deepEqual(growing(rising(1_000)), ["p99 of invoke"]);
  assert.deepEqual(growing(rising(10)), []);
});

Deno.test("a file that grows by itself is found; one that grows by its records is explained", () => {
  const idle = hour((minute) => ({
    files: { db: (10 + minute) * MIB, wal: 4 * MIB },
    records: 5_000,
  }));
  assert.deepEqual(growing(idle), ["file"]);
  const log = hour((minute) => ({ files: { db: 20 * MIB, wal: (4 + minute ** 3) * MIB } }));
  assert.deepEqual(growing(log), ["write-ahead log"]);
});

Deno.test("too few samples are no proof of anything", () => {
  assert.ok(growing(hour(() => ({})).slice(0, 4)).includes("heap after collection"));
});

Deno.test("a line through points has their slope, and an error where they do not lie on it", () => {
  const exact = fit([[0, 1], [1, 3], [2, 5], [3, 7]]);
  assert.deepEqual([exact.slope, exact.error, exact.mean, exact.r2], [2, 0, 4, 1]);
  assert.ok(fit([[0, 1], [1, 4], [2, 4], [3, 7]]).error > 0);
});

Deno.test("a few seconds of soak: every verb is measured, nothing fails, and the rooms add up after a restart", async () => {
  const report = await soak({
    ...SOAK,
    minutes: 0.15,
    rate: 80,
    rooms: 4,
    streams: 3,
    sleepers: 4,
    linger: 0.03,
    keyed: 0.2,
    every: 3,
    settle: 3,
  }, () => undefined);
  assert.deepEqual(report.failures, {});
  assert.deepEqual(report.faults, []);
  const measured = new Set(report.samples.flatMap(({ latencies }) => Object.keys(latencies)));
  const verbs = ["context", "context since", "create", "invoke", "join", "send", "timer", "wake"];
  assert.deepEqual(verbs.filter((verb) => !measured.has(verb)), []);
  assert.ok(report.visits.made > 0 && report.visits.deleted === report.visits.made);
  assert.ok(report.told > 0, "no stream was told of a record");
  assert.ok(
    report.samples.every(({ heap, records }) => heap > 0 && records > 0),
  );
  assert.match(markdown(report), /\| file \| (flat|explained) \|/);
});
