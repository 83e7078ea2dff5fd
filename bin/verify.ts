/**
 * `deno task verify room.jsonl`: checks an exported log without a server and without a network.
 * Prints what it found as JSON; leaves with 1 and names the first record when something does
 * not fit.
 */
import { createReadStream } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { SyncError } from "../errors.ts";
import { checkExport, linesOf } from "../import.ts";
import { showBase } from "../snapshots.ts";
import type { JsonObject } from "../types.ts";

const USAGE = `deno task verify room.jsonl [--key HEX]     "-" reads standard input
  --key   the public key that must have signed it, as /.well-known/did.json or a trusted export names it`;

/** Checks a stream of an export's bytes: what it holds, or what is wrong with it. */
export async function verifyExport(
  chunks: AsyncIterable<Uint8Array>,
  key?: string,
): Promise<JsonObject & { ok: boolean }> {
  try {
    const checked = await checkExport(linesOf(chunks));
    const { room, isRedacted, records, head, hash } = checked;
    const found = {
      room,
      records,
      base: showBase(checked.base),
      head,
      hash,
      redacted: isRedacted,
      fold: isRedacted ? "not checked: parts are left out" : "checked",
      key: checked.key,
    };
    if (key === undefined || key === checked.key) return { ok: true, ...found };
    return { ok: false, detail: "it is signed with another key", ...found };
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    const { detail, line, seq } = error.facts as Readonly<
      Record<string, string | number | undefined>
    >;
    return {
      ok: false,
      detail: detail ?? error.message,
      ...(line === undefined ? {} : { line }),
      ...(seq === undefined ? {} : { seq }),
    };
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { key: { type: "string" } },
    allowPositionals: true,
  });
  const [path] = positionals;
  if (path === undefined) {
    console.error(USAGE);
    process.exit(2);
  }
  try {
    const stream = path === "-" ? process.stdin : createReadStream(path);
    const result = await verifyExport(stream as AsyncIterable<Uint8Array>, values.key);
    console.log(JSON.stringify(result, null, 2));
    process.exitCode = result.ok ? 0 : 1;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
}
