/** The demo ends by itself, with an outcome, and leaves a room whose log holds together. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measure } from "../bin/demo/worker.ts";
import { freePort } from "./documents_runner.ts";
import { startService } from "./harness.ts";

const ROOT = new URL("../", import.meta.url);

Deno.test("five processes read the documents, vote and stop; the room stays", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-demo-"));
  const SYNC_DB = `file:${join(folder, "sync.db")}`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "bin/demo.ts"],
    cwd: decodeURIComponent(ROOT.pathname),
    env: { PORT: String(freePort()), SYNC_DB, SYNC_LOG: "off", SYNC_ORIGIN: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const told = new TextDecoder().decode(stdout);
  assert.equal(code, 0, told + new TextDecoder().decode(stderr));
  assert.match(told, /coordinator +the outcome: \S+\.md should be split in two/);
  const room = /The room is (\S+)\./.exec(told)![1]!;
  const token = /#token=(\S+)/.exec(told)![1]!;

  const on = await startService({ env: { SYNC_DB } });
  const { body } = await on.call("GET", `/rooms/${room}/context?elision=none`, { token });
  const documents = [...Deno.readDirSync(new URL("reference/", ROOT))].filter((entry) =>
    entry.name.endsWith(".md")
  );
  assert.deepEqual(
    Object.keys(body.state._reports).sort(),
    documents.map(({ name }) => name).sort(),
  );
  assert.equal(body.state._shared.phase.value, "done");
  assert.equal(body.views.votes.value.length, 4);
  assert.equal(body.messages.unclaimed, 0);
  assert.equal((await on.call("GET", `/rooms/${room}/verify`, { token })).body.ok, true);
  await on.close();
  await rm(folder, { recursive: true, force: true });
});

Deno.test("a worker counts headings, links and words outside of code", () => {
  const text =
    "# One\n\nA [link](x.md) here.\n\n```bash\n# no heading\n```\n\n## The longest\n\nmore and more words\n";
  assert.deepEqual(measure(text), {
    words: 12,
    headings: 2,
    links: 1,
    longest_section: "The longest",
  });
});
