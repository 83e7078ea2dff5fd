/** Waiting over MCP: it answers in time with a cursor, tells of itself, and ends when it is cancelled. */
import assert from "node:assert/strict";
import {
  makeRoom,
  ManualClock,
  startService,
  SYSTEM_CLOCK,
  type TestService,
  turns,
} from "./harness.ts";
import type { JsonObject } from "../types.ts";
import { Agent, call, ERAS, framed } from "./mcp_world.ts";

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.fail(`never: ${what}`);
}

async function waitingOn(on: TestService, room: string, token: string): Promise<string | null> {
  const { body } = await on.call("GET", `/rooms/${room}/context?only=agents`, { token });
  return body.agents.alice.value.waiting_on;
}

for (const era of ERAS) {
  Deno.test(`${era}: a wait answers after 25 s unless told otherwise, with the seq to go on from`, async () => {
    const clock = new ManualClock();
    const on = await startService({ clock });
    const room = await makeRoom(on, ["alice"]);
    const alice = await Agent.connect(on, room.agents["alice"]!, era);
    const waiting = alice.do("sync_wait", {
      room: room.id,
      condition: "state._shared.?x.?value.orValue(0) == 1",
    });
    await until("it waits", () => on.service.deps.waits.open === 1);
    await clock.advance(25_000);
    const late = await waiting;
    assert.deepEqual([late.triggered, late.timeout, late.seq], [false, true, 2]);
    await on.invoke(room.id, "_send_message", { body: "missed?" }, room.admin);
    const next = await alice.do("sync_wait", { room: room.id, since: late.seq });
    assert.deepEqual([next.triggered, next.seq], [true, 3]);
    assert.equal(next.context.messages.recent[0].body, "missed?");
    await alice.close();
    await on.close();
  });

  Deno.test(`${era}: a client that asks for progress hears of it while it waits`, async () => {
    const clock = new ManualClock();
    const on = await startService({ clock });
    const room = await makeRoom(on, ["alice"]);
    const alice = await Agent.connect(on, room.agents["alice"]!, era);
    const heard: { progress: number; total?: number; message?: string }[] = [];
    const waiting = alice.tell("sync_wait", { room: room.id, condition: "false" }, {
      onprogress: (progress: { progress: number }) => heard.push(progress),
    });
    await until("first progress", () => heard.length === 1);
    await clock.advance(10_000);
    await until("more progress", () => heard.length === 3);
    assert.deepEqual(heard.map(({ progress }) => progress), [0, 5_000, 10_000]);
    assert.equal(heard[0]!.total, 25_000);
    assert.equal(heard[0]!.message, "waiting on false");
    await clock.advance(15_000);
    assert.equal((await waiting).body.triggered, false);
    await alice.close();
    await on.close();
  });

  Deno.test(`${era}: cancelling frees the waiter and the waiting status`, async () => {
    const on = await startService({ clock: SYSTEM_CLOCK });
    const room = await makeRoom(on, ["alice"]);
    const alice = await Agent.connect(on, room.agents["alice"]!, era);
    const cancel = new AbortController();
    const waiting = alice.tell("sync_wait", { room: room.id, condition: "false" }, {
      signal: cancel.signal,
    });
    const ended = assert.rejects(waiting);
    await until("it waits", () => on.service.deps.waits.open === 1);
    assert.equal(await waitingOn(on, room.id, room.admin), "false");
    cancel.abort();
    await ended;
    await until("it is free", () => on.service.deps.waits.open === 0);
    assert.equal(await waitingOn(on, room.id, room.admin), null);
    await alice.close();
    await on.close();
  });
}

Deno.test("a hundred clients wait at once, and one write answers them all", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const room = await makeRoom(on, ["alice"]);
  const condition = "state._shared.?go.?value.orValue(false)";
  await on.invoke(
    room.id,
    "_register_action",
    { id: "go", writes: [{ key: "go", value: true }] },
    room.admin,
  );
  const waits = Array.from(
    { length: 100 },
    () => call(on, room.view, "sync_wait", { room: room.id, condition, only: "state" }),
  );
  await until("all wait", () => on.service.deps.waits.open === 100);
  await on.invoke(room.id, "go", {}, room.admin);
  for (const reply of await Promise.all(waits)) {
    assert.equal(reply.body.result.structuredContent.triggered, true);
  }
  await turns();
  assert.equal(on.service.deps.waits.open, 0);
  await on.close();
});

for (const asksProgress of [false, true]) {
  Deno.test(`a client that goes away frees its waiter, over a real socket, ${asksProgress ? "with" : "without"} progress`, async () => {
    const on = await startService({ clock: SYSTEM_CLOCK });
    const room = await makeRoom(on, ["alice"]);
    const listener = { port: 0, hostname: "127.0.0.1", onListen: () => undefined };
    const server = Deno.serve(listener, (request) => on.service.fetch(request));
    const gone = new AbortController();
    const body = framed("tools/call", {
      name: "sync_wait",
      arguments: { room: room.id, condition: "false" },
    });
    const params = body["params"] as JsonObject;
    if (asksProgress) (params["_meta"] as JsonObject)["progressToken"] = "p";
    const waiting = fetch(`http://127.0.0.1:${server.addr.port}/mcp`, {
      method: "POST",
      body: JSON.stringify(body),
      signal: gone.signal,
      headers: {
        "Authorization": `Bearer ${room.agents["alice"]}`,
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "sync_wait",
      },
    }).then((response) => response.text());
    const ended = assert.rejects(waiting);
    await until("it waits", () => on.service.deps.waits.open === 1);
    gone.abort();
    await ended;
    await until("it is free", () => on.service.deps.waits.open === 0);
    await server.shutdown();
    await on.close();
  });
}
