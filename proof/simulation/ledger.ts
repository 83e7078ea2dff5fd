/**
 * What was asked, what was answered, and when each record became durable: all that is judged when
 * the run is over, and what is known to be wrong already.
 */
import type { Row } from "@libsql/client";
import type { Connection } from "../../store/file.ts";

/** One write that somebody asked for. */
export interface Deed {
  readonly id: string;
  readonly uid: string;
  readonly agent: string;
  readonly action: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly isKeyed: boolean;
  /** The newest record that had been answered for, to anybody, when this was sent. */
  readonly floor: number;
  /** How often it may have reached an instance. */
  sends: number;
  /** Some attempt had no answer. */
  isUncertain: boolean;
  readonly answers: Answer[];
  /** The newest record that was durable when the last answer came. */
  ceiling: number;
}

/** An answer as it left an instance. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly seq: number;
  readonly isReplay: boolean;
  /** When it left. */
  readonly at: number;
}

/** A look at a room's shared state, or a wait's answer with one. */
export interface Look {
  readonly uid: string;
  readonly what: string;
  readonly agent: string;
  readonly floor: number;
  readonly ceiling: number;
  readonly seq: number;
  readonly shared: Readonly<Record<string, unknown>>;
  /** When only changes were asked for: since when, and which keys were said to be gone. */
  readonly change?: { readonly since: number; readonly gone: readonly string[] };
  /** What the wait's condition said of the shared state, if it was one that held. */
  readonly held?: Condition;
}

/** A condition that the judge can judge, too. */
export interface Condition {
  readonly text: string;
  readonly holds: (shared: ReadonlyMap<string, unknown>) => boolean;
  /** Once it holds it does for good. */
  readonly isLasting: boolean;
}

/** A wait that was answered, or ran out of time. */
export interface Waited {
  readonly uid: string;
  readonly condition: Condition | undefined;
  readonly since: number | undefined;
  readonly startedAt: number;
  /** When its answer left. */
  readonly endedAt: number;
  /** The last trouble of its instance by then. */
  readonly troubledAt: number;
}

/** What a stream told. */
export interface Told {
  readonly uid: string;
  readonly seq: number;
  readonly hash: string;
}

/** A room as the database has it. */
export interface Kept {
  readonly name: string;
  head: number;
  hash: string;
  isDeleted: boolean;
  /** When each record became durable, by seq. */
  readonly durableAt: number[];
}

/** The ledger of one run. */
export class Ledger {
  readonly deeds: Deed[] = [];
  readonly looks: Look[] = [];
  readonly waited: Waited[] = [];
  readonly told: Told[] = [];
  readonly rooms = new Map<string, Kept>();
  /** Agents that somebody has joined without a token. */
  readonly guests = new Set<string>();
  readonly wrong: string[] = [];
  readonly counts = { answered: 0, refused: 0, uncertain: 0, replayed: 0, waits: 0, looks: 0 };
  readonly #floors = new Map<string, number>();

  /** Notes what must not be. */
  blame(text: string): void {
    if (this.wrong.length < 20) this.wrong.push(text);
  }

  /** The newest record of a room that somebody has been answered for. */
  floor(uid: string): number {
    return this.#floors.get(uid) ?? 0;
  }

  /** Somebody has been shown a room at this record. */
  raise(uid: string, seq: number): void {
    if (seq > this.floor(uid)) this.#floors.set(uid, seq);
  }

  /** The newest record that the database holds. */
  head(uid: string): number {
    return this.rooms.get(uid)?.head ?? 0;
  }

  /** Compares what the databases hold now with what they held before. */
  async audit(databases: readonly Connection[], now: number): Promise<void> {
    for (const database of databases) {
      for (const row of (await database.execute({ sql: HEADS, args: [] })).rows) {
        this.#auditRoom(row, now);
      }
    }
  }

  #auditRoom(row: Row, now: number): void {
    const uid = String(row["uid"]), head = Number(row["head"]), hash = String(row["hash"]);
    const isDeleted = row["deleted_at"] !== null;
    let kept = this.rooms.get(uid);
    if (!kept) {
      this.rooms.set(
        uid,
        kept = { name: String(row["id"]), head: 0, hash: "", isDeleted, durableAt: [] },
      );
    }
    if (kept.isDeleted && !isDeleted) this.blame(`room ${kept.name} came back from its deletion`);
    kept.isDeleted = isDeleted;
    if (isDeleted) return;
    const where = `room ${kept.name} at ${head}`;
    if (head < kept.head) this.blame(`${where}: its head fell from ${kept.head}`);
    if (head === kept.head && hash !== kept.hash) this.blame(`${where}: its hash changed`);
    if (Number(row["records"]) !== head || Number(row["newest"]) !== head) {
      this.blame(`${where}: its log has ${row["records"]} records up to ${row["newest"]}`);
    }
    if (row["newest_hash"] !== hash) this.blame(`${where}: the newest record has another hash`);
    for (let seq = kept.head + 1; seq <= head; seq++) kept.durableAt[seq] = now;
    kept.head = head;
    kept.hash = hash;
  }
}

const HEADS = `SELECT r.uid, r.id, r.head, r.hash, r.deleted_at,
    (SELECT count(seq) FROM log WHERE room = r.uid) AS records,
    (SELECT max(seq) FROM log WHERE room = r.uid) AS newest,
    (SELECT hash FROM log WHERE room = r.uid AND seq = r.head) AS newest_hash
  FROM room AS r ORDER BY r.rowid`;
