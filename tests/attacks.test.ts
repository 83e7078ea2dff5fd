/**
 * Attacks that once went through, or nearly: what others learn of a private scope by comparing two
 * rooms that differ in nothing else, and single requests that held up everybody.
 */
import assert from "node:assert/strict";
import { ENABLED_STEPS_MAX, MEMBERS_MAX, RECORD_BYTES_MAX, ROOM_ENABLED_MAX } from "../limits.ts";
import { localPath } from "../oauth/routes.ts";
import { revokeTree } from "../store/tokens.ts";
import {
  makeRoom,
  makeUser,
  ManualClock,
  type Reply,
  startService,
  type TestRoom,
  type TestService,
  turns,
  userToken,
} from "./harness.ts";

/** What alice keeps for herself, in either of two rooms. */
interface Secret {
  readonly value: unknown;
  readonly key: string;
}

const GUESS = "zebra";
const SECRETS: readonly [Secret, Secret] = [
  { value: GUESS, key: "hidden" },
  { value: "okapi", key: "other1" },
];

/** Ways to say `state.self.secret.value == GUESS` for whoever is judged. */
const PROBES: Readonly<Record<string, string>> = {
  plain: `state.self.secret.value == "${GUESS}"`,
  computed: `state["se" + "lf"].secret.value == "${GUESS}"`,
  chosen: `(1 == 1 ? state : state)["self"].secret.value == "${GUESS}"`,
  looped: `state.exists(s, has(state[s].secret) && state[s].secret.value == "${GUESS}")`,
  mapped: `[state].exists(s, s.self.secret.value == "${GUESS}")`,
  optional: `state.?self.secret.value.orValue("") == "${GUESS}"`,
  named: `state.alice.secret.value == "${GUESS}"`,
  keyed: `"hidden" in state.self`,
  sized: `state["se" + "lf"].keys().exists(k, k == "hidden")`,
  failing: `state.self.secret.value == "${GUESS}" ? 1 / 0 > 0 : false`,
  failing2: `state["se" + "lf"].secret.value == "${GUESS}" ? 1 / 0 > 0 : false`,
  branching: `state.self.secret.value == "${GUESS}" ? has(state._shared.nothing) : false`,
  branching2: `state["se" + "lf"].secret.value == "${GUESS}" ? has(state._shared.nothing) : false`,
  costly: `state.self.secret.value == "${GUESS}" && [0,1,2,3,4,5,6,7,8,9].all(a, ` +
    `[0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, a < 99))))`,
  inner: `actions.plain.value.available`,
  inner2: `actions["pl" + "ain"].value.available`,
  innermost: `actions.inner.value.available`,
  remembered: `memory.size() > 0`,
};

interface Twin {
  readonly on: TestService;
  readonly clock: ManualClock;
  readonly room: TestRoom;
  readonly readers: Readonly<Record<string, string | undefined>>;
  readonly close: () => Promise<void>;
}

async function twin(secret: Secret): Promise<Twin> {
  const clock = new ManualClock();
  const on = await startService({ clock });
  // What is drawn at random may not tell the two apart.
  Object.assign(on.service.engine, { newUid: () => "00000000-0000-4000-8000-000000000000" });
  const room = await makeRoom(on, ["alice", "bob", "carol"], { id: "twin", public: "read" });
  await makeUser(on, "pat", { twin: "participant" });
  await makeUser(on, "obi", { twin: "observer" });
  const { alice, bob } = room.agents;
  const must = async (pending: Promise<Reply>, status = 201): Promise<void> => {
    const reply = await pending;
    assert.equal(reply.status, status, reply.text);
  };
  const keep = {
    id: "keep",
    scope: "alice",
    writes: [
      { scope: "alice", key: "secret", value: "${params.v}" },
      { scope: "alice", key: "${params.k}", value: 1 },
    ],
  };
  await must(on.invoke("twin", "_register_action", keep, alice));
  await must(on.invoke("twin", "keep", { v: secret.value, k: secret.key }, alice), 200);
  const register = async (id: string, definition: Record<string, unknown>): Promise<void> =>
    await must(on.invoke("twin", "_register_action", { id, writes: [], ...definition }, bob));
  for (const [id, probe] of Object.entries(PROBES)) {
    await register(id, { if: probe, writes: [{ key: `by_${id}`, value: 1 }] });
    // Shut for everybody as long as nobody invokes the probe: who could, is asked of it.
    await register(`after_${id}`, { if: `has(state._shared.by_${id})` });
    await register(`on_${id}`, {
      if: `actions.${id}.value.available`,
      writes: [{ key: "never", value: 1 }],
    });
  }
  await register("set", { writes: [{ key: "${params.k}", value: 1 }] });
  await must(on.invoke("twin", "_register_view", { id: "v", expr: "actions.size()" }, bob));
  const readers = {
    bob,
    carol: room.agents["carol"],
    view: room.view,
    pat: await userToken(on, "pat", "rooms:twin"),
    obi: await userToken(on, "obi", "rooms:twin"),
    nobody: undefined,
  };
  return { on, clock, room, readers, close: () => on.close() };
}

/** All that others may ask; what comes back may not hang on what alice keeps. */
function questions(): [name: string, method: string, path: string, body?: unknown][] {
  const list: [string, string, string, unknown?][] = [];
  const get = (path: string): void => void list.push([path, "GET", path]);
  for (
    const path of [
      "context",
      "context?depth=full",
      "context?depth=usage",
      "context?elision=none&explain=true",
      "context?include=_audit",
      "context?since=3",
      "context?only=actions&expand_params=true",
      "context?only=state.alice",
      "context?expand=alice.secret",
      "context?expand=alice.*",
      "context?budget=900",
      "context?shape=plain",
      "context?messages_kind=action_invocation",
      "poll",
      "poll?since=2",
      "salience",
      "log",
      "log?proof=true",
      "log?format=jsonl",
      "log?scope=alice",
      "log?scope=alice&key=hidden",
      "log?scope=self",
      "log?action=keep",
      "history/alice",
      "history/alice/secret",
      "history/alice?prefix=hid",
      "history/self",
      "diff?from=1&to=6",
      "replay/6",
      "replay/6?expand=alice.secret",
      "vocabulary",
      "samples/v",
      "verify",
      "wait?timeout=0",
      "wait?timeout=0&since=1&include=state",
    ]
  ) get(path);
  const post = (name: string, path: string, body: unknown): void =>
    void list.push([name, "POST", path, body]);
  for (const [id, probe] of Object.entries(PROBES)) {
    const guess = probe.replaceAll('self"', 'x"').replaceAll("self", "alice");
    post(`eval ${id}`, "eval", { expr: guess, explain: true });
    get(`wait?timeout=0&condition=${encodeURIComponent(guess)}`);
    post(`if ${id}`, "actions/set/invoke", { params: { k: "a" }, if: guess, dry_run: true });
    post(`invoke after ${id}`, `actions/after_${id}/invoke`, {});
    post(`dry on ${id}`, `actions/on_${id}/invoke`, { dry_run: true });
    post(`simulate ${id}`, "simulate", {
      steps: [{ action: "set", params: { k: `by_${id}` } }, { action: `after_${id}` }],
    });
  }
  for (const path of ["alice.secret", "alice.hidden", "alice.other1"]) {
    for (const version of ["", 0, 1, "486ea46224d1bb4f", { seq: 5 }]) {
      const body = { params: { k: "a" }, if_version: { [path]: version }, dry_run: true };
      post(`if_version ${path} ${JSON.stringify(version)}`, "actions/set/invoke", body);
    }
  }
  return list;
}

/** A reply without what is random or hangs on hashes of what is hidden. */
function bare({ status, text }: Reply): string {
  return `${status} ${text}`.replace(/\b[0-9a-f]{64}\b/g, "#").replace(
    /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b/g,
    "#",
  ).replace(/"(session|signature|key|salt)":"[^"]*"/g, "#").replace(/req_\w+/g, "#");
}

/** Where two replies part, with what stands around it; empty when they are the same. */
function difference(a: string, b: string): string {
  if (a === b) return "";
  let at = 0;
  while (a[at] === b[at]) at++;
  return `${a.slice(at - 120, at + 60)} | ${b.slice(at - 30, at + 60)}`;
}

Deno.test("Two rooms that differ only in what alice keeps look alike to everybody else", async (t) => {
  const [one, two] = [await twin(SECRETS[0]), await twin(SECRETS[1])];
  for (const reader of Object.keys(one.readers)) {
    await t.step(reader, async () => {
      for (const [name, method, path, body] of questions()) {
        const ask = async (on: Twin): Promise<Reply> => {
          const token = on.readers[reader];
          const pending = on.on.call(method, `/rooms/twin/${path}`, { token, body });
          if (path.startsWith("wait")) {
            await turns();
            await on.clock.advance(1);
          }
          return await pending;
        };
        const [a, b] = [await ask(one), await ask(two)];
        assert.equal(difference(bare(a), bare(b)), "", `${reader}: ${name}`);
        assert.ok(a.status < 500, `${name}: ${a.text}`);
      }
    });
  }
  // What they are compared by would tell them apart: alice herself sees different rooms.
  const [mine, hers] = [one, two].map(({ on, room }) =>
    on.call("GET", "/rooms/twin/context", { token: room.agents["alice"] })
  );
  assert.notEqual(bare(await mine!), bare(await hers!));
  await one.close();
  await two.close();
});

/** A room of bob's, and what he does there. */
async function lab(): Promise<{
  readonly on: TestService;
  readonly room: TestRoom;
  readonly action: (id: string, definition: Record<string, unknown>) => Promise<Reply>;
  readonly view: (id: string, expr: string) => Promise<Reply>;
  readonly run: (action: string, params?: unknown) => Promise<Reply>;
  readonly get: (path: string) => Promise<Reply>;
}> {
  const on = await startService();
  const room = await makeRoom(on, ["bob"]);
  const token = room.agents["bob"];
  const run = (action: string, params: unknown = {}): Promise<Reply> =>
    on.invoke(room.id, action, params, token);
  return {
    on,
    room,
    run,
    action: (id, definition) => run("_register_action", { id, writes: [], ...definition }),
    view: (id, expr) => run("_register_view", { id, expr }),
    get: (path) => on.call("GET", `/rooms/${room.id}/${path}`, { token }),
  };
}

function is(reply: Reply, status: number, error?: string): void {
  assert.deepEqual([reply.status, reply.body.error], [status, error], reply.text.slice(0, 300));
}

Deno.test("Half placeholders by the ten thousand are text, found in one pass", async () => {
  const { on, action, run } = await lab();
  const text = `$\{params.v}${"${".repeat(100_000)}`;
  is(await action("half", { writes: [{ key: "a", value: text }] }), 201);
  const reply = await run("half", { v: "x" });
  assert.equal(reply.body.writes[0].value, `x${"${".repeat(100_000)}`);
  const ends = { key: "a", value: "a $${b} ${params.v} $${c} ${d" };
  is(await action("ends", { writes: [ends] }), 201);
  assert.equal((await run("ends", { v: 1 })).body.writes[0].value, "a ${b} 1 ${c} ${d");
  is(
    await action("unknown", { writes: [{ key: "a", value: "${x} ${" }] }),
    400,
    "invalid_argument",
  );
  await on.close();
});

Deno.test("A parameter named often makes no more than a value may hold", async () => {
  const { on, action, run } = await lab();
  const templates = {
    list: Array.from({ length: 5_000 }, () => "${params.v}"),
    text: "${params.v} ".repeat(15_000),
    names: { "${params.v}${params.v}${params.v}": 1 },
  };
  for (const [id, value] of Object.entries(templates)) {
    is(await action(id, { writes: [{ key: "a", value }] }), 201);
    is(await run(id, { v: "y".repeat(250_000) }), 413, "too_large");
    is(await run(id, { v: "y" }), 200);
  }
  is(await action("key", { writes: [{ key: "${params.v}".repeat(2_000), value: 1 }] }), 201);
  is(await run("key", { v: "y".repeat(900_000) }), 413, "too_large");
  await on.close();
});

Deno.test("Views and gates that build on each other twofold are walked once each", async () => {
  const { on, action, view, get } = await lab();
  for (const p of ["a", "b"]) {
    is(await view(`${p}0`, "1"), 201);
    is(await view(`now_${p}0`, "now"), 201);
    is(await action(`${p}0`, { if: "1 == 1" }), 201);
  }
  for (let i = 1; i <= 28; i++) {
    for (const p of ["a", "b"]) {
      is(await view(`${p}${i}`, `views.a${i - 1}.value + views.b${i - 1}.value`), 201);
      const both = `[views.now_a${i - 1}.value == now, views.now_b${i - 1}.value == now]`;
      is(await view(`now_${p}${i}`, both), 201);
      const gate = `actions.a${i - 1}.value.available && actions.b${i - 1}.value.available`;
      is(await action(`${p}${i}`, { if: gate }), 201);
    }
  }
  const context = await get("context");
  is(context, 200);
  assert.equal(context.body.views.a28.value, 2 ** 28);
  is(await get("vocabulary"), 200);
  is(await view("a0", "views.b28.value"), 409, "view_cycle");
  await on.close();
});

Deno.test("Views that take all steps of a look spoil no other view for the next", async () => {
  const { on, view, get } = await lab();
  const list = "[0,1,2,3,4,5,6,7,8,9]";
  const loops = "abcdef".split("").map((name) => `${list}.all(${name}, `).join("");
  const heavy = (i: number): string => `${loops}a + b + c + d + e + f > -${i}${")".repeat(6)}`;
  for (let i = 1; i <= 8; i++) is(await view(`heavy${i}`, heavy(i)), 201);
  is(await view("zz", "1 + 1"), 201);
  await get("context");
  assert.equal((await get("context?only=views")).body.views.zz.value, 2);
  await on.close();
});

Deno.test("A list is compared with what its items may be in one pass", async () => {
  const { on, action, run } = await lab();
  const members = [...Array.from({ length: 997 }, (_, i) => i), [1], { a: 1 }, "\u0000[1]"];
  const params = { xs: { type: "array", items: { enum: members } } };
  is(await action("choose", { params }), 201);
  is(await run("choose", { xs: Array.from({ length: 100_000 }, () => 996) }), 200);
  is(await run("choose", { xs: [[1], { a: 1 }, "\u0000[1]", -0, 1.0] }), 200);
  for (const x of ["1", [2], { a: 2 }, '\u0000{"a":1}', null, true, 997]) {
    is(await run("choose", { xs: [x] }), 400, "invalid_param");
  }
  await on.close();
});

Deno.test("A thread is followed to its end, however long, each reply once", async () => {
  const { on, run, get } = await lab();
  const seqs: number[] = [];
  for (let i = 0; i < 1_200; i++) {
    const reply_to = seqs.at(-1);
    const reply = await run("_send_message", {
      body: i,
      ...(reply_to === undefined ? {} : { reply_to }),
    });
    seqs.push(reply.body.seq);
  }
  await run("_send_message", { body: "aside" });
  const thread = async (seq: number): Promise<number> =>
    (await get(`context?only=messages&messages_thread=${seq}`)).body.messages.total;
  assert.equal(await thread(seqs[0]!), 1_200);
  assert.equal(await thread(seqs[1_000]!), 200);
  await on.close();
});

Deno.test("RECORD_BYTES_MAX: all writes of one invocation together", async () => {
  const { on, action, run } = await lab();
  const writes = (n: number) =>
    Array.from({ length: n }, (_, i) => ({ key: `k${i}`, value: "${params.v}" }));
  is(await action("four", { writes: writes(4) }), 201);
  is(await action("five", { writes: writes(5) }), 201);
  const v = "y".repeat(RECORD_BYTES_MAX / 4 - 2);
  is(await run("four", { v }), 200);
  is(await run("five", { v }), 413, "too_large");
  await on.close();
});

Deno.test("MEMBERS_MAX: what a join brings along, and what names things", async () => {
  const { on, room } = await lab();
  const state = (n: number) =>
    Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]));
  const join = (id: string, n: number): Promise<Reply> =>
    on.call("POST", `/rooms/${room.id}/agents`, { body: { id, state: state(n) } });
  is(await join("one", MEMBERS_MAX), 201);
  is(await join("two", MEMBERS_MAX + 1), 400, "invalid_argument");
  is(await join("three", 60_000), 400, "invalid_argument");
  await on.close();
});

Deno.test("ROOM_ENABLED_MAX and ENABLED_STEPS_MAX: no room is slow for what it hides", async () => {
  const { on, action, run } = await lab();
  const gated = { scope: "_g", value: 1, enabled: "has(state._shared.on)" };
  const writes = Array.from({ length: 50 }, (_, i) => ({ ...gated, key: `$\{params.p}.${i}` }));
  is(await action("fifty", { writes }), 201);
  is(await action("one", { writes: [{ ...gated, key: "${params.p}" }] }), 201);
  for (let i = 0; i < ROOM_ENABLED_MAX / 50; i++) is(await run("fifty", { p: `p${i}` }), 200);
  is(await run("fifty", { p: "p0" }), 200);
  is(await run("one", { p: "more" }), 400, "limit_exceeded");
  await on.close();
  const other = await lab();
  const list = (n: number): string => `[${Array.from({ length: n }, (_, i) => i).join(",")}]`;
  const loop = (n: number): string => `${list(n)}.all(a, ${list(n)}.all(b, a + b > -1))`;
  const entries = [
    { scope: "_g", key: "light", value: 1, enabled: loop(10) },
    { scope: "_g", key: "heavy", value: 1, enabled: loop(100) },
  ];
  is(await other.action("put", { writes: entries }), 201);
  is(await other.run("put"), 200);
  assert.deepEqual(Object.keys((await other.get("context")).body.state._g), ["light"]);
  assert.ok(ENABLED_STEPS_MAX < 100 * 100 * 3 && ENABLED_STEPS_MAX > 10 * 10 * 10);
  await other.on.close();
});

Deno.test("An owner that binds a token to another's agent is neither its actor nor its memory", async () => {
  const on = await startService();
  const room = await makeRoom(on, []);
  await makeUser(on, "mallory", { [room.id]: "owner" });
  await makeUser(on, "al", { [room.id]: "participant" });
  const al = await userToken(on, "al", "rooms:*");
  const did = "did:sync:agent:albot";
  is(await on.call("POST", "/actors", { token: al, body: { did } }), 201);
  const memory = `/actors/${encodeURIComponent(did)}/memory/plan`;
  is(await on.call("PUT", memory, { token: al, body: { body: "zebra" } }), 200);
  const body = { id: "alice", actor: did };
  const joined = await on.call("POST", `/rooms/${room.id}/agents`, { token: al, body });
  is(joined, 201);
  const wide = await userToken(on, "mallory", `rooms:${room.id}`);
  const scope = `rooms:${room.id}:agent:alice`;
  const minted = await on.call("POST", "/tokens", { token: wide, body: { scope } });
  is(minted, 201);
  const evaluate = async (token: string): Promise<unknown> =>
    (await on.call("POST", `/rooms/${room.id}/eval`, { token, body: { expr: "memory.size()" } }))
      .body.value;
  assert.equal(await evaluate(joined.body.token), 1);
  assert.equal(await evaluate(minted.body.token), 0);
  const sent = await on.invoke(room.id, "_send_message", { body: "forged" }, minted.body.token);
  is(sent, 201);
  const { records } = (await on.call("GET", `/rooms/${room.id}/log?kind=message`, { token: wide }))
    .body;
  assert.deepEqual([records[0].actor, records[0].on_behalf], ["did:sync:user:mallory", did]);
  const view = { id: "peek", expr: "memory.size()", scope: "alice" };
  const viewed = await on.invoke(room.id, "_register_view", view, minted.body.token);
  assert.equal(viewed.body.value, 0, viewed.text);
  await on.close();
});

Deno.test("No page of another origin takes an agent in an open room of a laptop", async () => {
  const on = await startService();
  const room = await makeRoom(on, []);
  const join = (id: string, headers: Record<string, string>): Promise<Reply> =>
    on.call("POST", `/rooms/${room.id}/agents`, { body: { id }, headers });
  is(await join("a", { Origin: "http://evil.example" }), 401, "authentication_required");
  is(await join("b", { Origin: "null" }), 401, "authentication_required");
  const rebound = { Host: "evil.example:8787", Origin: "http://evil.example:8787" };
  is(await join("c", rebound), 401, "authentication_required");
  is(await join("d", { Origin: "http://localhost:8787" }), 201);
  is(await join("e", {}), 201);
  await on.close();
});

Deno.test("Signing in leads on to this host only", () => {
  for (
    const next of ["//evil.example", "/.//evil.example", "/a/..//evil.example", "/\\evil.example"]
  ) assert.equal(localPath(next), "/manage", next);
  assert.equal(localPath("/auth/consent?request=x"), "/auth/consent?request=x");
});

Deno.test("A wait is not answered to a token that the very record ends which wakes it", async () => {
  const { on, room } = await lab();
  const token = room.agents["bob"];
  const seq = (await on.service.engine.find(room.id)).room.head;
  const asked = ["wait", `wait?since=${seq}`, `wait?condition=room.seq%3E${seq}`];
  const waits = asked.map((path) => on.call("GET", `/rooms/${room.id}/${path}`, { token }));
  await turns();
  is(await on.call("POST", `/rooms/${room.id}/agents`, { token, body: { id: "bob" } }), 201);
  for (const wait of waits) is(await wait, 401, "invalid_token");
  await on.close();
});

Deno.test("Many dear waits are judged in turns, and none is missed or judged for ever", async () => {
  const { on, room, action, run } = await lab();
  is(await action("go", { writes: [{ key: "x", increment: 1 }] }), 201);
  is(await run("go"), 200);
  const list = "[0,1,2,3,4,5,6,7,8,9]";
  const loop = `${list}.all(a, ${list}.all(b, ${list}.all(c, a + b + c > -1)))`;
  const token = room.agents["bob"];
  const wait = (rest: string): Promise<Reply> =>
    on.call("GET", `/rooms/${room.id}/wait?timeout=50000&include=state&${rest}`, { token });
  const waits = Array.from(
    { length: 120 },
    (_, i) =>
      wait(
        `condition=${
          encodeURIComponent(`${loop} && state._shared.x.value > ${1 + i % 3} + ${i}*0`)
        }`,
      ),
  );
  const any = Array.from(
    { length: 40 },
    () => wait(`condition=${encodeURIComponent("room.seq > 99")}`),
  );
  const late = wait(
    `condition=${encodeURIComponent(`${loop} && state._shared.x.value > 9`)}&since=0`,
  );
  await turns(40);
  for (let i = 0; i < 3; i++) is(await run("go"), 200);
  for (const pending of waits) assert.equal((await pending).body.triggered, true);
  await turns(40);
  assert.equal(on.service.deps.waits.open, any.length + 1);
  for (let i = 0; i < 6; i++) is(await run("go"), 200);
  assert.equal((await late).body.triggered, true);
  const { clock } = on.service.engine;
  assert.ok(clock instanceof ManualClock);
  await clock.advance(50_000);
  for (const pending of any) assert.equal((await pending).status, 200);
  await on.close();
});

Deno.test("A look-up that a revocation overtakes is not kept", async () => {
  const { on, room } = await lab();
  const { auth, store } = on.service.deps;
  const token = room.agents["bob"]!;
  auth.forget();
  const overtaken = auth.bySecret(token);
  auth.forget();
  const { lineage } = await overtaken;
  await revokeTree(store, lineage[0]!.id, 1);
  await assert.rejects(auth.bySecret(token), { code: "invalid_token" });
  await on.close();
});
