/**
 * A generated history: every write mode, timers, `enabled`, agents, messages, claims and
 * registrations, drawn from a seed, on a clock that goes on by hand.
 */
import {
  makeRoom,
  type ManualClock,
  type Reply,
  type TestRoom,
  type TestService,
} from "./harness.ts";

/** Numbers from a seed: the same seed, the same numbers. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }
  /** From 0 to n-1. */
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

const AGENTS = ["alice", "bob", "carol"] as const;
const KEYS = ["phase", "turn", "list", "doc", "flag", "a.b", "x"] as const;

/** The vocabulary of the generated rooms: one action per write mode and more. */
const VOCABULARY: readonly Record<string, unknown>[] = [
  {
    id: "set",
    params: { key: {}, value: {} },
    writes: [{ key: "${params.key}", value: "${params.value}" }],
  },
  {
    id: "inc",
    params: { by: {} },
    writes: [{ key: "turn", increment: "${params.by}" }],
    if: "true",
  },
  {
    id: "push",
    params: { item: {} },
    writes: [{ key: "list", append: true, value: "${params.item}" }],
  },
  {
    id: "row",
    params: { item: {} },
    writes: [{ scope: "_board", append: true, value: "${params.item}" }],
  },
  { id: "patch", params: { part: {} }, writes: [{ key: "doc", merge: "${params.part}" }] },
  { id: "drop", params: { key: {} }, writes: [{ key: "${params.key}", delete: true }] },
  {
    id: "timed",
    params: { key: {}, ms: {} },
    writes: [{
      key: "${params.key}",
      value: "timed",
      timer: { ms: "${params.ms}", effect: "delete" },
    }],
  },
  {
    id: "sleeper",
    params: { ms: {} },
    writes: [{ key: "woken", value: "up", timer: { ms: "${params.ms}", effect: "enable" } }],
  },
  {
    id: "ticking",
    writes: [{
      key: "fuse",
      value: "lit",
      timer: { ticks: 2, tick_on: "_shared.turn", effect: "delete" },
    }],
  },
  { id: "renew", writes: [{ key: "x", renew: true }] },
  {
    id: "gated",
    writes: [{ key: "gated", value: "here", enabled: "state._shared.turn.value > 2" }],
  },
  {
    id: "own",
    params: { value: {} },
    writes: [{ scope: "${self}", key: "note", value: "${params.value}" }],
  },
  {
    id: "calc",
    writes: [{
      key: "sum",
      value: "has(state._shared.turn) ? state._shared.turn.value * 2 : 0",
      expr: true,
    }],
    result: "state._shared.sum.value",
    on_invoke: { timer: { ms: 3000, effect: "enable" } },
  },
];

const VIEWS = [
  {
    id: "turns",
    expr: "has(state._shared.turn) ? state._shared.turn.value : 0",
    render: { type: "metric" },
  },
  { id: "keys", expr: "state._shared.keys()" },
  { id: "double", expr: "views.turns.value * 2" },
];

/** A room about which a history is made. */
export class World {
  readonly dice: Dice;
  tokens: Record<string, string> = {};
  constructor(
    public on: TestService,
    readonly clock: ManualClock,
    readonly room: TestRoom,
    seed: number,
  ) {
    this.dice = new Dice(seed);
    this.tokens = { ...room.agents };
  }

  static async make(on: TestService, clock: ManualClock, seed: number): Promise<World> {
    const room = await makeRoom(on, AGENTS);
    const world = new World(on, clock, room, seed);
    for (const action of VOCABULARY) await world.invoke("_register_action", action, "admin");
    for (const view of VIEWS) {
      await world.invoke("_register_view", { ...view, scope: "_shared" }, "admin");
    }
    return world;
  }

  invoke(action: string, params: unknown, agent: string): Promise<Reply> {
    const token = agent === "admin" ? this.room.admin : this.tokens[agent];
    return this.on.invoke(this.room.id, action, params, token);
  }

  get(path: string, token: string = this.room.admin): Promise<Reply> {
    return this.on.call("GET", `/rooms/${this.room.id}${path}`, { token });
  }

  /** One step drawn by the dice. Refusals are part of life. */
  async step(): Promise<void> {
    const { dice } = this;
    if (dice.below(4) === 0) await this.clock.advance(dice.below(2_500));
    else if (dice.below(3) === 0) await this.clock.advance(1 + dice.below(20));
    const who = dice.pick(AGENTS);
    const reply = await this.draw(who);
    if (reply.status >= 500) throw new Error(`${reply.status}: ${reply.text}`);
  }

  private async draw(who: string): Promise<Reply> {
    const { dice } = this;
    const value = dice.pick<unknown>([1, "two", 3.5, null, true, ["l"], {
      deep: { er: dice.below(9) },
    }, "ünï"]);
    switch (dice.below(22)) {
      case 0:
      case 1:
      case 2:
        return await this.invoke("set", { key: dice.pick(KEYS), value }, who);
      case 3:
      case 4:
        return await this.invoke("inc", { by: dice.pick([1, 2, -1, 0.5]) }, who);
      case 5:
        return await this.invoke("push", { item: value }, who);
      case 6:
        return await this.invoke("row", { item: value }, who);
      case 7:
        return await this.invoke(
          "patch",
          { part: { a: dice.below(3), b: dice.pick([null, "x"]) } },
          who,
        );
      case 8:
        return await this.invoke("drop", { key: dice.pick(KEYS) }, who);
      case 9:
        return await this.invoke("timed", { key: "x", ms: 500 + dice.below(4_000) }, who);
      case 10:
        return await this.invoke("sleeper", { ms: 500 + dice.below(3_000) }, who);
      case 11:
        return await this.invoke(dice.pick(["ticking", "renew", "gated", "calc"]), {}, who);
      case 12:
        return await this.invoke("own", { value }, who);
      case 13:
      case 14:
        return await this.message(who);
      case 15:
      case 16:
        return await this.claim(who);
      case 17:
        return await this.vocabulary();
      case 18:
        return await this.agents(who);
      case 19:
        return await this.configure();
      case 20:
        return await this.invoke("_set_status", { status: dice.pick(["busy", "active"]) }, who);
      default:
        return await this.invoke("calc", {}, who);
    }
  }

  private async message(who: string): Promise<Reply> {
    const { dice } = this;
    return await this.invoke("_send_message", {
      body: { n: dice.below(100) },
      kind: dice.pick(["chat", "task", "task"]),
      ...(dice.below(3) === 0 ? { to: dice.pick(AGENTS) } : {}),
      ...(dice.below(4) === 0
        ? { timer: { ms: 2_000, effect: dice.pick(["delete", "enable"]) } }
        : {}),
      ...(dice.below(6) === 0 ? { enabled: "self != 'bob'" } : {}),
    }, who);
  }

  private async claim(who: string): Promise<Reply> {
    const { dice } = this;
    const context = await this.get("/context?only=messages&peek=true", this.tokens[who]);
    const tasks = context.body.messages.recent.filter((m: { kind: string }) => m.kind === "task");
    if (tasks.length === 0) return context;
    const { seq } = dice.pick<{ seq: number }>(tasks);
    if (dice.below(3) === 0) return await this.invoke("_release_message", { seq }, who);
    if (dice.below(3) === 0) {
      return await this.invoke(
        "_send_message",
        { body: "done", kind: "result", reply_to: seq },
        who,
      );
    }
    return await this.invoke("_claim_message", { seq, lease_ms: dice.pick([null, 1_500]) }, who);
  }

  private async vocabulary(): Promise<Reply> {
    const { dice } = this;
    const id = `act${dice.below(3)}`;
    if (dice.below(3) === 0) return await this.invoke("_delete_action", { id }, "admin");
    if (dice.below(3) === 0) {
      return await this.invoke("_register_view", {
        id: `view${dice.below(2)}`,
        expr: dice.pick([
          "state._shared.turn.value + 1",
          "size(state._shared)",
          "state._shared.list.value",
        ]),
        scope: "_shared",
      }, "admin");
    }
    return await this.invoke("_register_action", {
      id,
      if: dice.pick(["state._shared.turn.value > 1", "self == 'alice'", "true"]),
      writes: [{ key: dice.pick(KEYS), value: id }],
      ...(dice.below(4) === 0 ? { timer: { ms: 2_500, effect: "delete" } } : {}),
    }, "admin");
  }

  private async agents(who: string): Promise<Reply> {
    const { dice } = this;
    const path = `/rooms/${this.room.id}/agents`;
    if (dice.below(3) === 0) {
      const joined = await this.on.call("POST", path, {
        token: this.room.admin,
        body: { id: who, state: { mood: dice.below(5) }, public_keys: ["mood"] },
      });
      if (joined.status === 201) this.tokens[who] = joined.body.token;
      return joined;
    }
    const body = dice.pick<Record<string, unknown>>([
      { grants: ["bob"] },
      { grants: [] },
      { role: `r${dice.below(4)}` },
      { enabled: "state._shared.flag.value != 3.5" },
      { enabled: null },
    ]);
    return await this.on.call("PATCH", `${path}/${who}`, { token: this.room.admin, body });
  }

  private async configure(): Promise<Reply> {
    const { dice } = this;
    return await this.invoke("_configure", {
      key: dice.pick(["salience_weights", "note"]),
      value: dice.pick<unknown>([null, { recency: 0.5 }, { delta: 0.9 }]),
    }, "admin").then((reply) => reply.status === 400 ? this.get("/context?only=agents") : reply);
  }
}

/** What a context says of the room, without what is live beside the log. */
// deno-lint-ignore no-explicit-any -- contexts have many shapes
export function lasting(body: any): unknown {
  const copy = structuredClone(body);
  for (const agent of Object.values<Record<string, Record<string, unknown>>>(copy.agents ?? {})) {
    for (const field of ["status", "waiting_on", "last_heartbeat"]) delete agent["value"]![field];
    delete agent["_meta"]!["silent"];
  }
  return copy;
}
