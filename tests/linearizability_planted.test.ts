/**
 * Bugs put in around the real service are found by the checker, and faults beneath it that it has
 * to stand are stood: the same clients, over real HTTP.
 */
import assert from "node:assert/strict";
import { PLANTS } from "../proof/linear/planted.ts";
import { type Report, textOf } from "../proof/linear/report.ts";
import { run } from "../proof/linear/run.ts";

const SEED = 20_261_120;

/** The search alone has to see it, without the log's help. */
function mustBeFound(report: Report): void {
  assert.ok(report.failures.some(({ reason }) => reason === "not linearizable"), textOf(report));
}

for (const [plant, { what, isFault, needs }] of Object.entries(PLANTS)) {
  const outcome = isFault ? "stands it" : "is found out";
  Deno.test(`Put in: ${what}: the service ${outcome}`, async () => {
    const isKilled = needs === "a kill";
    const report = await run({
      ms: 400,
      callsMin: 350,
      killsMin: isKilled ? 1 : 0,
      killMs: isKilled ? 400 : 0,
      instances: needs === "two instances" ? 2 : 1,
      databases: needs === "two instances" ? 1 : 0,
      rooms: 1,
      clients: 8,
      seed: SEED,
      plant,
    });
    if (isFault) assert.ok(report.ok, textOf(report));
    else mustBeFound(report);
  });
}
