/**
 * For hosts that bring their own server and call a function: the service is opened at the first
 * request, says 503 while it cannot be, and lets go of who waits when the process is told to end.
 */
import type { Client } from "@libsql/client";
import { type Config, readConfig } from "./config.ts";
import { SyncError } from "./errors.ts";
import { clientAddress, isLoopbackAddress } from "./http/address.ts";
import { logger, type LogLine } from "./http/log-lines.ts";
import { renderError } from "./http/render.ts";
import { takeLock } from "./store/lock.ts";

/** What is needed of a database client that a host brings. */
export type HostClient = Pick<Client, "execute" | "batch">;

/** What is needed of a service here. */
export interface HostedService {
  fetch(request: Request): Promise<Response>;
  /** Answers those who wait and ends the streams; requests go on being answered. */
  release(): void;
  close(): Promise<void>;
}

/** Opens the service of this configuration; `address` tells who asks. */
export type OpenService = (
  config: Config,
  address: (request: Request) => string,
) => Promise<HostedService>;

/** What a host calls: a function, and an object with a `fetch`. */
export type Handler = ((request: Request, info?: unknown) => Promise<Response>) & {
  fetch(request: Request, info?: unknown): Promise<Response>;
};

/** Where a host says nothing of where it listens, it listens to the world. */
const HOSTED: Readonly<Record<string, string>> = { HOST: "0.0.0.0" };
/** The peer's name where a host does not tell: whoever trusts its proxy trusts this name. */
const UNKNOWN_PEER: Deno.NetAddr = { transport: "tcp", hostname: "host", port: 0 };
/** How long the last replies may still be under way when the service is closed. */
const EXIT_MS = 2_000;

/** The handler of a service. `ownsFiles` says whether `file:` databases are its own to lock. */
export function hostService(open: OpenService, ownsFiles: boolean): Handler {
  const host = new Host(open, ownsFiles);
  const handle = (request: Request, info?: unknown): Promise<Response> =>
    host.answer(request, info);
  return Object.assign(handle, { fetch: handle });
}

class Host {
  readonly #addresses = new WeakMap<Request, string>();
  #service: Promise<HostedService> | undefined;
  #trustedProxies: readonly string[] = [];
  #isPlaceTold = false;
  #isStopping = false;
  #closed: Promise<void> | undefined;
  #active = 0;
  #told: string | undefined;
  #log: LogLine = logger("json", Date.now);

  constructor(private readonly open: OpenService, private readonly ownsFiles: boolean) {}

  async answer(request: Request, info: unknown): Promise<Response> {
    this.#service ??= this.start();
    let service: HostedService;
    try {
      service = await this.#service;
    } catch (error) {
      // The next request tries again.
      this.#service = undefined;
      return renderError(asUnavailable(error), `req_${crypto.randomUUID()}`);
    }
    this.#addresses.set(request, this.addressOf(request, info));
    this.#active++;
    try {
      return await service.fetch(request);
    } finally {
      this.#active--;
      if (this.#isStopping && this.#active === 0) await this.close(service);
    }
  }

  /** A host that does not say where it listens may hand on the world's requests from loopback. */
  private addressOf(request: Request, info: unknown): string {
    const address = clientAddress(request, peerOf(info), this.#trustedProxies);
    return this.#isPlaceTold || !isLoopbackAddress(address) ? address : UNKNOWN_PEER.hostname;
  }

  /** Closes once. A server that does not end by itself is ended: its signals are taken here. */
  private close(service: HostedService): Promise<void> {
    return this.#closed ??= service.close()
      .catch((error) => this.#log("error", "cannot close", { error: messageOf(error) }))
      .finally(() => Deno.unrefTimer(setTimeout(() => Deno.exit(0), EXIT_MS)));
  }

  private async start(): Promise<HostedService> {
    const locks: Deno.FsFile[] = [];
    try {
      const config = readConfig((name) => environment(name) ?? HOSTED[name]);
      this.#log = logger(config.log, Date.now);
      this.#trustedProxies = config.trustedProxies;
      this.#isPlaceTold = environment("HOST") !== undefined;
      for (const url of this.ownsFiles ? [config.db, ...config.shards] : []) {
        if (url.startsWith("file:")) locks.push(await lockFile(url));
      }
      const service = await this.open(
        config,
        (request) => this.#addresses.get(request) ?? UNKNOWN_PEER.hostname,
      );
      if (environment("SYNC_ORIGIN") === undefined) {
        this.#log("warn", "SYNC_ORIGIN is not set: links, sign-in and passkeys name this machine", {
          origin: config.origin,
        });
      }
      this.stopOnSignals(service);
      return service;
    } catch (error) {
      for (const lock of locks) lock.close();
      const message = messageOf(error);
      // Every request tries again; a reason is told once.
      if (message !== this.#told) this.#log("error", "cannot start", { error: message });
      this.#told = message;
      throw error;
    }
  }

  /** A server that lets its requests finish would otherwise wait for those that wait. */
  private stopOnSignals(service: HostedService): void {
    const stop = (): void => {
      if (this.#isStopping) return;
      this.#isStopping = true;
      this.#log("info", "stopping");
      service.release();
      if (this.#active === 0) void this.close(service);
    };
    try {
      for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, stop);
    } catch (error) {
      this.#log("info", "this host has no signals", { error: messageOf(error) });
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function peerOf(info: unknown): Deno.Addr {
  const address = (info as { remoteAddr?: Deno.Addr } | null | undefined)?.remoteAddr;
  return address ?? UNKNOWN_PEER;
}

async function lockFile(url: string): Promise<Deno.FsFile> {
  const lock = await takeLock(url);
  if (lock !== "taken") return lock;
  throw new SyncError("unavailable", "Another process or thread serves this database file.", {
    hint: "One process and one thread per file: no `--parallel`, or a libSQL server.",
  });
}

function asUnavailable(error: unknown): SyncError {
  const failure = new SyncError("unavailable", "The service cannot start here; its log says why.", {
    hint: "Nothing was done; repeat the call later.",
  }, { "Retry-After": "5" });
  failure.cause = error;
  return failure;
}

function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    // A host that grants no access to this variable has not set it.
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** A whole client around what a host brings; what the store never calls is refused. */
export function clientOf(host: HostClient): Client {
  const refuse = (): never => {
    throw new Error("the host's database client is only asked to execute and to batch");
  };
  return {
    execute: ((...asked: Parameters<Client["execute"]>) => host.execute(...asked)) as Client[
      "execute"
    ],
    batch: (statements, mode) => host.batch(statements, mode),
    reconnect: () => undefined,
    close: () => undefined,
    closed: false,
    protocol: "http",
    migrate: refuse,
    transaction: refuse,
    executeMultiple: refuse,
    sync: refuse,
  };
}
