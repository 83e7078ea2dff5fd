/**
 * The store: one atomic batch of plain SQL per group of records, and the reads that load a
 * room. Rooms are spread over shards by their name. Every statement lives here or in `store/`.
 */
import { SyncError } from "./errors.ts";
import { FOLLOW_RECORDS } from "./limits.ts";
import {
  COUNT_COMMIT,
  dropErrands,
  type Errand,
  errandsOf,
  GroupWriter,
  type RaceEvents,
  readErrands,
} from "./store/commit.ts";
import type { Db, Row, Statement } from "./store/db.ts";
import { migrate } from "./store/migrate.ts";
import { Pulse } from "./store/pulse.ts";
import { purgeDeletedIn } from "./store/purge.ts";
import { Reads } from "./store/reads.ts";
import type { EntryRow, LoadedRoom, LogFilter, News, RoomCommit, RoomRow } from "./store/rows.ts";
import { openShards, shardOf, stampShard, type StoreOptions } from "./store/shards.ts";
import {
  foundIn,
  idempotentRow,
  listRoomsIn,
  LOG_COLUMNS,
  logRecord,
  logWhere,
  NEWS,
  newsOf,
  pageFrom,
  pieces,
  roomRow,
  SELECT_ROOM,
} from "./store/statements.ts";
import type { LogRecord, Millis, Presence } from "./types.ts";

export type { Statement } from "./store/db.ts";

const SAVE_PRESENCE = `INSERT INTO presence (room, agent, data, g)
  SELECT j.value->>0, j.value->>1, j.value->>2, (SELECT v FROM meta WHERE k = 'g')
  FROM json_each(:rows) AS j WHERE true
  ON CONFLICT (room, agent) DO UPDATE SET data = excluded.data, g = excluded.g`;

/** A page must really be written: a statement that changes nothing succeeds on a full disk. */
const PROBE: Statement = {
  sql: "INSERT INTO meta (k, v) VALUES ('probe', 0) ON CONFLICT (k) DO UPDATE SET v = 1 - v",
  args: {},
};

/** Looks begun at each database when somebody asked. */
export type Marks = readonly number[];

/** The store over one database, or several. */
export class Store {
  /** What other processes write, by shard; undefined where there are none. */
  readonly pulses: readonly (Pulse | undefined)[];

  readonly #writers: readonly GroupWriter[];
  readonly #reads: readonly Reads[];
  #probe: Promise<unknown> | undefined;

  private constructor(readonly shards: readonly Db[], instance: string) {
    this.pulses = shards.map((db) => db.isShared ? new Pulse(db) : undefined);
    this.#reads = shards.map((db) => new Reads(db));
    this.#writers = shards.map((db, shard) => new GroupWriter(db, shard !== 0, instance));
  }

  /** Opens the databases and brings their schemas up to date. */
  static async open(options: StoreOptions): Promise<Store> {
    const store = new Store(await openShards(options), options.instance ?? "");
    try {
      for (const [index, db] of store.shards.entries()) {
        await migrate(db);
        await stampShard(db, index, store.shards.length);
      }
      // What is news counts from here: nothing is in memory yet.
      for (const pulse of store.pulses) await pulse?.look();
    } catch (error) {
      store.close();
      throw error;
    }
    return store;
  }

  /** How far the looks at each database have come: newer ones show all that was written before. */
  marks(): Marks {
    return this.pulses.map((pulse) => pulse?.begun ?? 0);
  }

  /** The first database: what belongs to no room. */
  get db(): Db {
    return this.shards[0]!;
  }

  /** Do other processes write to any of the databases? */
  get isShared(): boolean {
    return this.shards.some((db) => db.isShared);
  }

  /** The shard of a room, by its name or uid, or of one of its tokens, by grant id or hash. */
  shardOf(name: string): number {
    return shardOf(name, this.shards.length);
  }

  /** The database of a room, by its name or uid, or of one of its tokens, by grant id or hash. */
  of(name: string): Db {
    return this.shards[this.shardOf(name)]!;
  }

  /** Does something belong beside a room? What ids of its own are drawn for. */
  beside(room: string): (name: string) => boolean {
    const shard = this.shardOf(room);
    return (name) => this.shardOf(name) === shard;
  }

  /** Asks every database, and joins what they say. */
  async everywhere<T>(ask: (db: Db, shard: number) => Promise<readonly T[]>): Promise<T[]> {
    return (await Promise.all(this.shards.map(ask))).flat();
  }

  /** Closes the connections. */
  close(): void {
    for (const db of this.shards) db.close();
  }

  /** Statements that belong to no room, in one transaction. */
  run(statements: readonly Statement[]): Promise<Row[][]> {
    return this.db.batch(statements);
  }

  /**
   * Commits a group of one shard in one transaction. A room whose head has moved on meanwhile is
   * left out; the uids of those that were written come back. A group refused for its content is
   * split until the culprit is alone, whose error is thrown by itself.
   */
  async commit(
    group: readonly RoomCommit[],
    race?: RaceEvents,
  ): Promise<Map<string, true | SyncError>> {
    const shard = this.shardOf(group[0]!.uid);
    const outcome = await this.#writers[shard]!.write(group, race);
    if (shard !== 0) {
      const errands = group.flatMap((c) => outcome.get(c.uid) === true ? errandsOf(c) : []);
      if (errands.length > 0) await this.runErrands(shard, errands);
    }
    return outcome;
  }

  /** Does in the first database what commits elsewhere have left to do; what fails stays. */
  async runErrands(shard: number, given?: readonly Errand[]): Promise<void> {
    const from = this.shards[shard]!;
    try {
      const errands = given ?? await readErrands(from);
      if (errands.length === 0) return;
      await this.db.batch(errands.map(({ sql, args }) => ({ sql, args })));
      await from.batch([dropErrands(errands)]);
    } catch (error) {
      // It is done by the next sweep, here or in another process.
      if (!(error instanceof SyncError)) throw error;
    }
  }

  /** Does what is left of errands, as after a crash. */
  async sweepErrands(): Promise<void> {
    for (let shard = 1; shard < this.shards.length; shard++) await this.runErrands(shard);
  }

  /** The living room of this name. */
  async findRoom(id: string): Promise<RoomRow | undefined> {
    const row = await this.of(id).first(`${SELECT_ROOM} WHERE id = :id AND deleted_at IS NULL`, {
      id,
    });
    return row && roomRow(row);
  }

  /** The living room of this uid. */
  async findRoomByUid(uid: string): Promise<RoomRow | undefined> {
    const row = await this.of(uid).first(`${SELECT_ROOM} WHERE uid = :uid AND deleted_at IS NULL`, {
      uid,
    });
    return row && roomRow(row);
  }

  /** Living rooms by uid, ordered by name, and how many there are. */
  async listRooms(
    uids: readonly string[] | "all",
    after: string,
    limit: number,
  ): Promise<{ rooms: RoomRow[]; total: number }> {
    const found = await this.everywhere(async (db, shard) => {
      const here = uids === "all" ? uids : uids.filter((uid) => this.shardOf(uid) === shard);
      return here.length === 0 ? [] : [await listRoomsIn(db, here, after, limit)];
    });
    const rooms = found.flatMap((part) => part.rooms).sort((a, b) => a.id < b.id ? -1 : 1);
    return {
      rooms: limit < 0 ? rooms : rooms.slice(0, limit),
      total: found.reduce((sum, part) => sum + part.total, 0),
    };
  }

  /** Everything a room in memory starts from: one state of it, whoever writes meanwhile. */
  async loadRoom(row: RoomRow, idempotentSince: Millis): Promise<LoadedRoom> {
    const room = row.uid;
    const [entries = [], unfolded = [], presence = [], idempotent = [], [head] = []] = await this
      .of(room).snapshot([
        { sql: "SELECT scope, key, value, meta FROM fold WHERE room = :room", args: { room } },
        {
          sql: `SELECT ${LOG_COLUMNS} FROM log WHERE room = :room
            AND seq > (SELECT folded FROM room WHERE uid = :room) ORDER BY seq`,
          args: { room },
        },
        { sql: "SELECT agent, data FROM presence WHERE room = :room", args: { room } },
        {
          sql: `SELECT idem, digest, seq, ts FROM log
          WHERE room = :room AND idem IS NOT NULL AND ts > :since`,
          args: { room, since: idempotentSince },
        },
        { sql: `${SELECT_ROOM} WHERE uid = :room AND deleted_at IS NULL`, args: { room } },
      ]);
    return {
      row: head ? roomRow(head) : row,
      entries: entries as unknown as EntryRow[],
      unfolded: unfolded.map(logRecord),
      presence: presence.map((r) => ({
        agent: String(r["agent"]),
        data: JSON.parse(String(r["data"])) as Presence,
      })),
      idempotent: idempotent.map(idempotentRow),
    };
  }

  /**
   * Records of a room, ascending unless `newestFirst`: as many as are wanted, or as fit together, at
   * least one; and whether there are more.
   */
  async readPage(
    room: string,
    filter: LogFilter,
  ): Promise<{ records: LogRecord[]; isMore: boolean }> {
    const { where, args } = logWhere(filter);
    const { limit = Infinity, newestFirst } = filter;
    const rows = await this.of(room).all(pageFrom(where, newestFirst), {
      room,
      ...args,
      limit: limit === Infinity ? -1 : limit + 1,
    });
    const records = rows.slice(0, limit).map(logRecord);
    return { records, isMore: foundIn(rows) > records.length };
  }

  /** The records of such a page. */
  async readLog(room: string, filter: LogFilter): Promise<LogRecord[]> {
    return (await this.readPage(room, filter)).records;
  }

  /** How many records a filter meets. */
  async countLog(room: string, filter: LogFilter): Promise<number> {
    const { where, args } = logWhere(filter);
    const rows = await this.of(room).all(
      `SELECT count(*) AS n FROM log WHERE room = :room ${where}`,
      {
        room,
        ...args,
      },
    );
    return Number(rows[0]?.["n"] ?? 0);
  }

  /** The reply kept with an idempotent request's record. */
  async readReply(room: string, seq: number): Promise<string | undefined> {
    const rows = await this.of(room).all(
      "SELECT reply FROM log WHERE room = :room AND seq = :seq",
      {
        room,
        seq,
      },
    );
    return rows[0] ? String(rows[0]["reply"]) : undefined;
  }

  /** A page of the records after `after`, with the keys of their requests: what others wrote. */
  async readNews(room: string, after: number): Promise<News> {
    const args = { room, after, limit: FOLLOW_RECORDS };
    return newsOf(await this.#reads[this.shardOf(room)]!.ask({ sql: NEWS, args }));
  }

  /** Writes agents' presence, many rooms of one shard at once. */
  async savePresence(
    rows: readonly { room: string; agent: string; data: Presence }[],
  ): Promise<void> {
    if (!rows[0]) return;
    const db = this.of(rows[0].room);
    const count = db.isShared ? [COUNT_COMMIT] : [];
    const given = rows.map(({ room, agent, data }) => [room, agent, JSON.stringify(data)]);
    await db.batch([...count, ...pieces(SAVE_PRESENCE, given)]);
  }

  /** Ends a room: its name is free at once, its rows unreachable. */
  async deleteRoom(uid: string, at: Millis): Promise<boolean> {
    const [, rows] = await this.of(uid).batch([
      COUNT_COMMIT,
      {
        sql: `UPDATE room SET deleted_at = :at, g = (SELECT v FROM meta WHERE k = 'g')
          WHERE uid = :uid AND deleted_at IS NULL RETURNING uid`,
        args: { at, uid },
      },
      {
        sql: "UPDATE token_grant SET revoked_at = :at WHERE room = :uid AND revoked_at IS NULL",
        args: { at, uid },
      },
      { sql: "DELETE FROM role WHERE room = :uid", args: { uid } },
      { sql: "DELETE FROM embodiment WHERE room = :uid", args: { uid } },
    ]);
    return (rows ?? []).length > 0;
  }

  /** Purges a piece of a deleted room's rows, in every shard; false when nothing is left. */
  async purgeDeleted(limit: number): Promise<boolean> {
    return (await this.everywhere(async (db) => [await purgeDeletedIn(db, limit)])).includes(true);
  }

  /** Writes that mean nothing: prove that every database takes writes. Who asks meanwhile shares it. */
  async probe(): Promise<void> {
    this.#probe ??= this.everywhere((db) => db.batch([PROBE])).finally(() => {
      this.#probe = undefined;
    });
    await this.#probe;
  }
}
