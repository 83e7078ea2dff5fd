/** The rows that the store takes and gives. Types only. */
import type { Json, LogRecord, Millis, Presence, RecordKind } from "../types.ts";

/** A room's row. */
export interface RoomRow {
  readonly uid: string;
  readonly id: string;
  readonly createdAt: Millis;
  readonly head: number;
  readonly hash: string;
  readonly ts: Millis;
  readonly label: string | null;
  readonly meta: Json;
  readonly agents: number;
  readonly base: Json;
  readonly forkedFrom: Json;
  /** The record up to which the fold's rows and the index by key are whole. */
  readonly folded: number;
}

/** One record on its way into the log. */
export interface LogRow {
  readonly record: LogRecord;
  readonly ts: Millis;
  readonly idem?: { readonly key: string; readonly digest: string; readonly reply: string };
}

/** An entry's row: `meta` is JSON text. */
export interface EntryRow {
  readonly scope: string;
  readonly key: string;
  readonly value: string;
  readonly meta: string;
}

/** What one room has to commit: its records since `base`, and where they lead. */
export interface RoomCommit {
  readonly uid: string;
  /** Head before the first record. */
  readonly base: number;
  readonly head: number;
  readonly hash: string;
  readonly ts: Millis;
  readonly label: string | null;
  readonly meta: Json;
  readonly agents: number;
  readonly rows: readonly LogRow[];
  /** Is it brought up, the fold's rows by these entries and the loss of others? Else there are none. */
  readonly isFolded: boolean;
  /** May there be records before `base` to which it has not been brought up? */
  readonly isBehind: boolean;
  readonly entries: readonly EntryRow[];
  readonly gone: readonly { readonly scope: string; readonly key: string }[];
  /**
   * Rows that live or die with these records. Each ends in a WHERE clause, to which the guard
   * is added that the room still stands at `base`.
   */
  readonly side: readonly SideStatement[];
  /** The room's own row, when the first record creates it. */
  readonly created?: {
    readonly id: string;
    readonly createdAt: Millis;
    readonly base: Json;
    readonly forkedFrom: Json;
  };
}

/** What loading a room reads. */
export interface LoadedRoom {
  readonly row: RoomRow;
  readonly entries: readonly EntryRow[];
  /** The records after those that the entries have come to. */
  readonly unfolded: readonly LogRecord[];
  readonly presence: readonly { readonly agent: string; readonly data: Presence }[];
  readonly idempotent: readonly IdempotentRow[];
}

/** A statement that ends in a WHERE clause and has named parameters. */
export interface SideStatement {
  readonly sql: string;
  readonly args: Readonly<Record<string, string | number | null>>;
  /** It is about what belongs to no room; then it can be run again without harm. */
  readonly isHome?: true;
}

/** A request with an Idempotency-Key that became a record. */
export interface IdempotentRow {
  readonly key: string;
  readonly digest: string;
  readonly seq: number;
  readonly ts: Millis;
}

/** Records of others that follow one another in a room. */
export interface Told {
  readonly records: readonly LogRecord[];
  readonly idempotent: readonly IdempotentRow[];
}

/** What others have written to a room. */
export interface News extends Told {
  /** Were there no more, or may others have been left out? */
  readonly isAll: boolean;
}

/** Filters of the log. */
export interface LogFilter {
  readonly after?: number;
  readonly upTo?: number;
  readonly before?: number;
  readonly limit?: number;
  readonly newestFirst?: boolean;
  readonly kinds?: readonly RecordKind[];
  readonly agent?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly scope?: string;
  readonly key?: string;
  readonly prefix?: string;
}
