/**
 * `deno task bench [rows…] [--ms=4000] [--save]`: measures the product beside a reference in the
 * same run and prints both. `--save` writes bench/results/<version>.json. `--list` names the rows.
 */
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

async function save(figures: readonly Figure[]): Promise<void> {
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
    `${JSON.stringify(rows, null, 2)}\n`,
  );
}

async function main(): Promise<void> {
  if (option("list") !== undefined) return console.log(Object.keys(ROWS).join("\n"));
  const ms = Number(option("ms") || 4_000);
  const wanted = Deno.args.filter((arg) => !arg.startsWith("--"));
  for (const name of wanted) {
    if (!Object.hasOwn(ROWS, name)) throw new Error(`no row "${name}"; --list names them`);
  }
  console.log(HEAD);
  const figures: Figure[] = [];
  for (const [name, run] of Object.entries(ROWS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const found = await run({ ms, warmupMs: Math.min(2_000, ms) });
    figures.push(...found);
    for (const figure of found) console.log(line(figure));
  }
  if (option("save") !== undefined) await save(figures);
}

await main();
