/**
 * Stands in for `store/remote.ts` and `store/file.ts` while the service is simulated: real libSQL
 * databases in memory, whose calls are parked until the scheduler lets them arrive, fail, or be
 * answered late.
 */
import { createClient as openClient, type InStatement } from "@libsql/client";
import { type Connection, openFile as openReal } from "../../store/file.ts";
import { sha256Of } from "./digest.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/**
 * How a call ends: as it should, not done, done but not answered, done after it was given up, or
 * sent again by the client beneath and done twice, with the answer of either.
 */
export type Fate = "done" | "refused" | "unanswered" | "belated" | "doubled" | "busy";

/** What decides about the calls of an instance. */
export interface Weather {
  /** Milliseconds until a call arrives, or until its answer does. */
  latency(owner: string): number;
  fate(owner: string, isWrite: boolean): Fate;
}

/** The databases of one run, by URL, and the connections to them. */
export class Databases {
  readonly #real = new Map<string, Connection>();
  readonly #lastArrival = new Map<string, number>();
  readonly #gone = new Set<string>();
  /** Called when a call that may have written has been carried out. */
  onWritten: () => Promise<void> = () => Promise.resolve();

  constructor(
    readonly scheduler: Scheduler,
    readonly random: Random,
    readonly weather: Weather,
  ) {}

  /** Makes the databases behind these URLs: a file's as the service opens it, or a server's. */
  async make(urls: readonly string[]): Promise<void> {
    for (const url of urls) {
      const isFile = url.startsWith("file:");
      this.#real.set(
        url,
        isFile ? await openReal(":memory:") : openClient({ url: ":memory:", concurrency: 1 }),
      );
    }
  }

  /** The database behind a URL, past all weather. */
  real(url: string): Connection {
    const real = this.#real.get(url);
    if (!real) throw new Error(`there is no database ${url} in this world`);
    return real;
  }

  /** All of them. */
  get all(): readonly Connection[] {
    return [...this.#real.values()];
  }

  /** The instance has died: calls on the wire may still arrive, nobody hears of them. */
  disconnect(owner: string): void {
    this.#gone.add(owner);
  }

  /** Parks a call of the instance that runs now. */
  park<T>(owner: string, url: string, label: string, isWrite: boolean, call: () => Promise<T>) {
    const { scheduler, weather } = this;
    if (scheduler.isOpen) return call();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const answer = (settle: () => void, ms: number): void => {
      if (this.#gone.has(owner)) return;
      scheduler.after(ms, owner, `answer ${label}`, settle);
    };
    const isFile = url.startsWith("file:");
    const fate = weather.fate(owner, isWrite);
    if (fate === "refused" || fate === "busy") {
      answer(() => reject(failure(fate, isFile)), weather.latency(owner));
      return promise;
    }
    const arrive = async (isAnswered: boolean): Promise<void> => {
      const outcome = await settledOf(call);
      scheduler.note(`  ${fate} ${label} ${outcome.digest}`);
      if (isWrite) await this.onWritten();
      if (!isAnswered) return;
      if (fate === "unanswered") answer(() => reject(failure(fate, isFile)), 1);
      else answer(() => outcome.settle(resolve, reject), weather.latency(owner) / 2);
    };
    // A file's calls are carried out in the order in which they were made; a network's overtake.
    let at = scheduler.now + weather.latency(owner);
    if (isFile) at = Math.max(at, this.#lastArrival.get(owner) ?? 0);
    if (fate === "belated") {
      answer(() => reject(failure(fate, isFile)), at - scheduler.now);
      at += this.random.skewed(1, 4_000);
    }
    this.#lastArrival.set(owner, at);
    scheduler.after(at - scheduler.now, "", `call ${label}`, () => {
      // A process that dies takes the calls to its own file with it; a network may deliver them.
      if (this.#gone.has(owner) && (isFile || this.random.chance(0.5))) return;
      const isAnswered = fate !== "belated" && (fate !== "doubled" || this.random.chance(0.5));
      void arrive(isAnswered);
      if (fate !== "doubled") return;
      const ms = this.random.skewed(0.1, 500);
      scheduler.after(ms, "", `call again ${label}`, () => void arrive(!isAnswered));
    });
    return promise;
  }
}

interface Outcome<T> {
  readonly digest: string;
  settle(resolve: (value: T) => void, reject: (error: unknown) => void): void;
}

async function settledOf<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  try {
    const value = await call();
    return { digest: sha256Of(value).slice(0, 12), settle: (resolve) => resolve(value) };
  } catch (error) {
    return { digest: String(error), settle: (_, reject) => reject(error) };
  }
}

/** The failures that the client reports, as it reports them. */
function failure(fate: Fate, isFile: boolean): Error {
  const withCode = (code: string, text: string): Error =>
    Object.assign(new Error(`${code}: ${text}`), { code });
  if (fate === "busy") return withCode("SQLITE_BUSY", "database is locked");
  return isFile
    ? withCode("SQLITE_FULL", "database or disk is full")
    : new TypeError("fetch failed");
}

let current: Databases | undefined;

/** From now on connections are to these databases. */
export function setDatabases(databases: Databases | undefined): void {
  current = databases;
}

/** As in `store/file.ts`: a connection of the instance that is being started. */
export function openFile(url: string): Promise<Connection> {
  return Promise.resolve(connectionTo(url));
}

/** As in `store/remote.ts`: a connection of the instance that is being started. */
export function openRemote({ url }: { readonly url: string }): Promise<Connection> {
  return Promise.resolve(connectionTo(url));
}

function connectionTo(url: string): Connection {
  if (!current) throw new Error("no simulation is under way");
  const databases = current;
  const { owner } = databases.scheduler;
  const real = databases.real(url);
  const park = <T>(label: string, isWrite: boolean, call: () => Promise<T>): Promise<T> =>
    databases.park(owner, url, label, isWrite, call);
  return {
    protocol: url.startsWith("file:") ? "file" : "http",
    execute: (statement) =>
      park(`execute ${briefly([statement])}`, false, () => real.execute(statement)),
    batch: (statements, mode) =>
      park(
        `batch ${briefly(statements)}`,
        mode === "write",
        () => real.batch(statements, mode),
      ),
    executeMultiple: (sql) => park("pragmas", false, () => real.executeMultiple(sql)),
    reconnect: () => undefined,
    close: () => undefined,
  };
}

/** The first words of the last statement, and a digest of all of it. */
function briefly(statements: readonly InStatement[]): string {
  const last = statements.at(-1);
  const sql = typeof last === "string" ? last : last?.sql ?? "";
  return `${sql.trim().split(/\s+/).slice(0, 3).join(" ")} ${sha256Of(statements).slice(0, 12)}`;
}
