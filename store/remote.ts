/**
 * A libSQL server over HTTP (Hrana 2), on streams that are kept. Behind each stream the server has a
 * connection, and opening one, with the schema to be read, takes it longer than most batches do.
 */
import type { InStatement, Row } from "@libsql/client";
import type { BatchStep, HttpClient, HttpStream, RowsResult, Stmt } from "@libsql/hrana-client";
import type { Connection, Rows } from "./file.ts";
import { isTurnedAway } from "./troubles.ts";

type Hrana = typeof import("@libsql/hrana-client");

/** A server, and how to speak to it. */
export interface RemoteOptions {
  /** Of a server, with `authToken` and `tls` in its query where they are wanted. */
  readonly url: string;
  readonly authToken?: string;
  readonly fetch: (request: Request) => Promise<Response>;
}

/** Servers end a stream that nobody used for ten seconds. */
const IDLE_MS_MAX = 5_000;
/**
 * A stream whose answer was lost stays open on the server until then, and servers have few: for as
 * long after a loss, each stream is ended by the request that opens it.
 */
const CAREFUL_MS = 10_000;
/** Streams that are kept for whoever comes next. */
const KEPT_MAX = 8;
/** Rows of a page, where a server does not give all that is read in one answer (sqld: 10 MB). */
const PAGE_ROWS = 1_000;
const BEGIN = { write: "BEGIN IMMEDIATE", read: "BEGIN TRANSACTION READONLY" } as const;

/** Opens a connection. Throws for a URL that is none of a libSQL server. */
export async function openRemote({ url, authToken, fetch }: RemoteOptions): Promise<Connection> {
  const hrana = await import("@libsql/hrana-client");
  const { hranaHttpUrl, authToken: inUrl } = hrana.parseLibsqlUrl(url);
  const token = authToken ?? inUrl;
  if (hranaHttpUrl !== undefined) {
    return new RemoteConnection(hrana, hrana.openHttp(hranaHttpUrl, token, fetch));
  }
  // Over a WebSocket, which a server may have and a proxy rarely lets through.
  const { createClient } = await import("@libsql/client/web");
  return createClient({ url, ...(token === undefined ? {} : { authToken: token }) });
}

interface Kept {
  readonly stream: HttpStream;
  readonly since: number;
}

class RemoteConnection implements Connection {
  readonly protocol = "http";
  readonly #kept: Kept[] = [];
  #isClosed = false;
  #lostAt = -Infinity;

  constructor(private readonly hrana: Hrana, private readonly client: HttpClient) {}

  async batch(statements: readonly InStatement[], mode: "write" | "read"): Promise<Rows[]> {
    try {
      return await this.over((s) => this.transact(s, statements, mode));
    } catch (error) {
      if (mode !== "read" || !isTooLarge(error)) throw error;
      return await this.inPages(statements);
    }
  }

  async execute(statement: InStatement): Promise<Rows> {
    try {
      return await this.over((s) => s.query(this.stmtOf(statement)));
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      const [rows] = await this.inPages([statement]);
      return rows!;
    }
  }

  executeMultiple(sql: string): Promise<void> {
    return this.over((stream) => stream.sequence(sql));
  }

  reconnect(): void {
    for (const { stream } of this.#kept.splice(0)) stream.close();
  }

  close(): void {
    this.#isClosed = true;
    // The server ends them by itself; whoever closes would not wait for that.
    this.#kept.length = 0;
  }

  /** Reads page by page, all of one state of the database. */
  private async inPages(statements: readonly InStatement[]): Promise<Rows[]> {
    const stream = this.client.openStream();
    try {
      await stream.run(BEGIN.read);
      const results: Rows[] = [];
      for (const statement of statements) {
        results.push({ rows: await this.pagesOf(stream, statement) });
      }
      return results;
    } finally {
      stream.close();
    }
  }

  private async pagesOf(stream: HttpStream, statement: InStatement): Promise<Row[]> {
    const { sql, args = [] } = typeof statement === "string" ? { sql: statement } : statement;
    const rows: Row[] = [];
    for (let size = PAGE_ROWS;;) {
      const page = `SELECT * FROM (${sql}) LIMIT ${size} OFFSET ${rows.length}`;
      try {
        const found = await stream.query(this.stmtOf({ sql: page, args }));
        for (const row of found.rows) rows.push(row);
        if (found.rows.length < size) return rows;
      } catch (error) {
        if (!isTooLarge(error) || size === 1) throw error;
        size = Math.ceil(size / 4);
      }
    }
  }

  /** Runs something on a stream that nobody else uses meanwhile. */
  private async over<T>(work: (stream: HttpStream) => Promise<T>): Promise<T> {
    for (;;) {
      const isCareful = performance.now() - this.#lostAt < CAREFUL_MS;
      const kept = isCareful ? undefined : this.take();
      const stream = kept ?? this.client.openStream();
      try {
        const working = work(stream);
        if (isCareful) stream.closeGracefully();
        const result = await working;
        this.keep(stream);
        return result;
      } catch (error) {
        // Never used again: what failed may have left a transaction open on it.
        stream.close();
        if (kept && isRefused(error)) continue;
        if (isLoss(error)) this.#lostAt = performance.now();
        throw error;
      }
    }
  }

  /** The stream that was used last; those that nobody used for long are ended. */
  private take(): HttpStream | undefined {
    const last = this.#kept.pop();
    if (last === undefined || performance.now() - last.since < IDLE_MS_MAX) return last?.stream;
    this.#kept.push(last);
    this.reconnect();
    return undefined;
  }

  private keep(stream: HttpStream): void {
    if (this.#isClosed || stream.closed) return;
    if (this.#kept.length >= KEPT_MAX) stream.close();
    else this.#kept.push({ stream, since: performance.now() });
  }

  private async transact(
    stream: HttpStream,
    statements: readonly InStatement[],
    mode: "write" | "read",
  ): Promise<Rows[]> {
    const { BatchCond } = this.hrana;
    const batch = stream.batch(false);
    let last: BatchStep = batch.step();
    const begun = heard(last.run(BEGIN[mode]));
    const found = statements.map((statement) => {
      const step = batch.step().condition(BatchCond.ok(last));
      last = step;
      return heard(step.query(this.stmtOf(statement)));
    });
    const commit = batch.step().condition(BatchCond.ok(last));
    const committed = heard(commit.run("COMMIT"));
    heard(batch.step().condition(BatchCond.not(BatchCond.ok(commit))).run("ROLLBACK"));
    await batch.execute();
    await begun;
    const results: RowsResult[] = [];
    // Those after a step that failed were not run, and have no result; its failure comes first.
    for (const one of found) results.push((await one)!);
    await committed;
    return results;
  }

  private stmtOf(statement: InStatement): Stmt {
    const { sql, args } = typeof statement === "string" ? { sql: statement } : statement;
    const stmt = new this.hrana.Stmt(sql);
    if (Array.isArray(args)) return stmt.bindIndexes(args);
    for (const [name, value] of Object.entries(args ?? {})) stmt.bindName(name, value);
    return stmt;
  }
}

/** A promise whose failure somebody looks at later, or nobody needs to. */
function heard<T>(promise: Promise<T>): Promise<T> {
  promise.catch((error: unknown) => error);
  return promise;
}

/** Is what was read more than the server gives in one answer? */
function isTooLarge(error: unknown): boolean {
  return (error as { code?: unknown }).code === "RESPONSE_TOO_LARGE";
}

/** Is it no answer of the server about a statement? */
function isLoss(error: unknown): boolean {
  return (error as { code?: unknown }).code === undefined && !isTurnedAway(error);
}

/** Does the server not know the stream any more, and has so not run what came over it? */
function isRefused(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return code === "STREAM_EXPIRED" || /\bbaton\b/i.test(String(message));
}
