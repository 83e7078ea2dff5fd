/** A libSQL server over kept streams: batches are whole, and a stream that is gone costs nothing. */
import assert from "node:assert/strict";
import { type LibsqlServer, openLibsqlServer } from "../proof/libsql-server.ts";
import type { SyncError } from "../errors.ts";
import { Db } from "../store/db.ts";
import type { Connection } from "../store/file.ts";
import { openRemote } from "../store/remote.ts";
import { mustReadAsWritten } from "./connections.ts";

/** A connection that tells how often the server was asked, and over how many streams. */
interface Seen {
  readonly connection: Connection;
  readonly asked: { count: number; opened: number };
}

async function connect(server: LibsqlServer): Promise<Seen> {
  const asked = { count: 0, opened: 0 };
  const connection = await openRemote({
    url: server.url,
    fetch: async (request) => {
      const body = await request.text();
      asked.count++;
      if (!body.includes('"baton":"')) asked.opened++;
      return await fetch(
        new Request(request.url, { method: "POST", headers: request.headers, body }),
      );
    },
  });
  return { connection, asked };
}

async function withServer(run: (server: LibsqlServer, seen: Seen) => Promise<void>): Promise<void> {
  const server = await openLibsqlServer();
  try {
    const seen = await connect(server);
    await seen.connection.batch(
      ["CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) STRICT"],
      "write",
    );
    await run(server, seen);
    seen.connection.close();
  } finally {
    await server.dispose();
  }
}

const insert = (k: string, v: number) => ({
  sql: "INSERT INTO t (k, v) VALUES (:k, :v)",
  args: { k, v },
});

async function keysIn(connection: Connection): Promise<unknown[]> {
  const { rows } = await connection.execute("SELECT k FROM t ORDER BY k");
  return rows.map(({ k }) => k);
}

Deno.test("One after the other go over one stream, at once over several that are kept", async () => {
  await withServer(async (_server, { connection, asked }) => {
    for (let i = 0; i < 20; i++) await connection.batch([insert(`a${i}`, i)], "write");
    assert.equal(asked.opened, 1);
    const count = () => connection.execute("SELECT count(*) AS n FROM t");
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 8 }, count));
      assert.ok(answers.every(({ rows }) => rows[0]!["n"] === 20));
    }
    assert.equal(asked.opened, 8);
  });
});

Deno.test("A batch that fails in the middle leaves nothing, nor a transaction that others would fall into", async () => {
  await withServer(async (server, { connection, asked }) => {
    await connection.batch([insert("a", 1)], "write");
    const wrong = [
      [insert("b", 2), insert("a", 3), insert("c", 4)],
      [insert("b", 2), "SELECT nonsense"],
      [insert("b", 2), "INSERT INTO nowhere VALUES (1)", insert("c", 3)],
    ];
    for (const batch of wrong) {
      await assert.rejects(async () => await connection.batch(batch, "write"), { code: /^SQL/ });
    }
    assert.deepEqual(await keysIn(connection), ["a"]);
    const [, found] = await connection.batch([insert("b", 2), "SELECT k, v FROM t"], "write");
    assert.deepEqual(found!.rows.map(({ k, v }) => [k, v]), [["a", 1], ["b", 2]]);
    const opened = asked.opened;
    // Left open, as by a server that breaks off a batch: nobody may come upon its transaction.
    await assert.rejects(connection.executeMultiple("BEGIN; SELECT nonsense"));
    await connection.batch([insert("c", 3)], "write");
    assert.equal(asked.opened, opened + 1);
    assert.deepEqual(await keysIn((await connect(server)).connection), ["a", "b", "c"]);
  });
});

Deno.test("A server that was started anew knows no streams: what is asked then is asked once more, and done once", async () => {
  await withServer(async (server, { connection }) => {
    await Promise.all([1, 2, 3].map(() => connection.execute("SELECT 1")));
    await server.stop();
    await server.start();
    await connection.batch([insert("a", 1)], "write");
    assert.deepEqual(await keysIn(connection), ["a"]);
    await server.stop();
    await assert.rejects(async () => await connection.batch([insert("b", 2)], "write"));
    await server.start();
    await connection.batch([insert("c", 3)], "write");
    assert.deepEqual(await keysIn(connection), ["a", "c"]);
  });
});

Deno.test("A stream that the server ended for want of use is replaced, without a word", async () => {
  const server = await openLibsqlServer();
  try {
    let isExpired = false;
    const connection = await openRemote({
      url: server.url,
      fetch: async (request) => {
        const body = await request.text();
        if (isExpired && body.includes('"baton":"')) {
          isExpired = false;
          const refusal = {
            message: "The stream has expired due to inactivity",
            code: "STREAM_EXPIRED",
          };
          return Response.json(refusal, { status: 400 });
        }
        return await fetch(
          new Request(request.url, { method: "POST", headers: request.headers, body }),
        );
      },
    });
    await connection.batch(["CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) STRICT"], "write");
    isExpired = true;
    await connection.batch([insert("a", 1)], "write");
    assert.equal(isExpired, false);
    assert.deepEqual(await keysIn(connection), ["a"]);
    connection.close();
  } finally {
    await server.dispose();
  }
});

Deno.test("Answers that are lost, by the hundred, do not use up the server's connections", async () => {
  const server = await openLibsqlServer();
  try {
    let isLost = false, tooMany = 0;
    const connection = await openRemote({
      url: server.url,
      fetch: async (request) => {
        const answer = await fetch(request);
        if (answer.status === 429) tooMany++;
        if (!isLost) return answer;
        await answer.body?.cancel();
        throw new TypeError("connection closed before message completed");
      },
    });
    const ask = () => connection.execute("SELECT 1 AS one");
    await Promise.all(Array.from({ length: 8 }, ask));
    isLost = true;
    for (let round = 0; round < 40; round++) {
      const asked = await Promise.allSettled(Array.from({ length: 8 }, ask));
      assert.ok(asked.every(({ status }) => status === "rejected"));
    }
    isLost = false;
    for (let i = 0; i < 20; i++) assert.equal((await ask()).rows[0]!["one"], 1);
    assert.equal(tooMany, 0);
    connection.close();
  } finally {
    await server.dispose();
  }
});

Deno.test("What is read is bytes, text, numbers and null, as it was written; an URL may bring its token", async () => {
  const server = await openLibsqlServer();
  try {
    let authorization: string | null = null;
    const connection = await openRemote({
      url: `${server.url}?authToken=from-the-url`,
      fetch: (request) => {
        authorization = request.headers.get("authorization");
        return fetch(request);
      },
    });
    await mustReadAsWritten(connection);
    assert.equal(authorization, "Bearer from-the-url");
    connection.close();
  } finally {
    await server.dispose();
  }
  await assert.rejects(openRemote({ url: "ftp://localhost", fetch }), /ftp/);
});

Deno.test("A server that has too much to do is asked again, and nothing is done twice", async () => {
  const server = await openLibsqlServer();
  let count = 0;
  const crowded = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (count++ % 3 !== 2) return new Response("Too many concurrent requests", { status: 429 });
    return fetch(
      new Request(new URL(pathname, server.url), {
        method: request.method,
        headers: request.headers,
        body: request.body,
      }),
    );
  });
  try {
    const db = await Db.open({ url: `http://127.0.0.1:${crowded.addr.port}` });
    await db.batch([{ sql: "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) STRICT", args: {} }]);
    await Promise.all(
      Array.from({ length: 60 }, (_, i) => db.batch([insert(`k${i}`, i)])),
    );
    assert.equal((await db.first("SELECT count(*) AS n FROM t"))?.["n"], 60);
    assert.ok(db.troubles.of("busy").value >= 100);
    db.close();
  } finally {
    await crowded.shutdown();
    await server.dispose();
  }
});

Deno.test("What still waits for its turn when its caller gives up is never sent", async () => {
  const sent: string[] = [];
  let held = Promise.withResolvers<void>();
  held.resolve();
  const server = await openLibsqlServer();
  const slow = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const body = await request.text();
      sent.push(body);
      await held.promise;
      const { pathname } = new URL(request.url);
      return await fetch(new URL(pathname, server.url), {
        method: request.method,
        headers: request.headers,
        body,
      });
    },
  );
  try {
    const db = await Db.open({ url: `http://127.0.0.1:${slow.addr.port}` });
    await db.batch([{ sql: "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) STRICT", args: {} }]);
    held = Promise.withResolvers();
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    const refused = await Promise.all(
      keys.map((k) => db.batch([insert(k, 1)]).catch((error: SyncError) => error.code)),
    );
    assert.deepEqual(new Set(refused), new Set(["unavailable"]));
    const begun = keys.filter((k) => sent.some((body) => body.includes(`"${k}"`)));
    assert.equal(begun.length, 64, "as many as a server is asked at once");
    held.resolve();
    assert.equal((await db.batch([insert("after", 1)])).length, 1);
    assert.ok(sent.every((body) => !body.includes(`"${keys.at(-1)}"`)), "not sent late, either");
    db.close();
  } finally {
    held.resolve();
    await slow.shutdown();
    await server.dispose();
  }
});
