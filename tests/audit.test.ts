/** What a reading of the contract from outside found: one row for each sentence that once failed. */
import assert from "node:assert/strict";
import { makeRoom, mustVerify, startService, SYSTEM_CLOCK } from "./harness.ts";
import type { TestRoom, TestService } from "./harness.ts";

const SET = {
  id: "set",
  params: { k: { type: "string" }, v: { type: "any" } },
  writes: [{ key: "${params.k}", value: "${params.v}" }],
};

async function world(
  agents: readonly string[],
): Promise<{ on: TestService; room: TestRoom; close: () => Promise<void> }> {
  const on = await startService();
  const room = await makeRoom(on, agents);
  await on.invoke(room.id, "_register_action", SET, room.admin);
  return { on, room, close: () => on.close() };
}

const FORWARDED = [
  "Via",
  "Forwarded",
  "X-Forwarded-For",
  "X-Forwarded-Port",
  "X-Forwarded-Whatever",
];

for (const name of FORWARDED) {
  Deno.test(`A request with ${name} does not count as open`, async () => {
    const on = await startService();
    const reply = await on.call("POST", "/rooms", { body: {}, headers: { [name]: "x" } });
    assert.deepEqual([reply.status, reply.body.error], [401, "authentication_required"]);
    await on.close();
  });
}

Deno.test("Wrong methods of documents and operations are 405 with Allow", async () => {
  const on = await startService();
  for (const path of ["/healthz", "/readyz", "/metrics", "/SKILL.md", "/reference/api.md"]) {
    const reply = await on.call("POST", path, { body: {} });
    assert.equal(reply.status, 405, path);
    assert.equal(reply.headers.get("Allow"), "GET", path);
  }
  const far = await on.call("GET", "/metrics", { headers: { "X-Forwarded-For": "1.2.3.4" } });
  assert.equal(far.status, 404, "refused, and not for its method");
  await on.close();
});

Deno.test("The dashboard of a room is a page for whoever asks", async () => {
  const on = await startService();
  const page = await on.call("GET", "/?room=x", { headers: { Accept: "*/*" } });
  assert.match(page.headers.get("Content-Type") ?? "", /text\/html/);
  await on.close();
});

Deno.test("Claiming without a credential is 401, whatever the body", async () => {
  const { on, room, close } = await world([]);
  const reply = await on.call("POST", `/rooms/${room.id}/claim`, { body: {} });
  assert.deepEqual([reply.status, reply.body.error], [401, "authentication_required"]);
  await close();
});

Deno.test("compact takes true or false, and leaves plain values whole", async () => {
  const { on, room, close } = await world(["alice"]);
  const token = room.agents["alice"];
  const value = { a: null, b: [null, { c: null }] };
  await on.invoke(room.id, "set", { k: "deep", v: value }, token);
  await on.invoke(room.id, "set", { k: "none", v: null }, token);
  const path = `/rooms/${room.id}/context`;
  assert.equal((await on.call("GET", `${path}?compact=maybe`, { token })).status, 400);
  for (const shape of ["plain", "wrapped"]) {
    const { body } = await on.call("GET", `${path}?compact=true&shape=${shape}`, { token });
    const { deep, none } = body.state._shared;
    assert.deepEqual(shape === "plain" ? deep : deep.value, value, shape);
    assert.deepEqual(shape === "plain" ? none : none.value, null, shape);
  }
  await close();
});

Deno.test("Beside a small state the views stand in the focus tier too", async () => {
  const { on, room, close } = await world(["alice", "bob"]);
  const view = { id: "one", expr: "1", scope: "alice" };
  await on.invoke(room.id, "_register_view", view, room.agents["alice"]);
  const token = room.agents["bob"];
  for (let read = 0; read < 2; read++) {
    const { body } = await on.call("GET", `/rooms/${room.id}/context`, { token });
    assert.equal(body.views.one._meta.writer, "alice");
    assert.equal(body.views.one._meta.via, "_register_view");
  }
  const named = await on.call("GET", `/rooms/${room.id}/context?focus_threshold=1`, { token });
  assert.equal(named.body.views.one._meta.writer, undefined, "thresholds that are named count");
  await close();
});

Deno.test("A budget holds for _audit and for invocations as well", async () => {
  const { on, room, close } = await world(["alice"]);
  const token = room.agents["alice"];
  for (let i = 0; i < 40; i++) {
    await on.invoke(room.id, "set", { k: `k${i}`, v: "x".repeat(300) }, token);
  }
  for (const query of ["include=_audit", "messages_kind=action_invocation&messages_limit=50"]) {
    for (const tokens of [500, 1000, 3000]) {
      const path = `/rooms/${room.id}/context?peek=true&budget=${tokens}&${query}`;
      const { text, body } = await on.call("GET", path, { token });
      assert.ok(text.length <= 4 * tokens, `${query} ${tokens}: ${text.length}`);
      assert.ok(body._shaping.budget.used <= tokens);
    }
  }
  await close();
});

Deno.test("Reading on within a budget comes to the end, and skips nothing", async () => {
  const { on, room, close } = await world(["alice", "bob"]);
  const sent = new Set<number>();
  for (let i = 0; i < 30; i++) {
    const to = i % 3 === 0 ? { to: "bob" } : {};
    const message = { body: "m".repeat(400), ...to };
    sent.add((await on.invoke(room.id, "_send_message", message, room.agents["alice"])).body.seq);
  }
  const path = `/rooms/${room.id}/context?only=messages&budget=1500`;
  const token = room.agents["bob"];
  const read = new Set<number>();
  let unread = 30;
  for (let turn = 0; unread > 0 && turn < 40; turn++) {
    const { body } = await on.call("GET", path, { token });
    for (const { seq } of body.messages.recent) read.add(seq);
    unread = (await on.call("GET", `${path}&peek=true`, { token })).body.messages.unread;
  }
  assert.equal(unread, 0);
  assert.deepEqual([...read].sort((a, b) => a - b), [...sent]);
  await close();
});

Deno.test("A page that next_after names goes on, whatever is directed", async () => {
  const { on, room, close } = await world(["alice", "bob"]);
  for (let i = 0; i < 30; i++) {
    const to = i % 3 === 0 ? { to: "bob" } : {};
    const message = { body: "m".repeat(400), ...to };
    await on.invoke(room.id, "_send_message", message, room.agents["alice"]);
  }
  const read = new Set<number>();
  let after: number | undefined = 0;
  for (let turn = 0; after !== undefined && turn < 40; turn++) {
    const path: string =
      `/rooms/${room.id}/context?only=messages&budget=1500&messages_after=${after}`;
    const { body } = await on.call("GET", path, { token: room.agents["bob"] });
    for (const { seq } of body.messages.recent) read.add(seq);
    after = body.messages.next_after;
  }
  assert.deepEqual([after, read.size], [undefined, 30]);
  await close();
});

Deno.test("since with a condition that holds: any change that the caller sees ends the wait", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const room = await makeRoom(on, ["alice"]);
  await on.invoke(room.id, "_register_action", SET, room.admin);
  const { body } = await on.invoke(room.id, "set", { k: "turn", v: 1 }, room.admin);
  const condition = encodeURIComponent("state._shared.turn.value == 1");
  const path = `/rooms/${room.id}/wait?timeout=20000&since=${body.seq}&condition=${condition}`;
  const waiting = on.call("GET", path, { token: room.agents["alice"] });
  while (on.service.deps.waits.open === 0) await new Promise((go) => setTimeout(go, 5));
  const other = await on.invoke(room.id, "set", { k: "other", v: 2 }, room.admin);
  const reply = await waiting;
  assert.deepEqual([reply.body.triggered, reply.body.seq], [true, other.body.seq]);
  await on.close();
});

Deno.test("A wait as JSON refuses members that it does not know", async () => {
  const { on, room, close } = await world(["alice"]);
  const body = { condition: "true", conditon: "false" };
  const path = `/rooms/${room.id}/wait`;
  const reply = await on.call("POST", path, { token: room.agents["alice"], body });
  assert.deepEqual([reply.status, reply.body.field], [400, "conditon"]);
  await close();
});

const REFUSED = ["1 +", "nope", "x".repeat(9000), '"a"', "1/0 == 1", 'int("x") == 1', "state.s.k"];

for (const expr of REFUSED) {
  Deno.test(`The refusal of ${expr.slice(0, 20)} has all its members`, async () => {
    const { on, room, close } = await world(["alice"]);
    const token = room.agents["alice"];
    const action = { id: "gated", if: expr, writes: [] };
    const replies = [
      await on.call("POST", `/rooms/${room.id}/eval`, { token, body: { expr } }),
      await on.invoke(room.id, "_register_action", action, token),
    ];
    for (const reply of replies) {
      if (reply.status < 300) continue;
      const isCel = reply.body.error === "invalid_cel";
      const members = ["detail", "position", "hint", "help", ...(isCel ? ["stage", "source"] : [])];
      for (const member of members) {
        assert.notEqual(reply.body[member], undefined, `${member}: ${reply.text}`);
      }
    }
    await close();
  });
}

Deno.test("An action reads its invoker's scope as state.self, by name only its registrar's own", async () => {
  const { on, room, close } = await world(["alice", "bob"]);
  const { alice, bob } = room.agents as Record<"alice" | "bob", string>;
  const own = { id: "own", writes: [{ scope: "${self}", key: "s", value: "of-${self}" }] };
  await on.invoke(room.id, "_register_action", own, alice);
  for (const token of [alice, bob]) await on.invoke(room.id, "own", {}, token);
  const rows: readonly (readonly [string, unknown, unknown])[] = [
    ['state["bob"].s.value', null, null],
    ['state["b" + "ob"].s.value', null, null],
    ["state.alice.s.value", "of-alice", null],
    ["state.self.s.value", "of-alice", "of-bob"],
    ["state[self].s.value", "of-alice", "of-bob"],
    ['state.exists(s, s == "bob")', false, false],
  ];
  for (const [result, forAlice, forBob] of rows) {
    const spy = { id: "spy", writes: [], result };
    assert.equal((await on.invoke(room.id, "_register_action", spy, alice)).status, 201, result);
    assert.equal((await on.invoke(room.id, "spy", {}, alice)).body.result, forAlice, result);
    assert.equal((await on.invoke(room.id, "spy", {}, bob)).body.result, forBob, result);
  }
  await mustVerify(on, room);
  await close();
});
