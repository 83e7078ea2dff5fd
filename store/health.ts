/** What a look from outside wants to know of a database, without changing anything in it. */
import { MIGRATIONS } from "../schema.ts";
import type { Millis } from "../types.ts";
import type { Db } from "./db.ts";

/** How far a database's schema is. */
export interface SchemaState {
  /** Steps that it lacks; undefined where it is no database of this service, or an empty one. */
  readonly missing: readonly string[] | undefined;
  /** Steps that this version does not know: a newer one has been here. */
  readonly unknown: readonly string[];
}

/** Compares the schema with what this version wants. Throws `unavailable`. */
export async function schemaState(db: Db): Promise<SchemaState> {
  const table = await db.first(
    "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table' AND name = 'migration'",
  );
  if (Number(table?.["n"] ?? 0) === 0) return { missing: undefined, unknown: [] };
  const rows = await db.all("SELECT name FROM migration");
  const done = new Set(rows.map((row) => String(row["name"])));
  const wanted = MIGRATIONS.map(({ name }) => name);
  return {
    missing: wanted.filter((name) => !done.has(name)),
    unknown: [...done].filter((name) => !wanted.includes(name)),
  };
}

/** A write that is taken back in the same transaction; throws where the database takes none. */
export async function probeWrite(db: Db): Promise<void> {
  await db.batch([
    // A page must really be written: a statement that changes nothing succeeds on a full disk.
    { sql: "INSERT INTO migration (name, at) VALUES ('', 0)", args: {} },
    { sql: "DELETE FROM migration WHERE name = ''", args: {} },
  ]);
}

/** The database's own clock. */
export async function clockOf(db: Db): Promise<Millis> {
  const row = await db.first("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now");
  return Number(row!["now"]);
}

/** What the database holds. */
export interface Holdings {
  readonly rooms: number;
  readonly users: number;
  /** Rooms that were deleted and are still being taken apart. */
  readonly leftovers: number;
}

/** Counts what the database holds. */
export async function holdingsOf(db: Db): Promise<Holdings> {
  const row = await db.first(
    `SELECT
      (SELECT count(*) FROM room WHERE deleted_at IS NULL) AS rooms,
      (SELECT count(*) FROM user) AS users,
      (SELECT count(*) FROM room WHERE deleted_at IS NOT NULL) AS leftovers`,
  );
  return {
    rooms: Number(row!["rooms"]),
    users: Number(row!["users"]),
    leftovers: Number(row!["leftovers"]),
  };
}

/** What SQLite itself finds wrong with a file, one line each; it reads the whole file. */
export async function damageOf(db: Db): Promise<string[]> {
  const rows = await db.all("PRAGMA quick_check(10)");
  return rows.map((row) => String(row["quick_check"])).filter((line) => line !== "ok");
}
