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

Deno.test("a sample names the newest record that the view reads, a second or more after the one before", async () => {
  const clock = new ManualClock();
  let on = await startService({ clock });
  const { id, admin, view } = await makeRoom(on);
  const started = clock.now();
  const invoke = (action: string, params: unknown) => on.invoke(id, action, params, admin);
  const set = async (key: string, value: unknown): Promise<number> =>
    (await invoke("set", { key, value })).body.seq;
  const samples = async (name: string): Promise<[number, number, unknown][]> => {
    await turns();
    const { body } = await on.call("GET", `/rooms/${id}/samples/${name}`, { token: view });
    return body.samples.map((s: { seq: number; ts: string; value: unknown }) => [
      s.seq,
      Date.parse(s.ts) - started,
      s.value,
    ]);
  };
  await invoke("_register_action", {
    id: "set",
    params: { key: {}, value: {} },
    writes: [{ key: "${params.key}", value: "${params.value}" }],
  });
  await invoke("_register_action", { id: "drop", writes: [{ key: "n", delete: true }] });
  await invoke("_register_view", { id: "inner", scope: "_shared", expr: "state._shared.?n.value" });
  const exprs = {
    n: "state._shared.?n.value.orValue(0)",
    sum: 'views.inner.value == null ? -1 : size(state._shared.keys().filter(k, k == "n"))',
    age: "now > timestamp('2020-01-01T00:00:00Z') && has(state._shared.n)",
  };
  const first: Record<string, number> = {};
  for (const [name, expr] of Object.entries(exprs)) {
    const render = { type: "metric" };
    const { body } = await invoke("_register_view", { id: name, scope: "_shared", expr, render });
    first[name] = body.seq;
  }
  await clock.advance(100);
  for (const [name, value] of [["n", 0], ["age", false]] as const) {
    assert.deepEqual(await samples(name), [[first[name], 0, value]], name);
  }
  // Three records in quick succession, and one that the view does not read.
  for (const n of [1, 2]) {
    await set("n", n);
    await clock.advance(100);
  }
  const last = await set("n", 3);
  await clock.advance(100);
  await set("other", 1);
  await clock.advance(900);
  const deferred = [last, 1_000, 3];
  assert.deepEqual((await samples("n")).slice(1), [deferred]);
  assert.deepEqual((await samples("age")).slice(1), [[last, 1_000, true]]);
  await set("other", 2);
  await clock.advance(2_000);
  assert.equal((await samples("n")).length, 2);
  // A removal is a record that it reads, too.
  const at = clock.now() - started;
  const gone = (await invoke("drop", {})).body.seq;
  await clock.advance(10);
  assert.deepEqual((await samples("n")).at(-1), [gone, at, 0]);
  assert.equal((await samples("sum")).at(-1)![0], gone, "read through another view");
  // A room that is loaded anew: what the view does not read brings no sample.
  const before = await samples("n");
  on = await on.restart();
  await set("other", 3);
  await clock.advance(2_000);
  assert.deepEqual(await samples("n"), before);
  await on.close();
});

Deno.test("samples are a second apart however fast the records come", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const { id, admin } = await makeRoom(on);
  const writes = [{ key: "n", increment: 1 }];
  await on.invoke(id, "_register_action", { id: "inc", writes }, admin);
  const render = { type: "metric" };
  const expr = "state._shared.n.value";
  await on.invoke(id, "_register_view", { id: "n", scope: "_shared", expr, render }, admin);
  for (const ms of [60, 700, 130, 990, 1_010, 400, 3, 2_500, 5, 60, 60, 999]) {
    await on.invoke(id, "inc", {}, admin);
    await clock.advance(ms);
  }
  await clock.advance(2_000);
  const { body } = await on.call("GET", `/rooms/${id}/samples/n`, { token: admin });
  const instants = body.samples.map((s: { ts: string }) => Date.parse(s.ts));
  const nearest = Math.min(...instants.slice(1).map((ts: number, i: number) => ts - instants[i]!));
  assert.ok(nearest >= 1_000, `${nearest} ms apart`);
  assert.equal(body.samples.at(-1).value, 12);
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
