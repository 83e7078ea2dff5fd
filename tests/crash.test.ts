/**
 * The service as a process of its own: killed in the middle of load, stopped politely, started
 * twice. What was acknowledged is there; what was not is there whole or not at all.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mustVerify, type Reply, send, startService } from "./harness.ts";

const SERVE = fileURLToPath(new URL("../serve.ts", import.meta.url));

/** A running server process. */
interface Server {
  readonly child: Deno.ChildProcess;
  readonly origin: string;
  readonly output: () => string;
  /** Resolves to the exit code, or to the signal that ended it. */
  readonly ended: Promise<number | string>;
  call(
    method: string,
    path: string,
    token?: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>;
}

function launch(
  folder: string,
  env: Record<string, string> = {},
): Pick<Server, "child" | "output" | "ended"> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", SERVE],
    env: { PORT: "0", SYNC_DB: `file:${join(folder, "sync.db")}`, SYNC_LOG: "json", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) text += chunk;
  });
  const ended = Promise.all(reading).then(() => child.status).then(({ code, signal }) =>
    signal ?? code
  );
  return { child, output: () => text, ended };
}

async function start(folder: string): Promise<Server> {
  const { child, output, ended } = launch(folder);
  let isOver = false;
  void ended.then(() => isOver = true);
  let port: string | undefined;
  while (port === undefined && !isOver) {
    port = /"listening".*"port":(\d+)/.exec(output())?.[1];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(port !== undefined, `the server did not start: ${output()}`);
  const origin = `http://127.0.0.1:${port}`;
  return {
    child,
    origin,
    output,
    ended,
    call: (method, path, token, body, headers) =>
      send(fetch, method, origin + path, {
        token,
        ...(body === undefined ? {} : { body }),
        ...(headers ? { headers } : {}),
      }),
  };
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-crash-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const PAIR = {
  id: "pair",
  writes: [
    { key: "a.${params.k}", value: "${params.k}" },
    { key: "n", increment: 1 },
    { key: "b.${params.k}", value: "${params.k}" },
  ],
};

interface Load {
  readonly acknowledged: Set<string>;
  readonly messages: Set<number>;
}

/** Writes until the connection breaks. */
async function write(
  server: Server,
  token: string,
  load: Load,
  name: string,
  stopAfter: () => void,
): Promise<void> {
  for (let i = 0;; i++) {
    const k = `${name}-${i}`;
    try {
      const { status } = await server.call("POST", "/rooms/x/actions/pair/invoke", token, {
        params: { k },
      }, { "Idempotency-Key": k });
      if (status !== 200) return;
      load.acknowledged.add(k);
      const sent = await server.call("POST", "/rooms/x/actions/_send_message/invoke", token, {
        params: { body: k },
      });
      if (sent.status === 201) load.messages.add(sent.body.seq);
      stopAfter();
    } catch (error) {
      // The connection broke: the process is gone.
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

interface Shown {
  readonly state: { readonly _shared: Readonly<Record<string, { readonly value: unknown }>> };
}

function mustHoldAll({ state }: Shown, load: Load): void {
  const keys = Object.keys(state._shared);
  for (const k of load.acknowledged) {
    assert.ok(
      `a.${k}` in state._shared && `b.${k}` in state._shared,
      `${k} was acknowledged and is gone`,
    );
  }
  const halves = ["a", "b"].map((half) =>
    keys.filter((key) => key.startsWith(`${half}.`)).map((key) => key.slice(2)).sort()
  );
  assert.deepEqual(halves[0], halves[1], "an invocation is there in half");
  assert.equal(state._shared["n"]?.value, halves[0]!.length);
}

Deno.test("kill -9 in the middle of load: nothing acknowledged is lost, nothing is there in half", async () => {
  await inFolder(async (folder) => {
    let server = await start(folder);
    const { body: room } = await server.call("POST", "/rooms", undefined, { id: "x" });
    const { body: alice } = await server.call("POST", "/rooms/x/agents", undefined, {
      id: "alice",
    });
    await server.call("POST", "/rooms/x/actions/_register_action/invoke", room.token, {
      params: PAIR,
    });
    const load: Load = { acknowledged: new Set(), messages: new Set() };
    for (const [round, goal] of [40, 1, 150].entries()) {
      let left = goal;
      const kill = (): void => {
        if (--left === 0) server.child.kill("SIGKILL");
      };
      await Promise.all(
        Array.from(
          { length: 8 },
          (_, i) => write(server, alice.token, load, `r${round}w${i}`, kill),
        ),
      );
      assert.equal(await server.ended, "SIGKILL");
      server = await start(folder);
      const { body } = await server.call(
        "GET",
        "/rooms/x/context?elision=none&only=state",
        alice.token,
      );
      mustHoldAll(body, load);
      const verified = await server.call("GET", "/rooms/x/verify", room.token);
      assert.equal(verified.body.ok, true, verified.text);
      for (const k of [...load.acknowledged].slice(-5)) {
        const again = await server.call("POST", "/rooms/x/actions/pair/invoke", alice.token, {
          params: { k },
        }, { "Idempotency-Key": k });
        assert.equal(
          again.headers.get("Idempotent-Replayed"),
          "true",
          "a repeat after the crash is known again",
        );
      }
    }
    server.child.kill("SIGTERM");
    assert.equal(await server.ended, 0);
    const on = await startService({ folder });
    await mustVerify(on, { id: "x", admin: room.token });
    const log = await on.service.engine.find("x");
    for (const seq of load.messages) assert.ok(log.room.message(seq), `message ${seq} is gone`);
    await on.close();
  });
});

Deno.test("SIGTERM: waiters are answered with closing, writes are kept, and the process leaves with 0", async () => {
  await inFolder(async (folder) => {
    const server = await start(folder);
    const { body: room } = await server.call("POST", "/rooms", undefined, { id: "x" });
    const { body: alice } = await server.call("POST", "/rooms/x/agents", undefined, {
      id: "alice",
    });
    const waiting = [room.token, alice.token, room.view_token].map((token) =>
      server.call("GET", "/rooms/x/wait?condition=false&timeout=50000", token)
    );
    for (;;) {
      const { body } = await server.call("GET", "/rooms/x/context?only=agents", room.view_token);
      if (body.agents.alice.value.status === "waiting") break;
    }
    const writing = Array.from(
      { length: 20 },
      (_, i) =>
        server.call("POST", "/rooms/x/actions/_send_message/invoke", alice.token, {
          params: { body: i },
        }),
    );
    await Promise.race(writing);
    server.child.kill("SIGTERM");
    for (const { status, body } of await Promise.all(waiting)) {
      assert.deepEqual([status, body.triggered, body.timeout, body.closing], [
        200,
        false,
        true,
        true,
      ]);
    }
    const settled = await Promise.allSettled(writing);
    const sent = settled.flatMap((outcome) =>
      outcome.status === "fulfilled" && outcome.value.status === 201 ? [outcome.value.body.seq] : []
    );
    assert.equal(await server.ended, 0, server.output());
    const on = await startService({ folder });
    await mustVerify(on, { id: "x", admin: room.token });
    const hot = await on.service.engine.find("x");
    for (const seq of sent) assert.ok(hot.room.message(seq));
    await on.close();
  });
});

Deno.test("A second process on the same database refuses, says why, and leaves with an error", async () => {
  await inFolder(async (folder) => {
    const first = await start(folder);
    const second = launch(folder);
    const code = await second.ended;
    assert.ok(typeof code === "number" && code !== 0, `${code}`);
    assert.match(second.output(), /[Aa]nother process/);
    assert.match(second.output(), /sync\.db/);
    assert.equal((await first.call("GET", "/healthz")).status, 200, "the first goes on");
    first.child.kill("SIGKILL");
    await first.ended;
    const third = await start(folder);
    assert.equal(
      (await third.call("GET", "/readyz")).status,
      200,
      "a killed process leaves no lock behind",
    );
    third.child.kill("SIGTERM");
    assert.equal(await third.ended, 0);
  });
});

Deno.test("Options that make no sense stop the start with a sentence that names them", async () => {
  await inFolder(async (folder) => {
    const { ended, output } = launch(folder, { PORT: "many" });
    assert.notEqual(await ended, 0);
    assert.match(output(), /PORT/);
  });
});
