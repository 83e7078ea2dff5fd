/**
 * What concurrent clients see of the real service over real HTTP, while its processes and
 * databases are killed and requests between them cut off, goes through the checker.
 */
import assert from "node:assert/strict";
import { type Report, textOf } from "../proof/linear/report.ts";
import { run } from "../proof/linear/run.ts";

const SEED = 20_261_120;
const CLIENTS = 8;

function mustBeLinearizable(report: Report): void {
  assert.ok(report.ok, textOf(report));
}

Deno.test("One process on a file, killed again and again: linearizable", async () => {
  const report = await run({
    ms: 3_500,
    callsMin: 800,
    killsMin: 3,
    killMs: 800,
    instances: 1,
    databases: 0,
    rooms: 1,
    clients: CLIENTS,
    seed: SEED,
  });
  mustBeLinearizable(report);
});

Deno.test("Two instances over two libSQL servers, killed or held, over a bad network: linearizable", async () => {
  const report = await run({
    ms: 5_000,
    callsMin: 150,
    killsMin: 4,
    killMs: 900,
    instances: 2,
    databases: 2,
    cut: 40,
    rooms: 2,
    clients: CLIENTS,
    seed: SEED,
  });
  mustBeLinearizable(report);
});
