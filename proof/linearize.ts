/**
 * `deno task linearize`: records what concurrent clients see of a real service while it is killed
 * again and again, and checks that each room was linearizable. Leaves with 1 when it was not.
 */
import { textOf } from "./linear/report.ts";
import { run } from "./linear/run.ts";
import { numberOption } from "./options.ts";

const option = (name: string, fallback: number): number => numberOption(Deno.args, name, fallback);

const instances = option("instances", 1);
const options = {
  ms: option("ms", 20_000),
  clients: option("clients", 8),
  rooms: option("rooms", 1),
  instances,
  databases: option("databases", instances > 1 ? 1 : 0),
  seed: option("seed", 1),
  killMs: option("kill", 1_500),
  cut: option("cut", 0),
  plant: Deno.args.find((arg) => arg.startsWith("--plant="))?.slice("--plant=".length),
};

console.log(`linearize ${JSON.stringify(options)}`);
const report = await run(options);
console.log(textOf(report));
Deno.exit(report.ok ? 0 : 1);
