/**
 * A database file through libSQL's own binding, on one connection. Statements stay prepared: of a
 * small commit, preparing them anew would be two thirds of the work. Ending a transaction writes and
 * syncs, and is done in a thread of the binding's own; who comes meanwhile waits for it, the event
 * loop does not. After any failure the connection is opened again, so that no half-run statement is
 * left behind.
 */
import type Database from "libsql";
import type { InStatement, InValue, Row } from "@libsql/client";
import { type RunAside, WriteBack } from "./write-back.ts";

/** A statement that has at most one row. */
export interface OneRow {
  readonly isOne?: true;
}

/** What a statement answers. */
export interface Rows {
  readonly rows: Row[];
}

/** What a connection to a database does; libSQL's client is one. */
export interface Connection {
  /** `file` for a file, and else what the server is spoken to in. */
  readonly protocol: string;
  /** All statements in one transaction, or none. */
  batch(statements: InStatement[], mode: "write" | "read"): Promise<readonly Rows[]>;
  /** One statement by itself. */
  execute(statement: InStatement): Promise<Rows>;
  /** Statements of one text, without parameters. */
  executeMultiple(sql: string): Promise<void>;
  /** Closes and opens it again. */
  reconnect(): Promise<void> | void;
  close(): void;
}

type Args = InValue[] | Record<string, InValue>;

interface Prepared {
  readonly statement: Database.Statement<[Args]>;
  readonly isReader: boolean;
}

type Open = () => Database.Database;

const MEMORY = ":memory:";

/** Prepared statements that are kept; the one unused for longest goes first. */
const PREPARED_MAX = 128;
/** SQLite waits for a lock in the event loop's own thread: short, and then others have their turn. */
const BUSY_WAIT_MS = 10;
const BEGIN = { write: "BEGIN IMMEDIATE", read: "BEGIN TRANSACTION READONLY" } as const;
const NO_ROWS: Rows = { rows: [] };

/** Opens a `file:` URL, or `:memory:`. Throws libSQL's own errors. */
export async function openFile(url: string): Promise<Connection> {
  const { default: Binding } = await import("libsql");
  const path = pathOf(url);
  const open = () => new Binding(path, { timeout: BUSY_WAIT_MS }) as Database.Database;
  if (path === MEMORY) return new FileConnection(open, (db, sql) => void db.exec(sql));
  // The binding's two classes are two ways to use one handle: this one leaves the event loop free.
  const { default: Threaded } = await import("libsql/promise");
  const aside: RunAside = (db, sql) => Threaded.prototype.exec.call(db, sql);
  return new FileConnection(open, aside, new WriteBack(path, open, aside));
}

/** The path that a `file:` URL names. */
export function pathOf(url: string): string {
  if (!url.startsWith("file:")) return url;
  const path = url.slice("file:".length).replace(/^\/\/(localhost)?(?=\/)/, "");
  return decodeURIComponent(path);
}

class FileConnection implements Connection {
  readonly protocol = "file";
  #db: Database.Database;
  readonly #prepared = new Map<string, Prepared>();
  /** What is under way in another thread; never rejects. */
  #ending: Promise<void> | undefined;

  constructor(
    private readonly open: Open,
    private readonly aside: (...of: Parameters<RunAside>) => Promise<void> | void,
    private readonly log?: WriteBack,
  ) {
    this.#db = open();
  }

  async batch(statements: readonly InStatement[], mode: "write" | "read"): Promise<Rows[]> {
    while (this.#ending) await this.#ending;
    const results = this.whole(() => {
      this.run(BEGIN[mode]);
      const found = statements.map((statement) => this.run(statement));
      if (mode === "read") this.run("COMMIT");
      return found;
    });
    if (mode === "write") {
      await this.alone(() => this.aside(this.#db, "COMMIT"));
      this.log?.note((work) => this.between(work));
    }
    return results;
  }

  async execute(statement: InStatement): Promise<Rows> {
    while (this.#ending) await this.#ending;
    return this.whole(() => this.run(statement));
  }

  async executeMultiple(sql: string): Promise<void> {
    while (this.#ending) await this.#ending;
    this.whole(() => void this.#db.exec(sql));
  }

  async reconnect(): Promise<void> {
    while (this.#ending) await this.#ending;
    this.letGo();
    this.#db = this.open();
  }

  close(): void {
    if (this.#db.open) this.writeBack();
    this.letGo();
  }

  /** A process that ends at once leaves SQLite no time for it: then the file is not yet whole. */
  private writeBack(): void {
    this.#prepared.clear();
    try {
      this.#db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      // It stays in the log beside the file, and is read from there.
      if ((error as { code?: unknown }).code === undefined) throw error;
    }
  }

  private letGo(): void {
    this.#prepared.clear();
    this.log?.close();
    if (this.#db.open) this.#db.close();
  }

  /** Runs something whole or takes it back. */
  private whole<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.takeBack();
      throw error;
    }
  }

  private async between(work: (db: Database.Database) => Promise<void>): Promise<void> {
    while (this.#ending) await this.#ending;
    if (this.#db.open) await this.alone(() => work(this.#db));
  }

  /** Does in another thread what nobody else may use the connection beside. */
  private async alone(work: () => Promise<void> | void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ending = promise;
    try {
      await work();
    } catch (error) {
      this.takeBack();
      throw error;
    } finally {
      this.#ending = undefined;
      resolve();
    }
  }

  private takeBack(): void {
    if (this.#db.open && this.#db.inTransaction) this.#db.exec("ROLLBACK");
  }

  private run(given: InStatement): Rows {
    const { sql, args = [] } = typeof given === "string" ? { sql: given } : given;
    const { statement, isReader } = this.prepared(sql);
    try {
      if (isReader && (given as OneRow).isOne) {
        // A list leaves some bytes behind in the binding each time; a single row leaves none.
        const row = statement.get(args as Args) as Row & { _metadata?: unknown } | undefined;
        if (row === undefined) return NO_ROWS;
        // How long it took, which the binding puts among the columns.
        delete row._metadata;
        return { rows: [row] };
      }
      if (isReader) return { rows: statement.all(args as Args) as Row[] };
      statement.run(args as Args);
      return NO_ROWS;
    } catch (error) {
      // Never used again. The others are: each lives on outside the heap until it is collected.
      this.#prepared.delete(sql);
      throw error;
    }
  }

  private prepared(sql: string): Prepared {
    let prepared = this.#prepared.get(sql);
    if (prepared) {
      // Taken out and put back, so that the map stays in the order of use.
      this.#prepared.delete(sql);
    } else {
      const statement = this.#db.prepare(sql) as Database.Statement<[Args]>;
      prepared = { statement, isReader: statement.reader };
      if (this.#prepared.size >= PREPARED_MAX) {
        this.#prepared.delete(this.#prepared.keys().next().value!);
      }
    }
    this.#prepared.set(sql, prepared);
    return prepared;
  }
}
