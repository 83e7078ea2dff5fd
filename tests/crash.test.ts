/**
 * The service as a process of its own: killed at random moments, stopped politely, started twice.
 * What was acknowledged is there; what was not is there whole or not at all.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crashRounds } from "../proof/crash-rounds.ts";
import { type AskServer, MixedLoad, seeded } from "../proof/mixed-load.ts";
import { type Ask, launchServer, type ServerProcess, startServer } from "../proof/server.ts";
import { mustVerify, startService, SYSTEM_CLOCK } from "./harness.ts";

const SEED = 20_261_120;
const ROUNDS = 20;

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-crash-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

Deno.test("kill -9 at random moments: nothing acknowledged is lost, nothing is there in half or twice", async () => {
  const { acknowledged, inDoubt, atStart } = await crashRounds({ rounds: ROUNDS, seed: SEED });
  assert.ok(acknowledged > ROUNDS * 5, `only ${acknowledged} commands were acknowledged`);
  assert.ok(inDoubt > ROUNDS, `only ${inDoubt} commands were under way when it was killed`);
  assert.equal(atStart, 2);
});

/** What a server that loses or halves writes would answer, and what the check says to it. */
const LIES: readonly (readonly [
  what: string,
  RegExp,
  (path: string, text: string) => string | undefined,
])[] = [
  ["a record is gone", /is gone|gap in the log/, (path, text) => {
    if (!path.includes("/log?")) return undefined;
    const body: { records: { action?: string }[] } = JSON.parse(text);
    const lost = body.records.findLastIndex(({ action }) => action === "pair");
    return JSON.stringify({ ...body, records: body.records.toSpliced(lost, 1) });
  }],
  [
    "a write of three is missing",
    /in half/,
    (path, text) =>
      path.includes("/log?")
        ? JSON.stringify({
          ...JSON.parse(text),
          records: JSON.parse(text).records.map((record: { action: string; writes?: unknown[] }) =>
            record.action === "pair" ? { ...record, writes: record.writes!.slice(0, 2) } : record
          ),
        })
        : undefined,
  ],
  ["half of an invocation is in the state", /in half/, (path, text) => {
    if (!path.includes("only=state")) return undefined;
    return text.replace(/"a\.k/, '"z.k');
  }],
  ["the counter lags behind", /counter/, (path, text) => {
    if (!path.includes("only=state")) return undefined;
    return text.replace(/"n":\{"value":\d+/, '"n":{"value":1');
  }],
  ["a timer is forgotten", /lost its timer/, (path, text) => {
    return path.includes("only=state") ? text.replaceAll('"timer":', '"timid":') : undefined;
  }],
  ["a repeat is answered anew", /is not known again/, () => undefined],
  ["a token is forgotten", /the token of/, () => undefined],
  ["the log does not fold to the state", /verify/, (path, text) => {
    return path.endsWith("/verify") ? text.replace('"ok":true', '"ok":false') : undefined;
  }],
];

Deno.test("The check after a crash sees each kind of loss", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  const ask: AskServer = (method, path, given: Ask = {}) => on.call(method, path, given);
  let commands = 0;
  const load = await MixedLoad.begin(ask, "x", seeded(SEED));
  await load.run(ask, 4, () => ++commands > 120);
  const messages: string[] = [];
  for (const [what, pattern, lie] of LIES) {
    const lying: AskServer = async (method, path, given) => {
      const answer = await ask(method, path, given);
      if (what === "a repeat is answered anew") answer.headers.delete("Idempotent-Replayed");
      const isOwn = given?.token !== undefined && given.token !== load.admin;
      if (what === "a token is forgotten" && isOwn && path.includes("only=agents")) {
        return { ...answer, status: 401 };
      }
      const text = lie(path, answer.text);
      return text === undefined ? answer : { ...answer, text, body: JSON.parse(text) };
    };
    try {
      await load.fresh().check(lying);
      messages.push(`${what}: not seen`);
    } catch (error) {
      if (!pattern.test(String(error))) messages.push(`${what}: ${error}`);
    }
  }
  assert.deepEqual(messages, []);
  await load.fresh().check(ask);
  await on.close();
});

function call(server: ServerProcess, method: string, path: string, token?: string, body?: unknown) {
  return server.ask(method, path, { token, ...(body === undefined ? {} : { body }) });
}

Deno.test("SIGTERM: waiters are answered with closing, writes are kept, and the process leaves with 0", async () => {
  await inFolder(async (folder) => {
    const server = await startServer({ folder });
    const { body: room } = await call(server, "POST", "/rooms", undefined, { id: "x" });
    const { body: alice } = await call(server, "POST", "/rooms/x/agents", undefined, {
      id: "alice",
    });
    const waiting = [room.token, alice.token, room.view_token].map((token) =>
      call(server, "GET", "/rooms/x/wait?condition=false&timeout=50000", token)
    );
    for (;;) {
      const { body } = await call(
        server,
        "GET",
        "/rooms/x/context?only=agents",
        room.view_token,
      );
      if (body.agents.alice.value.status === "waiting") break;
    }
    const writing = Array.from(
      { length: 20 },
      (_, i) =>
        call(server, "POST", "/rooms/x/actions/_send_message/invoke", alice.token, {
          params: { body: i },
        }),
    );
    await Promise.race(writing);
    server.signal("SIGTERM");
    for (const { status, body } of await Promise.all(waiting)) {
      assert.deepEqual([status, body.triggered, body.timeout, body.closing], [
        200,
        false,
        true,
        true,
      ]);
    }
    const settled = await Promise.allSettled(writing);
    const sent = settled.flatMap((outcome) =>
      outcome.status === "fulfilled" && outcome.value.status === 201 ? [outcome.value.body.seq] : []
    );
    assert.equal(await server.ended, 0, server.output());
    const on = await startService({ folder });
    await mustVerify(on, { id: "x", admin: room.token });
    const hot = await on.service.engine.find("x");
    for (const seq of sent) assert.ok(hot.room.message(seq));
    await on.close();
  });
});

Deno.test("A second process on the same database refuses, says why, and leaves with an error", async () => {
  await inFolder(async (folder) => {
    const first = await startServer({ folder });
    const second = launchServer({ folder });
    const code = await second.ended;
    assert.ok(typeof code === "number" && code !== 0, `${code}`);
    assert.match(second.output(), /[Aa]nother process/);
    assert.match(second.output(), /sync\.db/);
    assert.equal((await first.ask("GET", "/healthz")).status, 200, "the first goes on");
    await first.kill();
    const third = await startServer({ folder });
    const { status } = await third.ask("GET", "/readyz");
    assert.equal(status, 200, "a killed process leaves no lock behind");
    assert.equal(await third.stop(), 0);
  });
});

Deno.test("Options that make no sense stop the start with a sentence that names them", async () => {
  await inFolder(async (folder) => {
    const { ended, output } = launchServer({ folder, env: { PORT: "many" } });
    assert.notEqual(await ended, 0);
    assert.match(output(), /PORT/);
  });
});
