/**
 * `deno task crash [--rounds=1000] [--seed=N]`: kills the real server at random moments and checks
 * after each that nothing acknowledged is lost. Exits with 1 at the first round that fails.
 */
import { crashRounds } from "./crash-rounds.ts";
import { numberOption } from "./options.ts";

const REPORT_EVERY = 50;

const rounds = numberOption(Deno.args, "rounds", 1_000);
const seed = numberOption(Deno.args, "seed", Date.now() % 1_000_000);
const started = performance.now();
console.log(`${rounds} rounds, seed ${seed}`);
try {
  const { acknowledged, inDoubt, atStart } = await crashRounds({
    rounds,
    seed,
    report: ({ round, acknowledged }) => {
      if (round % REPORT_EVERY === 0) console.log(`round ${round}: ${acknowledged} acknowledged`);
    },
  });
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  console.log(
    `${rounds} kills (and ${atStart} during the start) in ${seconds} s: ${acknowledged} commands ` +
      `acknowledged, 0 lost, 0 in half, 0 done twice; ${inDoubt} in doubt, settled by their keys`,
  );
} catch (error) {
  console.error(error);
  Deno.exit(1);
}
