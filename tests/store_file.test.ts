/** A database file: statements stay prepared, a failure leaves nothing behind, and names are paths. */
import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, openFile } from "../store/file.ts";
import { mustReadAsWritten } from "./connections.ts";

const INSERT = "INSERT INTO t (k, v) VALUES (:k, :v)";

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-file-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function opened(url: string): Promise<Connection> {
  const connection = await openFile(url);
  await connection.executeMultiple(
    "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v INTEGER) STRICT",
  );
  return connection;
}

async function rowsIn(connection: Connection): Promise<unknown[]> {
  const { rows } = await connection.execute("SELECT k, v FROM t ORDER BY k");
  return rows.map(({ k, v }) => [k, v]);
}

const insert = (k: string, v: number) => ({ sql: INSERT, args: { k, v } });

Deno.test("A batch that fails in the middle leaves nothing, and what follows is written for others to see", async () => {
  await inFolder(async (folder) => {
    const url = `file:${join(folder, "a.db")}`;
    const one = await opened(url), other = await opened(url);
    await one.batch([insert("a", 1)], "write");
    await assert.rejects(
      async () => await one.batch([insert("b", 2), insert("a", 3), insert("c", 4)], "write"),
      { code: "SQLITE_CONSTRAINT_PRIMARYKEY" },
    );
    assert.deepEqual(await rowsIn(other), [["a", 1]]);
    await one.batch([insert("b", 2)], "write");
    assert.deepEqual(await rowsIn(other), [["a", 1], ["b", 2]]);
    one.close();
    other.close();
  });
});

Deno.test("A connection that found the database busy writes again once it is opened anew", async () => {
  await inFolder(async (folder) => {
    const url = `file:${join(folder, "a.db")}`;
    const one = await opened(url), other = await opened(url);
    await one.batch([insert("a", 1)], "write");
    await other.executeMultiple("BEGIN IMMEDIATE");
    for (let i = 0; i < 3; i++) {
      await assert.rejects(async () => await one.batch([insert("b", 2)], "write"), {
        code: /^SQLITE_BUSY/,
      });
      await one.reconnect();
    }
    await other.executeMultiple("COMMIT");
    await one.batch([insert("b", 2)], "write");
    await one.batch([insert("c", 3)], "write");
    assert.deepEqual(await rowsIn(other), [["a", 1], ["b", 2], ["c", 3]]);
    one.close();
    other.close();
  });
});

Deno.test("More statements than stay prepared are all run, each with its own values", async () => {
  await inFolder(async (folder) => {
    const one = await opened(`file:${join(folder, "a.db")}`);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) {
        const { rows } = await one.execute({ sql: `SELECT :x + ${i} AS sum`, args: { x: round } });
        assert.equal(rows[0]?.["sum"], round + i);
      }
    }
    one.close();
  });
});

Deno.test("A file's URL may have an authority and escaped characters", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "with space.db");
    const one = await opened(`file:${path}`);
    await one.batch([insert("a", 1)], "write");
    for (const url of [`file://${folder}/with%20space.db`, `file://localhost${path}`]) {
      const other = await openFile(url);
      assert.deepEqual(await rowsIn(other), [["a", 1]], url);
      other.close();
    }
    one.close();
  });
});

Deno.test("What is read is bytes, text, numbers and null, as it was written", async () => {
  await inFolder(async (folder) => {
    const one = await opened(`file:${join(folder, "a.db")}`);
    await mustReadAsWritten(one);
    one.close();
  });
});

Deno.test("A single row is what the list's first one is, and none is none; it holds no lock afterwards", async () => {
  await inFolder(async (folder) => {
    const url = `file:${join(folder, "a.db")}`;
    const one = await opened(url), other = await opened(url);
    await one.batch([insert("a", 1), insert("b", 2)], "write");
    const sql = "SELECT k, v FROM t WHERE k >= :k ORDER BY k";
    for (const k of ["a", "b", "c"]) {
      const { rows } = await one.execute({ sql, args: { k } });
      const single = await one.execute(Object.assign({ sql, args: { k } }, { isOne: true }));
      assert.deepEqual(single.rows, rows.slice(0, 1));
    }
    await other.batch([insert("c", 3)], "write");
    const { rows } = await other.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    assert.equal(rows[0]!["busy"], 0);
    one.close();
    other.close();
  });
});

Deno.test("While a transaction is being ended others wait for it: they see it whole, and write after it", async () => {
  await inFolder(async (folder) => {
    const one = await opened(`file:${join(folder, "a.db")}`);
    const order: string[] = [];
    const noted = <T>(name: string, done: Promise<T>): Promise<T> =>
      done.finally(() => order.push(name));
    const [, seen, , again] = await Promise.all([
      noted("write", one.batch([insert("a", 1)], "write")),
      noted("read", rowsIn(one)),
      noted("next write", one.batch([insert("b", 2)], "write")),
      noted("read all", one.batch(["SELECT count(*) AS n FROM t"], "read")),
    ]);
    assert.deepEqual(seen, [["a", 1]]);
    assert.equal(again[0]!.rows[0]!["n"], 2);
    assert.deepEqual(order.slice(0, 2), ["write", "read"]);
    one.close();
  });
});

Deno.test("The event loop goes on while a transaction is being ended", async () => {
  await inFolder(async (folder) => {
    const one = await opened(`file:${join(folder, "a.db")}`);
    let isEnded = false, turns = 0;
    for (let i = 0; i < 200 && turns === 0; i++) {
      const written = one.batch([insert(`k${i}`, i)], "write").then(() => isEnded = true);
      await new Promise((resolve) => setImmediate(resolve));
      if (!isEnded) turns++;
      await written;
      isEnded = false;
    }
    assert.ok(turns > 0, "no turn of the loop fell into any of 200 commits");
    one.close();
  });
});

Deno.test("A transaction that is refused at its end is taken back, and the next one is written", async () => {
  await inFolder(async (folder) => {
    const one = await opened(`file:${join(folder, "a.db")}`);
    await one.executeMultiple(
      `PRAGMA foreign_keys=ON; CREATE TABLE child (k TEXT
        REFERENCES t (k) DEFERRABLE INITIALLY DEFERRED)`,
    );
    for (let round = 0; round < 3; round++) {
      const orphan = { sql: "INSERT INTO child (k) VALUES (?)", args: ["nobody"] };
      await assert.rejects(one.batch([insert(`lost${round}`, 1), orphan], "write"), {
        code: /^SQLITE_CONSTRAINT/,
      });
      await one.batch([insert(`kept${round}`, round)], "write");
    }
    assert.deepEqual(await rowsIn(one), [["kept0", 0], ["kept1", 1], ["kept2", 2]]);
    one.close();
  });
});

Deno.test("The log is written back beside the commits and begins anew: it stays short, and nothing is missing", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "a.db"), url = `file:${path}`;
    const one = await opened(url);
    // SQLite itself writes nothing back in this test.
    await one.executeMultiple("PRAGMA wal_autocheckpoint=0");
    const wide = "x".repeat(3_000);
    const GROUPS = 600, ROWS = 40;
    const put = (k: string) => ({ sql: "INSERT INTO t (k, v) VALUES (?, 1)", args: [k + wide] });
    for (let group = 0; group < GROUPS; group++) {
      await one.batch(Array.from({ length: ROWS }, (_, i) => put(`${group}-${i} `)), "write");
    }
    const written = GROUPS * ROWS * wide.length;
    const { size } = await stat(`${path}-wal`);
    assert.ok(size < written / 2, `${size} bytes of log after ${written} bytes of rows`);
    const other = await opened(url);
    const { rows } = await other.execute("SELECT count(*) AS n FROM t");
    assert.equal(rows[0]!["n"], GROUPS * ROWS);
    assert.deepEqual((await other.execute("PRAGMA quick_check")).rows[0]!["quick_check"], "ok");
    other.close();
    one.close();
  });
});

Deno.test("A file is closed and opened anew while its log is being written back", async () => {
  await inFolder(async (folder) => {
    const url = `file:${join(folder, "a.db")}`;
    const one = await opened(url);
    const wide = "y".repeat(100_000);
    for (let round = 0; round < 30; round++) {
      const rows = Array.from({ length: 45 }, (_, i) => ({
        sql: "INSERT INTO t (k, v) VALUES (?, 2)",
        args: [`${round}-${i} ${wide}`],
      }));
      await one.batch(rows, "write");
      if (round % 3 === 0) await one.reconnect();
    }
    one.close();
    const other = await opened(url);
    const { rows } = await other.execute("SELECT count(*) AS n FROM t");
    assert.equal(rows[0]!["n"], 30 * 45);
    other.close();
  });
});
