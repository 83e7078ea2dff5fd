/** Tools that read a room: context, wait, help, evaluation, history. */
import { z } from "zod";
import { addFromLog, readHistory, readLogPage, recordKinds } from "../../audit.ts";
import { buildContext, moveCursors } from "../../context.ts";
import { fromJson, parseContextQuery, wordsOf } from "../../context/query.ts";
import { evalBody, evaluateFor } from "../../eval.ts";
import { readHelp } from "../../help.ts";
import { jsonObject } from "../../input.ts";
import { LOG_LIMIT_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX } from "../../limits.ts";
import { callerEyes, Sight } from "../../sight.ts";
import type { LogFilter } from "../../store/rows.ts";
import type { JsonObject } from "../../types.ts";
import { type Progress, READS, type Tool, type ToolCall } from "../call.ts";
import { anything, contextShape, count, inRoom, room, WORDS, words } from "../shapes.ts";

/** Tokens of a context that names no budget. */
export const CONTEXT_TOKENS_DEFAULT = 4_000;
/** Records of a history that names no limit. */
const HISTORY_LIMIT_DEFAULT = 30;
/** Milliseconds between two signs that a wait goes on. */
const PROGRESS_MS = 5_000;

const flag = z.boolean().optional();
const text = z.string().optional();
const contextInput = {
  depth: z.enum(["lean", "full", "usage"]).optional(),
  only: words,
  include: words,
  expand: words,
  elision: z.enum(["auto", "none"]).optional(),
  since: count.optional(),
  budget: count.optional(),
};
const CONTEXT_TOLD = {
  only: { ...WORDS, description: "state, views, agents, actions, messages, state.<scope>" },
  include: { ...WORDS, description: "_audit or other _scopes" },
  expand: { ...WORDS, description: "elided entries to show: scope.key, scope.*" },
  since: "only what changed after this seq",
  budget: `tokens; ${CONTEXT_TOKENS_DEFAULT} unless told`,
};

/** The context as the caller sees it, within the default budget. */
export async function readContext(
  call: ToolCall,
  room: string,
  agent: string | undefined,
  parameters: JsonObject,
): Promise<{ body: JsonObject; seq: number }> {
  const { engine, store, clock } = call.deps;
  const query = parseContextQuery(fromJson({ budget: CONTEXT_TOKENS_DEFAULT, ...parameters }));
  const found = await call.look(
    room,
    "context.read",
    agent,
    (moment, acting) => buildContext(moment, acting, query),
  );
  await addFromLog(store, found, query, found.value.body);
  moveCursors(engine, found.hot, found.value.cursors, clock.now());
  return { body: found.value.body, seq: found.seq };
}

async function wait(call: ToolCall, args: JsonObject): Promise<JsonObject> {
  const { room, agent, ...parameters } = args;
  const timeout = typeof args["timeout"] === "number" ? args["timeout"] : WAIT_MS_DEFAULT;
  const condition = typeof args["condition"] === "string" ? args["condition"] : "any change";
  const stop = call.progress && reportWaiting(call, call.progress, timeout, condition);
  try {
    const { body } = await call.deps.waits.wait({
      principal: call.principal,
      room: room as string,
      agent: agent as string | undefined,
      parameters: fromJson({ budget: CONTEXT_TOKENS_DEFAULT, ...parameters }),
      elevate: call.deps.elevate,
      signal: call.signal,
    });
    call.isAlive = true;
    return body;
  } finally {
    stop?.();
  }
}

/** Tells every few seconds that the wait goes on; the answer stops it. */
function reportWaiting(
  call: ToolCall,
  progress: Progress,
  timeout: number,
  condition: string,
): () => void {
  const { clock } = call.deps;
  const started = clock.now();
  let cancel = (): void => undefined;
  const report = (): void => {
    const waited = Math.min(clock.now() - started, timeout);
    // A client that has gone is noticed by the wait itself, through its signal.
    void progress(waited, timeout, `waiting on ${condition}`).catch(() => undefined);
    cancel = clock.after(PROGRESS_MS, report);
  };
  report();
  return () => cancel();
}

async function help(call: ToolCall, args: JsonObject): Promise<JsonObject> {
  const { room, agent, key } = args as Record<string, string | undefined>;
  const { value } = await call.look(room!, "help", agent, (moment, acting) => {
    const { hot, room, now } = moment;
    const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
    return readHelp(moment, sight, key);
  });
  return value;
}

async function evaluate(call: ToolCall, args: JsonObject): Promise<JsonObject> {
  const { room, agent, ...body } = args;
  const { value } = await call.look(
    room as string,
    "eval",
    agent as string | undefined,
    (moment, acting) => evaluateFor(moment, acting, body),
  );
  return value;
}

const look = (): undefined => undefined;

/** The writes to a key, a prefix or a scope; without a scope the log itself. */
async function history(call: ToolCall, args: JsonObject): Promise<JsonObject> {
  const { room, agent, scope, key, prefix, after, kind, limit = HISTORY_LIMIT_DEFAULT, ...rest } =
    args;
  const page = {
    limit: limit as number,
    ...(after === undefined ? {} : { after: after as number }),
  };
  const { store } = call.deps;
  if (scope === undefined) {
    // Of the log `agent` is a filter; the reader is whoever the token stands for.
    const kinds = recordKinds(wordsOf(fromJson({ kind: kind ?? null }), "kind"));
    const filter = { ...rest, ...(agent === undefined ? {} : { agent }), ...page };
    const wanted = { ...filter, ...(kinds.length === 0 ? {} : { kinds }) } as LogFilter;
    const { hot, acting, seq } = await call.look(room as string, "log.read", undefined, look);
    return await readLogPage(store, hot, acting, wanted, seq, false);
  }
  const reader = agent as string | undefined;
  const { hot, acting, seq } = await call.look(room as string, "history.read", reader, look);
  const which = key === undefined ? { prefix: (prefix ?? "") as string } : { key: key as string };
  return await readHistory(store, hot, acting, { scope: scope as string, ...which, ...page }, seq);
}

/** The tools. */
export const READING_TOOLS: readonly Tool[] = [
  {
    name: "sync_read_context",
    title: "Read the room",
    description:
      "Read a room as your agent sees it, most salient first, within a token budget: state, views, agents, " +
      "actions you can invoke now, messages. Needs no embodiment. Entries are {value, _meta}; pass seq back as since.",
    verb: "context.read",
    annotations: READS,
    input: z.strictObject({
      ...inRoom,
      ...contextInput,
      actions: flag,
      messages: flag,
      messages_after: count.optional(),
      messages_limit: count.optional(),
      messages_kind: text,
      messages_from: text,
      messages_to: text,
      messages_thread: count.optional(),
      messages_unclaimed: flag,
      expand_params: flag,
      shape: z.enum(["wrapped", "plain"]).optional(),
      focus_threshold: z.number().optional(),
      elide_threshold: z.number().optional(),
      explain: flag,
      peek: flag,
    }),
    told: { ...CONTEXT_TOLD, peek: "do not mark as read" },
    output: z.looseObject(contextShape),
    run: async (call, { room, agent, ...parameters }) =>
      (await readContext(call, room as string, agent as string | undefined, parameters)).body,
  },
  {
    name: "sync_wait",
    title: "Wait for a change",
    description:
      "Wait until a CEL condition holds, or (without one) anything changes. Answers within the timeout: " +
      "triggered:false means nothing yet; call again with since = the seq you got, so that nothing is missed.",
    verb: "wait",
    isLong: true,
    annotations: READS,
    input: z.strictObject({
      ...inRoom,
      condition: text,
      timeout: count.min(0).max(WAIT_MS_MAX).optional(),
      ...contextInput,
    }),
    told: {
      ...CONTEXT_TOLD,
      condition: "CEL, e.g. state._shared.phase.value == 'done' or messages.directed_unread > 0",
      timeout: `ms; ${WAIT_MS_DEFAULT} unless told, at most ${WAIT_MS_MAX}`,
      since: "seq of your last read: any later change counts",
      include: { ...WORDS, description: "sections instead of the whole context" },
    },
    output: z.looseObject({
      triggered: z.boolean(),
      timeout: flag,
      seq: count,
      stalled: jsonObject.optional(),
      context: jsonObject.optional(),
    }),
    run: wait,
  },
  {
    name: "sync_help",
    title: "Read help",
    description:
      "Guidance by key; without one, the keys. Start with guide, or vocabulary_bootstrap in an empty room.",
    verb: "help",
    annotations: READS,
    input: z.strictObject({ ...inRoom, key: text }),
    output: z.looseObject({ keys: z.array(z.string()).optional(), content: anything.optional() }),
    run: help,
  },
  {
    name: "sync_eval_cel",
    title: "Evaluate CEL",
    description:
      "Evaluate a CEL expression with your eyes, to look or to try a condition before you use it.",
    verb: "eval",
    annotations: READS,
    input: evalBody.extend(inRoom),
    told: { params: "values for params.*" },
    output: z.looseObject({ expression: z.string(), value: anything.optional(), type: z.string() }),
    run: evaluate,
  },
  {
    name: "sync_history",
    title: "Read history",
    description:
      "Who wrote what, oldest first: of a scope's key or prefix (actions: scope _actions), or without a scope " +
      "the room's log. Page with after = next_after.",
    verb: "log.read",
    annotations: READS,
    input: z.strictObject({
      room,
      scope: text,
      key: text,
      prefix: text,
      after: count.min(0).optional(),
      limit: count.min(1).max(LOG_LIMIT_MAX).optional(),
      kind: text,
      agent: text,
      action: text,
    }),
    told: {
      kind: "log: invoke, message, claim, join, …",
      agent: "log: whose records; else who reads",
    },
    output: z.looseObject({
      entries: z.array(jsonObject).optional(),
      records: z.array(jsonObject).optional(),
      next_after: count.optional(),
    }),
    run: history,
  },
];
