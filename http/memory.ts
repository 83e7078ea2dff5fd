/** Routes about a room's past and its possible futures: replay, diff, fork, simulate, review. */
import { auditScope } from "../audit.ts";
import { parseContextQuery, whole } from "../context/query.ts";
import { diff } from "../diff.ts";
import { invalid } from "../errors.ts";
import { fork } from "../fork.ts";
import { DIFF_LIMIT_DEFAULT, DIFF_LIMIT_MAX } from "../limits.ts";
import { replay } from "../replay.ts";
import type { JsonObject } from "../types.ts";
import { type Call, hideExistence, type Reply } from "./call.ts";
import type { Route } from "./routes.ts";

function seqOf(call: Call, text: string | undefined, field: string, head: number): number {
  const value = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value <= head) return value;
  throw invalid(field, `a record's seq from 0 to ${head} is wanted`, head, { head });
}

async function replayAt(call: Call): Promise<Reply> {
  const query = parseContextQuery(call.query);
  const { hot, acting, seq: head } = await call.look("replay", () => undefined);
  const seq = seqOf(call, call.param("seq"), "seq", head);
  const { store } = call.deps;
  const body = await replay(store, hot.room, acting, seq, query);
  const state = body["state"] as JsonObject | undefined;
  if (query.include.has("_audit") && state) {
    state["_audit"] = await auditScope(store, hot, acting, seq);
  }
  return { body, seq };
}

async function diffBetween(call: Call): Promise<Reply> {
  const { hot, acting, seq: head } = await call.look("diff", () => undefined);
  const from = seqOf(call, call.query("from")[0], "from", head);
  const to = seqOf(call, call.query("to")[0] ?? String(head), "to", head);
  const [scope] = call.query("scope"), [after] = call.query("after");
  const body = await diff(call.deps.store, hot.room, acting, {
    from,
    to,
    limit: whole(call.query, "limit", 1, DIFF_LIMIT_MAX) ?? DIFF_LIMIT_DEFAULT,
    ...(scope === undefined ? {} : { scope: scope === "self" ? acting.agent : scope }),
    ...(after === undefined ? {} : { after }),
  });
  return { body, seq: head };
}

async function forkRoom(call: Call): Promise<Reply> {
  const { engine, auth, elevate } = call.deps;
  const principal = await call.principal();
  const raw = await call.json();
  try {
    const forget = (): void => auth.forget();
    const body = await fork({ engine, principal, room: call.param("id"), elevate, forget }, raw);
    return { status: 201, body };
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

/** The routes. */
export const MEMORY_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/rooms/:id/replay/:seq",
    verb: "replay",
    summary: "The room as it was right after a record, in the shape of context.",
    handle: replayAt,
  },
  {
    method: "GET",
    path: "/rooms/:id/diff",
    verb: "diff",
    summary: "What changed between two records, by whom and through what.",
    handle: diffBetween,
  },
  {
    method: "POST",
    path: "/rooms/:id/fork",
    verb: "fork",
    summary: "A new room that goes on from this one, after any of its records.",
    handle: forkRoom,
  },
];
