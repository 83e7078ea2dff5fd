/**
 * What others have written to a shared database, asked for at most once at a time: one small
 * query answers all requests that arrived before it began.
 */
import type { Millis, Presence } from "../types.ts";
import type { Db, Row } from "./db.ts";

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

/** Whom a look tells, before it answers. */
export interface PulseEvents {
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
  /** Looks taken since the start. */
  looks = 0;

  constructor(private readonly db: Db) {}

  /** Tells about what looks find. */
  tell(events: PulseEvents): void {
    this.#told.add(events);
  }

  /** A look that began after this call. Throws `unavailable`. */
  look(): Promise<Reading> {
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
    this.looks++;
    const since = this.#since;
    // Before the first look nothing is in memory that could have become old.
    const wanted = since === undefined ? LOOK.slice(0, 1) : LOOK;
    const [counts = [], rooms = [], presence = []] = await this.db.snapshot(
      wanted.map((sql, i) => ({ sql, args: i === 0 ? {} : { since: since! } })),
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
      if (presence.length > 0) events.onPresence(presence.map(presenceNews));
      if (isChanged) events.onRights();
    }
    return { rights };
  }
}

function presenceNews(row: Row): PresenceNews {
  return {
    room: String(row["room"]),
    agent: String(row["agent"]),
    data: JSON.parse(String(row["data"])) as Presence,
  };
}
