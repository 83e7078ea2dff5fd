/**
 * The checker itself: histories made by hand, good and bad, and thousands of random ones against
 * an enumeration of every order.
 */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { check, type Model, type Operation } from "../proof/linear/checker.ts";
import {
  type Cell,
  type ClaimInput,
  type ClaimOutput,
  COUNTER,
  type CounterInput,
  type CounterOutput,
  LOG,
  type LogInput,
  REGISTER,
  type RegisterInput,
  type RegisterOutput,
  TASK,
  versionOfText,
} from "../proof/linear/models.ts";

type History<I, O> = Operation<I, O>[];

/** `[call, ret, input, output]`; no output and no end for an unknown outcome. */
type Row<I, O> = readonly [call: number, ret: number, input: I, output?: O];

const NEVER = Infinity;

function history<I, O>(rows: readonly Row<I, O>[]): History<I, O> {
  return rows.map(([call, ret, input, output]) => ({ call, ret, input, output }));
}

function judge<S, I, O>(
  model: Model<S, I, O>,
  good: Record<string, readonly Row<I, O>[]>,
  bad: Record<string, readonly Row<I, O>[]>,
): void {
  for (const [name, rows] of Object.entries(good)) {
    assert.equal(check(history(rows), model).ok, true, name);
  }
  for (const [name, rows] of Object.entries(bad)) {
    const verdict = check(history(rows), model);
    assert.equal(verdict.ok ? "linearizable" : verdict.reason, "not linearizable", name);
  }
}

const put = (value: string): RegisterInput => ({ kind: "put", value });
const cas = (expected: string | number, value: string): RegisterInput => ({
  kind: "cas",
  expected,
  value,
});
const read: { kind: "read" } = { kind: "read" };
const is = (value: string | null, revision: number): RegisterOutput => ({
  kind: "is",
  cell: { value, revision },
});
const conflict = (value: string | null, revision: number): RegisterOutput => ({
  kind: "conflict",
  current: { value, revision },
});

Deno.test("A register: what may happen is told from what may not", () => {
  judge<Cell, RegisterInput, RegisterOutput>(REGISTER, {
    "nothing happened": [],
    "overlapping writes in either order": [
      [0, 10, put("a"), is("a", 2)],
      [1, 9, put("b"), is("b", 1)],
      [11, 12, read, is("a", 2)],
    ],
    "a write of unknown outcome is seen later": [
      [0, NEVER, put("a")],
      [1, 2, read, is(null, 0)],
      [3, 4, read, is("a", 1)],
    ],
    "a write of unknown outcome never happened": [
      [0, NEVER, put("a")],
      [1, 2, put("b"), is("b", 1)],
      [3, 4, read, is("b", 1)],
    ],
    "a write of unknown outcome shows in a revision only": [
      [0, NEVER, put("a")],
      [1, 2, put("b"), is("b", 2)],
    ],
    "one of two comparisons wins": [
      [0, 1, put("a"), is("a", 1)],
      [2, 9, cas(1, "b"), is("b", 2)],
      [2, 9, cas(versionOfText("a"), "c"), conflict("b", 2)],
    ],
    "a comparison of unknown outcome that could not meet": [
      [0, 1, put("a"), is("a", 1)],
      [2, NEVER, cas("", "b")],
      [3, 4, read, is("a", 1)],
    ],
  }, {
    "lost update: two comparisons with one version win": [
      [0, 1, put("a"), is("a", 1)],
      [2, 9, cas(1, "b"), is("b", 2)],
      [2, 9, cas(1, "c"), is("c", 2)],
    ],
    "stale read": [
      [0, 1, put("a"), is("a", 1)],
      [2, 3, put("b"), is("b", 2)],
      [4, 5, read, is("a", 1)],
    ],
    "acknowledged before it was durable, then gone": [
      [0, 1, put("a"), is("a", 1)],
      [2, 3, put("b"), is("b", 2)],
      [10, 11, read, is("a", 1)],
      [12, 13, put("c"), is("c", 2)],
    ],
    "a read shows a write that is undone afterwards": [
      [0, NEVER, put("a")],
      [1, 2, read, is("a", 1)],
      [3, 4, read, is(null, 0)],
    ],
    "a read of what nobody wrote": [[0, 1, read, is("x", 1)]],
    "a write seen before it was asked for": [
      [0, 1, read, is("a", 1)],
      [2, 3, put("a"), is("a", 1)],
    ],
    "two readers see two writes in two orders": [
      [0, 20, put("a"), is("a", 1)],
      [0, 20, put("b"), is("b", 2)],
      [1, 2, read, is("b", 2)],
      [3, 4, read, is("a", 1)],
    ],
    "a conflict that names a value nobody wrote": [
      [0, 1, put("a"), is("a", 1)],
      [2, 3, cas(7, "b"), conflict("z", 1)],
    ],
    "a conflict although the version meets": [
      [0, 1, put("a"), is("a", 1)],
      [2, 3, cas(1, "b"), conflict("a", 1)],
    ],
  });
});

Deno.test("A counter and its waits: lost increments, waits too early, waits missed", () => {
  const inc: CounterInput = { kind: "inc" };
  const wait = (atLeast: number): CounterInput => ({ kind: "wait", atLeast });
  const met = (value: number): CounterOutput => ({ value, triggered: true });
  const late = (value: number): CounterOutput => ({ value, triggered: false });
  judge<number, CounterInput, CounterOutput>(COUNTER, {
    "a wait is answered by what happened while it slept": [
      [0, 9, wait(1), met(1)],
      [3, 4, inc, { value: 1 }],
    ],
    "a wait whose time was up before anything happened": [
      [0, 5, wait(1), late(0)],
      [4, 6, inc, { value: 1 }],
    ],
    "an increment of unknown outcome wakes": [[0, NEVER, inc], [1, 9, wait(1), met(1)]],
    "of many unknown outcomes some happened": [
      ...Array.from({ length: 40 }, (): Row<CounterInput, CounterOutput> => [0, NEVER, inc]),
      [1, 2, read, { value: 7 }],
      [3, 4, read, { value: 31 }],
    ],
  }, {
    "lost update": [[0, 9, inc, { value: 1 }], [1, 8, inc, { value: 1 }]],
    "an increment counted twice": [
      [0, 1, inc, { value: 1 }],
      [2, 3, read, { value: 2 }],
    ],
    "a wait answered too early": [[0, 1, wait(1), met(0)]],
    "a wait answered before the increment was asked for": [
      [0, 1, wait(1), met(1)],
      [2, 3, inc, { value: 1 }],
    ],
    "a wait missed: its time is up in a state that is an answer": [
      [0, 1, inc, { value: 1 }],
      [2, 9, wait(1), late(1)],
    ],
    "a wait missed: it shows a state from before it was asked": [
      [0, 1, inc, { value: 1 }],
      [2, 9, wait(1), late(0)],
    ],
    "of many unknown outcomes more happened than there are": [
      ...Array.from({ length: 40 }, (): Row<CounterInput, CounterOutput> => [0, NEVER, inc]),
      [1, 2, read, { value: 41 }],
    ],
    "of many unknown outcomes some were taken back": [
      ...Array.from({ length: 40 }, (): Row<CounterInput, CounterOutput> => [0, NEVER, inc]),
      [1, 2, read, { value: 31 }],
      [3, 4, read, { value: 7 }],
    ],
  });
});

const claim = (agent: string, lease: string | null = null): ClaimInput => ({
  kind: "claim",
  agent,
  lease,
});
const release = (agent: string): ClaimInput => ({ kind: "release", agent });
const work = (agent: string, fence: number): ClaimInput => ({ kind: "work", agent, fence });
const lapse = (lease: string): ClaimInput => ({ kind: "lapse", lease });
const claimed = (fence: number): ClaimOutput => ({ kind: "claimed", fence });
const taken = (by: string): ClaimOutput => ({ kind: "taken", by });
const FREE: ClaimOutput = { kind: "free" }, DONE: ClaimOutput = { kind: "done" };
const STALE: ClaimOutput = { kind: "stale" };

Deno.test("A task: one holder at a time, fences that go stale, leases that lapse", () => {
  judge(TASK, {
    "one wins, the others are told who": [
      [0, 9, claim("a"), claimed(7)],
      [0, 9, claim("b"), taken("a")],
      [10, 11, read, taken("a")],
    ],
    "released, and claimed by another": [
      [0, 1, claim("a"), claimed(7)],
      [2, 3, release("a"), DONE],
      [4, 5, claim("b"), claimed(9)],
      [6, 7, work("a", 7), STALE],
      [8, 9, work("b", 9), DONE],
    ],
    "a lease that ran out": [
      [0, 1, claim("a", "x"), claimed(7)],
      [100, NEVER, lapse("x")],
      [101, 102, claim("b", "y"), claimed(9)],
    ],
    "a renewal keeps the fence": [
      [0, 1, claim("a", "x"), claimed(7)],
      [2, 3, claim("a", "y"), claimed(7)],
      [50, NEVER, lapse("x")],
      [60, 61, read, taken("a")],
    ],
    "a claim of unknown outcome that won": [[0, NEVER, claim("a")], [1, 2, read, taken("a")]],
  }, {
    "two winners": [[0, 9, claim("a"), claimed(7)], [0, 9, claim("b"), claimed(8)]],
    "a loser told of somebody who does not hold it": [
      [0, 1, claim("a"), claimed(7)],
      [2, 3, claim("b"), taken("c")],
    ],
    "a stale fence that still works": [
      [0, 1, claim("a"), claimed(7)],
      [2, 3, release("a"), DONE],
      [4, 5, claim("b"), claimed(9)],
      [6, 7, work("a", 7), DONE],
    ],
    "a lease that ends before its time": [
      [0, 1, claim("a", "x"), claimed(7)],
      [100, NEVER, lapse("x")],
      [50, 51, claim("b", "y"), claimed(9)],
    ],
    "an old lease that ends a renewed claim": [
      [0, 1, claim("a", "x"), claimed(7)],
      [2, 3, claim("a", "y"), claimed(7)],
      [50, NEVER, lapse("x")],
      [60, 61, read, FREE],
    ],
    "a renewal with another fence": [
      [0, 1, claim("a"), claimed(7)],
      [2, 3, claim("a"), claimed(8)],
    ],
  });
});

Deno.test("A log: numbers without gap or duplicate, and heads that do not go back", () => {
  const append: LogInput = { kind: "append" }, head: LogInput = { kind: "head" };
  judge(LOG, {
    "overlapping records": [[0, 9, append, 2], [0, 9, append, 1], [10, 11, head, 2]],
    "a gap that an unknown outcome fills": [[0, NEVER, append], [1, 2, append, 2]],
  }, {
    "one number twice": [[0, 9, append, 1], [0, 9, append, 1]],
    "a gap": [[0, 1, append, 1], [2, 3, append, 3]],
    "numbers against time": [[0, 1, append, 2], [2, 3, append, 1]],
    "a head that goes back": [[0, 1, append, 1], [2, 3, append, 2], [4, 5, head, 1]],
  });
});

/** Is there an order? By trying all of them. */
function byEnumeration<S, I, O>(ops: History<I, O>, { initial, step }: Model<S, I, O>): boolean {
  const goOn = (state: S, left: readonly Operation<I, O>[]): boolean => {
    if (left.every(({ ret }) => ret === Infinity)) return true;
    return left.some((op, i) => {
      const rest = left.filter((_, j) => j !== i);
      if (rest.some(({ ret }) => ret < op.call)) return false;
      const next = step(state, op.input, op.output);
      return next !== undefined && goOn(next, rest);
    });
  };
  return goOn(initial, ops);
}

/** A random operation: where its interval lies, and which of the inputs and outputs it has. */
const anyOperation = fc.record({
  call: fc.integer({ min: 0, max: 12 }),
  length: fc.integer({ min: 0, max: 8 }),
  isLost: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  input: fc.nat(),
  output: fc.nat(),
  isTrue: fc.integer({ min: 0, max: 5 }).map((n) => n > 0),
});

/**
 * Random histories of up to six operations. Most answers are true to an execution in the order of
 * the calls, so that about half of the histories have an order.
 */
function agree<S, I, O>(
  model: Model<S, I, O>,
  inputs: readonly I[],
  outputs: readonly O[],
): void {
  const counts = { good: 0, bad: 0 };
  fc.assert(
    fc.property(fc.array(anyOperation, { minLength: 1, maxLength: 6 }), (drawn) => {
      let state = model.initial;
      const ops = drawn.sort((a, b) => a.call - b.call).map((d): Operation<I, O> => {
        const input = inputs[d.input % inputs.length]!;
        const honest = outputs.find((output) => model.step(state, input, output) !== undefined);
        const output = d.isTrue && honest ? honest : outputs[d.output % outputs.length]!;
        state = model.step(state, input, output) ?? state;
        return d.isLost
          ? { input, output: undefined, call: d.call, ret: Infinity }
          : { input, output, call: d.call, ret: d.call + d.length };
      });
      const verdict = check(ops, model);
      counts[verdict.ok ? "good" : "bad"]++;
      assert.equal(verdict.ok, byEnumeration(ops, model));
      if (verdict.ok) mustExplain(ops, model, verdict.order);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(
    Math.min(counts.good, counts.bad) > 450,
    `too much of a kind: ${JSON.stringify(counts)}`,
  );
}

/** The order that a check answers is one. */
function mustExplain<S, I, O>(
  ops: History<I, O>,
  { initial, step }: Model<S, I, O>,
  order: readonly number[],
): void {
  let state: S | undefined = initial;
  let began = -Infinity;
  for (const i of order) {
    const { input, output, call, ret } = ops[i]!;
    assert.ok(ret >= began, "against time");
    began = Math.max(began, call);
    state = step(state, input, output);
    assert.ok(state !== undefined, "not explained by the model");
  }
  assert.ok(ops.every(({ ret }, i) => ret === Infinity || order.includes(i)));
}

Deno.test("Random small histories: the checker and the enumeration of all orders agree", () => {
  const cells: Cell[] = ["a", "b"].flatMap((value) =>
    [1, 2, 3].map((revision) => ({ value, revision }))
  );
  agree(
    REGISTER,
    [put("a"), put("b"), cas(1, "a"), cas(versionOfText("a"), "b"), cas("", "a"), read, read],
    [{ value: null, revision: 0 }, ...cells].flatMap((cell): RegisterOutput[] => [
      { kind: "is", cell },
      { kind: "conflict", current: cell },
    ]),
  );
  agree<number, CounterInput, CounterOutput>(
    COUNTER,
    [{ kind: "inc" }, { kind: "inc" }, read, { kind: "wait", atLeast: 2 }],
    [0, 1, 2, 3].flatMap((value) => [{ value }, { value, triggered: value >= 2 }]),
  );
  agree(
    TASK,
    [claim("a", "x"), claim("b"), release("a"), work("a", 1), lapse("x"), read],
    [claimed(1), claimed(2), taken("a"), taken("b"), FREE, DONE, STALE],
  );
  agree(LOG, [{ kind: "append" }, { kind: "append" }, { kind: "head" }], [0, 1, 2, 3, 4]);
});

/** `n` writes by eight clients at a time, each answered in order, and a read after each. */
function longHistory(n: number): History<RegisterInput, RegisterOutput> {
  return Array.from({ length: n }, (_, i): History<RegisterInput, RegisterOutput> => [
    { call: i - 8, ret: i, input: put(`v${i}`), output: is(`v${i}`, i + 1) },
    { call: i - 4, ret: i + 0.5, input: read, output: is(`v${i}`, i + 1) },
  ]).flat();
}

Deno.test("Long histories take steps in proportion; the budget of steps is kept, and its end is a failure", () => {
  const good = check(longHistory(4_000), REGISTER);
  assert.ok(good.ok && good.steps < 40 * 8_000, `${good.steps} steps`);
  const bad = longHistory(1_000);
  bad[1_500] = { ...bad[1_500]!, output: is("nobody's", 751) };
  const verdict = check(bad, REGISTER);
  assert.ok(!verdict.ok && verdict.reason === "not linearizable");
  assert.ok(verdict.missing.includes(1_500), "the report names what has no place");
  // Twelve writes at once in any order, and a read that no order explains.
  const wide = [
    ...Array.from({ length: 12 }, (_, i): Row<RegisterInput, RegisterOutput> => [
      0,
      NEVER,
      put(`v${i}`),
    ]),
    [1, 2, read, is("v0", 12)] as const,
    [3, 4, read, is("v0", 11)] as const,
  ];
  const spent = check(history(wide), REGISTER, 10_000);
  assert.ok(!spent.ok && spent.reason === "exhausted" && spent.steps === 10_001);
});
