/** The lint: what would be silently false or always true, with the expression corrected. */
import assert from "node:assert/strict";
import { compile } from "../cel.ts";
import { SyncError } from "../errors.ts";

const REFUSED: readonly (readonly [string, string])[] = [
  ["state._shared.turn == 3", "state._shared.turn.value == 3"],
  ['3 == state["_shared"]["turn"]', '3 == state["_shared"]["turn"].value'],
  ["state._shared[self] == 3", "state._shared[self].value == 3"],
  ["state[self].x != self", "state[self].x.value != self"],
  ["state._shared.turn == null", "state._shared.turn.value == null"],
  ["state._shared.turn == params.x", "state._shared.turn.value == params.x"],
  ["state._shared.a == state._shared.b.value", "state._shared.a.value == state._shared.b.value"],
  ["state._shared.turn + 1 > 2", "state._shared.turn.value + 1 > 2"],
  ["1 - (state._shared.a - 2)", "1 - (state._shared.a.value - 2)"],
  ["-state._shared.a < 0", "-state._shared.a.value < 0"],
  ["state._shared.flag && true", "state._shared.flag.value && true"],
  ["!state._shared.flag", "!state._shared.flag.value"],
  ["state._shared.flag ? 1 : 2", "state._shared.flag.value ? 1 : 2"],
  ["size(state._shared.list) > 0", "size(state._shared.list.value) > 0"],
  ["state._shared.list.size() > 0", "state._shared.list.value.size() > 0"],
  ["state._shared.name.contains('x')", 'state._shared.name.value.contains("x")'],
  ["'a'.contains(state._shared.name)", '"a".contains(state._shared.name.value)'],
  ["3 in state._shared.list", "3 in state._shared.list.value"],
  ["state._shared.x in [1, 2]", "state._shared.x.value in [1, 2]"],
  ["state._shared.list.exists(x, x > 1)", "state._shared.list.value.exists(x, x > 1)"],
  ["state._shared.list.map(x, x)", "state._shared.list.value.map(x, x)"],
  ["state._shared.list[0] == 1", "state._shared.list.value[0] == 1"],
  ["[1, 2][state._shared.i]", "[1, 2][state._shared.i.value]"],
  ["state._shared.zeta.deep.n == 5", "state._shared.zeta.value.deep.n == 5"],
  ["has(state._shared.zeta.deep)", "has(state._shared.zeta.value.deep)"],
  ["views.total > 3", "views.total.value > 3"],
  ["views.total.x == 1", "views.total.value.x == 1"],
  ["agents.alice.status == 'idle'", 'agents.alice.value.status == "idle"'],
  ["actions.move.available", "actions.move.value.available"],
  ["memory.notes == 'x'", 'memory.notes.value == "x"'],
  ["state._shared.turn.meta.score > 0.5", "state._shared.turn._meta.score > 0.5"],
  ["views.total.meta.writer == 'a'", 'views.total._meta.writer == "a"'],
  ["has(state._shared[self])", "self in state._shared"],
  ["!has(state._shared['a b'])", '!("a b" in state._shared)'],
  ["has(state._shared.list[self])", "self in state._shared.list.value"],
  ["has(messages.recent[0])", "messages.recent[?0].hasValue()"],
  ["state._view.total == 3", "views.total.value == 3"],
  ["state._view.total.value == 3", "views.total.value == 3"],
  ["state._view.total._meta.seq == 3", "views.total._meta.seq == 3"],
  ['state["_view"]["a b"] > 1', 'views["a b"].value > 1'],
  ["state._view.total", "views.total.value"],
  ["cel.bind(t, state._shared.turn, t > 1)", "cel.bind(t, state._shared.turn, t.value > 1)"],
  ["state._shared.values().all(e, e > 1)", "state._shared.values().all(e, e.value > 1)"],
  [
    "state._shared.entries().filter(p, p.entry > 1)",
    "state._shared.entries().filter(p, p.entry.value > 1)",
  ],
  [
    "state._shared.all(k, state._shared[k] > 1)",
    "state._shared.all(k, state._shared[k].value > 1)",
  ],
  ["agents.all(a, agents[a].status == 'x')", 'agents.all(a, agents[a].value.status == "x")'],
  ["state._shared.?turn == 3", "state._shared.?turn.value.orValue(null) == 3"],
  ["state._shared.?turn.value == 3", "state._shared.?turn.value.orValue(null) == 3"],
  ["state._shared.?turn.orValue(0) > 1", "state._shared.?turn.value.orValue(0) > 1"],
  ["state._shared[?self].orValue(0) > 1", "state._shared[?self].value.orValue(0) > 1"],
  [
    "state._shared.a == 1 || state._shared.b.meta.seq > 2 && has(views[self])",
    "state._shared.a.value == 1 || state._shared.b._meta.seq > 2 && self in views",
  ],
  ["salient(state._shared.x, 0.5)", "salient(state._shared, 0.5)"],
  ["'a' in focus(state[self]['x'])", '"a" in focus(state[self])'],
  ["top_n(views.?total, 3)", "top_n(views, 3)"],
  [
    "(true ? state._shared.a : state._shared.b) == 1",
    "(true ? state._shared.a : state._shared.b).value == 1",
  ],
];

function refusal(source: string): SyncError {
  try {
    compile(source, { field: "if", place: "call" });
  } catch (error) {
    assert.ok(error instanceof SyncError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: `${source} was accepted` });
}

for (const [source, corrected] of REFUSED) {
  Deno.test(`the lint corrects ${source}`, () => {
    const { code, facts } = refusal(source);
    assert.equal(code, "invalid_cel");
    assert.equal(facts["stage"], "lint");
    assert.equal(facts["corrected"], corrected);
    assert.ok(facts.hint);
    const { start, end } = facts["position"] as { start: number; end: number };
    assert.ok(start >= 0 && start < end && end <= source.length);
    compile(corrected, { field: "if", place: "call" });
  });
}

const ACCEPTED = [
  "state._shared.turn",
  "views.total",
  "state._shared.turn == state._shared.other",
  "val(state._shared.turn) == 3",
  "meta(state._shared.turn, 'seq') == 3",
  "has(state._shared.turn)",
  "has(actions.move)",
  "has(state._shared.turn.value.x)",
  "state._shared.?turn",
  "state._shared.?turn.value.orValue(0) == 3",
  "state._shared.?turn.hasValue()",
  "state._shared.?turn == optional.none()",
  "self in state._shared",
  "'alice' in agents",
  "size(state._shared) > 0",
  "state._shared.keys().size() > 0",
  "state._shared.values().map(e, e.value)",
  "state._shared.entries().map(p, p.entry)",
  "state.map(s, size(state[s]))",
  "agents['a'].value.status == 'idle'",
  "state._shared['alice.result'].value == 1",
  "state._shared.turn.value.meta == 1",
  "[state._shared.turn, views.total]",
  "{'a': state._shared.turn}",
  "true ? state._shared.turn : state._shared.other",
  "cel.bind(t, state._shared.turn, t.value + t._meta.seq)",
  "salient(state._shared, 0)",
  "stale(actions, 1) + contested(actions) + top_n(agents, 1)",
  "params.meta == 1",
  "dyn(state._shared.turn) == 3",
];

for (const source of ACCEPTED) {
  Deno.test(`the lint accepts ${source}`, () => {
    compile(source, { field: "if", place: "call" });
  });
}

for (const source of ["stale(state._shared, 3)", "contested(views)", "contested(state[self])"]) {
  Deno.test(`what is known of actions only is not asked of others: ${source}`, () => {
    const { code, facts } = refusal(source);
    assert.deepEqual([code, facts["stage"]], ["invalid_cel", "check"]);
    assert.match(facts.hint ?? "", /\(actions/);
  });
}

Deno.test("a gate that is a whole entry is refused with its value", () => {
  try {
    compile("state._shared.flag", { field: "if", place: "call", expect: "bool" });
    assert.fail("it was accepted");
  } catch (error) {
    assert.ok(error instanceof SyncError, String(error));
    assert.equal(error.facts["corrected"], "state._shared.flag.value");
  }
});
