/**
 * One run: clients at work on a site that is killed now and then, and what the checker says of
 * what they saw.
 */
import { seeded } from "../mixed-load.ts";
import { ask } from "../server.ts";
import type { Verdict } from "./checker.ts";
import { type Call, type Part, partsOf } from "./history.ts";
import { followLog, type LogLine, matchLog } from "./log-order.ts";
import type { Failure, Report } from "./report.ts";
import { Site } from "./sites.ts";
import { makeWorld, type World } from "./wire.ts";
import { Workload } from "./workload.ts";

/** What a run is asked for. */
export interface RunOptions {
  /** The clients work this long, and until there are so many calls a room, and kills. */
  readonly ms: number;
  readonly callsMin?: number;
  readonly killsMin?: number;
  /** All together; each works in one room. */
  readonly clients: number;
  readonly rooms: number;
  readonly instances: number;
  /** libSQL servers that the rooms are spread over; 0: a file, for one instance. */
  readonly databases: number;
  /** One request in so many to a database is cut off, one way or another; 0 for none. */
  readonly cut?: number;
  readonly seed: number;
  /** Something is killed this often in the mean; 0 for never. */
  readonly killMs: number;
  readonly plant?: string | undefined;
}

/** What is known of one room. */
type Judged = Omit<Report, "kills" | "cuts">;

const SETTLE_MS = 300;
const AROUND_MAX = 6;
const PAGE = 1000;

/** Runs clients on a site, and checks what they saw, room by room. */
export async function run(options: RunOptions): Promise<Report> {
  const { clients, rooms, seed } = options;
  const random = seeded(seed);
  const site = await Site.open({ cut: 0, ...options }, random);
  try {
    const workloads: Workload[] = [];
    for (let i = 0; i < rooms; i++) {
      const world = await makeWorld(site.origins()[0]!, `room-${i}`, Math.ceil(clients / rooms));
      workloads.push(new Workload(world, () => site.origins(), random));
    }
    site.setNetwork(true);
    await underLoad(options, site, workloads, random);
    site.setNetwork(false);
    await site.startAll();
    const judged: Judged[] = [];
    for (const workload of workloads) judged.push(await look(site, workload));
    return joined(judged, site);
  } finally {
    await site.close();
  }
}

/** What the clients of one room saw, and what every instance says of it in the end. */
async function look(site: Site, { world, calls, surprises, readAt }: Workload): Promise<Judged> {
  for (const origin of site.origins()) await readAt(origin);
  const log = await readLog(site.origins()[0]!, world);
  const unverified = await verifyAt(site.origins(), world);
  return judge(calls, log, world.made, [...surprises, ...unverified]);
}

function joined(judged: readonly Judged[], { kills, deaths, cuts }: Site): Report {
  const sum = (of: (one: Judged) => number): number =>
    judged.reduce((all, one) => all + of(one), 0);
  const surprises = [...judged.flatMap((one) => one.surprises), ...deaths];
  return {
    ok: judged.every(({ ok }) => ok) && surprises.length === 0,
    failures: judged.flatMap((one) => one.failures),
    faults: judged.flatMap((one) => one.faults),
    surprises,
    calls: sum((one) => one.calls),
    unknown: sum((one) => one.unknown),
    happened: sum((one) => one.happened),
    objects: sum((one) => one.objects),
    steps: sum((one) => one.steps),
    records: sum((one) => one.records),
    checkMs: sum((one) => one.checkMs),
    kills,
    cuts,
  };
}

async function underLoad(
  { ms, callsMin = 0, killsMin = 0, killMs }: RunOptions,
  site: Site,
  workloads: readonly Workload[],
  random: () => number,
): Promise<void> {
  const end = performance.now() + ms;
  const isOver = (): boolean =>
    performance.now() >= end && site.kills.length >= killsMin &&
    workloads.every(({ calls }) => calls.length >= callsMin);
  const hurting = (async () => {
    while (killMs > 0) {
      await pause(killMs * (0.5 + random()));
      if (isOver()) return;
      await site.hurt(random);
    }
  })();
  await Promise.all([hurting, ...workloads.map((workload) => workload.run(isOver))]);
  await pause(SETTLE_MS);
}

async function readLog(origin: string, { room, admin }: World): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const url: string = `${origin}/rooms/${room}/log?after=${after}&limit=${PAGE}`;
    const { status, text, body } = await ask("GET", url, { token: admin });
    if (status !== 200) throw new Error(`no log: ${text}`);
    lines.push(...body.records as LogLine[]);
    after = body.next_after as number | undefined;
  }
  return lines;
}

async function verifyAt(origins: readonly string[], { room, admin }: World): Promise<string[]> {
  const wrong: string[] = [];
  for (const origin of origins) {
    const { body, text } = await ask("GET", `${origin}/rooms/${room}/verify`, { token: admin });
    if (body?.ok !== true) wrong.push(`verify: ${text}`);
  }
  return wrong;
}

/** Checks a history: object by object without looking at the log, then along the log. */
export function judge(
  calls: readonly Call[],
  log: readonly LogLine[],
  made: number,
  surprises: readonly string[] = [],
): Judged {
  const began = performance.now();
  const matched = matchLog(calls, log, made);
  const parts = partsOf(calls, made, matched.seqs);
  const verdicts = parts.map((part) => [part, part.check()] as const);
  const failures = verdicts.flatMap(([part, verdict]) => failureOf(part, verdict));
  const faults = followLog(calls, matched, parts);
  const unknown = calls.filter(({ answer }) => answer === undefined);
  return {
    ok: failures.length === 0 && faults.length === 0 && surprises.length === 0,
    failures,
    faults,
    surprises,
    calls: calls.length,
    unknown: unknown.length,
    happened: unknown.filter(({ id }) => matched.seqs.has(id)).length,
    objects: parts.length,
    steps: verdicts.reduce((sum, [, { steps }]) => sum + steps, 0),
    records: log.length,
    checkMs: Math.round(performance.now() - began),
  };
}

function failureOf({ name, describe }: Part, verdict: Verdict): Failure[] {
  if (verdict.ok) return [];
  const { reason, furthest, missing } = verdict;
  const around = [...furthest.slice(-2), ...missing.slice(0, AROUND_MAX - 2)].map(describe);
  return [{ object: name, reason, around }];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
