/**
 * `deno task faults [--only=NAME] [--seed=N]`: hurts the real server in ways that need the machine
 * itself, and prints what happened. Exits with 1 when anything is lost or cannot be tried here.
 */
import { FAULTS } from "./fault-list.ts";
import { numberOption } from "./options.ts";

const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length);
const seed = numberOption(Deno.args, "seed", 1);
const chosen = FAULTS.filter(({ name }) => only === undefined || name === only);
if (chosen.length === 0) {
  console.error(`--only takes one of ${FAULTS.map(({ name }) => name).join(", ")}`);
  Deno.exit(1);
}
let failed = 0;
for (const { name, what, run } of chosen) {
  console.log(`${name}: ${what}`);
  try {
    for (const line of await run(seed)) console.log(`  ${line}`);
  } catch (error) {
    failed++;
    console.error("  FAILED", error);
  }
}
console.log(failed === 0 ? `all ${chosen.length} as they should be` : `${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
