/** The help texts do what they say, and the standard library registers and works as it stands. */
import assert from "node:assert/strict";
import { HELP } from "../help-content.ts";
import type { Json, JsonObject } from "../types.ts";
import {
  makeRoom,
  ManualClock,
  mustVerify,
  startService,
  type TestRoom,
  type TestService,
} from "./harness.ts";

const KEYS = [
  "index",
  "guide",
  "expressions",
  "wrapped_entries",
  "functions",
  "shaping",
  "standard_library",
  "vocabulary_bootstrap",
  "contested_actions",
  "directed_messages",
  "if_version",
  "context_shaping",
  "roles",
  "waits",
  "timers",
  "trust",
  "errors",
  "migrating",
  "broken_views",
  "vocabulary_review",
];

const LIBRARY = HELP["standard_library"] as JsonObject[];

/** A room with alice and bob in which alice has registered the standard library. */
async function furnished(): Promise<{ on: TestService; room: TestRoom; clock: ManualClock }> {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice", "bob"]);
  for (const definition of LIBRARY) {
    const reply = await on.invoke(room.id, "_register_action", definition, room.agents["alice"]);
    assert.equal(reply.status, 201, reply.text);
    assert.equal(reply.body.warning, undefined, `${String(definition["id"])} warns: ${reply.text}`);
  }
  return { on, room, clock };
}

Deno.test("help has exactly the keys it should, and its index names each of them", () => {
  assert.deepEqual(Object.keys(HELP).sort(), [...KEYS].sort());
  const named = Object.keys(HELP["index"] as JsonObject);
  assert.deepEqual(named.sort(), KEYS.filter((key) => key !== "index").sort());
});

Deno.test("every help key is answered with the version that overriding it takes", async () => {
  const { on, room } = await furnished();
  const token = room.agents["alice"];
  for (const key of KEYS) {
    const { status, body } = await on.call("GET", `/rooms/${room.id}/help/${key}`, { token });
    assert.equal(status, 200);
    assert.deepEqual(body.content, HELP[key]);
    assert.match(body.version, /^[0-9a-f]{16}$/);
    assert.equal(body.source, "system");
  }
  await on.close();
});

const LINE = /^ {4}(?:(bob): )?(invoke|eval|wait|read) (.*?)(?: {3}→ (\d{3}) (\w+))?$/;
const INVOKE = /^(\S+) (\{.*?\})(?: with (\{.*\}))?$/;

/** Runs one line of a help text. */
async function run(
  on: TestService,
  room: TestRoom,
  line: string,
  task: number,
): Promise<JsonObject> {
  const [, who = "alice", verb, text = "", status = "20", code] = LINE.exec(line)!;
  const token = room.agents[who]!;
  const at = `/rooms/${room.id}`;
  let reply;
  if (verb === "invoke") {
    const [, action, params, rest = "{}"] = INVOKE.exec(text.replace("TASK", String(task))) ?? [];
    assert.ok(action !== undefined && params !== undefined, `not an invocation: ${text}`);
    reply = await on.invoke(room.id, action, JSON.parse(params), token, JSON.parse(rest));
  } else if (verb === "eval") {
    reply = await on.call("POST", `${at}/eval`, { token, body: { expr: text } });
  } else if (verb === "wait") {
    const query = new URLSearchParams({ condition: text, timeout: "0" });
    reply = await on.call("GET", `${at}/wait?${query}`, { token });
    assert.equal(reply.body.triggered, true, `${line}\n${reply.text}`);
  } else {
    reply = await on.call("GET", `${at}/context?${text}`, { token });
  }
  assert.ok(String(reply.status).startsWith(status), `${line}\n${reply.text}`);
  if (code !== undefined) assert.equal(reply.body.error, code, line);
  return reply.body;
}

/** What stands in the room before the first line of a text: `turn`, written twice. */
const PRELUDE = [
  '    invoke set {"key": "turn", "value": 3}',
  '    invoke set {"key": "turn", "value": 3}',
];

for (const key of KEYS.filter((name) => typeof HELP[name] === "string")) {
  Deno.test(`every example of help "${key}" does what it says`, async () => {
    const { on, room } = await furnished();
    let task = 0;
    const lines = (HELP[key] as string).split("\n").filter((line) => LINE.test(line));
    for (const line of [...PRELUDE, ...lines]) {
      const body = await run(on, room, line, task);
      if (body["kind"] === "task") task = body["seq"] as number;
    }
    await mustVerify(on, room);
    await on.close();
  });
}

/** Who invokes what, and what it answers: status and error, or the writes as `scope.key`. */
type Step = readonly [
  who: "alice" | "bob",
  action: string,
  params: Json,
  expected: string | JsonObject,
];

const STEPS: readonly Step[] = [
  ["alice", "set", { key: "x", value: { a: 1 } }, { "_shared.x": { a: 1 } }],
  ["bob", "set", { key: "x", value: 2, if_version: "" }, "version_conflict"],
  ["bob", "set", { key: "mine", scope: "bob", value: "s" }, { "bob.mine": "s" }],
  ["bob", "set", { key: "y", scope: "alice", value: 1 }, "scope_denied"],
  ["alice", "set", { key: "x" }, "missing_param"],
  ["alice", "increment", { key: "n" }, { "_shared.n": 1 }],
  ["bob", "increment", { key: "n", by: 2.5 }, { "_shared.n": 3.5 }],
  ["bob", "increment", { key: "x" }, "not_a_number"],
  ["alice", "append", { key: "list", item: "a" }, { "_shared.list": ["a"] }],
  ["bob", "append", { key: "list", item: ["b"] }, { "_shared.list": ["a", ["b"]] }],
  ["bob", "delete", { key: "list" }, { "_shared.list": null }],
  ["bob", "delete", { key: "list" }, {}],
  ["alice", "update_objective", { objective: "ship" }, { "_shared.objective": "ship" }],
  ["bob", "update_objective", { objective: "other" }, "version_conflict"],
  ["alice", "claim", { key: "door" }, { "_shared.claim.door": "alice" }],
  ["alice", "claim", { key: "door" }, { "_shared.claim.door": "alice" }],
  ["bob", "claim", { key: "door" }, "precondition_failed"],
  ["alice", "submit_result", { result: "42" }, { "_shared.alice.result": "42" }],
  ["alice", "vote", { choice: "yes" }, { "alice.vote": "yes" }],
  ["bob", "fill_role", { role: "scribe" }, "precondition_failed"],
  ["alice", "define_role", { role: "scribe", description: "writes" }, {
    "_shared.roles.scribe": {
      role: "scribe",
      description: "writes",
      defined_by: "alice",
      filled_by: null,
    },
  }],
  ["bob", "fill_role", { role: "scribe" }, {
    "_shared.roles.scribe": {
      role: "scribe",
      description: "writes",
      defined_by: "alice",
      filled_by: "bob",
      filled_at: "2026-11-20T08:00:00.000Z",
    },
  }],
  ["alice", "fill_role", { role: "scribe" }, "precondition_failed"],
  ["alice", "define_role", { role: "scribe" }, "precondition_failed"],
  ["alice", "gate_on_stability", { key: "x" }, "precondition_failed"],
  ["alice", "gate_on_stability", { key: "absent" }, "precondition_failed"],
  ["alice", "gate_on_stability", { key: "x", max_velocity: 2 }, {
    "_shared.settled.x": { version: "015abd7f5cc57a2d", by: "alice" },
  }],
  ["bob", "gate_on_writer", { key: "x", writer: "bob" }, "precondition_failed"],
  ["bob", "gate_on_writer", { key: "absent", writer: "bob" }, "precondition_failed"],
  ["bob", "gate_on_writer", { key: "x", writer: "alice" }, {
    "_shared.confirmed.x": { version: "015abd7f5cc57a2d", writer: "alice", by: "bob" },
  }],
  ["alice", "take_task", { task: "1" }, "precondition_failed"],
];

Deno.test("the standard library registers, works as it stands, and contests nothing", async () => {
  const { on, room } = await furnished();
  for (const [who, action, params, expected] of STEPS) {
    const { status, body, text } = await on.invoke(room.id, action, params, room.agents[who]);
    const step = `${who} ${action} ${JSON.stringify(params)}\n${text}`;
    if (typeof expected === "string") {
      assert.equal(body.error, expected, step);
      continue;
    }
    assert.equal(status, 200, step);
    const written = (body.writes as JsonObject[]).map((
      w,
    ) => [`${w["scope"]}.${w["key"]}`, w["value"]]);
    assert.deepEqual(Object.fromEntries(written), expected, step);
  }
  const context = await on.call("GET", `/rooms/${room.id}/context`, {
    token: room.agents["alice"],
  });
  assert.equal(context.body.views._contested, undefined);
  assert.deepEqual(context.body._context.help, []);
  await mustVerify(on, room);
  await on.close();
});

Deno.test("every action of the standard library is tried here", () => {
  const tried = new Set<unknown>([
    ...STEPS.map(([, action]) => action),
    "post_task",
    "finish_task",
  ]);
  for (const { id } of LIBRARY) assert.ok(tried.has(id), String(id));
});

Deno.test("update_objective replaces what its caller has read", async () => {
  const { on, room } = await furnished();
  const first = await on.invoke(
    room.id,
    "update_objective",
    { objective: "a" },
    room.agents["alice"],
  );
  const { version } = first.body.writes[0]._meta;
  const params = { objective: "b", if_version: version };
  assert.equal(
    (await on.invoke(room.id, "update_objective", params, room.agents["bob"])).status,
    200,
  );
  assert.equal(
    (await on.invoke(room.id, "update_objective", params, room.agents["alice"])).status,
    409,
  );
  await on.close();
});

Deno.test("claims and taken tasks come free again when their lease runs out", async () => {
  const { on, room, clock } = await furnished();
  const { alice, bob } = room.agents;
  const posted = await on.invoke(
    room.id,
    "post_task",
    { title: "read", detail: { pages: 3 } },
    alice,
  );
  const task = posted.body.result as string;
  assert.equal(posted.body.writes[0].key, task);
  const lease_ms = 1000;
  for (
    const [action, params] of [["claim", { key: "k", lease_ms }], ["take_task", {
      task,
      lease_ms,
    }]] as const
  ) {
    assert.equal((await on.invoke(room.id, action, params, alice)).status, 200);
    assert.equal((await on.invoke(room.id, action, params, bob)).body.error, "precondition_failed");
  }
  await clock.advance(1001);
  assert.equal((await on.invoke(room.id, "claim", { key: "k" }, bob)).status, 200);
  assert.equal((await on.invoke(room.id, "take_task", { task }, bob)).status, 200);
  assert.equal((await on.invoke(room.id, "finish_task", { task, result: 1 }, alice)).status, 409);
  const done = await on.invoke(room.id, "finish_task", { task, result: { n: 3 } }, bob);
  assert.equal(done.body.writes[0].value.status, "done");
  assert.deepEqual(done.body.writes[0].value.result, { n: 3 });
  assert.equal((await on.invoke(room.id, "take_task", { task }, alice)).status, 409);
  await mustVerify(on, room);
  await on.close();
});

Deno.test("a key is settled once nobody has written it for a while", async () => {
  const { on, room, clock } = await furnished();
  const { alice } = room.agents;
  await on.invoke(room.id, "set", { key: "x", value: 1 }, alice);
  assert.equal((await on.invoke(room.id, "gate_on_stability", { key: "x" }, alice)).status, 409);
  await clock.advance(301_000);
  assert.equal((await on.invoke(room.id, "gate_on_stability", { key: "x" }, alice)).status, 200);
  await on.close();
});

Deno.test("votes are private until their owner's view shows them", async () => {
  const { on, room } = await furnished();
  const tokens: string[] = [];
  for (const id of ["ann", "ben"]) {
    const body = { id, public_keys: ["vote"] };
    tokens.push(
      (await on.call("POST", `/rooms/${room.id}/agents`, { token: room.admin, body })).body.token,
    );
  }
  await on.invoke(room.id, "vote", { choice: "yes" }, room.agents["bob"]);
  await on.invoke(room.id, "vote", { choice: "yes" }, tokens[0]);
  await on.invoke(room.id, "vote", { choice: "no" }, tokens[1]);
  const tally = {
    id: "tally",
    scope: "_shared",
    expr: 'views.keys().filter(k, k.endsWith(".vote")).map(k, views[k].value)',
  };
  const made = await on.invoke(room.id, "_register_view", tally, room.agents["alice"]);
  assert.deepEqual(made.body.value, ["yes", "no"]);
  await on.close();
});
