/**
 * One libSQL connection: opens it, sends batches and reads, and turns its failures into ours.
 * After a SQLITE_BUSY the client is reconnected at once: a statement it left active would make
 * later writes vanish.
 */
import type { Client, InArgs, InStatement, Row } from "@libsql/client";
import { SyncError } from "../errors.ts";

/** A statement with named or positional parameters. */
export interface Statement {
  readonly sql: string;
  readonly args: InArgs;
}

/** A row as the driver gives it. */
export type { Row };

const PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;";
const BUSY_RETRIES = 40;
const BUSY_PAUSE_MS = 25;

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
  private constructor(private readonly client: Client, readonly isShared: boolean) {}

  /** Opens the database and sets its pragmas when it is a local file. */
  static async open(options: DbOptions): Promise<Db> {
    if (options.client) return new Db(options.client, true);
    const isFile = options.url.startsWith("file:") || options.url === ":memory:";
    const client = isFile ? await openFile(options.url) : await openRemote(options);
    const db = new Db(client, !isFile);
    await db.applyPragmas();
    return db;
  }

  private async applyPragmas(): Promise<void> {
    if (!this.isShared) await this.client.executeMultiple(PRAGMAS);
  }

  /** All statements in one transaction, or none. Throws `store_busy`, `unavailable`. */
  async batch(statements: readonly Statement[]): Promise<Row[][]> {
    const results = await this.retrying(() =>
      this.client.batch(statements as InStatement[], "write")
    );
    return results.map((result) => result.rows);
  }

  /** The rows of several reads, all of one state of the database. */
  async snapshot(statements: readonly Statement[]): Promise<Row[][]> {
    const results = await this.retrying(() =>
      this.client.batch(statements as InStatement[], "read")
    );
    return results.map((result) => result.rows);
  }

  /** The rows of one read. */
  async all(sql: string, args: InArgs = {}): Promise<Row[]> {
    const result = await this.retrying(() => this.client.execute({ sql, args }));
    return result.rows;
  }

  /** Closes the connection. */
  close(): void {
    this.client.close();
  }

  private async retrying<T>(run: () => Promise<T>): Promise<T> {
    for (let attempt = 0;; attempt++) {
      try {
        return await run();
      } catch (error) {
        if (!isBusy(error)) throw asUnavailable(error);
        await this.client.reconnect();
        await this.applyPragmas();
        if (attempt >= BUSY_RETRIES) throw storeBusy();
        await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
      }
    }
  }
}

async function openFile(url: string): Promise<Client> {
  const { createClient } = await import("@libsql/client");
  return createClient({ url, concurrency: 1, timeout: 250 });
}

async function openRemote(options: DbOptions): Promise<Client> {
  const { createClient } = await import("@libsql/client/web");
  const token = options.authToken === undefined ? {} : { authToken: options.authToken };
  return createClient({ url: options.url, ...token });
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

function isBusy(error: unknown): boolean {
  return codeOf(error).startsWith("SQLITE_BUSY") || codeOf(error) === "TRANSACTION_ACTIVE";
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
