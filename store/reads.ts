/**
 * Reads that many ask for at once: while one round trip is under way, what is asked meanwhile goes
 * with the next. Over a network many rooms that others have written to cost what one costs.
 */
import type { Db, Row, Statement } from "./db.ts";

/** Statements of one round trip. */
const TOGETHER_MAX = 64;

interface Asked {
  readonly statement: Statement;
  readonly resolve: (rows: Row[]) => void;
  readonly reject: (error: unknown) => void;
}

/** The reads of one database. */
export class Reads {
  #asked: Asked[] = [];
  #isUnderWay = false;

  constructor(private readonly db: Db) {}

  /** The rows of one read that begins after this call. Throws `store_busy`, `unavailable`. */
  ask(statement: Statement): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ statement, resolve, reject });
      if (!this.#isUnderWay) void this.run();
    });
  }

  private async run(): Promise<void> {
    this.#isUnderWay = true;
    while (this.#asked.length > 0) await this.send(this.#asked.splice(0, TOGETHER_MAX));
    this.#isUnderWay = false;
  }

  private async send(asked: readonly Asked[]): Promise<void> {
    try {
      const found = await this.db.snapshot(asked.map(({ statement }) => statement));
      for (const [i, { resolve }] of asked.entries()) resolve(found[i] ?? []);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
