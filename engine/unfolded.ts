/**
 * What of a room is in its log only. The fold's rows and the index by key may be some records behind:
 * each room has its own pages in those tables, and of a small group they would be most of what is
 * written.
 */
import { splitCell } from "../room/changes.ts";
import type { Room } from "../room.ts";

/** After any commit the tables are fewer records than this behind. */
const BEHIND_MAX = 64;
/** A group with so many records of one room brings its tables up to it. */
const AT_ONCE_MIN = 8;
/** Nor do they lack more bytes of values: no commit may grow too large for its database. */
const BYTES_MAX = 262_144;
/** More cells than this are looked through for those that others have written meanwhile. */
const CELLS_MAX = 256;

/** The cells of one room that may differ from their rows. */
export class Unfolded {
  /** By the record that last touched them. */
  readonly #cells = new Map<string, number>();
  /** Of their values, each time one was touched. */
  #bytes = 0;
  /** The tables have at least all up to this record. */
  #from: number;

  constructor(private readonly room: Room, from: number) {
    this.#from = from;
  }

  /** The cells. */
  cells(): Iterable<string> {
    return this.#cells.keys();
  }

  /** May there be records up to `head` that the tables do not have? */
  isBehind(head: number): boolean {
    return this.#from < head;
  }

  /** Is it time to bring the tables up to `head`, with a group of so many records that touched these? */
  isDue(head: number, records: number, touched: Iterable<string>): boolean {
    return records >= AT_ONCE_MIN || head - this.#from >= BEHIND_MAX ||
      this.#bytes + this.bytesOf(touched) >= BYTES_MAX;
  }

  /** A record was written to the log only. */
  note(touched: Iterable<string>, seq: number): void {
    for (const cell of touched) this.#cells.set(cell, seq);
    this.#bytes += this.bytesOf(touched);
  }

  /** The tables were brought up to this record. */
  wrote(seq: number): void {
    this.#cells.clear();
    this.#bytes = 0;
    this.#from = seq;
  }

  /** Others have written up to this record, and keep the tables close behind as well. */
  followed(head: number): void {
    this.#from = Math.max(this.#from, head - BEHIND_MAX);
    if (this.#cells.size <= CELLS_MAX) return;
    for (const [cell, seq] of this.#cells) if (seq <= this.#from) this.#cells.delete(cell);
    this.#bytes = this.bytesOf(this.#cells.keys());
  }

  private bytesOf(cells: Iterable<string>): number {
    let bytes = 0;
    for (const cell of cells) bytes += this.room.get(...splitCell(cell))?.bytes ?? 0;
    return bytes;
  }
}
