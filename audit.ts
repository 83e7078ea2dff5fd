/** The log: pages and history as one reader sees them. */
import { type Acting, mustNameReader } from "./auth.ts";
import { cutToBudget } from "./context/budget.ts";
import { earlier } from "./context/messages.ts";
import { type ContextQuery, INVOCATIONS } from "./context/query.ts";
import type { HotRoom } from "./engine/hot.ts";
import { rowsOf } from "./engine/rows.ts";
import { invalid, SyncError } from "./errors.ts";
import { ownScope } from "./input.ts";
import { AUDIT_RECORDS } from "./limits.ts";
import { canReadScope } from "./policy.ts";
import { shownTo } from "./record.ts";
import type { Room } from "./room.ts";
import { baseOf, showBase } from "./snapshots.ts";
import type { LogFilter } from "./store/rows.ts";
import type { Store } from "./store.ts";
import {
  type Json,
  type JsonObject,
  type LogRecord,
  RECORD_KINDS,
  type RecordKind,
  type Write,
} from "./types.ts";

/** A record as its reader sees it. */
export function showRecord(
  room: Room,
  acting: Acting,
  record: LogRecord,
  proof = false,
): JsonObject {
  return shownTo(record, {
    // A verdict is a public word.
    own: record.kind === "verdict" || acting.isAdmin && !acting.isBorrowed ||
      (acting.agent !== "" && record.agent === acting.agent),
    canRead: (scope) => canReadScope(room, acting.agent, acting.seesAll, scope),
  }, proof);
}

/** The kinds of records that words name. Throws `invalid_argument` for one that is none. */
export function recordKinds(words: readonly string[]): readonly RecordKind[] {
  return words.map((word) => {
    const kind = RECORD_KINDS.find((known) => known === word);
    if (kind === undefined) {
      throw invalid("kind", `${RECORD_KINDS.join(", ")} are wanted`, "invoke");
    }
    return kind;
  });
}

/** A page of the log; the scope `self` is the caller's own. */
export async function readLogPage(
  store: Store,
  hot: HotRoom,
  acting: Acting,
  asked: LogFilter,
  upTo: number,
  proof: boolean,
): Promise<JsonObject> {
  const { room } = hot;
  const filter = asked.scope === undefined
    ? asked
    : { ...asked, scope: ownScope(asked.scope, acting.agent, "scope") };
  const limit = filter.limit ?? AUDIT_RECORDS;
  mustReadScope(room, acting, filter.scope);
  const { records: page, isMore } = await store.readPage(room.uid, { ...filter, limit, upTo });
  const total = await store.countLog(room.uid, { ...countable(filter), upTo });
  const last = page.at(-1);
  return {
    records: page.map((record) => showRecord(room, acting, record, proof)),
    head: upTo,
    ...(room.base === null ? {} : { base: showBase(baseOf(room)) }),
    total,
    returned: page.length,
    ...(isMore && last ? { next_after: last.seq } : {}),
  };
}

function countable({ after: _after, limit: _limit, ...filter }: LogFilter): LogFilter {
  return filter;
}

function mustReadScope(room: Room, acting: Acting, scope: string | undefined): void {
  if (scope === undefined || canReadScope(room, acting.agent, acting.seesAll, scope)) return;
  throw new SyncError("scope_denied", `The caller may not read the scope "${scope}".`, { scope });
}

/** Which writes of a scope: to a key or a prefix's keys, a page after a record or before one. */
export interface HistoryWanted {
  readonly scope: string;
  readonly key?: string;
  readonly prefix?: string;
  readonly after?: number;
  readonly before?: number;
  readonly limit: number;
}

/** The writes to a key, or to the keys of a prefix, oldest first. */
export async function readHistory(
  store: Store,
  hot: HotRoom,
  acting: Acting,
  wanted: HistoryWanted,
  upTo: number,
): Promise<JsonObject> {
  const { room } = hot;
  mustNameReader(acting, wanted.scope);
  const scope = ownScope(wanted.scope, acting.agent, "scope");
  mustReadScope(room, acting, scope);
  const { key, prefix, after, before, limit } = wanted;
  const filter: LogFilter = {
    scope,
    ...(key === undefined ? {} : { key }),
    ...(prefix === undefined ? {} : { prefix }),
  };
  const { records: page, isMore } = await store.readPage(room.uid, {
    ...filter,
    ...(after === undefined ? {} : { after }),
    ...(before === undefined ? {} : { before, newestFirst: true }),
    limit,
    upTo,
  });
  const edge = page.at(-1);
  if (before !== undefined) page.reverse();
  const total = await store.countLog(room.uid, { ...filter, upTo });
  const fits = (write: Write): boolean =>
    write.scope === scope &&
    (key === undefined ? write.key.startsWith(prefix ?? "") : write.key === key);
  const entries = page.flatMap((record) =>
    (record.writes ?? []).filter(fits).map((write): JsonObject => ({
      seq: record.seq,
      ts: record.ts,
      agent: record.agent,
      action: record.action ?? record.kind,
      ...(key === undefined ? { key: write.key } : {}),
      op: write.op,
      value: write.value,
      revision: write.revision,
      version: write.version,
    }))
  );
  return {
    scope: wanted.scope,
    ...(key === undefined ? { prefix: prefix ?? "" } : { key }),
    entries,
    total,
    returned: page.length,
    ...(isMore && edge ? { [before === undefined ? "next_after" : "next_before"]: edge.seq } : {}),
  };
}

/** What `include=_audit` adds: the newest records, as many as fit, by seq. */
export async function auditScope(
  store: Store,
  hot: HotRoom,
  acting: Acting,
  upTo: number,
): Promise<JsonObject> {
  const records = await store.readLog(hot.room.uid, {
    upTo,
    limit: AUDIT_RECORDS,
    newestFirst: true,
  });
  const scope: JsonObject = {};
  for (const record of records.reverse()) {
    scope[String(record.seq)] = showRecord(hot.room, acting, record);
  }
  return scope;
}

/** Says in a reply that shows the newest records how many there are, and where the others are. */
export function tellAudit(body: JsonObject, room: Room, upTo: number, returned: number): void {
  const total = upTo - (baseOf(room)?.seq ?? 0);
  (body["_shaping"] as JsonObject)["audit"] = { total, returned, rest: `/rooms/${room.id}/log` };
}

/** Invocations in the form of messages, for readers that ask for them by kind. */
export async function invocationMessages(
  store: Store,
  hot: HotRoom,
  acting: Acting,
  query: ContextQuery,
  upTo: number,
): Promise<JsonObject> {
  const { after, limit, from } = query.messages;
  const filter: LogFilter = {
    kinds: ["invoke"],
    upTo,
    ...(from === undefined ? {} : { agent: from === "self" ? acting.agent : from }),
  };
  const isForward = after !== undefined;
  const { records: page, isMore } = await store.readPage(hot.room.uid, {
    ...filter,
    ...(isForward ? { after } : { newestFirst: true }),
    limit,
  });
  if (!isForward) page.reverse();
  const recent = page.map((record) => invocationMessage(hot.room, acting, record));
  const last = page.at(-1);
  const total = await store.countLog(hot.room.uid, filter);
  return {
    recent,
    total,
    returned: recent.length,
    ...(isForward && isMore && last ? { next_after: last.seq } : {}),
    ...(!isForward && total > recent.length ? { earlier: earlier(total - recent.length, 0) } : {}),
  };
}

function invocationMessage(room: Room, acting: Acting, record: LogRecord): JsonObject {
  const shown = showRecord(room, acting, record);
  const params = shown["params"] as JsonObject | undefined;
  const isHidden = params !== undefined && typeof params["hidden"] === "string";
  const given = params && !isHidden
    ? Object.entries(params).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ")
    : "";
  return {
    seq: record.seq,
    ts: record.ts,
    from: record.agent,
    kind: "action_invocation",
    body: `${record.action}(${given})`,
    action: record.action ?? null,
    ...(params === undefined ? {} : { params }),
    ...(shown["writes"] === undefined ? {} : { writes: shown["writes"] }),
  };
}

/** The first entry in which two rooms differ, as `scope.key`. */
export function firstDifference(a: Room, b: Room): string | undefined {
  const rowsA = rowsOf(a), rowsB = rowsOf(b);
  for (const [cell, row] of rowsA) {
    const other = rowsB.get(cell);
    if (!other || other.value !== row.value || sortedMeta(other.meta) !== sortedMeta(row.meta)) {
      return `${row.scope}.${row.key}`;
    }
  }
  for (const [cell, row] of rowsB) if (!rowsA.has(cell)) return `${row.scope}.${row.key}`;
  return undefined;
}

function sortedMeta(text: string): string {
  const sort = (value: Json): Json => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map(sort);
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sort(value[key]!)]));
  };
  return JSON.stringify(sort(JSON.parse(text) as Json));
}

/** Does a context take something from the log? */
export function takesLog({ include, messages }: ContextQuery): boolean {
  return include.has("_audit") || messages.kinds?.has(INVOCATIONS) === true;
}

/** Adds to a context what takes the log: the audit scope, and invocations asked for as messages. */
export async function addFromLog(
  store: Store,
  found: { readonly hot: HotRoom; readonly acting: Acting; readonly seq: number },
  query: ContextQuery,
  body: JsonObject,
): Promise<void> {
  const { hot, acting, seq } = found;
  const isAudited = query.include.has("_audit") && body["state"] !== undefined;
  if (isAudited) {
    const shown = await auditScope(store, hot, acting, seq);
    (body["state"] as JsonObject)["_audit"] = shown;
    tellAudit(body, hot.room, seq, Object.keys(shown).length);
  }
  const isInvoked = query.messages.kinds?.has(INVOCATIONS) === true &&
    body["messages"] !== undefined;
  if (isInvoked) {
    const shown = await invocationMessages(store, hot, acting, query, seq);
    Object.assign(body["messages"] as JsonObject, shown);
  }
  if (query.budget !== undefined && (isAudited || isInvoked)) {
    const page = query.messages.after === undefined ? "newest" : "ascending";
    cutToBudget(body, query.budget, isInvoked ? page : "none");
  }
}
