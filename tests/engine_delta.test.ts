/**
 * Following a room by `since`: whoever applies each delta to what it had holds what a whole read
 * shows, and whoever waits `since` is woken by whatever changed in that. Random rooms with views,
 * gates, timers, messages, presence, disabled agents and grants; every kind of reader.
 */
import "./seed.ts";
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import {
  makeRoom,
  ManualClock,
  mustVerify,
  startService,
  type TestRoom,
  type TestService,
  turns,
} from "./harness.ts";

/** One thing that happens in the room. */
type Step =
  | {
    readonly do: "put";
    readonly scope: string;
    readonly key: string;
    readonly value: number;
    readonly life: "plain" | "timed" | "ticked" | "dormant" | "gated" | "mine";
  }
  | { readonly do: "drop"; readonly scope: string; readonly key: string }
  | { readonly do: "view"; readonly id: string; readonly expr: number; readonly gated: boolean }
  | { readonly do: "unview"; readonly id: string }
  | {
    readonly do: "action";
    readonly id: string;
    readonly gate: number;
    readonly gated: boolean;
    readonly scope: string;
    readonly writes: boolean;
  }
  | { readonly do: "agent"; readonly who: string; readonly enabled: string | null }
  | { readonly do: "status"; readonly status: string }
  | { readonly do: "unaction"; readonly id: string }
  | { readonly do: "invoke"; readonly id: string }
  | {
    readonly do: "send";
    readonly kind: string;
    readonly life: "plain" | "timed" | "dormant" | "gated";
  }
  | { readonly do: "claim"; readonly nth: number; readonly release: boolean }
  | { readonly do: "grant"; readonly grants: readonly string[] }
  | { readonly do: "gate"; readonly value: number }
  | { readonly do: "pass"; readonly ms: number };

const EXPRS = [
  "state._shared.a.value",
  "state._shared.gate.value + 1",
  "state._board.keys().size()",
  "has(state._shared.b) ? state._shared.b.value : -1",
  "views.v0.value",
  "messages.count",
  "messages.unclaimed",
  "agents.alice.value.name",
  "actions.x0._meta.invocations",
  "agents.alice.value.status",
  "state.keys()",
  "contested(actions)",
];
const GATES = [
  "true",
  "state._shared.gate.value == 1",
  "state._shared.a.value > 2",
  "messages.count > 2",
  "views.v0.value == 1",
  'self == "bob"',
  'agents.alice.value.status == "busy"',
];
const OPEN = "state._shared.gate.value == 1";

const scope = fc.constantFrom("_shared", "_board", "alice");
const key = fc.constantFrom("a", "b", "c");
const small = fc.integer({ min: 0, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("put" as const),
    scope,
    key,
    value: small,
    life: fc.constantFrom("plain", "plain", "timed", "ticked", "dormant", "gated", "mine"),
  }),
  fc.record({ do: fc.constant("drop" as const), scope, key }),
  fc.record({
    do: fc.constant("view" as const),
    id: fc.constantFrom("v0", "v1"),
    expr: fc.nat({ max: EXPRS.length - 1 }),
    gated: fc.boolean(),
  }),
  fc.record({ do: fc.constant("unview" as const), id: fc.constantFrom("v0", "v1") }),
  fc.record({
    do: fc.constant("action" as const),
    id: fc.constantFrom("x0", "x1"),
    gate: fc.nat({ max: GATES.length - 1 }),
    gated: fc.boolean(),
    scope: fc.constantFrom("_shared", "alice"),
    writes: fc.boolean(),
  }),
  fc.record({
    do: fc.constant("agent" as const),
    who: fc.constantFrom("alice", "alice", "bob"),
    enabled: fc.constantFrom(null, "false", 'self != "bob"', OPEN),
  }),
  fc.record({ do: fc.constant("status" as const), status: fc.constantFrom("busy", "idle") }),
  fc.record({ do: fc.constant("unaction" as const), id: fc.constantFrom("x0", "x1") }),
  fc.record({ do: fc.constant("invoke" as const), id: fc.constantFrom("x0", "x1") }),
  fc.record({
    do: fc.constant("send" as const),
    kind: fc.constantFrom("chat", "task"),
    life: fc.constantFrom("plain", "timed", "dormant", "gated"),
  }),
  fc.record({ do: fc.constant("claim" as const), nth: small, release: fc.boolean() }),
  fc.record({ do: fc.constant("grant" as const), grants: fc.constantFrom([], ["alice"]) }),
  fc.record({ do: fc.constant("gate" as const), value: fc.constantFrom(0, 1) }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1, 400, 1500) }),
);

const LIVES: Readonly<Record<string, Record<string, unknown>>> = {
  plain: {},
  timed: { timer: { ms: 1000, effect: "delete" } },
  ticked: { timer: { ticks: 2, tick_on: "_shared.gate", effect: "delete" } },
  dormant: { timer: { ms: 900, effect: "enable" } },
  gated: { enabled: OPEN },
  mine: { enabled: 'self == "bob"' },
};

class Player {
  #n = 0;
  readonly #messages: number[] = [];

  constructor(
    private readonly on: TestService,
    private readonly room: TestRoom,
    private readonly clock: ManualClock,
    /** Nobody but alice sees the actions that write. */
    private readonly isQuiet = false,
  ) {}

  async take(step: Step): Promise<void> {
    const { on, room } = this;
    const alice = room.agents["alice"];
    const run = (action: string, params: unknown, token = alice) =>
      on.invoke(room.id, action, params, token);
    switch (step.do) {
      case "put":
        return await this.once({
          scope: step.scope,
          key: step.key,
          value: step.value,
          ...LIVES[step.life],
        });
      case "drop":
        return await this.once({ scope: step.scope, key: step.key, delete: true });
      case "gate":
        return await this.once({ key: "gate", value: step.value });
      case "view":
        return void await run("_register_view", {
          id: step.id,
          expr: EXPRS[step.expr],
          scope: "_shared",
          ...(step.gated ? { enabled: OPEN } : {}),
        });
      case "unview":
        return void await run("_delete_view", { id: step.id });
      case "action":
        return void await run("_register_action", {
          id: step.id,
          if: GATES[step.gate],
          scope: step.scope,
          writes: step.writes ? [{ key: "c", value: 1 }] : [],
          ...(step.gated ? { enabled: OPEN } : {}),
        });
      case "unaction":
        return void await run("_delete_action", { id: step.id });
      case "invoke":
        return void await run(step.id, {});
      case "send": {
        const { body } = await run("_send_message", {
          body: 1,
          kind: step.kind,
          ...LIVES[step.life],
        });
        return void (body.seq && this.#messages.push(body.seq));
      }
      case "claim": {
        const seq = this.#messages.at(-1 - step.nth);
        const action = step.release ? "_release_message" : "_claim_message";
        return void (seq && await run(action, step.release ? { seq } : { seq, lease_ms: 700 }));
      }
      case "grant":
        return void await on.call("PATCH", `/rooms/${room.id}/agents/bob`, {
          token: room.admin,
          body: { grants: step.grants },
        });
      case "agent":
        return void await on.call("PATCH", `/rooms/${room.id}/agents/${step.who}`, {
          token: room.admin,
          body: { enabled: step.enabled },
        });
      case "status":
        return void await run("_set_status", { status: step.status });
      case "pass":
        return await this.clock.advance(step.ms);
    }
  }

  /** One write, by an action made for it. */
  private async once(write: Record<string, unknown>): Promise<void> {
    const id = `w${this.#n++ % 3}`;
    const { on, room } = this;
    await on.invoke(
      room.id,
      "_register_action",
      {
        id,
        scope: "alice",
        writes: [write],
        ...(this.isQuiet ? { enabled: 'self == "alice"' } : {}),
      },
      room.admin,
    );
    await on.invoke(room.id, id, {}, room.agents["alice"]);
  }
}

// deno-lint-ignore no-explicit-any -- replies are read by many shapes
type Body = any;

/** What a reader holds: the parts of a context that only records, timers and rights change. */
class Mirror {
  readonly state = new Map<string, unknown>();
  readonly views = new Map<string, unknown>();
  readonly actions = new Map<string, unknown>();
  readonly messages = new Map<number, unknown>();
  seq = 0;

  apply(body: Body): void {
    if (body.removed === undefined) {
      for (const part of [this.state, this.views, this.actions, this.messages]) {
        part.clear();
      }
    }
    for (const gone of body.removed ?? []) {
      if (gone.view !== undefined) this.views.delete(gone.view);
      else if (gone.action !== undefined) this.actions.delete(gone.action);
      else if (gone.message !== undefined) this.messages.delete(gone.message);
      else this.state.delete(`${gone.scope}/${gone.key}`);
    }
    for (
      const [name, entries] of Object.entries(body.state as Record<string, Record<string, Body>>)
    ) {
      for (const [key, { value, _meta }] of Object.entries(entries)) {
        this.state.set(`${name}/${key}`, { value, revision: _meta.revision });
      }
    }
    for (const [id, { value, _meta }] of Object.entries(body.views as Record<string, Body>)) {
      this.views.set(id, { value, error: _meta?.error?.code });
    }
    for (const [id, { value, _meta }] of Object.entries(body.actions as Record<string, Body>)) {
      const { contested } = _meta;
      this.actions.set(id, { available: value.available, reason: value.reason, contested });
    }
    for (const { seq, claimed_by, shown_at } of body.messages.recent) {
      this.messages.set(seq, { claimed_by: claimed_by ?? null, shown_at });
    }
    this.seq = body.seq;
  }

  /** As plain data, in order. */
  get content(): unknown {
    const sorted = (part: Map<string | number, unknown>) =>
      Object.fromEntries([...part].sort(([a], [b]) => a < b ? -1 : 1));
    return {
      state: sorted(this.state),
      views: sorted(this.views),
      actions: sorted(this.actions),
      messages: sorted(this.messages),
    };
  }
}

const RUNS = {
  numRuns: Number(Deno.env.get("FC_RUNS") ?? 40),
  ...(Deno.env.get("FC_SEED") ? { seed: Number(Deno.env.get("FC_SEED")) } : {}),
};

Deno.test("Deltas applied one after the other are what a whole read shows, to every reader", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.boolean()), { minLength: 1, maxLength: 30 }),
      async (steps) => {
        const room = await makeRoom(on, ["alice", "bob"]);
        const player = new Player(on, room, clock);
        const readers = [room.agents["alice"], room.agents["bob"], room.view, room.admin].map((
          token,
        ) => ({ token, mirror: new Mirror() }));
        const read = async (token: string | undefined, query: string): Promise<Body> => {
          const path =
            `/rooms/${room.id}/context?elision=none&peek=true&messages_limit=500${query}`;
          const { status, body, text } = await on.call("GET", path, { token });
          assert.equal(status, 200, text);
          return body;
        };
        for (const { token, mirror } of readers) mirror.apply(await read(token, ""));
        for (const [each, isRead] of steps) {
          await player.take(each);
          if (!isRead) continue;
          for (const { token, mirror } of readers) {
            const since = mirror.seq;
            mirror.apply(await read(token, `&since=${since}`));
            const whole = new Mirror();
            whole.apply(await read(token, ""));
            assert.deepEqual(
              mirror.content,
              whole.content,
              `after ${JSON.stringify(each)}, since ${since}`,
            );
          }
        }
        await mustVerify(on, room);
      },
    ),
    RUNS,
  );
  await on.close();
});

/** Presence is no record: it wakes those only whose condition reads it. */
function isOfRecords(each: Step): boolean {
  if (each.do === "view") return !EXPRS[each.expr]!.includes("status");
  if (each.do === "action") return !GATES[each.gate]!.includes("status");
  return each.do !== "status";
}

Deno.test("Whoever waits since a record is woken by whatever a whole read shows of a change", async () => {
  const clock = new ManualClock();
  const on = await startService({ clock });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step.filter(isOfRecords), { minLength: 1, maxLength: 20 }),
      async (steps) => {
        const room = await makeRoom(on, ["alice", "bob"]);
        const player = new Player(on, room, clock, true);
        const tokens = [room.agents["alice"], room.agents["bob"], room.view, room.admin];
        const look = async (token: string | undefined): Promise<Mirror> => {
          const path = `/rooms/${room.id}/context?elision=none&peek=true&messages_limit=500`;
          const mirror = new Mirror();
          mirror.apply((await on.call("GET", path, { token })).body);
          return mirror;
        };
        const sleep = async (token: string | undefined) => {
          const stop = new AbortController();
          const before = await look(token);
          let isAwake = false;
          const body = { since: before.seq, timeout: 55_000 };
          const asked = { token, body, signal: stop.signal };
          void on.call("POST", `/rooms/${room.id}/wait`, asked).then(
            () => isAwake = true,
            () => undefined,
          );
          return { token, before, stop, isAwake: () => isAwake };
        };
        for (const each of steps) {
          const sleepers = await Promise.all(tokens.map(sleep));
          await turns(12);
          await player.take(each);
          await turns(16);
          for (const { token, before, stop, isAwake } of sleepers) {
            const after = await look(token);
            const isChanged = !isDeepStrictEqual(before.content, after.content);
            const whose = ["alice", "bob", "view", "admin"][tokens.indexOf(token)];
            if (isChanged) assert.ok(isAwake(), `${whose} after ${JSON.stringify(each)}`);
            stop.abort();
          }
        }
      },
    ),
    RUNS,
  );
  await on.close();
});
