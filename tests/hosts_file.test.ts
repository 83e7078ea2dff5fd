/**
 * The service over a file, on hosts that run it on a machine: `deno serve`, systemd's unit and the
 * container's own command, each from the text that operators use, with the permissions it names.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Reply, send } from "./harness.ts";
import {
  copyAsImage,
  host,
  type Hosted,
  inFolder,
  ROOT,
  runDeno,
  withHost,
} from "./hosts_process.ts";
import { walk } from "./hosts_walk.ts";

/** Commands as operators are given them, without the program's own name. */
const COMMANDS: Readonly<Record<string, (text: string) => string[]>> = {
  "reference/deploy.md": (text) => words(/^ *deno (serve (?:.|\\\n)*main\.ts)$/m, text),
  "deploy/sync.service": (text) =>
    words(/^ExecStart=\/usr\/local\/bin\/deno ((?:.|\\\n)*serve\.ts)$/m, text),
  "deploy/Containerfile": (text) => {
    const [program, ...args] = JSON.parse(/^CMD (\[.*\])$/m.exec(text)![1]!) as string[];
    assert.equal(program, "deno");
    return args;
  },
};

function words(pattern: RegExp, text: string): string[] {
  const found = pattern.exec(text);
  assert.ok(found, `${pattern} is not there`);
  return found[1]!.replaceAll("\\\n", " ").trim().split(/\s+/);
}

async function npmCache(): Promise<string> {
  return JSON.parse(await runDeno(["info", "--json"], ROOT)).npmCache;
}

/** A place for one command: a copy of the program, built, and an empty folder for the data. */
async function inPlace(
  file: string,
  run: (start: () => Promise<Hosted>, data: string, app: string) => Promise<void>,
): Promise<void> {
  const command = COMMANDS[file]!(await readFile(join(ROOT, file), "utf8"));
  await inFolder(async (folder) => {
    const app = join(folder, "app"), data = join(folder, "data");
    await copyAsImage(app);
    await mkdir(data);
    await runDeno(["task", "build"], app);
    const npm = await npmCache();
    const args = command.map((word) =>
      word.replace(/\/(srv\/sync|var\/lib\/sync|data)$/, data).replace("/opt/deno/npm", npm)
        .replace(/^8787$/, "PORT")
    );
    const env = { SYNC_DB: `file:${join(data, "sync.db")}` };
    await run(() => host({ cwd: app, args, env }), data, app);
  });
}

for (const file of Object.keys(COMMANDS)) {
  Deno.test(`The command of ${file} serves everything with the permissions it names, and stops when told`, async () => {
    await inPlace(file, async (start, data, app) => {
      // The operator's way in without a browser, before and beside the service.
      const env = { SYNC_DB: `file:${join(data, "sync.db")}` };
      const mint = ["run", "-A", "bin/token.ts", "--user", "olga", "--scope"];
      const token = (await runDeno([...mint, "rooms:* create_rooms"], app, env)).trim();
      await withHost(start(), async (on) => {
        await walk({ ...on, token }, "walked");
        const waiting = await someoneWaits(on, token);
        const ended = on.stop("SIGTERM");
        const { body, text } = await waiting.answer;
        assert.equal(body?.closing, true, text);
        assert.equal(await ended, 0, on.output());
      });
      const beside = await stat(join(data, "sync.db-wal")).catch(() => undefined);
      assert.equal(beside?.size ?? 0, 0, "what is acknowledged lies in the file itself");
    });
  });
}

/** Lets an agent wait, and comes back when everybody can see that it does. */
async function someoneWaits(on: Hosted, token: string): Promise<{ answer: Promise<Reply> }> {
  const call = (method: string, path: string, as: string, body?: unknown): Promise<Reply> =>
    send(fetch, method, on.url + path, { token: as, ...(body === undefined ? {} : { body }) });
  await call("POST", "/rooms", token, { id: "left" });
  const joined = await call("POST", "/rooms/left/agents", token, { id: "alice" });
  assert.equal(joined.status, 201, joined.text);
  const answer = call("GET", "/rooms/left/wait?condition=false&timeout=50000", joined.body.token);
  for (;;) {
    const { body, text } = await call("GET", "/rooms/left/context?only=agents", token);
    assert.ok(body?.agents?.alice, text);
    if (body.agents.alice.value.status === "waiting") return { answer };
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
