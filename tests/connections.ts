/** What any connection to a database has to do. */
import assert from "node:assert/strict";
import type { Connection } from "../store/file.ts";

/** Throws unless bytes, text, numbers and null are read as they were written. */
export async function mustReadAsWritten(connection: Connection): Promise<void> {
  const bytes = new Uint8Array([0, 1, 255]);
  const { rows } = await connection.execute({
    sql: "SELECT ? AS b, ? AS t, ? AS i, ? AS r, ? AS n",
    args: [bytes, "ü\u0001", 9_007_199_254_740_991, 1.5, null],
  });
  const row = rows[0]!;
  assert.deepEqual(new Uint8Array(row["b"] as ArrayBuffer), bytes);
  assert.deepEqual([row["t"], row["i"], row["r"], row["n"]], [
    "ü\u0001",
    9_007_199_254_740_991,
    1.5,
    null,
  ]);
}
