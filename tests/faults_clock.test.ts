/**
 * The machine's clock is set while the service runs: forward, back, and back across a restart.
 * Nothing is forgotten, the log's time never goes back, and what is due comes when its time has.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../engine/types.ts";
import { makeRoom, mustVerify, startService, SYSTEM_CLOCK, userToken } from "./harness.ts";
import type { Reply, TestRoom, TestService } from "./harness.ts";

const HOUR_MS = 3_600_000;

/** A clock that can be set, and counts how often it is looked at. */
class SettableClock implements Clock {
  #offset = 0;
  looks = 0;
  readonly after = SYSTEM_CLOCK.after;
  readonly nonce = SYSTEM_CLOCK.nonce;

  now(): number {
    this.looks++;
    return SYSTEM_CLOCK.now() + this.#offset;
  }

  set(byMs: number): void {
    this.#offset += byMs;
  }
}

const ACTIONS = [
  { id: "put", writes: [{ key: "${params.k}", value: 1, timer: "${params.timer}" }] },
  { id: "inc", writes: [{ key: "n", increment: 1 }] },
  {
    id: "rest",
    writes: [{ key: "rested", increment: 1 }],
    on_invoke: { timer: { ms: HOUR_MS, effect: "enable" } },
  },
];

async function world(clock: Clock, folder?: string) {
  const on = await startService({ clock, ...(folder ? { folder } : {}) });
  const room = await makeRoom(on, ["alice", "bob"]);
  for (const action of ACTIONS) {
    const { status, text } = await on.invoke(room.id, "_register_action", action, room.admin);
    assert.equal(status, 201, text);
  }
  return { on, room };
}

function invoke(
  on: TestService,
  room: TestRoom,
  action: string,
  params: unknown = {},
  who = "alice",
): Promise<Reply> {
  return on.invoke(room.id, action, params, room.agents[who]);
}

function wait(on: TestService, room: TestRoom, condition: string, timeout = 20_000) {
  const query = `condition=${encodeURIComponent(condition)}&timeout=${timeout}`;
  return on.call("GET", `/rooms/${room.id}/wait?${query}`, { token: room.view });
}

async function instants(on: TestService, room: TestRoom): Promise<number[]> {
  const { body } = await on.call("GET", `/rooms/${room.id}/log?limit=1000`, { token: room.admin });
  return body.records.map(({ ts }: { ts: string }) => Date.parse(ts));
}

Deno.test("Set forward: what has come due happens by itself, leases and tokens are over, the log goes on", async () => {
  const clock = new SettableClock();
  const { on, room } = await world(clock);
  const timer = { ms: HOUR_MS, effect: "delete" };
  await invoke(on, room, "put", { k: "gone", timer });
  await invoke(on, room, "rest");
  assert.equal((await invoke(on, room, "rest")).status, 409);
  const { body: message } = await invoke(on, room, "_send_message", { body: "task" });
  const claim = { seq: message.seq, lease_ms: HOUR_MS };
  assert.equal((await invoke(on, room, "_claim_message", claim)).status, 200);
  assert.equal((await invoke(on, room, "_claim_message", claim, "bob")).status, 409);
  const token = await userToken(on, "uma", "rooms:*", 1 / 24);
  assert.equal((await on.call("GET", "/rooms", { token })).status, 200);
  const waiting = wait(on, room, "!has(state._shared.gone)");
  while (on.service.deps.waits.open === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  clock.set(2 * HOUR_MS);
  const woken = await waiting;
  assert.equal(woken.body.triggered, true, woken.text);
  assert.equal((await invoke(on, room, "rest")).status, 200, "it has rested");
  assert.equal((await invoke(on, room, "_claim_message", claim, "bob")).status, 200);
  assert.equal((await on.call("GET", "/rooms", { token })).status, 401, "the token is over");
  await mustVerify(on, room);
  await on.close();
});

Deno.test("Set back: writes and waits go on, the log's time stands still, and nothing comes too early", async () => {
  const clock = new SettableClock();
  const { on, room } = await world(clock);
  await invoke(on, room, "inc");
  clock.set(-HOUR_MS);
  for (let i = 0; i < 5; i++) assert.equal((await invoke(on, room, "inc")).status, 200);
  const put = await invoke(on, room, "put", { k: "brief", timer: { ms: 100, effect: "delete" } });
  assert.equal(put.status, 200, put.text);
  const timedOut = await wait(on, room, "!has(state._shared.brief)", 300);
  assert.equal(timedOut.body.timeout, true, "a wait's time does not hang on the clock");
  const looks = clock.looks;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(clock.looks < looks + 50, "it looks at the clock all the time");
  const waiting = wait(on, room, "!has(state._shared.brief)");
  const counted = wait(on, room, "state._shared.n.value >= 7");
  await invoke(on, room, "inc");
  assert.equal((await counted).body.triggered, true, "waits on writes are woken");
  clock.set(HOUR_MS);
  await invoke(on, room, "inc");
  assert.equal((await waiting).body.triggered, true, "it comes when the clock has caught up");
  const times = await instants(on, room);
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  await mustVerify(on, room);
  await on.close();
});

Deno.test("Set back across a restart: everything is there, and the log's time goes on from where it was", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sync-clock-"));
  const clock = new SettableClock();
  const first = await world(clock, folder);
  const { room } = first;
  const keyed = (on: TestService) =>
    on.call("POST", `/rooms/${room.id}/actions/inc/invoke`, {
      token: room.agents["alice"],
      headers: { "Idempotency-Key": "k" },
      body: {},
    });
  assert.equal((await keyed(first.on)).status, 200);
  await first.on.close();
  clock.set(-HOUR_MS);
  const on = await startService({ clock, folder });
  const again = await keyed(on);
  assert.equal(again.headers.get("Idempotent-Replayed"), "true", again.text);
  for (let i = 0; i < 3; i++) assert.equal((await invoke(on, room, "inc")).status, 200);
  const times = await instants(on, room);
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  assert.equal(new Set(times.slice(-3)).size, 1, "time stands still until the clock catches up");
  await mustVerify(on, room);
  await on.close();
  await rm(folder, { recursive: true, force: true });
});
