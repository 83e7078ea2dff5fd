/** The cel-spec corpus: everything that applies passes, but for a list with reasons. */
import assert from "node:assert/strict";
import { KNOWN_FAILURES } from "./cel_spec_known.ts";
import { runSpec, specTests } from "./cel_spec_suite.ts";

Deno.test("every applicable test of cel-spec passes, but for those listed with a reason", () => {
  const known = new Set(Object.values(KNOWN_FAILURES).flat());
  const counts = { pass: 0, fail: 0, skip: 0 };
  const surprises: string[] = [];
  for (const spec of specTests()) {
    const { state, why } = runSpec(spec);
    counts[state]++;
    if (state === "fail" && !known.has(spec.name)) {
      surprises.push(`fails: ${spec.name}: ${spec.test.expr}: ${why}`);
    }
    if (state !== "fail" && known.has(spec.name)) surprises.push(`no longer fails: ${spec.name}`);
    known.delete(spec.name);
  }
  for (const name of known) surprises.push(`no such test: ${name}`);
  assert.deepEqual(surprises, []);
  // The corpus must not silently shrink into its skips.
  assert.ok(counts.pass >= 1_560, `only ${counts.pass} pass`);
  assert.ok(counts.skip <= 725, `${counts.skip} are skipped`);
});
