/**
 * One libSQL connection: opens it, sends batches and reads, and turns its failures into ours.
 * After a SQLITE_BUSY the client is reconnected at once: a statement it left active would make
 * later writes vanish.
 */
import type { Client, InArgs, InStatement, Row } from "@libsql/client";
import { SyncError } from "../errors.ts";
import { DB_CALL_MS_MAX } from "../limits.ts";
import { counters } from "../meters.ts";
import { tracedCall } from "../tracing.ts";
import { type Connection, openFile } from "./file.ts";
import { openRemote } from "./remote.ts";
import { isTurnedAway, troubleOf, TROUBLES } from "./troubles.ts";
import { Turns } from "./turns.ts";

/** A statement with named or positional parameters. */
export interface Statement {
  readonly sql: string;
  readonly args: InArgs;
  /** It has at most one row. */
  readonly isOne?: true;
}

/** A row as the driver gives it. */
export type { Row };

// The log is written back beside the commits (`write-back.ts`); SQLite itself does it only when that
// does not come to it. Pages of many rooms are kept: a group touches several of each.
const PRAGMAS = `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;
  PRAGMA wal_autocheckpoint=16384; PRAGMA cache_size=-8192;`;
const BUSY_PAUSE_MS = 20;
/** Calls that are under way at once at a server; one takes 128 from everybody (sqld), and does one after the other. */
const UNDER_WAY_MAX = 64;

/** How a database is opened. */
export interface DbOptions {
  /** `file:…` or any libSQL URL; ignored when a client is given. */
  readonly url: string;
  readonly authToken?: string;
  /** A client somebody else configured, such as a host's own database. */
  readonly client?: Client;
}

/** The connection. `isShared` says that other processes may write to the same database. */
export class Db {
  #isClosed = false;
  readonly #turns = new Turns(UNDER_WAY_MAX);
  /** What went wrong, by kind; a busy database is asked again before anybody hears of it. */
  readonly troubles = counters("kind").with(...TROUBLES);

  private constructor(
    private readonly client: Connection,
    readonly isShared: boolean,
    /** Sends what may be sent twice without harm. */
    private readonly repeating: Connection = client,
  ) {}

  /** Opens the database and sets its pragmas when it is a local file. */
  static async open(options: DbOptions): Promise<Db> {
    if (options.client) return new Db(options.client, true);
    const isFile = options.url.startsWith("file:") || options.url === ":memory:";
    const client = isFile ? await openFile(options.url) : await openServer(options, sentOnce);
    const repeating = isFile ? client : await openServer(options, (request) => request);
    const db = new Db(client, !isFile, repeating);
    await db.retrying(() => db.applyPragmas());
    return db;
  }

  private async applyPragmas(): Promise<void> {
    if (!this.isShared) await this.client.executeMultiple(PRAGMAS);
  }

  /**
   * All statements in one transaction, or none. `isGuarded` says that they refuse themselves when
   * they come a second time: over a network that is cheaper. Throws `store_busy`, `unavailable`.
   */
  async batch(statements: readonly Statement[], isGuarded = false): Promise<Row[][]> {
    const client = isGuarded ? this.repeating : this.client;
    const results = await this.retrying(() => client.batch(statements as InStatement[], "write"));
    return results.map((result) => result.rows);
  }

  /** The rows of several reads, all of one state of the database. */
  async snapshot(statements: readonly Statement[]): Promise<Row[][]> {
    const results = await this.retrying(() =>
      this.repeating.batch(statements as InStatement[], "read")
    );
    return results.map((result) => result.rows);
  }

  /** The rows of one read. */
  async all(sql: string, args: InArgs = {}): Promise<Row[]> {
    const result = await this.retrying(() => this.repeating.execute({ sql, args }));
    return result.rows;
  }

  /** The only row of a read that has at most one. */
  async first(sql: string, args: InArgs = {}): Promise<Row | undefined> {
    const one: Statement = { sql, args, isOne: true };
    const result = await this.retrying(() => this.repeating.execute(one));
    return result.rows[0];
  }

  /** Closes the connection. */
  close(): void {
    this.#isClosed = true;
    this.client.close();
    if (this.repeating !== this.client) this.repeating.close();
  }

  private async retrying<T>(run: () => Promise<T>): Promise<T> {
    const until = performance.now() + DB_CALL_MS_MAX;
    for (;;) {
      try {
        return await this.answered(run, until - performance.now());
      } catch (error) {
        this.troubles.of(troubleOf(error)).inc();
        if (!isBusy(error) || this.#isClosed) throw asUnavailable(error);
      }
      await this.renew();
      if (performance.now() >= until) throw storeBusy();
      await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
    }
  }

  /** Over a network nobody waits for ever: what is not answered in time is given up. */
  private async answered<T>(run: () => Promise<T>, ms: number): Promise<T> {
    if (!this.isShared) return await run();
    const giveUp = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        const error = new Error(`no answer in ${DB_CALL_MS_MAX} ms`);
        giveUp.abort(error);
        reject(error);
      }, ms);
    });
    try {
      return await Promise.race([this.#turns.take(run, giveUp.signal), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A file's connection anew; a server's has no statement left active, and others are using it. */
  private async renew(): Promise<void> {
    if (this.client.protocol !== "file") return;
    try {
      await this.client.reconnect();
      await this.applyPragmas();
    } catch (error) {
      if (!isBusy(error)) throw asUnavailable(error);
    }
  }
}

async function openServer(
  { url, authToken }: DbOptions,
  prepared: (request: Request) => Request,
): Promise<Connection> {
  const fetch = (request: Request): Promise<Response> => fetchInTime(request, prepared);
  return await openRemote({ url, ...(authToken === undefined ? {} : { authToken }), fetch });
}

/**
 * A request that is not sent twice: Deno's `fetch` repeats one on a new connection when a kept one
 * breaks, also a batch that was carried out. A body that can be read only once it lets be.
 */
function sentOnce(request: Request): Request {
  if (request.body === null) return request;
  return new Request(request, { body: request.body.pipeThrough(new TransformStream()) });
}

/** Fetches the whole answer, or gives up and frees the connection. */
async function fetchInTime(
  request: Request,
  prepared: (request: Request) => Request,
): Promise<Response> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), DB_CALL_MS_MAX);
  try {
    return await tracedCall("database", async (headers) => {
      for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
      const response = await fetch(prepared(request), { signal: controller.signal });
      return new Response(await response.bytes(), response);
    });
  } finally {
    clearTimeout(timer);
  }
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

function isBusy(error: unknown): boolean {
  // A connection that another call has renewed meanwhile is "closed": nothing was written by it.
  const code = codeOf(error);
  return code.startsWith("SQLITE_BUSY") || code === "TRANSACTION_ACTIVE" ||
    code === "CLIENT_CLOSED" || isTurnedAway(error);
}

/** Was the batch refused for its content (so that a part of it may succeed alone)? */
export function isContentError(error: unknown): boolean {
  const cause = (error as { cause?: unknown } | null)?.cause;
  const code = codeOf(cause);
  return code.startsWith("SQLITE_CONSTRAINT") || code === "SQLITE_TOOBIG" ||
    code === "SQLITE_ERROR" ||
    code === "SQLITE_MISMATCH";
}

function storeBusy(): SyncError {
  return new SyncError("store_busy", "The database is busy; nothing was written.", {
    hint: "Repeat the call, with the same Idempotency-Key if it has one.",
  }, { "Retry-After": "1" });
}

function asUnavailable(error: unknown): SyncError {
  const failure = new SyncError("unavailable", "The database cannot be reached or written.", {
    hint: "Nothing is lost; repeat the call, with the same Idempotency-Key if it has one.",
  }, { "Retry-After": "2" });
  failure.cause = error;
  return failure;
}
