/** Metrics: text that Prometheus reads, numbers that are so, and nothing of a room in them. */
import assert from "node:assert/strict";
import parsePrometheus from "parse-prometheus-text-format";
import { ROOM_IDLE_MS } from "../limits.ts";
import { counters, FAMILY_MEMBERS_MAX, Histogram } from "../meters.ts";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { troubleOf } from "../store/troubles.ts";
import {
  makeRoom,
  ManualClock,
  startService,
  type TestRoom,
  type TestService,
  turns,
  userToken,
} from "./harness.ts";
import { call } from "./mcp_world.ts";
import { type MetricFamily, readExposition, type Sample, scrape } from "./operations_world.ts";

interface World {
  readonly on: TestService;
  readonly clock: ManualClock;
  readonly room: TestRoom;
  readonly alice: string;
}

async function open(env: Record<string, string> = {}): Promise<World> {
  const clock = new ManualClock();
  const on = await startService({ clock, env });
  const room = await makeRoom(on, ["alice", "bob"]);
  const alice = room.agents["alice"]!;
  const register = {
    id: "inc",
    if: "has(state._shared.shut) ? false : true",
    writes: [{ key: "n", increment: 1 }],
  };
  const registered = await on.invoke(room.id, "_register_action", register, alice);
  assert.equal(registered.status, 201, registered.text);
  return { on, clock, room, alice };
}

/** Some of everything that is counted. */
async function bustle({ on, clock, room, alice }: World): Promise<void> {
  const path = `/rooms/${room.id}`;
  for (let i = 0; i < 3; i++) await on.invoke(room.id, "inc", {}, alice);
  await on.invoke(room.id, "nothing-of-the-kind", {}, alice);
  await on.call("GET", `${path}/context`, { token: room.view });
  await on.call("POST", `${path}/eval`, { token: alice, body: { expr: "1 + 1" } });
  const waiting = on.call("GET", `${path}/wait?condition=state._shared.n.value%3E3&timeout=9000`, {
    token: alice,
  });
  await turns();
  await on.invoke(room.id, "inc", {}, room.agents["bob"]);
  assert.equal((await waiting).body.triggered, true);
  const late = on.call("GET", `${path}/wait?timeout=1000`, { token: alice });
  await turns();
  await clock.advance(1_000);
  assert.equal((await late).body.timeout, true);
}

/** The lines of a histogram by their labels, `le` apart. */
function seriesOf({ samples }: MetricFamily): Map<string, Sample[]> {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _le, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    series.set(key, [...series.get(key) ?? [], sample]);
  }
  return series;
}

Deno.test("What /metrics shows reads as Prometheus writes it down, to the letter and by another's parser", async () => {
  const world = await open();
  await bustle(world);
  const { text, families } = await scrape(world.on);
  const parsed = parsePrometheus(text) as { name: string; type: string; help: string }[];
  assert.deepEqual(
    parsed.map(({ name, type, help }) => [name, type.toLowerCase(), help]),
    [...families.values()].map(({ name, type, help }) => [name, type, help]),
  );
  for (const { name, type, help, samples } of families.values()) {
    assert.match(help, /\.$/, `${name} says what it is`);
    assert.equal(name.endsWith("_total"), type === "counter", `${name} is a ${type}`);
    assert.match(name, /^(sync|process)_[a-z_]+$/);
    if (/duration|delay|latency/.test(name)) assert.match(name, /_seconds$/);
    assert.ok(!/_(ms|milliseconds|kb|mb|percent)(_|$)/.test(name), `${name} is in base units`);
    const lines = samples.map(({ name, labels }) => JSON.stringify([name, labels]));
    assert.equal(new Set(lines).size, lines.length, `${name} has a line twice`);
  }
  await world.on.close();
});

Deno.test("Every histogram adds up: buckets only grow, the last is the count, the sum fits between them", async () => {
  const world = await open();
  await bustle(world);
  const { families } = await scrape(world.on);
  const histograms = [...families.values()].filter(({ type }) => type === "histogram");
  assert.ok(histograms.length >= 6);
  for (const family of histograms) {
    for (const [labels, samples] of seriesOf(family)) {
      const where = `${family.name}${labels}`;
      const of = (end: string) => samples.filter(({ name }) => name === family.name + end);
      const buckets = of("_bucket");
      const bounds = buckets.map((b) =>
        b.labels["le"] === "+Inf" ? Infinity : Number(b.labels["le"])
      );
      assert.deepEqual(bounds, [...bounds].sort((a, b) => a - b), where);
      assert.equal(bounds.at(-1), Infinity, where);
      let below = 0, least = 0, most = 0, from = 0;
      buckets.forEach(({ value }, i) => {
        assert.ok(value >= below, where);
        least += (value - below) * from;
        most += value > below ? (value - below) * bounds[i]! : 0;
        from = bounds[i]!;
        below = value;
      });
      const [count, sum] = [of("_count")[0]!.value, of("_sum")[0]!.value];
      assert.equal(count, below, where);
      assert.ok(sum >= least - 1e-9 && sum <= most + 1e-9, `${where}: ${least} ${sum} ${most}`);
    }
  }
  await world.on.close();
});

Deno.test("What happens is what is counted: requests, refusals, records, commits, waits, tokens", async () => {
  const world = await open();
  const before = await scrape(world.on);
  await bustle(world);
  const after = await scrape(world.on);
  const gained = (name: string, labels: Record<string, string> = {}): number =>
    after.value(name, labels) - before.value(name, labels);
  const invoke = "/rooms/:id/actions/:action/invoke";
  assert.equal(gained("sync_requests_total", { route: invoke, status: "200" }), 4);
  assert.equal(gained("sync_requests_total", { route: invoke, status: "404" }), 1);
  assert.equal(gained("sync_request_duration_seconds_count", { verb: "action.invoke" }), 5);
  assert.equal(gained("sync_request_duration_seconds_count", { verb: "context.read" }), 1);
  assert.equal(gained("sync_request_duration_seconds_count", { verb: "eval" }), 1);
  assert.equal(gained("sync_request_duration_seconds_count", { verb: "wait" }), 2);
  assert.equal(gained("sync_refusals_total", { code: "action_not_found" }), 1);
  assert.equal(gained("sync_records_total"), 4);
  assert.equal(gained("sync_commit_group_records_sum"), 4);
  const groups = gained("sync_commit_duration_seconds_count");
  assert.ok(groups >= 1 && groups === gained("sync_commit_group_records_count"));
  assert.equal(gained("sync_waits_total", { outcome: "woken" }), 1);
  assert.equal(gained("sync_waits_total", { outcome: "timeout" }), 1);
  assert.equal(gained("sync_wake_duration_seconds_count"), 1);
  assert.ok(gained("sync_auth_lookups_total", { result: "hit" }) >= 5);
  assert.equal(gained("sync_auth_lookups_total", { result: "miss" }), 2, "each token once");
  assert.equal(gained("sync_requests_in_flight"), 0);
  assert.equal(after.value("sync_records_pending"), 0);
  assert.equal(after.value("sync_rooms_hot"), 1);
  assert.equal(after.value("sync_database_errors_total"), 0);
  await world.on.close();
});

Deno.test("Open waits, streams, requests and timers are counted while they are open, and streams by why they end", async () => {
  const { on, clock, room, alice } = await open();
  const path = `/rooms/${room.id}`;
  const waiting = on.call("GET", `${path}/wait?timeout=5000`, { token: alice });
  const response = await on.service.fetch(
    new Request(`http://localhost:8787${path}/events`, {
      headers: { Authorization: `Bearer ${alice}` },
    }),
  );
  await on.invoke(room.id, "_register_action", {
    id: "soon",
    writes: [{ key: "soon", value: 1, timer: { ms: 60_000, effect: "delete" } }],
  }, room.agents["bob"]);
  await on.invoke(room.id, "soon", {}, room.agents["bob"]);
  const during = await scrape(on);
  assert.equal(during.value("sync_streams_open"), 1);
  assert.equal(during.value("sync_streams_total"), 1);
  assert.equal(during.value("sync_timers_open"), 1);
  await waiting;
  const again = on.call("GET", `${path}/wait?timeout=5000`, { token: alice });
  await turns();
  const sleeping = await scrape(on);
  assert.equal(sleeping.value("sync_waits_open"), 1);
  assert.equal(sleeping.value("sync_requests_in_flight"), 1);
  await clock.advance(5_000);
  await again;
  await response.body!.cancel();
  await turns();
  const after = await scrape(on);
  assert.equal(after.value("sync_waits_open"), 0);
  assert.equal(after.value("sync_streams_open"), 0);
  assert.equal(after.value("sync_streams_ended_total", { reason: "gone" }), 1);
  await on.close();
});

Deno.test("Rooms that leave memory and come back are counted, and timed", async () => {
  const { on, clock, room, alice } = await open();
  await clock.advance(15_000);
  await clock.advance(2 * ROOM_IDLE_MS);
  const cold = await scrape(on);
  assert.equal(cold.value("sync_rooms_hot"), 0);
  assert.equal(cold.value("sync_room_evictions_total", { reason: "idle" }), 1);
  assert.equal(cold.value("sync_room_evictions_total", { reason: "memory" }), 0);
  assert.equal((await on.invoke(room.id, "inc", {}, alice)).status, 200);
  const warm = await scrape(on);
  assert.equal(warm.value("sync_rooms_hot"), 1);
  assert.equal(warm.value("sync_room_load_duration_seconds_count"), 1);
  await on.close();
});

Deno.test("Tools over MCP are counted by tool and outcome, and their refusals with all others", async () => {
  const { on, room } = await open();
  const token = await userToken(on, "pat", "rooms:*");
  await call(on, token, "sync_lobby", {});
  await call(on, token, "sync_read_context", { room: room.id });
  const { value } = await scrape(on);
  assert.equal(value("sync_mcp_tool_calls_total", { tool: "sync_lobby", outcome: "ok" }), 1);
  assert.equal(
    value("sync_mcp_tool_calls_total", { tool: "sync_read_context", outcome: "refused" }),
    1,
  );
  assert.equal(value("sync_mcp_tool_duration_seconds_count", { tool: "sync_lobby" }), 1);
  assert.equal(value("sync_refusals_total", { code: "room_not_found" }), 1);
  assert.equal(value("sync_requests_total", { route: "/mcp", method: "POST" }), 2);
  await on.close();
});

Deno.test("What a rate limit refuses is counted by limit, and the limits themselves are shown", async () => {
  const { on, room } = await open({ SYNC_RATE_LIMIT_TOKEN: "10", SYNC_RATE_LIMIT_IP: "7" });
  let refused = 0;
  for (let i = 0; i < 15; i++) {
    const { status } = await on.call("GET", `/rooms/${room.id}`, { token: room.view });
    if (status === 429) refused++;
  }
  assert.equal(refused, 5);
  for (let i = 0; i < 9; i++) await on.call("POST", "/oauth/token", { body: "x" });
  const { value } = await scrape(on);
  assert.equal(value("sync_rate_limited_total", { limit: "token" }), 5);
  assert.equal(value("sync_rate_limited_total", { limit: "address" }), 2);
  assert.equal(value("sync_rate_limit_per_minute", { limit: "token" }), 10);
  assert.equal(value("sync_rate_limit_per_minute", { limit: "address" }), 7);
  assert.equal(value("sync_requests_total", { route: "/oauth/token", status: "429" }), 2);
  await on.close();
});

Deno.test("Pages, documents, unknown paths and methods are counted without naming what was asked for", async () => {
  const { on } = await open();
  await on.call("GET", "/SKILL.md");
  await on.call("GET", "/reference/cel.md");
  await on.call("GET", "/somebody-looks/for/wp-admin.php");
  await on.call("PROPFIND", "/somebody-else");
  // A path that goes the long way to a route of the table is counted once.
  await on.call("GET", "/rooms/somebody%2Delse/context");
  const { value, text } = await scrape(on);
  assert.equal(value("sync_requests_total", { route: "/SKILL.md" }), 1);
  assert.equal(value("sync_requests_total", { route: "/reference/:doc" }), 1);
  assert.equal(value("sync_requests_total", { route: "/rooms/:id/context" }), 1);
  assert.equal(value("sync_requests_total", { route: "none" }), 2);
  assert.equal(value("sync_requests_total", { route: "none", method: "OTHER" }), 1);
  assert.ok(!/wp-admin|somebody|PROPFIND|cel\.md/.test(text));
  await on.close();
});

Deno.test("No label carries a room, an agent, an action, a key, a token or an address", async () => {
  const clock = new ManualClock();
  const address = ({ url }: Request) => url.endsWith("/metrics") ? "127.0.0.1" : "203.0.113.77";
  const on = await startService({ clock, address });
  const room = await makeRoom(on, ["agent-zq1"], { id: "room-zq2", label: "label-zq3" });
  const token = room.agents["agent-zq1"]!;
  const action = { id: "action-zq4", writes: [{ key: "key-zq5", value: "value-zq6" }] };
  await on.invoke(room.id, "_register_action", action, token);
  await on.invoke(room.id, "action-zq4", {}, token);
  await on.invoke(room.id, "missing-zq7", {}, token);
  await on.call("GET", `/rooms/${room.id}/wait?condition=zq8&timeout=0`, { token });
  const user = await userToken(on, "user-zq9", "rooms:*");
  await call(on, user, "sync_read_context", { room: room.id });
  const { text } = await scrape(on);
  assert.deepEqual(text.match(/.*zq\d.*/g) ?? [], []);
  for (const secret of [token, room.admin, room.view, user, "203.0.113.77"]) {
    assert.ok(!text.includes(secret));
  }
  await on.close();
});

Deno.test("Metrics open to the machine itself, and elsewhere to whoever has the token", async (t) => {
  type Row = [
    name: string,
    env: Record<string, string>,
    ask: Record<string, string>,
    status: number,
    peer?: string,
  ];
  const rows: Row[] = [
    ["loopback", {}, { Host: "localhost:8787" }, 200],
    ["through a proxy", {}, { Host: "localhost:8787", "X-Forwarded-For": "203.0.113.7" }, 404],
    ["through another kind of proxy", {}, { Host: "localhost:8787", Forwarded: "for=_x" }, 404],
    ["under another name", {}, { Host: "sync.example.org" }, 404],
    ["listening elsewhere", { HOST: "0.0.0.0" }, { Host: "localhost:8787" }, 404],
    ["the token", { HOST: "0.0.0.0", SYNC_METRICS_TOKEN: "hush-hush" }, {
      Authorization: "Bearer hush-hush",
    }, 200],
    ["another token", { HOST: "0.0.0.0", SYNC_METRICS_TOKEN: "hush-hush" }, {
      Authorization: "Bearer hush",
    }, 401],
    ["no token where one is wanted", { HOST: "0.0.0.0", SYNC_METRICS_TOKEN: "hush" }, {}, 401],
    ["a token for others", { SYNC_METRICS_TOKEN: "hush" }, { Host: "localhost" }, 200],
    [
      "a token for the world",
      {
        SYNC_METRICS_TOKEN: "hush",
        SYNC_ORIGIN: "https://sync.example.org",
      },
      { Host: "localhost" },
      401,
    ],
    ["public, without a token", { SYNC_ORIGIN: "https://sync.example.org" }, {
      Host: "localhost",
    }, 200],
    ...["127.0.0.1", "::1", "::ffff:127.0.0.1"].map((peer): Row => [
      `listening everywhere, asked from ${peer}`,
      { HOST: "0.0.0.0", SYNC_METRICS_TOKEN: "hush" },
      { Host: "localhost:8787" },
      200,
      peer,
    ]),
    ...["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "unknown", "host"].map((peer): Row => [
      `another's address under the machine's own name: ${peer}`,
      { HOST: "0.0.0.0" },
      { Host: "localhost:8787" },
      404,
      peer,
    ]),
  ];
  for (const [name, env, headers, status, peer] of rows) {
    await t.step(name, async () => {
      const on = await startService({ env, ...(peer ? { address: () => peer } : {}) });
      const reply = await on.call("GET", "/metrics", { headers });
      assert.equal(reply.status, status, reply.text.slice(0, 200));
      if (status === 200) assert.ok(readExposition(reply.text).size > 30);
      assert.equal(reply.headers.has("WWW-Authenticate"), status === 401);
      await on.close();
    });
  }
});

/** Another process that holds a database's lock; released, it goes on for a tenth of a second. */
async function holdLock(path: string): Promise<{ release(): Promise<void> }> {
  const code = `import { DatabaseSync } from "node:sqlite";
    const db = new DatabaseSync(${JSON.stringify(path)});
    db.exec("BEGIN IMMEDIATE");
    console.log("held");
    await Deno.stdin.read(new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 100));
    db.exec("COMMIT");`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", code],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  return {
    release: async () => {
      const writer = child.stdin.getWriter();
      await writer.write(new Uint8Array(1));
      await writer.close();
      await reader.cancel();
      assert.equal((await child.status).code, 0);
    },
  };
}

Deno.test("A database that another holds, and one that is lost, are counted by what is wrong with them", async (t) => {
  await t.step("busy for a moment: asked again, and nobody hears of it", async () => {
    const { on, room, alice } = await open();
    const other = await holdLock(on.url.slice("file:".length));
    const invoked = on.invoke(room.id, "inc", {}, alice);
    await other.release();
    assert.equal((await invoked).status, 200);
    const { value } = await scrape(on);
    assert.ok(value("sync_database_errors_total", { kind: "busy" }) >= 1);
    assert.equal(
      value("sync_database_errors_total"),
      value("sync_database_errors_total", { kind: "busy" }),
    );
    assert.equal(value("sync_commit_failures_total"), 0);
    await on.close();
  });
  await t.step("a server that is gone", async () => {
    const server = await openLibsqlServer();
    try {
      const { on, room, alice } = await open({ SYNC_DB: server.url });
      await server.stop();
      const reply = await on.invoke(room.id, "inc", {}, alice);
      assert.equal(reply.status, 503);
      const { value } = await scrape(on);
      assert.ok(value("sync_database_errors_total", { kind: "unreachable" }) >= 1);
      assert.ok(value("sync_refusals_total", { code: reply.body.error }) >= 1);
      await on.close();
    } finally {
      await server.dispose();
    }
  });
  await t.step("by code", () => {
    const kinds: [code: string, kind: string][] = [
      ["SQLITE_BUSY_SNAPSHOT", "busy"],
      ["SQLITE_FULL", "full"],
      ["SQLITE_IOERR_FSYNC", "io"],
      ["SQLITE_READONLY", "read_only"],
      ["SQLITE_NOTADB", "corrupt"],
      ["SQLITE_CONSTRAINT_PRIMARYKEY", "statement"],
      ["ECONNREFUSED", "unreachable"],
    ];
    for (const [code, kind] of kinds) assert.equal(troubleOf({ code, message: "x" }), kind);
    assert.equal(troubleOf(new Error("no answer in 5000 ms")), "late");
  });
});

Deno.test("A value on a bound falls below it; a family that outgrows its bound counts the rest together", () => {
  const histogram = new Histogram([1, 2]);
  for (const value of [0, 1, 1.5, 2, 3]) histogram.observe(value);
  assert.deepEqual(histogram.counts, [2, 2, 1]);
  assert.equal(histogram.count, 5);
  assert.equal(histogram.sum, 7.5);
  const family = counters("a", "b");
  for (let i = 0; i < FAMILY_MEMBERS_MAX + 10; i++) family.of(String(i), "x").inc();
  assert.equal(family.of("other", "other").value, 10);
  assert.equal(family.of("3", "x").value, 1);
  assert.equal([...family.members()].length, FAMILY_MEMBERS_MAX + 1);
});
