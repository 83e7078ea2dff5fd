/**
 * Runs seeds of the simulation: `deno task simulate --seeds=1000 --from=1`, or one of them with
 * everything that happened in it: `--seed=N --trace`, and what the service logged: `--log=json`.
 * `--plant="nobody is woken"` puts a fault in first. Ends with 1 if one of them went wrong.
 */
import { parseArgs } from "node:util";
import { PLANTS } from "./simulation/plants.ts";
import { runSeed, type Verdict } from "./simulation/run.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    log: { type: "string" },
    plant: { type: "string" },
    trace: { type: "boolean", default: false },
  },
});

if (values.plant !== undefined) {
  const plant = PLANTS[values.plant];
  if (!plant) throw new Error(`--plant takes one of:\n${Object.keys(PLANTS).join("\n")}`);
  plant();
}
const one = values.seed === undefined ? undefined : Number(values.seed);
const first = one ?? Number(values.from), count = one === undefined ? Number(values.seeds) : 1;
const begun = performance.now();
const failed: number[] = [];
const total = { steps: 0, tookMs: 0 } as Record<string, number>;

function add(verdict: Verdict): void {
  for (const [name, n] of Object.entries(verdict.counts)) total[name] = (total[name] ?? 0) + n;
  total["steps"]! += verdict.steps;
  total["tookMs"]! += verdict.tookMs;
}

for (let seed = first; seed < first + count; seed++) {
  const verdict = await runSeed({
    seed,
    keepsTrace: values.trace,
    ...values.log ? { log: values.log } : {},
  });
  add(verdict);
  if (values.trace) { for (const line of verdict.lines) console.log(line); }
  if (verdict.wrong.length > 0) {
    failed.push(seed);
    console.log(`seed ${seed} after ${verdict.steps} steps:`);
    for (const text of verdict.wrong) console.log(`  ${text}`);
  }
  const done = seed - first + 1;
  if (done % 100 === 0) console.log(`${done} of ${count}`);
  if (one !== undefined) console.log(`seed ${seed}: ${verdict.digest}`);
}

const seconds = (performance.now() - begun) / 1000;
const figures = Object.entries(total).map(([name, n]) => `${Math.round(n)} ${name}`).join(", ");
console.log(
  `${count} seeds in ${seconds.toFixed(1)} s (${(count / seconds).toFixed(2)}/s): ${figures}`,
);
console.log(failed.length === 0 ? "nothing went wrong" : `went wrong: ${failed.join(" ")}`);
Deno.exit(failed.length === 0 ? 0 : 1);
