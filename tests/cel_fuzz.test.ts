/** Generated expressions: the same answer as cel-js's evaluator, and a printer that keeps meaning. */
import "./seed.ts";
import assert from "node:assert/strict";
import { type ASTNode, Environment } from "@marcbachmann/cel-js";
import fc from "fast-check";
import { Budget, CelError, evaluate, print, toJson, type Value } from "../cel.ts";
import { DYN } from "../cel/kinds.ts";
import { children, parseSource, Refusal } from "../cel/parse.ts";
import { analyse } from "../cel/program.ts";
import { specTests } from "./cel_spec_suite.ts";

const SEED = 20_261_120;
const RUNS = 1_500;

type Source = fc.Arbitrary<string>;

const { int, double, text, bool, list } = fc.letrec<Record<string, string>>((tie) => {
  const op = (ops: readonly string[], of: Source): Source =>
    fc.tuple(of, fc.constantFrom(...ops), of).map(([a, o, b]) => `(${a} ${o} ${b})`);
  const choice = (of: Source): Source =>
    fc.tuple(tie("bool"), of, of).map(([t, a, b]) => `(${t} ? ${a} : ${b})`);
  const deep = { depthSize: "small", withCrossShrink: true } as const;
  return {
    int: fc.oneof(
      deep,
      fc.constantFrom("0", "1", "2", "-3", "7", "9223372036854775807", "4611686018427387904", "i"),
      op(["+", "-", "*", "/", "%"], tie("int")),
      choice(tie("int")),
      tie("text").map((s) => `size(${s})`),
      tie("list").map((l) => `${l}.size()`),
      fc.tuple(tie("list"), tie("int")).map(([l, i]) => `${l}[${i}]`),
      fc.tuple(tie("text"), tie("text")).map(([a, b]) => `${a}.indexOf(${b})`),
    ),
    double: fc.oneof(
      deep,
      fc.constantFrom("0.0", "1.5", "-2.25", "1e10", "d"),
      op(["+", "-", "*", "/"], tie("double")),
      choice(tie("double")),
      tie("int").map((i) => `double(${i})`),
    ),
    text: fc.oneof(
      deep,
      fc.constantFrom('""', '"a"', '"ab"', '"b,a"', "s"),
      op(["+"], tie("text")),
      choice(tie("text")),
      tie("int").map((i) => `string(${i})`),
      fc.tuple(tie("text"), tie("int")).map(([s, i]) => `${s}.substring(${i})`),
      tie("text").map((s) => `${s}.upperAscii()`),
      tie("text").map((s) => `${s}.split("a").join("-")`),
    ),
    bool: fc.oneof(
      deep,
      fc.constantFrom("true", "false", "b"),
      op(["&&", "||"], tie("bool")),
      tie("bool").map((b) => `!${b}`),
      op(["==", "!=", "<", "<=", ">", ">="], tie("int")),
      op(["==", "!=", "<", "<=", ">", ">="], tie("double")),
      op(["==", "!=", "<", ">="], tie("text")),
      op(["==", "!="], tie("list")),
      fc.tuple(tie("int"), tie("list")).map(([i, l]) => `(${i} in ${l})`),
      fc.tuple(tie("text"), fc.constantFrom("contains", "startsWith", "endsWith"), tie("text"))
        .map(([a, f, b]) => `${a}.${f}(${b})`),
      fc.tuple(tie("list"), fc.constantFrom("all", "exists", "exists_one"), tie("int"))
        .map(([l, m, i]) => `${l}.${m}(x, x < ${i})`),
      fc.constantFrom("has(m.a)", "has(m.z)", '"a" in m', '"z" in m', "m.z == 1"),
    ),
    list: fc.oneof(
      deep,
      fc.constantFrom("[1]", "[1, 2, 3]", "l"),
      fc.array(tie("int"), { minLength: 1, maxLength: 3 }).map((items) => `[${items.join(", ")}]`),
      op(["+"], tie("list")),
      fc.tuple(tie("list"), tie("int")).map(([l, i]) => `${l}.map(x, x - ${i})`),
      fc.tuple(tie("list"), tie("int")).map(([l, i]) => `${l}.filter(x, x > ${i})`),
      fc.tuple(tie("list"), tie("list")).map(([a, b]) => `cel.bind(y, ${a}, y + ${b})`),
    ),
  };
});

const any = fc.oneof(
  int as Source,
  double as Source,
  text as Source,
  bool as Source,
  list as Source,
);
const VARIABLES = { i: 5n, d: 0.5, s: "cab", b: true, l: [3n, 1n], m: { a: 1 } };
const oracle = new Environment({
  unlistedVariablesAreDyn: false,
  homogeneousAggregateLiterals: false,
})
  .registerVariable("i", "int")
  .registerVariable("d", "double")
  .registerVariable("s", "string")
  .registerVariable("b", "bool")
  .registerVariable("l", "list<int>")
  .registerVariable("m", "map<string, dyn>");

const FAILED = Symbol("failed");

function ours(source: string): unknown {
  const roots = new Map(Object.keys(VARIABLES).map((name) => [name, DYN]));
  const values: Readonly<Record<string, Value>> = VARIABLES;
  try {
    const program = analyse(source, { roots });
    return evaluate(program, { root: (name) => values[name], budget: new Budget() });
  } catch (error) {
    if (error instanceof CelError || error instanceof Refusal) return FAILED;
    throw error;
  }
}

function theirs(source: string): unknown {
  try {
    return oracle.evaluate(source, VARIABLES);
  } catch (error) {
    if (error instanceof Error) return FAILED;
    throw error;
  }
}

Deno.test("generated expressions give what cel-js gives", () => {
  let failed = 0;
  fc.assert(
    fc.property(any, (source) => {
      const expected = theirs(source);
      if (expected === FAILED) failed++;
      assert.deepEqual(ours(source), expected, source);
    }),
    { seed: SEED, numRuns: RUNS },
  );
  assert.ok(failed < RUNS * 0.75, `${failed} of ${RUNS} only fail`);
});

/** A tree without its places. */
function shape(node: ASTNode): unknown {
  const own = node.op === "value"
    ? `${typeof node.args}:${String(node.args)}`
    : node.op === "id"
    ? node.args
    : node.op === "." || node.op === ".?"
    ? node.args[1]
    : node.op === "call" || node.op === "rcall"
    ? node.args[0]
    : "";
  return [node.op, own, ...children(node).map(shape)];
}

Deno.test("printing a generated expression keeps its tree", () => {
  fc.assert(
    fc.property(any, (source) => {
      const ast = parseSource(source);
      assert.deepEqual(shape(parseSource(print(ast))), shape(ast), `${source} as ${print(ast)}`);
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

Deno.test("printing an expression of cel-spec keeps its tree", () => {
  let seen = 0;
  for (const { test } of specTests()) {
    let ast: ASTNode;
    try {
      ast = parseSource(test.expr);
    } catch (error) {
      if (error instanceof Refusal) continue;
      throw error;
    }
    seen++;
    assert.deepEqual(shape(parseSource(print(ast))), shape(ast), `${test.expr} as ${print(ast)}`);
  }
  assert.ok(seen > 1_700, String(seen));
});

const TRICKY = [
  "a - (b - c)",
  "a - b - c",
  "(a + b) * c",
  "a / (b * c)",
  "-(-1)",
  "-(1)",
  "--a",
  "!(a && b) || c",
  "(a ? b : c) ? d : e",
  "a ? b : (c ? d : e)",
  "(a || b) && c",
  "(a == b) == c",
  "a == (b == c)",
  "a < (b in c)",
  "(-1).x",
  "(a + b).size()",
  "[a][0].b",
  "1e99",
  "1.0",
  "-1.5e-7",
  "9007199254740993",
  "18446744073709551615u",
  '"\\n\\t\\"\\\\\\u0001é😀"',
  "b'\\x00\\xffa\"'",
  "a.?b[?c].?d",
  "{'a': 1, b: [2]}",
  "(a ? b : c).d",
];

for (const source of TRICKY) {
  Deno.test(`prints ${source} so that it means the same`, () => {
    const ast = parseSource(source);
    assert.deepEqual(shape(parseSource(print(ast))), shape(ast), print(ast));
    assert.equal(print(parseSource(print(ast))), print(ast));
  });
}

Deno.test("any JSON goes in and comes out the same", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (data) => {
      const program = analyse("x", { roots: new Map([["x", DYN]]) });
      const value = evaluate(program, { root: () => data as Value, budget: new Budget() });
      assert.equal(JSON.stringify(toJson(value)), JSON.stringify(data));
    }),
    { seed: SEED, numRuns: 300 },
  );
});
