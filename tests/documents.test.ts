/** The documents say what is so: examples run, links lead somewhere, nothing is left out. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { OPTIONS } from "../config.ts";
import { ERROR_STATUS } from "../errors.ts";
import { HELP } from "../help-content.ts";
import { ROUTES } from "../http/routes.ts";
import * as limits from "../limits.ts";
import { VERBS } from "../policy.ts";
import type { Json, JsonObject } from "../types.ts";
import { RENDER_TYPES } from "../surfaces.ts";
import { blocksOf, missingFrom, runDocument, serveForDocuments } from "./documents_runner.ts";
import { makeRoom, startService } from "./harness.ts";

const ROOT = new URL("../", import.meta.url);

const NAMES = [...Deno.readDirSync(new URL("reference/", ROOT))]
  .map((entry) => entry.name)
  .filter((name) => name.endsWith(".md"))
  .sort();

/** A document as it is served. */
const SERVED = new Map<string, string>([
  ["README.md", Deno.readTextFileSync(new URL("README.md", ROOT))],
  ...NAMES.map((name): [string, string] => [
    name,
    Deno.readTextFileSync(new URL(`reference/${name}`, ROOT)),
  ]),
]);

/** The documents with the padding of their tables taken out. */
const TEXTS = new Map(
  [...SERVED].map(([name, text]) => [name, text.replace(/ +\|/g, " |").replace(/\| +/g, "| ")]),
);

/** Documents that have to be there. */
const WANTED = [
  "actors.md",
  "api.md",
  "architecture.md",
  "cel.md",
  "errors.md",
  "examples.md",
  "help.md",
  "limits.md",
  "migrating.md",
  "policy.md",
  "surfaces.md",
  "v6.md",
  "v8.md",
  "views.md",
];

for (const [name, text] of SERVED) {
  Deno.test(`the examples of ${name} run`, async () => {
    const service = await serveForDocuments();
    try {
      await runDocument(name, text, service.origin, service.env);
    } finally {
      await service.close();
    }
  });
}

Deno.test("every document that is promised is there and served, and the skill has its front matter", async () => {
  for (const name of WANTED) assert.ok(NAMES.includes(name), `reference/${name} is missing`);
  const on = await startService();
  for (const name of NAMES) {
    const reply = await on.call("GET", `/reference/${name}`);
    assert.equal(reply.status, 200);
    assert.equal(reply.text, SERVED.get(name));
    assert.equal((await on.call("GET", `/reference/${name.slice(0, -3)}`)).status, 200);
  }
  const skill = await on.call("GET", "/SKILL.md");
  assert.equal(skill.text, SERVED.get("README.md"));
  assert.match(skill.text, /^---\nname: sync\ndescription: /);
  await on.close();
});

Deno.test("documents name the service's own origin", async () => {
  const on = await startService({ env: { SYNC_ORIGIN: "https://sync.example.org" } });
  for (const path of ["/SKILL.md", "/reference/api.md"]) {
    const { text } = await on.call("GET", path);
    assert.ok(text.includes("https://sync.example.org") && !text.includes("http://localhost:8787"));
  }
  await on.close();
});

Deno.test("json blocks are JSON", () => {
  for (const [name, text] of SERVED) {
    for (const { language, text: block, line } of blocksOf(text)) {
      if (language !== "json") continue;
      assert.doesNotThrow(() => JSON.parse(block), `${name}:${line}`);
    }
  }
});

Deno.test("examples can be pasted: no comment opens a quote, and no address is left to the shell", () => {
  for (const [name, text] of SERVED) {
    for (const { language, text: block, line } of blocksOf(text)) {
      if (language !== "bash") continue;
      block.split("\n").forEach((command, i) => {
        assert.ok(
          !/^# (?!→).*['`"]/.test(command) || /^# (GET|POST|PUT|PATCH|DELETE|\{)/.test(command),
          `${name}:${line + i}`,
        );
        assert.ok(!/curl .* \$SYNC[^ "]*[?&]/.test(command), `${name}:${line + i}`);
      });
    }
  }
});

/** The anchor that a heading gets. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-");
}

function anchorsIn(text: string): Set<string> {
  return new Set([...text.matchAll(/^#{1,6} (.+)$/gm)].map((match) => anchorOf(match[1]!)));
}

Deno.test("every link between documents leads to a document and a heading", () => {
  for (const [name, text] of TEXTS) {
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      if (target!.endsWith(".png")) {
        assert.ok(Deno.statSync(new URL(`.${target}`, ROOT)).isFile, `${name} shows ${target}`);
        continue;
      }
      const [path, anchor] = target!.split("#");
      const file = path === ""
        ? name
        : path!.replace(/^\/reference\//, "").replace(/^\/SKILL\.md$/, "README.md");
      assert.ok(TEXTS.has(file), `${name} links to ${target}`);
      if (anchor !== undefined) {
        assert.ok(anchorsIn(TEXTS.get(file)!).has(anchor), `${name} links to ${target}`);
      }
    }
  }
});

Deno.test("help keys that documents name exist, and help.md names them all", () => {
  const help = TEXTS.get("help.md")!;
  for (const key of Object.keys(HELP)) {
    assert.ok(help.includes(`\`${key}\``), `help.md does not name ${key}`);
  }
  for (const [name, text] of TEXTS) {
    for (const [, key] of text.matchAll(/help key `([a-z_]+)`|help\/([a-z_]+)\b/g)) {
      if (key !== undefined) {
        assert.ok(Object.hasOwn(HELP, key), `${name} names the help key ${key}`);
      }
    }
  }
});

Deno.test("api.md names every route, and no route that is not there", () => {
  const named = new Set(
    [...TEXTS.get("api.md")!.matchAll(/^### `(GET|POST|PUT|PATCH|DELETE) (\/[^`?]*)/gm)].map((m) =>
      `${m[1]} ${m[2]}`
    ),
  );
  const rooms = ROUTES.map(({ method, path }) => `${method} ${path}`);
  for (const route of rooms) assert.ok(named.has(route), `api.md has no heading for ${route}`);
  for (const route of named) {
    if (route.includes(" /rooms")) {
      assert.ok(rooms.includes(route), `api.md names ${route}, which is not there`);
    }
  }
});

Deno.test("api.md names every door of identity", () => {
  const source = Deno.readTextFileSync(new URL("oauth/routes.ts", ROOT));
  const doors = [...source.matchAll(/app\.(get|post|patch|delete)\("([^"]+)"/g)].map((match) =>
    match[2]!
  );
  assert.ok(doors.length > 20);
  for (const door of doors) {
    assert.ok(TEXTS.get("api.md")!.includes(door), `api.md does not name ${door}`);
  }
});

Deno.test("limits.md names every limit with its value", () => {
  const text = TEXTS.get("limits.md")!;
  for (const [name, value] of Object.entries(limits)) {
    const row = text.split("\n").find((line) => line.includes(`\`${name}\``));
    assert.ok(row, `limits.md lacks ${name}`);
    const shown = value.toLocaleString("en-US").replaceAll(",", " ");
    assert.ok(
      row.includes(`| ${shown} |`),
      `limits.md says another value for ${name}: ${row}, not ${shown}`,
    );
  }
});

Deno.test("errors.md names every code with its status", () => {
  const text = TEXTS.get("errors.md")!;
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    assert.ok(text.includes(`| \`${code}\` | ${status} |`), `errors.md lacks ${code} ${status}`);
  }
  for (const [, code] of text.matchAll(/^\| `([a-z_]+)` \| \d{3} \|/gm)) {
    assert.ok(Object.hasOwn(ERROR_STATUS, code!), `errors.md names ${code}, which is not there`);
  }
});

/** Columns of policy.md's table, and how far each reaches. */
const REACH = { none: 0, read: 1, write: 2, admin: 3, owner: 4 } as const;
const CALLERS = ["none", "read", "write", "owner", "read", "write", "write", "owner"] as const;

Deno.test("policy.md has a row for every verb: what it wants, and who may", () => {
  const rows = [
    ...TEXTS.get("policy.md")!.matchAll(
      /^\| `([a-z.]+)` \| (none|read|write|admin|owner) \|[^|]*\| (.*) \|$/gm,
    ),
  ];
  const told = rows.map(([, verb, level, cells]) => [verb, level, cells]);
  const wanted = Object.entries(VERBS).map(([verb, level]) => {
    const cells = CALLERS.map((caller) => REACH[caller] >= REACH[level] ? "yes" : "no");
    return [verb, level, cells.map((cell) => level === "none" ? "own rules" : cell).join(" | ")];
  });
  assert.deepEqual(told, wanted);
});

Deno.test("architecture.md names every module", async () => {
  const text = TEXTS.get("architecture.md")!;
  for await (const entry of Deno.readDir(ROOT)) {
    if (entry.isFile && entry.name.endsWith(".ts")) {
      assert.ok(text.includes(`\`${entry.name}\``), `architecture.md does not name ${entry.name}`);
    }
  }
});

Deno.test("surfaces.md describes every render type", () => {
  for (const type of RENDER_TYPES) {
    assert.ok(TEXTS.get("surfaces.md")!.includes(`\n### \`${type}\``), `surfaces.md lacks ${type}`);
  }
});

Deno.test("README's table of options is the one of config.ts", () => {
  const rows = [
    ...TEXTS.get("README.md")!.matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]*)` )?\| (.*) \|$/gm),
  ];
  assert.deepEqual(
    rows.map(([, name, fallback, what]) => ({ name, fallback: fallback ?? "", what })),
    OPTIONS.map(({ name, fallback, what }) => ({ name, fallback, what })),
  );
});

/** Words that no document may hold: what belongs to the place it was written in, or to no finished text. */
const FORBIDDEN = [
  /\.\.\/shared/,
  /\/work\//,
  /\/root\//,
  /\bTODO\b/,
  /\bFIXME\b/,
  /registry\.npm/,
  /parc\.land/,
];

Deno.test("documents and help texts keep to themselves", () => {
  const all: [string, string][] = [...TEXTS, ["help-content.ts", JSON.stringify(HELP)]];
  for (const [name, text] of all) {
    for (const word of FORBIDDEN) assert.ok(!word.test(text), `${name} holds ${word}`);
  }
});

/** SHA-256 as architecture.md has it. */
function digest(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

/** A record's hash, from what architecture.md says and nothing else. */
function hashByTheBook(record: JsonObject): string {
  const form: JsonObject = {};
  const salts = record["salts"] as JsonObject;
  const open = ["seq", "ts", "kind", "agent", "actor", "prev", "on_behalf", "session", "action"];
  for (const name of open) if (record[name] !== undefined) form[name] = record[name]!;
  const stand = (part: Json, name: string): string => {
    const salt = salts[name];
    return typeof salt === "string"
      ? digest(salt + canonicalize(part))
      : (part as { hidden: string }).hidden;
  };
  for (const name of ["params", "result", "seen", "signed"]) {
    if (record[name] !== undefined) form[name] = stand(record[name]!, name);
  }
  const writes = record["writes"] as Json[] | undefined;
  if (writes) form["writes"] = writes.map((write, i) => stand(write, `writes.${i}`));
  return digest(canonicalize(form)!);
}

Deno.test("a log verifies by what architecture.md says alone, parts hidden or not", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["alice", "bob"]);
  const { alice, bob } = room.agents;
  const keep = {
    id: "keep",
    params: { what: {} },
    writes: [{ scope: "alice", key: "n", value: "${params.what}" }, { key: "kept", increment: 1 }],
    result: "state._shared.kept.value",
    if: 'agents.bob.value.status == "active"',
  };
  await on.invoke(room.id, "_register_action", keep, alice);
  assert.equal(
    (await on.invoke(room.id, "keep", { what: { deep: ["ä", 1.5e-7, null, true] } }, alice)).status,
    200,
  );
  await on.invoke(room.id, "_send_message", { body: "\u2028 hello" }, bob);
  for (const token of [alice, bob, room.admin, room.view]) {
    const { body } = await on.call("GET", `/rooms/${room.id}/log?proof=true`, { token });
    let prev = "";
    body.records.forEach((record: JsonObject, i: number) => {
      assert.equal(record["seq"], i + 1);
      assert.equal(record["prev"], prev);
      assert.equal(hashByTheBook(record), record["hash"], JSON.stringify(record));
      prev = record["hash"] as string;
    });
    assert.equal(
      JSON.stringify(body).includes('"hidden"'),
      token !== alice && token !== room.admin,
    );
  }
  await on.close();
});

Deno.test("the runner sees what an output lacks", () => {
  assert.equal(missingFrom('{"a":1,"b":2}', '"a":1 … "b":2'), undefined);
  assert.equal(missingFrom('{"a":1,"b":2}', '"b":2 … "a":1'), '"a":1');
  assert.equal(missingFrom('{"error":"not_found"}', "404 not_found"), undefined);
  assert.equal(
    missingFrom('{"error":"not_found"}', "409 precondition_failed"),
    "409 precondition_failed",
  );
  assert.equal(
    missingFrom('{"error":"not_found"}', "400 not_found"),
    "400 not_found (no such refusal)",
  );
});

/** Mounted, and no call: pages for people, what they are made of, and what instances tell each other. */
const NO_CALLS =
  /^(GET \/(auth\/(signin|device|consent|elevate)|manage|manage\/room|recover|overview|static\/.*)|POST \/(auth\/consent|manage\/.*|theme|_wake)|OPTIONS .*)$/;

Deno.test("Every call that is mounted stands in the OpenAPI document, and nothing else does", async () => {
  const on = await startService();
  const { body } = await on.call("GET", "/openapi.json");
  await on.close();
  const told = Object.entries(body.paths as Record<string, Record<string, unknown>>)
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
    );
  // A slash at the end of a path leads to the same.
  const mounted = on.service.routes
    .filter(({ method, path }) => method !== "ALL" && (path === "/" || !path.endsWith("/")))
    .map(({ method, path }) => `${method} ${path.replace(/:([a-z]+)/g, "{$1}")}`)
    .filter((name) => !NO_CALLS.test(name));
  // The door of MCP takes every method, to refuse some itself.
  const mcp = ["POST", "GET", "DELETE"].map((method) => `${method} /mcp`);
  assert.ok(on.service.routes.some(({ path }) => path === "/mcp"));
  assert.deepEqual(told.sort(), [...new Set([...mounted, ...mcp])].sort());
  const operations = Object.values(body.paths as Record<string, Record<string, JsonObject>>)
    .flatMap((methods) => Object.values(methods));
  const ids = operations.map((operation) => operation["operationId"]);
  assert.equal(new Set(ids).size, ids.length);
  for (const { summary } of operations) assert.match(String(summary), /^[A-Z].*[.?]$/);
});
