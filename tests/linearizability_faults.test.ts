/**
 * What the checker has found in the service once, each as small as it can be had: so that it is
 * seen at once when it comes back.
 */
import assert from "node:assert/strict";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { SyncError } from "../errors.ts";
import { Db } from "../store/db.ts";
import { makeRoom, ManualClock, startService, SYSTEM_CLOCK, type TestService } from "./harness.ts";

async function countingRoom(on: TestService, agents: readonly string[]) {
  const room = await makeRoom(on, agents);
  const register = { id: "inc", writes: [{ key: "n", increment: 1 }] };
  const { status, text } = await on.invoke(room.id, "_register_action", register, room.admin);
  assert.equal(status, 201, text);
  return room;
}

Deno.test("A wait whose time is up as its condition comes true is answered, not timed out", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await countingRoom(on, ["alice"]);
  const path = `/rooms/${room.id}/wait?condition=state._shared.n.value%3E%3D1&timeout=777`;
  const waiting = on.call("GET", path, { token: room.view });
  while (on.service.deps.waits.open === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await clock.advance(776);
  // The commit is told, and before anybody can judge it the wait's time is up.
  const end = on.service.engine.onChange((_hot, { records }) => {
    if (records.length > 0) void clock.advance(1);
  });
  await on.invoke(room.id, "inc", {}, room.agents["alice"]);
  const { body, text } = await waiting;
  end();
  assert.equal(body.context.state._shared.n.value, 1, text);
  assert.equal(body.triggered, true, text);
  await on.close();
});

/** Answers the first request, and breaks the connection, which was kept, at those that follow. */
function breakingServer(): { url: string; batches: () => number; close: () => void } {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  let requests = 0, batches = 0;
  const refusal = new TextEncoder().encode("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
  const serve = async (connection: Deno.TcpConn): Promise<void> => {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const length = await connection.read(buffer).catch(() => null);
      if (length === null) return;
      // Of a stream that broke, its end is told, too.
      if (new TextDecoder().decode(buffer.subarray(0, length)).includes('"batch"')) batches++;
      if (++requests > 1) return connection.close();
      await connection.write(refusal);
    }
  };
  void (async () => {
    for await (const connection of listener) void serve(connection);
  })();
  const { port } = listener.addr;
  return { url: `http://127.0.0.1:${port}`, batches: () => batches, close: () => listener.close() };
}

Deno.test("A batch is sent to a database once: what was cut off may have been carried out", async () => {
  const server = breakingServer();
  const db = await Db.open({ url: server.url });
  for (const sent of [1, 2]) {
    await assert.rejects(
      db.batch([{ sql: "SELECT 1", args: {} }]),
      (error: unknown) => error instanceof SyncError && error.code === "unavailable",
    );
    assert.equal(server.batches(), sent);
  }
  db.close();
  server.close();
});

Deno.test("A room that is loaded while another instance writes in it is not shown as it was before", async () => {
  const server = await openLibsqlServer();
  const env = { SYNC_DB: server.url };
  const one = await startService({ clock: SYSTEM_CLOCK, env });
  const two = await startService({ clock: SYSTEM_CLOCK, env });
  const room = await countingRoom(one, ["alice"]), other = await countingRoom(two, ["bob"]);
  const { store } = two.service;
  const loadRoom = store.loadRoom.bind(store);
  const loaded = Promise.withResolvers<void>(), goOn = Promise.withResolvers<void>();
  store.loadRoom = async (...args) => {
    const rows = await loadRoom(...args);
    loaded.resolve();
    await goOn.promise;
    return rows;
  };
  const look = (): Promise<{ body: { state: { _shared: { n?: { value: number } } } } }> =>
    two.call("GET", `/rooms/${room.id}/context?only=state`, { token: room.view });
  const first = look();
  await loaded.promise;
  await one.invoke(room.id, "inc", {}, room.agents["alice"]);
  // What two asks about other rooms tells it of this one, too.
  await two.invoke(other.id, "inc", {}, other.agents["bob"]);
  await two.call("GET", `/rooms/${other.id}/context?only=state`, { token: other.view });
  const second = look();
  goOn.resolve();
  for (const { body } of [await second, await first]) {
    assert.equal(body.state._shared.n?.value, 1);
  }
  await two.close();
  await one.close();
  await server.dispose();
});
