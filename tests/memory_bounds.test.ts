/**
 * What a room in memory remembers beside its state ends somewhere, also when it is never idle:
 * a soak would take days to show it.
 */
import assert from "node:assert/strict";
import { IDEMPOTENCY_MS } from "../limits.ts";
import { makeRoom, ManualClock, type Reply, startService, type TestService } from "./harness.ts";

const ADD = { id: "add", writes: [{ key: "n", increment: 1 }] };

/** A room with one agent, kept in memory, and invocations in it. */
async function world(on: TestService) {
  const { id } = await makeRoom(on);
  const joined = await on.call("POST", `/rooms/${id}/agents`, { body: { id: "ann" } });
  const invoke = (action: string, params: unknown, key?: string): Promise<Reply> =>
    on.call("POST", `/rooms/${id}/actions/${action}/invoke`, {
      token: joined.body.token,
      body: { params },
      ...(key === undefined ? {} : { headers: { "Idempotency-Key": key } }),
    });
  await invoke("_register_action", ADD);
  return { invoke, hot: await on.service.engine.find(id) };
}

Deno.test("Idempotency-Keys of yesterday leave a room that stays in memory; today's are kept", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const { invoke, hot } = await world(on);
  // As an open stream does: the room stays in memory for the whole day.
  hot.pins++;
  for (let i = 0; i < 20; i++) await invoke("add", {}, `old-${i}`);
  assert.equal(hot.idempotent.size, 20);
  for (let hour = 0; hour < 24; hour++) {
    await clock.advance(IDEMPOTENCY_MS / 24);
    await invoke("add", {}, `hour-${hour}`);
  }
  assert.equal(await on.service.engine.find(hot.room.id), hot, "the room has left memory");
  for (let i = 0; i < 10; i++) await invoke("add", {}, `new-${i}`);
  const kept = [...hot.idempotent.keys()];
  assert.equal(kept.filter((key) => key.includes("old-")).length, 0);
  assert.equal(kept.filter((key) => key.includes("new-")).length, 10);
  const again = await invoke("add", {}, "new-0");
  assert.equal(again.headers.get("Idempotent-Replayed"), "true");
  await on.close();
});

Deno.test("refusals are counted by action, and not for names that no action has", async () => {
  const on = await startService();
  const { invoke, hot } = await world(on);
  await invoke("_register_action", { ...ADD, id: "never", if: "false" });
  for (let i = 0; i < 50; i++) assert.equal((await invoke(`guess-${i}`, {})).status, 404);
  assert.equal((await invoke("never", {})).status, 409);
  assert.deepEqual([...hot.refusedCount], [["never", 1]]);
  assert.equal(hot.refusals.length, 51);
  await on.close();
});
