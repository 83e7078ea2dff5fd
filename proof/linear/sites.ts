/**
 * Where the service runs while it is checked: one process on a file, or several over one or more
 * libSQL servers; killed with SIGKILL one at a time, and started again on the same data.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LibsqlServer, openLibsqlServer } from "../libsql-server.ts";
import { type CuttingProxy, openCuttingProxy } from "./cutting-proxy.ts";
import { type ServerOptions, type ServerProcess, startServer } from "../server.ts";

const PLANTED = fileURLToPath(new URL("./planted.ts", import.meta.url));
const PAUSE_MS_MAX = 250;
const STARTS_MAX = 30;

/** How a site is made. */
export interface SiteOptions {
  readonly instances: number;
  /** libSQL servers that the rooms are spread over; 0: a file, for one instance. */
  readonly databases: number;
  /** One request in so many to a database is cut off, one way or another; 0 for none. */
  readonly cut: number;
  /** A bug to run with, of those in `planted.ts`. */
  readonly plant?: string | undefined;
}

/** Processes that serve one set of data. */
export class Site {
  readonly #up: (ServerProcess | undefined)[] = [];
  /** Whose turn to be killed is still to come: instances by number, then databases. */
  #next: number[] = [];
  /** What was killed, and when, in milliseconds of the clients' clock. */
  readonly kills: string[] = [];
  /** What instances said that ended without being killed. */
  readonly deaths: string[] = [];

  private constructor(
    private readonly options: SiteOptions,
    private readonly folder: string,
    private readonly databases: readonly LibsqlServer[],
    private readonly proxies: readonly CuttingProxy[],
  ) {}

  /** Starts everything. */
  static async open(options: SiteOptions, random: () => number): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), "sync-linear-"));
    const { databases } = options;
    const opened = await Promise.all(Array.from({ length: databases }, openLibsqlServer));
    const proxies = opened.map(({ url }) => openCuttingProxy(url, random));
    const site = new Site(options, folder, opened, proxies);
    try {
      await site.startAll();
    } catch (error) {
      await site.close();
      throw error;
    }
    return site;
  }

  private async start(i: number): Promise<void> {
    const { plant } = this.options;
    const under = plant === undefined
      ? {}
      : { under: [Deno.execPath(), "run", "-A", "--no-check", PLANTED, plant] };
    const ways = this.options.cut > 0 ? this.proxies : this.databases;
    const [first, ...further] = ways.map(({ url }) => url);
    const env = first === undefined
      ? {}
      : { env: { SYNC_DB: first, SYNC_SHARDS: further.join(",") } };
    const server = await supervised({ folder: this.folder, ...env, ...under });
    this.#up[i] = server;
    void server.ended.then((how) => {
      if (this.#up[i] !== server) return;
      this.#up[i] = undefined;
      this.deaths.push(`instance ${i} ended by itself (${how}): ${server.output().slice(-1_500)}`);
    });
  }

  /** Starts what is down. */
  async startAll(): Promise<void> {
    for (let i = 0; i < this.options.instances; i++) if (!this.#up[i]) await this.start(i);
  }

  /** Makes the network before the databases bad, or good again. */
  setNetwork(isBad: boolean): void {
    for (const proxy of this.proxies) proxy.cutOneIn(isBad ? this.options.cut : 0);
  }

  /** Requests to databases that were cut off. */
  get cuts(): number {
    return this.proxies.reduce((sum, proxy) => sum + proxy.cuts(), 0);
  }

  /** The origins of the instances that are up. */
  origins(): string[] {
    return this.#up.flatMap((server) => server ? [server.origin] : []);
  }

  /** Kills or holds an instance, or kills a database, each in its turn in random order; and ends it. */
  async hurt(random: () => number): Promise<void> {
    const { instances } = this.options;
    if (this.#next.length === 0) {
      this.#next = Array.from({ length: instances + this.databases.length }, (_, i) => i);
    }
    const isHeld = instances > 1 && random() < 0.25;
    const [victim = 0] = this.#next.splice(Math.floor(random() * this.#next.length), 1);
    const rest = random() * PAUSE_MS_MAX;
    if (victim >= instances) return await this.hurtDatabase(victim - instances, rest);
    const server = this.#up[victim];
    if (isHeld && server) return await this.hold(server, victim, rest);
    this.note(`instance ${victim}`);
    this.#up[victim] = undefined;
    await server?.kill();
    await pause(rest);
    await this.start(victim);
  }

  private note(what: string): void {
    this.kills.push(`${what} at ${performance.now().toFixed(0)}`);
  }

  /** Stops an instance for a moment, as a machine does that is put to sleep. */
  private async hold(server: ServerProcess, i: number, ms: number): Promise<void> {
    this.note(`instance ${i} held`);
    server.signal("SIGSTOP");
    await pause(ms);
    server.signal("SIGCONT");
  }

  private async hurtDatabase(i: number, rest: number): Promise<void> {
    this.note(`database ${i}`);
    await this.databases[i]!.stop();
    await pause(rest);
    await this.databases[i]!.start();
  }

  /** Ends everything and removes its data. */
  async close(): Promise<void> {
    for (const server of this.#up.splice(0)) await server?.kill();
    for (const proxy of this.proxies) proxy.close();
    for (const database of this.databases) await database.dispose();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Starts a server again, as a supervisor does, when its database could not be reached. */
async function supervised(options: ServerOptions): Promise<ServerProcess> {
  for (let tries = 1;; tries++) {
    try {
      return await startServer(options);
    } catch (error) {
      const isAway = error instanceof Error && error.message.includes('"unavailable"');
      if (!isAway || tries === STARTS_MAX) throw error;
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
