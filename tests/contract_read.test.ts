/** The contract's §7, §9, §10, §11 and §13 as rows: messages, reading, waiting, poll, eval, log. */
import assert from "node:assert/strict";
import { makeRoom, ManualClock, type Reply, startService, turns } from "./harness.ts";
import { type Row, rowsRoom, runRows } from "./contract_rows.ts";
import { hashOfShown } from "../record.ts";

const SEND = "POST /rooms/:id/actions/_send_message/invoke";
const CLAIM = "POST /rooms/:id/actions/_claim_message/invoke";

const MESSAGES: readonly Row[] = [
  {
    does: "a message is a record",
    ask: SEND,
    body: { params: { body: { any: ["json", null] }, to: "bob" } },
    status: 201,
    has: { sent: true, seq: 4, from: "alice", kind: "chat", to: ["bob"] },
    log: ["message _messages.4=set"],
  },
  {
    does: "it is directed and unread",
    ask: "GET /rooms/:id/context?only=messages&peek=true",
    as: "bob",
    status: 200,
    has: {
      messages: {
        count: 1,
        unread: 1,
        directed_unread: 1,
        unclaimed: 0,
        recent: [{ seq: 4, from: "alice", to: ["bob"] }],
      },
      _context: { help: ["vocabulary_bootstrap", "directed_messages"] },
    },
  },
  {
    does: "not to its sender",
    ask: "GET /rooms/:id/context?only=messages",
    status: 200,
    has: { messages: { count: 1, unread: 0, directed_unread: 0 } },
  },
  {
    does: "peeking moved nothing; reading shows it once more",
    ask: "GET /rooms/:id/context?only=messages",
    as: "bob",
    status: 200,
    has: { messages: { unread: 1 } },
  },
  {
    does: "then it is read",
    ask: "GET /rooms/:id/context?only=messages",
    as: "bob",
    status: 200,
    has: { messages: { unread: 0, directed_unread: 0, count: 1 } },
  },
  {
    does: "a task can be claimed",
    ask: SEND,
    body: { params: { body: "do it", kind: "task" } },
    status: 201,
    log: ["message _messages.5=set"],
  },
  {
    does: "by one",
    ask: CLAIM,
    as: "bob",
    body: { params: { seq: 5, lease_ms: 60000 } },
    status: 200,
    has: {
      claimed: true,
      claimed_by: "bob",
      fence: 6,
      lease_expires_at: "2026-11-20T08:01:00.000Z",
    },
    log: ["claim _messages.5=merge"],
  },
  {
    does: "not by another",
    ask: CLAIM,
    body: { params: { seq: 5 } },
    status: 409,
    has: { error: "already_claimed", claimed_by: "bob" },
  },
  {
    does: "the holder renews and keeps the fence",
    ask: CLAIM,
    as: "bob",
    body: { params: { seq: 5 } },
    status: 200,
    has: { fence: 6 },
    log: ["claim _messages.5=merge"],
  },
  {
    does: "a message with to only by those named",
    ask: CLAIM,
    body: { params: { seq: 4 } },
    status: 403,
    has: { error: "scope_denied" },
  },
  {
    does: "a stale fence stops work",
    ask: SEND,
    body: { params: { body: "x" }, fence: { message: 5, fence: 6 } },
    status: 409,
    has: { error: "stale_fence" },
  },
  {
    does: "a result by the holder ends the lease and keeps the claim",
    ask: SEND,
    as: "bob",
    body: {
      params: { body: "done", kind: "result", reply_to: 5 },
      fence: { message: 5, fence: 6 },
    },
    status: 201,
    log: ["message _messages.8=set _messages.5=merge"],
  },
  {
    does: "a thread is what replies to it",
    ask: "GET /rooms/:id/context?only=messages&messages_thread=5",
    status: 200,
    has: { messages: { recent: [{ seq: 5, claimed_by: "bob" }, { seq: 8, reply_to: 5 }] } },
  },
  {
    does: "nobody replies to what is not there",
    ask: SEND,
    body: { params: { body: "x", reply_to: 99 } },
    status: 404,
    has: { error: "message_not_found" },
  },
  {
    does: "a released message is open again",
    ask: "POST /rooms/:id/actions/_release_message/invoke",
    as: "bob",
    body: { params: { seq: 5 } },
    status: 200,
    has: { released: true },
    log: ["release _messages.5=merge"],
  },
  {
    does: "and listed as such",
    ask: "GET /rooms/:id/context?only=messages&messages_unclaimed=true",
    status: 200,
    has: { messages: { unclaimed: 1, recent: [{ seq: 5 }] } },
  },
  {
    does: "a body is wanted",
    ask: SEND,
    body: { params: {} },
    status: 400,
    has: { field: "params.body" },
  },
  {
    does: "a bad kind is refused",
    ask: SEND,
    body: { params: { body: 1, kind: "a b" } },
    status: 400,
  },
  {
    does: "so is a bad recipient",
    ask: SEND,
    body: { params: { body: 1, to: ["_x"] } },
    status: 400,
  },
];

Deno.test("Messages: sent, read, claimed, answered, released", async (t) => {
  const on = await startService();
  await runRows(t, on, MESSAGES, await rowsRoom(on));
  await on.close();
});

Deno.test("Paging through messages loses none and repeats none, whatever the page", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const sent: number[] = [];
  for (let i = 0; i < 23; i++) {
    const { body } = await on.invoke(
      room.id,
      "_send_message",
      { body: i },
      room.agents[i % 3 ? "alice" : "bob"],
    );
    sent.push(body.seq);
  }
  for (const limit of [1, 4, 23, 100]) {
    const got: number[] = [];
    for (let after: number | undefined = 0; after !== undefined;) {
      const path =
        `/rooms/${room.id}/context?only=messages&peek=true&messages_after=${after}&messages_limit=${limit}`;
      const { body }: Reply = await on.call("GET", path, { token: room.agents["bob"] });
      got.push(...body.messages.recent.map((m: { seq: number }) => m.seq));
      after = body.messages.next_after;
    }
    assert.deepEqual(got, sent);
  }
  const unread: number[] = [];
  for (let i = 0; i < 30; i++) {
    const { body } = await on.call(
      "GET",
      `/rooms/${room.id}/context?only=messages&messages_limit=3`,
      {
        token: room.agents["bob"],
      },
    );
    if (body.messages.unread === 0) break;
    unread.push(...body.messages.recent.map((m: { seq: number }) => m.seq));
  }
  const fromAlice = sent.filter((_, i) => i % 3 !== 0);
  assert.deepEqual(
    fromAlice.filter((seq) => !unread.includes(seq)),
    [],
    "messages that bob never got",
  );
  await on.close();
});

const READING: readonly Row[] = [
  {
    does: "registers put",
    ask: "POST /rooms/:id/actions/_register_action/invoke",
    body: {
      params: {
        id: "put",
        params: { k: {}, v: {} },
        writes: [{ key: "${params.k}", value: "${params.v}" }],
      },
    },
    status: 201,
    log: ["invoke _actions.put=set"],
  },
  ...["a", "b"].map((k): Row => ({
    does: `puts ${k}`,
    ask: "POST /rooms/:id/actions/put/invoke",
    body: { params: { k, v: k } },
    status: 200,
    log: [`invoke _shared.${k}=set`],
  })),
  {
    does: "sections are chosen",
    ask: "GET /rooms/:id/context?only=state,messages",
    status: 200,
    has: {
      views: undefined,
      agents: undefined,
      actions: undefined,
      state: { _shared: { a: { value: "a" }, b: { value: "b" } }, self: {} },
      _shaping: { sections_elided: ["views", "agents", "actions"], state_entries: { total: 2 } },
    },
  },
  {
    does: "lean says little of an action, full all",
    ask: "GET /rooms/:id/context?only=actions&depth=full",
    status: 200,
    has: {
      actions: {
        put: {
          value: { available: true, writes: [{ key: "${params.k}" }], params: { k: {}, v: {} } },
        },
      },
    },
  },
  {
    does: "usage counts",
    ask: "GET /rooms/:id/context?only=actions&depth=usage",
    status: 200,
    has: {
      actions: { put: { value: { usage: { invocations: 2, by: { alice: 2 }, refused: 0 } } } },
    },
  },
  {
    does: "since shows what changed",
    ask: "GET /rooms/:id/context?since=5",
    status: 200,
    has: { state: { _shared: { a: undefined, b: { value: "b" } } }, removed: [] },
  },
  {
    does: "since beyond the head is a reset",
    ask: "GET /rooms/:id/context?since=999",
    status: 200,
    has: { reset: true, state: { _shared: { a: {} } } },
  },
  {
    does: "plain is v6's form",
    ask: "GET /rooms/:id/context?shape=plain",
    status: 200,
    has: {
      state: { _shared: { a: "a" } },
      agents: { alice: { name: "alice" } },
      actions: { put: { available: true } },
    },
  },
  {
    does: "thresholds elide, and say how to get it",
    ask: "GET /rooms/:id/context?only=state&focus_threshold=1&elide_threshold=1",
    as: "view",
    status: 200,
    has: {
      state: {
        _shared: {
          a: {
            value: null,
            _meta: { elided: true, version: undefined, expand: "?expand=_shared.a" },
          },
        },
      },
    },
  },
  {
    does: "expand shows it",
    ask: "GET /rooms/:id/context?only=state&focus_threshold=1&elide_threshold=1&expand=_shared.a",
    as: "view",
    status: 200,
    has: {
      state: { _shared: { a: { value: "a", _meta: { elided: false } }, b: { value: null } } },
    },
  },
  {
    does: "_audit is opt-in",
    ask: "GET /rooms/:id/context?only=state&include=_audit",
    status: 200,
    has: { state: { _audit: { "4": { kind: "invoke", action: "_register_action" } } } },
  },
  {
    does: "and says how many records there are, and where",
    ask: "GET /rooms/:id/context?only=state&include=_audit",
    status: 200,
    has: { _shaping: { audit: { total: 6, returned: 6, rest: /^\/rooms\/[^/]+\/log$/ } } },
  },
  {
    does: "as a scope of its own, too",
    ask: "GET /rooms/:id/context?only=state._audit",
    status: 200,
    has: { state: { _shared: undefined, _audit: { "4": { kind: "invoke" } } } },
  },
  {
    does: "what is included is shown beside other sections",
    ask: "GET /rooms/:id/context?only=actions&include=_audit,_config",
    status: 200,
    has: {
      actions: { put: {} },
      messages: undefined,
      state: { _shared: undefined, _config: {}, _audit: { "4": { kind: "invoke" } } },
    },
  },
  {
    does: "and beside other scopes",
    ask: "GET /rooms/:id/context?only=state._shared&include=_views",
    status: 200,
    has: { state: { _shared: { a: {} }, _views: {}, self: undefined } },
  },
  {
    does: "a small room is shown in the focus tier without elision, too",
    ask: "GET /rooms/:id/context?elision=none",
    status: 200,
    has: {
      state: { _shared: { a: { value: "a", _meta: { writer: "alice", via: "put", seq: 5 } } } },
      _shaping: { reason: "small", state_entries: { focus: 2, peripheral: 0 } },
    },
  },
  {
    does: "thresholds are kept to without elision, too",
    ask: "GET /rooms/:id/context?elision=none&focus_threshold=1",
    status: 200,
    has: {
      state: { _shared: { a: { value: "a", _meta: { writer: undefined } } } },
      _shaping: { reason: undefined, state_entries: { peripheral: 2 } },
    },
  },
  {
    does: "a built-in contests nothing, and nothing is counted of it",
    ask: "GET /rooms/:id/context?only=actions&depth=usage",
    status: 200,
    has: {
      actions: {
        _send_message: {
          value: { builtin: true, usage: undefined },
          _meta: { contested: [], invocations: undefined },
        },
      },
    },
  },
  {
    does: "invocations read as messages when asked for",
    ask: "GET /rooms/:id/context?only=messages&messages_kind=action_invocation",
    status: 200,
    has: { messages: { count: 0, recent: (list: unknown[]) => list.length === 3 } },
  },
  {
    does: "the newest of them, with how to get the others",
    ask: "GET /rooms/:id/context?only=messages&messages_kind=action_invocation&messages_limit=1",
    status: 200,
    has: {
      messages: { recent: [{ seq: 6 }], earlier: { count: 2, expand: "?messages_after=0" } },
    },
  },
  {
    does: "and alone: they are read from the log",
    ask: "GET /rooms/:id/context?only=messages&messages_kind=chat,action_invocation",
    status: 400,
    has: { error: "invalid_argument", field: "messages_kind" },
  },
  {
    does: "salience orders",
    ask: "GET /rooms/:id/salience?limit=1",
    status: 200,
    has: {
      agent: "alice",
      entries: [{ scope: "_shared", signals: { authorship: 1 } }],
      total: 2,
      returned: 1,
    },
  },
  {
    does: "poll has it all",
    ask: "GET /rooms/:id/poll",
    status: 200,
    has: {
      room: {},
      state: {},
      views: {},
      agents: {},
      actions: {},
      messages: {},
      refusals: [],
      waits: [],
      audit: (records: unknown[]) => records.length === 6,
      _shaping: { audit: { total: 6, returned: 6 }, budget: undefined },
    },
  },
  {
    does: "all of it, whatever the budget: that is a context's",
    ask: "GET /rooms/:id/poll?budget=1000",
    status: 400,
    has: { error: "invalid_argument", field: "budget" },
  },
  {
    does: "eval answers value, type and reads",
    ask: "POST /rooms/:id/eval",
    body: { expr: "state._shared.a.value + params.x", params: { x: "!" } },
    status: 200,
    has: {
      expression: "state._shared.a.value + params.x",
      value: "a!",
      reads: (r: string[]) => r.includes("state._shared.a"),
    },
  },
  ...[
    { does: "as the agent that the body names", body: { agent: "alice" }, value: "alice" },
    { does: "which wins over the query's", query: "?agent=bob", body: { agent: "alice" } },
    { does: "an admin through an agent's eyes", as: "admin", body: { agent: "bob" }, value: "bob" },
    {
      does: "not as another agent",
      body: { agent: "bob" },
      status: 403,
      has: { error: "identity_mismatch", claimed: "bob" },
    },
    {
      does: "nor as what is no id",
      body: { agent: 5 },
      status: 400,
      has: { error: "invalid_argument", field: "agent" },
    },
  ].map(({ does, query = "", as, body, value = "alice", status = 200, has }): Row => ({
    does: `eval: ${does}`,
    ask: `POST /rooms/:id/eval${query}`,
    ...(as === undefined ? {} : { as }),
    body: { expr: "self", ...body },
    status,
    has: has ?? { value },
  })),
  {
    does: "a custom scope is there before anything is in it; what can be no scope is missing",
    ask: "POST /rooms/:id/eval",
    body: {
      expr: "[has(state._board), has(state.__proto__), has(state._), has(state.constructor), " +
        "'__proto__' in state, state[?'__proto__'].hasValue(), state[?'_a.b'].hasValue()]",
    },
    status: 200,
    has: {
      value: (found: boolean[]) =>
        JSON.stringify(found) === JSON.stringify([true, ...Array(6).fill(false)]),
    },
  },
  {
    does: "what is silently wrong is refused with a correction",
    ask: "POST /rooms/:id/eval",
    body: { expr: 'state._shared.a == "a"' },
    status: 400,
    has: { error: "invalid_cel", field: "expr", corrected: 'state._shared.a.value == "a"' },
  },
  {
    does: "a failure is cel_error",
    ask: "POST /rooms/:id/eval",
    body: { expr: "1 / 0" },
    status: 400,
    has: { error: "cel_error", detail: /./ },
  },
  {
    does: "history of a key",
    ask: "GET /rooms/:id/history/_shared/a",
    as: "view",
    status: 200,
    has: {
      entries: [{ seq: 5, agent: "alice", action: "put", op: "set", value: "a", revision: 1 }],
    },
  },
  {
    does: "history of a prefix",
    ask: "GET /rooms/:id/history/_shared?prefix=b",
    status: 200,
    has: { entries: [{ key: "b" }], total: 1 },
  },
  {
    does: "history backwards: the newest page, and the way to the one before it",
    ask: "GET /rooms/:id/history/_shared?before=9007199254740991&limit=1",
    status: 200,
    has: { entries: [{ seq: 6, key: "b" }], total: 2, returned: 1, next_before: 6 },
  },
  {
    does: "history backwards ends at the first write",
    ask: "GET /rooms/:id/history/_shared?before=6&limit=1",
    status: 200,
    has: { entries: [{ seq: 5, key: "a" }], total: 2, next_before: undefined },
  },
  {
    does: "history goes one way at a time",
    ask: "GET /rooms/:id/history/_shared/a?before=6&after=1",
    status: 400,
    has: { error: "invalid_argument", field: "before" },
  },
  {
    does: "the log is filtered and paged",
    ask: "GET /rooms/:id/log?kind=invoke&limit=2",
    as: "view",
    status: 200,
    has: { records: [{ seq: 4 }, { seq: 5 }], head: 6, total: 3, next_after: 5 },
  },
  {
    does: "by several kinds",
    ask: "GET /rooms/:id/log?kind=create,join&kind=invoke&limit=1",
    as: "view",
    status: 200,
    has: { records: [{ seq: 1 }], total: 6 },
  },
  {
    does: "by none that there is not",
    ask: "GET /rooms/:id/log?kind=invoke,invocation",
    status: 400,
    has: { error: "invalid_argument", field: "kind", message: /create, room, join/ },
  },
  {
    does: "and by the scope of one's own",
    ask: "GET /rooms/:id/log?scope=self",
    status: 200,
    has: { records: [], total: 0 },
  },
  ...["log?scope=self", "history/self/a", "diff?from=1&scope=self"].map((path): Row => ({
    does: `who is no agent has none: ${path}`,
    ask: `GET /rooms/:id/${path}`,
    as: "view",
    status: 400,
    has: { error: "invalid_argument", field: "scope" },
  })),
  {
    does: "verify",
    ask: "GET /rooms/:id/verify",
    status: 200,
    has: { ok: true, records: 6, head: 6 },
  },
  ...[
    "depth=deep",
    "only=stat",
    "include=state",
    "expand=x",
    "elision=some",
    "focus_threshold=2",
    "elide_threshold=-1",
    "actions=maybe",
    "messages_limit=0",
    "messages_limit=501",
    "messages_after=-1",
    "messages_thread=x",
    "expand_params=2",
    "shape=round",
    "since=-1",
    "since=1.5",
    "budget=499",
    "explain=yes",
    "peek=perhaps",
  ].map((query): Row => ({
    does: `${query} is no value`,
    ask: `GET /rooms/:id/context?${query}`,
    status: 400,
    has: { error: "invalid_argument", field: query.split("=")[0] },
  })),
];

Deno.test("Reading: context with its parameters, salience, poll, eval, history, log", async (t) => {
  const on = await startService();
  await runRows(t, on, READING, await rowsRoom(on));
  await on.close();
});

Deno.test("reads_self: whether an action depends on who invokes it", async () => {
  const on = await startService();
  const { id, agents: { alice } } = await makeRoom(on, ["alice"]);
  const put = { key: "k", value: 1 };
  const actions: Record<string, [readsSelf: boolean, definition: Record<string, unknown>]> = {
    plain: [false, { writes: [put], if: "room.seq > 0", result: "state._shared.k.value" }],
    text: [false, { writes: [{ key: "k", value: "self" }] }],
    gate: [true, { writes: [put], if: 'self == "alice"' }],
    own: [true, { writes: [put], if: "has(state.self.k)" }],
    there: [true, { writes: [put], enabled: 'self != "bob"' }],
    answer: [true, { writes: [put], result: "self" }],
    value: [true, { writes: [{ key: "k", value: "self", expr: true }] }],
    merge: [true, { writes: [{ key: "k", merge: "{'by': self}", expr: true }] }],
    increment: [true, { writes: [{ key: "n", increment: "size(self)", expr: true }] }],
    scope: [true, { writes: [{ ...put, scope: "${self}" }] }],
    key: [true, { writes: [{ key: "vote.${self}", value: 1 }] }],
    deep: [true, { writes: [{ key: "k", value: { by: ["${self}"] } }] }],
    literal: [false, { writes: [{ key: "k", value: "$${self}" }] }],
  };
  for (const [name, [, definition]] of Object.entries(actions)) {
    const { status, text } = await on.invoke(
      id,
      "_register_action",
      { id: name, ...definition },
      alice,
    );
    assert.equal(status, 201, text);
  }
  const query = "only=actions&depth=full";
  const { body } = await on.call("GET", `/rooms/${id}/context?${query}`, { token: alice });
  const shown = Object.keys(actions).map((name) => [name, body.actions[name].value.reads_self]);
  assert.deepEqual(shown, Object.entries(actions).map(([name, [readsSelf]]) => [name, readsSelf]));
  await on.close();
});

Deno.test("A log with hidden parts still verifies, record by record", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const writes = [{ scope: "${self}", key: "s", value: "${params.v}" }, { key: "p", value: 1 }];
  await on.invoke(room.id, "_register_action", { id: "mix", writes }, room.agents["alice"]);
  await on.invoke(room.id, "mix", { v: "secret-value" }, room.agents["alice"]);
  for (const token of [room.agents["alice"], room.agents["bob"], room.view, room.admin]) {
    const { body, text } = await on.call("GET", `/rooms/${room.id}/log?proof=true`, { token });
    assert.equal(
      text.includes("secret-value"),
      token !== room.agents["bob"] && token !== room.view,
    );
    let prev = body.records[0].prev;
    for (const record of body.records) {
      assert.equal(record.prev, prev);
      assert.equal(hashOfShown(record), record.hash, `record ${record.seq}`);
      prev = record.hash;
    }
  }
  await on.close();
});

Deno.test("A budget is kept, to the character, and says what it left out", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  const token = room.agents["alice"];
  const writes = [{ key: "${params.k}", value: "${params.v}" }];
  await on.invoke(room.id, "_register_action", { id: "put", writes }, token);
  for (let i = 0; i < 60; i++) {
    await on.invoke(room.id, "put", { k: `k${i}`, v: "x".repeat(i * 10) }, token);
  }
  for (let i = 0; i < 30; i++) {
    await on.invoke(room.id, "_send_message", { body: "y".repeat(i * 5) }, token);
  }
  for (const budget of [500, 777, 1_000, 2_500, 10_000, 100_000]) {
    const { text, body } = await on.call("GET", `/rooms/${room.id}/context?budget=${budget}`, {
      token,
    });
    assert.ok(text.length <= 4 * budget, `${text.length} characters for ${budget} tokens`);
    assert.equal(body._shaping.budget.tokens, budget);
    const shown = Object.keys(body.state._shared).length;
    assert.equal(shown + body._shaping.budget.left_out.state, 60);
  }
  await on.close();
});

Deno.test("Pages of messages say what lies before them; within a budget the newest are preferred", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const token = room.agents["alice"];
  const sent: number[] = [];
  for (let i = 0; i < 30; i++) {
    const params = { body: `${i} ${"x".repeat(60)}`, kind: i % 2 ? "chat" : "note" };
    sent.push((await on.invoke(room.id, "_send_message", params, token)).body.seq);
  }
  const messages = async (query: string, as: string | undefined = room.view) =>
    (await on.call("GET", `/rooms/${room.id}/context?only=messages&${query}`, { token: as })).body
      .messages;
  const seqs = (page: { recent: { seq: number }[] }): number[] => page.recent.map((m) => m.seq);

  const last = await messages("messages_limit=4");
  assert.deepEqual(seqs(last), sent.slice(-4));
  assert.deepEqual(last.earlier, { count: 26, expand: `?messages_after=${sent[21]}` });
  const before = await messages(`messages_limit=4&messages_after=${sent[21]}`);
  assert.deepEqual(seqs(before), sent.slice(22, 26));
  assert.deepEqual(before.earlier, { count: 22, expand: `?messages_after=${sent[17]}` });
  assert.equal("earlier" in await messages("messages_limit=4&messages_after=0"), false);

  const within = await messages("budget=800");
  const shown = seqs(within);
  assert.ok(shown.length > 3 && shown.length < 30, `${shown}`);
  assert.deepEqual(shown, sent.slice(-shown.length), "the newest, ascending");
  assert.equal("next_after" in within, false);
  assert.equal(within.earlier.count, 30 - shown.length);
  const forward = await messages("budget=800&messages_after=0");
  assert.deepEqual(seqs(forward), sent.slice(0, forward.recent.length));
  assert.equal(forward.next_after, forward.recent.at(-1).seq);

  const unread = await messages("budget=800", room.agents["bob"]);
  assert.deepEqual(seqs(unread), sent.slice(0, unread.recent.length), "what is unread first");
  const next = await messages("budget=800", room.agents["bob"]);
  assert.deepEqual(seqs(next), sent.slice(-next.recent.length), "then the newest of what was read");
  assert.ok(seqs(next).includes(sent[unread.recent.length]!), "the cursor moved no further");

  assert.equal((await messages("messages_kind=note")).total, 15);
  assert.equal((await messages("messages_kind=note,chat&messages_from=self", token)).total, 30);
  assert.equal((await messages("messages_from=self", room.agents["bob"])).total, 0);
  await on.invoke(room.id, "_send_message", { body: 1, to: "bob" }, token);
  assert.equal((await messages("messages_to=self", room.agents["bob"])).total, 1);
  assert.equal((await messages("messages_to=self", token)).total, 0);
  await on.close();
});

Deno.test("A budget counts what is sent, as plain values, too", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  const token = room.agents["alice"];
  const writes = [{ key: "${params.k}", value: "${params.k}" }];
  await on.invoke(room.id, "_register_action", { id: "put", writes }, token);
  for (let i = 0; i < 60; i++) await on.invoke(room.id, "put", { k: `k${i}` }, token);
  for (const [i, expr] of ["1 / 0", "2"].entries()) {
    await on.invoke(room.id, "_register_view", { id: `v${i}`, expr }, token);
  }
  const read = async (query: string) =>
    await on.call("GET", `/rooms/${room.id}/context?budget=1500&peek=true&${query}`, { token });
  const [wrapped, plain, elided] = await Promise.all([
    read("shape=wrapped"),
    read("shape=plain"),
    read("shape=plain&focus_threshold=1&elide_threshold=1"),
  ]);
  for (const { text, body } of [wrapped, plain, elided]) {
    assert.ok(text.length <= 6_000, `${text.length}`);
    const { used } = body._shaping.budget;
    assert.ok(Math.abs(used - text.length / 4) < 3, `${used} tokens, ${text.length} characters`);
  }
  assert.ok(wrapped.body._shaping.budget.left_out.state > 10);
  assert.equal(Object.keys(plain.body.state._shared).length, 60);
  assert.equal(plain.body._shaping.failed.v0.code, "cel_error");
  await on.close();
});

Deno.test("Expressions see why a view has no value, and of every message who holds it", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const token = room.agents["alice"];
  for (const kind of ["chat", "task"]) {
    await on.invoke(room.id, "_send_message", { body: kind, kind }, token);
  }
  await on.invoke(room.id, "_claim_message", { seq: 5, lease_ms: 60_000 }, room.agents["bob"]);
  const define = (id: string, expr: string, scope: string) =>
    on.invoke(room.id, "_register_view", { id, expr, scope }, token);
  await define("bad", "state.self.gone.value", "alice");
  await define("fine", "1", "_shared");
  await define("code", "views.bad._meta.error.code", "_shared");
  const value = async (expr: string, as = token): Promise<unknown> =>
    (await on.call("POST", `/rooms/${room.id}/eval`, { token: as, body: { expr } })).body.value;
  const bob = room.agents["bob"];
  assert.equal(await value("views.code.value"), "cel_error");
  assert.equal(
    await value("has(views.bad._meta.error.message)"),
    false,
    "it may hold what is read",
  );
  assert.equal(await value("has(views.bad._meta.error.code)", bob), true);
  assert.equal(await value("has(views.fine._meta.error)"), false);
  const secret = "hunter2-secret";
  const hide = {
    id: "hide",
    scope: "alice",
    writes: [{ scope: "alice", key: "pw", value: secret }],
  };
  await on.invoke(room.id, "_register_action", hide, token);
  await on.invoke(room.id, "hide", {}, token);
  await define("leak", "int(state.self.pw.value)", "alice");
  const told = ["string(views.leak._meta) == 'x'", "views.leak._meta.error.message == 'x'"];
  for (const [i, test] of told.entries()) {
    const gated = { id: `gated${i}`, scope: "alice", if: test, writes: [{ key: "x", value: 1 }] };
    await on.invoke(room.id, "_register_action", gated, token);
    const refused = await on.invoke(room.id, gated.id, {}, bob);
    assert.ok(refused.status >= 400 && !refused.text.includes(secret), refused.text);
  }
  assert.deepEqual(
    await value("messages.recent.map(m, [m.claimed_by, m.claimed_at == null])"),
    [[null, true], ["bob", false]],
  );
  assert.equal(await value("messages.recent.filter(m, m.lease_expires_at == null).size()"), 1);
  const { body } = await on.call("GET", `/rooms/${room.id}/context?only=messages`, { token });
  assert.equal("claimed_by" in body.messages.recent[0], false, "on the wire it is left out");
  await on.close();
});

Deno.test("Waiting: true already, woken by a record, timed out, refused, gone", async (t) => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await rowsRoom(on);
  const token = room.agents["alice"];
  const wait = (query: string, as = token): Promise<Reply> =>
    on.call("GET", `/rooms/${room.id}/wait?${query}`, { token: as });
  const writes = [{ key: "n", increment: 1 }];
  await on.invoke(room.id, "_register_action", { id: "inc", writes }, token);

  await t.step("true already", async () => {
    const { status, body } = await wait("condition=room.seq>0");
    assert.equal(status, 200);
    assert.equal(body.triggered, true);
    assert.equal(body.waited_ms, 0);
    assert.ok(body.context.state);
  });
  await t.step("woken by the record that makes it true, not by another", async () => {
    let reply: Reply | undefined;
    const waiting = wait("condition=state._shared.n.value>=2&include=state").then((r) => reply = r);
    await turns();
    const { body: seen } = await on.call("GET", `/rooms/${room.id}/context?only=agents`, {
      token: room.agents["bob"],
    });
    assert.deepEqual(
      [seen.agents.alice.value.status, seen.agents.alice.value.waiting_on],
      ["waiting", "state._shared.n.value>=2"],
    );
    await on.invoke(room.id, "inc", {}, room.agents["bob"]);
    await turns();
    assert.equal(reply, undefined);
    await on.invoke(room.id, "inc", {}, room.agents["bob"]);
    const { body } = await waiting;
    assert.equal(body.triggered, true);
    assert.deepEqual(body.woken_by, { seq: 6, agent: "bob", action: "inc" });
    assert.equal(body.state._shared.n.value, 2);
    assert.equal("context" in body, false);
  });
  await t.step("timed out, with the reason it never held", async () => {
    const waiting = wait("condition=state._shared.gone.value>1&timeout=5000");
    await turns();
    await clock.advance(5000);
    const { status, body } = await waiting;
    assert.equal(status, 200);
    assert.deepEqual([body.triggered, body.timeout, body.elapsed_ms], [false, true, 5000]);
    assert.match(body.last_error, /gone/);
  });
  await t.step("everybody waits: stalled", async () => {
    const both = [
      wait("condition=state._shared.n.value>90&timeout=1000"),
      wait("condition=state._shared.n.value>91&timeout=1000", room.agents["bob"]),
    ];
    await turns();
    await clock.advance(1000);
    const [first] = await Promise.all(both);
    assert.deepEqual(first!.body.stalled.agents.map((a: { agent: string }) => a.agent), [
      "alice",
      "bob",
    ]);
  });
  await t.step("any change", async () => {
    const waiting = wait("");
    await turns();
    await on.invoke(room.id, "inc", {}, room.agents["bob"]);
    assert.equal((await waiting).body.triggered, true);
  });
  await t.step("since: what has happened answers at once", async () => {
    const { body } = await wait("since=6");
    assert.equal(body.triggered, true);
    assert.equal(body.context.state._shared.n.value, 3);
  });
  for (
    const [query, error] of [
      ["condition=nope>1", "invalid_cel"],
      ["condition=1%2B", "invalid_cel"],
      ["timeout=55001", "invalid_argument"],
      ["include=stat", "invalid_argument"],
    ] as const
  ) {
    await t.step(`${query}: ${error}`, async () => {
      const reply = await wait(query);
      assert.deepEqual([reply.status, reply.body.error], [400, error]);
    });
  }
  await t.step("a client that goes away leaves nothing behind", async () => {
    const controller = new AbortController();
    const gone = on.call(
      "GET",
      `/rooms/${room.id}/wait?condition=false||state._shared.n.value>99`,
      { token, signal: controller.signal },
    );
    await turns();
    assert.equal(on.service.deps.waits.open, 1);
    controller.abort();
    await gone.catch(() => undefined);
    await turns();
    assert.equal(on.service.deps.waits.open, 0);
  });
  await t.step("deleting the room ends its waits", async () => {
    const waiting = wait("condition=state._shared.n.value>99");
    await turns();
    await on.call("DELETE", `/rooms/${room.id}`, { token: room.admin });
    const { status } = await waiting;
    assert.ok(status === 401 || status === 404, `${status}`);
    assert.equal(on.service.deps.waits.open, 0);
  });
  await on.close();
});
