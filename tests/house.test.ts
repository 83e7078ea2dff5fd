/**
 * The house rules, as tests over the source: layers and cycles, where SQL, environment, clock and
 * chance may stand, sizes, and that routes and limits are in the policy table and the documents.
 */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { OUTSIDE } from "../http/pages/bundler.ts";
import { ROUTES } from "../http/routes.ts";
import * as limits from "../limits.ts";
import { VERBS } from "../policy.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/**
 * The modules, lowest first: a file and the folder of its name are one module. Each imports only
 * from modules that stand before it.
 */
const LAYERS: readonly (readonly [layer: string, modules: readonly string[]])[] = [
  ["words", ["types", "errors", "limits"]],
  [
    "pure",
    [
      "canonical",
      "config",
      "meters",
      "tracing",
      "input",
      "cel",
      "timers",
      "salience",
      "scopes",
      "templates",
      "builtins",
      "surfaces",
      "rates",
      "actors",
    ],
  ],
  ["store", ["schema", "store", "signing", "signatures"]],
  ["room", ["room", "record", "policy", "quotas", "tokens", "sight", "engine", "auth", "rules"]],
  ["vocabulary", ["views", "actions", "help"]],
  ["read", ["context", "snapshots", "replay", "audit", "retention"]],
  ["actors", ["standing", "judge", "registry", "service-accounts", "memories"]],
  ["nouns", ["rooms", "agents", "members", "messages", "narrowing"]],
  ["history", ["poll", "samples", "memory", "verify", "diff", "export", "fork", "import"]],
  ["verbs", ["embody", "invoke", "eval", "wait", "events", "review", "simulate", "peers"]],
  ["doors", ["oauth", "frontend", "http", "mcp"]],
  ["main", ["host", "main", "serve", "bin", "proof", "bench"]],
];
const ORDER = LAYERS.flatMap(([, modules]) => modules);

/** Files that import one another inside a module, and why that is right. */
const KNIT: readonly (readonly string[])[] = [
  // A macro's body is compiled by the compiler that called it.
  ["cel/compile.ts", "cel/invoke.ts"],
  // The maps that an expression sees look things up with the eyes that evaluate it.
  ["sight.ts", "sight/actors.ts", "sight/availability.ts", "sight/helpers.ts", "sight/maps.ts"],
];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: number;
}

async function readSources(): Promise<Source[]> {
  const sources: Source[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(ROOT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!/^(\..*|tests|data|reference|node_modules|dist)$/.test(entry.name)) await walk(path);
      } else if (/\.tsx?$/.test(entry.name)) {
        const text = await readFile(join(ROOT, path), "utf8");
        sources.push({ path, text, lines: text.split("\n").length - 1 });
      }
    }
  };
  await walk("");
  return sources.sort((a, b) => a.path < b.path ? -1 : 1);
}

const SOURCES = await readSources();
/** What runs on the server: pages' code and measuring are held to the sizes only. */
const SERVED = SOURCES.filter(({ path }) => !/^(frontend|bench|proof)\//.test(path));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isType: boolean;
}

function importsOf({ path, text }: Source): Import[] {
  const found: Import[] = [];
  const add = (target: string, isType: boolean): void => {
    if (target.startsWith(".")) {
      found.push({ from: path, to: normalize(join(dirname(path), target)), isType });
    }
  };
  for (const match of text.matchAll(/^(import|export)\s(type\s)?[^;]*?\sfrom\s"([^"]+)";/gms)) {
    add(match[3]!, match[2] !== undefined);
  }
  for (const match of text.matchAll(/\bimport\("([^"]+)"\)/g)) add(match[1]!, false);
  return found;
}

function moduleOf(path: string): string {
  const first = path.split("/")[0]!.replace(/\.tsx?$/, "");
  return first === "help-content" ? "help" : first;
}

const IMPORTS = SOURCES.flatMap(importsOf);

Deno.test("Every module has its place, and imports only from places before it", () => {
  const wrong: string[] = [];
  for (const { path } of SOURCES) {
    if (!ORDER.includes(moduleOf(path))) wrong.push(`${path} has no place in LAYERS`);
  }
  for (const { from, to } of IMPORTS) {
    const [a, b] = [moduleOf(from), moduleOf(to)];
    const isPlaced = ORDER.includes(a) && ORDER.includes(b);
    if (isPlaced && ORDER.indexOf(a) < ORDER.indexOf(b)) wrong.push(`${from} imports ${to}`);
    if (b === "tests") wrong.push(`${from} imports ${to}`);
  }
  assert.deepEqual(wrong, []);
});

/** Components that draw the same on the server: values in, elements out. */
const SHARED = /^frontend\/(markdown|cel-text)\.tsx$/;
/** What browsers work out as the service does; a build is told by these sources, too. */
const PURE: ReadonlySet<string> = new Set(OUTSIDE);

Deno.test("Pages speak HTTP: the browser's code and the service share what draws text and what is pure", () => {
  const wrong = IMPORTS.filter(({ isType }) => !isType).filter(({ from, to }) => {
    const [a, b] = [moduleOf(from), moduleOf(to)];
    if (a === "frontend") return b !== "frontend" && !PURE.has(to);
    return b === "frontend" && !SHARED.test(to) && a !== "bin";
  });
  assert.deepEqual(wrong.map(({ from, to }) => `${from} imports ${to}`), []);
});

Deno.test("No import goes in a circle, save inside the few modules that say why", () => {
  const graph = new Map<string, string[]>();
  for (const { from, to, isType } of IMPORTS) {
    if (!isType) graph.set(from, [...graph.get(from) ?? [], to]);
  }
  const circles = circlesOf(graph).map((circle) => circle.sort());
  const unknown = circles.filter((circle) =>
    !KNIT.some((knit) => circle.every((path) => knit.includes(path)))
  );
  assert.deepEqual(unknown, []);
});

/** Strongly connected components of more than one file (Tarjan). */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>(), low = new Map<string, number>();
  const stack: string[] = [], circles: string[][] = [];
  const visit = (at: string): void => {
    index.set(at, index.size);
    low.set(at, index.get(at)!);
    stack.push(at);
    for (const next of graph.get(at) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(at, Math.min(low.get(at)!, low.get(next)!));
    }
    if (low.get(at) !== index.get(at)) return;
    const circle = stack.splice(stack.indexOf(at));
    if (circle.length > 1) circles.push(circle);
  };
  for (const at of graph.keys()) if (!index.has(at)) visit(at);
  return circles;
}

/** Lines that a pattern meets outside comments, in files that `isAllowed` does not name. */
function findings(pattern: RegExp, isAllowed: (path: string) => boolean): string[] {
  return SERVED.filter(({ path }) => !isAllowed(path)).flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, i) =>
      pattern.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line)
        ? [`${path}:${i + 1} ${line.trim().slice(0, 80)}`]
        : []
    )
  );
}

Deno.test("SQL stands in the store and the schema, and nowhere else", () => {
  const sql =
    /\b(SELECT\s.+\sFROM|INSERT\s+(OR\s\w+\s)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE|PRAGMA)\b/;
  assert.deepEqual(findings(sql, (path) => /^(store\.ts|store\/|schema\.ts)/.test(path)), []);
});

Deno.test("No statement takes every column, but one that goes around another as it is", () => {
  assert.deepEqual(findings(/SELECT \*/, (path) => path === "store/remote.ts"), []);
});

Deno.test("The environment is read by the configuration and those who start the service", () => {
  const readers = /^(config|host|serve)\.ts$|^bin\//;
  assert.deepEqual(findings(/Deno\.env|process\.env/, (path) => readers.test(path)), []);
});

/** Who may ask the machine for time or chance, and for what. */
const UNSTEADY: Readonly<Record<string, string>> = {
  "engine/types.ts": "the clock itself",
  "engine.ts": "room uids",
  "tokens.ts": "secrets",
  "service-accounts.ts": "ids of accounts",
  "host.ts": "request ids and the process",
  "main.ts": "the pause before what listens is closed",
  "tracing/": "how long the last spans are waited for",
  "meters.ts": "how long things take, for metrics alone",
  "http/metrics/": "how late the event loop runs",
  "http/answer.ts": "request ids",
  "serve.ts": "the process",
  "http/call.ts": "request ids and their duration",
  "http/render.ts": "request ids",
  "store/db.ts": "pauses between tries",
  "store/remote.ts": "how long a stream was idle",
  "bin/": "the operator's tools",
  "oauth/": "secrets, challenges and ids of grants",
  "mcp/": "session and request ids",
  "cel/convert.ts": "never: conversions of given instants only",
};

Deno.test("Time and chance enter at the doors", () => {
  const unsteady =
    /\bDate\.now\(|new Date\(\)|performance\.now\(|Math\.random\(|randomUUID\(|randomBytes\(|getRandomValues\(|\bset(Timeout|Interval)\(/;
  const isAllowed = (path: string): boolean =>
    Object.keys(UNSTEADY).some((name) => path.startsWith(name));
  assert.deepEqual(findings(unsteady, isAllowed), []);
});

/** Files of data, whose length is free. */
const DATA =
  /^(schema\.ts|help-content\.ts|help\/|builtins\.ts|limits\.ts|errors\.ts|oauth\/documents\.ts)/;
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

Deno.test("Code files have at most 400 lines", () => {
  const long = SOURCES.filter(({ path, lines }) => !DATA.test(path) && lines > FILE_LINES_MAX);
  assert.deepEqual(long.map(({ path, lines }) => `${path}: ${lines} lines`), []);
});

interface Finding {
  readonly message: string;
  readonly range: readonly [number, number];
}

/** What a walk over the syntax tree finds: long functions, empty catches, `any`. */
const RULES: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "short-functions": {
      create(context) {
        const check = (node: Deno.lint.Node): void => {
          const [from, to] = node.range;
          const lines = context.sourceCode.text.slice(from, to).split("\n").length;
          if (lines > FUNCTION_LINES_MAX) {
            context.report({ node, message: `a function of ${lines} lines` });
          }
        };
        return {
          FunctionDeclaration: check,
          FunctionExpression: check,
          ArrowFunctionExpression: check,
        };
      },
    },
    "no-empty-catch": {
      create: (context) => ({
        CatchClause(node) {
          if (node.body.body.length === 0) context.report({ node, message: "an empty catch" });
        },
      }),
    },
    "no-any": {
      create: (context) => ({
        TSAnyKeyword(node) {
          context.report({ node, message: "any" });
        },
      }),
    },
  },
};

Deno.test("Functions have at most 70 lines; no catch is empty; nothing is any", () => {
  const wrong = SOURCES.flatMap(({ path, text }) =>
    (Deno.lint.runPlugin(RULES, path, text) as readonly Finding[]).map(({ message, range }) =>
      `${path}:${text.slice(0, range[0]).split("\n").length} ${message}`
    )
  );
  assert.deepEqual(wrong, []);
});

Deno.test("No check is switched off, nothing is left to do, and no file has a name for anything", () => {
  const wrong = SOURCES.flatMap(({ path, text }) => {
    const found = text.match(/@ts-(ignore|nocheck|expect-error)|\b(TODO|FIXME|XXX|HACK)\b/);
    return found ? [`${path}: ${found[0]}`] : [];
  });
  const vague = SOURCES.filter(({ path }) =>
    /(^|[/_-])(utils?|helpers?|common|misc|v2)([._/-]|$)/.test(path)
  )
    .filter(({ path }) => path !== "sight/helpers.ts");
  assert.deepEqual([...wrong, ...vague.map(({ path }) => `${path}: a name for anything`)], []);
});

Deno.test("Every file begins with a comment of at most five lines that says what it is for", () => {
  const wrong = SOURCES.filter(({ text }) => {
    const header = /^\/\*\*([\s\S]*?)\*\//.exec(text.replace(/^#!.*\n/, ""));
    return !header || header[1]!.trim().split("\n").length > 12;
  });
  assert.deepEqual(wrong.map(({ path }) => path), []);
});

Deno.test("Nothing names this workplace", () => {
  const places = [["..", "shared"], ["", "work", ""]].map((parts) => parts.join("/"));
  const hosts = ["npm" + "js", "j" + "sr"].flatMap((
    name,
  ) => [`${name}.org`, `registry.${name}`, `${name}.io`]);
  const names = [...places, ...hosts];
  const wrong = SOURCES.filter(({ text }) => names.some((name) => text.includes(name)));
  assert.deepEqual(wrong.map(({ path }) => path), []);
});

async function document(name: string): Promise<string> {
  try {
    return await readFile(join(ROOT, "reference", name), "utf8");
  } catch (error) {
    throw new Error(`reference/${name} is not there yet: it has to name what this test looks for`, {
      cause: error,
    });
  }
}

Deno.test("Every route takes a verb of the policy table", () => {
  const wrong = ROUTES.filter(({ verb }) =>
    verb !== "open" && verb !== "token" && !Object.hasOwn(VERBS, verb)
  );
  assert.deepEqual(wrong.map(({ method, path }) => `${method} ${path}`), []);
  const names = ROUTES.map(({ method, path }) => `${method} ${path}`);
  assert.equal(new Set(names).size, names.length);
});

Deno.test("Every route is in reference/api.md", async () => {
  const api = await document("api.md");
  const bare = (path: string): string => path.replace(/[:{]([a-z_]+)\}?/g, ":x");
  const text = api.split("\n").map(bare).join("\n");
  const missing = ROUTES.filter(({ method, path }) => {
    const pattern = new RegExp(
      `${method}\\s+\\S*${bare(path).replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")}(?![A-Za-z/:])`,
    );
    return !pattern.test(text);
  });
  assert.deepEqual(missing.map(({ method, path }) => `${method} ${path}`), []);
});

Deno.test("Every limit is in reference/limits.md", async () => {
  const text = await document("limits.md");
  const missing = Object.keys(limits).filter((name) => !text.includes(name));
  assert.deepEqual(missing, []);
});
