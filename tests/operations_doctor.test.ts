/** The doctor: finds a healthy deployment healthy, and each kind of sick one sick. */
import assert from "node:assert/strict";
import {
  chmod,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkDatabases } from "../bin/doctor/database.ts";
import { examine, parseOrder } from "../bin/doctor.ts";
import { checkMachine } from "../bin/doctor/machine.ts";
import { type Check, linesOf, type Report, reportOf } from "../bin/doctor/report.ts";
import { checkServer } from "../bin/doctor/server.ts";
import { checkSettings } from "../bin/doctor/settings.ts";
import { type Config, readConfig } from "../config.ts";
import { startServer } from "../proof/server.ts";
import { Db } from "../store/db.ts";
import { makeRoom, startService, type TestService } from "./harness.ts";

const DOCTOR = fileURLToPath(new URL("../bin/doctor.ts", import.meta.url));

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-doctor-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What stands under a name, as "verdict: detail". */
function said(checks: readonly Check[], name: string): string {
  const found = checks.filter((check) => check.name === name);
  return found.map(({ verdict, detail }) => `${verdict}: ${detail}`).join(" | ");
}

/** Every warning and failure says what to do. */
function mustAdvise(checks: readonly Check[]): void {
  for (const { verdict, todo, name } of checks) {
    if (verdict === "warn" || verdict === "fail") assert.ok((todo ?? "").length > 10, name);
  }
}

function problems({ checks }: Report): string[] {
  return checks.filter(({ verdict }) => verdict === "warn" || verdict === "fail")
    .map(({ area, name, verdict, detail }) => `${verdict} ${area} ${name}: ${detail}`);
}

function configOf(env: Record<string, string>): Config {
  return readConfig((name) => env[name]);
}

/** Runs the command line in a shell. */
async function runDoctor(command: string, env: Record<string, string>) {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", command.replace("DOCTOR", `"${Deno.execPath()}" run -A --no-check "${DOCTOR}"`)],
    env,
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out: out!, error: error! };
}

Deno.test("A running server in good health: nothing fails, who holds the database is named, and nothing is changed", async () => {
  await withFolder(async (outer) => {
    const folder = join(outer, "made");
    const server = await startServer({ folder });
    try {
      const made = await server.ask("POST", "/rooms", { body: {} });
      assert.equal(made.status, 201);
      const env = { SYNC_DB: `file:${folder}/sync.db`, PORT: String(server.port) };
      assert.equal((await stat(folder)).mode & 0o777, 0o700, "it made its folder for itself");
      const before = (await readdir(folder)).sort();
      const report = await examine(env, { isDeep: true });
      assert.deepEqual(problems(report).filter((line) => line.startsWith("fail")), []);
      assert.equal(report.ok, true);
      const { checks } = report;
      assert.match(said(checks, "lock"), new RegExp(`ok: held by process ${server.pid}: .*serve`));
      assert.match(said(checks, "file"), /^ok/);
      assert.match(said(checks, "schema"), /^ok/);
      assert.match(said(checks, "write"), /^(ok|warn): a write takes/);
      assert.match(said(checks, "damage"), /^ok/);
      assert.match(said(checks, "ready"), /^ok/);
      assert.match(said(checks, "issuer"), /^ok/);
      assert.match(said(checks, "headers"), /^ok/);
      assert.match(said(checks, "holds"), /1 rooms, 0 users/);
      assert.match(said(checks, "database errors"), /^ok/);
      assert.deepEqual((await readdir(folder)).sort(), before);
      const verify = await server.ask("GET", `/rooms/${made.body.id}/verify`, {
        token: made.body.token,
      });
      assert.equal(verify.body.ok, true);
    } finally {
      await server.kill();
    }
  });
});

Deno.test("The command line prints what it found, as lines or as JSON, and leaves with 0, 1 or 2", async () => {
  await withFolder(async (folder) => {
    const env = { SYNC_DB: `file:${folder}/sync.db` };
    const well = await runDoctor("ulimit -n 512; DOCTOR --json", env);
    assert.equal(well.code, 0, well.error + well.out);
    const report = JSON.parse(well.out) as Report;
    assert.equal(report.ok, true);
    assert.match(said(report.checks, "open files"), /^warn: 512/);
    assert.deepEqual(await readdir(folder), [], "a database that is not there is not made");
    const ill = await runDoctor("DOCTOR", { ...env, HOST: "0.0.0.0" });
    assert.equal(ill.code, 1, ill.out);
    assert.match(ill.out, /fail {2}origin .*its origin is http:\/\/localhost/);
    assert.match(ill.out, /-> Set SYNC_ORIGIN/);
    assert.match(ill.out, /1 failed/);
    const wrong = await runDoctor("DOCTOR somewhere", env);
    assert.equal(wrong.code, 2);
    assert.match(wrong.error, /no address/);
  });
  assert.deepEqual(parseOrder(["https://x.example", "--deep", "--backups", "b"]), {
    url: "https://x.example",
    backups: "b",
    isDeep: true,
    isJson: false,
  });
});

Deno.test("A configuration that makes no sense where it is used is found out", () => {
  const rows: [env: Record<string, string>, name: string, found: RegExp][] = [
    [{ PORT: "many" }, "options", /^fail: The option PORT/],
    [{ SYNC_RATE_LIMT_IP: "9" }, "options", /SYNC_RATE_LIMT_IP is no option/],
    [{ HOST: "0.0.0.0" }, "origin", /^fail/],
    [{ HOST: "0.0.0.0", SYNC_ORIGIN: "http://sync.example.org" }, "origin", /^fail.*not https/],
    [{ SYNC_ORIGIN: "https://sync.example.org" }, "proxies", /^warn/],
    [
      { SYNC_ORIGIN: "https://sync.example.org", SYNC_RATE_LIMIT_IP: "0" },
      "limits",
      /^warn: rate limits are off/,
    ],
    [
      {
        SYNC_ORIGIN: "https://sync.example.org",
        SYNC_QUOTA_USER_ROOMS: "0",
        SYNC_QUOTA_ROOM_WRITES: "0",
        SYNC_QUOTA_AGENT_MESSAGES: "0",
        SYNC_QUOTA_USER_WAITS: "0",
        SYNC_QUOTA_USER_STREAMS: "0",
      },
      "quotas",
      /^warn/,
    ],
    [{ SYNC_ORIGIN: "https://sync.example.org" }, "metrics", /^note/],
    [{ SYNC_TRUSTED_PROXIES: "10.0.0.0/8" }, "proxies", /^warn: no addresses/],
    [{ SYNC_METRICS_TOKEN: "short" }, "metrics", /^warn: the token has 5/],
    [{ SYNC_DB: "http://db.example.org" }, "database url", /not encrypted.*SYNC_DB_TOKEN/],
    [{ SYNC_LOG: "off" }, "log", /^warn/],
    [{ SYNC_LOG_LEVEL: "error" }, "log", /^warn/],
    [
      { HOST: "0.0.0.0", SYNC_ORIGIN: "https://a.example", SYNC_ROOM_CREATION: "open" },
      "creation",
      /^warn/,
    ],
  ];
  for (const [env, name, found] of rows) {
    const { checks } = checkSettings(env);
    assert.match(said(checks, name), found, JSON.stringify(env));
    mustAdvise(checks);
  }
  const typo = checkSettings({ SYNC_RATE_LIMT_IP: "9" }).checks[0]!;
  assert.equal(typo.todo, "Is SYNC_RATE_LIMIT_IP meant?");
  const { checks } = checkSettings({
    HOST: "0.0.0.0",
    SYNC_ORIGIN: "https://sync.example.org",
    SYNC_TRUSTED_PROXIES: "10.0.0.7",
    SYNC_METRICS_TOKEN: "a-token-that-is-long-enough",
  });
  assert.deepEqual(problems(reportOf(checks)), []);
});

Deno.test("A machine that cannot keep a database is found out: folder, log beside it, backups, readers", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "sync.db");
    const config = configOf({ SYNC_DB: `file:${path}` });
    await writeFile(path, "x", { mode: 0o644 });
    await chmod(path, 0o644);
    await chmod(folder, 0o755);
    await writeFile(`${path}-wal`, "");
    await truncate(`${path}-wal`, 80 * 2 ** 20);
    const { checks } = await checkMachine(config, { backups: join(folder, "none") });
    assert.match(said(checks, "file"), /^warn.*readable by every user/);
    assert.match(said(checks, "wal"), /^warn: 80 MiB/);
    assert.match(said(checks, "backups"), /^fail: none in/);
    assert.match(said(checks, "lock"), /^note: held by nobody/);
    assert.match(said(checks, "sync"), /^(ok|warn)/);
    mustAdvise(checks);

    const backup = join(folder, "backup.db");
    await writeFile(backup, "x");
    const ofBackups = async (): Promise<string> =>
      said((await checkMachine(config, { backups: folder })).checks, "backups");
    assert.match(await ofBackups(), /^ok: 3, the newest less than an hour old/);
    const days = (n: number): Date => new Date(Date.now() - n * 86_400_000);
    for (const name of await readdir(folder)) await utimes(join(folder, name), days(2), days(2));
    assert.match(await ofBackups(), /^warn.*48 h/);
    for (const name of await readdir(folder)) await utimes(join(folder, name), days(9), days(9));
    assert.match(await ofBackups(), /^fail/);

    const locked = await Deno.open(`${path}.lock`, { create: true, write: true });
    locked.lockSync(true);
    const held = await checkMachine(config, {});
    assert.match(said(held.checks, "lock"), new RegExp(`^ok: held by process ${Deno.pid}`));
    locked.close();
  });
  const nowhere = await checkMachine(configOf({ SYNC_DB: "file:/proc/sync.db" }), {});
  assert.match(said(nowhere.checks, "folder"), /^fail: .*cannot be written/);
});

/** A database as the service leaves it, closed. */
async function withDatabase(run: (url: string, path: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const on = await startService({ folder });
    await makeRoom(on, ["alice"]);
    await on.close();
    await run(on.url, join(folder, "sync.db"));
  });
}

async function change(url: string, sql: string): Promise<void> {
  const db = await Db.open({ url });
  await db.batch([{ sql, args: {} }]);
  db.close();
}

Deno.test("A database that is older, newer, foreign, damaged or away is found out", async (t) => {
  const look = (url: string, isDeep = false) => checkDatabases(configOf({ SYNC_DB: url }), isDeep);
  await t.step("healthy", async () => {
    await withDatabase(async (url) => {
      const checks = await look(url, true);
      assert.deepEqual(checks.filter(({ verdict }) => verdict === "fail"), []);
      assert.match(said(checks, "schema"), /^ok/);
    });
  });
  await t.step("older: a step is missing", async () => {
    await withDatabase(async (url) => {
      await change(url, "DELETE FROM migration WHERE name = '0007_actors'");
      const checks = await look(url);
      assert.match(said(checks, "schema"), /^warn: it lacks 0007_actors/);
      mustAdvise(checks);
    });
  });
  await t.step("newer: a step is unknown", async () => {
    await withDatabase(async (url) => {
      await change(url, "INSERT INTO migration (name, at) VALUES ('9999_to_come', 0)");
      assert.match(said(await look(url), "schema"), /^fail: .*9999_to_come/);
    });
  });
  await t.step("no database of anybody's", async () => {
    await withFolder(async (folder) => {
      const path = join(folder, "sync.db");
      await writeFile(
        path,
        "certainly no database, but long enough to look like a page".repeat(99),
      );
      const checks = await look(`file:${path}`);
      assert.match(said(checks, "reach"), /^fail/);
      mustAdvise(checks);
    });
  });
  await t.step("damaged inside", async () => {
    await withDatabase(async (url, path) => {
      const db = await Db.open({ url });
      await db.all("PRAGMA wal_checkpoint(TRUNCATE)");
      db.close();
      const file = await open(path, "r+");
      const { size } = await file.stat();
      for (let page = 20; page < size / 4_096; page += 2) {
        await file.write(new Uint8Array(4_000).fill(0xa5), 0, 4_000, page * 4_096);
      }
      await file.close();
      const checks = await look(url, true);
      assert.ok(checks.some(({ verdict }) => verdict === "fail"), JSON.stringify(checks));
    });
  });
  await t.step("a server that is away", async () => {
    const checks = await look("http://127.0.0.1:9");
    assert.match(said(checks, "reach"), /^fail: http:\/\/127\.0\.0\.1:9: .*cannot be reached/);
    mustAdvise(checks);
  });
  await t.step("one of several is away", async () => {
    await withDatabase(async (url) => {
      const checks = await checkDatabases(
        configOf({ SYNC_DB: url, SYNC_SHARDS: "http://127.0.0.1:9" }),
        false,
      );
      assert.match(said(checks, "0 reach"), /^(ok|warn)/);
      assert.match(said(checks, "1 reach"), /^fail/);
    });
  });
});

/** What a bad proxy does to an answer of the service. */
type Spoil = (path: string, headers: Headers, status: number, text: string) =>
  | { readonly status: number; readonly text: string }
  | undefined;

/** The service behind a proxy that spoils its answers. */
async function behindProxy(
  on: TestService,
  spoil: Spoil,
  run: (base: URL) => Promise<void>,
): Promise<void> {
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", async () => {
      const path = request.url!;
      const body = chunks.length > 0 ? { body: new TextDecoder().decode(chunks[0]) } : {};
      // What is spoilt here is text.
      const { "accept-encoding": _encoding, ...asked } = request.headers;
      const headers = Object.fromEntries(
        Object.entries(asked).map(([name, value]) => [name, String(value)]),
      );
      const reply = await on.call(request.method!, path, { ...body, headers });
      const spoilt = spoil(path, reply.headers, reply.status, reply.text);
      for (const [name, value] of reply.headers) response.setHeader(name, value);
      response.setHeader("Connection", "close");
      response.writeHead(spoilt?.status ?? reply.status).end(spoilt?.text ?? reply.text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await run(new URL(`http://127.0.0.1:${port}`));
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

Deno.test("What stands in front of a server and spoils its answers is found out", async (t) => {
  const token = "a-token-that-is-long-enough";
  const on = await startService({ env: { SYNC_METRICS_TOKEN: token } });
  const config = configOf({ SYNC_METRICS_TOKEN: token });
  const rows: [what: string, isPublic: boolean, name: string, found: RegExp, spoil: Spoil][] = [
    ["nothing", false, "metrics", /^ok: by token/, () => undefined],
    ["another service answers", false, "answers", /^fail.*is no sync/, (path, headers) => {
      headers.delete("X-Sync-Version");
      return path === "/healthz" ? { status: 200, text: "hello" } : undefined;
    }],
    [
      "it takes no writes",
      false,
      "ready",
      /^fail: 503/,
      (path) => path === "/readyz" ? { status: 503, text: '{"error":"unavailable"}' } : undefined,
    ],
    [
      "the page's policy is lost",
      false,
      "headers",
      /^fail.*Content-Security-Policy/,
      (_path, headers) => {
        headers.delete("Content-Security-Policy");
        return undefined;
      },
    ],
    [
      "well-known paths are lost",
      false,
      "issuer",
      /^fail.*404/,
      (path) => path.startsWith("/.well-known/") ? { status: 404, text: "" } : undefined,
    ],
    [
      "it calls itself something else",
      false,
      "issuer",
      /^fail.*calls itself https:\/\/other/,
      (path) =>
        path.includes("oauth-authorization-server")
          ? { status: 200, text: '{"issuer":"https://other.example"}' }
          : undefined,
    ],
    [
      "metrics are open to everybody",
      true,
      "metrics",
      /fail: open to everybody/,
      (path) => path === "/metrics" ? { status: 200, text: "sync_requests_total 1\n" } : undefined,
    ],
    ["no https", true, "https", /^fail/, () => undefined],
    ["anybody may create rooms", true, "creation", /^warn/, () => undefined],
    [
      "bugs have been",
      false,
      "bugs",
      /^warn: 3 since/,
      (path) =>
        path === "/metrics"
          ? { status: 200, text: 'sync_requests_total{method="GET",route="/",status="500"} 3\n' }
          : undefined,
    ],
    ["its clock is wrong", false, "clock", /^fail/, (_path, headers) => {
      headers.set("Date", new Date(Date.now() - 3_600_000).toUTCString());
      return undefined;
    }],
  ];
  for (const [what, isPublic, name, found, spoil] of rows) {
    await t.step(what, async () => {
      await behindProxy(on, spoil, async (base) => {
        const checks = await checkServer(base, config, isPublic);
        assert.match(said(checks, name), found, JSON.stringify(checks));
        mustAdvise(checks);
      });
    });
  }
  await t.step("nobody listens", async () => {
    const checks = await checkServer(new URL("http://127.0.0.1:9"), undefined);
    assert.match(said(checks, "answers"), /^fail: http:\/\/127\.0\.0\.1:9/);
  });
  await on.close();
});

Deno.test("The doctor's words hold no token, and its lines stand under each other", async () => {
  const env = {
    SYNC_DB: "http://127.0.0.1:9",
    SYNC_DB_TOKEN: "secret-zq1",
    SYNC_METRICS_TOKEN: "secret-zq2",
  };
  const report = await examine(env, { isDeep: false, url: "http://127.0.0.1:9" });
  const text = JSON.stringify(report) + linesOf(report).join("\n");
  assert.ok(!text.includes("zq"));
  assert.equal(report.ok, false);
  const doc = await readFile(new URL("../reference/operations.md", import.meta.url), "utf8");
  assert.ok(doc.includes("deno task doctor"));
});
