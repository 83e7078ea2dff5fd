/** Trust: golden values, its laws, and what counts as evidence. */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Evidence, HALF_LIFE_MS, type Observation, parseDid, weightAt, wilson } from "../actors.ts";
import { makeRoom, makeUser, ManualClock, startService, userToken } from "./harness.ts";

const GOLDEN: readonly (readonly [accepts: number, all: number, trust: number])[] = [
  [1, 1, 0.2065],
  [3, 3, 0.4385],
  [5, 5, 0.5655],
  [8, 9, 0.565],
  [9, 10, 0.5958],
  [12, 14, 0.6006],
  [1, 4, 0.0456],
  [0, 5, 0],
  [50, 50, 0.9286],
  [0, 0, 0],
];

/** Evidence of `all` verdicts by different judges, `accepts` of them accepting, at one instant. */
function evidenceOf(accepts: number, all: number, at = 0): Evidence {
  const evidence = new Evidence();
  for (let i = 0; i < all; i++) {
    evidence.add({
      id: i + 1,
      domain: "code",
      subject: `r:${i}`,
      judge: `user:${i}`,
      isAccept: i < accepts,
      at,
    });
  }
  return evidence;
}

Deno.test("The lower bound has the golden values, fresh and decayed, to four places", () => {
  for (const [accepts, all, trust] of GOLDEN) {
    assert.equal(wilson(accepts, all), trust, `${accepts}/${all}`);
    assert.equal(evidenceOf(accepts, all).figures("code", 0).trust, trust, `${accepts}/${all}`);
  }
  assert.equal(weightAt(HALF_LIFE_MS), 0.5);
  assert.equal(evidenceOf(3, 3).figures("code", HALF_LIFE_MS).trust, 0.2808);
  assert.equal(evidenceOf(12, 14).figures("code", HALF_LIFE_MS).trust, 0.4869);
});

const verdicts = fc.array(
  fc.record({
    domain: fc.constantFrom("code", "ops"),
    subject: fc.integer({ min: 1, max: 6 }).map((n) => `r:${n}`),
    judge: fc.constantFrom("user:a", "user:b", "user:c"),
    isAccept: fc.boolean(),
    at: fc.integer({ min: 0, max: 400 }).map((days) => days * 86_400_000),
  }),
  { maxLength: 30 },
).map((list): Observation[] => list.map((verdict, i) => ({ ...verdict, id: i + 1 })));

const reset = fc.option(
  fc.record({
    domain: fc.constantFrom(null, "code"),
    at: fc.integer({ min: 0, max: 400 }).map((days) => days * 86_400_000),
  }),
  { nil: undefined },
);

const LATE = 500 * 86_400_000;

Deno.test("Neither order nor repetition of verdicts matters", () => {
  fc.assert(fc.property(verdicts, reset, fc.infiniteStream(fc.nat()), (list, marker, picks) => {
    const straight = new Evidence();
    for (const verdict of list) straight.add(verdict);
    if (marker) straight.reset(marker);
    const mixed = new Evidence();
    const order = [...list, ...list].map((verdict) => [picks.next().value, verdict] as const)
      .sort((a, b) => a[0] - b[0]);
    order.forEach(([, verdict], i) => {
      mixed.add(verdict);
      if (marker && i % 3 === 0) mixed.reset(marker);
      mixed.figures("code", LATE);
    });
    if (marker) mixed.reset(marker);
    for (const domain of ["code", "ops"]) {
      assert.deepEqual(mixed.figures(domain, LATE), straight.figures(domain, LATE));
    }
  }));
});

Deno.test("What is folded is what counting anew comes to, also after replacing and resetting", () => {
  fc.assert(fc.property(verdicts, reset, (list, marker) => {
    const evidence = new Evidence();
    for (const verdict of list) evidence.add(verdict);
    if (marker) evidence.reset(marker);
    for (const domain of ["code", "ops"]) {
      const standing = evidence.standing(LATE).filter((verdict) => verdict.domain === domain);
      const weights = standing.map(({ at, isAccept }) => ({ w: weightAt(LATE - at), isAccept }));
      const sum = (among: typeof weights) => among.reduce((total, { w }) => total + w, 0);
      const folded = evidence.figures(domain, LATE);
      assert.equal(folded.total, standing.length);
      assert.equal(folded.judges, new Set(standing.map(({ judge }) => judge)).size);
      const expected = wilson(sum(weights.filter(({ isAccept }) => isAccept)), sum(weights));
      assert.ok(Math.abs(folded.trust - expected) <= 0.0001, `${folded.trust} ${expected}`);
    }
  }));
});

Deno.test("Another accept never lowers trust, age never raises it, and the past stays what it was", () => {
  fc.assert(fc.property(verdicts, fc.nat({ max: 400 }), (list, days) => {
    const evidence = new Evidence();
    for (const verdict of list) evidence.add(verdict);
    const at = days * 86_400_000;
    const then = evidence.figures("code", at);
    const late = evidence.figures("code", LATE).trust;
    assert.ok(evidence.figures("code", LATE + HALF_LIFE_MS).trust <= late);
    evidence.add({
      id: 1_000,
      domain: "code",
      subject: "r:new",
      judge: "user:new",
      isAccept: true,
      at: LATE,
    });
    assert.ok(evidence.figures("code", LATE).trust >= late);
    assert.deepEqual(evidence.figures("code", at), then);
  }));
});

Deno.test("DIDs: what is one, its kind, and its one form", () => {
  const rows: readonly (readonly [string, string | undefined, string?])[] = [
    ["did:sync:user:alice", "user"],
    ["did:sync:user:alice@acme", "user"],
    ["did:sync:agent:dev", "agent"],
    ["did:sync:system:engine", "system"],
    ["did:sync:system:sa_abc123", "service", "did:sync:service:sa_abc123"],
    ["did:sync:service:sa_abc123", "service"],
    ["did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "key"],
    ["did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", undefined],
    ["did:web:Example.org", "web", "did:web:example.org"],
    ["did:web:example.org%3A8443:a:b", "web"],
    ["did:web:", undefined],
    ["did:web:example.org/a", undefined],
    ["did:sync:robot:x", undefined],
    ["did:sync:agent:", undefined],
    ["did:sync:agent:a b", undefined],
    ["alice", undefined],
    [`did:sync:agent:${"x".repeat(600)}`, undefined],
  ];
  for (const [text, kind, form] of rows) {
    const did = parseDid(text);
    assert.equal(did?.kind, kind, text);
    if (did) assert.equal(did.did, form ?? text);
  }
});

/** A room with some of everybody in it, and a record of alice's to judge. */
async function makeWorld() {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice", "bob"], { join: "open", vocabulary: "open" });
  await makeUser(on, "uma", { [room.id]: "participant" });
  await makeUser(on, "ulf", { [room.id]: "participant" });
  const uma = await userToken(on, "uma", "rooms:*");
  const ulf = await userToken(on, "ulf", "rooms:*");
  const join = async (id: string, token: string) =>
    (await on.call("POST", `/rooms/${room.id}/agents`, { token, body: { id } })).body
      .token as string;
  const says = async (token: string, rest = {}) =>
    (await on.invoke(room.id, "_send_message", { body: "work" }, token, rest)).body.seq as number;
  const judge = (token: string, subject: number, verdict = "accept", rest = {}) =>
    on.invoke(room.id, "_judge", { subject, verdict, domain: "code", ...rest }, token);
  const evaluate = async (expr: string, token = room.admin) =>
    (await on.call("POST", `/rooms/${room.id}/eval`, { token, body: { expr } })).body.value;
  return { on, clock, room, uma, ulf, join, says, judge, evaluate, close: () => on.close() };
}

Deno.test("A verdict is a record, and counts for the actor of the judged one", async () => {
  const { room, judge, says, evaluate, on, close } = await makeWorld();
  const seq = await says(room.agents["alice"]!);
  assert.equal(await evaluate('trust("alice", "code")'), 0);
  const reply = await judge(room.agents["bob"]!, seq, "accept", { note: "fine" });
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.body.counted, true);
  assert.equal(await evaluate('trust("alice", "code")'), 0.2065);
  assert.equal(await evaluate('trust(agents.alice.value.actor, "code")'), 0.2065);
  assert.equal(await evaluate('trust_count("alice", "code")'), 1);
  assert.equal(await evaluate('trust_judges("alice", "code")'), 1);
  assert.equal(await evaluate('trust("alice", "ops")'), 0);
  const log = await on.call("GET", `/rooms/${room.id}/log?kind=verdict`, {
    token: room.agents["alice"]!,
  });
  const [record] = log.body.records;
  assert.equal(record.params.note, "fine");
  assert.equal(record.result.counted, true);
  await close();
});

Deno.test("Who may not count: oneself by any name, the absent, admins in others' names", async (t) => {
  const world = await makeWorld();
  const { room, uma, ulf, judge, join, says, evaluate, close } = world;
  const one = await join("one", uma), two = await join("two", uma), ulfs = await join("u", ulf);
  const byOne = await says(one), byAlice = await says(room.agents["alice"]!);
  const byAdmin = await says(room.admin, { agent: "alice" });
  const rows: readonly (readonly [string, string, number, string | undefined, object?])[] = [
    ["the same agent", one, byOne, "self"],
    ["another agent of the same user", two, byOne, "self"],
    ["the user's own token, as that agent", uma, byOne, "self", { agent: "two" }],
    ["somebody else", ulfs, byOne, undefined],
    ["a local agent on itself", room.agents["alice"]!, byAlice, "self"],
    ["an admin in another's name", room.admin, byAlice, "on_behalf", { agent: "bob" }],
    ["on what an admin did in another's name", room.agents["bob"]!, byAdmin, "on_behalf"],
    ["an admin on its own doing in another's name", room.admin, byAdmin, "self"],
  ];
  for (const [name, token, subject, why, rest = {}] of rows) {
    await t.step(name, async () => {
      const { agent } = rest as { agent?: string };
      const reply =
        await (agent === undefined ? judge(token, subject) : judgeAs(token, subject, agent));
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.body.why, why, reply.text);
      assert.equal(reply.body.counted, why === undefined);
    });
  }
  assert.equal(await evaluate('trust_count("one", "code")'), 1);
  assert.equal(await evaluate('trust_count("alice", "code")'), 0);
  await close();

  function judgeAs(token: string, subject: number, agent: string) {
    return world.on.invoke(
      room.id,
      "_judge",
      { subject, verdict: "accept", domain: "code" },
      token,
      { agent },
    );
  }
});
