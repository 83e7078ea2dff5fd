/**
 * `deno task backup --to FILE`: copies the database that `SYNC_DB` names into one new file, beside
 * a running server, and checks the copy. `--verify FILE` opens a copy as a server would and proves
 * every room in it. What was done goes to standard output as JSON.
 */
import { copyFile, mkdtemp, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { readConfig } from "../config.ts";
import { hotFromRows } from "../engine/rows.ts";
import { SyncError } from "../errors.ts";
import { Store } from "../store.ts";
import { copyDatabase, damageOf, isWholeDump, loadDump } from "../store/backup.ts";
import { pathOf } from "../store/file.ts";
import type { JsonObject } from "../types.ts";
import { verifyRoom } from "../verify.ts";

const USAGE =
  `deno task backup --to FILE          copies SYNC_DB; with SYNC_SHARDS also FILE.1, FILE.2, …
deno task backup --verify FILE …    proves every room of a copy; all its files, in their order`;

/** A database to copy: a `file:` path, or a libSQL server. */
export interface Source {
  readonly url: string;
  readonly token?: string;
}

/** What a copy is. */
export interface Copied {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

/** Copies one database into a new file, whole or not at all. Throws when it exists or is damaged. */
export async function backUp({ url, token }: Source, to: string): Promise<Copied> {
  const target = resolve(to);
  if (await stat(target).then(() => true, () => false)) throw new Error(`${to} exists already`);
  const folder = await mkdtemp(join(dirname(target), `.${basename(target)}-`));
  try {
    const copy = join(folder, "copy.db");
    if (url.startsWith("file:")) copyDatabase(pathOf(url), copy);
    else loadDump(await fetchDump(url, token), copy);
    const damage = damageOf(copy);
    if (damage !== undefined) throw new Error(`the copy of ${url} is damaged: ${damage}`);
    await flush(copy);
    await rename(copy, target);
    await flush(dirname(target));
    return { from: url, to, bytes: (await stat(target)).size };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function flush(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync();
  await file.close();
}

/** A server's whole content as SQL. Throws when it does not give it. */
async function fetchDump(url: string, token: string | undefined): Promise<string> {
  const at = new URL("dump", url.replace(/^libsql:/, "https:").replace(/\/?$/, "/"));
  const response = await fetch(at, {
    headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${at.href} answers ${response.status}: ${text.slice(0, 200)}`);
  if (!isWholeDump(text)) throw new Error(`${at.href} gives no whole dump`);
  return text;
}

/** What was found in a copy: every room, and what is wrong with those that do not hold together. */
export interface Proof {
  readonly ok: boolean;
  readonly rooms: number;
  readonly records: number;
  readonly broken: readonly JsonObject[];
}

/** Opens a copy of these files as a server would, and verifies every room. The files stay as they are. */
export async function proveCopy(files: readonly string[]): Promise<Proof> {
  const folder = await mkdtemp(join(dirname(resolve(files[0]!)), ".verify-"));
  try {
    const urls: string[] = [];
    for (const [i, file] of files.entries()) {
      const damage = damageOf(file);
      if (damage !== undefined) throw new Error(`${file} is damaged: ${damage}`);
      await copyFile(file, join(folder, String(i)));
      urls.push(`file:${join(folder, String(i))}`);
    }
    const [url, ...shards] = urls;
    const store = await Store.open({ url: url!, shards });
    try {
      return await proveRooms(store);
    } finally {
      store.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function proveRooms(store: Store): Promise<Proof> {
  const broken: JsonObject[] = [];
  let records = 0;
  const { rooms } = await store.listRooms("all", "", -1);
  for (const row of rooms) {
    const hot = hotFromRows(await store.loadRoom(row, 0), Date.now());
    const { ok, ...found } = await verifyRoom(store, hot, hot.room.head);
    records += Number(found["records"] ?? 0);
    if (ok !== true) broken.push({ room: row.id, ...found });
  }
  return { ok: broken.length === 0, rooms: rooms.length, records, broken };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { to: { type: "string" }, verify: { type: "string" } },
    allowPositionals: true,
  });
  if (values.verify !== undefined) {
    const proof = await proveCopy([values.verify, ...positionals]);
    console.log(JSON.stringify(proof));
    process.exitCode = proof.ok ? 0 : 1;
    return;
  }
  if (values.to === undefined) throw new Error("--to or --verify is wanted");
  const { db, shards, dbToken } = readConfig((name) => process.env[name]);
  // The first database last: what a room of the others owes it is still noted in their copies, and
  // carried out again without harm.
  for (const [i, url] of [...[db, ...shards].entries()].reverse()) {
    const to = i === 0 ? values.to : `${values.to}.${i}`;
    const source = { url, ...(dbToken === undefined ? {} : { token: dbToken }) };
    console.log(JSON.stringify(await backUp(source, to)));
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    const cause = error instanceof SyncError && error.cause instanceof Error
      ? `: ${error.cause.message}`
      : "";
    console.error(`${(error as Error).message}${cause}\n\n${USAGE}`);
    process.exitCode = 1;
  }
}
