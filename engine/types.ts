/** What commands, reads and the clock look like to the engine. Types, and the machine's own clock. */
import { randomBytes } from "node:crypto";
import type { Room } from "../room.ts";
import type { SideStatement } from "../store/rows.ts";
import type { Draft, Json, LogRecord, Millis } from "../types.ts";
import type { HotRoom } from "./hot.ts";

/** Time and chance, so that tests can hold them. */
export interface Clock {
  now(): Millis;
  /** Runs once after `ms`; the answer cancels it. */
  after(ms: Millis, run: () => void): () => void;
  nonce(): string;
}

const NONCE_CHARACTERS = 32;
let drawn = "";

/** 128 random bits as hex, drawn many at a time. */
function drawNonce(): string {
  if (drawn === "") drawn = randomBytes(2_048).toString("hex");
  const nonce = drawn.slice(0, NONCE_CHARACTERS);
  drawn = drawn.slice(NONCE_CHARACTERS);
  return nonce;
}

/** The machine's clock and chance. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, 2_147_483_647));
    return () => clearTimeout(timer);
  },
  nonce: drawNonce,
};

/** The room, and the instant at which a command or a read looks at it. */
export interface Moment {
  readonly hot: HotRoom;
  readonly room: Room;
  readonly now: Millis;
}

/** What a command decided: a record to keep (or none) and the reply to give once it is durable. */
export interface Decision<T> {
  readonly draft?: Draft;
  /** Evaluated when the writes are applied; becomes the record's `result`. */
  readonly result?: () => Json | undefined;
  /** Rows that live or die with the record. */
  readonly side?: readonly SideStatement[];
  /** Computed right after the writes, from the same room. */
  readonly reply: (record: LogRecord | undefined) => T;
  /** What of the reply is kept with an Idempotency-Key; all of it unless this is given. */
  kept?(reply: T): unknown;
}

/** A decision about a room at an instant. Throws `SyncError` to refuse. */
export type Command<T> = (moment: Moment) => Decision<T>;

/** How a request with an Idempotency-Key is known again. */
export interface IdempotencyKey {
  /** Who and which key. */
  readonly key: string;
  /** Digest of what was asked. */
  readonly digest: string;
}

/** The outcome of a submission. */
export interface Outcome<T> {
  readonly reply: T;
  readonly seq: number;
  readonly replayed: boolean;
}

/** What happened to a room, told when it is durable (or taken back, with no records). */
export interface Change {
  readonly records: readonly LogRecord[];
  readonly cells: ReadonlySet<string>;
  /** The room has ended, or no longer stands in memory as its log does: it is loaded anew. */
  readonly ended?: "deleted" | "outdated";
}
