/** Quotas: what one user, room or agent may take, what a refusal says, and what is never charged. */
import assert from "node:assert/strict";
import { readConfig } from "../config.ts";
import { SyncError } from "../errors.ts";
import { QUOTAS, Quotas } from "../quotas.ts";
import { Room } from "../room.ts";
import type { Draft } from "../types.ts";
import {
  makeRoom,
  ManualClock,
  type Reply,
  START,
  startService,
  type TestRoom,
  type TestService,
  turns,
  userToken,
} from "./harness.ts";
import { call } from "./mcp_world.ts";
import { scrape } from "./operations_world.ts";

interface World {
  readonly on: TestService;
  readonly clock: ManualClock;
  readonly room: TestRoom;
  readonly alice: string;
  readonly bob: string;
}

async function within(
  env: Record<string, string>,
  run: (world: World) => Promise<void>,
): Promise<void> {
  const clock = new ManualClock();
  const on = await startService({ clock, env });
  const room = await makeRoom(on, ["alice", "bob"]);
  const register = { id: "inc", writes: [{ key: "n", increment: 1 }] };
  const registered = await on.invoke(room.id, "_register_action", register, room.admin);
  assert.equal(registered.status, 201, registered.text);
  // What making the room took is there again.
  await clock.advance(60_000);
  await run({ on, clock, room, alice: room.agents["alice"]!, bob: room.agents["bob"]! });
  await on.close();
}

/** A refusal by a quota: which, of how much, how much is used, and when to come back. */
function refusedBy(
  reply: Reply,
  quota: string,
  limit: number,
  retry: string | null,
): void {
  assert.equal(reply.status, 429, reply.text);
  const { error, message, hint, retry_after, ...facts } = reply.body;
  assert.equal(error, "quota_exceeded");
  assert.deepEqual([facts.quota, facts.limit, facts.used], [quota, limit, limit]);
  assert.ok(message.includes(String(limit)) && hint.length > 20);
  assert.equal(reply.headers.get("Retry-After"), retry);
  assert.equal(retry_after, retry === null ? undefined : Number(retry));
}

async function headOf({ on, room }: World): Promise<number> {
  return (await on.call("GET", `/rooms/${room.id}`, { token: room.admin })).body.head;
}

Deno.test("A user owns so many rooms, made in whatever way, and one deleted makes place for one", async () => {
  await within({ SYNC_QUOTA_USER_ROOMS: "3" }, async ({ on }) => {
    const token = await userToken(on, "pat", "rooms:* create_rooms");
    const create = (id: string) => on.call("POST", "/rooms", { token, body: { id } });
    for (const id of ["one", "two"]) assert.equal((await create(id)).status, 201);
    const fork = await on.call("POST", "/rooms/one/fork", { token, body: { id: "three" } });
    assert.equal(fork.status, 201, fork.text);
    refusedBy(await create("four"), "user_rooms", 3, null);
    const again = await on.call("POST", "/rooms/one/fork", { token, body: { id: "four" } });
    refusedBy(again, "user_rooms", 3, null);
    const log = await on.call("GET", "/rooms/one/log?format=jsonl", { token });
    const imported = await on.call("POST", "/rooms/import?id=four", {
      token,
      body: log.text,
      headers: { "Content-Type": "application/jsonl" },
    });
    refusedBy(imported, "user_rooms", 3, null);
    const tool = await call(on, token, "sync_create_room", { id: "four" });
    assert.match(tool.text, /quota_exceeded/);
    assert.equal((await on.call("GET", "/rooms/four", { token })).status, 404);

    const other = await userToken(on, "kim", "rooms:* create_rooms");
    assert.equal((await on.call("POST", "/rooms", { token: other, body: {} })).status, 201);
    assert.equal((await on.call("POST", "/rooms", { body: {} })).status, 201, "nobody's room");
    assert.equal((await on.call("DELETE", "/rooms/two", { token })).status, 200);
    assert.equal((await create("four")).status, 201);
    refusedBy(await create("five"), "user_rooms", 3, null);
  });
});

Deno.test("Rooms made at the same time cannot pass the quota together", async () => {
  await within({ SYNC_QUOTA_USER_ROOMS: "4" }, async ({ on }) => {
    const token = await userToken(on, "pat", "rooms:* create_rooms");
    const replies = await Promise.all(
      Array.from({ length: 12 }, () => on.call("POST", "/rooms", { token, body: {} })),
    );
    assert.equal(replies.filter(({ status }) => status === 201).length, 4);
    assert.equal(replies.filter(({ status }) => status === 429).length, 8);
    const { body } = await on.call("GET", "/rooms", { token });
    assert.equal(body.total, 4);
  });
});

Deno.test("A room takes so many records a minute; time brings them back; another room has its own", async () => {
  await within({ SYNC_QUOTA_ROOM_WRITES: "6" }, async (world) => {
    const { on, clock, room, alice } = world;
    const inc = () => on.invoke(room.id, "inc", {}, alice);
    for (let i = 0; i < 6; i++) assert.equal((await inc()).status, 200);
    const head = await headOf(world);
    refusedBy(await inc(), "room_writes", 6, "10");
    assert.equal(await headOf(world), head, "the log gained nothing");
    const other = await makeRoom(on, ["zoe"]);
    assert.equal(other.id !== room.id, true);
    await clock.advance(9_000);
    refusedBy(await inc(), "room_writes", 6, "1");
    await clock.advance(1_000);
    assert.equal((await inc()).status, 200);
    refusedBy(await inc(), "room_writes", 6, "10");
    assert.equal((await on.call("GET", `/rooms/${room.id}/context`, { token: alice })).status, 200);
  });
});

Deno.test("Whoever floods a room can be stopped: what keeps order in it is never refused", async () => {
  await within({ SYNC_QUOTA_ROOM_WRITES: "4" }, async ({ on, room, alice }) => {
    while ((await on.invoke(room.id, "inc", {}, alice)).status === 200);
    const admin = (method: string, path: string, body?: unknown) =>
      on.call(method, `/rooms/${room.id}${path}`, { token: room.admin, body });
    assert.equal((await admin("PATCH", "", { label: "x" })).status, 200);
    assert.equal((await admin("PATCH", "/agents/alice", { enabled: "false" })).status, 200);
    assert.equal((await admin("DELETE", "/agents/alice")).status, 200);
    refusedBy(await on.invoke(room.id, "inc", {}, room.agents["bob"]), "room_writes", 4, "15");
    assert.equal((await on.invoke(room.id, "inc", {}, alice)).status, 401);
    assert.equal((await admin("DELETE", "")).status, 200);
  });
});

Deno.test("Nothing is charged for what writes nothing: refusals, rehearsals, repeats, reads", async () => {
  await within({ SYNC_QUOTA_ROOM_WRITES: "3" }, async ({ on, room, alice }) => {
    const path = `/rooms/${room.id}/actions/inc/invoke`;
    const repeat = () =>
      on.call("POST", path, { token: alice, body: {}, headers: { "Idempotency-Key": "k" } });
    for (let i = 0; i < 5; i++) {
      assert.equal((await on.invoke(room.id, "missing", {}, alice)).status, 404);
      assert.equal((await on.invoke(room.id, "inc", {}, alice, { dry_run: true })).status, 200);
      assert.equal((await repeat()).status, 200);
      assert.equal(
        (await on.invoke(room.id, "_set_status", { status: "busy" }, alice)).status,
        200,
      );
    }
    assert.equal((await on.invoke(room.id, "inc", {}, alice)).status, 200);
    assert.equal((await on.invoke(room.id, "inc", {}, alice)).status, 200);
    refusedBy(await on.invoke(room.id, "inc", {}, alice), "room_writes", 3, "20");
    assert.equal((await repeat()).status, 200, "a repeat is answered all the same");
  });
});

Deno.test("An agent sends so many messages a minute; another agent, and other actions, have their own", async () => {
  await within({ SYNC_QUOTA_AGENT_MESSAGES: "2" }, async ({ on, clock, room, alice, bob }) => {
    const say = (token: string) => on.invoke(room.id, "_send_message", { body: "hi" }, token);
    for (let i = 0; i < 2; i++) assert.equal((await say(alice)).status, 201);
    refusedBy(await say(alice), "agent_messages", 2, "30");
    assert.equal((await say(bob)).status, 201);
    assert.equal((await on.invoke(room.id, "inc", {}, alice)).status, 200);
    await clock.advance(30_000);
    assert.equal((await say(alice)).status, 201);
  });
});

Deno.test("A message that the room's quota refuses is not charged to its agent", async () => {
  const env = { SYNC_QUOTA_AGENT_MESSAGES: "2", SYNC_QUOTA_ROOM_WRITES: "4" };
  await within(env, async ({ on, clock, room, alice }) => {
    const say = () => on.invoke(room.id, "_send_message", { body: "hi" }, alice);
    assert.equal((await say()).status, 201);
    for (let i = 0; i < 3; i++) await on.invoke(room.id, "inc", {}, alice);
    for (let i = 0; i < 3; i++) refusedBy(await say(), "room_writes", 4, "15");
    await clock.advance(15_000);
    assert.equal((await say()).status, 201);
  });
});

Deno.test("A user holds so many waits open, over every door; one that ends makes place for one", async () => {
  await within({ SYNC_QUOTA_USER_WAITS: "2" }, async ({ on, clock, room }) => {
    const token = await userToken(on, "pat", "rooms:* create_rooms");
    const mine = await on.call("POST", "/rooms", { token, body: { id: "mine" } });
    assert.equal(mine.status, 201, mine.text);
    const wait = (timeout: number, given = token) =>
      on.call("GET", `/rooms/mine/wait?timeout=${timeout}`, { token: given });
    const short = wait(1_000), long = wait(9_000);
    await turns();
    refusedBy(await wait(1_000), "user_waits", 2, "5");
    const tool = await call(on, token, "sync_wait", { room: "mine", timeout: 1_000 });
    assert.match(tool.text, /quota_exceeded/);
    const narrower = await on.call("POST", "/tokens", {
      token,
      body: { scope: "rooms:mine:read" },
    });
    refusedBy(await wait(1_000, narrower.body.token), "user_waits", 2, "5");
    const others = on.call("GET", `/rooms/${room.id}/wait?timeout=1000`, { token: room.view });
    await turns();
    await clock.advance(1_000);
    assert.equal((await short).body.timeout, true);
    assert.equal((await others).body.timeout, true);
    const next = wait(1_000);
    await turns();
    await clock.advance(9_000);
    assert.equal((await next).body.timeout, true);
    assert.equal((await long).body.timeout, true);
  });
});

Deno.test("A wait that is answered at once, or refused, holds nothing", async () => {
  await within({ SYNC_QUOTA_USER_WAITS: "1" }, async ({ on, room, alice }) => {
    const wait = (query: string) =>
      on.call("GET", `/rooms/${room.id}/wait?${query}`, { token: alice });
    for (let i = 0; i < 3; i++) {
      assert.equal((await wait("condition=true")).body.triggered, true);
      assert.equal((await wait("condition=nothing")).status, 400);
      assert.equal((await wait("agent=bob&timeout=0")).status, 403);
    }
  });
});

Deno.test("A user holds so many event streams open, and a closed one makes place for one", async () => {
  await within({ SYNC_QUOTA_USER_STREAMS: "2" }, async ({ on, room, alice, bob }) => {
    const stream = (token: string) =>
      on.service.fetch(
        new Request(`http://localhost:8787/rooms/${room.id}/events`, {
          headers: { Authorization: `Bearer ${token}` },
        }),
      );
    const open = [await stream(alice), await stream(alice)];
    const refused = await on.call("GET", `/rooms/${room.id}/events`, { token: alice });
    refusedBy(refused, "user_streams", 2, "5");
    const bobs = await stream(bob);
    assert.equal(bobs.status, 200, "another token of nobody's counts by itself");
    await open[0]!.body!.cancel();
    await turns();
    const next = await stream(alice);
    assert.equal(next.status, 200);
    for (const { body } of [open[1]!, next, bobs]) await body!.cancel();
  });
});

Deno.test("Refusals by quota are counted, by which", async () => {
  await within({ SYNC_QUOTA_ROOM_WRITES: "4" }, async ({ on, room, alice }) => {
    for (let i = 0; i < 7; i++) await on.invoke(room.id, "inc", {}, alice);
    const { value } = await scrape(on);
    for (const quota of QUOTAS) {
      assert.equal(value("sync_quota_refusals_total", { quota }), quota === "room_writes" ? 3 : 0);
    }
    assert.equal(value("sync_refusals_total", { code: "quota_exceeded" }), 3);
  });
});

Deno.test("What did not become durable is given back; a clock that goes back gives nothing", () => {
  const quotas = new Quotas({ ...readConfig(() => undefined).quotas, roomWrites: 2 });
  const room = new Room("uid", "room", START);
  const draft: Draft = { kind: "invoke", agent: "alice", actor: "x", action: "a", writes: [] };
  const take = (now: number) => quotas.takeRecord(room, draft, now);
  const code = (run: () => unknown): string => {
    try {
      run();
      return "taken";
    } catch (error) {
      assert.ok(error instanceof SyncError);
      return error.code;
    }
  };
  take(START);
  const giveBack = take(START);
  assert.equal(code(() => take(START)), "quota_exceeded");
  assert.equal(code(() => take(START - 60_000)), "quota_exceeded");
  giveBack();
  assert.equal(code(() => take(START)), "taken");
  assert.equal(code(() => take(START)), "quota_exceeded");
});

Deno.test("On loopback no quota is on unless it is set; elsewhere each has a generous default", () => {
  const read = (env: Record<string, string>) => readConfig((name) => env[name]).quotas;
  assert.deepEqual(new Set(Object.values(read({}))), new Set([0]));
  assert.deepEqual(read({ HOST: "0.0.0.0" }), {
    userRooms: 1_000,
    roomWrites: 60_000,
    agentMessages: 600,
    userWaits: 1_000,
    userStreams: 200,
  });
  assert.equal(read({ HOST: "0.0.0.0", SYNC_QUOTA_USER_ROOMS: "0" }).userRooms, 0);
  assert.equal(read({ SYNC_QUOTA_USER_WAITS: "7" }).userWaits, 7);
  assert.throws(() => read({ SYNC_QUOTA_USER_WAITS: "some" }), /SYNC_QUOTA_USER_WAITS/);
});
