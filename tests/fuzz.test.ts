/**
 * Requests made from the OpenAPI document and from malice: whatever comes in, what goes out is
 * JSON, names an error of the closed list, carries a request id, and is never the service's fault.
 */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { ERROR_STATUS } from "../errors.ts";
import { BODY_BYTES_MAX } from "../limits.ts";
import {
  makeRoom,
  ManualClock,
  mustVerify,
  ORIGIN,
  startService,
  type TestRoom,
  type TestService,
  turns,
} from "./harness.ts";

const SEED = Deno.env.get("FC_SEED");
const RUNS = {
  numRuns: Number(Deno.env.get("FC_RUNS") ?? 60),
  ...(SEED ? { seed: Number(SEED) } : {}),
};

interface World {
  readonly on: TestService;
  readonly clock: ManualClock;
  readonly room: TestRoom;
  readonly tokens: readonly (string | undefined)[];
}

async function open(): Promise<World> {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice", "bob"], { id: "r" });
  const put = {
    id: "put",
    writes: [{ scope: "${params.s}", key: "${params.k}", value: "${params.v}" }],
  };
  await on.invoke("r", "_register_action", put, room.admin);
  await on.invoke("r", "put", { s: "_shared", k: "k", v: { a: [1, "x", null] } }, room.admin);
  await on.invoke("r", "_send_message", { body: "m", kind: "task" }, room.agents["alice"]);
  return {
    on,
    clock,
    room,
    tokens: [room.admin, room.agents["alice"], room.agents["bob"], room.view, undefined],
  };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly token?: string | undefined;
  readonly body?: string | Uint8Array | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends it, lets time pass for those who wait, and judges what every reply must be. */
async function judge(
  { on, clock }: World,
  asked: Asked,
): Promise<{ status: number; text: string }> {
  const what = `${asked.method} ${asked.path} ${
    typeof asked.body === "string" ? asked.body.slice(0, 300) : ""
  }`;
  const headers = new Headers({ "Content-Type": "application/json", ...asked.headers });
  if (asked.token !== undefined) headers.set("Authorization", `Bearer ${asked.token}`);
  const hasBody = asked.body !== undefined && !["GET", "HEAD"].includes(asked.method);
  const request = new Request(ORIGIN + asked.path, {
    method: asked.method,
    headers,
    ...(hasBody ? { body: asked.body as string } : {}),
  });
  let isDone = false;
  const replying = on.service.fetch(request).finally(() => isDone = true);
  for (let i = 0; i < 6 && !isDone; i++) await turns(2);
  if (!isDone) await clock.advance(56_000);
  const response = await replying;
  assert.match(response.headers.get("X-Request-Id") ?? "", /^\S+$/, `${what}: no X-Request-Id`);
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("text/event-stream")) {
    await response.body?.cancel();
    return { status: response.status, text: "" };
  }
  const text = await response.text();
  assert.ok(response.status < 500, `${what}: ${response.status} ${text}`);
  if (response.status === 204 || asked.method === "HEAD") return { status: response.status, text };
  if (response.status >= 400) mustBeRefusal(response.status, text, what);
  else if (type.includes("json")) JSON.parse(text);
  return { status: response.status, text };
}

function mustBeRefusal(status: number, text: string, what: string): void {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(`${what}: ${status} is no JSON: ${text.slice(0, 200)}`);
  }
  assert.equal(typeof body["message"], "string", `${what}: ${text}`);
  assert.equal(
    (ERROR_STATUS as Record<string, number>)[String(body["error"])],
    status,
    `${what}: ${text}`,
  );
  if (body["error"] === "invalid_argument") {
    assert.equal(typeof body["field"], "string", `${what}: ${text}`);
  }
}

const BODIES: readonly [string, string | Uint8Array][] = [
  ["nothing", ""],
  ["blank", "   "],
  ["half a JSON", '{"params":'],
  ["a trailing comma", '{"a":1,}'],
  ["a comment", "{/*x*/}"],
  ["two values", "{}{}"],
  ["single quotes", "{'a':1}"],
  ["null", "null"],
  ["a list", "[]"],
  ["a list of lists", "[[[[]]]]"],
  ["a number", "1"],
  ["text", '"x"'],
  ["true", "true"],
  ["NaN", '{"a":NaN}'],
  ["Infinity", '{"params":{"v":Infinity}}'],
  ["1e400", '{"params":{"v":1e400},"timeout":1e400}'],
  ["-1e400", '{"params":{"seq":-1e400}}'],
  ["an integer past 2^53", '{"params":{"v":9007199254740993,"seq":9007199254740993}}'],
  ["a huge integer", `{"params":{"v":${"9".repeat(400)}}}`],
  ["a tiny number", '{"params":{"v":1e-400}}'],
  ["negative zero", '{"params":{"v":-0}}'],
  ["a lone surrogate", '{"params":{"v":"\\ud800","k":"\\udfff"},"id":"\\ud800"}'],
  ["a lone surrogate as a name", '{"params":{"\\ud800":1},"\\udc00":2}'],
  [
    "NUL",
    '{"params":{"v":"\\u0000","k":"a\\u0000b"},"id":"a\\u0000","label":"\\u0000","name":"\\u0000"}',
  ],
  [
    "__proto__",
    '{"__proto__":{"admin":true},"params":{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}}}}',
  ],
  ["the same name twice", '{"params":{"v":1},"params":{"v":2}}'],
  ["64 deep", `{"params":${"[".repeat(62)}${"]".repeat(62)}}`],
  ["70 deep", `{"params":${"[".repeat(70)}${"]".repeat(70)}}`],
  ["100 000 deep", "[".repeat(100_000)],
  ["100 000 deep and closed", `{"params":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
  ["many names", `{"params":{${Array.from({ length: 20_000 }, (_, i) => `"k${i}":1`).join(",")}}}`],
  ["too large", `{"params":{"v":"${"x".repeat(BODY_BYTES_MAX)}"}}`],
  ["a BOM", "\ufeff{}"],
  ["invalid UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ["an overlong NUL", new Uint8Array([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
  ["a surrogate in UTF-8", new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ["UTF-16", new Uint8Array([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00])],
  ["gzip", new Uint8Array([0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00])],
];

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly schema: Schema | undefined;
}

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
}

async function operations(): Promise<Operation[]> {
  const on = await startService();
  const { body } = await on.call("GET", "/openapi.json");
  await on.close();
  const found: Operation[] = [];
  for (
    const [path, methods] of Object.entries(
      body.paths as Record<string, Record<string, Record<string, unknown>>>,
    )
  ) {
    for (const [method, operation] of Object.entries(methods)) {
      // The doors of identity and of MCP have fuzzing of their own.
      if (operation["x-verb"] === undefined) continue;
      const media = operation["requestBody"] as
        | { content: Record<string, { schema: Schema }> }
        | undefined;
      found.push({
        method: method.toUpperCase(),
        path,
        parameters: (operation["parameters"] ?? []) as Operation["parameters"],
        schema: media?.content["application/json"]?.schema,
      });
    }
  }
  assert.ok(found.length >= 25);
  return found;
}

/** What DELETE of the room would end for all others. */
const isEnding = ({ method, path }: Operation): boolean =>
  method === "DELETE" && path === "/rooms/{id}";

Deno.test("Bodies of every odd kind, at every call that takes one", async () => {
  for (const operation of await operations()) {
    if (operation.method === "GET" || isEnding(operation)) continue;
    const world = await open();
    const path = operation.path.replace("{id}", "r").replace("{action}", "put")
      .replace("{agent}", "zed").replace("{did}", "did:sync:agent:x")
      .replace(/\{\w+\}/g, "x");
    for (const [name, body] of BODIES) {
      for (const token of [world.tokens[0], world.tokens[1]]) {
        const { status, text } = await judge(world, {
          method: operation.method,
          path,
          token,
          body,
        });
        const isTooLarge = name === "too large" && operation.schema !== undefined;
        if (isTooLarge) {
          assert.ok([413, 401, 403, 404].includes(status), `${operation.method} ${path}: ${text}`);
        }
      }
    }
    await mustVerify(world.on, world.room);
    await world.on.close();
  }
});

const ODD_TEXT = [
  "",
  " ",
  "%00",
  "%2F",
  "%2e%2e",
  "..%2f..%2fetc%2fpasswd",
  "%E0%A4%A",
  "%FF%FE",
  "%ED%A0%80",
  "%C0%80",
  "%",
  "%zz",
  "+",
  "a%20b",
  "%F0%9F%92%A9",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "toString",
  "_agents",
  "self",
  "-1",
  "0",
  "1e3",
  "1.5",
  "NaN",
  "9007199254740993",
  "99999999999999999999",
  "null",
  "undefined",
  "true",
  "[object%20Object]",
  "'%3BDROP%20TABLE%20room%3B--",
  "%22",
  "%0d%0aX-Injected:%201",
  "a".repeat(300),
  "%F0%9F%92%A9".repeat(50),
  "a,b,,c,",
  "_shared.*",
  ".",
  "..",
  "a.",
  ".a",
  "_views.x",
  "1%20%2B",
  "state",
];

Deno.test("Paths with every oddity in every place", async () => {
  const world = await open();
  for (const operation of await operations()) {
    const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    for (const odd of ODD_TEXT) {
      for (const at of names) {
        const fill = (_: string, name: string): string =>
          name === at ? odd : name === "id" ? "r" : name === "action" ? "put" : "1";
        const path = operation.path.replace(/\{(\w+)\}/g, fill);
        for (const token of [world.tokens[0], world.tokens[3], undefined]) {
          await judge(world, { method: operation.method, path, token, body: "{}" });
        }
      }
    }
  }
  const others = [
    "//",
    "/rooms//",
    "/rooms/r//context",
    "/ROOMS/r",
    "/rooms/r/",
    "/%2Frooms",
    "/reference/..%2f..%2fserve.ts",
    "/reference/%00",
    "/reference/__proto__",
    "/.env",
    "/rooms/r/context/",
    "/*",
    "/rooms/r/actions//invoke",
  ];
  for (const path of others) {
    for (const method of ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]) {
      await judge(world, { method, path, body: "{}" });
    }
  }
  await mustVerify(world.on, world.room);
  await world.on.close();
});

Deno.test("Every parameter of every query with every oddity", async () => {
  const world = await open();
  for (const operation of await operations()) {
    const path = operation.path.replace("{id}", "r").replace("{scope}", "_shared").replace(
      "{action}",
      "put",
    ).replace(/\{\w+\}/g, "1");
    for (const { name } of operation.parameters.filter((parameter) => parameter.in === "query")) {
      for (const odd of ODD_TEXT) {
        for (const token of [world.tokens[0], world.tokens[1]]) {
          const query = `${name}=${odd}&${name}=${odd}`;
          await judge(world, {
            method: operation.method,
            path: `${path}?${query}`,
            token,
            body: "{}",
          });
        }
      }
    }
  }
  await world.on.close();
});

Deno.test("Headers with every oddity", async () => {
  const world = await open();
  const headers: Record<string, string>[] = [
    ...[
      "",
      " ",
      "Bearer",
      "Bearer ",
      "Basic YTpi",
      "bearer x",
      "Bearer a b",
      `Bearer ${"x".repeat(5000)}`,
      "Bearer tok_\u00e9",
      "null",
    ].map((text) => ({ Authorization: text })),
    ...["", " ", "x".repeat(256), "\u00e9", "a,b", "null"].map((text) => ({
      "Idempotency-Key": text,
    })),
    ...[
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
      "application/json; charset=utf-16",
      "x",
    ].map((text) => ({ "Content-Type": text })),
    { "Content-Length": "-1" },
    { "Content-Length": "99999999999" },
    { Host: "" },
    { Origin: "null" },
    { "Last-Event-ID": "x" },
    { Accept: "text/html" },
    { "Content-Encoding": "gzip" },
  ];
  for (const odd of headers) {
    for (
      const [method, path, body] of [
        ["POST", "/rooms/r/actions/put/invoke", '{"params":{"s":"_shared","k":"h","v":1}}'],
        ["GET", "/rooms/r/context", undefined],
        ["POST", "/rooms", "{}"],
        ["GET", "/rooms/r/events", undefined],
      ] as const
    ) {
      await judge(world, { method, path, body, token: world.tokens[1], headers: odd });
    }
  }
  await world.on.close();
});

const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    "",
    "r",
    "alice",
    "_shared",
    "state._shared.k.value",
    "${params.v}",
    "${",
    0,
    -1,
    1e15,
    null,
    true,
    [],
    {},
  ),
  fc.string({ unit: "binary", maxLength: 20 }).filter((text) => text.isWellFormed()),
);

/** Values that fit a schema, more or less: one in a few does not. */
function fitting(schema: Schema | undefined, depth = 0): fc.Arbitrary<unknown> {
  if (!schema || depth > 4) return anything;
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return fc.oneof(...options.map((option) => fitting(option, depth + 1)));
  if (schema.allOf) return fitting(schema.allOf[0], depth);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case "object":
      return objects(schema, depth);
    case "array":
      return fc.array(fitting(schema.items, depth + 1), { maxLength: 3 });
    case "string":
      return fc.oneof(
        fc.constantFrom(
          "alice",
          "x",
          "_shared",
          "true",
          "state._shared.k.value > 1",
          "${params.v}",
        ),
        fc.string({ maxLength: 12 }),
      );
    case "integer":
    case "number":
      return fc.oneof(fc.integer(), fc.constantFrom(0, 1, 3, -1, 0.5, 1e308));
    case "boolean":
      return fc.boolean();
    default:
      return anything;
  }
}

function objects(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const members = Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, member]) => [
      name,
      fc.oneof({ weight: 5, arbitrary: fitting(member, depth + 1) }, {
        weight: 1,
        arbitrary: anything,
      }),
    ]),
  );
  const record = fc.record(members, { requiredKeys: [], noNullPrototype: true });
  if (typeof schema.additionalProperties !== "object") return record;
  const rest = fc.dictionary(
    fc.string({ maxLength: 8 }),
    fitting(schema.additionalProperties, depth + 1),
    { maxKeys: 3, noNullPrototype: true },
  );
  return fc.tuple(record, rest).map(([a, b]) => ({ ...b, ...a as object }));
}

Deno.test("Bodies made from the schemas that validate them, at every call", async () => {
  for (const operation of await operations()) {
    if (operation.method === "GET" || isEnding(operation)) continue;
    const world = await open();
    const path = operation.path.replace("{id}", "r").replace("{agent}", "bob").replace(
      /\{\w+\}/g,
      "put",
    );
    await fc.assert(
      fc.asyncProperty(
        fitting(operation.schema),
        fc.constantFrom(...world.tokens),
        async (body, token) => {
          await judge(world, { method: operation.method, path, token, body: JSON.stringify(body) });
        },
      ),
      RUNS,
    );
    await mustVerify(world.on, world.room);
    await world.on.close();
  }
});

/** Mostly what is wanted, now and then anything. */
function mostly(...wanted: readonly fc.Arbitrary<unknown>[]): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 30, arbitrary: fc.oneof(...wanted) }, {
    weight: 1,
    arbitrary: anything,
  });
}

/** Mostly left out. */
function seldom(arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

const words = (...among: readonly unknown[]): fc.Arbitrary<unknown> =>
  mostly(fc.constantFrom(...among));

const timer = mostly(
  fc.record({ ms: fc.integer({ min: 1, max: 3000 }), effect: fc.constantFrom("delete", "enable") }),
  fc.record({
    ticks: fc.integer({ min: 1, max: 3 }),
    tick_on: fc.constantFrom("_shared.k", "state._shared.n"),
    effect: fc.constantFrom("delete", "enable"),
  }),
);
const gate = words(
  "true",
  "state._shared.k.value == 1",
  "messages.count > 2",
  "views.v.value == 1",
  "actions.y._meta.invocations < 5",
  "has(state.alice.k)",
  "self == 'alice'",
);

const writeModes: fc.Arbitrary<unknown> = fc.oneof(
  fc.record({ value: anything }),
  fc.record({ value: words("${params.v}", "${self} ${now}", { "${params.k}": ["${params.v}"] }) }),
  fc.record({
    value: words("state._shared", "1 + 1", "self", "params.v", "messages.recent", "agents"),
    expr: fc.constant(true),
  }),
  fc.record({ merge: anything }),
  fc.record({ increment: words(1, -2.5, "${params.v}", 1e308) }),
  fc.record({ append: fc.constant(true), value: anything }),
  fc.record({ delete: fc.constant(true) }),
  fc.record({ renew: fc.constant(true) }),
);
const template = fc.tuple(
  writeModes,
  fc.record({
    scope: seldom(words("_shared", "${self}", "alice", "_agents", "${params.s}", "_b", "_help")),
    key: words("k", "n", "${params.k}", "${now}", "${seq}.x", "$${a}", "a.b"),
    if_version: seldom(words(0, 1, "", "0123456789abcdef", { seq: 3 }, "${params.v}")),
    timer: seldom(timer),
    enabled: seldom(gate),
  }),
).map(([mode, rest]) => ({ ...rest, ...mode as object }));

const seqs = mostly(fc.integer({ min: 1, max: 60 }));

/** The parameters of the built-ins: mostly what they take, oddities in between. */
const builtinParams: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  _register_action: fc.record({
    id: words("x", "y", "a.b"),
    writes: mostly(fc.array(template, { maxLength: 3 })),
    params: seldom(
      words({ v: {}, k: { type: "string" }, s: {} }, { v: { type: "number", default: 1 } }),
    ),
    if: seldom(gate),
    result: seldom(
      words("1", "state._shared", "agents", "messages", "now", "state.self", "actions"),
    ),
    on_invoke: seldom(
      mostly(
        fc.record({
          timer: fc.record({ ms: fc.integer({ min: 1, max: 99 }), effect: fc.constant("enable") }),
        }),
      ),
    ),
    timer: seldom(timer),
    if_version: seldom(anything),
    enabled: seldom(gate),
    scope: seldom(words("_shared", "alice", "_x", "_agents")),
  }),
  _register_view: fc.record({
    id: words("v", "w"),
    expr: words(
      "1",
      "views.w.value",
      "views.v.value",
      "state",
      "state._shared.k",
      "agents",
      "messages.recent",
      "now",
      "room",
      "actions",
      "actions.x.value.available",
      "self",
      "1/0",
      "top_n(state._shared, 3)",
    ),
    scope: seldom(words("_shared", "alice")),
    render: seldom(words("metric", { type: "feed" }, { type: "nope", a: [null] })),
    enabled: seldom(gate),
    timer: seldom(timer),
  }),
  _send_message: fc.record({
    body: anything,
    kind: words("chat", "task", "result"),
    to: seldom(words("alice", ["bob", "alice"], "admin", "nobody")),
    reply_to: seldom(seqs),
    timer: seldom(timer),
    enabled: seldom(gate),
  }),
  _claim_message: fc.record({ seq: seqs, lease_ms: seldom(words(1, 500, 5000)) }),
  _release_message: fc.record({ seq: seqs }),
  _set_status: fc.record({ status: words("busy", "idle", "done", "waiting") }),
  _configure: fc.record({
    key: words("salience_weights", "label", "meta", "x", "vocabulary"),
    value: words(null, "open", "closed", { recency: 1 }, 1),
  }),
  _delete_action: fc.record({ id: words("x", "y", "__proto__") }),
  _delete_view: fc.record({ id: words("v", "w", "__proto__") }),
  help: fc.record({ key: seldom(words("guide", "__proto__", "k")) }),
  x: fc.record({
    v: seldom(anything),
    k: words("k", "n", "z"),
    s: words("_shared", "alice", "_b", "self"),
  }),
  y: fc.record({
    v: seldom(words(1, "x", { a: 1 })),
    k: words("k", "n", "z"),
    s: words("_shared", "bob"),
  }),
};

Deno.test("A room that odd things are done to answers all the same, and its log still folds", async () => {
  const world = await open();
  const invocations = Object.entries(builtinParams).map(([action, params]) =>
    fc.record({
      action: fc.constant(action),
      params: mostly(params),
      dry_run: seldom(fc.boolean()),
      context: seldom(fc.boolean()),
    })
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          call: fc.oneof(
            ...invocations,
            ...invocations.filter((_, i) => [0, 1, 2, 10, 11].includes(i)),
          ),
          token: fc.constantFrom(...world.tokens.slice(0, 3), ...world.tokens),
          ms: fc.constantFrom(0, 1, 1000),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      async (steps) => {
        for (const { call: { action, ...body }, token, ms } of steps) {
          await judge(world, {
            method: "POST",
            path: `/rooms/r/actions/${action}/invoke`,
            token,
            body: JSON.stringify(body),
          });
          await world.clock.advance(ms);
        }
        for (
          const path of [
            "context?depth=usage&include=_audit,_hidden&explain=true&expand_params=true",
            "poll",
            "salience",
            "log",
            "verify",
            "context?budget=800&since=3",
          ]
        ) {
          for (const token of world.tokens.slice(0, 4)) {
            const { text } = await judge(world, { method: "GET", path: `/rooms/r/${path}`, token });
            if (path === "verify") assert.match(text, /"ok":true/);
          }
        }
      },
    ),
    RUNS,
  );
  await mustVerify(world.on, world.room);
  await world.on.close();
});
