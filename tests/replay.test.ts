/** Replay: any record's room as it was live, byte for byte. */
import { strict as assert } from "node:assert";
import { canonical } from "../canonical.ts";
import { SNAPSHOT_RECORDS } from "../limits.ts";
import { ManualClock, mustVerify, startService } from "./harness.ts";
import { lasting, World } from "./memory_world.ts";

interface Seen {
  readonly seq: number;
  readonly admin: string;
  readonly agent: string;
  readonly who: string;
  readonly grants: string;
}

/** What everybody sees now: admin and one agent, who has read everything before. */
async function look(world: World): Promise<Seen | undefined> {
  const who = world.dice.pick(["alice", "bob", "carol"]);
  const options = "elision=none&depth=full&include=_config,_agents,_views,_actions";
  await world.get("/context", world.tokens[who]);
  const messages = await world.get("/context?only=messages&messages_limit=500", world.tokens[who]);
  assert.equal(messages.status, 200);
  const agent = await world.get(`/context?${options}&peek=true`, world.tokens[who]);
  const admin = await world.get(`/context?${options}`);
  const room = (await world.on.service.engine.find(world.room.id)).room;
  // Scores and velocities go by the clock: only what is looked at in the record's own instant is equal.
  if (room.ts !== world.clock.now()) return undefined;
  return {
    seq: room.head,
    who,
    grants: canonical(room.agent(who)!.grants),
    admin: canonical(lasting(admin.body)),
    agent: canonical(lasting(agent.body)),
  };
}

async function history(seed: number, steps: number): Promise<void> {
  const clock = new ManualClock();
  let on = await startService({ clock });
  const world = await World.make(on, clock, seed);
  const seen: Seen[] = [];
  for (let i = 0; i < steps; i++) {
    await world.step();
    if (i % (steps > 500 ? 15 : 5) === 0) {
      const now = await look(world);
      if (now) seen.push(now);
    }
    if (i % 97 === 96) world.on = on = await on.restart();
  }
  await mustVerify(on, world.room);
  const { room } = await on.service.engine.find(world.room.id);
  const caches = await on.service.store.db.all("SELECT count(*) AS n FROM snapshot");
  assert.equal(
    Number(caches[0]!["n"]) > 0,
    room.head > SNAPSHOT_RECORDS,
    `${caches[0]!["n"]} caches`,
  );
  assert.ok(seen.length > steps / 50, `only ${seen.length} looks`);
  const options = "elision=none&depth=full&include=_config,_agents,_views,_actions";
  for (const { seq, admin, agent, who, grants } of seen) {
    const whole = await world.get(`/replay/${seq}?${options}`);
    assert.equal(whole.status, 200, whole.text);
    assert.equal(canonical(lasting(whole.body)), admin, `seed ${seed}, record ${seq}, admin`);
    if (canonical(room.agent(who)!.grants) !== grants) continue;
    const borrowed = await world.get(`/replay/${seq}?${options}&agent=${who}`);
    const own = await world.get(`/replay/${seq}?${options}`, world.tokens[who]);
    assert.equal(canonical(lasting(own.body)), agent, `seed ${seed}, record ${seq}, ${who}`);
    const { actions: _a, ...rest } = lasting(borrowed.body) as Record<string, unknown>;
    const { actions: _b, ...wanted } = JSON.parse(agent);
    assert.equal(
      canonical(rest),
      canonical(wanted),
      `seed ${seed}, record ${seq}, ${who} borrowed`,
    );
  }
  await on.close();
}

for (const [seed, steps] of [[1, 300], [2, 300], [3, 1_300]] as const) {
  Deno.test(`a replay of any of ${steps} steps is what was live then (seed ${seed})`, () =>
    history(seed, steps));
}
