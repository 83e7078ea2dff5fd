/** Samples of rendered views: written some at a time, the newest kept. */
import type { Store } from "../store.ts";
import type { Db } from "./db.ts";
import type { Millis } from "../types.ts";

/** One sample; `value` is JSON text. */
export interface SampleRow {
  readonly room: string;
  readonly view: string;
  readonly seq: number;
  readonly ts: Millis;
  readonly value: string;
}

/** Writes samples, and lets go of what a view has beyond `keep`. */
export async function insertSamples(
  store: Store,
  rows: readonly SampleRow[],
  keep: number,
): Promise<void> {
  await store.everywhere(async (db, shard) => {
    const here = rows.filter(({ room }) => store.shardOf(room) === shard);
    if (here.length > 0) await insertSamplesIn(db, here, keep);
    return [];
  });
}

async function insertSamplesIn(db: Db, rows: readonly SampleRow[], keep: number): Promise<void> {
  const views = new Map(rows.map(({ room, view }) => [`${room}\u0000${view}`, { room, view }]));
  await db.batch([
    {
      sql: `INSERT INTO sample (room, view, seq, ts, value)
        SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4
        FROM json_each(:rows) AS j WHERE true ON CONFLICT DO NOTHING`,
      args: {
        rows: JSON.stringify(rows.map((r) => [r.room, r.view, r.seq, r.ts, r.value])),
      },
    },
    ...[...views.values()].map(({ room, view }) => ({
      sql: `DELETE FROM sample WHERE room = :room AND view = :view AND seq <= (
        SELECT seq FROM sample WHERE room = :room AND view = :view
          ORDER BY seq DESC LIMIT 1 OFFSET :keep)`,
      args: { room, view, keep },
    })),
  ]);
}

/** The newest samples of a view ascending, and how many there are. */
export async function listSamples(
  store: Store,
  room: string,
  view: string,
  limit: number,
): Promise<{ samples: Pick<SampleRow, "seq" | "ts" | "value">[]; total: number }> {
  const rows = await store.of(room).all(
    `SELECT seq, ts, value, count(*) OVER () AS total FROM sample
      WHERE room = :room AND view = :view ORDER BY seq DESC LIMIT :limit`,
    { room, view, limit },
  );
  const samples = rows.map((row) => ({
    seq: Number(row["seq"]),
    ts: Number(row["ts"]),
    value: String(row["value"]),
  }));
  return { samples: samples.reverse(), total: Number(rows[0]?.["total"] ?? 0) };
}
