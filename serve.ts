/**
 * Runs the service on this machine: takes the database for itself, listens, and on SIGTERM or
 * SIGINT answers the waiters, writes what is left and leaves with 0.
 */
import { readConfig } from "./config.ts";
import { SyncError } from "./errors.ts";
import { logger } from "./http/log-lines.ts";
import { createService } from "./main.ts";
import { clientAddress } from "./http/address.ts";
import { takeLock } from "./store/lock.ts";

const config = readConfig((name) => Deno.env.get(name));
const log = logger(config.log, () => Date.now());
const locks: Deno.FsFile[] = [];
for (const db of [config.db, ...config.shards].filter((url) => url.startsWith("file:"))) {
  const lock = await takeLock(db);
  if (lock === "taken") {
    log("error", `Another process serves ${db}; one process per database file.`, {
      hint: "Stop the other one, or give this one its own SYNC_DB.",
    });
    Deno.exit(1);
  }
  locks.push(lock);
}

const addresses = new WeakMap<Request, string>();
const service = await createService({
  config,
  address: (request) => addresses.get(request) ?? "unknown",
}).catch((error: unknown) => {
  if (!(error instanceof SyncError)) throw error;
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  log("error", `${config.db} cannot be opened: ${error.message}`, { code: error.code, cause });
  Deno.exit(1);
});
const server = Deno.serve({
  port: config.port,
  hostname: config.host,
  onListen: ({ port }) => log("info", "listening", { origin: config.origin, port, db: config.db }),
}, (request, info) => {
  addresses.set(request, clientAddress(request, info.remoteAddr, config.trustedProxies));
  return service.fetch(request);
});

let isStopping = false;
async function stop(signal: string): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  log("info", "stopping", { signal });
  service.deps.waits.close();
  service.deps.streams.close();
  // What listens over MCP never ends by itself; waits have been answered by then.
  setTimeout(() => void service.mcp.close(), 500);
  await Promise.race([server.shutdown(), new Promise((resolve) => setTimeout(resolve, 5_000))]);
  await service.close();
  log("info", "stopped");
  Deno.exit(0);
}
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.addSignalListener(signal, () => void stop(signal));
}
