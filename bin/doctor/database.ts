/** The database itself: reachable, writable, of this version, and with the same time. */
import type { Config } from "../../config.ts";
import { SyncError } from "../../errors.ts";
import { Db } from "../../store/db.ts";
import { pathOf } from "../../store/file.ts";
import {
  clockOf,
  damageOf,
  holdingsOf,
  probeWrite,
  type SchemaState,
  schemaState,
} from "../../store/health.ts";
import { causeOf, type Check, inMs, Notes, spreadOf } from "./report.ts";
import { stat } from "node:fs/promises";

const CALLS = 10;
const READ_MS = { warn: 50, fail: 1_000 };
const WRITE_MS = { warn: 100, fail: 1_000 };
const SKEW_MS = { warn: 1_000, fail: 30_000 };

/** The steps that make what is counted. */
const NEEDED = ["0001_rooms", "0002_identity"];

/** Looks at every database of the service. With `isDeep`, reads files through for damage. */
export async function checkDatabases(config: Config, isDeep: boolean): Promise<Check[]> {
  const notes = new Notes("database");
  const urls = [config.db, ...config.shards];
  for (const [i, url] of urls.entries()) {
    const name = urls.length === 1 ? "" : `${i} `;
    await check(config, url, isDeep, name, notes);
  }
  return notes.checks;
}

async function check(
  config: Config,
  url: string,
  isDeep: boolean,
  name: string,
  notes: Notes,
): Promise<void> {
  if (url.startsWith("file:")) {
    const isThere = await stat(pathOf(url)).then(() => true, () => false);
    // Opening would make it, and whose it then is matters.
    if (!isThere) return notes.note(`${name}reach`, "not there yet");
  }
  let db: Db | undefined;
  try {
    const { dbToken } = config;
    db = await Db.open({ url, ...(dbToken === undefined ? {} : { authToken: dbToken }) });
    const state = await reach(db, name, notes);
    if (state.missing !== undefined) {
      await write(db, name, notes);
      await contents(db, state, name, notes);
    }
    await clock(db, name, notes);
    if (isDeep && !db.isShared) await damage(db, name, notes);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    notes.fail(
      `${name}reach`,
      `${url.startsWith("file:") ? url : new URL(url).origin}: ${causeOf(error)}`,
      db?.isShared === false
        ? "See that the file is a database, readable by this user, on a disk that works."
        : "See that the server runs, that SYNC_DB names it, and that SYNC_DB_TOKEN opens it.",
    );
  } finally {
    db?.close();
  }
}

async function timed(run: () => Promise<unknown>): Promise<number[]> {
  const durations: number[] = [];
  for (let i = 0; i < CALLS; i++) {
    const started = performance.now();
    await run();
    durations.push(performance.now() - started);
  }
  return durations;
}

async function reach(db: Db, name: string, notes: Notes): Promise<SchemaState> {
  const state = await schemaState(db);
  const { p50, p99 } = spreadOf(await timed(() => schemaState(db)));
  notes.against(
    `${name}reach`,
    p50,
    READ_MS,
    `a read takes ${inMs(p50)}, at worst ${inMs(p99)}`,
    "Bring the database nearer to the service, or find out what keeps it busy.",
  );
  const { missing, unknown } = state;
  if (unknown.length > 0) {
    notes.fail(
      `${name}schema`,
      `it knows steps that this version does not: ${unknown.join(", ")}`,
      "A newer version has been here: run that one, or restore a backup from before.",
    );
  } else if (missing === undefined) {
    notes.note(`${name}schema`, "none yet; the first start makes it");
  } else if (missing.length > 0) {
    notes.warn(
      `${name}schema`,
      `it lacks ${missing.join(", ")}`,
      "Take a backup, then start this version: it makes the steps by itself.",
    );
  } else notes.ok(`${name}schema`, "up to date");
  return state;
}

async function write(db: Db, name: string, notes: Notes): Promise<void> {
  try {
    const { p50, p99 } = spreadOf(await timed(() => probeWrite(db)));
    notes.against(
      `${name}write`,
      p50,
      WRITE_MS,
      `a write takes ${inMs(p50)}, at worst ${inMs(p99)}`,
      "Every change waits for one: a faster disk, or a nearer server.",
    );
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    notes.fail(
      `${name}write`,
      causeOf(error),
      "See that the disk is not full or read-only, and that the file belongs to this user.",
    );
  }
}

async function contents(
  db: Db,
  { missing }: SchemaState,
  name: string,
  notes: Notes,
): Promise<void> {
  if (NEEDED.some((step) => missing?.includes(step))) return;
  const { rooms, users, leftovers } = await holdingsOf(db);
  const left = leftovers === 0 ? "" : `, ${leftovers} deleted and still being taken apart`;
  notes.note(`${name}holds`, `${rooms} rooms, ${users} users${left}`);
}

async function clock(db: Db, name: string, notes: Notes): Promise<void> {
  const before = Date.now();
  const there = await clockOf(db);
  const skew = Math.abs(there - (before + Date.now()) / 2);
  notes.against(
    `${name}clock`,
    skew,
    SKEW_MS,
    `${inMs(skew)} apart from this machine's`,
    "Set both by NTP: timers and the ends of tokens go by the service's clock.",
  );
}

async function damage(db: Db, name: string, notes: Notes): Promise<void> {
  const lines = await damageOf(db);
  if (lines.length === 0) notes.ok(`${name}damage`, "none found");
  else notes.fail(`${name}damage`, lines[0]!, "Stop the service and restore a backup.");
}
