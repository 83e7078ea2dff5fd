/**
 * Attacks that once went through, or nearly: what others learn of a private scope by comparing two
 * rooms that differ in nothing else, and single requests that held up everybody.
 */
import assert from "node:assert/strict";
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
