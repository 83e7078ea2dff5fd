/** Expressions: what they give over a room's data, how they leave, what they refuse. */
import assert from "node:assert/strict";
import { Budget, CelError, CelTooExpensive, compile, type CompileOptions } from "../cel.ts";
import { Duration, evaluate, HOST_FUNCTIONS, Optional, Timestamp, toJson } from "../cel.ts";
import { typeName, Uint, type Value } from "../cel.ts";
import { SyncError } from "../errors.ts";
import { entry, HostMap, json, roomEnv, value } from "./cel_host.ts";

const VALUES: readonly (readonly [string, unknown])[] = [
  ["state._shared.turn.value == 3", true],
  ["state._shared.turn.value + 1", 4],
  ["state._shared.turn.value * 0.5", 1.5],
  ["1 - state._shared.half.value", 0.5],
  ["state._shared.turn.value % 2 == 1", true],
  ["7 / 2 == 3", true],
  ["state._shared.turn.value / 2", 1.5],
  ["1 == 1.0", true],
  ["state._shared.list.value[state._shared.turn.value - 1]", 3],
  ["state._shared.list.value[params.n]", 3],
  ['state["_shared"]["alice.result"].value', "done"],
  ["state[self].secret.value", 42],
  ["state._shared[params.key].value", 3],
  ["state._shared.keys()", [
    "alice.result",
    "flag",
    "half",
    "list",
    "nothing",
    "phase",
    "scores",
    "turn",
    "zeta",
  ]],
  ["state._shared.values().size()", 9],
  ["state.alice.entries().map(e, [e.key, e.entry.value])", [["secret", 42]]],
  ["size(state.empty)", 0],
  ["'turn' in state._shared && !('nope' in state._shared)", true],
  ["state._shared.filter(k, k.startsWith('t'))", ["turn"]],
  ["state._shared.scores.value.map(k, k)", ["alice", "bob", "__proto__"]],
  ["has(state._shared.turn) && !has(state._shared.nope)", true],
  ["state._shared.?nope.value.orValue(7)", 7],
  ["state._shared.?turn.value.orValue(7)", 3],
  ["state._shared[?params.key].value.orValue(0)", 3],
  ["state._shared.?nope.hasValue()", false],
  ["state._shared.?turn.optMap(t, t.value + 1).orValue(0)", 4],
  ["optional.ofNonZeroValue('').or(optional.of('x')).value()", "x"],
  ["cel.bind(t, state._shared.turn.value, t * t)", 9],
  ["val(state._shared.turn)", 3],
  ["meta(state._shared.turn, 'writer')", "alice"],
  ["meta(state._shared.turn, 'nope')", null],
  ["views.total.value > 9", true],
  ["agents.values().exists(a, a.value.status == 'busy')", true],
  ["messages.recent[0].body", "hi"],
  ["now - duration('1h')", "2026-01-02T02:04:05.678Z"],
  ["now > timestamp('2026-01-01T00:00:00Z')", true],
  ["now.getFullYear() + now.getMonth()", 2026],
  ["now.getHours('Europe/Berlin')", 4],
  ["duration('90s') + duration('500ms')", "90.5s"],
  ["state._shared.nope.value == 1 || true", true],
  ["false && state._shared.nope.value == 1", false],
  ["[3, 1, 2].sort()", [1, 2, 3]],
  ["[1, 2, 3].slice(1, 3)", [2, 3]],
  ["[[1], [2, 3]].flatten()", [1, 2, 3]],
  ["[1, 1.0, 2].distinct().size()", 2],
  ["[1, 2.5].sum()", 3.5],
  ["[4, 2].min() + [4, 2].max()", 6],
  ["math.greatest(1, 2.5, state._shared.turn.value)", 3],
  ["math.round(2.5) + math.floor(1.9) + math.ceil(0.1) + math.abs(-2)", 7],
  ["'a-b'.split('-').join('+').upperAscii().reverse()", "B+A"],
  ["'héé'.substring(1, 2) + 'x'.replace('x', 'y')", "éy"],
  ["'%s is %d'.format(['a', 2])", "a is 2"],
  ["'abc'.matches('^a.c$')", true],
  ["{'a': 1, 2: 'b', true: 3u}", { a: 1, "2": "b", true: 3 }],
  ["{'a': 1}.a", 1],
  ["b'hi'", "aGk="],
  ["type(1) == int", true],
  ["1.0 / 0.0", null],
  ["-0.0", 0],
  ["optional.none()", null],
  ["state._shared.turn == state._shared.turn", true],
  ["9007199254740993 == 9007199254740992.0", false],
  ["-9223372036854775808 < 0", true],
  ['"\uffff" < "😀"', true],
  ['"b" > "a" && "ab" > "a" && b"b" > b"ab"', true],
];

for (const [source, wanted] of VALUES) {
  Deno.test(`evaluates ${source}`, () => assert.deepEqual(json(source), wanted));
}

const FAILURES: readonly (readonly [string, string, RegExp])[] = [
  ["state._shared.nope.value", "missing", /state\._shared\.nope is missing/],
  ["state._shared[params.key + 'x'].value", "missing", /state\._shared\.turnx is missing/],
  ["params.nope", "missing", /params\.nope is missing/],
  ["state._shared.nothing.value.x", "missing", /nothing\.value\.x is missing/],
  ["state._shared.turn.value.x", "type", /double has no member "x"/],
  ["state._shared.turn.value + 'a'", "overload", /double \+ string/],
  ["9223372036854775807 + 1", "range", /overflow/],
  ["1 / 0", "range", /division by zero/],
  ["state._shared.turn.value / 0", "range", /division by zero/],
  ["state._shared.turn.value % 0", "range", /modulus by zero/],
  ["state._shared.list.value[9]", "range", /index 9 is out of range/],
  ["state._shared.list.value[0.5]", "overload", /double is no index/],
  ["int('x')", "argument", /not a whole number/],
  ["timestamp('tomorrow')", "argument", /not a timestamp/],
  ["timestamp('2026-02-30T00:00:00Z')", "argument", /not a timestamp/],
  ["timestamp('2026-01-01T24:00:00Z')", "argument", /not a timestamp/],
  ["timestamp('0000-01-01T00:00:00Z')", "range", /out of range/],
  ["state._shared.turn.value ? 1 : 2", "overload", /a condition must be bool/],
  ["state._shared.turn.value && true", "overload", /&&/],
  ["{'a': 1, 'a': 2}", "argument", /twice/],
  ["state._shared.list.value.exists_one(x, x + 'a' == '')", "overload", /double \+ string/],
  ["optional.none().value()", "missing", /no value/],
  ["stale(actions, 1)", "unknown", /not available here/],
];

for (const [source, code, detail] of FAILURES) {
  Deno.test(`fails on ${source}`, () => {
    assert.throws(() => value(source), (error: unknown) => {
      assert.ok(error instanceof CelError, String(error));
      assert.equal(error.code, code);
      assert.match(error.detail, detail);
      assert.ok(error.position && error.position.end <= source.length);
      assert.deepEqual(Object.keys(error.position), ["start", "end"]);
      return true;
    });
  });
}

Deno.test("a missing member names its whole path and how to guard it", () => {
  assert.throws(() => value("state._shared.nope.value > 1"), (error: unknown) => {
    assert.ok(error instanceof CelError);
    assert.equal(error.path, "state._shared.nope");
    assert.match(error.hint ?? "", /has\(state\._shared\.nope\)/);
    assert.match(error.hint ?? "", /state\._shared\.\?nope\.value\.orValue/);
    return true;
  });
});

const CHECKS: readonly (readonly [string, Partial<CompileOptions>, string, RegExp])[] = [
  ["1 +", {}, "parse", /Unexpected token/],
  ["", {}, "parse", /empty/],
  ["a = 1", {}, "parse", /Unexpected character/],
  ["nope == 1", {}, "check", /unknown variable nope/],
  ["frob(1)", {}, "check", /unknown function frob/],
  ["'a'.frob()", {}, "check", /unknown function frob/],
  ["size(1, 2)", {}, "check", /size\(\) takes 1 arguments, not 2/],
  ["salient(state._shared)", {}, "check", /takes 2 arguments, not 1/],
  ["'a' + 1", {}, "check", /string \+ int/],
  ["1 == 'a'", {}, "check", /never equal/],
  ["!1", {}, "check", /must be bool/],
  ["1 ? 2 : 3", {}, "check", /must be bool/],
  ["'a' in 'abc'", {}, "check", /in wants a list/],
  ["now < '2026'", {}, "check", /timestamp < string/],
  ["self.all(x, x)", {}, "check", /walks a list or a map, not string/],
  ["'a'.matches('(')", {}, "check", /not a pattern/],
  ["'a'.matches('(?=a)')", {}, "check", /not a pattern/],
  ["messages.inbox", {}, "check", /no member inbox/],
  ["params.m", { params: ["n"] }, "check", /unknown parameter params\.m/],
  ["params.n", { place: "view" }, "check", /unknown variable params/],
  ["params.n", { place: "enabled" }, "check", /unknown variable params/],
  ["now > timestamp('2026-01-01T00:00:00Z')", { place: "enabled" }, "check", /may not read now/],
  ["state._shared.turn._meta.score > 0.5", { place: "enabled" }, "check", /_meta\.score/],
  ["size(focus(state._shared)) > 0", { place: "enabled" }, "check", /focus/],
  ["agents[self].value.status == 'idle'", { place: "enabled" }, "check", /presence/],
  ["state.self.x.value", { place: "enabled" }, "check", /state\.self/],
  ["messages.unread > 0", { place: "view" }, "check", /messages\.unread/],
  ["actions.move.value.available", { place: "view" }, "check", /actions\.available/],
  ["state._shared.turn.value + 1 + 'a'.size()", { expect: "bool" }, "check", /must be bool/],
  ["'a'", { expect: "bool" }, "check", /must be bool, not string/],
  ["99999999999999999999", {}, "parse", /out of range/],
];

for (const [source, options, stage, detail] of CHECKS) {
  Deno.test(`refuses ${JSON.stringify(source)} in ${options.place ?? "call"}`, () => {
    assert.throws(
      () => compile(source, { field: "if", place: "call", ...options }),
      (error: unknown) => {
        assert.ok(error instanceof SyncError, String(error));
        assert.equal(error.code, "invalid_cel");
        assert.equal(error.facts["field"], "if");
        assert.equal(error.facts["stage"], stage);
        assert.match(String(error.facts["detail"]), detail);
        return true;
      },
    );
  });
}

const HINTS: readonly (readonly [string, string])[] = [
  ["self == 'a' and true", "Write and as &&."],
  ["self = 'a'", "Equality is ==."],
  ["${params.x} == 1", "An expression names parameters as params.x, without ${}."],
  ["len(self)", "Did you mean size?"],
  ["max(1, 2)", "Did you mean math.greatest?"],
  ["self.startWith('a')", "Did you mean startsWith?"],
  ["stat._shared", "Did you mean state?"],
  ["self + 1", "Convert one side: string(x), double(x) or int(x)."],
  ["now < '2026'", "Times from JSON are text: convert with timestamp(x)."],
  ["'a' in self", 'For text use "abc".contains("b").'],
  ["params.?x > 1", "Give the optional a default with .orValue(x)."],
];

for (const [source, hint] of HINTS) {
  Deno.test(`advises on ${source}`, () => {
    try {
      compile(source, { field: "if", place: "call" });
      assert.fail("it was accepted");
    } catch (error) {
      assert.ok(error instanceof SyncError, String(error));
      assert.equal(error.facts.hint, hint);
    }
  });
}

Deno.test("an expression that is no text is refused", () => {
  for (const source of [1, null, undefined, {}, ["a"]]) {
    assert.throws(() => compile(source, { field: "if", place: "call" }), { code: "invalid_cel" });
  }
});

Deno.test("a program tells what it reads, calls and which inputs pass", () => {
  const program = compile(
    "has(state._shared.a) && state._shared[self].value > size(salient(state._shared, 0.5)) " +
      '&& now > timestamp("2026-01-01T00:00:00Z") && "k" in state.alice',
    { field: "if", place: "call" },
  );
  assert.deepEqual(program.refs, [
    { root: "state", path: ["_shared", "a"], whole: false },
    { root: "state", path: ["_shared", null, "value"], whole: true },
    { root: "self", path: [], whole: true },
    { root: "state", path: ["_shared"], whole: true },
    { root: "now", path: [], whole: true },
    { root: "state", path: ["alice", "k"], whole: false },
  ]);
  assert.deepEqual([...program.roots], ["state", "self", "now"]);
  assert.deepEqual([...program.calls].sort(), ["salient", "size", "timestamp"]);
  assert.deepEqual(program.passing, ["now", "salient"]);
});

Deno.test("passing inputs are seen through variables of macros and bindings", () => {
  const passing = (source: string) => compile(source, { field: "if", place: "call" }).passing;
  assert.deepEqual(passing("agents.values().exists(a, a.value.status == 'x')"), ["presence"]);
  assert.deepEqual(passing("agents.entries().all(p, p.entry.value.waiting_on == 1)"), ["presence"]);
  assert.deepEqual(passing("cel.bind(a, actions.move, a.value.available)"), ["actions.available"]);
  assert.deepEqual(passing("state._shared.all(k, state._shared[k]._meta.velocity > 0)"), [
    "_meta.velocity",
  ]);
  assert.deepEqual(passing("meta(state._shared.turn, 'score') > 0.1"), ["_meta.score"]);
  assert.deepEqual(passing("trust(self, 'x') > 0.5"), ["trust"]);
  assert.deepEqual(passing("state._shared.turn.value.status == 'x'"), []);
});

Deno.test("the same source is compiled once for each place and set of parameters", () => {
  const options = { field: "if", place: "call" } as const;
  assert.equal(compile("1 + 1", options), compile("1 + 1", { ...options, field: "other" }));
  assert.notEqual(compile("1 + 1", options), compile("1 + 1", { ...options, place: "view" }));
});

Deno.test("host functions get their arguments and are charged for the maps they get", () => {
  const calls: [string, readonly Value[]][] = [];
  const env = roomEnv(undefined, (name, args) => {
    calls.push([name, args]);
    return ["turn"];
  });
  assert.deepEqual(value("top_n(state._shared, 1)", {}, env), ["turn"]);
  assert.equal(calls[0]?.[0], "top_n");
  assert.equal(calls[0]?.[1][1], 1n);
  assert.ok(env.budget.spent >= 9);
  assert.ok("entries" in HOST_FUNCTIONS);
});

Deno.test("what the host throws comes through and no operator absorbs it", () => {
  const env = roomEnv(undefined, () => {
    throw new SyncError("scope_denied", "no");
  });
  assert.throws(() => value("stale(actions, 1) == [] || true", {}, env), { code: "scope_denied" });
});

Deno.test("a lookup touches only the keys it names", () => {
  const shared = new HostMap({ turn: entry(1), other: entry(2) });
  const env = { root: () => new HostMap({ _shared: shared }), budget: new Budget() };
  value("state._shared.turn.value", {}, env);
  assert.equal(shared.lookups, 1);
});

Deno.test("values leave as plain JSON", () => {
  const map = new Map<Value, Value>([["__proto__", 1n], [
    "constructor",
    new Map([["a", new Uint(2n)]]),
  ]]);
  const out = toJson(map);
  assert.equal(Object.getPrototypeOf(out), Object.prototype);
  assert.ok(Object.hasOwn(out as object, "__proto__"));
  assert.deepEqual(
    JSON.parse(JSON.stringify(out)),
    JSON.parse('{"__proto__":1,"constructor":{"a":2}}'),
  );
  assert.deepEqual(
    toJson(new HostMap(JSON.parse('{"__proto__":1}'))),
    JSON.parse('{"__proto__":1}'),
  );
  assert.equal(toJson(new Duration(12_500_000_000n)), "12.5s");
  assert.equal(toJson(Timestamp.fromMillis(1)), "1970-01-01T00:00:00.001Z");
  assert.equal(toJson(Optional.of(3n)), 3);
  assert.equal(toJson(NaN), null);
  assert.throws(() => toJson(2n ** 53n), { code: "range" });
  assert.equal(toJson(2n ** 53n - 1n), Number.MAX_SAFE_INTEGER);
});

Deno.test("leaving is charged, and a foreign object is refused", () => {
  assert.throws(
    () => toJson(Array.from({ length: 100 }, () => 1), new Budget(50)),
    CelTooExpensive,
  );
  const foreign = new Date(0) as unknown as Value;
  assert.throws(() => toJson(foreign), CelError);
  assert.equal(typeName(foreign), "unknown");
  const program = compile("params.x.getTime", { field: "if", place: "call" });
  const env = { root: () => ({ x: foreign }) as unknown as Value, budget: new Budget() };
  assert.throws(() => evaluate(program, env), { code: "type" });
});

Deno.test("members that every object inherits are missing", () => {
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"]) {
    const source = `params["${name}"]`;
    assert.throws(() => value(source), { code: "missing" }, source);
    assert.equal(value(`"${name}" in params`), false);
    assert.equal(value(`"${name}" in {"a": 1}`), false);
  }
  assert.throws(() => value("params.toString"), { code: "missing" });
});

Deno.test("type names are those of the language", () => {
  const rows: [Value, string][] = [
    [1n, "int"],
    [1, "double"],
    [true, "bool"],
    ["", "string"],
    [null, "null_type"],
    [[], "list"],
    [{}, "map"],
    [new HostMap({}), "map"],
    [new Uint(1n), "uint"],
    [new Uint8Array(), "bytes"],
  ];
  for (const [given, name] of rows) assert.equal(typeName(given), name);
});
