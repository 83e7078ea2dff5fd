/** The log: which lines are written at which level, in which style, and what they never hold. */
import assert from "node:assert/strict";
import { LOG_LEVELS, readConfig } from "../config.ts";
import { logger, type LogStyle } from "../http/log-lines.ts";
import { makeRoom, START, startService, userToken } from "./harness.ts";
import { call } from "./mcp_world.ts";

/** Runs with what the service prints caught. */
async function printed(
  run: () => Promise<void> | void,
): Promise<{ out: string[]; error: string[] }> {
  const { log, error } = console;
  const lines = { out: [] as string[], error: [] as string[] };
  console.log = (line: string) => void lines.out.push(line);
  console.error = (line: string) => void lines.error.push(line);
  try {
    await run();
  } finally {
    console.log = log;
    console.error = error;
  }
  return lines;
}

Deno.test("A level and all above it are written, errors apart; off writes nothing at all", async () => {
  const speak = (style: LogStyle, least: typeof LOG_LEVELS[number]) =>
    printed(() => {
      const log = logger(style, () => START, least);
      for (const level of LOG_LEVELS) log(level, "x", { a: 1 });
    });
  for (const [i, least] of LOG_LEVELS.entries()) {
    const { out, error } = await speak("json", least);
    const levels = out.map((line) => JSON.parse(line).level);
    assert.deepEqual(levels, LOG_LEVELS.slice(i).filter((level) => level !== "error"));
    assert.deepEqual(error.map((line) => JSON.parse(line)), [
      { ts: "2026-11-20T08:00:00.000Z", level: "error", message: "x", a: 1 },
    ]);
  }
  const pretty = await speak("pretty", "warn");
  assert.deepEqual(pretty.out, ["2026-11-20T08:00:00.000Z warn  x a=1"]);
  assert.deepEqual(await speak("off", "debug"), { out: [], error: [] });
});

Deno.test("The level is an option: info unless set, and a word it does not know is refused", () => {
  const level = (value?: string) =>
    readConfig((name) => name === "SYNC_LOG_LEVEL" ? value : undefined).logLevel;
  assert.equal(level(), "info");
  assert.equal(level("debug"), "debug");
  assert.throws(() => level("loud"), /SYNC_LOG_LEVEL.*debug, info, warn, error/);
});

Deno.test("At debug every request is a line, by its route, with the id its caller got; at info none is", async () => {
  const bustle = async (level: string): Promise<Record<string, unknown>[]> => {
    const { out } = await printed(async () => {
      const on = await startService({ env: { SYNC_LOG: "json", SYNC_LOG_LEVEL: level } });
      const room = await makeRoom(on, ["alice-zq1"], { id: "room-zq2" });
      const token = room.agents["alice-zq1"]!;
      await on.invoke(room.id, "action-zq3", { p: "value-zq4" }, token);
      await on.call("GET", `/rooms/${room.id}/wait?condition=zq5&timeout=0`, { token });
      await on.call("GET", "/nowhere-zq6?q=zq7");
      const user = await userToken(on, "user-zq8", "rooms:*");
      await call(on, user, "sync_lobby", {});
      const { headers } = await on.call("GET", `/rooms/${room.id}`, { token });
      await on.close();
      console.log(JSON.stringify({ last: headers.get("X-Request-Id") }));
      for (const secret of [token, user, room.admin]) console.log(JSON.stringify({ secret }));
    });
    return out.map((line) => JSON.parse(line));
  };
  const lines = await bustle("debug");
  const requests = lines.filter(({ message }) => message === "request");
  assert.deepEqual(requests.map(({ route, status }) => `${status} ${route}`), [
    "201 POST /rooms",
    "201 POST /rooms/:id/agents",
    "404 POST /rooms/:id/actions/:action/invoke",
    "400 GET /rooms/:id/wait",
    "404 GET none",
    "200 POST /mcp",
    "200 GET /rooms/:id",
  ]);
  assert.equal(requests.at(-1)!["request_id"], lines.find(({ last }) => last)!["last"]);
  for (const line of requests) {
    assert.deepEqual(
      Object.keys(line).sort(),
      ["level", "message", "ms", "request_id", "route", "status", "ts"],
    );
    const text = JSON.stringify(line);
    assert.ok(!text.includes("zq"), text);
    for (const { secret } of lines) assert.ok(!secret || !text.includes(String(secret)));
  }
  const quiet = await bustle("info");
  assert.deepEqual(quiet.filter(({ message }) => message === "request"), []);
});

Deno.test("A token in the address of a page is in no line", async () => {
  const { out, error } = await printed(async () => {
    const on = await startService({ env: { SYNC_LOG: "json", SYNC_LOG_LEVEL: "debug" } });
    const headers = { Accept: "text/html" };
    for (const path of ["/", "/docs", "/nowhere", "/rooms/room-zq1"]) {
      await on.call("GET", `${path}?room=room-zq1&token=room_zq2`, { headers });
    }
    await on.close();
  });
  const routes = out.map((line) => JSON.parse(line).route).filter((route) => route !== undefined);
  assert.deepEqual(routes, ["GET /", "GET /docs", "GET none", "GET /rooms/:id"]);
  assert.ok(![...out, ...error].some((line) => line.includes("zq")));
});
