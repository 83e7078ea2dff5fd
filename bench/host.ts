/**
 * A server under test, as a process of its own: `host.ts product|floor <database>`. Prints its
 * port; answers each line on standard input with its memory and the processor time it used.
 */

const [what, db] = Deno.args as [string, string];

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

const handler = what === "floor" ? await floor() : await product();
const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => undefined }, handler);
console.log(JSON.stringify({ port: server.addr.port }));

const collect = (globalThis as unknown as { gc?: () => void }).gc;
for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  if (line.includes("settle")) { for (let i = 0; i < 4; i++) collect?.(); }
  const { user, system } = (await import("node:process")).cpuUsage();
  const { heapUsed, rss } = Deno.memoryUsage();
  console.log(JSON.stringify({ heap: heapUsed, rss, cpuMs: (user + system) / 1000 }));
}
Deno.exit(0);
