/** Hostile expressions: each ends by its steps or is refused; nothing absorbs an empty budget. */
import assert from "node:assert/strict";
import {
  Budget,
  CelError,
  CelTooExpensive,
  compile,
  evaluate,
  toJson,
  type Value,
} from "../cel.ts";
import { DYN } from "../cel/kinds.ts";
import { analyse } from "../cel/program.ts";
import { SyncError } from "../errors.ts";
import { CEL_DEPTH_MAX, CEL_NODES_MAX, CEL_SOURCE_BYTES_MAX, CEL_STEPS_MAX } from "../limits.ts";

const HUNDRED = `[${Array.from({ length: 100 }, (_, i) => i).join(", ")}]`;
const TEXT = "ab".repeat(50_000);
const ROOTS: Readonly<Record<string, Value>> = {
  params: { text: TEXT, list: Array.from({ length: 20_000 }, (_, i) => `x${i}`) },
};

/** `step` applied n times by bindings, each over the one before. */
function doubling(start: string, step: (x: string) => string, times: number, last: string): string {
  let source = last.replaceAll("X", `x${times}`);
  for (let i = times; i >= 1; i--) source = `cel.bind(x${i}, ${step(`x${i - 1}`)}, ${source})`;
  return `cel.bind(x0, ${start}, ${source})`;
}

function spend(source: string, steps = CEL_STEPS_MAX): { budget: Budget; ended: unknown } {
  const program = compile(source, { field: "if", place: "call" });
  const budget = new Budget(steps);
  try {
    const value = evaluate(program, { root: (name) => ROOTS[name], budget });
    toJson(value, budget);
    return { budget, ended: undefined };
  } catch (error) {
    return { budget, ended: error };
  }
}

const nested = (body: string) =>
  `cel.bind(r, ${HUNDRED}, r.all(a, r.all(b, r.all(c, r.all(d, r.all(e, ${body}))))))`;

const EXPENSIVE: readonly (readonly [string, string])[] = [
  ["maps nested five deep over a hundred", nested("a + b + c + d + e >= 0")],
  [
    "an inner failure that exists absorbs",
    nested("a + b >= 0 || [][a] == 1").replaceAll(".all(", ".exists(").replace(">= 0", "< 0"),
  ],
  ["a doubled text", doubling("'ab'", (x) => `${x} + ${x}`, 28, "X")],
  ["a doubled list", doubling("[1]", (x) => `${x} + ${x}`, 28, "X")],
  ["a shared list that doubles when it leaves", doubling("[1]", (x) => `[${x}, ${x}]`, 28, "X")],
  [
    "a shared list that doubles when it is compared",
    doubling("[1]", (x) => `[${x}, ${x}]`, 28, "X == X"),
  ],
  [
    "a shared map that doubles when it leaves",
    doubling("{}", (x) => `{'a': ${x}, 'b': ${x}}`, 28, "X"),
  ],
  ["a text that replace grows", doubling("'aa'", (x) => `${x}.replace('a', 'aaaaaaaa')`, 20, "X")],
  ["a text that join grows", doubling("'ab'", (x) => `${x}.split('').join('zzzz')`, 28, "X")],
  [
    "a list that flatten grows",
    doubling("[1, 1]", (x) => `[${x}, ${x}].flatten()`, 28, "X.size()"),
  ],
  ["a text that format grows", doubling("'ab'", (x) => `'%s%s'.format([${x}, ${x}])`, 28, "X")],
  ["a search for a long text", "params.text.contains(params.text.substring(0, 50000) + 'c')"],
  ["membership in a long list, for each", "params.list.all(x, x in params.list)"],
  ["a hostile pattern over a long text", "params.text.matches('(a+)+$')"],
  ["a hostile pattern with counted repeats", "params.text.matches('(a?){300}(a){300}')"],
  [
    "many patterns",
    `${HUNDRED}.exists(a, ${HUNDRED}.exists(b, 'x'.matches(string(a) + 'q' + string(b))))`,
  ],
  ["a range", "lists.range(1000000000)"],
  ["ranges of ranges", "lists.range(10000).map(x, lists.range(10000))"],
  ["time zones", nested("timestamp('2026-01-01T00:00:00Z').getHours('Asia/Tokyo') >= 0")],
];

for (const [what, source] of EXPENSIVE) {
  Deno.test(`${what} is too expensive`, () => {
    const { ended, budget } = spend(source);
    assert.ok(ended instanceof CelTooExpensive, `${String(ended)} after ${budget.spent}`);
    assert.equal(ended.steps, CEL_STEPS_MAX);
  });
}

Deno.test("nothing in the language absorbs an empty budget", () => {
  const inner = `${HUNDRED}.all(x, x >= 0)`;
  const absorbing = [
    `${inner} || true`,
    `true || ${inner} || ${inner}`,
    `${inner} && false`,
    `${inner} ? true : true`,
    `[1, 2].exists(y, ${inner} || true)`,
    `![1, 2].all(y, ${inner} && false)`,
    `[1].exists_one(y, ${inner})`,
    `has({'a': ${inner}}.a)`,
    `optional.of(${inner}).orValue(true)`,
    `[1].filter(y, ${inner}) == [1]`,
  ];
  for (const source of absorbing.filter((s) => !s.startsWith("true ||"))) {
    assert.ok(spend(source, 50).ended instanceof CelTooExpensive, source);
  }
});

Deno.test("the last step that the budget allows is taken, and one more is not", () => {
  const source = `${HUNDRED}.all(x, x >= 0)`;
  const { budget, ended } = spend(source);
  assert.equal(ended, undefined);
  assert.equal(spend(source, budget.spent).ended, undefined);
  assert.ok(spend(source, budget.spent - 1).ended instanceof CelTooExpensive);
});

/**
 * What an expression costs, leaving included, and not half as much again. x is a text of 6 400
 * characters, y a list of 6 400 texts, m a map of 6 400 members.
 */
const CHARGES: readonly (readonly [string, number])[] = [
  ["x + x", 403],
  ["x == (x + 'a').substring(0, 6400)", 309],
  ["x < x + 'a'", 304],
  ["x.size()", 204],
  ["x.contains('b')", 305],
  ["x.startsWith(x)", 206],
  ["x.endsWith(x)", 206],
  ["x.indexOf('b')", 305],
  ["x.lastIndexOf('a')", 339],
  ["x.lastIndexOf(x + 'b')", 853_774],
  ["x.contains(x + 'b')", 13_509],
  ["x.substring(1)", 204],
  ["x.charAt(1)", 105],
  ["x.split('')", 11_406],
  ["x.replace('a', 'b')", 3_806],
  ["x.replace('a', '0123456789')", 5_606],
  ["x.reverse()", 1_704],
  ["x.upperAscii()", 504],
  ["(x + 'é').lowerAscii()", 3_805],
  ["x.trim()", 304],
  ["'%s'.format([x])", 312],
  ["'%x'.format([x])", 13_211],
  ["strings.quote(x)", 6_504],
  ["bytes(x)", 3_405],
  ["base64.encode(bytes(x))", 3_540],
  ["base64.decode(x)", 5_605],
  ["x.matches('a+b')", 25_000],
  ["x in m", 403],
  ["m[?x]", 404],
  ["{x: 1}[x]", 807],
  ["{x: 1}", 410],
  ["'é' in y", 6_402],
  ["y + y", 14_404],
  ["y == y.slice(0, 6400)", 7_209],
  ["y.slice(0, 6400)", 7_207],
  ["y.reverse()", 7_205],
  ["y.sort()", 25_145],
  ["y.distinct()", 19_205],
  ["[y].flatten(2)", 12_809],
  ["y.join()", 3_968],
  ["y.max()", 6_404],
  ["y.all(e, true)", 6_401],
  ["y.map(e, e)", 12_802],
  ["size(m)", 6_404],
  ["m == m", 32_004],
  ["m.keys()", 64_005],
  ["m.values()", 70_405],
  ["m.all(k, true)", 12_801],
  ["m.all(k, v, true)", 19_201],
  ["optional.ofNonZeroValue(m)", 38_406],
  ["y", 6_402],
  ["m", 32_002],
  ["[1, 2, 3, 4]", 10],
  ["{1: 1, 2: 2, 3: 3}", 23],
  ["[[[[]]]]", 14],
  ["timestamp('2026-01-01T00:00:00Z')", 36],
  ["duration('1s')", 36],
  ["string(duration('1s'))", 70],
  ["timestamp('2026-01-01T00:00:00Z').getHours('Asia/Tokyo')", 1_063],
  ["'%s%s%s'.format([1, 2, 3])", 35],
  ["lists.range(100)", 304],
];

Deno.test("everything that copies or walks is charged for how much it does", () => {
  const roots: Readonly<Record<string, Value>> = {
    x: "a".repeat(6_400),
    y: Array.from({ length: 6_400 }, (_, i) => `${i}`),
    m: Object.fromEntries(Array.from({ length: 6_400 }, (_, i) => [`k${i}`, i])),
  };
  for (const [source, least] of CHARGES) {
    const program = analyse(source, { roots: new Map(["x", "y", "m"].map((name) => [name, DYN])) });
    const budget = new Budget(10_000_000);
    toJson(evaluate(program, { root: (name) => roots[name], budget }), budget);
    assert.ok(budget.spent >= least, `${source} took ${budget.spent} steps, not ${least}`);
    assert.ok(budget.spent <= least * 1.5, `${source} took ${budget.spent} steps`);
  }
});

Deno.test("a pattern that is new is charged for its size", () => {
  const once = spend("'x'.matches('never' + 'seen' + '{1,50}before')").budget.spent;
  assert.ok(once > 1_500, String(once));
  assert.ok(spend("'x'.matches('un' + 'seen')").budget.spent > 500);
  assert.ok(spend("'x'.matches('never' + 'seen' + '{1,50}before')").budget.spent < 500);
});

Deno.test("an expression that nests too deep for what is left of the stack is refused", () => {
  // Runs the stack full, comes a little way back, and compiles there.
  const nearTheEnd = (): unknown => {
    try {
      const back = nearTheEnd();
      if (typeof back !== "number") return back;
      return back < 2_000 ? back + 1 : stageOf(`${"!".repeat(8_000)}true`);
    } catch (error) {
      assert.ok(error instanceof RangeError);
      return 0;
    }
  };
  assert.equal(nearTheEnd(), "limit");
});

Deno.test("an honest gate takes a few steps", () => {
  const { budget } = spend("params.text.size() > 3 && params.list[0] == 'x0'");
  assert.ok(budget.spent < 4_000, String(budget.spent));
  assert.ok(spend("params.list[0] == 'x0'").budget.spent < 10);
});

function stageOf(source: string): unknown {
  try {
    compile(source, { field: "if", place: "call" });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof SyncError, String(error));
    assert.equal(error.code, "invalid_cel");
    return error.facts["stage"];
  }
}

Deno.test("source, parts and nesting are bounded at their limit and one past it", () => {
  const text = (bytes: number) => `"${"a".repeat(bytes - 2)}"`;
  assert.equal(stageOf(text(CEL_SOURCE_BYTES_MAX)), undefined);
  assert.equal(stageOf(text(CEL_SOURCE_BYTES_MAX + 1)), "limit");
  assert.equal(stageOf(`"${"é".repeat(CEL_SOURCE_BYTES_MAX / 2)}"`), "limit");
  // A sum of n ones has n ones and n - 1 sums.
  const sum = (ones: number) => Array.from({ length: ones }, () => "1").join("+");
  assert.equal(stageOf(sum(CEL_NODES_MAX / 2)), undefined);
  assert.equal(stageOf(`-${sum(CEL_NODES_MAX / 2)}`), undefined);
  assert.equal(stageOf(`--${sum(CEL_NODES_MAX / 2)}`), "limit");
  assert.equal(stageOf(`${"!".repeat(CEL_DEPTH_MAX)}true`), undefined);
  assert.equal(stageOf(`${"!".repeat(CEL_DEPTH_MAX + 1)}true`), "limit");
  assert.equal(
    stageOf(`${"[".repeat(CEL_DEPTH_MAX - 1)}1${"]".repeat(CEL_DEPTH_MAX - 1)}`),
    undefined,
  );
  assert.equal(stageOf(`${"[".repeat(CEL_DEPTH_MAX)}1${"]".repeat(CEL_DEPTH_MAX)}`), "limit");
});

Deno.test("what would overflow the stack is refused", () => {
  for (
    const source of [
      `${"!".repeat(8_000)}true`,
      `${"-".repeat(8_000)}1`,
      `${"(".repeat(4_000)}1${")".repeat(4_000)}`,
      `${"[".repeat(4_000)}${"]".repeat(4_000)}`,
      `1${"+1".repeat(4_000)}`,
      `params${".a".repeat(4_000)}`,
      "true?1:".repeat(1_000) + "2",
      `${"size(".repeat(1_000)}1${")".repeat(1_000)}`,
      `params${"[0]".repeat(2_000)}`,
    ]
  ) assert.equal(stageOf(source), "limit", source.slice(0, 20));
});

Deno.test("a pattern that RE2 refuses, or that is too large, never runs", () => {
  assert.equal(stageOf("'a'.matches('(((a{30}){30}){30})')"), "check");
  assert.equal(stageOf(`'a'.matches('(${"ab|".repeat(160)}c){1,1000}')`), "limit");
  assert.ok(spend("'a'.matches('(' + 'a)' )").ended === undefined);
  assert.ok(spend("'a'.matches('(' + 'a' )").ended instanceof CelError);
});

Deno.test("prototypes cannot be reached or set", () => {
  const { ended } = spend("params.constructor.constructor");
  assert.ok(ended instanceof CelError && ended.code === "missing");
  const value = evaluate(
    compile("{'__proto__': {'polluted': true}}", { field: "if", place: "call" }),
    { root: () => undefined, budget: new Budget() },
  );
  const out = toJson(value) as Record<string, unknown>;
  assert.equal(out["polluted"], undefined);
  assert.equal(Object.getPrototypeOf(out), Object.prototype);
  assert.deepEqual(Object.keys(out), ["__proto__"]);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});
