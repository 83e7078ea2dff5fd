/** Samples: a rendered view's values over time. */
import { strict as assert } from "node:assert";
import { makeRoom, ManualClock, startService, turns } from "./harness.ts";

Deno.test("a rendered view is sampled after records that it reads, at most once a second", async () => {
  const clock = new ManualClock();
  let on = await startService({ clock });
  const { id, admin, view } = await makeRoom(on);
  const invoke = (action: string, params: unknown) => on.invoke(id, action, params, admin);
  const values = async (name: string): Promise<unknown[]> => {
    await turns();
    const { body, status, text } = await on.call("GET", `/rooms/${id}/samples/${name}`, {
      token: view,
    });
    assert.equal(status, 200, text);
    assert.equal(body.returned, body.samples.length);
    return body.samples.map((s: { value: unknown }) => s.value);
  };
  await invoke("_register_action", {
    id: "set",
    params: { key: {}, value: {} },
    writes: [{ key: "${params.key}", value: "${params.value}" }],
  });
  await invoke("set", { key: "n", value: 0 });
  const metric = { scope: "_shared", render: { type: "metric" } };
  await invoke("_register_view", { id: "n", expr: "state._shared.n.value", ...metric });
  await invoke("_register_view", {
    id: "age",
    expr: "now > timestamp('2020-01-01T00:00:00Z') ? state._shared.n.value + 100 : 0",
    ...metric,
  });
  await invoke("_register_view", { id: "plain", expr: "state._shared.n.value", scope: "_shared" });
  await clock.advance(10);
  for (let n = 1; n <= 5; n++) {
    await invoke("set", { key: "n", value: n });
    await clock.advance(400);
  }
  await clock.advance(2_000);
  assert.deepEqual(await values("n"), [0, 3, 5]);
  assert.deepEqual(await values("age"), [100, 103, 105]);
  assert.deepEqual(await values("plain"), []);
  await invoke("set", { key: "other", value: 1 });
  await clock.advance(2_000);
  assert.deepEqual(await values("n"), [0, 3, 5]);
  on = await on.restart();
  assert.deepEqual(await values("n"), [0, 3, 5]);
  await on.invoke(id, "set", { key: "n", value: 9 }, admin);
  await clock.advance(2_000);
  assert.deepEqual(await values("n"), [0, 3, 5, 9]);
  assert.equal((await on.call("GET", `/rooms/${id}/samples/none`, { token: view })).status, 404);
  assert.equal((await on.call("GET", `/rooms/${id}/samples/n`)).status, 401);
  await on.close();
});

Deno.test("the newest thousand samples are kept", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const { id, admin } = await makeRoom(on);
  await on.invoke(
    id,
    "_register_action",
    { id: "inc", writes: [{ key: "n", increment: 1 }] },
    admin,
  );
  await on.invoke(id, "_register_view", {
    id: "n",
    expr: "state._shared.n.value",
    scope: "_shared",
    render: { type: "metric" },
  }, admin);
  for (let n = 0; n < 1_020; n++) {
    await on.invoke(id, "inc", {}, admin);
    await clock.advance(1_000);
  }
  const { body } = await on.call("GET", `/rooms/${id}/samples/n`, { token: admin });
  assert.deepEqual([body.total, body.samples.at(-1).value], [1_000, 1_020]);
  const few = await on.call("GET", `/rooms/${id}/samples/n?limit=2`, { token: admin });
  assert.deepEqual(few.body.samples.map((s: { value: number }) => s.value), [1_019, 1_020]);
  assert.equal(few.body.total, 1_000);
  await on.close();
});
