/** Embodying: one driver at a time, take-over explicit and logged, traces stay. */
import assert from "node:assert/strict";
import { agentWrite } from "../agents/entry.ts";
import {
  makeRoom,
  makeUser,
  mustVerify,
  startService,
  type TestRoom,
  type TestService,
  userToken,
} from "./harness.ts";
import { Agent } from "./mcp_world.ts";

const ERA = "2026-07-28";

async function member(
  on: TestService,
  room: TestRoom,
  username: string,
  role: "owner" | "participant" = "participant",
): Promise<{ agent: Agent; token: string }> {
  await makeUser(on, username, { [room.id]: role });
  const token = await userToken(on, username, "rooms:*");
  return { agent: await Agent.connect(on, token, ERA, `${username} client`), token };
}

Deno.test("an agent has one driver; taking over is explicit, logged, and ends the former driver's hold", async () => {
  const on = await startService();
  const room = await makeRoom(on);
  const { agent: first } = await member(on, room, "alice");
  const { agent: second } = await member(on, room, "alice");
  await first.do("sync_embody", { room: room.id, agent: "worker" });
  const refused = await second.tell("sync_embody", { room: room.id, agent: "worker" });
  assert.equal(refused.body.error, "agent_embodied");
  assert.equal(refused.body.by, "alice");
  assert.equal(refused.body.since, "2026-11-20T08:00:00.000Z");
  const before = (await on.service.engine.find(room.id)).room.head;
  const taken = await second.do("sync_embody", { room: room.id, agent: "worker", take_over: true });
  assert.equal(taken._session.taken_over, true);
  const { records } =
    (await on.call("GET", `/rooms/${room.id}/log?after=${before}`, { token: room.view })).body;
  assert.equal(records.length, 1);
  assert.equal(records[0].action, "_embody");
  assert.deepEqual(records[0].params, { take_over: true });
  const late = await first.tell("sync_send_message", { room: room.id, body: "still here?" });
  assert.equal(late.body.error, "agent_required");
  assert.equal(
    (await second.do("sync_send_message", { room: room.id, body: "mine" })).from,
    "worker",
  );
  await mustVerify(on, room);
  await Promise.all([first.close(), second.close()]);
  await on.close();
});

Deno.test("an agent that joined over HTTP is held by its as_ token until it is taken over", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["bob"]);
  const admin = await Agent.connect(on, room.admin, ERA);
  const refused = await admin.tell("sync_embody", { room: room.id, agent: "bob" });
  assert.equal(refused.body.error, "agent_embodied");
  await admin.do("sync_embody", { room: room.id, agent: "bob", take_over: true });
  const old = await on.call("GET", `/rooms/${room.id}/context`, { token: room.agents["bob"]! });
  assert.equal(old.status, 401);
  await admin.close();
  await on.close();
});

Deno.test("nobody embodies an agent of another user, whatever they name", async () => {
  const on = await startService();
  const room = await makeRoom(on);
  const { agent: alice } = await member(on, room, "alice");
  const { agent: eve } = await member(on, room, "eve");
  await alice.do("sync_embody", { room: room.id, agent: "worker", role: "builder", name: "W" });
  const asked = await eve.tell("sync_embody", { room: room.id, agent: "worker" });
  const { error, by, since } = asked.body;
  assert.deepEqual([error, by, since], ["agent_embodied", "alice", "2026-11-20T08:00:00.000Z"]);
  assert.doesNotMatch(asked.text, /take_over/, "it is not eve's to take");
  const taking = { room: room.id, agent: "worker", take_over: true };
  assert.equal((await eve.tell("sync_embody", taking)).body.error, "agent_exists");
  for (const args of [{ role: "builder" }, { name: "W" }, {}]) {
    const mine = await eve.do("sync_embody", { room: room.id, ...args });
    assert.notEqual(mine._session.agent, "worker");
    await eve.do("sync_disembody", { room: room.id, agent: mine._session.agent });
  }
  await Promise.all([alice.close(), eve.close()]);
  await on.close();
});

Deno.test("an agent of somebody else that an admin takes speaks as a member of this room only", async () => {
  const on = await startService();
  const room = await makeRoom(on);
  const { agent: alice } = await member(on, room, "alice");
  const { agent: boss } = await member(on, room, "boss", "owner");
  await alice.do("sync_embody", { room: room.id, agent: "worker" });
  await on.service.engine.submit(room.id, ({ room }) => {
    const known = { ...room.agent("worker")!, actor: "did:sync:agent:known-elsewhere" };
    const writes = [agentWrite(room, "worker", known)];
    return {
      draft: { agent: "worker", actor: known.actor, kind: "agent", writes },
      reply: () => undefined,
    };
  });
  await boss.do("sync_embody", { room: room.id, agent: "worker", take_over: true });
  const hot = await on.service.engine.find(room.id);
  assert.equal(hot.room.agent("worker")!.actor, `did:sync:agent:~${hot.room.uid}~worker`);
  const [record] = await on.service.store.readLog(hot.room.uid, { newestFirst: true, limit: 1 });
  assert.equal(record!.actor, "did:sync:user:boss");
  assert.ok(record!.on_behalf);
  await alice.do("sync_embody", { room: room.id, agent: "worker", take_over: true });
  await Promise.all([alice.close(), boss.close()]);
  await on.close();
});

Deno.test("of many that embody one agent at once exactly one drives it", async () => {
  const on = await startService();
  const room = await makeRoom(on);
  const drivers = await Promise.all(Array.from({ length: 8 }, () => member(on, room, "alice")));
  const told = await Promise.all(
    drivers.map(({ agent }) => agent.tell("sync_embody", { room: room.id, agent: "worker" })),
  );
  assert.equal(told.filter(({ isError }) => !isError).length, 1);
  for (const { isError, body } of told) if (isError) assert.equal(body.error, "agent_embodied");
  const taken = await Promise.all(
    drivers.map(({ agent }) =>
      agent.tell("sync_embody", { room: room.id, agent: "worker", take_over: true })
    ),
  );
  assert.ok(taken.some(({ isError }) => !isError));
  const { uid } = (await on.service.engine.find(room.id)).room;
  const rows = await on.service.store.db.all("SELECT grant_id FROM embodiment WHERE room = :uid", {
    uid,
  });
  assert.equal(rows.length, 1);
  await Promise.all(drivers.map(({ agent }) => agent.close()));
  await on.close();
});

Deno.test("roles are filled by embodying, refused while filled, and vacated on disembodying", async () => {
  const on = await startService();
  const room = await makeRoom(on);
  const { agent: alice } = await member(on, room, "alice");
  const { agent: bob } = await member(on, room, "bob");
  await alice.do("sync_embody", { room: room.id, agent: "alice" });
  await alice.do("sync_register_action", {
    room: room.id,
    id: "define_role",
    params: { role: { type: "string" } },
    writes: [{ key: "roles.${params.role}", value: { role: "${params.role}", filled_by: null } }],
  });
  await alice.do("sync_invoke_action", {
    room: room.id,
    action: "define_role",
    params: { role: "scribe" },
  });
  const open = await bob.do("sync_lobby");
  assert.deepEqual(open.rooms[0].roles, [{ role: "scribe", open: true }]);
  const embodied = await bob.do("sync_embody", { room: room.id, role: "scribe" });
  assert.equal(embodied._session.agent, "scribe");
  assert.equal(embodied.state._shared["roles.scribe"].value.filled_by, "scribe");
  const refused = await alice.tell("sync_embody", {
    room: room.id,
    agent: "alice",
    role: "scribe",
  });
  assert.equal(refused.body.error, "already_claimed");
  const gone = await bob.do("sync_disembody", { room: room.id });
  assert.deepEqual(gone.roles_vacated, ["scribe"]);
  const filled = await alice.do("sync_embody", { room: room.id, agent: "alice", role: "scribe" });
  assert.equal(filled.state._shared["roles.scribe"].value.filled_by, "alice");
  await mustVerify(on, room);
  await Promise.all([alice.close(), bob.close()]);
  await on.close();
});

Deno.test("an embodiment belongs to the token: it outlives the connection and a restart, not the token", async () => {
  const on = await startService({ folder: await Deno.makeTempDir({ prefix: "sync-mcp-" }) });
  const room = await makeRoom(on);
  const { agent, token } = await member(on, room, "alice");
  await agent.do("sync_embody", { room: room.id, agent: "worker" });
  await agent.close();
  const again = await on.restart();
  const back = await Agent.connect(again, token, "2025-11-25");
  assert.equal((await back.do("sync_send_message", { room: room.id, body: 1 })).from, "worker");
  const http = await again.invoke(room.id, "_send_message", { body: 2 }, token);
  assert.equal(http.body.from, "worker");
  const head = (await again.service.engine.find(room.id)).room.head;
  await back.do("sync_embody", { room: room.id });
  assert.equal(
    (await again.service.engine.find(room.id)).room.head,
    head,
    "resuming wrote a record",
  );
  const { id } = (await again.service.deps.auth.bySecret(token)).lineage[0]!;
  await again.service.store.run([{
    sql: "UPDATE token_grant SET revoked_at = 1 WHERE id = :id",
    args: { id },
  }]);
  again.service.deps.auth.forget();
  const { agent: next } = await member(again, room, "alice");
  const taken = await next.do("sync_embody", { room: room.id, agent: "worker" });
  assert.equal(taken._session.taken_over, false);
  await Promise.all([back.close(), next.close()]);
  await again.close();
});

Deno.test("an admin who is one no longer drives nobody else's agent", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["bob"]);
  const { agent: boss, token } = await member(on, room, "boss", "owner");
  await boss.do("sync_embody", { room: room.id, agent: "bob", take_over: true });
  await boss.do("sync_embody", { room: room.id, agent: "mine" });
  assert.equal(
    (await boss.do("sync_send_message", { room: room.id, agent: "bob", body: 1 })).from,
    "bob",
  );
  await boss.do("sync_restrict_scope", { room: room.id, level: "write" });
  const refused = await boss.tell("sync_send_message", { room: room.id, agent: "bob", body: 1 });
  assert.equal(refused.body.error, "identity_mismatch");
  const seen = await on.call("GET", `/rooms/${room.id}/context?agent=bob`, { token });
  assert.equal(seen.status, 403);
  assert.equal((await boss.do("sync_send_message", { room: room.id, body: 1 })).from, "mine");
  await boss.close();
  await on.close();
});
