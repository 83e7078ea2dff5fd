/**
 * Clients that send halves, say nothing, read nothing, or vanish: the real server goes on
 * answering the others, answers no 5xx, and keeps nothing of those who have gone.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BODY_MS_MAX } from "../limits.ts";
import { head, openIdle, RawConnection, statusOf } from "../proof/raw-http.ts";
import { type ServerProcess, startServer } from "../proof/server.ts";
import { makeRoom, ManualClock, startService } from "./harness.ts";

const IDLE = 10_000;
const ANSWER_MS_MAX = 20_000;

/** A server with a room in it. */
interface Ground {
  readonly server: ServerProcess;
  readonly admin: string;
  readonly alice: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function onServer(test: (ground: Ground) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-clients-"));
  const server = await startServer({ folder });
  try {
    const { body: room } = await server.ask("POST", "/rooms", { body: { id: "x" } });
    const { body: alice } = await server.ask("POST", "/rooms/x/agents", { body: { id: "alice" } });
    const headers = { Authorization: `Bearer ${alice.token}` };
    await test({ server, admin: room.token, alice: alice.token, headers });
    await mustServe({ server, admin: room.token, alice: alice.token, headers });
    const verified = await server.ask("GET", "/rooms/x/verify", { token: room.token });
    assert.equal(verified.body.ok, true, verified.text);
    assert.doesNotMatch(server.output(), /"level":"error"/);
    assert.equal(await server.stop(), 0, server.output());
  } finally {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function mustServe({ server, alice }: Ground): Promise<void> {
  const sent = await server.ask("POST", "/rooms/x/actions/_send_message/invoke", {
    token: alice,
    body: { params: { body: "hi" } },
  });
  assert.equal(sent.status, 201, sent.text);
  const read = await server.ask("GET", "/rooms/x/context", { token: alice });
  assert.equal(read.status, 200, read.text);
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until it is so; fails with what was there last. */
async function eventually<T>(ask: () => Promise<T>, isSo: (found: T) => boolean): Promise<void> {
  let found: T | undefined;
  for (let tries = 0; tries < 400; tries++) {
    found = await ask();
    if (isSo(found)) return;
    await pause(25);
  }
  assert.fail(`it is still ${JSON.stringify(found)}`);
}

const SEND = "/rooms/x/actions/_send_message/invoke";
const BODY = '{"params":{"body":"hi"}}';
const JSON_TYPE = { "Content-Type": "application/json" };
const FORM_TYPE = { "Content-Type": "application/x-www-form-urlencoded" };

/** Requests that no client would send, and what they are answered; their end is the end of the line. */
const HALVES: readonly (readonly [
  what: string,
  path: string,
  headers: Readonly<Record<string, string | number>>,
  body: string,
  status: number,
])[] = [
  ["less than was announced", SEND, { "Content-Length": 100 }, '{"params":', 400],
  ["less than one chunk", SEND, { "Transfer-Encoding": "chunked" }, "20\r\n{", 400],
  ["chunks without an end", SEND, { "Transfer-Encoding": "chunked" }, `18\r\n${BODY}\r\n`, 400],
  // Whether it still answers is the HTTP server's affair.
  ["a chunk of no length", SEND, { "Transfer-Encoding": "chunked" }, "zz\r\n{}\r\n", 0],
  ["a negative length", SEND, { "Content-Length": -1 }, "{}", 400],
  ["two lengths", SEND, { "Content-Length": "2\r\nContent-Length: 3" }, "{}", 400],
  ["a length that is no number", SEND, { "Content-Length": "two" }, "{}", 400],
  ["more than was announced", SEND, { "Content-Length": 2 }, BODY, 400],
  ["half an import", "/rooms/import?id=y", { "Content-Length": 900 }, '{"seq":1', 400],
  ["half a join", "/rooms/x/agents", { "Content-Length": 900 }, '{"id":', 400],
  ["half a form", "/oauth/token", { ...FORM_TYPE, "Content-Length": 90 }, "grant_type=", 400],
  ["half a registration", "/oauth/register", { ...JSON_TYPE, "Content-Length": 90 }, "{", 400],
  ["half a device request", "/auth/device", { ...JSON_TYPE, "Content-Length": 90 }, "{", 400],
  ["half a message of MCP", "/mcp", { ...JSON_TYPE, "Content-Length": 90 }, "{", 400],
];

Deno.test("Requests that break off or lie about their length: a 4xx, no bug, and the rest goes on", async () => {
  await onServer(async (ground) => {
    const wrong: string[] = [];
    for (const [what, path, given, body, status] of HALVES) {
      const connection = await RawConnection.open(ground.server.port);
      await connection.send(head("POST", path, { ...ground.headers, ...given }) + body);
      await connection.closeWrite();
      const text = await connection.until(/\r\n\r\n/, ANSWER_MS_MAX);
      const found = statusOf(text);
      if (status === 0 ? found >= 500 : found !== status) {
        wrong.push(`${what}: ${text.slice(0, 300)}`);
      }
      await connection.vanish();
    }
    assert.deepEqual(wrong, []);
    for (const text of ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) {
      const connection = await RawConnection.open(ground.server.port);
      await connection.send(text);
      await connection.closeWrite();
      const answer = await connection.until(/\r\n\r\n/, ANSWER_MS_MAX);
      assert.ok(statusOf(answer) < 500, answer);
      await connection.vanish();
    }
  });
});

Deno.test("Bytes one by one: the slow are answered in the end, the others at once", async () => {
  await onServer(async (ground) => {
    const text = head("POST", SEND, { ...ground.headers, "Content-Length": BODY.length }) + BODY;
    const slow = Array.from({ length: 50 }, async () => {
      const connection = await RawConnection.open(ground.server.port);
      for (let at = 0; at < text.length; at += 4) {
        assert.ok(await connection.send(text.slice(at, at + 4)), "it was cut off");
        await pause(2);
      }
      const answer = await connection.until(/\r\n\r\n/, ANSWER_MS_MAX);
      await connection.vanish();
      return statusOf(answer);
    });
    for (let i = 0; i < 10; i++) await mustServe(ground);
    assert.deepEqual([...new Set(await Promise.all(slow))], [201]);
  });
});

Deno.test("A body that never comes is given up, at every door", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice"]);
  const begun = (path: string): Promise<Response> =>
    on.service.fetch(
      new Request(`http://localhost:8787${path}`, {
        method: "POST",
        headers: {
          "Content-Type": path === "/oauth/token"
            ? "application/x-www-form-urlencoded"
            : "application/json",
          Authorization: `Bearer ${room.admin}`,
        },
        body: new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode("{")) }),
      }),
    );
  const { arrivals } = on.service.deps;
  const paths = [
    `/rooms/${room.id}/actions/_send_message/invoke`,
    "/rooms/import?id=y",
    "/mcp",
    "/oauth/token",
    "/oauth/register",
    "/auth/device",
    "/tokens/refresh",
    "/webauthn/login/verify",
    "/theme",
  ];
  const asked = paths.map(begun);
  while (arrivals.open < paths.length) await pause(5);
  await clock.advance(BODY_MS_MAX / 2 - 1);
  assert.equal(arrivals.open, paths.length, "it is given time");
  await clock.advance(BODY_MS_MAX / 2 + 1);
  for (const [i, reply] of (await Promise.all(asked)).entries()) {
    assert.equal(reply.status, 400, `${paths[i]}`);
    assert.match(await reply.text(), /did not arrive whole/);
  }
  assert.equal(arrivals.open, 0);
  await on.close();
});

Deno.test("Ten thousand connections that say nothing: the service goes on, and forgets them when they go", async () => {
  await onServer(async (ground) => {
    const { server } = ground;
    const files = async (): Promise<number> => (await readdir(`/proc/${server.pid}/fd`)).length;
    const before = await files();
    const idle = await openIdle(server.port, IDLE);
    await eventually(files, (open) => open >= before + IDLE);
    for (let i = 0; i < 20; i++) await mustServe(ground);
    const half = "POST /rooms HTTP/1.1\r\nHost: 127";
    for (const connection of idle.slice(0, 1_000)) await connection.send(half);
    for (let i = 0; i < 20; i++) await mustServe(ground);
    for (const connection of idle) await connection.vanish();
    await eventually(files, (open) => open <= before + 20);
  });
});

Deno.test("Waits whose clients vanish end at once, and nobody is shown as waiting", async () => {
  await onServer(async (ground) => {
    const { server, headers, admin } = ground;
    const open = (): Promise<number> => server.figure("sync_waits_open");
    const asking: RawConnection[] = [];
    for (let i = 0; i < 100; i++) {
      const connection = await RawConnection.open(server.port);
      await connection.send(head("GET", "/rooms/x/wait?condition=false&timeout=50000", headers));
      asking.push(connection);
    }
    await eventually(open, (waits) => waits === 100);
    for (const connection of asking) await connection.vanish();
    await eventually(open, (waits) => waits === 0);
    const { body } = await server.ask("GET", "/rooms/x/context?only=agents", { token: admin });
    assert.notEqual(body.agents.alice.value.status, "waiting");
  });
});

/** More than the buffers of a connection and the backlog of a stream hold together. */
const WRITES = 70;
const WRITE_CHARS = 200_000;
const LAST = /the last of it/;
const READ_MS_MAX = 60_000;

Deno.test("A stream that nobody reads is let go, and holds up neither writers nor readers", async () => {
  await onServer(async (ground) => {
    const { server, headers, alice, admin } = ground;
    const open = (): Promise<number> => server.figure("sync_streams_open");
    const streams: RawConnection[] = [];
    for (let i = 0; i < 4; i++) {
      const connection = await RawConnection.open(server.port);
      await connection.send(head("GET", "/rooms/x/events?after=0", headers));
      streams.push(connection);
    }
    await eventually(open, (n) => n === 4);
    const reading = streams[0]!.until(LAST, READ_MS_MAX);
    await server.ask("POST", "/rooms/x/actions/_register_action/invoke", {
      token: admin,
      body: { params: { id: "put", writes: [{ key: "k", value: "${params.v}" }] } },
    });
    for (let i = 0; i < WRITES; i++) {
      const v = i === WRITES - 1 ? "the last of it" : "x".repeat(WRITE_CHARS);
      const path = "/rooms/x/actions/put/invoke";
      const { status, text } = await server.ask("POST", path, {
        token: alice,
        body: { params: { v } },
      });
      assert.equal(status, 200, text);
    }
    await reading;
    assert.match(streams[0]!.newest, LAST, "who reads is told everything");
    await eventually(open, (n) => n === 1);
    for (const connection of streams) await connection.vanish();
    await eventually(open, (n) => n === 0);
  });
});
