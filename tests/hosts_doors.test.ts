/**
 * What a host's function is careful about: it does not take itself for a laptop's, opens its
 * database when it can, and shares a file with nobody, threads of `deno serve --parallel` included.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { type Ask, type Reply, send } from "./harness.ts";
import { host, type Hosted, inFolder, ROOT, withHost } from "./hosts_process.ts";

const SERVE = ["serve", "--host", "127.0.0.1", "--port", "PORT", "--no-check", "-A"];

function serve(folder: string, env: Readonly<Record<string, string>> = {}, flags: string[] = []) {
  const [verb, ...rest] = SERVE;
  const args = [verb!, ...flags, ...rest, join(ROOT, "main.ts")];
  return host({ cwd: ROOT, args, env: { SYNC_DB: `file:${join(folder, "sync.db")}`, ...env } });
}

function call(on: Hosted, method: string, path: string, ask?: Ask): Promise<Reply> {
  return send(fetch, method, on.url + path, ask);
}

Deno.test("A function that cannot see where it listens is public: no rooms for anybody, no metrics, rates on", async () => {
  await inFolder(async (folder) => {
    await withHost(serve(folder), async (on) => {
      const made = await call(on, "POST", "/rooms", { body: { id: "mine" } });
      assert.equal(made.status, 401, made.text);
      assert.equal((await call(on, "GET", "/metrics")).status, 404);
      const asked = await Promise.all(
        Array.from({ length: 70 }, () => call(on, "POST", "/rooms", { body: {} })),
      );
      assert.ok(asked.some(({ status }) => status === 429), "nobody is told to slow down");
    });
    const laptop = { HOST: "127.0.0.1" };
    await withHost(serve(folder, laptop), async (on) => {
      const made = await call(on, "POST", "/rooms", { body: { id: "mine" } });
      assert.equal(made.status, 201, made.text);
    });
  });
});

Deno.test("A function without a peer's address counts everybody as one, or believes the host's proxy", async () => {
  await inFolder(async (folder) => {
    await writeFile(
      join(folder, "run.ts"),
      `import handler from ${JSON.stringify(join(ROOT, "main.ts"))};
Deno.serve({ port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1" }, (r) => handler(r));`,
    );
    const args = ["run", "--no-check", "-A", `--config=${join(ROOT, "deno.json")}`, "run.ts"];
    for (const trusted of ["", "host"]) {
      const env = {
        SYNC_DB: `file:${join(folder, "sync.db")}`,
        SYNC_RATE_LIMIT_IP: "5",
        SYNC_TRUSTED_PROXIES: trusted,
      };
      await withHost(host({ cwd: folder, args, env }), async (on) => {
        const statuses: number[] = [];
        for (let i = 0; i < 8; i++) {
          const headers = { "X-Forwarded-For": `198.51.100.${i}` };
          statuses.push((await call(on, "POST", "/rooms", { headers, body: {} })).status);
        }
        const refused = statuses.filter((status) => status === 429).length;
        assert.equal(refused, trusted === "" ? 3 : 0, String(statuses));
      });
    }
  });
});

Deno.test("A function whose database is away answers 503 and says why in its log, then serves", async () => {
  const server = await openLibsqlServer();
  try {
    await server.stop();
    await inFolder(async (folder) => {
      const env = { SYNC_DB: server.url, SYNC_ROOM_CREATION: "open" };
      await withHost(serve(folder, env), async (on) => {
        const refused = await call(on, "POST", "/rooms", { body: {} });
        assert.equal(refused.status, 503, refused.text);
        assert.match(refused.headers.get("Retry-After") ?? "", /^\d+$/);
        assert.doesNotMatch(refused.text, /127\.0\.0\.1|fetch/);
        assert.match(on.output(), /"cannot start"/);
        await server.start();
        const made = await call(on, "POST", "/rooms", { body: {} });
        assert.equal(made.status, 201, made.text);
      });
      const typo = { ...env, SYNC_LOG: "jsn" };
      await withHost(serve(folder, typo), async (on) => {
        assert.equal((await call(on, "GET", "/readyz")).status, 503);
        assert.match(on.output(), /SYNC_LOG/);
      });
    });
  } finally {
    await server.dispose();
  }
});

Deno.test("One thread and one process per file: the others refuse, and what is acknowledged is there", async () => {
  await inFolder(async (folder) => {
    const env = { SYNC_ROOM_CREATION: "open", SYNC_RATE_LIMIT_IP: "0", DENO_JOBS: "3" };
    await withHost(serve(folder, env, ["--parallel"]), async (on) => {
      const until201 = async (path: string, body: unknown, token?: string): Promise<Reply> => {
        for (;;) {
          const reply = await call(on, "POST", path, { body, token });
          if (reply.status === 201) return reply;
          assert.equal(reply.status, 503, reply.text);
        }
      };
      const { body: { token } } = await until201("/rooms", { id: "one" });
      const count = { params: { id: "count", writes: [{ key: "n", increment: 1 }] } };
      await until201("/rooms/one/actions/_register_action/invoke", count, token);
      const replies = await Promise.all(
        Array.from(
          { length: 40 },
          () => call(on, "POST", "/rooms/one/actions/count/invoke", { token, body: {} }),
        ),
      );
      const acknowledged = replies.filter(({ status }) => status === 200);
      assert.ok(acknowledged.length > 0);
      assert.deepEqual(replies.filter(({ status }) => status !== 200 && status !== 503), []);
      await withHost(serve(folder, env), async (second) => {
        const refused = await call(second, "GET", "/readyz");
        assert.equal(refused.status, 503, refused.text);
        assert.match(second.output(), /Another process or thread serves this database file/);
      });
      await on.stop("SIGTERM");
      await withHost(serve(folder, env), async (alone) => {
        const { body, text } = await call(alone, "GET", "/rooms/one/context", { token });
        assert.equal(body?.state._shared.n.value, acknowledged.length, text);
      });
    });
  });
});
