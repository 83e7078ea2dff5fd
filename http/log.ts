/** Routes about the log: pages, history, verification. */
import { readHistory, readLogPage, recordKinds } from "../audit.ts";
import { flag, oneOf, whole, wordsOf } from "../context/query.ts";
import { invalid } from "../errors.ts";
import { LOG_LIMIT_DEFAULT, LOG_LIMIT_MAX } from "../limits.ts";
import type { LogFilter } from "../store/rows.ts";
import { verifyRoom } from "../verify.ts";
import { exportLog } from "./memory.ts";
import type { Call, Reply } from "./call.ts";
import type { Route } from "./routes.ts";

function limitOf(call: Call): number {
  return whole(call.query, "limit", 1, LOG_LIMIT_MAX) ?? LOG_LIMIT_DEFAULT;
}

function filterOf(call: Call): LogFilter {
  const text = (name: string): string | undefined => call.query(name)[0] || undefined;
  const after = whole(call.query, "after", 0, Number.MAX_SAFE_INTEGER);
  const kinds = recordKinds(wordsOf(call.query, "kind"));
  const filter: Record<string, string | number> = { limit: limitOf(call) };
  if (after !== undefined) filter["after"] = after;
  for (const name of ["agent", "actor", "action", "scope", "key"]) {
    const value = text(name);
    if (value !== undefined) filter[name] = value;
  }
  if (filter["key"] !== undefined && filter["scope"] === undefined) {
    throw invalid("scope", '"key" goes with "scope"', "_shared");
  }
  return { ...filter as LogFilter, ...(kinds.length === 0 ? {} : { kinds }) };
}

async function log(call: Call): Promise<Reply> {
  if (oneOf(call.query, "format", ["json", "jsonl"], "json") === "jsonl") {
    return await exportLog(call);
  }
  const filter = filterOf(call);
  const proof = flag(call.query, "proof", false);
  // Here `agent` filters; the reader is whoever the token stands for.
  const { hot, acting, seq } = await call.look("log.read", () => undefined, null);
  return { body: await readLogPage(call.deps.store, hot, acting, filter, seq, proof), seq };
}

async function history(call: Call): Promise<Reply> {
  const key = call.params["key"];
  const prefix = call.query("prefix")[0];
  const after = whole(call.query, "after", 0, Number.MAX_SAFE_INTEGER);
  const before = whole(call.query, "before", 1, Number.MAX_SAFE_INTEGER);
  if (after !== undefined && before !== undefined) {
    throw invalid("before", 'it asks for the page before a record, "after" for the one after it');
  }
  const { hot, acting, seq } = await call.look("history.read", () => undefined);
  const wanted = {
    scope: call.param("scope"),
    limit: limitOf(call),
    ...(key === undefined ? { prefix: prefix ?? "" } : { key }),
    ...(after === undefined ? {} : { after }),
    ...(before === undefined ? {} : { before }),
  };
  return { body: await readHistory(call.deps.store, hot, acting, wanted, seq), seq };
}

/** The routes. */
export const LOG_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/rooms/:id/log",
    verb: "log.read",
    summary: "The room's records, oldest first, filtered and paged.",
    handle: log,
  },
  {
    method: "GET",
    path: "/rooms/:id/history/:scope/:key",
    verb: "history.read",
    summary: "The writes to one key.",
    handle: history,
  },
  {
    method: "GET",
    path: "/rooms/:id/history/:scope",
    verb: "history.read",
    summary: "The writes to the keys of a scope, or of a prefix.",
    handle: history,
  },
  {
    method: "GET",
    path: "/rooms/:id/verify",
    verb: "verify",
    summary: "Check the hash chain, and that folding the log gives the live state.",
    handle: async (call) => {
      const { hot, seq } = await call.look("verify", () => undefined);
      return { body: await verifyRoom(call.deps.store, hot, seq), seq };
    },
  },
];
