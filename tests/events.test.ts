/** The event stream: complete, resumable, redacted by rights, gathered, and never in a writer's way. */
import assert from "node:assert/strict";
import { START, turns } from "./harness.ts";
import { Stream } from "./events_stream.ts";
import { World } from "./time_world.ts";

async function withSet(
  world: World,
): Promise<(k: string, v: unknown, who?: string) => Promise<number>> {
  await world.register("admin", "set", {
    params: { k: {}, v: {} },
    writes: [{ key: "${params.k}", value: "${params.v}" }],
  });
  return async (k, v, who = "alice") => (await world.must(who, "set", { k, v })).body.seq;
}

Deno.test("A stream is an event stream, and needs the right to read", async () => {
  await World.run(async (world) => {
    const stream = await Stream.open(world, "bob");
    const { headers } = stream.response;
    assert.match(headers.get("Content-Type")!, /^text\/event-stream/);
    assert.match(headers.get("Cache-Control") ?? "", /no-cache|no-store/);
    assert.ok(headers.get("X-Request-Id"));
    await stream.close();
    const path = `/rooms/${world.room.id}/events`;
    assert.equal((await world.on.call("GET", path)).status, 401);
    assert.equal((await world.on.call("GET", path, { token: "as_wrong_token_x" })).status, 401);
    for (const query of ["?after=-1", "?after=x", "?after=1.5", "?after=99999999999999999"]) {
      const { status, body } = await world.call("GET", `/events${query}`, "bob");
      assert.deepEqual([status, body.error, body.field], [400, "invalid_argument", "after"]);
    }
    const bad = await world.on.call("GET", path, {
      token: world.token("bob"),
      headers: { "Last-Event-ID": "first" },
    });
    assert.equal(bad.status, 400);
    assert.equal(world.on.service.deps.streams.open, 0);
  });
});

Deno.test("Every record comes once, in order, with its id; nothing else has one", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const { seq } = await world.context("admin");
    const stream = await Stream.open(world, "bob");
    for (let i = 0; i < 10; i++) await set("x", i);
    await world.register("alice", "brief", {
      writes: [{ key: "y", value: 1, timer: { ms: 1_000, effect: "delete" } }],
    });
    await world.must("alice", "brief");
    await world.pass(1_000);
    const ids = stream.of("record").map((e) => e.id);
    assert.deepEqual(ids, Array.from({ length: 13 }, (_, i) => seq + 1 + i));
    for (const { event, id } of stream.events) assert.equal(id !== undefined, event === "record");
    const last = stream.of("record").at(-1)!.data;
    assert.deepEqual([last.kind, last.agent, last.ts], [
      "timer",
      "_system",
      new Date(START + 1_000).toISOString(),
    ]);
    const log = await world.call("GET", `/log?after=${seq}`, "bob");
    assert.deepEqual(stream.of("record").map((e) => e.data), log.body.records, "as the log has it");
    await stream.close();
  });
});

Deno.test("A stream resumes after any record, by after or Last-Event-ID, without a gap", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const count = 1_300;
    for (let i = 0; i < count; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, k) => set("x", i + k)));
    }
    const { seq } = await world.context("admin");
    for (const after of [0, 1, seq - 5, seq]) {
      // A browser that comes back repeats its URL, and says beside it how far it has come.
      const ways = {
        after: { query: `?after=${after}` },
        header: { last: after },
        both: { query: "?after=0", last: after },
        "a header behind": { query: `?after=${after}`, last: 0 },
      };
      for (const [by, { query, last }] of Object.entries<{ query?: string; last?: number }>(ways)) {
        const headers = last === undefined ? {} : { "Last-Event-ID": String(last) };
        const stream = await Stream.open(world, "bob", query, headers);
        for (let i = 0; i < 50 && stream.of("record").length < seq - after; i++) await turns(20);
        const ids = stream.of("record").map((e) => e.id!);
        assert.equal(ids.length, seq - after, `${by} ${after}`);
        assert.ok(ids.every((id, i) => id === after + 1 + i));
        await stream.close();
      }
    }
    const ahead = await Stream.open(world, "bob", `?after=${seq + 1}`);
    assert.deepEqual(ahead.events.map((e) => [e.event, e.data.seq]), [["reset", seq]]);
    assert.ok(ahead.isOver);
  });
});

Deno.test("Nothing is lost between catching up and following, whatever is written meanwhile", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    for (let i = 0; i < 300; i++) await set("x", i);
    const opening: Promise<Stream>[] = [];
    const writing: Promise<unknown>[] = [];
    for (let i = 0; i < 40; i++) {
      writing.push(set("x", i), set("y", i, "bob"));
      if (i % 4 === 0) opening.push(Stream.open(world, "bob", i % 8 ? `?after=${i}` : ""));
      await turns(i % 3);
    }
    await Promise.all(writing);
    const streams = await Promise.all(opening);
    await set("z", 1);
    await turns(60);
    const { seq } = await world.context("admin");
    for (const stream of streams) {
      const ids = stream.of("record").map((e) => e.id!);
      assert.ok(ids.every((id, i) => id === ids[0]! + i), "no gap and no repetition");
      assert.equal(ids.at(-1), seq);
      await stream.close();
    }
  });
});

Deno.test("Each reader sees what it may: public, admin, and an agent's private part on top", async () => {
  await World.run(async (world) => {
    await world.register("alice", "keep", {
      params: { v: {} },
      writes: [{ scope: "${self}", key: "x", value: "${params.v}" }],
    });
    const streams: Record<string, Stream> = {};
    for (const who of ["alice", "bob", "admin", "view"]) {
      streams[who] = await Stream.open(world, who);
    }
    await world.must("alice", "keep", { v: "secret-of-alice" });
    await turns(20);
    for (const [who, stream] of Object.entries(streams)) {
      const [record] = stream.of("record");
      const text = JSON.stringify(record!.data);
      const mayKnow = who === "alice" || who === "admin";
      assert.equal(text.includes("secret-of-alice"), mayKnow, who);
      if (!mayKnow) assert.ok(record!.data.writes[0].hidden, text);
      await stream.close();
    }
    const past = await Stream.open(world, "bob", "?after=0");
    await turns(20);
    assert.ok(!JSON.stringify(past.events).includes("secret-of-alice"));
    await past.close();
  });
});

Deno.test("Views, presence and actions are gathered for fifty milliseconds", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    await world.must("admin", "_register_view", {
      id: "double",
      expr: "state._shared.x.value * 2",
    });
    await world.register("alice", "go", { if: "state._shared.x.value > 2" });
    await set("x", 0);
    const stream = await Stream.open(world, "bob");
    await world.pass(100);
    stream.takeAll();
    for (let i = 1; i <= 5; i++) await set("x", i);
    await world.invoke("alice", "_set_status", { status: "busy" });
    await world.pass(49);
    assert.deepEqual(stream.of("views"), []);
    assert.equal(stream.of("record").length, 5);
    await world.pass(1);
    const { seq } = await world.context("admin");
    const [views, ...more] = stream.of("views");
    assert.deepEqual(more, []);
    assert.deepEqual(views!.data, { seq, views: { double: { value: 10 } } });
    const [presence] = stream.of("presence");
    assert.equal(presence!.data.agents.alice.status, "busy");
    const [actions] = stream.of("actions");
    assert.ok(actions!.data.ids.includes("go"));
    stream.takeAll();
    const wait = await world.wait("alice", { condition: "1 > 2" });
    await world.pass(50);
    assert.equal(stream.of("presence")[0]!.data.agents.alice.waiting_on, "1 > 2");
    wait.abort();
    await turns(12);
    await world.pass(50);
    assert.equal(stream.of("presence").at(-1)!.data.agents.alice.status, "busy");
    assert.deepEqual(stream.of("record"), [], "presence is no history");
    await stream.close();
  });
});

Deno.test("Gates that hang on presence or on the time are told when they may have turned", async () => {
  await World.run(async (world) => {
    const soon = new Date(world.clock.now() + 5_000).toISOString();
    const late = { id: "late", scope: "_shared", expr: `now >= timestamp("${soon}")` };
    await world.must("admin", "_register_view", late);
    const gates = {
      idle: 'agents.bob.value.status == "idle"',
      late: "views.late.value",
      other: "has(state._shared.x)",
    };
    for (const [id, gate] of Object.entries(gates)) await world.register("admin", id, { if: gate });
    const stream = await Stream.open(world, "alice");
    await world.pass(100);
    const told = (): string[][] => stream.of("actions").map(({ data }) => data.ids);
    stream.takeAll();
    await world.must("bob", "_set_status", { status: "idle" });
    await world.pass(50);
    assert.deepEqual(told(), [["idle"]]);
    stream.takeAll();
    await world.pass(6_000);
    assert.ok(told().some((ids) => ids.includes("late")));
    assert.deepEqual(stream.of("record"), []);
    await stream.close();
  });
});

Deno.test("A view is told when it changes, comes, goes and fails, also one nobody has read", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    await set("x", 1);
    const wants = { id: "v", scope: "_shared", expr: "10 / int(state._shared.x.value)" };
    await world.must("admin", "_register_view", wants);
    await world.sleepThrough(1_000);
    const stream = await Stream.open(world, "bob");
    const told = async (): Promise<unknown> => {
      await world.pass(50);
      return stream.takeAll().findLast((e) => e.event === "views")?.data.views.v;
    };
    await set("x", 5);
    assert.deepEqual(await told(), { value: 2 });
    await set("other", 5);
    assert.equal(await told(), undefined, "it has not changed");
    await set("x", 0);
    assert.deepEqual(await told(), { value: null, error: "cel_error" });
    await world.must("admin", "_register_view", { ...wants, enabled: "has(state._shared.on)" });
    assert.deepEqual(await told(), { gone: true });
    await set("on", 1);
    assert.equal((await told() as { error: string }).error, "cel_error");
    await world.must("admin", "_delete_view", { id: "v" });
    assert.deepEqual(await told(), { gone: true });
    const soon = new Date(world.clock.now() + 3_000).toISOString();
    await world.must("admin", "_register_view", {
      id: "v",
      scope: "_shared",
      expr: `now >= timestamp("${soon}")`,
    });
    assert.deepEqual(await told(), { value: false });
    await world.pass(2_000);
    assert.deepEqual(stream.of("views"), []);
    await world.pass(2_000);
    assert.deepEqual(await told(), { value: true });
    await stream.close();
  });
});

Deno.test("A silent room gives a sign of life every fifteen seconds", async () => {
  await World.run(async (world) => {
    const stream = await Stream.open(world, "bob");
    await world.pass(14_999);
    assert.deepEqual(stream.of("heartbeat"), []);
    await world.pass(30_001);
    assert.equal(stream.of("heartbeat").length, 3);
    await stream.close();
    assert.equal(world.on.service.deps.streams.open, 0);
  });
});

Deno.test("Changed rights end a stream with reset, lost ones with end; before anything more is told", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const granted = await Stream.open(world, "bob");
    const other = await Stream.open(world, "carol");
    await world.call("PATCH", "/agents/bob", "admin", { grants: ["alice"] });
    await turns(30);
    assert.equal(granted.events.at(-1)!.event, "reset");
    assert.ok(granted.isOver);
    await set("x", 1);
    await turns(20);
    assert.equal(other.of("record").at(-1)!.data.action, "set", "others go on");
    const ids = other.of("record").map((e) => e.id!);
    assert.ok(ids.every((id, i) => id === ids[0]! + i));
    const lost = await Stream.open(world, "bob");
    await world.call("POST", "/agents", "admin", { id: "bob" });
    const said = lost.of("record").length;
    await set("x", 2);
    await turns(30);
    assert.equal(lost.events.at(-1)!.event, "end");
    assert.ok(!lost.of("record").slice(said).some((e) => e.data.action === "set"));
    await other.close();
  }, ["alice", "bob", "carol"]);
});

Deno.test("While rights are being judged again nothing is told; then all of it, or nothing more", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const lost = await Stream.open(world, "bob");
    const kept = await Stream.open(world, "carol");
    const { auth } = world.on.service.deps;
    const again = auth.again.bind(auth);
    const { promise, resolve } = Promise.withResolvers<void>();
    Object.assign(auth, {
      again: async (...args: Parameters<typeof again>) => {
        await promise;
        return await again(...args);
      },
    });
    await world.call("POST", "/agents", "admin", { id: "bob" });
    const seq = await set("x", 1);
    await world.pass(100);
    for (const stream of [lost, kept]) {
      assert.ok(stream.events.every((e) => e.event !== "record" || e.id! < seq));
    }
    resolve();
    await turns(40);
    assert.deepEqual(kept.of("record").map((e) => e.id), [seq - 1, seq]);
    assert.equal(lost.events.at(-1)!.event, "end");
    assert.ok(lost.of("record").every((e) => e.id! < seq));
    await kept.close();
  }, ["alice", "bob", "carol"]);
});

Deno.test("Over a real socket events arrive as they happen, and a client that goes away is let go", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const { fetch: handler, deps } = world.on.service;
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler);
    const stop = new AbortController();
    const url = `http://127.0.0.1:${server.addr.port}/rooms/${world.room.id}/events`;
    const response = await fetch(url, {
      headers: { Authorization: `Bearer ${world.token("bob")}` },
      signal: stop.signal,
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const until = async (wanted: string): Promise<void> => {
      while (!text.includes(wanted)) text += (await reader.read()).value ?? "";
    };
    await until("retry:");
    const seq = await set("x", 1);
    await until(`id: ${seq}\n`);
    assert.equal(deps.streams.open, 1);
    stop.abort();
    await reader.read().catch(() => undefined);
    for (let i = 0; i < 200 && deps.streams.open > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(deps.streams.open, 0);
    await server.shutdown();
  });
});

Deno.test("A stream ends with its room, and with the service", async () => {
  const world = await World.start(["alice"]);
  const gone = await Stream.open(world, "alice");
  const admin = await Stream.open(world, "admin");
  await world.call("DELETE", "");
  await turns(20);
  for (const stream of [gone, admin]) {
    assert.equal(stream.events.at(-1)!.event, "end");
    assert.ok(stream.isOver);
  }
  await world.on.close();
  const other = await World.start(["alice"]);
  const stream = await Stream.open(other, "alice");
  await other.on.close();
  await turns(10);
  assert.equal(stream.events.at(-1)!.event, "end");
  assert.ok(stream.isOver);
});

Deno.test("A reader that does not read is let go with reset, and holds up nobody", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const { seq } = await world.context("admin");
    const slow = await Stream.open(world, "bob", "", {}, false);
    const quick = await Stream.open(world, "bob");
    const value = "x".repeat(100_000);
    for (let i = 0; i < 20; i++) await set("x", value + i);
    await turns(20);
    assert.equal(quick.of("record").length, 20);
    assert.equal(world.on.service.deps.streams.open, 1, "the slow one is gone");
    await slow.readOn();
    const last = slow.events.at(-1)!;
    assert.equal(last.event, "reset");
    const had = slow.of("record").map((e) => e.id!);
    assert.ok(had.length < 20 && had.every((id, i) => id === seq + 1 + i));
    // It comes back where it was.
    const back = await Stream.open(world, "bob", "", { "Last-Event-ID": String(had.at(-1)!) });
    await turns(60);
    assert.deepEqual(
      back.of("record").map((e) => e.id),
      quick.of("record").map((e) => e.id).slice(had.length),
    );
    await back.close();
    await quick.close();
  });
});

Deno.test("A log much longer than the backlog is read at the reader's pace", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const value = "x".repeat(100_000);
    for (let i = 0; i < 40; i++) await set("x", value + i);
    const { seq } = await world.context("admin");
    const stream = await Stream.open(world, "bob", "?after=0", {}, false);
    await world.pass(10_000);
    await set("y", 1);
    void stream.readOn();
    for (let i = 0; i < 40 && stream.of("record").length < seq + 1; i++) await turns(20);
    assert.deepEqual(
      stream.of("record").map((e) => e.id),
      Array.from({ length: seq + 1 }, (_, i) => i + 1),
    );
    assert.deepEqual(stream.of("reset"), []);
    await stream.close();
    const stuck = await Stream.open(world, "bob", "?after=0", {}, false);
    await world.pass(45_000);
    assert.equal(world.on.service.deps.streams.open, 0, "one that never reads is let go");
    await stuck.close();
  });
});

Deno.test("A thousand readers get every record, and a chunk is made once for all of equal sight", async () => {
  await World.run(async (world) => {
    const set = await withSet(world);
    const streams = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => Stream.open(world, i % 3 ? "view" : "bob")),
    );
    assert.equal(world.on.service.deps.streams.open, 1_000);
    const seqs: number[] = [];
    for (let i = 0; i < 10; i++) seqs.push(await set("x", i));
    await turns(30);
    for (const stream of streams) assert.deepEqual(stream.of("record").map((e) => e.id), seqs);
    for (const stream of streams) await stream.close();
    assert.equal(world.on.service.deps.streams.open, 0);
  });
});
