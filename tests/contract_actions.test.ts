/** The contract's §4 and §5 as rows: entries, write modes, templates, gates, rights, built-ins. */
import assert from "node:assert/strict";
import { makeRoom, ManualClock, type Reply, startService } from "./harness.ts";
import { type Row, rowsRoom, runRows } from "./contract_rows.ts";

const REGISTER = "POST /rooms/:id/actions/_register_action/invoke";

/** A row that registers an action, as alice. */
function registers(id: string, definition: Record<string, unknown>, rest: Partial<Row> = {}): Row {
  return {
    does: `registers ${id}`,
    ask: REGISTER,
    body: { params: { id, ...definition } },
    status: 201,
    log: [`invoke _actions.${id}=set`],
    ...rest,
  };
}

/** A row that invokes an action, as alice. */
function invokes(id: string, params: unknown, does: string, rest: Partial<Row>): Row {
  return {
    does,
    ask: `POST /rooms/:id/actions/${id}/invoke`,
    body: { params },
    status: 200,
    ...rest,
  };
}

const MODES: readonly Row[] = [
  registers("set", { params: { v: {} }, writes: [{ key: "x", value: "${params.v}" }] }),
  invokes("set", { v: { a: 1, b: 2 } }, "value replaces", {
    has: {
      writes: [{ value: { a: 1, b: 2 }, _meta: { revision: 1, version: "43258cff783fe703" } }],
    },
    log: ["invoke _shared.x=set"],
  }),
  registers("patch", { writes: [{ key: "x", merge: { b: null, c: { d: "${params.d}" } } }] }),
  invokes("patch", { d: 4 }, "merge follows RFC 7396", {
    has: { writes: [{ value: { a: 1, c: { d: 4 } }, op: "merge", _meta: { revision: 2 } }] },
    log: ["invoke _shared.x=merge"],
  }),
  registers("inc", {
    params: { by: { type: "number" } },
    writes: [{ key: "n", increment: "${params.by}" }],
  }),
  invokes("inc", {}, "an increment without its amount is one", {
    has: { writes: [{ value: 1 }] },
    log: ["invoke _shared.n=increment"],
  }),
  invokes("inc", { by: -2.5 }, "floats are fine", {
    has: { writes: [{ value: -1.5, _meta: { revision: 2 } }] },
    log: ["invoke _shared.n=increment"],
  }),
  registers("bad-inc", { writes: [{ key: "x", increment: 1 }] }),
  invokes("bad-inc", {}, "an object is no number", {
    status: 409,
    has: { error: "not_a_number", key: "x" },
  }),
  registers("push", { writes: [{ key: "list", append: true, value: "${params.v}" }] }),
  invokes("push", { v: 1 }, "append makes an array", {
    has: { writes: [{ value: [1] }] },
    log: ["invoke _shared.list=append"],
  }),
  invokes("push", { v: [2] }, "append pushes one", {
    has: { writes: [{ value: [1, [2]] }] },
    log: ["invoke _shared.list=append"],
  }),
  registers("wrap", { writes: [{ key: "n", append: true, value: "x" }] }),
  invokes("wrap", {}, "append wraps a scalar", {
    has: { writes: [{ value: [-1.5, "x"] }] },
    log: ["invoke _shared.n=append"],
  }),
  registers("rows", {
    writes: [{ scope: "_rows", append: true, value: "a" }, {
      scope: "_rows",
      append: true,
      value: "b",
    }],
  }),
  invokes("rows", {}, "append without a key makes rows", {
    has: { writes: [{ scope: "_rows", key: "18", value: "a" }, { key: "18.1", value: "b" }] },
    log: ["invoke _rows.18=set _rows.18.1=set"],
  }),
  registers("del", { writes: [{ key: "x", delete: true }] }),
  invokes("del", {}, "delete removes", {
    has: { writes: [{ scope: "_shared", key: "x", deleted: true }] },
    log: ["invoke _shared.x=delete"],
  }),
  invokes("del", {}, "deleting what is not there writes nothing", {
    has: { writes: [] },
    log: ["invoke"],
  }),
  registers("calc", {
    writes: [{ key: "y", value: "state._shared.list.value.size() + 1", expr: true }],
  }),
  invokes("calc", {}, "expr computes; whole numbers leave as integers", {
    has: { writes: [{ value: 3 }] },
    log: ["invoke _shared.y=set"],
  }),
  registers("twice", { writes: [{ key: "z", value: 1 }, { key: "z", increment: 2 }] }),
  invokes("twice", {}, "writes apply in order; a key written twice gains one revision", {
    has: {
      writes: [{ key: "z", value: 3, _meta: { revision: 1 } }, {
        key: "z",
        value: 3,
        _meta: { revision: 1 },
      }],
    },
    log: ["invoke _shared.z=set _shared.z=increment"],
  }),
  registers("all", { writes: [{ key: "one", value: 1 }, { key: "list", increment: 1 }] }),
  invokes("all", {}, "all writes or none", { status: 409, has: { error: "not_a_number" } }),
  {
    does: "nothing of the refused one is there",
    ask: "GET /rooms/:id/context?only=state",
    status: 200,
    has: { state: { _shared: { one: undefined, x: undefined, z: { value: 3 } } } },
  },
  registers("renew", { writes: [{ key: "z", renew: true }] }),
  invokes("renew", {}, "renew takes a timer", { status: 409, has: { error: "no_timer" } }),
  registers("nil", { writes: [{ key: "nil", value: null }] }),
  invokes("nil", {}, "null is a value", { log: ["invoke _shared.nil=set"] }),
  registers("inc-nil", { writes: [{ key: "nil", increment: 1 }] }),
  invokes("inc-nil", {}, "and no number: only what is not there counts as 0", {
    status: 409,
    has: { error: "not_a_number", current: { value: null } },
  }),
];

Deno.test("Every write mode, as the contract has it", async (t) => {
  const on = await startService();
  await runRows(t, on, MODES, await rowsRoom(on));
  await on.close();
});

const TEMPLATES: readonly Row[] = [
  registers("deep", {
    writes: [{
      key: "t",
      value: {
        "${params.name}": ["${params.list}", "${params.gone}"],
        text: "<${params.list}|${params.gone}|$${self}>",
        self: "${self}",
        now: "${now}",
        seq: "${seq}",
        gone: "${params.gone}",
        inner: "${params.o.p.q}",
      },
    }],
  }),
  invokes(
    "deep",
    { name: "N", list: [1, "a"], o: { p: { q: 7 } } },
    "templates fill deep, names included",
    {
      has: {
        writes: [{
          value: (v: Record<string, unknown>) =>
            JSON.stringify(v) === JSON.stringify({
              N: [[1, "a"], null],
              text: '<[1,"a"]||${self}>',
              self: "alice",
              now: "2026-11-20T08:00:00.000Z",
              seq: 5,
              inner: 7,
            }),
        }],
      },
      log: ["invoke _shared.t=set"],
    },
  ),
  registers("keyed", { writes: [{ scope: "${params.s}", key: "${params.k}", value: 1 }] }),
  invokes("keyed", { s: "_board" }, "a key needs its parameter", {
    status: 400,
    has: { error: "missing_param", param: "k" },
  }),
  ...[null, {}, [1]].map((k) =>
    invokes("keyed", { s: "_board", k }, `a key is not made of ${JSON.stringify(k)}`, {
      status: 400,
      has: { error: "invalid_argument", field: "params.k", param: "k" },
    })
  ),
  invokes("keyed", { s: null, k: "x" }, "nor is a scope", {
    status: 400,
    has: { error: "invalid_argument", field: "params.s" },
  }),
  invokes("keyed", { s: "_board", k: 5 }, "a number is a key as text", {
    has: { writes: [{ scope: "_board", key: "5" }] },
    log: ["invoke _board.5=set"],
  }),
  invokes("keyed", { s: "_board", k: "a.b" }, "keys may have dots", {
    has: { writes: [{ scope: "_board", key: "a.b" }] },
    log: ["invoke _board.a.b=set"],
  }),
  invokes("keyed", { s: "_board", k: "x".repeat(257) }, "keys end at 256", {
    status: 400,
    has: { error: "invalid_argument" },
  }),
  invokes("keyed", { s: "_board", k: "__proto__" }, "some words are no keys", {
    status: 400,
    has: { field: "writes[0].key", message: /reserved/, example: "phase" },
  }),
  invokes("keyed", { s: "_board", k: "a\tb" }, "nor is what does not print", {
    status: 400,
    has: { message: /1-256 printable characters/, example: "phase" },
  }),
  registers("whole", { writes: [{ key: "w", value: "${params.a.b}" }] }),
  invokes("whole", { a: {} }, "a value that is one parameter needs it, and says which", {
    status: 400,
    has: { error: "missing_param", param: "a.b", field: "writes[0].value" },
  }),
  ...["_agents", "_actions", "_views", "_config", "_audit", "_messages"].map((s) =>
    invokes("keyed", { s, k: "x" }, `${s} is no target, also not by a parameter`, {
      status: 403,
      has: { error: "scope_denied", scope: s, key: "x" },
    })
  ),
  invokes("keyed", { s: "bob", k: "x" }, "nor is another's scope", {
    status: 403,
    has: { error: "scope_denied" },
  }),
  invokes("keyed", { s: "a b", k: "x" }, "nor what is no scope", {
    status: 403,
    has: { error: "scope_denied" },
  }),
  registers("bad", { writes: [{ key: "x", value: "${nope}" }] }, {
    does: "unknown placeholders are refused at registration",
    status: 400,
    has: { error: "invalid_argument", field: "params.writes[0].value" },
    log: [],
  }),
  registers("bad", { params: { a: {} }, writes: [{ key: "x", value: "${params.b}" }] }, {
    does: "and so are parameters that the schema does not name",
    status: 400,
    log: [],
  }),
];

Deno.test("Templates fill once, deep, and never into what is not theirs", async (t) => {
  const on = await startService();
  await runRows(t, on, TEMPLATES, await rowsRoom(on));
  await on.close();
});

const BAD_ACTIONS: readonly [string, Record<string, unknown>, string][] = [
  ["no writes", { id: "a" }, "params.writes"],
  ["no id", { writes: [] }, "params.id"],
  ["a built-in's id", { id: "_x", writes: [] }, "params.id"],
  ["two modes", { id: "a", writes: [{ key: "k", increment: 1, merge: {} }] }, "params.writes[0]"],
  ["no key", { id: "a", writes: [{ value: 1 }] }, "params.writes[0].key"],
  ["no value", { id: "a", writes: [{ key: "k" }] }, "params.writes[0].value"],
  [
    "a value with delete",
    { id: "a", writes: [{ key: "k", delete: true, value: 1 }] },
    "params.writes[0].value",
  ],
  [
    "an increment that is text",
    { id: "a", writes: [{ key: "k", increment: "x" }] },
    "params.writes[0].increment",
  ],
  [
    "expr with delete",
    { id: "a", writes: [{ key: "k", delete: true, expr: true }] },
    "params.writes[0].expr",
  ],
  [
    "a member nobody knows",
    { id: "a", writes: [{ key: "k", vlaue: 1 }] },
    "params.writes[0].vlaue",
  ],
  [
    "a type that is none",
    { id: "a", writes: [], params: { p: { type: "text" } } },
    "params.params.p.type",
  ],
  [
    "a parameter named __proto__",
    { id: "a", writes: [], params: JSON.parse('{"__proto__":{}}') },
    "params.params",
  ],
  ["a default that does not fit", {
    id: "a",
    writes: [],
    params: { p: { type: "string", default: 1 } },
  }, ""],
  [
    "a key that is reserved",
    { id: "a", writes: [{ key: "self", value: 1 }] },
    "params.writes[0].key",
  ],
  ["a timer that has run out", {
    id: "a",
    writes: [{ key: "k", value: 1, timer: { at: "2020-01-01T00:00:00Z", effect: "delete" } }],
  }, "params.writes[0].timer.at"],
  ["65 writes", { id: "a", writes: Array(65).fill({ key: "k", value: 1 }) }, "params.writes"],
  [
    "help without proof",
    { id: "a", writes: [{ scope: "_help", key: "k", value: 1 }] },
    "params.writes[0].if_version",
  ],
  ["a gate that is a list", { id: "a", writes: [], if: ["x"] }, "params.if"],
];

Deno.test("Actions that cannot be are refused whole, naming the field", async (t) => {
  const on = await startService();
  const room = await rowsRoom(on);
  for (const [name, params, field] of BAD_ACTIONS) {
    await t.step(name, async () => {
      const reply = await on.invoke(room.id, "_register_action", params, room.agents["alice"]);
      assert.equal(reply.status, 400, reply.text);
      if (field !== "") assert.equal(reply.body.field, field, reply.text);
    });
  }
  const before = (await on.service.engine.find(room.id)).room.head;
  assert.equal(before, 3);
  await on.close();
});

const PARAMS: readonly Row[] = [
  registers("p", {
    params: {
      s: { type: "string", required: true },
      n: { type: "integer", minimum: 1, maximum: 3 },
      e: { enum: ["a", { b: 1 }] },
      l: { type: "array", items: { type: "boolean" } },
      d: { type: "number", default: 0.5 },
      o: { type: "object" },
    },
    writes: [{ key: "k", value: "${params.d}" }],
  }),
  invokes("p", {}, "a required one is missing", {
    status: 400,
    has: { error: "missing_param", param: "s" },
  }),
  invokes("p", { s: 1 }, "a wrong type", {
    status: 400,
    has: { error: "invalid_param_type", param: "s", expected: "string", actual: "integer" },
  }),
  invokes("p", { s: null }, "null is no string", {
    status: 400,
    has: { error: "invalid_param_type", actual: "null" },
  }),
  invokes("p", { s: "x", n: 1.5 }, "no integer", {
    status: 400,
    has: { error: "invalid_param_type" },
  }),
  invokes("p", { s: "x", n: 4 }, "beyond its bounds", {
    status: 400,
    has: { error: "invalid_param", param: "n" },
  }),
  invokes("p", { s: "x", e: "b" }, "not among its values", {
    status: 400,
    has: { error: "invalid_param", param: "e", value: "b", allowed: ["a", { b: 1 }] },
  }),
  invokes("p", { s: "x", l: [true, 1] }, "an item of the wrong type", {
    status: 400,
    has: { error: "invalid_param_type", param: "l[1]" },
  }),
  invokes("p", { s: "x", o: [] }, "a list is no object", {
    status: 400,
    has: { error: "invalid_param_type" },
  }),
  invokes("p", { s: "x", q: 1 }, "one that nobody knows", {
    status: 400,
    has: { error: "unknown_param", param: "q" },
  }),
  invokes("p", { s: "x", e: { b: 1 }, n: 3 }, "all well: defaults are filled in", {
    has: { writes: [{ value: 0.5 }] },
    log: ["invoke _shared.k=set"],
  }),
];

Deno.test("Parameters are checked before anything else happens", async (t) => {
  const on = await startService();
  await runRows(t, on, PARAMS, await rowsRoom(on));
  await on.close();
});

const GATES: readonly Row[] = [
  registers("open", { if: 'state._shared.phase.value == "go"', writes: [{ key: "k", value: 1 }] }),
  invokes("open", {}, "a missing key counts as not true, and why says so", {
    status: 409,
    has: {
      error: "precondition_failed",
      action: "open",
      expression: 'state._shared.phase.value == "go"',
      evaluated: false,
      why: [{ operands: [{ path: /phase/, missing: true }], could_change: [] }],
    },
  }),
  registers("phase", { params: { to: {} }, writes: [{ key: "phase", value: "${params.to}" }] }),
  invokes("phase", { to: "stop" }, "the phase is set", {
    as: "bob",
    log: ["invoke _shared.phase=set"],
  }),
  invokes("open", {}, "why names value, writer and what could change it", {
    status: 409,
    has: {
      why: [{
        operands: [{ value: "stop", writer: "bob", via: "phase" }],
        could_change: ["phase"],
      }],
    },
  }),
  invokes("phase", { to: 7 }, "the phase is a number", { log: ["invoke _shared.phase=set"] }),
  invokes("open", {}, "other types are not equal: not true", {
    status: 409,
    has: { error: "precondition_failed" },
  }),
  registers("odd", { if: "state._shared.phase.value", writes: [] }),
  invokes("odd", {}, "a gate that is no boolean is the caller's to know", {
    status: 400,
    has: { error: "cel_error", field: "if" },
  }),
  registers("fails", { writes: [{ key: "k", value: "state._shared.nope.value", expr: true }] }),
  invokes("fails", {}, "a failing expr refuses", { status: 400, has: { error: "cel_error" } }),
  registers("res", {
    writes: [{ key: "k", value: 2 }],
    result: "state._shared.k.value + state._shared.nope.value",
  }),
  invokes("res", {}, "a failing result does not", {
    has: { result: null, result_error: /./ },
    log: ["invoke _shared.k=set"],
  }),
  registers("good", {
    writes: [{ key: "k", increment: 1 }],
    result: "{'now': state._shared.k.value}",
  }),
  invokes("good", {}, "the result sees the writes", {
    has: { result: { now: 3 } },
    log: ["invoke _shared.k=increment"],
  }),
  {
    does: "the body's if sees with the caller's rights",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { if: "state._shared.k.value > 5" },
    status: 409,
    has: { error: "precondition_failed", action: "good", expression: "state._shared.k.value > 5" },
  },
  {
    does: "of a built-in, too",
    ask: "POST /rooms/:id/actions/_send_message/invoke",
    body: { params: { body: 1 }, if: "state._shared.k.value > 5" },
    status: 409,
    has: { error: "precondition_failed", action: "_send_message" },
  },
  registers("any", {
    if: 'agents.zed.value.status == "busy" && views.zed.value',
    params: { s: {} },
    writes: [{ scope: "${params.s}", key: "zed", value: 1 }],
  }),
  invokes("any", {}, "what no template writes, no action could change", {
    status: 409,
    has: {
      why: (parts: { could_change: string[] }[]) =>
        parts.length === 2 && parts.every((part) => part.could_change.length === 0),
    },
  }),
  {
    does: "a scope one may not read is denied there, whether the key is there or not",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { if: 'state.bob.secret.value == "x"' },
    status: 403,
    has: { error: "scope_denied" },
  },
  {
    does: "and in if_version",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { if_version: { "bob.secret": "" } },
    status: 403,
    has: { error: "scope_denied" },
  },
  {
    does: "a version that does not fit shows the current one",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { if_version: { "_shared.k": "0000000000000000" } },
    status: 409,
    has: {
      error: "version_conflict",
      scope: "_shared",
      key: "k",
      current: { value: 3, revision: 2, version: /^[0-9a-f]{16}$/ },
    },
    keep: (reply, kept) => kept["version"] = reply.body.current.version,
  },
  {
    does: "the version proves the reading",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { if_version: { "_shared.k": "{version}" } },
    status: 200,
    log: ["invoke _shared.k=increment"],
  },
  {
    does: "a revision is a number",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { if_version: { "_shared.k": 3, "_shared.nope": 0, "self.nope": "" } },
    status: 200,
    log: ["invoke _shared.k=increment"],
  },
  {
    does: "dry_run does everything but keep it",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { dry_run: true },
    status: 200,
    has: {
      would_invoke: true,
      writes: [{ key: "k", value: 6 }],
      actions_changed: [],
      waits_woken: [],
      result: { now: 6 },
    },
  },
  {
    does: "the room stands as before",
    ask: "POST /rooms/:id/eval",
    body: { expr: "state._shared.k.value" },
    status: 200,
    has: { value: 5, type: (type: unknown) => typeof type === "string" },
  },
  invokes("nope", {}, "an unknown action names the nearest", {
    status: 404,
    has: { error: "action_not_found" },
  }),
  invokes("opne", {}, "in order of likeness", {
    status: 404,
    has: { nearest: (n: string[]) => n.includes("open") },
  }),
  {
    does: "the body's shape is checked",
    ask: "POST /rooms/:id/actions/good/invoke",
    body: { param: {} },
    status: 400,
    has: { error: "invalid_argument", field: "param" },
  },
];

Deno.test("Gates, expressions, CAS and dry runs", async (t) => {
  const on = await startService();
  await runRows(t, on, GATES, await rowsRoom(on));
  await on.close();
});

const RIGHTS: readonly Row[] = [
  registers("own", { writes: [{ scope: "${self}", key: "mine", value: "${self}" }] }),
  invokes("own", {}, "everybody writes its own scope", {
    as: "bob",
    has: { writes: [{ scope: "bob", key: "mine", value: "bob" }] },
    log: ["invoke bob.mine=set"],
  }),
  registers("to-alice", {
    params: { v: {} },
    scope: "alice",
    writes: [{ scope: "alice", key: "inbox", append: true, value: "${params.v}" }],
  }),
  invokes(
    "to-alice",
    { v: "hi" },
    "an action of alice's carries her authority, whoever invokes it",
    {
      as: "bob",
      has: { writes: [{ hidden: true }] },
      hasNot: ["inbox"],
      log: ["invoke alice.inbox=append"],
    },
  ),
  invokes("to-alice", { v: "ho" }, "she sees what it wrote", {
    has: { writes: [{ scope: "alice", key: "inbox", value: ["hi", "ho"] }] },
    log: ["invoke alice.inbox=append"],
  }),
  registers("steal", { scope: "alice", writes: [] }, {
    does: "nobody registers under another's scope",
    as: "bob",
    status: 403,
    has: { error: "scope_denied" },
    log: [],
  }),
  registers("config", { scope: "_config", writes: [] }, {
    does: "nor under what the service keeps for itself",
    status: 403,
    has: { error: "scope_denied", hint: /^The service keeps this scope/ },
    log: [],
  }),
  registers("selfish", { scope: "self", writes: [] }, {
    does: "one's own scope is self",
    as: "bob",
    has: { scope: "bob" },
  }),
  registers("selfish-admin", { scope: "self", writes: [] }, {
    does: "which an admin has not",
    as: "admin",
    status: 400,
    has: { error: "invalid_argument", field: "params.scope" },
    log: [],
  }),
  {
    does: "self is the scope of a view, too",
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    as: "bob",
    body: { params: { id: "selfish", expr: "self", scope: "self" } },
    status: 201,
    has: { scope: "bob", value: "bob" },
    log: ["invoke _views.selfish=set"],
  },
  {
    does: "a surface that there is not is shown as what suits the value",
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    as: "bob",
    body: { params: { id: "odd", expr: "[1, 2]", render: { type: "gauge" } } },
    status: 201,
    has: { warning: "unknown_render_type", inferred_type: "array-table" },
    log: ["invoke _views.odd=set"],
  },
  {
    does: "as the listing says",
    ask: "GET /rooms/:id/context?only=views&depth=full",
    status: 200,
    has: {
      views: {
        odd: { render: { type: "gauge" }, inferred_type: "array-table" },
        selfish: { inferred_type: undefined },
      },
    },
  },
  registers("to-alice", { writes: [] }, {
    does: "nor over another's action",
    as: "bob",
    status: 403,
    has: { error: "action_owned", owner: "alice" },
    log: [],
  }),
  {
    does: "nor deletes it",
    ask: "POST /rooms/:id/actions/_delete_action/invoke",
    as: "bob",
    body: { params: { id: "to-alice" } },
    status: 403,
    has: { error: "action_owned" },
  },
  registers("own", { writes: [] }, {
    does: "what is shared is everybody's in an open room, with a warning",
    as: "bob",
    has: {
      warning: "action_redefined",
      redefinition: { previous_registrant: "alice", changed: ["writes"] },
    },
  }),
  registers("own", { writes: [] }, {
    does: "also where nothing of it changes",
    has: { revision: 3, warning: "action_redefined", redefinition: { changed: [], previous: {} } },
  }),
  registers("lit", { writes: [{ scope: "alice", key: "k", value: 1 }] }, {
    does: "a literal own scope makes the action one's own",
    has: { scope: "alice" },
  }),
  registers("a1", { writes: [{ key: "answer", value: 1 }] }),
  registers("a2", { writes: [{ key: "answer", value: 2 }] }, {
    does: "competing literal targets are told",
    has: {
      warning: "competing_write_targets",
      contested_targets: ["_shared:answer"],
      competing_actions: [{ target: "_shared:answer", actions: ["a1", "a2"] }],
      help: "contested_actions",
    },
  }),
  {
    does: "and stand in _contested",
    ask: "GET /rooms/:id/context?only=views,actions",
    status: 200,
    has: {
      views: { _contested: { value: { "_shared:answer": ["a1", "a2"] }, system: true } },
      _context: { help: (help: string[]) => help.includes("contested_actions") },
    },
  },
  {
    does: "an agent's view of its own",
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    body: { params: { id: "box", expr: "state.self.inbox.value.size()" } },
    status: 201,
    has: { id: "box", scope: "alice", value: 2, warning: undefined },
    log: ["invoke _views.box=set"],
  },
  {
    does: "the same again replaces it",
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    body: { params: { id: "box", expr: "state.self.inbox.value.size()" } },
    status: 201,
    has: { revision: 2, warning: "view_redefined", redefinition: { changed: [] } },
    log: ["invoke _views.box=set"],
  },
  {
    does: "nobody replaces it",
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    as: "bob",
    body: { params: { id: "box", expr: "1" } },
    status: 403,
    has: { error: "view_owned" },
  },
  {
    does: "also not by joining",
    ask: "POST /rooms/:id/agents",
    as: null,
    body: { id: "eve", views: [{ id: "box", expr: "1" }] },
    status: 403,
    has: { error: "view_owned" },
  },
  {
    does: "nor deletes it",
    ask: "POST /rooms/:id/actions/_delete_view/invoke",
    as: "bob",
    body: { params: { id: "box" } },
    status: 403,
    has: { error: "view_owned" },
  },
  {
    does: "a circle of views is refused",
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    body: { params: { id: "box", expr: "views.box.value" } },
    status: 409,
    has: { error: "view_cycle" },
  },
  {
    does: "configuration is the admin's",
    ask: "POST /rooms/:id/actions/_configure/invoke",
    body: { params: { key: "label", value: "x" } },
    status: 403,
    has: { error: "scope_denied" },
  },
  {
    does: "who sets it by action",
    ask: "POST /rooms/:id/actions/_configure/invoke",
    as: "admin",
    body: { params: { key: "salience_weights", value: { recency: 1 } } },
    status: 200,
    log: ["configure _config.salience_weights=set"],
  },
  {
    does: "by a value, which has to be said",
    ask: "POST /rooms/:id/actions/_configure/invoke",
    as: "admin",
    body: { params: { key: "salience_weights" } },
    status: 400,
    has: { error: "invalid_argument", field: "params.value", message: /null removes/ },
  },
  {
    does: "null removes it",
    ask: "POST /rooms/:id/actions/_configure/invoke",
    as: "admin",
    body: { params: { key: "salience_weights", value: null } },
    status: 200,
    log: ["configure _config.salience_weights=delete"],
  },
  {
    does: "an admin's token with an agent named acts on its behalf",
    ask: "POST /rooms/:id/actions/lit/invoke",
    as: "admin",
    body: { agent: "alice" },
    status: 200,
    has: { agent: "alice" },
    log: ["invoke alice.k=set"],
  },
  {
    does: "an agent naming another is refused",
    ask: "POST /rooms/:id/actions/lit/invoke",
    body: { agent: "bob" },
    status: 403,
    has: { error: "identity_mismatch", claimed: "bob", authenticated_as: "alice" },
  },
  {
    does: "a view token invokes nothing",
    ask: "POST /rooms/:id/actions/lit/invoke",
    as: "view",
    body: {},
    status: 403,
    has: { error: "read_only_token" },
  },
  {
    does: "but reads help",
    ask: "POST /rooms/:id/actions/help/invoke",
    as: "view",
    body: {},
    status: 200,
    has: { keys: (keys: string[]) => keys.includes("guide") },
  },
];

Deno.test("Authority: own scopes, bridging, ownership, contest", async (t) => {
  const on = await startService();
  await runRows(t, on, RIGHTS, await rowsRoom(on));
  await on.close();
});

const CLOSED: readonly Row[] = [
  registers("mine", { writes: [{ scope: "alice", key: "k", value: 1 }] }, {
    has: { scope: "alice" },
  }),
  registers("try", { writes: [{ key: "k", value: 1 }] }, {
    does: "what a participant registers has its own scope",
    has: { scope: "alice" },
  }),
  invokes("try", {}, "and does not write what is shared", {
    status: 403,
    has: { error: "scope_denied" },
  }),
  registers("no", { scope: "_shared", writes: [] }, {
    status: 403,
    has: { error: "scope_denied" },
    log: [],
  }),
  registers("yes", { writes: [{ key: "k", value: 1 }] }, {
    as: "admin",
    has: { scope: "_shared" },
  }),
  invokes("yes", {}, "through what an admin registered it does", { log: ["invoke _shared.k=set"] }),
  registers("yes", { writes: [] }, {
    does: "which a participant does not replace",
    status: 403,
    has: { error: "action_owned" },
    log: [],
  }),
  registers("help", { writes: [], result: "'mine'" }, {
    does: "nor what help answers to all",
    status: 403,
    has: { error: "scope_denied", scope: "_shared", hint: /closed/ },
    log: [],
  }),
  registers("help", { writes: [], result: "'ours'" }, { as: "admin", has: { scope: "_shared" } }),
];

Deno.test("A closed vocabulary: participants write their own, admins what is shared", async (t) => {
  const on = await startService();
  await runRows(t, on, CLOSED, await makeRoom(on, ["alice", "bob"], { vocabulary: "closed" }));
  await on.close();
});

Deno.test("Cooldowns and timers run on the room's clock", async (t) => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await rowsRoom(on);
  const rows: Row[] = [
    registers("shot", {
      writes: [{ key: "n", increment: 1 }],
      on_invoke: { timer: { ms: 1000, effect: "enable" } },
    }),
    invokes("shot", {}, "once", { log: ["invoke _shared.n=increment _actions.shot=cooldown"] }),
    invokes("shot", {}, "not twice", {
      status: 409,
      has: { error: "action_cooldown", available_at: "2026-11-20T08:00:01.000Z" },
    }),
    registers("flash", { writes: [{ key: "f", value: 1, timer: { ms: 500, effect: "delete" } }] }),
    invokes("flash", {}, "with a timer", {
      has: { writes: [{ _meta: { timer: { effect: "delete" } } }] },
      log: ["invoke _shared.f=set"],
    }),
    registers("brief", { writes: [], timer: { ms: 400, effect: "delete" } }),
  ];
  await runRows(t, on, rows, room);
  await clock.advance(999);
  const token = room.agents["alice"];
  const { body } = await on.call("GET", `/rooms/${room.id}/context`, { token });
  assert.equal("f" in body.state._shared, false);
  assert.equal(body.actions.shot.value.available, false);
  assert.equal((await on.invoke(room.id, "brief", {}, token)).body.error, "action_expired");
  await clock.advance(1);
  assert.equal((await on.invoke(room.id, "shot", {}, token)).status, 200);
  const log = await on.call("GET", `/rooms/${room.id}/log?kind=timer`, { token });
  assert.deepEqual(log.body.records.map((r: { ts: string }) => r.ts), [
    "2026-11-20T08:00:00.400Z",
    "2026-11-20T08:00:00.500Z",
    "2026-11-20T08:00:01.000Z",
  ]);
  await on.close();
});

Deno.test("Help: read with a version, overridden by proof of reading", async (t) => {
  const on = await startService();
  const rows: Row[] = [
    {
      does: "a text comes with its version",
      ask: "POST /rooms/:id/actions/help/invoke",
      body: { params: { key: "guide" } },
      status: 200,
      has: { key: "guide", revision: 0, source: "system", version: /^[0-9a-f]{16}$/ },
      keep: (reply, kept) => kept["version"] = reply.body.version,
    },
    registers("teach", {
      params: { key: {}, text: {}, version: {} },
      writes: [{
        scope: "_help",
        key: "${params.key}",
        value: "${params.text}",
        if_version: "${params.version}",
      }],
    }),
    invokes(
      "teach",
      { key: "guide", text: "ours", version: "0123456789abcdef" },
      "a guess does not do",
      {
        status: 409,
        has: {
          error: "version_conflict",
          expected: "0123456789abcdef",
          current: { value: /^You are an agent/, revision: 0, version: /^[0-9a-f]{16}$/ },
        },
      },
    ),
    invokes("teach", { key: "ours", text: "x", version: "0123456789abcdef" }, "nor where none is", {
      status: 409,
      has: { error: "version_conflict", current: null },
    }),
    invokes("teach", { key: "guide", text: "ours", version: "{version}" }, "the version does", {
      log: ["invoke _help.guide=set"],
    }),
    {
      does: "the room's own text is answered",
      ask: "POST /rooms/:id/actions/help/invoke",
      body: { params: { key: "guide" } },
      status: 200,
      has: { content: "ours", revision: 1, source: "room" },
    },
    invokes("teach", { key: "guide", text: "new", version: "{version}" }, "once", {
      status: 409,
      has: { current: { value: "ours", revision: 1, version: /^[0-9a-f]{16}$/ } },
    }),
    registers("any-scope", {
      params: { s: {} },
      writes: [{ scope: "${params.s}", key: "guide", value: 1 }],
    }),
    invokes("any-scope", { s: "_help" }, "a template without a version writes no help", {
      status: 400,
      has: { error: "invalid_argument", field: "writes[0].if_version" },
    }),
    {
      does: "an unknown key lists those there are",
      ask: "POST /rooms/:id/actions/help/invoke",
      body: { params: { key: "guidde" } },
      status: 404,
      has: { error: "help_key_not_found", nearest: ["guide"] },
    },
  ];
  await runRows(t, on, rows, await rowsRoom(on));
  await on.close();
});

Deno.test("What is dormant, disabled or hidden is told to nobody who asks for something like it", async (t) => {
  const on = await startService();
  const hides = { enabled: 'self == "alice"' };
  const sleeps = { timer: { ms: 1000, effect: "enable" } };
  const view = (id: string, rest: Record<string, unknown>): Row => ({
    does: `registers the view ${id}`,
    ask: "POST /rooms/:id/actions/_register_view/invoke",
    body: { params: { id, expr: "1", scope: "_shared", ...rest } },
    status: 201,
    log: [`invoke _views.${id}=set`],
  });
  const deletes = (as: string, what: "action" | "view", nearest: readonly string[]): Row => ({
    does: `what ${as} is told of a ${what}`,
    ask: `POST /rooms/:id/actions/_delete_${what}/invoke`,
    as,
    body: { params: { id: "thing-x" } },
    status: 404,
    has: { error: `${what}_not_found`, nearest },
  });
  await runRows(t, on, [
    registers("thing-1", { writes: [], ...sleeps }),
    registers("thing-2", { writes: [], ...hides }),
    registers("thing-3", { writes: [], enabled: "false" }),
    registers("thing-4", { writes: [] }),
    view("thing-1", sleeps),
    view("thing-2", hides),
    view("thing-3", { enabled: "false" }),
    view("thing-4", {}),
    ...(["action", "view"] as const).flatMap((what) => [
      deletes("alice", what, ["thing-2", "thing-4"]),
      deletes("bob", what, ["thing-4"]),
    ]),
    invokes("thing-1", {}, "not even to who knows its name", {
      as: "bob",
      status: 404,
      has: { error: "action_not_found", nearest: ["thing-4"] },
    }),
    {
      does: "nor by its samples",
      ask: "GET /rooms/:id/samples/thing-1",
      as: "bob",
      status: 404,
      has: { error: "view_not_found", nearest: ["thing-4"], hint: /only=views/ },
    },
  ], await rowsRoom(on));
  await on.close();
});

const TOO_MANY: readonly [string, Record<string, unknown>, RegExp, number][] = [
  ["_register_action", { id: "a", writes: Array(65).fill({ key: "k", value: 1 }) }, /members/, 64],
  [
    "_register_action",
    { id: "a", writes: [], params: { p: { enum: Array(1_001).fill(1) } } },
    /members/,
    1_000,
  ],
  ["_register_action", { id: "a", writes: [], domain: "x".repeat(65) }, /characters/, 64],
  ["_send_message", { body: 1, to: Array(101).fill("bob") }, /members/, 100],
];

Deno.test("A list or text that is too long is told how long it may be", async () => {
  const on = await startService();
  const { id, admin, agents } = await rowsRoom(on);
  const mustTell = (reply: Reply, of: RegExp, limit: number): void => {
    assert.equal(reply.status, 400, reply.text);
    assert.equal(reply.body.error, "invalid_argument");
    assert.match(reply.body.message, new RegExp(`at most ${limit} `));
    assert.match(reply.body.message, of);
    assert.equal(reply.body.limit, limit);
  };
  for (const [action, params, of, limit] of TOO_MANY) {
    mustTell(await on.invoke(id, action, params, agents["alice"]), of, limit);
  }
  const views = Array(257).fill({ id: "v", expr: "1" });
  mustTell(await on.call("POST", `/rooms/${id}/agents`, { body: { views } }), /members/, 256);
  const keys = { public_keys: Array(257).fill("k") };
  mustTell(await on.call("POST", `/rooms/${id}/agents`, { body: keys }), /members/, 256);
  const grants = { grants: Array(1_001).fill("bob") };
  const patched = await on.call("PATCH", `/rooms/${id}/agents/alice`, {
    token: admin,
    body: grants,
  });
  mustTell(patched, /members/, 1_000);
  await on.close();
});

Deno.test("A refusal gives the reason that it has, and an example that would do", async (t) => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const refused = (does: string, params: unknown, has: Record<string, unknown>): Row => ({
    does,
    ask: REGISTER,
    body: { params },
    status: 400,
    has,
  });
  await runRows(t, on, [
    refused("no id", { writes: [] }, { field: "params.id", message: /letters, digits/ }),
    refused("an id that is a number", { id: 5, writes: [] }, { message: /letters, digits/ }),
    refused("an id that is reserved", { id: "self", writes: [] }, { message: /reserved/ }),
    registers("x", { scope: "_config", writes: [] }, {
      does: "a scope of the service's, in an open room",
      status: 403,
      has: { error: "scope_denied", hint: /keeps this scope for itself/ },
      hasNot: ["closed"],
      log: [],
    }),
    ...["__proto__", "did:web:x", "admin"].map((key): Row => ({
      does: `joining with ${key} in its state`,
      ask: "POST /rooms/:id/agents",
      as: null,
      body: `{"id":"eve","state":{"${key}":1}}`,
      status: 400,
      has: { error: "invalid_argument" },
    })),
    {
      does: "joining with a reserved word in its state",
      ask: "POST /rooms/:id/agents",
      as: null,
      body: { id: "eve", state: { constructor: 1 } },
      status: 400,
      has: { field: "state.constructor", message: /reserved/, example: "phase" },
    },
    {
      does: "a large integer",
      ask: "POST /rooms/:id/eval",
      body: '{"expr":"1","params":{"n":9007199254740993}}',
      status: 400,
      has: { field: "body.params.n", example: (text: string) => text !== "9007199254740993" },
    },
    {
      does: "a version of what one may not read",
      ask: "POST /rooms/:id/actions/_send_message/invoke",
      body: { params: { body: 1 }, if_version: { "bob.x": "" } },
      status: 403,
      has: { error: "scope_denied", hint: /grant/ },
    },
    registers("typed", {
      params: { n: { type: "integer", minimum: 2 }, e: { enum: ["a", "b"] } },
      writes: [],
    }),
    invokes("typed", { n: "2" }, "a wrong type", {
      status: 400,
      has: { hint: /whole/, example: 1 },
    }),
    invokes("typed", { n: 1 }, "out of bounds", { status: 400, has: { hint: /./, example: 2 } }),
    invokes("typed", { e: "c" }, "none of them", { status: 400, has: { hint: /./, example: "a" } }),
    invokes("typed", { m: 1 }, "an unknown one", { status: 400, has: { hint: /takes: n, e/ } }),
    {
      does: "another method",
      ask: "DELETE /rooms/:id/context",
      status: 405,
      has: { hint: "Use GET.", example: /^GET \/rooms\// },
    },
  ], room);
  await on.close();
});
