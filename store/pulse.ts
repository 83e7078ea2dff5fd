/**
 * What others have written to a shared database, asked for at most once at a time: one small
 * query answers all requests that arrived before it began.
 */
import type { Millis, Presence } from "../types.ts";
import type { Db, Row, Statement } from "./db.ts";
import type { Told } from "./rows.ts";
import { NEWS_IN_PASSING, newsByRoom } from "./statements.ts";

/** A room as others may have left it. */
export interface RoomNews {
  readonly uid: string;
  readonly head: number;
  readonly deletedAt: Millis | null;
}

/** An agent's live data as another process may have left it. */
export interface PresenceNews {
  readonly room: string;
  readonly agent: string;
  readonly data: Presence;
}

/** What a look found. */
export interface Reading {
  /** Raised whenever what a token opens may have changed. */
  readonly rights: number;
}

/** A room in memory that others write to as well, and the newest record known of it here. */
export type Watched = readonly [uid: string, seq: number];

/** Whom a look tells, before it answers. */
export interface PulseEvents {
  /** Rooms whose new records a look brings along. */
  watched(): readonly Watched[];
  /** Called after `onRooms`. */
  onNews(uid: string, news: Told): void;
  onRooms(rooms: readonly RoomNews[]): void;
  onPresence(news: readonly PresenceNews[]): void;
  onRights(): void;
}

const LOOK = [
  "SELECT k, v FROM meta WHERE k IN ('g', 'rights')",
  "SELECT uid, head, deleted_at FROM room WHERE g > :since",
  "SELECT room, agent, data FROM presence WHERE g > :since",
];

/** The looks at one database. */
export class Pulse {
  #since: number | undefined;
  #rights: number | undefined;
  #looking: Promise<Reading> | undefined;
  #next: Promise<Reading> | undefined;
  readonly #told = new Set<PulseEvents>();
  /** Looks begun since the start: what a look must be newer than, for those who ask later. */
  begun = 0;
  #done = 0;
  #found: Reading = { rights: 0 };

  constructor(private readonly db: Db) {}

  /** Tells about what looks find. */
  tell(events: PulseEvents): void {
    this.#told.add(events);
  }

  /** A look that began after so many others, or after this call. Throws `unavailable`. */
  look(since = this.begun): Promise<Reading> {
    if (this.#done > since) return Promise.resolve(this.#found);
    const begin = (): Promise<Reading> =>
      this.#looking = this.take().finally(() => this.#looking = undefined);
    if (!this.#looking) return begin();
    const after = (): Promise<Reading> => {
      this.#next = undefined;
      return begin();
    };
    return this.#next ??= this.#looking.then(after, after);
  }

  private async take(): Promise<Reading> {
    const at = ++this.begun;
    const [counts = [], rooms = [], presence = [], records = []] = await this.db.snapshot(
      this.statements(),
    );
    const count = (k: string): number => Number(counts.find((row) => row["k"] === k)?.["v"] ?? 0);
    const rights = count("rights");
    this.#since = count("g");
    const news = rooms.map((row): RoomNews => ({
      uid: String(row["uid"]),
      head: Number(row["head"]),
      deletedAt: row["deleted_at"] === null ? null : Number(row["deleted_at"]),
    }));
    const isChanged = this.#rights !== undefined && this.#rights !== rights;
    this.#rights = rights;
    for (const events of this.#told) {
      if (news.length > 0) events.onRooms(news);
      for (const [uid, found] of newsByRoom(records)) events.onNews(uid, found);
      if (presence.length > 0) events.onPresence(presence.map(presenceNews));
      if (isChanged) events.onRights();
    }
    this.#done = Math.max(this.#done, at);
    return this.#found = { rights };
  }

  private statements(): Statement[] {
    const since = this.#since;
    // Before the first look nothing is in memory that could have become old.
    if (since === undefined) return [{ sql: LOOK[0]!, args: {} }];
    const look = LOOK.map((sql, i) => ({ sql, args: i === 0 ? {} : { since } }));
    const watched = [...this.#told].flatMap((events) => events.watched());
    if (watched.length === 0) return look;
    return [...look, {
      sql: NEWS_IN_PASSING,
      args: { rows: JSON.stringify(watched) },
    }];
  }
}

function presenceNews(row: Row): PresenceNews {
  return {
    room: String(row["room"]),
    agent: String(row["agent"]),
    data: JSON.parse(String(row["data"])) as Presence,
  };
}
