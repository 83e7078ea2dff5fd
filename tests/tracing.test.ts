/**
 * Traces, against the real server and a real receiver of OTLP: what a span says, where it hangs,
 * and that a wait links to the write that woke it.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../config.ts";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { type ServerProcess, startServer } from "../proof/server.ts";
import { isTracing, noteWrite, traced, traceId } from "../tracing.ts";
import { framed } from "./mcp_world.ts";
import { openReceiver, type ReceivedSpan, type Receiver } from "./tracing_receiver.ts";

interface Traced {
  readonly server: ServerProcess;
  readonly receiver: Receiver;
  readonly room: string;
  readonly admin: string;
  readonly alice: string;
  /** The span of this name that meets the test, once it has come. */
  span(name: string, test?: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan>;
}

async function within(
  env: Record<string, string>,
  run: (world: Traced) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-tracing-"));
  const receiver = await openReceiver();
  const server = await startServer({
    folder,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_BSP_SCHEDULE_DELAY: "20",
      SYNC_LOG_LEVEL: "debug",
      ...env,
    },
  });
  try {
    const made = await server.ask("POST", "/rooms", { body: { id: "room-zq1" } });
    const admin = made.body.token as string;
    const joined = await server.ask("POST", "/rooms/room-zq1/agents", {
      body: { id: "alice-zq2" },
    });
    const alice = joined.body.token as string;
    const register = { id: "inc-zq3", writes: [{ key: "key-zq4", increment: 1 }] };
    const path = "/rooms/room-zq1/actions/_register_action/invoke";
    const registered = await server.ask("POST", path, { token: alice, body: { params: register } });
    assert.equal(registered.status, 201, registered.text);
    const span: Traced["span"] = async (name, test = () => true) => {
      for (let i = 0; i < 500; i++) {
        const found = receiver.spans.find((span) => span.name === name && test(span));
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const names = receiver.spans.map((span) => span.name);
      throw new Error(`no span "${name}" among ${JSON.stringify(names)}: ${server.output()}`);
    };
    await run({ server, receiver, room: "/rooms/room-zq1", admin, alice, span });
  } finally {
    await server.kill();
    await receiver.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const INVOKE = "POST /rooms/:id/actions/:action/invoke";
const WAIT = "GET /rooms/:id/wait";

/** A caller's own span, as its `traceparent` names it. */
function caller(
  digit: string,
): { header: { traceparent: string }; traceId: string; spanId: string } {
  const traceId = digit.repeat(32), spanId = digit.repeat(16);
  return { header: { traceparent: `00-${traceId}-${spanId}-01` }, traceId, spanId };
}

Deno.test("A request goes on from the caller's trace; its commit hangs below it; the wait it wakes links to it", async () => {
  await within({}, async ({ server, receiver, room, alice, span }) => {
    const waiter = caller("a"), writer = caller("b");
    const waiting = server.ask(
      "GET",
      `${room}/wait?condition=${encodeURIComponent('state._shared["key-zq4"].value >= 1')}`,
      { token: alice, headers: waiter.header },
    );
    await waitUntilOpen(server);
    const path = `${room}/actions/inc-zq3/invoke`;
    const written = await server.ask("POST", path, {
      token: alice,
      body: {},
      headers: writer.header,
    });
    assert.equal(written.status, 200, written.text);
    assert.equal((await waiting).body.triggered, true);

    const write = await span(INVOKE, ({ traceId }) => traceId === writer.traceId);
    assert.equal(write.parentSpanId, writer.spanId, "the caller's span is its parent");
    assert.equal(write.kind, 2);
    assert.equal(write.attributes["http.route"], "/rooms/:id/actions/:action/invoke");
    assert.equal(write.attributes["http.response.status_code"], 200);
    assert.equal(write.resource["service.name"], "sync");

    const commit = await span("commit", ({ traceId }) => traceId === writer.traceId);
    assert.equal(commit.parentSpanId, write.spanId);
    assert.equal(commit.attributes["sync.records"], 1);

    const wait = await span("wait", ({ traceId }) => traceId === waiter.traceId);
    const request = await span(WAIT, ({ traceId }) => traceId === waiter.traceId);
    assert.equal(wait.parentSpanId, request.spanId);
    assert.equal(request.parentSpanId, waiter.spanId);
    assert.equal(wait.attributes["sync.outcome"], "woken");
    assert.deepEqual(wait.links, [{ traceId: write.traceId, spanId: write.spanId }]);
    assert.equal(receiver.headers.at(-1)!["content-type"], "application/x-protobuf");
  });
});

async function waitUntilOpen(server: ServerProcess, waits = 1): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await server.figure("sync_waits_open") >= waits) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the wait never opened");
}

Deno.test("A tool call over MCP hangs in the caller's trace, and its wait links to the write that woke it", async () => {
  await within({}, async ({ server, room, alice, span }) => {
    const mine = caller("e"), writer = caller("f");
    const args = { room: "room-zq1", condition: '"key-zq4" in state._shared' };
    const calling = server.ask("POST", "/mcp", {
      token: alice,
      body: framed("tools/call", { name: "sync_wait", arguments: args }),
      headers: {
        "Content-Type": "application/json",
        Accept: "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "sync_wait",
        ...mine.header,
      },
    });
    await waitUntilOpen(server);
    await server.ask("POST", `${room}/actions/inc-zq3/invoke`, {
      token: alice,
      body: {},
      headers: writer.header,
    });
    assert.match((await calling).text, /triggered[\\]*":true/);
    const tool = await span("tools/call sync_wait");
    const request = await span("POST /mcp", ({ traceId }) => traceId === mine.traceId);
    assert.equal(tool.traceId, mine.traceId);
    assert.equal(tool.parentSpanId, request.spanId);
    assert.equal(tool.attributes["gen_ai.tool.name"], "sync_wait");
    const wait = await span("wait", ({ traceId }) => traceId === mine.traceId);
    assert.equal(wait.parentSpanId, tool.spanId);
    assert.deepEqual(wait.links.map(({ traceId }) => traceId), [writer.traceId]);
  });
});

Deno.test("Of writers whose records go in one group, each is linked from the commit, and one is its parent", async () => {
  await within({}, async ({ server, receiver, room, alice, span }) => {
    const path = `${room}/actions/inc-zq3/invoke`;
    const writers = Array.from({ length: 24 }, (_, i) => (i + 16).toString(16).padStart(2, "0"));
    const headerOf = (two: string) => ({ traceparent: `00-${two.repeat(16)}-${two.repeat(8)}-01` });
    await Promise.all(
      writers.map((two) =>
        server.ask("POST", path, { token: alice, body: {}, headers: headerOf(two) })
      ),
    );
    const group = await span("commit", ({ attributes }) => Number(attributes["sync.records"]) > 1);
    assert.equal(group.links.length + 1, group.attributes["sync.records"]);
    const parents = new Set([group.parentSpanId, ...group.links.map(({ spanId }) => spanId)]);
    assert.equal(parents.size, group.attributes["sync.records"]);
    for (const two of writers) await span(INVOKE, ({ traceId }) => traceId === two.repeat(16));
    const spans = new Set(receiver.spans.map(({ spanId }) => spanId));
    for (const parent of parents) assert.ok(spans.has(parent));
  });
});

Deno.test("A timer's record that wakes a wait is no caller's, and links to nothing; a time-out neither", async () => {
  await within({}, async ({ server, room, alice, span }) => {
    const register = { id: "brief", writes: [{ key: "b", value: 1, timer: { ms: 300 } }] };
    const params = { params: register };
    await server.ask("POST", `${room}/actions/_register_action/invoke`, {
      token: alice,
      body: params,
    });
    await server.ask("POST", `${room}/actions/brief/invoke`, { token: alice, body: {} });
    const condition = encodeURIComponent("!has(state._shared.b)");
    const { body } = await server.ask("GET", `${room}/wait?condition=${condition}`, {
      token: alice,
    });
    assert.equal(body.triggered, true);
    const woken = await span("wait", ({ attributes }) => attributes["sync.outcome"] === "woken");
    assert.deepEqual(woken.links, []);
    await server.ask("GET", `${room}/wait?condition=false&timeout=1`, { token: alice });
    const late = await span("wait", ({ attributes }) => attributes["sync.outcome"] === "timeout");
    assert.deepEqual(late.links, []);
  });
});

Deno.test("No span carries a room, an agent, an action, a key, a value, an expression, a token or a query", async () => {
  await within({}, async ({ server, receiver, room, alice, admin, span }) => {
    await server.ask("POST", `${room}/eval`, { token: alice, body: { expr: '"value-zq5" + 1' } });
    await server.ask("GET", `${room}/wait?condition=zq6&timeout=0`, { token: alice });
    await server.ask("GET", "/auth/elevate?request=secret-zq7");
    await server.ask("GET", "/nowhere-zq8?x=zq9");
    await server.ask("DELETE", room, { token: admin });
    await span("DELETE /rooms/:id");
    const text = JSON.stringify(
      receiver.spans,
      (_key, value) => typeof value === "bigint" ? String(value) : value,
    );
    assert.ok(receiver.spans.length >= 8);
    for (const found of text.matchAll(/.{40}zq\d.{10}/g)) assert.fail(found[0]);
    for (const token of [alice, admin]) assert.ok(!text.includes(token.slice(5)));
  });
});

Deno.test("Log lines name the trace they are about, and debug lines the route and not the path", async () => {
  await within({}, async ({ server, room, alice }) => {
    const mine = caller("c");
    const path = `${room}/actions/missing-zq7/invoke`;
    await server.ask("POST", path, { token: alice, body: {}, headers: mine.header });
    const lines = server.output().split("\n").filter((line) => line.startsWith("{")).map((line) =>
      JSON.parse(line) as Record<string, unknown>
    );
    const line = lines.find((line) => line["trace_id"] === mine.traceId);
    assert.ok(line, server.output());
    assert.equal(line["level"], "debug");
    assert.equal(line["message"], "request");
    assert.equal(line["route"], INVOKE);
    assert.equal(line["status"], 404);
    assert.match(String(line["request_id"]), /^req_/);
    assert.ok(typeof line["ms"] === "number");
    assert.ok(!server.output().includes("zq7") && !server.output().includes(alice));
  });
});

Deno.test("What a caller does not want sampled is not sent, nor is anything with always_off", async () => {
  await within({}, async ({ server, receiver, room, alice, span }) => {
    const traceparent = `00-${"d".repeat(32)}-${"d".repeat(16)}-00`;
    await server.ask("GET", `${room}/context`, { token: alice, headers: { traceparent } });
    await server.ask("GET", `${room}/poll`, { token: alice });
    await span("GET /rooms/:id/poll");
    assert.ok(!receiver.spans.some(({ traceId }) => traceId === "d".repeat(32)));
  });
  await within({ OTEL_TRACES_SAMPLER: "always_off" }, async ({ server, receiver, room, alice }) => {
    await server.ask("GET", `${room}/poll`, { token: alice });
    assert.equal(await server.stop(), 0);
    assert.equal(receiver.spans.length, 0);
  });
});

Deno.test("On SIGTERM what is left is sent before the process ends; the name and attributes are the operator's", async () => {
  const env = {
    OTEL_BSP_SCHEDULE_DELAY: "3600000",
    OTEL_SERVICE_NAME: "rooms",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
    OTEL_EXPORTER_OTLP_HEADERS: "x-team=blue",
  };
  await within(env, async ({ server, receiver }) => {
    assert.equal(receiver.spans.length, 0);
    assert.equal(await server.stop(), 0);
    assert.ok(receiver.spans.length >= 6);
    for (const { resource } of receiver.spans) {
      assert.equal(resource["service.name"], "rooms");
      assert.equal(resource["deployment.environment.name"], "test");
    }
    assert.equal(receiver.headers[0]!["x-team"], "blue");
  });
});

Deno.test("The trace is handed on to the database server, each call in a span below its commit", async () => {
  const remote = await openLibsqlServer();
  const between = await listenTo(remote.url);
  try {
    await within({ SYNC_DB: between.url }, async ({ span }) => {
      const commit = await span("commit");
      const below = await span("database", ({ parentSpanId }) => parentSpanId === commit.spanId);
      assert.equal(below.traceId, commit.traceId);
      assert.equal(below.kind, 3);
      const header = `00-${below.traceId}-${below.spanId}-01`;
      assert.ok(between.traceparents.includes(header), "the call carries its own span");
    });
  } finally {
    await between.close();
    await remote.dispose();
  }
});

/** Stands before a server and notes the traces that come by. */
async function listenTo(
  url: string,
): Promise<{ url: string; traceparents: string[]; close(): Promise<void> }> {
  const traceparents: string[] = [];
  const server = createServer((request, response) => {
    traceparents.push(String(request.headers["traceparent"]));
    const forward = ask(url + request.url!, { method: request.method, headers: request.headers });
    forward.on("response", (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    forward.on("error", () => response.destroy());
    request.pipe(forward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return { url: `http://127.0.0.1:${port}`, traceparents, close };
}

Deno.test("A collector that does not answer costs nobody anything", async () => {
  await within(
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" },
    async ({ server, room, alice }) => {
      for (let i = 0; i < 20; i++) {
        const { status } = await server.ask("POST", `${room}/actions/inc-zq3/invoke`, {
          token: alice,
          body: {},
        });
        assert.equal(status, 200);
      }
      assert.equal(await server.stop(), 0);
    },
  );
});

Deno.test("A collector that refuses what it is sent is told of once, not with every batch", async () => {
  const refusing = await openReceiver(400);
  await within({ OTEL_EXPORTER_OTLP_ENDPOINT: refusing.url }, async ({ server, room, alice }) => {
    for (let i = 0; i < 100 && refusing.headers.length < 3; i++) {
      await server.ask("GET", `${room}/poll`, { token: alice });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok(refusing.headers.length >= 3);
    const told = server.output().split("\n").filter((line) => line.includes('"tracing"'));
    assert.equal(told.length, 1, server.output());
    assert.match(told[0]!, /"level":"warn"/);
  });
  await refusing.close();
});

Deno.test("Without OTEL_ options nothing is traced: work runs as it is, and no line names a trace", async () => {
  assert.equal(isTracing(), false);
  noteWrite({});
  assert.equal(traceId(), undefined);
  assert.equal(
    await traced("x", {}, (running) => {
      running.note("a", 1);
      running.follow({});
      return Promise.resolve(7);
    }),
    7,
  );
});

Deno.test("OTEL_ options are read as OpenTelemetry means them, and nonsense is refused by name", () => {
  const read = (env: Record<string, string>) => readConfig((name) => env[name]).tracing;
  const at = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318" };
  assert.equal(read({}), undefined);
  assert.deepEqual(read(at), { sampler: "parentbased_always_on", share: 1, delayMs: 5_000 });
  assert.equal(read({ ...at, OTEL_SDK_DISABLED: "true" }), undefined);
  assert.equal(read({ ...at, OTEL_TRACES_EXPORTER: "none" }), undefined);
  assert.ok(read({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://localhost:4318/v1/traces" }));
  const sampled = { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" };
  assert.deepEqual(read({ ...at, ...sampled, OTEL_BSP_SCHEDULE_DELAY: "100" }), {
    sampler: "traceidratio",
    share: 0.25,
    delayMs: 100,
  });
  for (
    const [name, value] of [
      ["OTEL_TRACES_SAMPLER", "sometimes"],
      ["OTEL_TRACES_SAMPLER_ARG", "2"],
      ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"],
      ["OTEL_BSP_SCHEDULE_DELAY", "soon"],
    ] as const
  ) {
    assert.throws(() => read({ ...at, [name]: value }), new RegExp(name));
  }
});
