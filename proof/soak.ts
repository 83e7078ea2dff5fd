/**
 * `deno task soak [--minutes=60] [--share=0.7] …`: the real server under a mixed load at a share
 * of what it can do, for as long as is asked: memory, latencies and files are sampled, and judged
 * flat or not. Leaves with 0 when everything is flat or explained and nothing failed.
 */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { seeded } from "./mixed-load.ts";
import { Caller } from "./soak/caller.ts";
import { Deeds, openHomes } from "./soak/deeds.ts";
import { judge } from "./soak/judge.ts";
import { SoakMachine } from "./soak/machine.ts";
import { capacity, Pace } from "./soak/pace.ts";
import { markdown, type Report, writeReport } from "./soak/report.ts";
import { faultsOf, type Home } from "./soak/rooms.ts";
import { Sampler } from "./soak/samples.ts";
import { Sleepers } from "./soak/sleepers.ts";
import { Tally } from "./soak/tally.ts";

/** What a soak can be told, with what it is otherwise. */
export const SOAK = {
  /** For how long. */
  minutes: 60,
  /** The share of the measured capacity at which it runs. */
  share: 0.7,
  /** Deeds a second; 0 measures the capacity and takes the share. */
  rate: 0,
  /** Seconds for which the capacity is measured. */
  measure: 20,
  /** Rooms that stay for the whole time. */
  rooms: 20,
  /** Event streams, and waits that nothing wakes. */
  streams: 40,
  sleepers: 100,
  /** Minutes for which half of the visitors' rooms are left behind: past eviction. */
  linger: 7,
  /** The share of increments with an Idempotency-Key, which the service remembers for a day. */
  keyed: 0,
  /** Seconds between samples, and between collections of the server's garbage. */
  every: 10,
  settle: 60,
  seed: 1,
};

/** How a soak is run. */
export type SoakOptions = typeof SOAK;

const USERS = 64;
const SETTLE_MS = 2_000;

/** Everything that runs while a soak does. */
interface Run {
  readonly machine: SoakMachine;
  readonly tally: Tally;
  readonly homes: readonly Home[];
  readonly deeds: Deeds;
  readonly sleepers: Sleepers;
}

/** Runs a soak and tells of each sample. Throws when the server cannot be run at all. */
export async function soak(options: SoakOptions, tell: (line: string) => void): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "sync-soak-"));
  let machine = await SoakMachine.start(folder);
  try {
    const startedAt = new Date().toISOString();
    const tally = new Tally(), chance = seeded(options.seed);
    const caller = new Caller(machine.port, tally);
    const homes = await openHomes(caller, Math.max(1, options.rooms));
    const habits = { lingerMs: options.linger * 60_000, keyed: options.keyed };
    const deeds = new Deeds(caller, tally, homes, chance, habits);
    const sleepers = new Sleepers(machine.port, tally, chance);
    sleepers.start(homes, options.streams, options.sleepers);
    const run = { machine, tally, homes, deeds, sleepers };
    const best = options.rate > 0 ? 0 : await measure(run, options, tell);
    const rate = options.rate > 0 ? options.rate : best * options.share;
    const samples = await keepUp(run, options, rate, tell);
    for (const request of caller.unanswered) tally.failed(request, "never answered");
    await sleepers.stop();
    await deeds.tidy(true);
    caller.close();
    const exit = await machine.stop();
    machine = await SoakMachine.start(folder);
    const faults = await settleAccounts(machine, tally, homes);
    if (exit !== 0) faults.push(`the server ended with ${exit}`);
    const verdicts = judge(samples, homes.length), failures = Object.fromEntries(tally.failures);
    return {
      version: await versionOf(),
      startedAt,
      machine: `${navigator.hardwareConcurrency} cores, Deno ${Deno.version.deno}, ` +
        `driver and server on one machine`,
      options,
      capacity: best,
      rate,
      answered: tally.answered,
      records: samples.at(-1)?.records ?? 0,
      told: sleepers.told,
      visits: deeds.visits,
      failures,
      faults,
      verdicts,
      isFlat: verdicts.every(({ judgement }) => judgement !== "grows"),
      samples,
    };
  } finally {
    await machine.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(run: Run, options: SoakOptions, tell: (line: string) => void) {
  const best = await capacity(() => run.deeds.next(), USERS, options.measure);
  tell(`capacity: ${best.toFixed(0)} deeds/s by ${USERS} users`);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  run.tally.drain();
  return best;
}

/** The soak itself, at its rate, with its samples. */
async function keepUp(run: Run, options: SoakOptions, rate: number, tell: (line: string) => void) {
  const pace = new Pace((dueAt) => run.deeds.next(dueAt), rate, run.tally);
  const start = performance.now();
  const sampler = new Sampler(run.machine, run.tally, () => pace.underWay, start);
  const end = start + options.minutes * 60_000;
  let settledAt = start;
  for (let at = start + options.every * 1000; at <= end; at += options.every * 1000) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - performance.now())));
    // What was missed while the machine stood still is not made up for.
    at = Math.max(at, performance.now());
    const settle = performance.now() - settledAt >= options.settle * 1000 - 100;
    if (settle) settledAt = performance.now();
    const sample = await sampler.take(settle);
    const invoke = sample.latencies["invoke"];
    tell(
      `${sample.atS} s: rss ${(sample.rss / 1_048_576).toFixed(0)} MiB, heap ${
        (sample.heap / 1_048_576).toFixed(1)
      }${settle ? "" : "*"} MiB, file ${(sample.files.db / 1_048_576).toFixed(1)} MiB, ` +
        `${sample.records} records, invoke p50 ${invoke?.p50 ?? "–"} p99 ${
          invoke?.p99 ?? "–"
        } ms, ${sample.failures} failed`,
    );
    await run.deeds.tidy();
  }
  await sampler.take(true);
  await pace.stop();
  return sampler.samples;
}

/** After a restart: do the rooms hold what was acknowledged, and do their logs verify? */
async function settleAccounts(machine: SoakMachine, tally: Tally, homes: readonly Home[]) {
  const caller = new Caller(machine.port, tally);
  const faults: string[] = [];
  for (const home of homes) faults.push(...await faultsOf(caller, home));
  caller.close();
  return faults;
}

async function versionOf(): Promise<string> {
  const text = await readFile(new URL("../deno.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** Options as given on the command line. Throws for one that is unknown or no number. */
function optionsOf(args: string[]): { options: SoakOptions; out: string | undefined } {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: "string" },
      ...Object.fromEntries(Object.keys(SOAK).map((name) => [name, { type: "string" } as const])),
    },
  });
  const given = values as Readonly<Record<string, string | undefined>>;
  const numbers = Object.entries(SOAK).map(([name, fallback]) => {
    const value = given[name] === undefined ? fallback : Number(given[name]);
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} wants a number`);
    return [name, value];
  });
  return { options: Object.fromEntries(numbers) as SoakOptions, out: given["out"] };
}

if (import.meta.main) {
  const { options, out } = optionsOf(process.argv.slice(2));
  const folder = out ?? await mkdtemp(join(tmpdir(), "sync-soak-report-"));
  await mkdir(folder, { recursive: true });
  const report = await soak(options, (line) => console.log(line));
  await writeReport(folder, report);
  console.log(`\n${markdown(report)}\nWritten to ${folder}`);
  const isWell = report.isFlat && report.faults.length === 0 &&
    Object.keys(report.failures).length === 0;
  process.exit(isWell ? 0 : 1);
}
