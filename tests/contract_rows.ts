/**
 * Contract tests as rows: a request, the status, what the reply must hold and must not hold, and
 * what the room's log gained by it (usually nothing).
 */
import assert from "node:assert/strict";
import {
  type Ask,
  makeRoom,
  mustVerify,
  type Reply,
  type TestRoom,
  type TestService,
} from "./harness.ts";

/** What earlier rows kept for later ones. */
// deno-lint-ignore no-explicit-any -- replies are read by many shapes
export type Kept = Record<string, any>;

/** One row. */
export interface Row {
  readonly does: string;
  /** `METHOD /path`; `:id` stands for the room, `{name}` for what a row kept. */
  readonly ask: string;
  /** An agent of the room, `admin`, `view`, a token, or nobody. Default `alice`. */
  readonly as?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  /** Matched deep: members named must fit; a RegExp fits text, a function judges. */
  readonly has?: unknown;
  /** Text that must not be in the reply. */
  readonly hasNot?: readonly string[];
  /** Records the log gained, as `kind scope.key=op …`; none unless named. */
  readonly log?: readonly string[];
  readonly keep?: (reply: Reply, kept: Kept) => void;
}

/** Runs rows in order against one room, and checks at the end that its log folds to what it is. */
export async function runRows(
  t: Deno.TestContext,
  on: TestService,
  rows: readonly Row[],
  room: TestRoom,
  kept: Kept = {},
): Promise<Kept> {
  for (const row of rows) {
    await t.step(row.does, async () => {
      const head = await headOf(on, room);
      const reply = await askRow(on, room, row, kept);
      assert.equal(reply.status, row.status, `${row.ask}: ${reply.text.slice(0, 600)}`);
      mustHaveHeaders(reply);
      if (row.has !== undefined) mustFit(reply.body, row.has, "body");
      for (const text of row.hasNot ?? []) {
        assert.equal(reply.text.includes(text), false, `"${text}" in ${reply.text}`);
      }
      row.keep?.(reply, kept);
      const gained = await recordsAfter(on, room, head);
      assert.deepEqual(gained.map(lineOf), row.log ?? [], `what the log gained by: ${row.does}`);
    });
  }
  await mustVerify(on, room);
  return kept;
}

/** A fresh room for rows: `alice` and `bob` are in it. */
export function rowsRoom(
  on: TestService,
  agents: readonly string[] = ["alice", "bob"],
): Promise<TestRoom> {
  return makeRoom(on, agents);
}

async function askRow(on: TestService, room: TestRoom, row: Row, kept: Kept): Promise<Reply> {
  const [method, path] = row.ask.split(" ") as [string, string];
  const filled = path.replace(":id", room.id).replace(
    /\{(\w+)\}/g,
    (_, name: string) => String(kept[name]),
  );
  const body = fillKept(row.body, kept);
  const ask: Ask = {
    token: tokenOf(room, row.as, kept),
    ...(body === undefined ? {} : { body }),
    ...(row.headers ? { headers: row.headers } : {}),
  };
  return await on.call(method, filled, ask);
}

function tokenOf(room: TestRoom, as: string | null | undefined, kept: Kept): string | undefined {
  if (as === null) return undefined;
  if (as === undefined) return room.agents["alice"];
  if (as === "admin") return room.admin;
  if (as === "view") return room.view;
  return room.agents[as] ?? (kept[as] as string | undefined) ?? as;
}

/** `"{name}"` as a whole string becomes what was kept under the name. */
function fillKept(body: unknown, kept: Kept): unknown {
  if (typeof body === "string") {
    const match = /^\{(\w+)\}$/.exec(body);
    return match && match[1]! in kept ? kept[match[1]!] : body;
  }
  if (Array.isArray(body)) return body.map((item) => fillKept(item, kept));
  if (body === null || typeof body !== "object" || body instanceof Uint8Array) return body;
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => [key, fillKept(value, kept)]),
  );
}

function mustHaveHeaders(reply: Reply): void {
  assert.match(reply.headers.get("X-Request-Id") ?? "", /^\S+$/);
  assert.match(reply.headers.get("X-Sync-Version") ?? "", /^v\d+/);
  if (reply.status < 400) return;
  assert.equal(typeof reply.body?.error, "string", reply.text);
  assert.equal(typeof reply.body?.message, "string", reply.text);
}

/** Does `actual` hold what `wanted` names? */
export function mustFit(actual: unknown, wanted: unknown, at: string): void {
  if (typeof wanted === "function") {
    assert.equal(
      wanted(actual),
      true,
      `${at}: ${JSON.stringify(actual)} does not satisfy ${wanted}`,
    );
  } else if (wanted instanceof RegExp) {
    assert.match(String(actual), wanted, at);
  } else if (Array.isArray(wanted)) {
    assert.ok(Array.isArray(actual), `${at}: ${JSON.stringify(actual)} is no list`);
    assert.equal(actual.length, wanted.length, `${at}: ${JSON.stringify(actual)}`);
    wanted.forEach((item, i) => mustFit(actual[i], item, `${at}[${i}]`));
  } else if (wanted !== null && typeof wanted === "object") {
    assert.ok(
      actual !== null && typeof actual === "object",
      `${at}: ${JSON.stringify(actual)} is no object`,
    );
    for (const [key, value] of Object.entries(wanted)) {
      if (value === undefined) {
        assert.equal(Object.hasOwn(actual, key), false, `${at}.${key} is there`);
      } else mustFit((actual as Record<string, unknown>)[key], value, `${at}.${key}`);
    }
  } else assert.deepEqual(actual, wanted, at);
}

async function headOf(on: TestService, room: TestRoom): Promise<number> {
  return (await on.service.engine.find(room.id)).room.head;
}

interface Line {
  readonly kind: string;
  readonly writes?: readonly {
    readonly scope: string;
    readonly key: string;
    readonly op: string;
  }[];
}

async function recordsAfter(
  on: TestService,
  room: TestRoom,
  after: number,
): Promise<readonly Line[]> {
  const reply = await on.call("GET", `/rooms/${room.id}/log?after=${after}&limit=1000`, {
    token: room.admin,
  });
  // A room that the row has ended gains nothing any more.
  return reply.status === 200 ? reply.body.records : [];
}

function lineOf({ kind, writes }: Line): string {
  return [kind, ...(writes ?? []).map(({ scope, key, op }) => `${scope}.${key}=${op}`)].join(" ");
}
