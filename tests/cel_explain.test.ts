/** Explanations: the smallest false parts, what they read, and the element that decided. */
import assert from "node:assert/strict";
import { CelTooExpensive, compile, explain, type Explanation } from "../cel.ts";
import { roomEnv } from "./cel_host.ts";

function why(source: string, steps?: number): Explanation[] {
  return explain(compile(source, { field: "if", place: "call" }), roomEnv(steps));
}

/** A part in one line: expression, operands, witness. */
function line({ expression, operands, element }: Explanation): string {
  const read = operands.map(({ path, missing, value }) =>
    missing ? `${path} missing` : `${path}=${JSON.stringify(value)}`
  );
  const witness = element === undefined ? "" : ` @ ${JSON.stringify(element)}`;
  return `${expression} [${read.join(", ")}]${witness}`;
}

const TABLE: readonly (readonly [string, readonly string[]])[] = [
  ["state._shared.turn.value == 3", []],
  ["state._shared.turn.value == 4", ["state._shared.turn.value == 4 [state._shared.turn.value=3]"]],
  [
    "state._shared.turn.value == 3 && self == 'bob' && params.n > 5",
    ['self == "bob" [self="alice"]', "params.n > 5 [params.n=2]"],
  ],
  [
    "self == 'bob' || params.n > 5",
    ['self == "bob" [self="alice"]', "params.n > 5 [params.n=2]"],
  ],
  ["!(self == 'alice')", ['self == "alice" [self="alice"]']],
  ["!(self == 'alice' || params.n > 5)", ['self == "alice" [self="alice"]']],
  ["!(self == 'alice' && params.n == 2)", [
    'self == "alice" [self="alice"]',
    "params.n == 2 [params.n=2]",
  ]],
  ["state._shared.nope.value > 1", [
    "state._shared.nope.value > 1 [state._shared.nope.value missing]",
  ]],
  ["has(state._shared.nope)", ["has(state._shared.nope) [state._shared.nope missing]"]],
  ["self in state._shared", ['self in state._shared [self="alice", state._shared.alice missing]']],
  ["'x' in state._shared", ['"x" in state._shared [state._shared.x missing]']],
  [
    "state._shared[params.key].value == 4",
    ['state._shared[params.key].value == 4 [state._shared.turn.value=3, params.key="turn"]'],
  ],
  ['state._shared["alice.result"].value == "x"', [
    'state._shared["alice.result"].value == "x" [state._shared["alice.result"].value="done"]',
  ]],
  [
    "state._shared.list.value.all(x, x < 3)",
    ["state._shared.list.value.all(x, x < 3) [state._shared.list.value=[1,2,3]] @ 3"],
  ],
  [
    "state._shared.list.value.all(x, x < params.n)",
    [
      "state._shared.list.value.all(x, x < params.n) " +
      "[state._shared.list.value=[1,2,3], params.n=2] @ 2",
    ],
  ],
  [
    "!state._shared.list.value.exists(x, x == 2)",
    ["state._shared.list.value.exists(x, x == 2) [state._shared.list.value=[1,2,3]] @ 2"],
  ],
  [
    "state._shared.list.value.exists(x, x == 9)",
    ["state._shared.list.value.exists(x, x == 9) [state._shared.list.value=[1,2,3]]"],
  ],
  [
    "state._shared.list.value.exists_one(x, x > 1)",
    ["state._shared.list.value.exists_one(x, x > 1) [state._shared.list.value=[1,2,3]] @ 3"],
  ],
  [
    "agents.all(a, agents[a].value.status == 'idle')",
    [
      'agents.all(a, agents[a].value.status == "idle") ' +
      '[agents=undefined, agents.bob.value.status="busy"] @ "bob"',
    ],
  ],
  [
    "params.n == 2 ? self == 'bob' : true",
    ['self == "bob" [self="alice"]'],
  ],
  [
    "state._shared.flag.value ? params.n > 9 : self == 'x'",
    ["params.n > 9 [params.n=2]"],
  ],
  ["state._shared.?nope.value.orValue(0) > 1", [
    "state._shared.?nope.value.orValue(0) > 1 [state._shared.nope.value missing]",
  ]],
  ["cel.bind(t, state._shared.turn.value, t > 5)", [
    "cel.bind(t, state._shared.turn.value, t > 5) [state._shared.turn.value=3]",
  ]],
];

for (const [source, wanted] of TABLE) {
  Deno.test(`explains ${source}`, () => assert.deepEqual(why(source).map(line), wanted));
}

Deno.test("an operand names its segments from the root", () => {
  assert.deepEqual(
    why('state._shared["alice.result"].value == 1 || false')[0]?.operands[0]?.segments,
    [
      "state",
      "_shared",
      "alice.result",
      "value",
    ],
  );
});

Deno.test("an explanation is bounded like an evaluation", () => {
  assert.throws(() => why("state._shared.list.value.all(x, x > 5)", 10), CelTooExpensive);
});

Deno.test("a result that is no boolean is explained as the whole", () => {
  assert.deepEqual(why("state._shared.turn.value").map(line), [
    "state._shared.turn.value [state._shared.turn.value=3]",
  ]);
});
