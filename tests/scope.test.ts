/** A scope's keys, sums and newest changes, against a plain map. */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { compareKeys, Scope } from "../room/scope.ts";
import type { Entry } from "../types.ts";

function entryOf(touched: number, bytes: number): Entry {
  return {
    value: null,
    revision: 1,
    version: "",
    updatedAt: 0,
    writer: "a",
    via: "b",
    seq: touched,
    touched,
    velocity: 1,
    writers: ["a"],
    firstAt: 0,
    bytes,
  };
}

const key = fc.oneof(
  fc.integer({ min: 0, max: 30 }).map(String),
  fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 })).map(([a, b]) =>
    `${a}.${b}`
  ),
  fc.string({ minLength: 1, maxLength: 3 }),
);
const step = fc.record({
  key,
  op: fc.constantFrom("write", "write", "delete", "undo", "list"),
  bytes: fc.nat({ max: 50 }),
});

Deno.test("A scope knows its keys in order, its bytes, and what changed after any record", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.nat({ max: 120 }), (steps, since) => {
      const scope = new Scope();
      const model = new Map<string, Entry>();
      let before: [string, Entry | undefined] | undefined;
      steps.forEach(({ key, op, bytes }, i) => {
        if (op === "list") return void scope.keys();
        const old = model.get(key);
        if (op === "write") {
          const entry = entryOf(i + 1, bytes);
          model.set(key, entry);
          scope.set(key, entry);
          before = [key, old];
        } else if (op === "delete") {
          model.delete(key);
          scope.delete(key);
        } else if (before) {
          const [undone, entry] = before;
          if (entry) model.set(undone, entry);
          else model.delete(undone);
          if (entry) scope.set(undone, entry);
          else scope.delete(undone);
          before = undefined;
        }
      });
      const keys = [...model.keys()].sort(compareKeys);
      assert.deepEqual(scope.keys(), keys);
      assert.equal(scope.bytes, [...model.values()].reduce((sum, entry) => sum + entry.bytes, 0));
      const told = scope.changedAfter(since);
      const changed = keys.filter((k) => model.get(k)!.touched > since);
      assert.ok(told && changed.every((k) => told.includes(k)) && told.every((k) => model.has(k)));
      assert.deepEqual(told, [...told].sort(compareKeys));
    }),
  );
});

Deno.test("What changed longer ago than a scope remembers is not told wrongly", () => {
  const scope = new Scope();
  for (let i = 1; i <= 10_000; i++) scope.set(`k${i % 3_000}`, entryOf(i, 1));
  assert.equal(scope.changedAfter(100), undefined);
  assert.deepEqual(scope.changedAfter(9_998), ["k1000", "k999"].sort(compareKeys));
  assert.deepEqual(scope.changedAfter(10_000), []);
});
