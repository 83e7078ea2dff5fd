/**
 * The service over a real libSQL server that is late, cut off, swallowed or held back on the way:
 * every request is answered in the end, nothing acknowledged is lost, nothing is done twice, and
 * when the way is good again so is the service, without a restart.
 */
import assert from "node:assert/strict";
import { openLibsqlServer } from "../proof/libsql-server.ts";
import { type AskServer, MixedLoad, seeded } from "../proof/mixed-load.ts";
import { openProxy, type TcpProxy } from "../proof/tcp-proxy.ts";
import { startService, SYSTEM_CLOCK, type TestService } from "./harness.ts";

const SEED = 20_261_122;
const CLIENTS = 6;

/** A service whose way to its database can be made bad. */
interface Ground {
  readonly on: TestService;
  readonly way: TcpProxy;
  readonly load: MixedLoad;
  readonly ask: AskServer;
  readonly chance: () => number;
  /** Runs the load for so long. */
  during(ms: number): Promise<void>;
  /** Runs the load until so many more commands are acknowledged. */
  untilWell(n: number): Promise<void>;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function onServer(test: (ground: Ground) => Promise<void>): Promise<void> {
  const server = await openLibsqlServer();
  const way = await openProxy(Number(new URL(server.url).port));
  const url = `http://127.0.0.1:${way.port}`;
  const on = await startService({ clock: SYSTEM_CLOCK, env: { SYNC_DB: url } });
  const ask: AskServer = (method, path, given = {}) => on.call(method, path, given);
  const chance = seeded(SEED);
  try {
    const load = await MixedLoad.begin(ask, "x", chance);
    const during = async (ms: number): Promise<void> => {
      const end = performance.now() + ms;
      await load.run(ask, CLIENTS, () => performance.now() > end);
    };
    const untilWell = async (n: number): Promise<void> => {
      const goal = load.acknowledged.length + n;
      await load.run(ask, CLIENTS, () => load.acknowledged.length >= goal);
    };
    await untilWell(30);
    await test({ on, way, load, ask, chance, during, untilWell });
    way.set({});
    await untilWell(30);
    await load.check(ask);
    const again = await startService({ clock: SYSTEM_CLOCK, env: { SYNC_DB: url } });
    await load.fresh().check((method, path, given = {}) => again.call(method, path, given));
    await again.close();
    await on.close();
  } finally {
    await way.close();
    await server.dispose();
  }
}

/** A wait that is open while the way is bad, and is answered by a write after it; a 503 is asked again. */
async function waitingFor(ask: AskServer, load: MixedLoad): Promise<void> {
  const condition = encodeURIComponent("has(state._shared.after)");
  for (;;) {
    const path = `/rooms/x/wait?condition=${condition}&timeout=50000`;
    const { status, body, text, headers } = await ask("GET", path, { token: load.token("bob") });
    if (status === 503) {
      assert.match(headers.get("Retry-After") ?? "", /^[1-9]\d*$/);
      await pause(50);
      continue;
    }
    assert.equal(body.triggered, true, `the wait was not woken: ${text}`);
    return;
  }
}

async function writeAfter(ask: AskServer, load: MixedLoad): Promise<void> {
  const invoke = (action: string, params: unknown) =>
    ask("POST", `/rooms/x/actions/${action}/invoke`, { token: load.admin, body: { params } });
  const writes = [{ key: "after", value: true }];
  const registered = await invoke("_register_action", { id: "after", writes });
  assert.equal(registered.status, 201, registered.text);
  const { status, text } = await invoke("after", {});
  assert.equal(status, 200, text);
}

Deno.test("Answers that are cut off anywhere, and connections that are reset: nothing lost, nothing twice", async () => {
  await onServer(async ({ on, way, load, ask, chance, during }) => {
    const waiting = waitingFor(ask, load);
    while (on.service.deps.waits.open === 0) await pause(5);
    for (let round = 0; round < 6; round++) {
      way.set({ cutAnswersAfter: () => Math.floor(chance() * 1_200) });
      await during(250);
      way.set({ lateMs: 3 });
      const resets = setInterval(() => way.reset(), 25);
      await during(250);
      clearInterval(resets);
    }
    assert.ok(load.refused.size > 0, "nothing was refused");
    way.set({});
    await writeAfter(ask, load);
    await waiting;
  });
});

Deno.test("A database server that swallows everything: nobody waits for ever, and waits go on after it", async () => {
  await onServer(async ({ on, way, load, ask, untilWell }) => {
    const waiting = waitingFor(ask, load);
    while (on.service.deps.waits.open === 0) await pause(5);
    way.set({ isBlackHole: true });
    const room = load.admin;
    const asked = [
      load.run(ask, CLIENTS, () => true),
      ask("GET", "/rooms/x/context", { token: room }),
      ask("GET", "/rooms/never-seen/context", { token: room }),
      ask("POST", "/rooms", { body: { id: "y" } }),
      ask("POST", "/rooms/x/agents", { body: { id: "carol" } }),
      ask("GET", "/readyz"),
      ask("POST", "/rooms/x/actions/_send_message/invoke", {
        token: load.token("alice"),
        body: { params: { body: "unheard" } },
      }),
    ];
    for (const answer of await Promise.all(asked)) {
      if (!answer) continue;
      assert.equal(answer.status, 503, answer.text);
      assert.match(answer.headers.get("Retry-After") ?? "", /^[1-9]\d*$/);
    }
    assert.equal((await ask("GET", "/healthz")).status, 200);
    way.set({});
    // Connections that were kept are dead: each says so once.
    while ((await ask("GET", "/readyz")).status !== 200) await pause(50);
    await untilWell(10);
    await writeAfter(ask, load);
    await waiting;
    assert.equal(on.service.deps.waits.open, 0);
  });
});

Deno.test("Rights that cannot be read while the database is away: a wait goes on, a stream says reset", async () => {
  await onServer(async ({ on, way, load, ask }) => {
    const { waits, auth } = on.service.deps;
    const condition = encodeURIComponent("has(state._shared.after)");
    const waiting = ask("GET", `/rooms/x/wait?condition=${condition}&timeout=50000`, {
      token: load.token("bob"),
    });
    const { body } = await on.service.fetch(
      new Request("http://localhost/rooms/x/events", {
        headers: { Authorization: `Bearer ${load.token("bob")}` },
      }),
    );
    const streamed = new Response(body).text();
    while (waits.open === 0) await pause(5);
    way.set({ isDown: true });
    // As when another instance has changed rights: what is kept of them counts no longer.
    auth.forget();
    const events = await streamed;
    assert.match(events, /event: reset\ndata: .*the database is away/);
    assert.doesNotMatch(events, /event: end/);
    assert.equal(waits.open, 1, "the wait was given up");
    way.set({});
    while ((await ask("GET", "/readyz")).status !== 200) await pause(50);
    await writeAfter(ask, load);
    const woken = await waiting;
    assert.equal(woken.body.triggered, true, woken.text);
  });
});

Deno.test("A commit that comes through after it was given up is there once, or not at all", async () => {
  await onServer(async ({ way, load, ask }) => {
    let isOver = false;
    const loading = load.run(ask, CLIENTS, () => isOver);
    await pause(100);
    way.set({ isHeld: true });
    while (!load.refused.has("outcome_unknown")) await pause(20);
    isOver = true;
    way.set({});
    await loading;
    await load.check(ask);
  });
});

Deno.test("A database server that is slow, and one that is away: the one is waited for, the other is a 503", async () => {
  await onServer(async ({ way, load, ask, untilWell }) => {
    way.set({ lateMs: 40 });
    await untilWell(15);
    assert.equal(load.refused.size, 0, "slow is not away");
    way.set({ isDown: true });
    for (const path of ["/rooms/x/context", "/rooms/other", "/readyz"]) {
      const { status, headers, text } = await ask("GET", path, { token: load.admin });
      assert.equal(status, 503, text);
      assert.match(headers.get("Retry-After") ?? "", /^[1-9]\d*$/);
    }
    way.set({});
    assert.equal((await ask("GET", "/readyz")).status, 200);
  });
});

Deno.test("Two instances whose ways break in turn: one log, nothing lost, nothing twice", async () => {
  const server = await openLibsqlServer();
  const port = Number(new URL(server.url).port);
  const ways = [await openProxy(port), await openProxy(port)];
  const urls = ways.map((way) => `http://127.0.0.1:${way.port}`);
  const services: TestService[] = [];
  for (const url of urls) {
    services.push(await startService({ clock: SYSTEM_CLOCK, env: { SYNC_DB: url } }));
  }
  const chance = seeded(SEED), pick = seeded(SEED + 1);
  const any: AskServer = (method, path, given = {}) =>
    services[Math.floor(pick() * services.length)]!.call(method, path, given);
  try {
    const load = await MixedLoad.begin(any, "x", chance);
    for (let round = 0; round < 4; round++) {
      const end = performance.now() + 450;
      const loading = load.run(any, CLIENTS, () => performance.now() > end);
      for (const way of [...ways, ...ways]) {
        way.set(chance() < 0.6 ? { cutAnswersAfter: () => chance() * 1_200 } : { isDown: true });
        await pause(100);
        way.set({});
      }
      await loading;
    }
    assert.ok(load.refused.size > 0, "nothing was refused");
    await load.check(any);
    for (const on of services) {
      await load.fresh().check((method, path, given = {}) => on.call(method, path, given));
      await on.close();
    }
  } finally {
    for (const way of ways) await way.close();
    await server.dispose();
  }
});
