/** Actors: the registry, who may speak as whom, trust across rooms and over time. */
import assert from "node:assert/strict";
import { makeRoom, mustVerify, userToken } from "./harness.ts";
import { at, makeWorld, newKey, proofOf, type World } from "./actors_world.ts";

const DEV = "did:sync:agent:dev";

async function register(world: World, token: string, did: string, rest = {}): Promise<void> {
  const made = await world.as(token, "POST", "/actors", { did, ...rest });
  assert.equal(made.status, 201, made.text);
}

Deno.test("An actor is registered once, shown, changed and ended; its log holds every change", async () => {
  const world = await makeWorld();
  await register(world, world.uma, DEV, { display_name: "Dev", substrate: { model: "a" } });
  const again = await world.as(world.ulf, "POST", "/actors", { did: DEV });
  assert.equal(again.body.error, "actor_exists");
  const shown = await world.as(world.ulf, "GET", at(DEV));
  assert.equal(shown.body.owner, "uma");
  assert.deepEqual(shown.body.trust, []);
  assert.equal("manual" in shown.body, false);
  const patched = await world.as(world.uma, "PATCH", at(DEV), {
    substrate: { model: "b" },
    manual: "Be brief.",
  });
  assert.deepEqual(patched.body.substrate, { model: "b" });
  assert.equal(patched.body.manual, "Be brief.");
  for (const [method, path] of [["PATCH", ""], ["DELETE", ""], ["POST", "/reset"]] as const) {
    const other = await world.as(world.ulf, method, at(DEV, path), {});
    assert.equal(other.status, 403, other.text);
  }
  const list = await world.as(world.ulf, "GET", "/actors?kind=agent&q=DEV");
  assert.equal(list.body.total, 1);
  const ended = await world.as(world.uma, "DELETE", at(DEV));
  assert.equal(ended.body.deleted, true);
  const denied = await world.join(world.uma, { id: "d", actor: DEV });
  assert.equal(denied.body.error, "actor_denied");
  assert.equal((await world.as(world.uma, "POST", "/actors", { did: DEV })).status, 409);
  await world.close();
});

Deno.test("An actor's log is chained, and only its owner's to see", async () => {
  const world = await makeWorld();
  await register(world, world.uma, DEV);
  await world.as(world.uma, "PATCH", at(DEV), { display_name: "D" });
  await world.as(world.uma, "PUT", at(DEV, "/memory/x"), { body: "secret" });
  const log = await world.as(world.uma, "GET", at(DEV, "/log"));
  const kinds = log.body.records.map(({ kind }: { kind: string }) => kind);
  assert.deepEqual(kinds, ["register", "change", "remember"]);
  for (const [i, record] of log.body.records.entries()) {
    assert.equal(record.prev, i === 0 ? "" : log.body.records[i - 1].hash);
  }
  assert.equal((await world.as(world.ulf, "GET", at(DEV, "/log"))).status, 403);
  await world.close();
});

Deno.test("Every attempt to speak as an actor without a right to it fails", async (t) => {
  const documents = new Map<string, string>();
  const world = await makeWorld({
    fetchDidDocument: (url) => {
      const text = documents.get(url.href);
      return text === undefined ? Promise.reject(new Error("gone")) : Promise.resolve(text);
    },
  });
  const { on, uma, ulf } = world;
  await register(world, uma, DEV);
  const own = newKey(), foreign = newKey();
  const document = (did: string, key = own) =>
    JSON.stringify({
      id: did,
      verificationMethod: [{ id: `${did}#k`, controller: did, publicKeyMultibase: key.multibase }],
    });
  documents.set("https://alice.example/.well-known/did.json", document("did:web:alice.example"));
  documents.set(
    "https://bob.example/a/did.json",
    JSON.stringify({
      id: "did:web:alice.example",
      verificationMethod: [{ id: "#k", publicKeyMultibase: own.multibase }],
    }),
  );
  const service = await world.as(uma, "POST", "/service-accounts", {
    name: "ci",
    actors: [DEV],
    scope: "rooms:R:write",
  });
  assert.equal(service.status, 201, service.text);
  const other = await world.as(uma, "POST", "/service-accounts", {
    name: "other",
    scope: "rooms:R:write",
  });
  const revoked = await world.as(uma, "POST", "/service-accounts", {
    name: "gone",
    actors: [DEV],
    scope: "rooms:R:write",
  });
  const child = await world.join(revoked.body.token, { id: "gone", actor: DEV });
  assert.equal(child.body.actor, DEV);
  assert.equal((await world.as(uma, "DELETE", `/service-accounts/${revoked.body.id}`)).status, 200);
  const used = await proofOf(on, own.did, own);
  assert.equal((await world.join(undefined, { actor: own.did, actor_proof: used })).status, 201);
  const bound = await userToken(on, "uma", "rooms:R:agent:bound");
  const elsewhere = await proofOf(on, own.did, own);
  const late = await proofOf(on, own.did, own);

  const rows: readonly (readonly [string, string | undefined, Record<string, unknown>, number])[] =
    [
      ["the owner", uma, { actor: DEV }, 201],
      ["a service account of it", service.body.token, { actor: DEV }, 201],
      ["a service account without a word", service.body.token, {}, 201],
      ["the user as the user", uma, { actor: "did:sync:user:uma" }, 201],
      ["the holder of the key", undefined, {
        actor: own.did,
        actor_proof: await proofOf(on, own.did, own),
      }, 201],
      ["the holder of the web key", undefined, {
        actor: "did:web:alice.example",
        actor_proof: await proofOf(on, "did:web:alice.example", own),
      }, 201],
      ["the wrong user", ulf, { actor: DEV }, 403],
      ["nobody", undefined, { actor: DEV }, 403],
      ["an admin of the room", world.room.admin, { actor: DEV }, 403],
      ["the user as another user", ulf, { actor: "did:sync:user:uma" }, 403],
      ["a bound token as the user", bound, { id: "bound", actor: "did:sync:user:uma" }, 403],
      ["a service account as what it does not list", other.body.token, { actor: DEV }, 403],
      ["a service account as its maker", service.body.token, { actor: "did:sync:user:uma" }, 403],
      ["a revoked service account", revoked.body.token, { actor: DEV }, 401],
      ["what a revoked service account had joined", child.body.token, { id: "gone" }, 401],
      ["the service itself", uma, { actor: "did:sync:system:engine" }, 403],
      ["an actor of another room", uma, { actor: `did:sync:agent:~${"0".repeat(36)}~alice` }, 403],
      ["a key without a proof", uma, { actor: own.did }, 403],
      ["another's signature", undefined, {
        actor: own.did,
        actor_proof: await proofOf(on, own.did, foreign),
      }, 401],
      ["a challenge a second time", undefined, { actor: own.did, actor_proof: used }, 401],
      [
        "a challenge for somebody else",
        undefined,
        { actor: foreign.did, actor_proof: elsewhere },
        401,
      ],
      ["a challenge of one's own making", undefined, {
        actor: own.did,
        actor_proof: { ...late, challenge: late.challenge + "0" },
      }, 401],
      ["a document of somebody else's", undefined, {
        actor: "did:web:bob.example:a",
        actor_proof: await proofOf(on, "did:web:bob.example:a", own),
      }, 401],
      ["a document that is not there", undefined, {
        actor: "did:web:carol.example",
        actor_proof: await proofOf(on, "did:web:carol.example", own),
      }, 401],
      ["what is no DID", uma, { actor: "dev" }, 400],
    ];
  for (const [name, token, body, status] of rows) {
    await t.step(name, async () => {
      const joined = await world.join(token, { role: "x", ...body });
      assert.equal(joined.status, status, joined.text);
      if (status === 201 && body["actor"]) assert.equal(joined.body.actor, body["actor"]);
      if (status === 201 && !body["actor"]) assert.equal(joined.body.actor, DEV);
    });
  }
  await t.step("a challenge too late", async () => {
    await world.clock.advance(300_001);
    const joined = await world.join(undefined, { actor: own.did, actor_proof: late });
    assert.equal(joined.body.error, "bad_signature", joined.text);
  });
  await t.step("registering what is not one's own", async () => {
    const tries = [
      { did: own.did },
      { did: own.did, actor_proof: await proofOf(on, own.did, foreign) },
      { did: "did:sync:user:uma" },
      { did: "did:sync:system:engine" },
      { did: "did:sync:service:sa_1" },
      { did: "did:sync:agent:~x~y" },
    ];
    for (const body of tries) {
      const made = await world.as(ulf, "POST", "/actors", body);
      assert.ok(made.status >= 400 && made.status < 500, `${JSON.stringify(body)} ${made.text}`);
    }
  });
  await world.close();
});

Deno.test("An actor in an open room of others' hangs on the token that joined it", async () => {
  const world = await makeWorld();
  const { on, uma } = world;
  await register(world, uma, DEV);
  const open = await makeRoom(on, ["carol"], { id: "open", join: "open" });
  const service = await world.as(uma, "POST", "/service-accounts", {
    name: "ci",
    actors: [DEV],
    scope: "rooms:*:write",
  });
  const joined = await on.call("POST", "/rooms/open/agents", {
    token: service.body.token,
    body: { id: "dev" },
  });
  assert.equal(joined.body.actor, DEV, joined.text);
  const says = () => on.invoke("open", "_send_message", { body: "hi" }, joined.body.token);
  const said = await says();
  assert.equal(said.status, 201, said.text);
  const carols =
    (await on.invoke("open", "_send_message", { body: 1 }, open.agents["carol"]!)).body;
  const judged = await on.invoke(
    "open",
    "_judge",
    { subject: carols.seq, verdict: "accept" },
    joined.body.token,
  );
  assert.equal(judged.body.counted, true);
  const own = await on.call("POST", "/rooms/open/agents", { token: uma, body: { id: "umas" } });
  const self = await on.invoke(
    "open",
    "_judge",
    { subject: said.body.seq, verdict: "accept" },
    own.body.token,
  );
  assert.equal(self.body.counted, false, "an anonymous agent is no judge of it");
  await world.as(uma, "DELETE", `/service-accounts/${service.body.id}`);
  assert.equal((await says()).status, 401);
  const narrow = await userToken(on, "uma", "rooms:elsewhere");
  const tried = await on.call("POST", "/rooms/open/agents", {
    token: narrow,
    body: { id: "x", actor: DEV },
  });
  assert.equal(tried.body.error, "actor_denied", tried.text);
  await world.close();
});

Deno.test("A token re-issued without a right to the actor sets the agent back to one of the room", async () => {
  const world = await makeWorld();
  await register(world, world.uma, DEV);
  const joined = await world.join(world.uma, { id: "dev", actor: DEV });
  assert.equal(joined.body.actor, DEV);
  const own = await world.join(joined.body.token, { id: "dev" });
  assert.equal(own.body.actor, DEV, "its own token speaks for it already");
  const byAdmin = await world.join(world.room.admin, { id: "dev" });
  assert.match(byAdmin.body.actor, /^did:sync:agent:~/);
  const back = await world.join(world.uma, { id: "dev", actor: DEV });
  assert.equal(back.body.actor, DEV);
  const said = await world.on.invoke("R", "_send_message", { body: 1 }, world.room.admin, {
    agent: "dev",
  });
  const log = await world.as(back.body.token, "GET", `/rooms/R/log?after=${said.body.seq - 1}`);
  assert.equal(log.body.records[0].on_behalf, DEV);
  assert.notEqual(log.body.records[0].actor, DEV);
  const forked = await world.as(world.room.admin, "POST", "/rooms/R/fork", { id: "F" });
  const agents = await world.as(forked.body.token, "GET", "/rooms/F/context?only=agents");
  assert.match(agents.body.agents.dev.value.actor, /^did:sync:agent:~/);
  await world.close();
});

Deno.test("Trust follows the actor into other rooms, and a gate decides by it as of its record", async () => {
  const world = await makeWorld();
  const { on, uma, ulf, clock } = world;
  await register(world, uma, DEV);
  const dev = (await world.join(uma, { id: "dev", actor: DEV })).body.token;
  const judge = (await world.join(ulf, { id: "judge" })).body.token;
  const other = await makeRoom(on, ["carol"], { id: "Q", join: "open" });
  const there = await on.call("POST", "/rooms/Q/agents", {
    token: uma,
    body: { id: "d", actor: DEV },
  });
  assert.equal(there.body.actor, DEV);
  const gate = {
    id: "deploy",
    if: 'trust("d", "code") >= 0.2',
    writes: [{ key: "n", increment: 1 }],
  };
  await on.invoke("Q", "_register_action", gate, other.admin);
  const shut = await on.invoke("Q", "deploy", {}, other.admin);
  assert.equal(shut.body.error, "precondition_failed");
  await clock.advance(1_000);
  const { seq } = (await on.invoke("R", "_send_message", { body: "work" }, dev)).body;
  await on.invoke("R", "_judge", { subject: seq, verdict: "accept", domain: "code" }, judge);
  const open = await on.invoke("Q", "deploy", {}, other.admin);
  assert.equal(open.status, 200, open.text);
  const log = await on.call("GET", "/rooms/Q/log?kind=invoke&action=deploy", {
    token: other.admin,
  });
  assert.deepEqual(log.body.records[0].seen, { 'trust("d", "code")': 0.2065 });
  await clock.advance(90 * 86_400_000);
  const late = await on.invoke("Q", "deploy", {}, other.admin);
  assert.equal(late.body.error, "precondition_failed", "evidence has faded");
  const at = async (n: number) =>
    (await on.call("GET", `/rooms/Q/replay/${n}?only=actions,agents&depth=full`, {
      token: other.admin,
    })).body;
  const then = await at(open.body.seq);
  assert.equal(then.actions.deploy.value.available, true);
  assert.deepEqual(then.agents.d.value.trust, [
    { domain: "code", success: 1, total: 1, trust: 0.2065, judges: 1 },
  ]);
  assert.equal((await at(open.body.seq - 1)).actions.deploy.value.available, false);
  await mustVerify(on, other);
  await world.close();
});

Deno.test("A reset lets what was before no longer count, and keeps it readable", async () => {
  const world = await makeWorld();
  const { on, uma, ulf, clock } = world;
  await register(world, uma, DEV);
  const dev = (await world.join(uma, { id: "dev", actor: DEV })).body.token;
  const judge = (await world.join(ulf, { id: "judge" })).body.token;
  const work = async (domain: string) => {
    await clock.advance(1_000);
    const { seq } = (await on.invoke("R", "_send_message", { body: "work" }, dev)).body;
    await on.invoke("R", "_judge", { subject: seq, verdict: "accept", domain }, judge);
  };
  await work("code");
  await work("ops");
  const before = new Date(clock.now()).toISOString();
  await clock.advance(1_000);
  const reset = await world.as(uma, "POST", at(DEV, "/reset"), { domain: "code", note: "new" });
  assert.equal(reset.status, 200, reset.text);
  const trust = async (query = "") => (await world.as(ulf, "GET", at(DEV, `/trust${query}`))).body;
  const totals = ({ trust }: { trust: { domain: string; total: number }[] }) =>
    trust.map(({ domain, total }) => [domain, total]);
  assert.deepEqual(totals(await trust()), [["ops", 1]]);
  assert.deepEqual(totals(await trust(`?at=${before}`)), [["code", 1], ["ops", 1]]);
  assert.equal((await trust()).observations.length, 2);
  await work("code");
  assert.deepEqual(totals(await trust()), [["code", 1], ["ops", 1]]);
  await world.close();
});

Deno.test("One person's ten agents are one judge; the last word of a judge holds; restarts change nothing", async () => {
  const world = await makeWorld();
  const { uma, ulf } = world;
  await register(world, uma, DEV);
  const dev = (await world.join(uma, { id: "dev", actor: DEV })).body.token;
  const { seq } = (await world.on.invoke("R", "_send_message", { body: "work" }, dev)).body;
  for (let i = 0; i < 10; i++) {
    const token = (await world.join(ulf, { id: `j${i}` })).body.token;
    await world.on.invoke(
      "R",
      "_judge",
      { subject: seq, verdict: "accept", domain: "code" },
      token,
    );
  }
  const trust = async (on = world.on) =>
    (await on.call("GET", at(DEV, "/trust?domain=code"), { token: ulf })).body.trust[0];
  assert.deepEqual(await trust(), {
    domain: "code",
    success: 1,
    total: 1,
    trust: 0.2065,
    judges: 1,
  });
  const last = (await world.join(ulf, { id: "last" })).body.token;
  await world.on.invoke("R", "_judge", { subject: seq, verdict: "reject", domain: "code" }, last);
  assert.equal((await trust()).success, 0);
  const on = await world.on.restart();
  assert.deepEqual(await trust(on), { domain: "code", success: 0, total: 1, trust: 0, judges: 1 });
  await on.close();
});

Deno.test("Trust by one judge: the verdicts shown are those counted, whichever of the judge's actors is named", async () => {
  const world = await makeWorld();
  const { uma, ulf } = world;
  await register(world, uma, DEV);
  const dev = (await world.join(uma, { id: "dev", actor: DEV })).body.token;
  const verdict = async (judge: string) => {
    const { seq } = (await world.on.invoke("R", "_send_message", { body: "work" }, dev)).body;
    const asked = { subject: seq, verdict: "accept", domain: "code" };
    assert.equal((await world.on.invoke("R", "_judge", asked, judge)).body.counted, true);
  };
  const local = (await world.join(ulf, { id: "local" })).body;
  await register(world, ulf, "did:sync:agent:critic");
  const critic = await world.join(ulf, { id: "critic", actor: "did:sync:agent:critic" });
  for (const token of [local.token, critic.body.token, critic.body.token]) await verdict(token);
  const asked = async (judge: string) => {
    const { status, body } = await world.as(ulf, "GET", at(DEV, `/trust?judge=${judge}`));
    return status === 200 ? [body.trust[0].total, body.observations.length] : [status, body.field];
  };
  assert.deepEqual(await asked("did:sync:user:ulf"), [3, 3]);
  assert.deepEqual(await asked("did:sync:agent:critic"), [3, 3]);
  assert.deepEqual(await asked(local.actor), [1, 1]);
  assert.deepEqual(await asked("did:sync:user:uma"), [0, 0]);
  assert.deepEqual(await asked("ulf"), [400, "judge"]);
  await world.close();
});

Deno.test("Actors that nobody registers are shown to those who may know of them, and to nobody else", async () => {
  const world = await makeWorld();
  const { on, uma, ulf, room } = world;
  const { body: { actor: alice } } = await on.call("POST", "/rooms/R/agents", {
    token: room.admin,
    body: { id: "bot", name: "Bot", substrate: { model: "small" } },
  });
  const stranger = await userToken(on, "stranger", "rooms:* create_rooms");
  const narrow = await userToken(on, "ulf", "rooms:elsewhere");
  const of = (token: string, did: string) => world.as(token, "GET", at(did));
  const seen = (await of(room.view, alice)).body;
  assert.deepEqual(
    [seen.kind, seen.display_name, seen.substrate, seen.trust, "owner" in seen],
    ["agent", "Bot", { model: "small" }, [], false],
  );
  const engine = (await of(stranger, "did:sync:system:engine")).body;
  assert.deepEqual([engine.kind, engine.last_seen_at, engine.trust], ["system", null, []]);
  for (const token of [ulf, uma, room.view, room.agents["alice"]!]) {
    const { body } = await of(token, "did:sync:user:uma");
    assert.deepEqual([body.did, body.kind, body.owner], ["did:sync:user:uma", "user", "uma"]);
  }
  await world.as(uma, "PATCH", at("did:sync:user:uma"), { display_name: "Uma" });
  const listed = async (token: string) =>
    (await world.as(token, "GET", "/actors?kind=user")).body.actors.map((a: { did: string }) =>
      a.did
    );
  assert.deepEqual(await listed(ulf), ["did:sync:user:uma"]);
  assert.deepEqual(await listed(room.view), ["did:sync:user:uma"]);
  for (const token of [stranger, narrow]) {
    assert.deepEqual(await listed(token), []);
    for (const rest of ["", "/trust"]) {
      const there = await world.as(token, "GET", at("did:sync:user:uma", rest));
      const gone = await world.as(token, "GET", at("did:sync:user:una", rest));
      assert.equal(there.status, 404, there.text);
      assert.equal(there.text.replaceAll("uma", "una"), gone.text);
    }
    assert.equal((await of(token, alice)).status, 404);
  }
  const open = await on.call("GET", at("did:sync:user:uma", "/did.json"));
  assert.equal(open.status, 404, "without a key there is nothing to show");
  const kind = await world.as(ulf, "GET", "/actors?kind=bogus");
  assert.deepEqual([kind.status, kind.body.field], [400, "kind"]);
  assert.equal((await of(room.view, alice.replace("bot", "nobody"))).status, 404);
  assert.equal((await of(room.view, alice.replace("bot", "%E0%A4"))).status, 404);
  await world.close();
});

Deno.test("An action's own domain is the one its records are judged in", async () => {
  const world = await makeWorld();
  const { on, room } = world;
  const action = { id: "fix", domain: "code", writes: [{ key: "n", increment: 1 }] };
  await on.invoke("R", "_register_action", action, room.admin);
  const { seq } = (await on.invoke("R", "fix", {}, room.agents["alice"]!)).body;
  const judge = (domain?: string) =>
    on.invoke(
      "R",
      "_judge",
      { subject: seq, verdict: "accept", ...(domain ? { domain } : {}) },
      room.agents["bob"]!,
    );
  assert.equal((await judge("ops")).status, 400);
  assert.equal((await judge()).body.domain, "code");
  const missing = await on.invoke(
    "R",
    "_judge",
    { subject: 999, verdict: "accept" },
    room.agents["bob"]!,
  );
  assert.equal(missing.body.error, "record_not_found");
  await world.close();
});

Deno.test("What an actor did is told of the rooms that the asker may read", async () => {
  const world = await makeWorld();
  const { on, uma, ulf } = world;
  await register(world, uma, DEV);
  const dev = (await world.join(uma, { id: "dev", actor: DEV })).body.token;
  const mine = await on.call("POST", "/rooms", { token: uma, body: { id: "mine" } });
  assert.equal(mine.status, 201);
  const there = (await on.call("POST", "/rooms/mine/agents", {
    token: uma,
    body: { id: "dev", actor: DEV },
  })).body.token;
  await on.invoke("R", "_send_message", { body: "here" }, dev);
  await on.invoke("mine", "_send_message", { body: "there" }, there);
  const rooms = async (token: string) =>
    (await world.as(token, "GET", at(DEV, "/records"))).body.records.map(
      ({ room, kind }: { room: string; kind: string }) => `${room} ${kind}`,
    );
  const all = ["R join", "R message", "mine join", "mine message"];
  assert.deepEqual((await rooms(uma)).sort(), all);
  assert.deepEqual(await rooms(ulf), ["R join", "R message"]);
  const page = await world.as(uma, "GET", at(DEV, "/records?limit=3"));
  const rest = await world.as(uma, "GET", at(DEV, `/records?after=${page.body.next_after}`));
  assert.deepEqual([page.body.returned, rest.body.returned], [3, 1]);
  await world.close();
});
