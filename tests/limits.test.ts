/**
 * Each limit at the limit and one past it. A limit that no test here names, and no other file is
 * said to hold, fails.
 */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import * as limits from "../limits.ts";
import type { Entry, Json } from "../types.ts";
import {
  makeRoom,
  ManualClock,
  ORIGIN,
  type Reply,
  START,
  startService,
  type TestRoom,
  type TestService,
  turns,
} from "./harness.ts";

/** Limits that are no bound on what a caller sends, or that other tests hold, and which. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  CEL_SOURCE_BYTES_MAX: "cel_bounds",
  CEL_NODES_MAX: "cel_bounds",
  CEL_DEPTH_MAX: "cel_bounds",
  CEL_STEPS_MAX: "cel_bounds",
  ENABLED_DEPTH_MAX: "enabled",
  ENABLED_STEPS_MAX: "attacks",
  ROOM_ENABLED_MAX: "attacks",
  RECORD_BYTES_MAX: "attacks",
  MEMBERS_MAX: "attacks",
  NARROWED_ROOMS_MAX: "identity_tokens",
  BODY_MS_MAX: "faults_clients",
  DB_CALL_MS_MAX: "faults_server",
  FOLLOW_MS: "engine_remote",
  FOLLOW_RECORDS: "shards",
  ERRANDS_MS: "shards",
  PEER_TIMEOUT_MS: "shards",
  PEER_PAUSE_MS: "shards",
  SNAPSHOT_RECORDS: "replay",
  SNAPSHOT_PART_CHARS: "how snapshots are cut; no caller meets it",
  IMPORT_BYTES_MAX: "memory_export",
  IMPORT_LINE_CHARS_MAX: "memory_export",
  SAMPLE_EVERY_MS: "memory_samples",
  SAMPLES_KEPT: "memory_samples",
  SAMPLE_BYTES_MAX: "memory_samples",
  HOT_ROOMS_MAX: "how much memory rooms take; no caller meets it",
  HOT_BYTES_MAX: "how much memory rooms take; no caller meets it",
  SQL_PARAM_BYTES_MAX: "how groups are cut; no caller meets it",
  // Of actors and what they remember: their own tests.
  STANDING_ACTORS_MAX: "trust",
  STANDING_RECORDS_MAX: "trust",
  STANDING_FRESH_MS: "trust",
  USER_ACTORS_MAX: "actors",
  ACTORS_LIMIT_DEFAULT: "actors",
  ACTORS_LIMIT_MAX: "actors",
  MEMORIES_MAX: "actors",
  MEMORY_BYTES_MAX: "actors",
  MANUAL_LENGTH_MAX: "actors",
  EMBODY_MEMORY_TOKENS: "actors",
  CHALLENGE_MS: "actors",
  SIGNATURE_AGE_MS: "actors",
  DID_DOCUMENT_MS: "actors",
  SERVICE_ACCOUNTS_MAX: "actors",
  SERVICE_ACTORS_MAX: "actors",
  SERVICE_OVERLAP_MS_MAX: "actors",
};

const held = new Set<string>();

/** A test that holds these limits. */
function holds(
  names: readonly (keyof typeof limits)[],
  what: string,
  run: (t: Deno.TestContext) => Promise<void>,
): void {
  for (const name of names) held.add(name);
  Deno.test(`${names.join(", ")}: ${what}`, run);
}

interface World {
  readonly on: TestService;
  readonly clock: ManualClock;
  readonly room: TestRoom;
  readonly token: string;
  invoke(action: string, params: unknown, rest?: Record<string, unknown>): Promise<Reply>;
  get(path: string): Promise<Reply>;
}

async function open(): Promise<World & { close: () => Promise<void> }> {
  const clock = new ManualClock();
  const on = await startService({ clock });
  const room = await makeRoom(on, ["alice"]);
  const token = room.agents["alice"]!;
  const put = { id: "put", writes: [{ scope: "_b", key: "${params.k}", value: "${params.v}" }] };
  assert.equal((await on.invoke(room.id, "_register_action", put, token)).status, 201);
  return {
    on,
    clock,
    room,
    token,
    invoke: (action, params, rest) => on.invoke(room.id, action, params, token, rest),
    get: (path) => on.call("GET", `/rooms/${room.id}${path}`, { token }),
    close: () => on.close(),
  };
}

/** Runs in a world of its own. */
function within(
  run: (world: World, t: Deno.TestContext) => Promise<void>,
): (t: Deno.TestContext) => Promise<void> {
  return async (t) => {
    const world = await open();
    await run(world, t);
    await world.close();
  };
}

function refused(reply: Reply, status: number, error: string): void {
  assert.deepEqual([reply.status, reply.body.error], [status, error], reply.text.slice(0, 300));
}

/** Puts `n` entries into a scope behind the engine's back: no test sends a hundred thousand requests. */
async function stuff(
  { on, room }: World,
  scope: string,
  n: number,
  value: Json = 0,
  bytes = 1,
): Promise<void> {
  const hot = await on.service.engine.find(room.id);
  const entry: Entry = {
    value,
    revision: 1,
    version: "",
    updatedAt: START,
    writer: "x",
    via: "x",
    seq: 1,
    touched: 1,
    velocity: 0,
    writers: [],
    firstAt: START,
    bytes,
  };
  for (let i = 0; i < n; i++) hot.room.place(scope, `stuff${i}`, entry);
}

const text = (n: number): string => "x".repeat(n);

holds(
  ["BODY_BYTES_MAX"],
  "a body",
  within(async ({ on, room, token }) => {
    const send = (n: number) => {
      const shell = JSON.stringify({ params: { body: "" } }).length;
      return on.call("POST", `/rooms/${room.id}/eval`, {
        token,
        body: JSON.stringify({ params: { body: text(n - shell) } }),
      });
    };
    refused(await send(limits.BODY_BYTES_MAX), 400, "invalid_argument");
    refused(await send(limits.BODY_BYTES_MAX + 1), 413, "too_large");
    const unannounced = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 20; i++) controller.enqueue(new Uint8Array(65_536).fill(32));
        controller.close();
      },
    });
    const request = new Request(`${ORIGIN}/rooms/${room.id}/eval`, {
      method: "POST",
      body: unannounced,
      headers: { Authorization: `Bearer ${token}` },
    });
    assert.equal(
      (await on.service.fetch(request)).status,
      413,
      "also when nobody said how long it is",
    );
  }),
);

holds(
  ["VALUE_BYTES_MAX"],
  "a value, wherever it is kept",
  within(async (world, t) => {
    const { on, room, token, invoke } = world;
    const fits = text(limits.VALUE_BYTES_MAX - 2), past = text(limits.VALUE_BYTES_MAX - 1);
    await t.step("an entry", async () => {
      assert.equal((await invoke("put", { k: "k", v: fits })).status, 200);
      refused(await invoke("put", { k: "k", v: past }), 413, "too_large");
    });
    await t.step("an entry that grows", async () => {
      await invoke("_register_action", {
        id: "grow",
        writes: [{ scope: "_b", key: "list", append: true, value: "${params.v}" }],
      });
      assert.equal((await invoke("grow", { v: text(limits.VALUE_BYTES_MAX - 4) })).status, 200);
      refused(await invoke("grow", { v: 1 }), 413, "too_large");
    });
    await t.step("a result", async () => {
      await invoke("_register_action", { id: "twice", writes: [], result: "params.v + params.v" });
      for (const [v, isKept] of [[text(9), true], [fits, false]] as const) {
        const { status, body } = await invoke("twice", { v });
        assert.equal(status, 200);
        assert.deepEqual([body.result !== null, body.result_error === undefined], [isKept, isKept]);
      }
    });
    await t.step("a message", async () => {
      assert.equal((await invoke("_send_message", { body: fits })).status, 201);
      refused(await invoke("_send_message", { body: past }), 413, "too_large");
    });
    await t.step("an action", async () => {
      refused(
        await invoke("_register_action", { id: "a", writes: [{ key: "k", value: past }] }),
        413,
        "too_large",
      );
    });
    await t.step("a view", async () => {
      refused(
        await invoke("_register_view", { id: "v", expr: "1", render: { type: past } }),
        413,
        "too_large",
      );
    });
    await t.step("a setting", async () => {
      const patch = (meta: string) =>
        on.call("PATCH", `/rooms/${room.id}`, { token: room.admin, body: { meta } });
      assert.equal((await patch(fits)).status, 200);
      refused(await patch(past), 413, "too_large");
    });
    await t.step("an agent, by joining and by changing it", async () => {
      refused(
        await on.call("POST", `/rooms/${room.id}/agents`, { body: { id: "big", meta: past } }),
        413,
        "too_large",
      );
      refused(
        await on.call("POST", `/rooms/${room.id}/agents`, {
          body: { id: "big", state: { k: past } },
        }),
        413,
        "too_large",
      );
      refused(
        await on.call("PATCH", `/rooms/${room.id}/agents/alice`, { token, body: { meta: past } }),
        413,
        "too_large",
      );
    });
  }),
);

holds(
  ["ROOM_KEYS_MAX"],
  "keys, whoever adds them",
  within(async (world, t) => {
    const { on, room, invoke } = world;
    const hot = await on.service.engine.find(room.id);
    await stuff(world, "_full", limits.ROOM_KEYS_MAX - hot.room.keyCount - 1);
    assert.equal((await invoke("put", { k: "last", v: 1 })).status, 200);
    assert.equal(hot.room.keyCount, limits.ROOM_KEYS_MAX);
    assert.equal(
      (await invoke("put", { k: "last", v: 2 })).status,
      200,
      "what is there can be changed",
    );
    const adding: [string, () => Promise<Reply>][] = [
      ["an entry", () => invoke("put", { k: "more", v: 1 })],
      ["a message", () => invoke("_send_message", { body: 1 })],
      ["an action", () => invoke("_register_action", { id: "more", writes: [] })],
      ["a view", () => invoke("_register_view", { id: "more", expr: "1" })],
      ["an agent", () => on.call("POST", `/rooms/${room.id}/agents`, { body: { id: "more" } })],
      ["a setting", () => on.invoke(room.id, "_configure", { key: "more", value: 1 }, room.admin)],
    ];
    for (const [name, add] of adding) {
      await t.step(name, async () => refused(await add(), 400, "limit_exceeded"));
    }
  }),
);

holds(
  ["ROOM_BYTES_MAX"],
  "bytes, whoever adds them",
  within(async (world, t) => {
    const { on, room, invoke } = world;
    const hot = await on.service.engine.find(room.id);
    const left = 5_000;
    await stuff(world, "_full", 1, 0, limits.ROOM_BYTES_MAX - hot.room.valueBytes - left);
    assert.equal((await invoke("put", { k: "k", v: text(left - 202) })).status, 200);
    const adding: [string, () => Promise<Reply>][] = [
      ["an entry", () => invoke("put", { k: "more", v: text(300) })],
      ["a message", () => invoke("_send_message", { body: text(300) })],
      [
        "an action",
        () => invoke("_register_action", { id: "more", description: text(300), writes: [] }),
      ],
      ["a view", () => invoke("_register_view", { id: "more", expr: "1", description: text(300) })],
      [
        "an agent",
        () =>
          on.call("POST", `/rooms/${room.id}/agents`, { body: { id: "more", meta: text(300) } }),
      ],
      ["an agent's state", () =>
        on.call("POST", `/rooms/${room.id}/agents`, {
          body: { id: "more", state: { k: text(300) } },
        })],
      [
        "a setting",
        () => on.invoke(room.id, "_configure", { key: "more", value: text(300) }, room.admin),
      ],
    ];
    for (const [name, add] of adding) {
      await t.step(name, async () => refused(await add(), 400, "limit_exceeded"));
    }
    assert.equal((await invoke("put", { k: "k", v: 1 })).status, 200, "less is always fine");
  }),
);

for (
  const [name, scope, add, remove] of [
    ["ROOM_ACTIONS_MAX", "_actions", "_register_action", "_delete_action"],
    ["ROOM_VIEWS_MAX", "_views", "_register_view", "_delete_view"],
  ] as const
) {
  holds(
    [name],
    "one more is refused, one less makes place",
    within(async (world) => {
      const hot = await world.on.service.engine.find(world.room.id);
      const template = scope === "_actions"
        ? { id: "x", writes: [], scope: "_shared", registered_by: "x" }
        : { id: "x", expr: "1", scope: "_shared", registered_by: "x" };
      await stuff(
        world,
        scope,
        limits[name] - (hot.room.scopes.get(scope)?.entries.size ?? 0) - 1,
        template,
      );
      const params = { id: "one", ...(scope === "_actions" ? { writes: [] } : { expr: "1" }) };
      assert.equal((await world.invoke(add, params)).status, 201);
      refused(await world.invoke(add, { ...params, id: "more" }), 400, "limit_exceeded");
      assert.equal((await world.invoke(add, params)).status, 201, "replacing adds nothing");
      assert.equal((await world.invoke(remove, { id: "one" })).status, 200);
      assert.equal((await world.invoke(add, { ...params, id: "more" })).status, 201);
    }),
  );
}

holds(
  ["ROOM_AGENTS_MAX"],
  "agents",
  within(async (world) => {
    const { on, room } = world;
    await stuff(world, "_agents", limits.ROOM_AGENTS_MAX - 2, {
      name: "x",
      role: "x",
      actor: "x",
      joined_at: "",
      grants: [],
    });
    const join = (id: string) => on.call("POST", `/rooms/${room.id}/agents`, { body: { id } });
    assert.equal((await join("last")).status, 201);
    refused(await join("more"), 400, "limit_exceeded");
  }),
);

holds(
  ["ROOM_MESSAGES_MAX"],
  "messages",
  within(async (world) => {
    assert.equal((await world.invoke("_send_message", { body: 1 })).status, 201);
    const hot = await world.on.service.engine.find(world.room.id);
    const { entries } = hot.room.scopes.get("_messages")!;
    const pretend = (size: number) =>
      Object.defineProperty(entries, "size", { get: () => size, configurable: true });
    pretend(limits.ROOM_MESSAGES_MAX - 1);
    assert.equal((await world.invoke("_send_message", { body: 1 })).status, 201);
    pretend(limits.ROOM_MESSAGES_MAX);
    refused(await world.invoke("_send_message", { body: 1 }), 400, "limit_exceeded");
  }),
);

holds(
  ["KEY_LENGTH_MAX"],
  "a key",
  within(async ({ invoke }) => {
    assert.equal((await invoke("put", { k: text(limits.KEY_LENGTH_MAX), v: 1 })).status, 200);
    refused(
      await invoke("put", { k: text(limits.KEY_LENGTH_MAX + 1), v: 1 }),
      400,
      "invalid_argument",
    );
  }),
);

holds(
  ["JSON_DEPTH_MAX"],
  "nesting of a body",
  within(async ({ on, room, token }) => {
    const nested = (n: number): string =>
      `{"params":{"k":"k","v":${"[".repeat(n)}${"]".repeat(n)}}}`;
    const path = `/rooms/${room.id}/actions/put/invoke`;
    assert.equal(
      (await on.call("POST", path, { token, body: nested(limits.JSON_DEPTH_MAX - 2) })).status,
      200,
    );
    refused(
      await on.call("POST", path, { token, body: nested(limits.JSON_DEPTH_MAX + 1) }),
      400,
      "invalid_argument",
    );
  }),
);

holds(
  ["TIMER_MS_MAX", "TIMER_TICKS_MAX"],
  "timers",
  within(async ({ invoke }) => {
    const message = (timer: unknown) => invoke("_send_message", { body: 1, timer });
    const ticks = { tick_on: "_b.k", effect: "delete" };
    assert.equal((await message({ ms: limits.TIMER_MS_MAX, effect: "delete" })).status, 201);
    refused(await message({ ms: limits.TIMER_MS_MAX + 1, effect: "delete" }), 400, "invalid_timer");
    assert.equal((await message({ ticks: limits.TIMER_TICKS_MAX, ...ticks })).status, 201);
    refused(await message({ ticks: limits.TIMER_TICKS_MAX + 1, ...ticks }), 400, "invalid_timer");
    for (const wrong of [0, -1, 1.5, "1", null]) {
      refused(await message({ ms: wrong, effect: "delete" }), 400, "invalid_timer");
      refused(await message({ ticks: wrong, ...ticks }), 400, "invalid_timer");
    }
  }),
);

holds(
  ["ACTION_WRITES_MAX", "ACTION_PARAMS_MAX"],
  "an action's parts",
  within(async ({ invoke }) => {
    const writes = (n: number) => Array.from({ length: n }, (_, i) => ({ key: `k${i}`, value: 1 }));
    const params = (n: number) =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, {}]));
    const register = (rest: Record<string, unknown>) =>
      invoke("_register_action", { id: "a", writes: [], ...rest });
    assert.equal((await register({ writes: writes(limits.ACTION_WRITES_MAX) })).status, 201);
    refused(
      await register({ writes: writes(limits.ACTION_WRITES_MAX + 1) }),
      400,
      "invalid_argument",
    );
    assert.equal((await register({ params: params(limits.ACTION_PARAMS_MAX) })).status, 201);
    refused(
      await register({ params: params(limits.ACTION_PARAMS_MAX + 1) }),
      400,
      "invalid_argument",
    );
  }),
);

holds(
  ["TEXT_LENGTH_MAX"],
  "descriptions, labels and names",
  within(async ({ on, room, invoke }) => {
    const fits = text(limits.TEXT_LENGTH_MAX), past = text(limits.TEXT_LENGTH_MAX + 1);
    for (const [value, ok] of [[fits, true], [past, false]] as const) {
      const replies = await Promise.all([
        invoke("_register_action", { id: "a", writes: [], description: value }),
        invoke("_register_view", { id: "v", expr: "1", description: value }),
        on.call("PATCH", `/rooms/${room.id}`, { token: room.admin, body: { label: value } }),
        on.call("POST", `/rooms/${room.id}/agents`, { body: { id: `n${ok}`, name: value } }),
      ]);
      for (const { status, text: told } of replies) {
        assert.equal(status < 400, ok, told.slice(0, 200));
      }
    }
  }),
);

holds(
  ["WRITERS_MAX"],
  "distinct writers that are remembered",
  within(async ({ on, room, get }) => {
    const names = Array.from({ length: limits.WRITERS_MAX + 1 }, (_, i) => `w${i}`);
    for (const id of names) {
      const { body } = await on.call("POST", `/rooms/${room.id}/agents`, { body: { id } });
      await on.invoke(room.id, "put", { k: "k", v: id }, body.token);
    }
    const { body } = await get("/context?only=state&expand=_b.k");
    assert.deepEqual(body.state._b.k._meta.writers, names.slice(1).reverse());
  }),
);

holds(
  ["RECIPIENTS_MAX"],
  "recipients",
  within(async ({ invoke }) => {
    const to = (n: number) => Array.from({ length: n }, (_, i) => `a${i}`);
    assert.equal(
      (await invoke("_send_message", { body: 1, to: to(limits.RECIPIENTS_MAX) })).status,
      201,
    );
    refused(
      await invoke("_send_message", { body: 1, to: to(limits.RECIPIENTS_MAX + 1) }),
      400,
      "invalid_argument",
    );
  }),
);

holds(
  ["GRANTS_MAX"],
  "grants",
  within(async ({ on, room }) => {
    const grant = (n: number) =>
      on.call("PATCH", `/rooms/${room.id}/agents/alice`, {
        token: room.admin,
        body: { grants: Array.from({ length: n }, (_, i) => `a${i}`) },
      });
    assert.equal((await grant(limits.GRANTS_MAX)).status, 200);
    refused(await grant(limits.GRANTS_MAX + 1), 400, "invalid_argument");
  }),
);

holds(
  ["REFUSALS_MAX"],
  "refusals that are remembered",
  within(async ({ on, room, invoke }) => {
    for (let i = 0; i < limits.REFUSALS_MAX + 3; i++) await invoke("nope", { i });
    const { body } = await on.call("GET", `/rooms/${room.id}/poll`, { token: room.admin });
    assert.equal(body.refusals.length, limits.REFUSALS_MAX);
    assert.equal(body.refusals[0].params.i, limits.REFUSALS_MAX + 2);
    assert.equal(body.refusals.at(-1).params.i, 3);
  }),
);

holds(
  ["REFUSALS_BYTES_MAX"],
  "bytes of refusals that are remembered",
  within(async ({ on, room, invoke }) => {
    const kept = async () => {
      const { body } = await on.call("GET", `/rooms/${room.id}/poll`, { token: room.admin });
      return body.refusals.map((refusal: { params: { i: number } }) => refusal.params.i);
    };
    const quarter = "x".repeat(limits.REFUSALS_BYTES_MAX / 4);
    for (let i = 0; i < 3; i++) await invoke("nope", { i, quarter });
    assert.deepEqual(await kept(), [2, 1, 0]);
    await invoke("nope", { i: 3, quarter });
    assert.deepEqual(await kept(), [3, 2, 1], "the oldest is forgotten");
  }),
);

holds(
  ["REMOVALS_MAX"],
  "removals that since can tell",
  within(async (world) => {
    const { on, room, invoke, get } = world;
    const hot = await on.service.engine.find(room.id);
    await invoke("_register_action", {
      id: "del",
      writes: [{ scope: "_b", key: "${params.k}", delete: true }],
    });
    for (const k of ["a", "b"]) await invoke("put", { k, v: 1 });
    const since = hot.room.head;
    await invoke("del", { k: "a" });
    assert.deepEqual((await get(`/context?since=${since}`)).body.removed, [{
      scope: "_b",
      key: "a",
    }]);
    for (let i = 0; i <= limits.REMOVALS_MAX; i++) {
      hot.room.removals.push({ seq: hot.room.head, scope: "_b", key: `x${i}` });
    }
    await invoke("del", { k: "b" });
    const { body } = await get(`/context?since=${since}`);
    assert.equal(body.reset, true, "what is no longer known is told as a reset");
  }),
);

holds(
  ["ROOM_WAITERS_MAX", "ROOM_VOLATILE_WAITERS_MAX"],
  "open waits",
  within(async ({ on, room, get }) => {
    const open: Promise<Reply>[] = [];
    for (let i = 0; i < limits.ROOM_VOLATILE_WAITERS_MAX; i++) {
      open.push(
        get(
          `/wait?timeout=50000&condition=${
            encodeURIComponent(`now < timestamp("2020-01-01T00:00:00Z") && ${i} >= 0`)
          }`,
        ),
      );
    }
    await turns(4);
    assert.equal(on.service.deps.waits.open, limits.ROOM_VOLATILE_WAITERS_MAX);
    refused(
      await get(`/wait?condition=${encodeURIComponent('now < timestamp("2020-01-01T00:00:00Z")')}`),
      429,
      "rate_limited",
    );
    const left = limits.ROOM_WAITERS_MAX - limits.ROOM_VOLATILE_WAITERS_MAX;
    for (let i = 0; i < left; i++) {
      open.push(
        on.call("GET", `/rooms/${room.id}/wait?timeout=50000&condition=false`, {
          token: room.view,
        }),
      );
      if (i % 1000 === 0) await turns(2);
    }
    await turns(4);
    assert.equal(on.service.deps.waits.open, limits.ROOM_WAITERS_MAX);
    const past = await on.call("GET", `/rooms/${room.id}/wait?condition=false`, {
      token: room.view,
    });
    refused(past, 429, "rate_limited");
    assert.match(past.headers.get("Retry-After") ?? "", /^\d+$/);
    on.service.deps.waits.close();
    for (const reply of await Promise.all(open)) assert.equal(reply.body.closing, true);
  }),
);

holds(
  ["WAIT_MS_MAX", "WAIT_MS_DEFAULT"],
  "how long a wait lasts",
  within(async ({ clock, get }) => {
    for (
      const [query, ms] of [["", limits.WAIT_MS_DEFAULT], [
        `&timeout=${limits.WAIT_MS_MAX}`,
        limits.WAIT_MS_MAX,
      ]] as const
    ) {
      const waiting = get(`/wait?condition=false${query}`);
      await turns();
      await clock.advance(ms);
      assert.equal((await waiting).body.elapsed_ms, ms);
    }
    refused(await get(`/wait?timeout=${limits.WAIT_MS_MAX + 1}`), 400, "invalid_argument");
  }),
);

holds(
  ["MESSAGES_LIMIT_DEFAULT", "MESSAGES_LIMIT_MAX"],
  "messages of a reply",
  within(async ({ on, room, invoke }) => {
    for (let i = 0; i < limits.MESSAGES_LIMIT_DEFAULT + 1; i++) {
      await invoke("_send_message", { body: i });
    }
    const read = (query = "") =>
      on.call("GET", `/rooms/${room.id}/context?only=messages${query}`, { token: room.view });
    const { messages } = (await read()).body;
    assert.deepEqual([messages.recent.length, messages.returned, messages.total], [100, 100, 101]);
    assert.equal(
      (await read(`&messages_limit=${limits.MESSAGES_LIMIT_MAX}`)).body.messages.returned,
      101,
    );
    refused(
      await read(`&messages_limit=${limits.MESSAGES_LIMIT_MAX + 1}`),
      400,
      "invalid_argument",
    );
  }),
);

holds(
  ["LOG_LIMIT_DEFAULT", "LOG_LIMIT_MAX", "AUDIT_RECORDS"],
  "records of a reply",
  within(async ({ invoke, get }) => {
    for (let i = 0; i < 110; i++) await invoke("put", { k: "k", v: i });
    const { body } = await get("/log");
    assert.deepEqual([body.records.length, body.returned, body.total, body.next_after], [
      100,
      100,
      113,
      100,
    ]);
    assert.equal((await get(`/log?limit=${limits.LOG_LIMIT_MAX}`)).body.records.length, 113);
    refused(await get(`/log?limit=${limits.LOG_LIMIT_MAX + 1}`), 400, "invalid_argument");
    const audit = (await get("/context?only=state&include=_audit")).body.state._audit;
    assert.deepEqual([Object.keys(audit).length, Object.keys(audit)[0]], [
      limits.AUDIT_RECORDS,
      "14",
    ]);
  }),
);

holds(
  ["LOG_BYTES_MAX"],
  "bytes of the records of a reply",
  within(async ({ invoke, get }) => {
    const writes = ["a", "b", "c"].map((key) => ({ key, value: "${params.v}" }));
    await invoke("_register_action", { id: "three", writes });
    const records = 20;
    for (let i = 0; i < records; i++) {
      assert.equal((await invoke("three", { v: text(limits.VALUE_BYTES_MAX - 2) })).status, 200);
    }
    const { body: { head } } = await get("");
    for (const path of ["/log?", "/log?scope=_shared&", "/history/_shared/b?"]) {
      const seqs: number[] = [];
      for (let after: number | undefined = 0; after !== undefined;) {
        const page = await get(`${path}limit=${limits.LOG_LIMIT_MAX}&after=${after}`);
        const found: { seq: number }[] = page.body.records ?? page.body.entries;
        assert.ok(page.text.length < limits.LOG_BYTES_MAX + 4 * limits.VALUE_BYTES_MAX);
        assert.ok(found.length > 0 && page.body.returned === found.length);
        seqs.push(...found.map(({ seq }) => seq));
        after = page.body.next_after;
      }
      const first = path === "/log?" ? 1 : head - records + 1;
      assert.deepEqual(seqs, Array.from({ length: head - first + 1 }, (_, i) => first + i));
    }
    const keys: string[] = [];
    await invoke("_register_action", {
      id: "many",
      params: { n: { type: "number" }, v: { type: "string" } },
      writes: [{ key: "${params.n}", value: "${params.v}" }],
    });
    const from = (await get("")).body.head;
    for (let n = 10; n < 30; n++) {
      await invoke("many", { n, v: text(limits.VALUE_BYTES_MAX - 2) });
    }
    for (let after = ""; after !== undefined;) {
      const { body } = await get(`/diff?from=${from}${after && `&after=${after}`}`);
      keys.push(...body.added.map(({ key }: { key: string }) => key));
      assert.equal(body.total, 20);
      assert.ok(body.returned < 20);
      after = body.next_after;
    }
    assert.deepEqual(keys, Array.from({ length: 20 }, (_, i) => `${i + 10}`));
    const audit = Object.keys((await get("/context?only=state&include=_audit")).body.state._audit);
    assert.ok(audit.length > 0 && audit.length < records + 20);
    assert.equal(audit.at(-1), `${(await get("")).body.head}`);
  }),
);

holds(
  ["ROOMS_LIMIT_DEFAULT", "ROOMS_LIMIT_MAX"],
  "rooms of a reply",
  within(async ({ on, room }) => {
    const list = (limit: number) => on.call("GET", `/rooms?limit=${limit}`, { token: room.admin });
    assert.equal((await list(limits.ROOMS_LIMIT_MAX)).status, 200);
    refused(await list(limits.ROOMS_LIMIT_MAX + 1), 400, "invalid_argument");
  }),
);

holds(
  ["BUDGET_TOKENS_MIN"],
  "the smallest budget",
  within(async ({ get }) => {
    assert.equal((await get(`/context?budget=${limits.BUDGET_TOKENS_MIN}`)).status, 200);
    refused(await get(`/context?budget=${limits.BUDGET_TOKENS_MIN - 1}`), 400, "invalid_argument");
  }),
);

holds(
  ["EXPAND_PARAMS_MAX"],
  "combinations that are judged, and that it is said when there are more",
  within(async ({ invoke, get }) => {
    for (
      const [id, n] of [["fits", limits.EXPAND_PARAMS_MAX], [
        "past",
        limits.EXPAND_PARAMS_MAX + 1,
      ]] as const
    ) {
      const params = { p: { enum: Array.from({ length: n }, (_, i) => `v${i}`) } };
      await invoke("_register_action", { id, params, if: 'params.p != "v0"', writes: [] });
    }
    const { actions } = (await get("/context?only=actions&expand_params=true")).body;
    const shown = (id: string) => actions[id].value.availability_by_param;
    assert.equal(Object.keys(shown("fits").p).length, limits.EXPAND_PARAMS_MAX);
    assert.equal(JSON.stringify(shown("fits")).includes("truncated"), false);
    assert.equal(Object.keys(shown("past").p).length, limits.EXPAND_PARAMS_MAX);
    assert.equal(JSON.stringify(shown("past")).includes("truncated"), true);
  }),
);

holds(
  ["IDEMPOTENCY_KEY_LENGTH_MAX", "IDEMPOTENCY_MS"],
  "an Idempotency-Key",
  within(async ({ on, clock, room, token }) => {
    const ask = (key: string) =>
      on.call("POST", `/rooms/${room.id}/actions/put/invoke`, {
        token,
        headers: { "Idempotency-Key": key },
        body: { params: { k: "k", v: 1 } },
      });
    const key = text(limits.IDEMPOTENCY_KEY_LENGTH_MAX);
    const first = await ask(key);
    assert.equal(first.status, 200);
    refused(await ask(`${key}x`), 400, "invalid_argument");
    await clock.advance(limits.IDEMPOTENCY_MS - 1);
    assert.equal((await ask(key)).headers.get("Idempotent-Replayed"), "true");
    await clock.advance(1);
    const late = await ask(key);
    assert.equal(late.headers.get("Idempotent-Replayed"), null);
    assert.ok(late.body.seq > first.body.seq);
  }),
);

holds(
  ["LEASE_MS_MAX"],
  "a lease",
  within(async ({ invoke }) => {
    const { body } = await invoke("_send_message", { body: 1, kind: "task" });
    const claim = (lease_ms: number) => invoke("_claim_message", { seq: body.seq, lease_ms });
    assert.equal((await claim(limits.LEASE_MS_MAX)).status, 200);
    refused(await claim(limits.LEASE_MS_MAX + 1), 400, "invalid_argument");
    refused(await claim(0), 400, "invalid_argument");
  }),
);

holds(
  ["WHOLE_ENTRIES_MAX", "WHOLE_BYTES_MAX"],
  "what is shown whole without being asked",
  within(async (world) => {
    const { on, get, invoke } = world;
    const isWhole = async () =>
      (await get("/context?only=state&peek=true")).body._shaping.reason === "small";
    for (let i = 0; i < limits.WHOLE_ENTRIES_MAX - 1; i++) {
      await invoke("put", { k: `k${i}`, v: 1 });
    }
    assert.equal(await isWhole(), true);
    await invoke("put", { k: "one-more", v: 1 });
    assert.equal(await isWhole(), false);
    const small = await makeRoom(on, ["alice"]);
    const put = { id: "put", writes: [{ key: "${params.k}", value: "${params.v}" }] };
    await on.invoke(small.id, "_register_action", put, small.agents["alice"]);
    for (
      const [bytes, whole] of [[limits.WHOLE_BYTES_MAX, true], [
        limits.WHOLE_BYTES_MAX + 1,
        false,
      ]] as const
    ) {
      await on.invoke(small.id, "put", { k: "k", v: text(bytes - 2) }, small.agents["alice"]);
      const { body } = await on.call("GET", `/rooms/${small.id}/context?only=state`, {
        token: small.view,
      });
      assert.equal(body._shaping.reason === "small", whole, `${bytes} bytes`);
    }
  }),
);

holds(
  ["PRESENCE_WRITE_MS"],
  "presence is written at most so often",
  within(async ({ on, clock, get }) => {
    const { store } = on.service;
    let writes = 0;
    const save = store.savePresence.bind(store);
    Object.assign(store, {
      savePresence: (rows: Parameters<typeof save>[0]) => (writes += rows.length, save(rows)),
    });
    for (let ms = 0; ms < 3 * limits.PRESENCE_WRITE_MS; ms += 500) {
      await get("/context");
      await clock.advance(500);
    }
    assert.ok(writes >= 1 && writes <= 4, `${writes} writes`);
  }),
);

holds(
  ["ROOM_IDLE_MS"],
  "an idle room leaves memory, and comes back whole",
  within(async ({ on, clock, room, get, invoke }) => {
    await invoke("put", { k: "k", v: 7 });
    await clock.advance(2 * limits.ROOM_IDLE_MS);
    assert.equal([...on.service.engine.hotRooms].length, 0);
    assert.equal((await get("/context?only=state")).body.state._b.k.value, 7);
    const waiting = get("/wait?condition=false&timeout=55000");
    await turns();
    await clock.advance(50_000);
    assert.equal(
      [...on.service.engine.hotRooms].some((hot) => hot.room.id === room.id),
      true,
      "a wait holds its room",
    );
    await clock.advance(5_000);
    await waiting;
  }),
);

/** A stream of events, read chunk by chunk. */
async function stream(
  { on, room, token }: World,
): Promise<{ status: number; read: () => Promise<string>; end: () => Promise<void> }> {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await on.service.fetch(
    new Request(`${ORIGIN}/rooms/${room.id}/events`, { headers }),
  );
  if (response.status !== 200) {
    return { status: response.status, read: () => response.text(), end: () => Promise.resolve() };
  }
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  return {
    status: 200,
    read: async () => (await reader.read()).value ?? "",
    end: () => reader.cancel(),
  };
}

holds(
  ["ROOM_STREAMS_MAX"],
  "streams",
  within(async (world) => {
    const open = [];
    for (let i = 0; i < limits.ROOM_STREAMS_MAX; i++) open.push(await stream(world));
    const past = await stream(world);
    assert.equal(past.status, 429, await past.read());
    await open.pop()!.end();
    await turns(2);
    const again = await stream(world);
    assert.equal(again.status, 200);
    await again.end();
    for (const { end } of open) await end();
  }),
);

holds(
  ["STREAM_BACKLOG_BYTES_MAX"],
  "a reader that lags behind is let go and holds nobody up",
  within(async (world) => {
    const { on, room, token, invoke } = world;
    const headers = { Authorization: `Bearer ${token}` };
    const response = await on.service.fetch(
      new Request(`${ORIGIN}/rooms/${room.id}/events`, { headers }),
    );
    const large = text(limits.VALUE_BYTES_MAX - 100);
    const needed = Math.ceil(limits.STREAM_BACKLOG_BYTES_MAX / large.length) + 2;
    for (let i = 0; i < needed; i++) {
      assert.equal((await invoke("_send_message", { body: large })).status, 201);
    }
    const told = await response.text();
    assert.match(told, /event: reset/);
    assert.ok(told.length < limits.STREAM_BACKLOG_BYTES_MAX + 2 * large.length);
  }),
);

holds(
  ["EVENT_GATHER_MS", "EVENT_HEARTBEAT_MS"],
  "when a stream tells what is no record",
  within(async (world) => {
    const { clock, invoke } = world;
    await invoke("_register_view", { id: "v", expr: "state._b.k.value" });
    await clock.advance(limits.EVENT_GATHER_MS);
    const { read, end } = await stream(world);
    let told = await read();
    const listen = (async () => {
      for (let chunk = await read(); chunk !== ""; chunk = await read()) told += chunk;
    })();
    await invoke("put", { k: "k", v: 1 });
    await clock.advance(limits.EVENT_GATHER_MS - 1);
    assert.equal(told.includes("event: views"), false);
    await clock.advance(1);
    assert.match(told, /event: views/);
    await clock.advance(limits.EVENT_HEARTBEAT_MS - limits.EVENT_GATHER_MS - 1);
    assert.equal(told.includes("event: heartbeat"), false);
    await clock.advance(limits.EVENT_GATHER_MS + 1);
    assert.match(told, /event: heartbeat/);
    await end();
    await listen;
  }),
);

holds(
  ["AGENT_SILENT_MS", "WAIT_GRACE_MS"],
  "who counts when a stall is judged",
  within(async (world) => {
    const { on, clock, room, get } = world;
    const { body: bob } = await on.call("POST", `/rooms/${room.id}/agents`, {
      body: { id: "bob" },
    });
    const stall = async (after: number): Promise<string[] | undefined> => {
      await clock.advance(after);
      const waiting = get("/wait?condition=false&timeout=1");
      await turns();
      await clock.advance(1);
      return (await waiting).body.stalled?.agents.map(({ agent }: { agent: string }) => agent);
    };
    assert.equal(
      await stall(limits.AGENT_SILENT_MS - 1),
      undefined,
      "bob was heard of just in time",
    );
    assert.deepEqual(await stall(0), ["alice"], "bob has been silent for too long");
    const bobs = on.call("GET", `/rooms/${room.id}/wait?condition=false&timeout=1`, {
      token: bob.token,
    });
    await turns();
    await clock.advance(1);
    await bobs;
    assert.deepEqual(
      await stall(limits.WAIT_GRACE_MS - 1),
      ["alice", "bob"],
      "bob waited a moment ago",
    );
    assert.equal(await stall(1), undefined, "bob waits no more, and lives");
  }),
);

holds(
  ["DIFF_LIMIT_DEFAULT", "DIFF_LIMIT_MAX"],
  "differences of a reply",
  within(async ({ get }) => {
    assert.equal((await get(`/diff?from=1&to=2&limit=${limits.DIFF_LIMIT_MAX}`)).status, 200);
    refused(
      await get(`/diff?from=1&to=2&limit=${limits.DIFF_LIMIT_MAX + 1}`),
      400,
      "invalid_argument",
    );
  }),
);

holds(
  ["SIMULATE_STEPS_MAX"],
  "steps of a simulation",
  within(async ({ on, room, token }) => {
    const simulate = (n: number) =>
      on.call("POST", `/rooms/${room.id}/simulate`, {
        token,
        body: {
          steps: Array.from(
            { length: n },
            (_, i) => ({ action: "put", params: { k: `k${i}`, v: 1 } }),
          ),
        },
      });
    const reply = await simulate(limits.SIMULATE_STEPS_MAX);
    assert.equal(reply.status, 200, reply.text.slice(0, 300));
    refused(await simulate(limits.SIMULATE_STEPS_MAX + 1), 400, "invalid_argument");
  }),
);

holds(
  ["RETENTION_RECORDS_MIN", "RETENTION_MS_MIN"],
  "how little a room may keep",
  within(async ({ on, room }) => {
    const keep = (value: unknown) =>
      on.invoke(room.id, "_configure", { key: "retention", value }, room.admin);
    for (
      const [value, past] of [
        [{ records: limits.RETENTION_RECORDS_MIN }, { records: limits.RETENTION_RECORDS_MIN - 1 }],
        [{ ms: limits.RETENTION_MS_MIN }, { ms: limits.RETENTION_MS_MIN - 1 }],
      ]
    ) {
      assert.equal((await keep(value)).status, 200);
      refused(await keep(past), 400, "invalid_argument");
    }
  }),
);

Deno.test("Every limit is held by a test here, or by one that is named", async () => {
  const missing = Object.keys(limits).filter((name) => !held.has(name) && !(name in ELSEWHERE));
  assert.deepEqual(missing, []);
  const files = await readdir(new URL("./", import.meta.url));
  const places = new Set(Object.values(ELSEWHERE).filter((place) => !place.includes(" ")));
  const gone = [...places].filter((place) => !files.some((file) => file.startsWith(place)));
  assert.deepEqual(gone, []);
});
