/** A session of an agent in a room, through the SDK's own client, in both eras. */
import assert from "node:assert/strict";
import {
  makeRoom,
  ManualClock,
  mustVerify,
  startService,
  SYSTEM_CLOCK,
  userToken,
} from "./harness.ts";
import { Agent, ERAS } from "./mcp_world.ts";

for (const era of ERAS) {
  Deno.test(`${era}: lobby, room, embody, register, invoke, wait, disembody`, async () => {
    const on = await startService({ clock: SYSTEM_CLOCK });
    const alice = await Agent.connect(
      on,
      await userToken(on, "alice", "rooms:* create_rooms"),
      era,
    );
    const empty = await alice.do("sync_lobby");
    assert.deepEqual(empty, { user: "alice", rooms: [], total: 0, can_create_rooms: true });
    const made = await alice.do("sync_create_room", { id: "plan", label: "Plan" });
    assert.equal(made.id, "plan");
    assert.equal(made.token, undefined, "a secret was shown");
    assert.equal(made.view_token, undefined, "a secret was shown");
    const context = await alice.do("sync_embody", {
      room: "plan",
      role: "planner",
      state: { mood: "keen" },
    });
    assert.equal(context._session.agent, "planner");
    assert.equal(context._session.level, "admin");
    assert.equal(context.self, "planner");
    assert.equal(context.state.self.mood.value, "keen");
    const action = await alice.do("sync_register_action", {
      room: "plan",
      id: "set_phase",
      params: { phase: { type: "string" } },
      writes: [{ key: "phase", value: "${params.phase}" }],
    });
    assert.equal(action.id, "set_phase");
    await alice.do("sync_register_view", {
      room: "plan",
      id: "phase",
      expr: "state._shared.phase.value",
      scope: "_shared",
    });
    const wait = alice.do("sync_wait", {
      room: "plan",
      condition: "state._shared.phase.value == 'go'",
    });
    const invoked = await alice.do("sync_invoke_action", {
      room: "plan",
      action: "set_phase",
      params: { phase: "go" },
    });
    assert.equal(invoked.agent, "planner");
    const woken = await wait;
    assert.equal(woken.triggered, true);
    assert.equal(woken.context.views.phase.value, "go");
    const idle = await alice.do("sync_wait", { room: "plan", since: woken.seq, timeout: 0 });
    assert.equal(idle.triggered, false);
    const value = await alice.do("sync_eval_cel", {
      room: "plan",
      expr: "state._shared.phase.value",
    });
    assert.equal(value.value, "go");
    const history = await alice.do("sync_history", {
      room: "plan",
      scope: "_shared",
      key: "phase",
    });
    assert.equal(history.entries.length, 1);
    const past = await alice.do("sync_replay", { room: "plan", seq: 1 });
    assert.deepEqual(past.state._shared, {});
    const help = await alice.do("sync_help", { room: "plan" });
    assert.ok(help.keys.includes("guide"));
    const gone = await alice.do("sync_disembody", { room: "plan" });
    assert.equal(gone.agent, "planner");
    const lobby = await alice.do("sync_lobby");
    assert.equal(lobby.rooms[0].embodied_as, undefined);
    assert.equal(lobby.rooms[0].agents[0].status, "done");
    const resumed = await alice.do("sync_embody", { room: "plan", role: "planner" });
    assert.equal(resumed._session.agent, "planner");
    assert.equal(resumed._session.created, false);
    assert.equal(resumed.state.self.mood.value, "keen");
    await alice.close();
    await on.close();
  });

  Deno.test(`${era}: every kind of anonymous token works, within its level`, async () => {
    const on = await startService();
    const room = await makeRoom(on, ["alice"]);
    const viewer = await Agent.connect(on, room.view, era);
    const seen = await viewer.do("sync_lobby");
    const { level, label, role } = seen.rooms[0];
    assert.deepEqual([seen.user, level, label, role], [null, "read", null, null]);
    await viewer.do("sync_read_context", { room: room.id });
    const refused = await viewer.tell("sync_send_message", { room: room.id, body: "hi" });
    assert.equal(refused.body.error, "read_only_token");
    const alice = await Agent.connect(on, room.agents["alice"]!, era);
    const lobby = await alice.do("sync_lobby");
    assert.deepEqual(lobby.rooms[0].embodied_as, ["alice"]);
    assert.equal((await alice.do("sync_embody", { room: room.id }))._session.agent, "alice");
    assert.equal(
      (await alice.do("sync_send_message", { room: room.id, body: "hi" })).from,
      "alice",
    );
    const admin = await Agent.connect(on, room.admin, era);
    assert.equal(
      (await admin.do("sync_send_message", { room: room.id, body: "hi" })).from,
      "admin",
    );
    const bob = await admin.do("sync_embody", { room: room.id, agent: "bob" });
    assert.equal(bob._session.created, true);
    assert.equal((await admin.do("sync_send_message", { room: room.id, body: "hi" })).from, "bob");
    await mustVerify(on, room);
    for (const client of [viewer, alice, admin]) await client.close();
    await on.close();
  });
}

Deno.test("a refused tool and a dry run are signs of life, too", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice"]);
  const alice = await Agent.connect(on, room.agents["alice"]!, "2026-07-28");
  const lives = async (): Promise<unknown[]> => {
    const { body } = await on.call("GET", `/rooms/${room.id}/context?only=agents`, {
      token: room.view,
    });
    const { status, last_heartbeat } = body.agents.alice.value;
    return [status, last_heartbeat];
  };
  const send = { action: "_send_message", params: { body: 1 }, dry_run: true };
  for (
    const [tool, args] of [
      ["sync_invoke_action", { action: "nope" }],
      ["sync_invoke_action", send],
      ["sync_claim_message", { seq: 999 }],
      ["sync_read_context", { depth: "deep" }],
      ["sync_wait", { condition: "nope" }],
    ] as const
  ) {
    await on.invoke(room.id, "_set_status", { status: "idle" }, room.agents["alice"]);
    await clock.advance(30_000);
    await alice.tell(tool, { room: room.id, ...args });
    assert.deepEqual(await lives(), ["active", new Date(clock.now()).toISOString()], tool);
  }
  await alice.close();
  await on.close();
});
