/**
 * Copies of a whole database, made by a connection of its own beside whoever writes: of a file by
 * VACUUM INTO, of a libSQL server from its dump. Nothing here is used while serving.
 */
import { DatabaseSync, type DatabaseSyncOptions } from "node:sqlite";

/** How long a copy waits for a lock, in milliseconds: nobody else hangs on this connection. */
const LOCK_WAIT_MS = 30_000;
/** A dump writes virtual tables into the schema by hand. */
const UNDEFENDED: DatabaseSyncOptions & { readonly defensive: boolean } = { defensive: false };

/** Copies a database file as it is at one moment. Throws when the target exists. */
export function copyDatabase(from: string, to: string): void {
  const db = new DatabaseSync(from, { readOnly: true, timeout: LOCK_WAIT_MS });
  try {
    db.prepare("VACUUM INTO ?").run(to);
  } finally {
    db.close();
  }
}

/** Does a dump reach its end? One that was cut off would load as far as it goes. Pure. */
export function isWholeDump(sql: string): boolean {
  return /\bCOMMIT;\s*(PRAGMA writable_schema=OFF;)?$/.test(sql.trimEnd());
}

/** Makes a database file of the dump of a libSQL server. */
export function loadDump(sql: string, to: string): void {
  const db = new DatabaseSync(to, UNDEFENDED);
  try {
    db.exec(sql);
  } finally {
    db.close();
  }
}

/** What SQLite finds wrong with a database file; undefined when it is sound. */
export function damageOf(path: string): string | undefined {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = db.prepare("PRAGMA integrity_check").all();
    const found = rows.map((row) => String(row["integrity_check"])).join("; ");
    return found === "ok" ? undefined : found;
  } finally {
    db.close();
  }
}
