/**
 * The floor: the least that a gated, durable increment can cost on this machine with the same
 * parts. Hono, SHA-256 and token lookup, a CEL gate over a kept context, a state row and a log
 * row in one transaction per turn of the event loop, WAL, synchronous=FULL, JSON out.
 */
import { hash } from "node:crypto";
import { type Client, createClient } from "@libsql/client";
import { Environment } from "@marcbachmann/cel-js";
import { Hono } from "hono";

const KEYS = 1_000;
/** The one token that the floor knows. */
export const FLOOR_TOKEN = "as_floor-floor-floor-floor-floor-floor-floor";

const SCHEMA = `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
  CREATE TABLE room (id TEXT PRIMARY KEY, head INTEGER NOT NULL) STRICT;
  CREATE TABLE state (room TEXT, key TEXT, value TEXT, PRIMARY KEY (room, key)) STRICT;
  CREATE TABLE log (room TEXT, seq INTEGER, body TEXT, PRIMARY KEY (room, seq)) STRICT;
  INSERT INTO room VALUES ('r', 0);`;
const INSERT_LOG = `INSERT INTO log (room, seq, body)
  SELECT j.value->>0, j.value->>1, j.value->>2 FROM json_each(?) AS j`;
const UPSERT_STATE = `INSERT INTO state (room, key, value)
  SELECT j.value->>0, j.value->>1, j.value->>2 FROM json_each(?) AS j WHERE true
  ON CONFLICT (room, key) DO UPDATE SET value = excluded.value`;
const UPDATE_ROOM = "UPDATE room SET head = ? WHERE id = 'r'";

interface Waiting {
  readonly seq: number;
  readonly row: readonly [string, number, string];
  readonly resolve: () => void;
}

/** One transaction per turn of the event loop. */
class Group {
  #waiting: Waiting[] = [];
  constructor(private readonly client: Client, private readonly count: () => number) {}

  commit(seq: number, body: string): Promise<void> {
    if (this.#waiting.length === 0) setImmediate(() => void this.flush());
    return new Promise((resolve) => this.#waiting.push({ seq, row: ["r", seq, body], resolve }));
  }

  private async flush(): Promise<void> {
    const group = this.#waiting;
    this.#waiting = [];
    const log = JSON.stringify(group.map(({ row }) => row));
    const state = JSON.stringify([["r", "count", String(this.count())]]);
    await this.client.batch([
      { sql: INSERT_LOG, args: [log] },
      { sql: UPSERT_STATE, args: [state] },
      { sql: UPDATE_ROOM, args: [group.at(-1)!.seq] },
    ], "write");
    for (const { resolve } of group) resolve();
  }
}

/** Opens the floor over a database of its own. */
export async function openFloor(
  db: string,
): Promise<{ fetch: (request: Request) => Response | Promise<Response> }> {
  const client = createClient({ url: db, concurrency: 1, timeout: 250 });
  await client.executeMultiple(SCHEMA);
  const tokens = new Map([[hash("sha256", FLOOR_TOKEN, "hex"), "alice"]]);
  const scope = new Map<string, { value: number }>();
  for (let i = 0; i < KEYS; i++) scope.set(`k${i}`, { value: i });
  scope.set("count", { value: 0 });
  const kept = { state: { shared: scope } };
  const gate = new Environment({ unlistedVariablesAreDyn: true })
    .parse('state.shared["count"].value < 1000000000.0');
  let seq = 0;
  const group = new Group(client, () => scope.get("count")!.value);
  const app = new Hono();
  app.post("/invoke", async (c) => {
    const token = c.req.header("authorization")?.slice("Bearer ".length) ?? "";
    const agent = tokens.get(hash("sha256", token, "hex"));
    if (agent === undefined) return c.json({ error: "invalid_token" }, 401);
    const { params } = await c.req.json<{ params: { by: number } }>();
    if (gate(kept) !== true) return c.json({ error: "precondition_failed" }, 409);
    const value = scope.get("count")!.value + params.by;
    scope.set("count", { value });
    const at = ++seq;
    await group.commit(at, JSON.stringify({ seq: at, agent, params, key: "count", value }));
    return c.json({ invoked: true, seq: at, value });
  });
  const shelves = new Map<number, unknown>();
  app.get("/context/:keys", (c) => {
    const keys = Number(c.req.param("keys"));
    const agent = tokens.get(
      hash("sha256", c.req.header("authorization")?.slice("Bearer ".length) ?? "", "hex"),
    );
    if (agent === undefined) return c.json({ error: "invalid_token" }, 401);
    if (!shelves.has(keys)) shelves.set(keys, shelf(keys));
    return c.json(shelves.get(keys) as Record<string, unknown>);
  });
  return { fetch: (request) => app.fetch(request) };
}

/** Entries as a context shows them, made once: what is left is turning them into text. */
function shelf(keys: number): Record<string, unknown> {
  const shared: Record<string, unknown> = {};
  for (let i = 0; i < keys; i++) {
    shared[`k${i}`] = {
      value: { n: i, text: "some text as agents leave it" },
      _meta: {
        score: 0.2337,
        revision: 1,
        version: "0123456789abcdef",
        updated_at: "2026-01-01T00:00:00.000Z",
        elided: false,
      },
    };
  }
  return { seq: 1, state: { _shared: shared, self: {} } };
}
