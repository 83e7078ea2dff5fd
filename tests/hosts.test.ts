/**
 * The service on the hosts that `reference/deploy.md` names, each with the permissions it has
 * there: a val, a function with network and environment only, `deno serve`, systemd and a
 * container's own commands. The same walk everywhere.
 */
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rewritten, VAL_FILE_CHARS_MAX, valFiles } from "../bin/val.ts";
import { SHIPPED_PATH, shippedModule } from "../bin/build.ts";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import {
  copyAsImage,
  host,
  type Hosted,
  inFolder,
  ROOT,
  runDeno,
  withHost,
  writeFiles,
} from "./hosts_process.ts";
import { walk } from "./hosts_walk.ts";
import { send } from "./harness.ts";

/** All that a function's host grants. */
const SANDBOX = ["--no-prompt", "--cached-only", "--allow-net", "--allow-env"];

/** A server that calls a default export, as hosts do: nobody is the main module. */
const RUNNER = `import handler from "./ENTRY";
Deno.serve(
  { port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1" },
  (request) => handler(request),
);
`;

/** A host's own database: what it is known to offer, and nothing else. */
const HOST_DATABASE = `import { createClient } from "npm:@libsql/client@0.18.0/web";
const { execute, batch } = createClient({ url: Deno.env.get("HOST_DATABASE")! });
const whole = createClient({ url: Deno.env.get("HOST_DATABASE")! });
export const client = {
  execute: (...asked: Parameters<typeof execute>) => whole.execute(...asked),
  batch: (...asked: Parameters<typeof batch>) => whole.batch(...asked),
};
`;

Deno.test("What is shipped is what lies in the folders", async () => {
  const found = await readFile(SHIPPED_PATH, "utf8");
  assert.equal(found, await shippedModule(), "run `deno task build`");
});

Deno.test("A val is made of files that the host takes: names, sizes, imports", async () => {
  const files = await valFiles(true);
  assert.match(files.get("database.ts")!, /^export \{ default as client \} from "https:/m);
  const triggers = [...files.keys()].filter((path) => /http|cron|email/.test(path));
  assert.deepEqual(triggers, ["main.http.ts"]);
  for (const [path, text] of files) {
    assert.match(path, /^([\w.-]{1,80}\/)*[\w.-]{1,80}$/);
    assert.ok(text.length <= VAL_FILE_CHARS_MAX, path);
    assert.doesNotMatch(text, / with \{ type: /, path);
    if (!path.endsWith(".md.0.ts")) {
      for (const [, name] of text.matchAll(/^import .*from "([^"]+)";$/gm)) {
        assert.match(name!, /^(\.{1,2}\/|npm:.+@\d|node:)/, path);
      }
    }
  }
  assert.equal(
    rewritten(
      "a.tsx",
      'import { h } from "hono/html";\nimport x from "./http/y.css" with { type: "text" };',
    ),
    `/** @jsxRuntime automatic @jsxImportSource npm:preact@11.2.0 */
import { h } from "npm:hono@4.13.19/html";
import x from "./door/y.css.ts";`,
  );
});

Deno.test("A function with network and environment only: over a libSQL URL, and as a val with the host's database", async (t) => {
  const server = await openLibsqlServer();
  try {
    await t.step(
      "main.ts and serve.ts, built, over a URL; waits no longer than the host allows",
      () =>
        inFolder(async (folder) => {
          await copyAsImage(folder);
          await runDeno(["task", "build"], folder);
          await writeFile(join(folder, "run.ts"), RUNNER.replace("ENTRY", "main.ts"));
          const env = {
            SYNC_DB: server.url,
            SYNC_ROOM_CREATION: "open",
            SYNC_WAIT_MS_MAX: "300",
          };
          await withHost(
            host({ cwd: folder, args: ["run", ...SANDBOX, "run.ts"], env }),
            async (on) => {
              const room = await openRoom(on, "short");
              const waited = await send(fetch, "GET", `${on.url}/rooms/short/wait?timeout=50000`, {
                token: room,
              });
              assert.equal(waited.body?.timeout, true, waited.text);
              assert.equal(await on.stop("SIGTERM"), 0, on.output());
            },
          );
          const longer = { ...env, SYNC_WAIT_MS_MAX: "" };
          await withHost(
            host({ cwd: folder, args: ["run", ...SANDBOX, "run.ts"], env: longer }),
            (on) => walk(on, "by-url"),
          );
          // As Deno Deploy does: a program that listens, and is told to end by SIGINT.
          const program = { ...longer, HOST: "0.0.0.0" };
          await withHost(
            host({ cwd: folder, args: ["run", ...SANDBOX, "serve.ts"], env: program }),
            async (on) => {
              await walk(on, "by-program");
              assert.equal(await on.stop("SIGINT"), 0, on.output());
            },
          );
        }),
    );
    await t.step(
      "a val in plain files, two processes over the host's database",
      () =>
        inFolder(async (folder) => {
          await writeFiles(folder, await valFiles(true));
          await writeFile(join(folder, "database.ts"), HOST_DATABASE);
          await writeFile(join(folder, "run.ts"), RUNNER.replace("ENTRY", "main.http.ts"));
          await copyFile(join(ROOT, "deno.lock"), join(folder, "val.lock"));
          const args = ["run", "--no-config", "--lock=val.lock", ...SANDBOX];
          const env = { HOST_DATABASE: server.url, SYNC_ROOM_CREATION: "open" };
          const start = () => host({ cwd: folder, args: [...args, "run.ts"], env });
          await withHost(start(), async (one) => {
            await walk(one, "by-client");
            await withHost(start(), (two) => shareRooms(one, two));
          });
        }),
    );
  } finally {
    await server.dispose();
  }
});

/** Makes a room where anybody may; answers its admin's token. */
async function openRoom(on: Hosted, id: string, token?: string): Promise<string> {
  const made = await send(fetch, "POST", `${on.url}/rooms`, { token, body: { id } });
  assert.equal(made.status, 201, made.text);
  return made.body.token;
}

/** What one isolate writes wakes a wait in another. */
async function shareRooms(one: Hosted, two: Hosted): Promise<void> {
  const token = await openRoom(one, "shared");
  const waiting = send(fetch, "GET", `${two.url}/rooms/shared/wait?since=1&timeout=20000`, {
    token,
  });
  const sent = await send(
    fetch,
    "POST",
    `${one.url}/rooms/shared/actions/_send_message/invoke`,
    { token, body: { params: { body: "hello" } } },
  );
  assert.equal(sent.status, 201, sent.text);
  const woken = await waiting;
  assert.equal(woken.body?.triggered, true, woken.text);
}
