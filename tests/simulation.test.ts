/**
 * Seeded lives of a room: writes, timers, gates, claims, time, restarts and crashes. After every
 * step what it shows is what the plain model says, and its log folds to it.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRoom, ManualClock, mustVerify, startService, type TestRoom } from "./harness.ts";
import type { Reply, TestService } from "./harness.ts";
import { type Asked, celOf, type Gate, Model } from "./simulation_model.ts";
import { Random } from "../proof/simulation/random.ts";

const BASE = ["b0", "b1", "b2"];
const GATED = ["g0", "g1", "g2"];
const WHO = ["alice", "bob", "carol"];
const STEPS = 220;
const SEEDS = [11, 12, 13, 14, 15, 16, 17, 18];

/** The room under test, with a clock that outlives its crashes. */
class Life {
  on!: TestService;
  clock = new ManualClock();
  room!: TestRoom;
  readonly done: string[] = [];

  constructor(readonly folder: string, readonly random: Random) {}

  async open(): Promise<void> {
    this.on = await startService({ clock: this.clock, folder: this.folder });
  }

  /** Gone from one moment to the next: nothing is flushed, its timers never fire again. */
  async crash(): Promise<void> {
    this.on.service.engine.isClosing = true;
    this.on.service.store.close();
    this.clock = new ManualClock(this.clock.now());
    await this.open();
  }

  async restart(downtime: number): Promise<void> {
    await this.on.service.close();
    await this.clock.advance(downtime);
    await this.open();
  }

  token(who: string): string {
    return this.room.agents[who] ?? this.room.admin;
  }

  async invoke(who: string, action: string, params: unknown, rest = {}): Promise<Reply> {
    return await this.on.invoke(this.room.id, action, params, this.token(who), rest);
  }

  gate(among: readonly string[]): Gate {
    const { random } = this;
    return {
      key: random.pick(among),
      is: random.pick(["there", "missing", "above"] as const),
      than: random.int(0, 3),
    };
  }

  asked(effect?: "delete" | "enable"): Asked {
    const { random } = this;
    const what = effect ?? random.pick(["delete", "enable"] as const);
    return random.chance(0.5)
      ? { ms: random.int(1, 8) * 1_000, effect: what }
      : { ticks: random.int(1, 4), tick_on: `_shared.${random.pick(BASE)}`, effect: what };
  }

  // deno-lint-ignore no-explicit-any -- a reply is read by many shapes
  async picture(who: string): Promise<any> {
    const { body } = await this.on.call(
      "GET",
      `/rooms/${this.room.id}/context?peek=true&focus_threshold=0`,
      {
        token: this.token(who),
      },
    );
    // deno-lint-ignore no-explicit-any -- as above
    const rows = (section: any): [string, any][] => Object.entries(section);
    const own = rows(body.actions).filter(([id]) => id.startsWith("act"));
    return {
      seq: body.seq,
      state: rows(body.state._shared).map(([key, { value, _meta: { timer } }]) => [
        key,
        value,
        timer?.due_at ?? null,
        timer?.ticks_left ?? null,
      ]).sort(),
      actions: own.map(([id, { value }]) => [
        id,
        value.available,
        value.available_at ?? null,
        value.ticks_left ?? null,
      ]),
      // deno-lint-ignore no-explicit-any -- as above
      messages: body.messages.recent.map((m: any) => [
        m.seq,
        m.claimed_by ?? null,
        m.lease_expires_at ?? null,
        // deno-lint-ignore no-explicit-any -- as above
      ]).sort((a: any, b: any) => a[0] - b[0]),
      agents: Object.keys(body.agents),
      unclaimed: body.messages.unclaimed,
    };
  }
}

type Step = (life: Life, model: Model) => Promise<void>;

/** An invocation by somebody, who may be out of the room just now. */
async function does(
  life: Life,
  model: Model,
  action: string,
  params: unknown,
  expected: number,
  apply: (who: string) => void,
  who = life.random.pick(WHO),
): Promise<void> {
  const isUnknown = expected === 404 && action.startsWith("act");
  const status = model.isIn(who) || isUnknown ? expected : 403;
  const isDry = life.random.chance(0.15);
  life.done.push(`${who} ${action} ${JSON.stringify(params)}${isDry ? " dry" : ""}`);
  if (isDry) {
    const dry = await life.invoke(who, action, params, { dry_run: true });
    assert.equal(dry.status >= 300 ? dry.status : 200, status >= 300 ? status : 200, dry.text);
  }
  const reply = await life.invoke(who, action, params);
  assert.equal(reply.status, status, `${life.done.slice(-5).join("\n")}\n${reply.text}`);
  if (status < 300) apply(who);
}

const STEPS_OF: readonly Step[] = [
  async (life, model) => {
    const k = life.random.pick([...BASE, ...GATED]), v = life.random.int(0, 5);
    const how = life.random.int(0, 4);
    const timer = how === 0 ? null : how < 3 ? undefined : life.asked();
    await does(life, model, "put", { k, v, timer }, 200, () => model.put(k, v, timer));
  },
  async (life, model) => {
    const k = life.random.pick([...BASE, ...GATED]);
    await does(life, model, "bump", { k }, 200, () => model.bump(k));
  },
  async (life, model) => {
    const k = life.random.pick([...BASE, ...GATED]);
    await does(life, model, "drop", { k }, 200, () => model.drop(k));
  },
  async (life, model) => {
    const k = life.random.pick([...BASE, ...GATED]);
    const status = model.entries.get(k)?.clock ? 200 : 409;
    await does(life, model, "renew", { k }, status, () => void model.renew(k));
  },
  async (life, model) => {
    const i = life.random.int(0, 2), k = GATED[i]!;
    const gate = life.gate([...BASE, ...GATED.slice(0, i)]);
    const timer = life.random.chance(0.3) ? life.asked() : undefined;
    const enabled = celOf(gate);
    const writes = [{ key: k, value: 1, enabled, ...(timer ? { timer } : {}) }];
    await does(
      life,
      model,
      "_register_action",
      { id: "gate", writes },
      201,
      () => model.head++,
      "alice",
    );
    await does(life, model, "gate", {}, 200, () => model.put(k, 1, timer, gate), "bob");
  },
  async (life, model) => {
    const id = life.random.pick(["act0", "act1"]), bumps = life.random.pick(BASE);
    const cools = life.random.chance(0.7) ? life.asked("enable") : undefined;
    const gate = life.random.chance(0.5) ? life.gate([...BASE, ...GATED]) : undefined;
    const params = {
      id,
      writes: [{ key: bumps, increment: 1 }],
      ...(cools ? { on_invoke: { timer: cools } } : {}),
      ...(gate ? { enabled: celOf(gate) } : {}),
    };
    const apply = () => model.register(id, bumps, cools, gate);
    await does(life, model, "_register_action", params, 201, apply);
  },
  async (life, model) => {
    const id = life.random.pick(["act0", "act1"]);
    await does(life, model, id, {}, model.answer(id), () => model.fire(id));
  },
  async (life, model) => {
    const timer = life.random.chance(0.4) ? life.asked() : undefined;
    const gate = life.random.chance(0.3) ? life.gate([...BASE, ...GATED]) : undefined;
    const enabled = gate ? celOf(gate) : undefined;
    const params = { body: "do", kind: "task", timer, enabled };
    await does(life, model, "_send_message", params, 201, (who) => {
      model.tasks.add(model.send(who, timer, gate));
    });
  },
  async (life, model) => {
    const seqs = [...model.messages.keys()];
    if (seqs.length === 0) return;
    const seq = life.random.pick(seqs), who = life.random.pick(WHO);
    const lease_ms = life.random.int(1, 9) * 1_000;
    const status = model.claimAnswer(seq, who);
    const apply = () => model.claim(seq, who, lease_ms);
    await does(life, model, "_claim_message", { seq, lease_ms }, status, apply, who);
  },
  async (life, model) => {
    const held = [...model.messages].filter(([seq, m]) => m.by !== undefined && model.isThere(seq));
    if (held.length === 0) return;
    const [seq, message] = life.random.pick(held);
    const who = message.by!;
    if (life.random.chance(0.5)) {
      await does(life, model, "_release_message", { seq }, 200, () => model.release(seq), who);
    } else {
      const params = { body: "done", kind: "result", reply_to: seq };
      await does(life, model, "_send_message", params, 201, () => void model.finish(seq, who), who);
    }
  },
  async (life, model) => {
    const gate = life.random.chance(0.3) ? undefined : life.gate([...BASE, ...GATED]);
    life.done.push(`carol ${gate ? celOf(gate) : "free"}`);
    const { status } = await life.on.call("PATCH", `/rooms/${life.room.id}/agents/carol`, {
      token: life.room.admin,
      body: { enabled: gate ? celOf(gate) : null },
    });
    assert.equal(status, 200);
    model.gateCarol(gate);
  },
  async (life, model) => {
    const ms = life.random.int(1, 5_000);
    life.done.push(`pass ${ms}`);
    await life.clock.advance(ms);
    model.pass(life.clock.now());
  },
  async (life) => {
    if (!life.random.chance(0.4)) return;
    life.done.push("crash");
    await life.crash();
  },
  async (life, model) => {
    if (!life.random.chance(0.3)) return;
    const ms = life.random.int(0, 20_000);
    life.done.push(`down for ${ms}`);
    await life.restart(ms);
    model.pass(life.clock.now());
  },
];

async function settle(life: Life): Promise<Model> {
  await life.open();
  life.room = await makeRoom(life.on, WHO);
  const params = { k: {}, v: {}, timer: {} };
  const key = "${params.k}";
  const actions = {
    put: [{ key, value: "${params.v}", timer: "${params.timer}" }],
    bump: [{ key, increment: 1 }],
    drop: [{ key, delete: true }],
    renew: [{ key, renew: true }],
  };
  for (const [id, writes] of Object.entries(actions)) {
    await life.invoke("admin", "_register_action", { id, params, writes });
  }
  return new Model((await life.picture("admin")).seq, life.clock.now());
}

for (const seed of SEEDS) {
  Deno.test(`A room lives as the model says, seed ${seed}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "sync-life-"));
    const life = new Life(folder, new Random(seed));
    try {
      const model = await settle(life);
      for (let step = 0; step < STEPS; step++) {
        await life.random.pick(STEPS_OF)(life, model);
        for (const who of ["alice", "admin"]) {
          const what = `seed ${seed}, step ${step}, ${who}:\n${life.done.slice(-8).join("\n")}`;
          assert.deepEqual(await life.picture(who), model.picture(), what);
        }
        if (step % 20 === 19) await mustVerify(life.on, life.room);
      }
    } finally {
      await life.on.service.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
}
