/**
 * Writing a group: one batch, and over a network what to do when it is not answered. A group takes
 * a ticket with it; whoever gives it up takes the ticket first, and so settles whether it was written.
 */
import { SyncError } from "../errors.ts";
import { type Db, isContentError, type Row, type Statement } from "./db.ts";
import type { RoomCommit, Told } from "./rows.ts";
import { NEWS_IN_PASSING, newsByRoom, statementsOf } from "./statements.ts";

/** Raises the count of commits, for those who look for news. */
export const COUNT_COMMIT: Statement = {
  sql: "UPDATE meta SET v = v + 1 WHERE k = 'g'",
  args: {},
};

/** What a commit in one database still has to do in the first one. */
export interface Errand {
  readonly id: string;
  readonly sql: string;
  readonly args: Readonly<Record<string, string | number | null>>;
}

/** What else a group's batch tells of a room that others write, too. */
export interface RaceEvents {
  /** Others were faster: these records stand where the group's should have. */
  onNews(uid: string, news: Told): void;
  /** It was written, and another process has lost a race for the room before: it is its turn. */
  onWanted(uid: string): void;
}

/** The outcome of a group by room: written, refused for a reason, or absent when others were faster. */
export type Outcomes = Map<string, true | SyncError>;

/** Writes groups to one database. */
export class GroupWriter {
  /** The ticket of the last group that was written: of no use any more. */
  #spent = "";

  /** `isAway`: the first database is another one, and what belongs there becomes an errand. */
  constructor(
    private readonly db: Db,
    private readonly isAway: boolean,
    /** Names this process among those that write here. */
    private readonly instance: string,
  ) {}

  /** Writes a group in one transaction, split for as long as its content is refused. */
  async write(group: readonly RoomCommit[], race?: RaceEvents): Promise<Outcomes> {
    try {
      return await this.writeWhole(group, race);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      if (group.length === 1 || !isContentError(error)) {
        return new Map(group.map(({ uid }) => [uid, error]));
      }
      const half = group.length >> 1;
      const first = await this.write(group.slice(0, half), race);
      return new Map([...first, ...await this.write(group.slice(half), race)]);
    }
  }

  private async writeWhole(
    group: readonly RoomCommit[],
    race: RaceEvents | undefined,
  ): Promise<Outcomes> {
    const { db, isAway } = this;
    const { isShared } = db;
    const errands = isAway ? group.flatMap((c) => errandsOf(c).map((e) => errandRow(e, c))) : [];
    const statements = statementsOf(group, { isAway, isShared, errands });
    if (!isShared) return await writtenAlone(db, group, await db.batch(statements));
    // Of its content, whose hash nothing else has.
    const ticket = `${group[0]!.uid}:${group[0]!.hash}`;
    try {
      const results = await db.batch([
        ...raceFor(group, this.instance),
        ...exchange(this.#spent, ticket),
        COUNT_COMMIT,
        ...statements,
      ], true);
      this.#spent = ticket;
      if (race) tellOfRace(results, race);
      return written(results);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      // A client that sends a batch twice has it refused for the ticket that it brought itself.
      const isThere = isContentError(error)
        ? await hasTicket(db, ticket)
        : await isWritten(db, ticket);
      if (!isThere) throw error;
      return await standing(db, group);
    }
  }
}

const WANTED = `SELECT r.uid FROM json_each(:rows) AS j
  JOIN room AS r ON r.uid = j.value->>0 AND r.head = j.value->>1
  WHERE r.wanted IS NOT NULL AND r.wanted <> :instance`;
const WANT = `UPDATE room SET wanted = :instance FROM json_each(:rows) AS j
  WHERE room.uid = j.value->>0 AND room.head > j.value->>1`;

/** Before a group's own statements: who was faster, who has lost, and that this one does. */
function raceFor(group: readonly RoomCommit[], instance: string): Statement[] {
  const rows = JSON.stringify(group.map(({ uid, base }) => [uid, base]));
  return [
    { sql: NEWS_IN_PASSING, args: { rows } },
    { sql: WANTED, args: { rows, instance } },
    { sql: WANT, args: { rows, instance } },
  ];
}

function tellOfRace([news = [], wanted = []]: readonly Row[][], race: RaceEvents): void {
  for (const [uid, found] of newsByRoom(news)) race.onNews(uid, found);
  for (const row of wanted) race.onWanted(String(row["uid"]));
}

/** Where only this process writes: how many rooms were written, and if not all, which. */
async function writtenAlone(
  db: Db,
  group: readonly RoomCommit[],
  results: readonly Row[][],
): Promise<Outcomes> {
  if (Number(results.at(-1)?.[0]?.["n"]) === group.length) {
    return new Map(group.map(({ uid }) => [uid, true]));
  }
  return await standing(db, group);
}

function written(results: readonly Row[][]): Outcomes {
  return new Map((results.at(-1) ?? []).map((row) => [String(row["uid"]), true]));
}

function exchange(spent: string, ticket: string): Statement[] {
  return [
    { sql: "DELETE FROM ticket WHERE id = :spent", args: { spent } },
    { sql: "INSERT INTO ticket (id, at) VALUES (:ticket, unixepoch())", args: { ticket } },
  ];
}

/** Was the group with this ticket written? If not, it never will be: its ticket is taken. */
async function isWritten(db: Db, ticket: string): Promise<boolean> {
  const [, rows = []] = await told(() =>
    db.batch([
      { sql: "DELETE FROM ticket WHERE at < unixepoch('now', '-1 day')", args: {} },
      {
        sql: `INSERT INTO ticket (id, at) VALUES (:ticket, unixepoch())
          ON CONFLICT DO NOTHING RETURNING id`,
        args: { ticket },
      },
    ])
  );
  return rows.length === 0;
}

/** Did a group with this ticket go through? */
async function hasTicket(db: Db, ticket: string): Promise<boolean> {
  const row = await told(() => db.first("SELECT 1 FROM ticket WHERE id = :ticket", { ticket }));
  return row !== undefined;
}

/** The rooms of a written group that stand where it left them; others were faster in the rest. */
async function standing(db: Db, group: readonly RoomCommit[]): Promise<Outcomes> {
  const rows = await told(() =>
    db.all(
      `SELECT l.room AS uid FROM json_each(:rows) AS j
        JOIN log AS l ON l.room = j.value->>0 AND l.seq = j.value->>1 AND l.hash = j.value->>2
        JOIN room AS r ON r.uid = l.room AND r.deleted_at IS NULL`,
      { rows: JSON.stringify(group.map(({ uid, head, hash }) => [uid, head, hash])) },
    )
  );
  return written([rows]);
}

/** What the database says of a group that it may have written. Throws `outcome_unknown` when it does not. */
async function told<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof SyncError) throw outcomeUnknown();
    throw error;
  }
}

function outcomeUnknown(): SyncError {
  return new SyncError(
    "outcome_unknown",
    "The database did not answer; the write may have happened.",
    { hint: "Read the room, or repeat the call with the same Idempotency-Key." },
    { "Retry-After": "2" },
  );
}

/** What a room's commit has to do in the first database; named, so that it is done once. */
export function errandsOf({ uid, head, side }: RoomCommit): Errand[] {
  return side.flatMap(({ isHome, sql, args }, i) =>
    isHome ? [{ id: `${uid}:${head}:${i}`, sql, args }] : []
  );
}

function errandRow({ id, sql, args }: Errand, { uid, base }: RoomCommit): Statement {
  return {
    sql: `INSERT INTO errand (id, sql, args) SELECT :id, :sql, :args
      WHERE EXISTS (SELECT 1 FROM room WHERE uid = :uid AND head = :base)`,
    args: { id, sql, args: JSON.stringify(args), uid, base },
  };
}

/** Errands that are still to be run. */
export async function readErrands(db: Db): Promise<Errand[]> {
  const rows = await db.all("SELECT id, sql, args FROM errand ORDER BY id LIMIT 1000");
  return rows.map((row) => ({
    id: String(row["id"]),
    sql: String(row["sql"]),
    args: JSON.parse(String(row["args"])) as Errand["args"],
  }));
}

/** Notes that errands are done. */
export function dropErrands(errands: readonly Errand[]): Statement {
  return {
    sql: "DELETE FROM errand WHERE id IN (SELECT value FROM json_each(:ids))",
    args: { ids: JSON.stringify(errands.map(({ id }) => id)) },
  };
}
