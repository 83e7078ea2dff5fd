/** Brings a database's schema up to date. */
import { MIGRATIONS } from "../schema.ts";
import { type Db, isContentError } from "./db.ts";

/** Runs what `schema.ts` lists and the database lacks, each step in one transaction. */
export async function migrate(db: Db): Promise<void> {
  await db.batch([{
    sql: "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
    args: {},
  }]);
  for (const step of MIGRATIONS) {
    if ((await done(db)).has(step.name)) continue;
    try {
      await db.batch([
        ...step.statements.map((sql) => ({ sql, args: {} })),
        {
          sql: `INSERT INTO migration (name, at)
            VALUES (:name, CAST(unixepoch('subsec') * 1000 AS INTEGER))`,
          args: { name: step.name },
        },
      ]);
    } catch (error) {
      // Another process that starts at the same time was faster.
      if (!isContentError(error) || !(await done(db)).has(step.name)) throw error;
    }
  }
}

async function done(db: Db): Promise<Set<unknown>> {
  return new Set((await db.all("SELECT name FROM migration")).map((row) => row["name"]));
}
