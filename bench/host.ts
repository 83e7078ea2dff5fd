/**
 * A server under test, as a process of its own: `host.ts product|floor <database>`. Prints its
 * port; answers each line on standard input: `now` or `settle` with its memory and the processor
 * time it used, `sample cpu` or `sample heap` once it samples itself, `stop <file>` once the samples
 * are written there.
 */
import { Session } from "node:inspector";
import { cpuUsage } from "node:process";

const [what, db] = Deno.args as [string, string];
const SAMPLE_US = 200;
const SAMPLE_BYTES = 4_096;

async function product(): Promise<Deno.ServeHandler<Deno.NetAddr>> {
  const { createService } = await import("../main.ts");
  const { readConfig } = await import("../config.ts");
  const { clientAddress } = await import("../http/address.ts");
  const settings: Record<string, string> = { SYNC_DB: db, SYNC_LOG: "off" };
  const addresses = new WeakMap<Request, string>();
  const config = readConfig((name) => settings[name]);
  const service = await createService({
    config,
    address: (request) => addresses.get(request) ?? "",
  });
  return (request, info) => {
    addresses.set(request, clientAddress(request, info.remoteAddr, config.trustedProxies));
    return service.fetch(request);
  };
}

async function floor(): Promise<Deno.ServeHandler<Deno.NetAddr>> {
  const { openFloor } = await import("./floor.ts");
  return (await openFloor(db)).fetch;
}

const session = new Session();
let stopMethod = "Profiler.stop";

/** One command to the engine's own profiler. */
function inspect<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
  return new Promise((resolve, reject) =>
    session.post(
      method,
      params,
      (error: Error | null, result?: unknown) =>
        error ? reject(new Error(error.message)) : resolve(result as T),
    )
  );
}

async function sample(what: string): Promise<void> {
  session.connect();
  if (what === "cpu") {
    await inspect("Profiler.enable");
    await inspect("Profiler.setSamplingInterval", { interval: SAMPLE_US });
    return await inspect("Profiler.start");
  }
  await inspect("HeapProfiler.enable");
  await inspect("HeapProfiler.startSampling", {
    samplingInterval: SAMPLE_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  stopMethod = "HeapProfiler.stopSampling";
}

async function writeSamples(file: string): Promise<void> {
  const { profile } = await inspect<{ profile: unknown }>(stopMethod);
  session.disconnect();
  stopMethod = "Profiler.stop";
  await Deno.writeTextFile(file, JSON.stringify(profile));
}

/** Carries out one line of the control's. */
async function obey(line: string): Promise<unknown> {
  if (line.startsWith("sample ")) return await sample(line.slice("sample ".length));
  if (line.startsWith("stop ")) return await writeSamples(line.slice("stop ".length));
  const collect = (globalThis as unknown as { gc?: () => void }).gc;
  if (line === "settle") { for (let i = 0; i < 4; i++) collect?.(); }
  const { user, system } = cpuUsage();
  const { heapUsed, rss } = Deno.memoryUsage();
  return { heap: heapUsed, rss, cpuMs: (user + system) / 1000 };
}

const handler = what === "floor" ? await floor() : await product();
const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => undefined }, handler);
console.log(JSON.stringify({ port: server.addr.port }));

for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  for (const line of chunk.split("\n")) {
    if (line !== "") console.log(JSON.stringify(await obey(line) ?? null));
  }
}
Deno.exit(0);
