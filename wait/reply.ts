/** How a sleep ends, and what its reply says. */
import { addFromLog, takesLog } from "../audit.ts";
import type { Acting } from "../auth.ts";
import { buildContext, type Context } from "../context.ts";
import type { ContextQuery } from "../context/query.ts";
import { type HotRoom, TailDropped } from "../engine/hot.ts";
import type { Moment } from "../engine/types.ts";
import { SyncError } from "../errors.ts";
import { ROOM_WAITERS_MAX } from "../limits.ts";
import { cellOf } from "../room/changes.ts";
import { share } from "../context/text.ts";
import { scopeCell } from "../sight/memos.ts";
import type { Store } from "../store.ts";
import type { Json, JsonObject, LogRecord, Millis } from "../types.ts";
import type { Judgement } from "./index.ts";
import type { WaitQuery } from "./query.ts";

/** A condition that held, and the room as it was then. */
export interface Woken {
  readonly kind: "woken";
  readonly judgement: Judgement;
  readonly by: LogRecord | undefined;
  readonly context: Context;
  readonly hot: HotRoom;
  readonly seq: number;
}

/** The end of a sleep that nothing woke. */
export interface NotWoken {
  readonly kind: "timeout" | "closing" | "gone";
  /** What was hidden from the sleeper when it fell asleep. */
  readonly hidden?: Set<string> | undefined;
}

/** How a sleep ends. */
export type Wakeup =
  | Woken
  | NotWoken
  | { readonly kind: "failed"; readonly error: unknown };

/** A wake-up at a moment, with the context that its reply will carry. */
export function wokenAt(
  moment: Moment,
  acting: Acting,
  query: WaitQuery,
  judgement: Judgement,
  by: LogRecord | undefined,
): Woken {
  const context = buildContext(moment, acting, query.context);
  return { kind: "woken", judgement, by, context, hot: moment.hot, seq: moment.room.head };
}

/** The contexts of one moment: sleepers that ask alike and see alike share theirs. */
export class SharedContexts {
  readonly #contexts = new Map<ContextQuery, Map<string, Context>>();

  constructor(readonly moment: Moment) {}

  /** The context of a caller, made when it is the first of its kind. */
  of(acting: Acting, query: ContextQuery): Context {
    const alike = this.#contexts.get(query) ?? new Map<string, Context>();
    this.#contexts.set(query, alike);
    const eyes = JSON.stringify([
      acting.agent,
      acting.seesAll,
      acting.isAdmin,
      acting.isBorrowed,
      acting.access.level,
    ]);
    let context = alike.get(eyes);
    if (!context) {
      context = buildContext(this.moment, acting, query);
      share(context.body);
      for (const section of Object.values(context.body)) if (isObject(section)) share(section);
      alike.set(eyes, context);
    }
    return context;
  }
}

function isObject(json: Json): json is JsonObject {
  return json !== null && typeof json === "object" && !Array.isArray(json);
}

/** A sleeper's wake-up; what goes wrong in making its context is its own failure. */
export function wakeUp(
  contexts: SharedContexts,
  { acting, query }: { readonly acting: Acting; readonly query: WaitQuery },
  judgement: Judgement,
  by: LogRecord | undefined,
): Wakeup {
  try {
    const { hot, room } = contexts.moment;
    const context = contexts.of(acting, query.context);
    return { kind: "woken", judgement, by, context, hot, seq: room.head };
  } catch (error) {
    return { kind: "failed", error };
  }
}

/** The newest record that wrote something the condition reads; else the newest of all. */
export function newestBehind(
  records: readonly LogRecord[],
  cells: readonly string[],
): LogRecord | undefined {
  const read = new Set(cells);
  const wrote = ({ writes }: LogRecord): boolean =>
    (writes ?? []).some(({ scope, key }) =>
      read.has(cellOf(scope, key)) || read.has(scopeCell(scope))
    );
  return records.findLast(wrote) ?? records.at(-1);
}

/** The reply's own members when the condition held. */
export function wokenReply(
  { judgement, by, seq }: Woken,
  query: WaitQuery,
  waited: Millis,
): JsonObject {
  return {
    triggered: true,
    condition: query.condition ?? null,
    value: judgement.value,
    seq,
    waited_ms: waited,
    ...(by ? { woken_by: { seq: by.seq, agent: by.agent, action: by.action ?? by.kind } } : {}),
  };
}

/** The context under `context`, or the sections that were asked for, with what takes the log. */
export async function contextMembers(
  { body }: Context,
  query: WaitQuery,
  store: Store,
  { hot, seq, acting }: Pick<Woken, "hot" | "seq"> & { acting(): Acting },
): Promise<JsonObject> {
  let shown = body;
  if (takesLog(query.context)) {
    // Others that slept on the same may have it, too.
    shown = structuredClone(body);
    await addFromLog(store, { hot, seq, acting: acting() }, query.context, shown);
  }
  if (!query.isInSections) return { context: shown };
  const { seq: _seq, ...sections } = shown;
  return sections;
}

/**
 * Did what was seen become durable? A turn later whoever wrote it has said, too, whose rights it
 * ended: no answer leaves with those of before.
 */
export async function hasLasted({ hot, seq }: Woken): Promise<boolean> {
  try {
    await hot.whenDurable(seq);
  } catch (error) {
    if (error instanceof TailDropped) return false;
    throw error;
  }
  await nextTurn();
  return true;
}

let turn: Promise<void> | undefined;

/** The next turn of the event loop, the same one for all who ask in this one. */
function nextTurn(): Promise<void> {
  return turn ??= new Promise((resolve) =>
    setImmediate(() => {
      turn = undefined;
      resolve();
    })
  );
}

/** `429 rate_limited`: the room's waiters are too many. */
export function tooManyWaiters(): SyncError {
  return new SyncError("rate_limited", `A room takes at most ${ROOM_WAITERS_MAX} waits at once.`, {
    limit: ROOM_WAITERS_MAX,
  }, { "Retry-After": "5" });
}
