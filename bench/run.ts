/**
 * `deno task bench [rows…] [--ms=4000] [--save --date=2026-01-31]`: measures the product beside a
 * reference in the same run and prints both. `--save` writes bench/results/<version>.json, with what
 * machine it was. `--list` names the rows.
 */
import { cpus, loadavg, totalmem } from "node:os";
import { type Figure, HEAD, line, ratioOf } from "./figures.ts";
import { contextParts, contextSizes, views } from "./rows/context.ts";
import { cold, growth, manyRooms, memory } from "./rows/history.ts";
import { instances } from "./rows/instances.ts";
import { invoke } from "./rows/invoke.ts";
import { idle, sleepers, wakeUp } from "./rows/wait.ts";

/** How long rows measure, in milliseconds, after how long a warm-up. */
export interface Bench {
  readonly ms: number;
  readonly warmupMs: number;
}

const ROWS: Readonly<Record<string, (bench: Bench) => Promise<Figure[]>>> = {
  invoke1: (bench) => invoke(bench, 1, 0.5),
  invoke8: (bench) => invoke(bench, 8, 0.4),
  invoke64: (bench) => invoke(bench, 64, 0.4),
  growth,
  context: contextSizes,
  parts: contextParts,
  wake: wakeUp,
  idle,
  sleepers,
  rooms: manyRooms,
  views,
  cold,
  memory,
  instances,
};

function option(name: string): string | undefined {
  const given = Deno.args.find((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  return given === undefined ? undefined : given.slice(name.length + 3);
}

/** What the figures were measured on; the load averages over 1, 5 and 15 minutes say how alone. */
interface Conditions {
  readonly date: string | null;
  readonly deno: string;
  readonly system: string;
  readonly cores: number;
  readonly processor: string;
  readonly memory_mib: number;
  readonly ms: number;
  readonly load_before: readonly number[];
  readonly load_after: readonly number[];
}

function conditions(ms: number, before: readonly number[]): Conditions {
  const cores = cpus();
  return {
    date: option("date") ?? null,
    deno: Deno.version.deno,
    system: `${Deno.build.os} ${Deno.build.arch} ${Deno.osRelease()}`,
    cores: cores.length,
    processor: cores[0]?.model ?? "unknown",
    memory_mib: Math.round(totalmem() / 1_048_576),
    ms,
    load_before: before,
    load_after: loads(),
  };
}

function loads(): number[] {
  return loadavg().map((load) => Math.round(load * 100) / 100);
}

async function save(figures: readonly Figure[], machine: Conditions): Promise<void> {
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  ) as {
    version: string;
  };
  const folder = new URL("./results/", import.meta.url);
  await Deno.mkdir(folder, { recursive: true });
  const rows = figures.map((figure) => ({ ...figure, ratio: ratioOf(figure) ?? null }));
  await Deno.writeTextFile(
    new URL(`${version}.json`, folder),
    `${JSON.stringify({ machine, rows }, null, 2)}\n`,
  );
}

async function main(): Promise<void> {
  if (option("list") !== undefined) return console.log(Object.keys(ROWS).join("\n"));
  const ms = Number(option("ms") || 4_000);
  const wanted = Deno.args.filter((arg) => !arg.startsWith("--"));
  for (const name of wanted) {
    if (!Object.hasOwn(ROWS, name)) throw new Error(`no row "${name}"; --list names them`);
  }
  const before = loads();
  console.log(HEAD);
  const figures: Figure[] = [];
  for (const [name, run] of Object.entries(ROWS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const found = await run({ ms, warmupMs: Math.min(2_000, ms) });
    figures.push(...found);
    for (const figure of found) console.log(line(figure));
  }
  const machine = conditions(ms, before);
  console.log(
    `\n${machine.cores} × ${machine.processor}, Deno ${machine.deno}, ${machine.system}; ` +
      `load average ${before.join(" ")} before, ${machine.load_after.join(" ")} after`,
  );
  if (option("save") !== undefined) await save(figures, machine);
}

await main();
