/**
 * A libSQL client whose commits fail as a dying disk's do: with SQLITE_IOERR_FSYNC, before the
 * commit took place or after it. What fails, and how, is drawn for each commit.
 */
import { type Client, LibsqlError } from "@libsql/client";

/** How a commit fails. */
export type CommitFault = "before" | "after" | undefined;

const IOERR_FSYNC = 1_034;

/** The client, with the commits failing that `draw` says. Reads are left alone. */
export function withFailingCommits(client: Client, draw: () => CommitFault): Client {
  const batch: Client["batch"] = async (statements, mode) => {
    const fault = mode === "write" ? draw() : undefined;
    if (fault === "before") throw fsyncFailed();
    const results = await client.batch(statements, mode);
    if (fault === "after") throw fsyncFailed();
    return results;
  };
  return new Proxy(client, {
    get: (target, name) => {
      if (name === "batch") return batch;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function fsyncFailed(): LibsqlError {
  return new LibsqlError("disk I/O error", "SQLITE_IOERR", "SQLITE_IOERR_FSYNC", IOERR_FSYNC);
}
