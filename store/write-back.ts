/**
 * Writing the log of a database file (its WAL) back into the file, beside the commits: on a
 * connection and in a thread of its own, so that nobody waits for it. What is left then is short, and
 * is written back between two commits, after which the log begins anew. How long it is stands in the
 * WAL index (sqlite.org/walformat.html, 2.1).
 */
import { closeSync, openSync, readSync } from "node:fs";
import type Database from "libsql";

/** Runs a statement in a thread of the binding's own. */
export type RunAside = (db: Database.Database, sql: string) => Promise<void>;

/** Runs something on the connection that commits, while nothing else does. */
export type Between = (work: (db: Database.Database) => Promise<void>) => Promise<void>;

/** Frames, of a page each, that are written back together. */
const FRAMES = 1_000;
/** A log that is as long as this is to begin anew. */
const FRAMES_WHOLE = 4_000;
const CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)";
/** The words of the index that say how many frames the log has, and how many are written back. */
const LENGTH = 4, DONE = 24, WORDS = 25;

/** Writes one file's log back. */
export class WriteBack {
  #db: Database.Database | undefined;
  #index: number | undefined;
  readonly #words = new Uint32Array(WORDS);
  #isUnderWay = false;

  constructor(
    private readonly path: string,
    private readonly open: () => Database.Database,
    private readonly aside: RunAside,
  ) {}

  /** After a commit: begins to write back when there is enough. Never throws. */
  note(between: Between): void {
    if (this.#isUnderWay) return;
    const { length, done } = this.frames();
    if (length - done < FRAMES) return;
    this.#isUnderWay = true;
    void this.work(between);
  }

  /** Lets go of the file; what is under way ends by itself. */
  close(): void {
    if (this.#index !== undefined) closeSync(this.#index);
    this.#index = undefined;
    this.#db?.close();
    this.#db = undefined;
  }

  private async work(between: Between): Promise<void> {
    try {
      this.#db ??= this.opened();
      await this.aside(this.#db, CHECKPOINT);
      if (this.frames().length >= FRAMES_WHOLE) await between((db) => this.aside(db, CHECKPOINT));
    } catch {
      // All of it is still in the log; a much longer one is written back by SQLite itself.
      this.close();
    } finally {
      this.#isUnderWay = false;
    }
  }

  private opened(): Database.Database {
    const db = this.open();
    db.exec("PRAGMA synchronous=FULL");
    return db;
  }

  /** The frames that the log has, and how many of them are written back; none where it is not said. */
  private frames(): { readonly length: number; readonly done: number } {
    try {
      this.#index ??= openSync(`${this.path}-shm`, "r");
      readSync(this.#index, this.#words, 0, this.#words.byteLength, 0);
    } catch {
      return { length: 0, done: 0 };
    }
    return { length: this.#words[LENGTH]!, done: this.#words[DONE]! };
  }
}
