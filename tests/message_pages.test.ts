/** Pages of messages, whatever became visible by one record: none is lost, none is repeated. */
import assert from "node:assert/strict";
import { SyncError } from "../errors.ts";
import { Agent, ERAS } from "./mcp_world.ts";
import { World } from "./time_world.ts";

interface Shown {
  readonly seq: number;
  readonly from: string;
  readonly shown_at?: number;
}

function placeOf({ shown_at, seq }: Shown): number {
  return shown_at ?? seq;
}

/** Numbers below `n` from a seed: the same ones every time. */
function randomOf(seed: number): (n: number) => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  const next = (): number => {
    state = (state ^ (state << 13)) >>> 0;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < 9; i++) next();
  return (n) => Math.floor(next() * n);
}

/** What bob may see, as one page, in the order of pages. */
async function all(world: World): Promise<{ readonly unread: number; readonly list: Shown[] }> {
  const { messages } = await world.context("bob", "peek=true&messages_limit=500");
  return { unread: messages.unread, list: messages.recent };
}

/** Sends some messages, many of which become visible at the same instants. */
async function sendSome(world: World, below: (n: number) => number): Promise<void> {
  for (let i = below(7); i >= 0; i--) {
    const tick = { ticks: 1, tick_on: "_shared.tick", effect: "enable" };
    const due = { ms: 1_000 * (1 + below(3)), effect: "enable" };
    await world.must(["alice", "alice", "bob"][below(3)]!, "_send_message", {
      body: "x".repeat(below(10) === 0 ? 5_000 : below(200)),
      ...(below(3) === 0 ? { to: "bob" } : {}),
      ...[{}, { timer: due }, { timer: due }, { timer: tick }][below(4)]!,
    });
  }
}

/** What a page says reads the message for which it had no room. */
async function roomFor(
  world: World,
  // deno-lint-ignore no-explicit-any -- a section as it came
  { no_room, next_after }: any,
  query: string,
  // deno-lint-ignore no-explicit-any -- a section as it came
): Promise<any> {
  assert.equal(next_after, undefined, "what has no room has no next page either");
  const { messages } = await world.context("bob", `${query}&${no_room.expand.slice(1)}`);
  assert.ok(messages.recent.some(({ seq }: Shown) => seq === no_room.seq), "it is shown alone");
  assert.equal(messages.no_room, undefined);
  return messages;
}

/** Pages through everything from the start; answers what the pages held, in order. */
async function pageThrough(world: World, query: string): Promise<number[]> {
  const got: number[] = [];
  let after: number | undefined = 0;
  while (after !== undefined) {
    const { messages } = await world.context("bob", `peek=true&messages_after=${after}&${query}`);
    const page = messages.no_room ? await roomFor(world, messages, "peek=true") : messages;
    // Within a budget, directed ones and small ones stand there before their page, too.
    const passed: Shown[] = page.recent.filter((shown: Shown) =>
      !(placeOf(shown) > page.next_after)
    );
    got.push(...passed.map(({ seq }) => seq));
    assert.ok(!(page.next_after <= after), `${query}: after ${after} comes ${after} again`);
    after = page.next_after;
  }
  return got;
}

Deno.test("Messages that one record shows are paged, read and counted together", async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    await t.step(`seed ${seed}`, () =>
      World.run(async (world) => {
        const below = randomOf(seed);
        const writes = [{ key: "tick", increment: 1 }];
        await world.register("admin", "tick", { writes });
        const returned = new Set<number>();
        for (let step = 0; step < 10; step++) {
          await sendSome(world, below);
          if (below(2) === 0) await world.pass(1_000);
          if (below(3) === 0) await world.must("alice", "tick");
          const { list } = await all(world);
          const sorted = [...list].sort((a, b) => placeOf(a) - placeOf(b) || a.seq - b.seq);
          assert.deepEqual(list, sorted, "by the record that showed them, then by seq");
          const limit = `messages_limit=${1 + below(4)}`;
          const budget = below(2) === 0 ? `&budget=${[500, 600, 900, 2_000][below(4)]}` : "";
          const seqs = list.map(({ seq }) => seq);
          assert.deepEqual(await pageThrough(world, limit + budget), seqs, limit + budget);
          const { messages } = await world.context("bob", limit + budget);
          for (const { seq } of messages.recent) returned.add(seq);
          mustHaveReturned(await all(world), returned);
          if (budget === "") await mustJoin(world, messages, list, limit);
        }
        const query = ["messages_limit=1", "budget=500", "only=messages&budget=700"][below(3)]!;
        for (let { unread } = await all(world); unread > 0;) {
          let { messages } = await world.context("bob", query);
          for (const { seq } of messages.recent) returned.add(seq);
          if (messages.no_room) messages = await roomFor(world, messages, "peek=false");
          for (const { seq } of messages.recent) returned.add(seq);
          const now = await all(world);
          assert.ok(now.unread < unread, `${query}: each read gets further`);
          mustHaveReturned(now, returned);
          unread = now.unread;
        }
      }));
  }
});

/** What the cursor has passed was in a page. */
function mustHaveReturned(
  { unread, list }: Awaited<ReturnType<typeof all>>,
  returned: ReadonlySet<number>,
): void {
  const others = list.filter(({ from }) => from !== "bob").map(({ seq }) => seq);
  const lost = others.slice(0, others.length - unread).filter((seq) => !returned.has(seq));
  assert.deepEqual(lost, [], "read, and never returned");
}

/** What `earlier` leads to ends no sooner than the page begins. */
async function mustJoin(
  world: World,
  // deno-lint-ignore no-explicit-any -- a section as it came
  { recent, earlier }: any,
  list: readonly Shown[],
  limit: string,
): Promise<void> {
  if (!earlier || recent.length === 0) return;
  const at = list.findIndex(({ seq }) => seq === recent[0].seq);
  assert.equal(earlier.count, at);
  const { messages } = await world.context("bob", `peek=true&${limit}&${earlier.expand.slice(1)}`);
  const first: number = list.findIndex(({ seq }) => seq === messages.recent[0].seq);
  assert.ok(first < at, "it shows what lies before");
}

/** Every way to read messages beside what comes from the log. */
const READS: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  context: async (world) => (await world.call("GET", "/context?include=_audit", "bob")).body.error,
  "a wait that holds": async (world) =>
    (await world.call("GET", "/wait?condition=true&include=context,_audit", "bob")).body.error,
  "a wait that ends": async (world) => {
    const wait = await world.wait("bob", {
      condition: "false",
      timeout: 1_000,
      include: "context,_audit",
    });
    await world.clock.advance(1_000);
    return (await wait.done).body.error;
  },
  "sync_read_context": async (world) => {
    const agent = await Agent.connect(world.on, world.token("bob"), ERAS[0]);
    const told = await agent.tell("sync_read_context", {
      room: world.room.id,
      include: ["_audit"],
    });
    await agent.close();
    return told.body.error;
  },
};

Deno.test("What a read could not show because the log was away is not read", async (t) => {
  for (const [name, read] of Object.entries(READS)) {
    await t.step(name, () =>
      World.run(async (world) => {
        await world.must("alice", "_send_message", { body: "precious" });
        const { store } = world.on.service;
        const readLog = store.readLog.bind(store);
        let isAway = true;
        store.readLog = (...asked) => {
          if (isAway) throw new SyncError("unavailable", "The database is away.");
          return readLog(...asked);
        };
        assert.equal(await read(world), "unavailable");
        assert.equal((await all(world)).unread, 1);
        isAway = false;
        assert.equal(await read(world), undefined);
        assert.equal((await all(world)).unread, 0);
      }));
  }
});

Deno.test("A message for which a budget has no room is named, with what reads it", () =>
  World.run(async (world) => {
    const { body: { seq } } = await world.must("alice", "_send_message", { body: "m".repeat(400) });
    await world.register("alice", "put", {
      writes: [{ key: "${params.k}", value: "${params.v}" }],
    });
    for (const k of ["a", "b", "c", "d"]) {
      await world.must("alice", "put", { k, v: "x".repeat(2_600 - 650 * "abcd".indexOf(k)) });
    }
    const kinds = ["", "&messages_kind=action_invocation"];
    const named: string[] = [];
    for (const after of ["", "&messages_after=0"]) {
      for (const kind of kinds) {
        for (const budget of [500, 550, 600, 700, 1_000, 2_000]) {
          const path = `/context?peek=true&budget=${budget}${after}${kind}`;
          const { text, body } = await world.call("GET", path, "bob");
          assert.ok(text.length <= 4 * budget, `${path}: ${text.length} characters`);
          const { recent, next_after, no_room } = body.messages;
          assert.ok(next_after === undefined || recent.length > 0, `${path} leads nowhere`);
          if (!no_room) continue;
          named.push(`${after}${kind}`);
          const { messages } = await world.context("bob", `peek=true&${no_room.expand.slice(1)}`);
          assert.deepEqual(messages.recent.map((m: Shown) => m.seq), [no_room.seq], path);
          if (kind === "") assert.equal(no_room.seq, seq);
        }
      }
    }
    assert.deepEqual([...new Set(named)], [
      "",
      "&messages_after=0",
      `&messages_after=0${kinds[1]}`,
    ]);
  }));
