/**
 * The demo: a coordinator and four workers, each a process of its own, go through the service's
 * own documents over HTTP. It uses the service that runs at the configured origin, or starts one
 * on the configured database, and leaves the room there.
 */
import { type Config, readConfig } from "../config.ts";
import type { JsonObject } from "../types.ts";
import { call, Refused } from "./demo/client.ts";

/** Workers, and what each judges a document by. */
const WORKERS = { w1: "words", w2: "headings", w3: "words", w4: "links" } as const;
/** The demo gives up after this. */
const PATIENCE_MS = 60_000;

const here = new URL("./", import.meta.url);
const children: Deno.ChildProcess[] = [];

function start(script: string, args: readonly string[]): Deno.ChildProcess {
  const path = new URL(script, here).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", decodeURIComponent(path), ...args],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  children.push(child);
  return child;
}

async function isUp(origin: string): Promise<boolean> {
  try {
    return (await call("GET", `${origin}/healthz`))["ok"] === true;
  } catch {
    // Nobody listens there, or somebody who is no sync.
    return false;
  }
}

/** The running service, or one of our own; `undefined` for one that was running already. */
async function findService(config: Config): Promise<Deno.ChildProcess | undefined> {
  if (await isUp(config.origin)) {
    console.log(`Using the service at ${config.origin}.`);
    return undefined;
  }
  const service = start("../serve.ts", []);
  const deadline = performance.now() + 15_000;
  while (!await isUp(config.origin)) {
    if (performance.now() > deadline) throw new Error(`no service came up at ${config.origin}`);
    await new Promise<void>((resolve) => setTimeout(resolve, 100));
  }
  return service;
}

async function documents(): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(new URL("../reference/", here))) {
    if (entry.name.endsWith(".md")) names.push(entry.name);
  }
  return names.sort();
}

async function play(config: Config): Promise<void> {
  const { origin } = config;
  const body = { label: "Demo: five processes read the documents", join: "open" };
  const room = await call("POST", `${origin}/rooms`, { body });
  const id = room["id"] as string;
  console.log(`The room is ${id}.`);
  const names = await documents();
  const cast = [start("demo/coordinator.ts", [origin, id, ...names])];
  for (const [worker, by] of Object.entries(WORKERS)) {
    cast.push(start("demo/worker.ts", [origin, id, worker, by]));
  }
  const ends = await Promise.all(cast.map((child) => child.status));
  if (ends.some(({ success }) => !success)) throw new Error("one of the processes failed");
  await report(origin, room);
  console.log(`Look at it: ${origin}/?room=${id}#token=${room["view_token"]}`);
}

async function report(origin: string, room: JsonObject): Promise<void> {
  const at = `${origin}/rooms/${room["id"]}`, token = room["view_token"] as string;
  const verified = await call("GET", `${at}/verify`, { token });
  if (verified["ok"] !== true) {
    throw new Error(`the log does not verify: ${JSON.stringify(verified)}`);
  }
  console.log(`${verified["records"]} records, verified; the newest hash is ${verified["hash"]}.`);
}

async function end(service: Deno.ChildProcess | undefined, config: Config): Promise<void> {
  if (!service) return;
  service.kill("SIGTERM");
  await service.status;
  console.log(`The service of the demo has stopped; "deno task start" serves ${config.db} again.`);
}

const config = readConfig((name) => Deno.env.get(name));
const giveUp = setTimeout(() => {
  console.error("The demo takes too long; it gives up.");
  for (const child of children) child.kill("SIGKILL");
  Deno.exit(1);
}, PATIENCE_MS);
const service = await findService(config);
try {
  await play(config);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(`${error.message} ${error.body["hint"] ?? ""}`);
  Deno.exitCode = 1;
} finally {
  await end(service, config);
  clearTimeout(giveUp);
}
