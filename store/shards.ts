/**
 * Which database holds what. A room's name, its uid, the ids and secrets' hashes of its tokens all
 * hash to the same shard: what is not chosen by anybody is drawn until it does, so nothing needs
 * to be asked where anything is. The first database also holds what belongs to no room.
 */
import { SyncError } from "../errors.ts";
import { Db, type DbOptions, type Statement } from "./db.ts";

/**
 * The shard of a name among `count`: FNV-1a with the finaliser of MurmurHash3, modulo. Fixed for
 * ever: rooms are found by it.
 */
export function shardOf(name: string, count: number): number {
  if (count === 1) return 0;
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) % count;
}

/** How the databases of a service are opened: the first one, and further ones for rooms. */
export interface StoreOptions extends DbOptions {
  /** URLs of further databases, in their fixed order. */
  readonly shards?: readonly string[];
  /** Names this process among those that write to the same databases. */
  readonly instance?: string;
}

/** Opens every database of a service; when one fails, those opened are closed again. */
export async function openShards(options: StoreOptions): Promise<Db[]> {
  const { shards = [], client: _client, instance: _instance, ...common } = options;
  const opened: Db[] = [];
  try {
    opened.push(await Db.open(options));
    for (const url of shards) opened.push(await Db.open({ ...common, url }));
  } catch (error) {
    for (const db of opened) db.close();
    throw error;
  }
  return opened;
}

/**
 * Marks a database with its place, or checks that it still has it: rooms are looked for where
 * their names hash to, so neither order nor number may ever change. Throws `invalid_argument`.
 */
export async function stampShard(db: Db, index: number, count: number): Promise<void> {
  const rows = await db.all("SELECT k, v FROM meta WHERE k IN ('shard', 'shards')");
  const known = new Map(rows.map((row) => [String(row["k"]), Number(row["v"])]));
  const shard = known.get("shard"), shards = known.get("shards");
  if (shard === undefined || shards === undefined) {
    const room = await db.first("SELECT 1 FROM room LIMIT 1");
    if (room && count > 1) throw misplaced(index, count, 0, 1);
    await db.batch(stamps({ shard: index, shards: count }));
  } else if (shard !== index || shards !== count) {
    throw misplaced(index, count, shard, shards);
  }
}

function stamps(values: Readonly<Record<string, number>>): Statement[] {
  return Object.entries(values).map(([k, v]) => ({
    sql: "INSERT INTO meta (k, v) VALUES (:k, :v) ON CONFLICT DO NOTHING",
    args: { k, v },
  }));
}

function misplaced(index: number, count: number, shard: number, shards: number): SyncError {
  return new SyncError(
    "invalid_argument",
    `SYNC_SHARDS puts a database at place ${index} of ${count} that is at place ${shard} of ${shards}.`,
    {
      field: "SYNC_SHARDS",
      hint: "The number and the order of databases never change; only where each of them is may.",
    },
  );
}
