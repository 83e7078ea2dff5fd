/** Routes that read: context, wait, poll, eval, salience, help. */
import { addFromLog, auditScope, tellAudit } from "../audit.ts";
import { buildContext, moveCursors, showSalience } from "../context.ts";
import {
  CONTEXT_PARAMETERS,
  fromJson,
  type Parameters,
  parseContextQuery,
  whole,
} from "../context/query.ts";
import { invalid } from "../errors.ts";
import { evaluateFor } from "../eval.ts";
import { readHelp } from "../help.ts";
import { poll } from "../poll.ts";
import { callerEyes, Sight } from "../sight.ts";
import type { Json, JsonObject } from "../types.ts";
import { type Call, hideExistence, type Reply } from "./call.ts";
import type { Route } from "./routes.ts";

async function context(call: Call): Promise<Reply> {
  const query = parseContextQuery(call.query);
  const found = await call.look(
    "context.read",
    (moment, acting) => buildContext(moment, acting, query),
  );
  const { engine, store } = call.deps;
  await addFromLog(store, found, query, found.value.body);
  moveCursors(engine, found.hot, found.value.cursors, engine.clock.now());
  return { body: found.value.body, seq: found.seq };
}

async function wait(call: Call, body?: JsonObject): Promise<Reply> {
  const principal = await call.principal();
  const agent = agentNamed(call, body);
  try {
    const answer = call.deps.waits.wait({
      principal,
      room: call.param("id"),
      agent,
      parameters: body ? bodyOver(body, call.query) : call.query,
      elevate: call.deps.elevate,
      signal: call.request.signal,
    });
    call.release();
    const reply = await answer;
    call.isAlive = true;
    return reply;
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

/** The agent that the body names, else the query. Throws `invalid_argument` for what is no id. */
function agentNamed(call: Call, body: Json | undefined): string | undefined {
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  const named = (isObject ? body["agent"] : undefined) ?? call.agent;
  if (named !== undefined && typeof named !== "string") {
    throw invalid("agent", "an agent's id is wanted", "alice");
  }
  return named;
}

/** Parameters from a body, and from the query where the body does not have them. */
function bodyOver(body: JsonObject, query: Parameters): Parameters {
  const members = Object.keys(body);
  if (members.length === 0) return query;
  const inBody = fromJson(body);
  return (name) => members.includes(name) ? inBody(name) : query(name);
}

const WAIT_MEMBERS: ReadonlySet<string> = new Set(["condition", "timeout", ...CONTEXT_PARAMETERS]);

async function postWait(call: Call): Promise<Reply> {
  const body = await call.json();
  if (body === null || typeof body !== "object" || Array.isArray(body)) {
    throw invalid("body", "a JSON object is wanted", {
      condition: "state._shared.turn.value > 3",
      timeout: 25000,
    });
  }
  const unknown = Object.keys(body).find((name) => !WAIT_MEMBERS.has(name));
  if (unknown !== undefined) {
    throw invalid(unknown, "this member is not known here", {
      condition: "state._shared.turn.value > 3",
    });
  }
  return await wait(call, body);
}

async function events(call: Call): Promise<Reply> {
  const principal = await call.principal();
  const resumed = call.request.headers.get("last-event-id") ?? "";
  // A client that comes back repeats its URL: the header tells how far it has come since.
  const from = [
    whole(call.query, "after", 0, Number.MAX_SAFE_INTEGER),
    whole(() => [resumed], "Last-Event-ID", 0, Number.MAX_SAFE_INTEGER),
  ].filter((seq) => seq !== undefined);
  const after = from.length > 0 ? Math.max(...from) : undefined;
  const { deps, agent, request } = call;
  try {
    const room = call.param("id");
    const { elevate } = deps;
    const { body, seq } = await deps.streams.subscribe({
      principal,
      room,
      agent,
      after,
      elevate,
      signal: request.signal,
    });
    call.isAlive = true;
    return { body: null, stream: { type: "text/event-stream", body }, seq };
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

async function evaluate(call: Call): Promise<Reply> {
  const body = await call.json();
  const { value, seq } = await call.look(
    "eval",
    (moment, acting) => evaluateFor(moment, acting, body),
    agentNamed(call, body),
  );
  return { body: value, seq };
}

async function help(call: Call, key: string | undefined): Promise<Reply> {
  const { value, seq } = await call.look("help", (moment, acting) => {
    const { hot, room, now } = moment;
    return readHelp(
      moment,
      new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now),
      key,
    );
  });
  return { body: value, seq };
}

/** The routes. */
export const READ_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/rooms/:id/context",
    verb: "context.read",
    summary: "Read the room, shaped by salience.",
    handle: context,
  },
  {
    method: "GET",
    path: "/rooms/:id/wait",
    verb: "wait",
    summary: "Block until a condition holds, or something changes.",
    handle: (call) => wait(call),
  },
  {
    method: "POST",
    path: "/rooms/:id/wait",
    verb: "wait",
    summary: "The same, with the parameters as JSON.",
    handle: postWait,
  },
  {
    method: "GET",
    path: "/rooms/:id/events",
    verb: "events",
    summary: "Follow the room as server-sent events, from any record on.",
    handle: events,
  },
  {
    method: "GET",
    path: "/rooms/:id/poll",
    verb: "poll",
    summary: "Everything a dashboard shows, in one call.",
    handle: async (call) => {
      const query = parseContextQuery(call.query);
      const found = await call.look("poll", (moment, acting) => poll(moment, acting, query));
      const shown = await auditScope(call.deps.store, found.hot, found.acting, found.seq);
      const audit = Object.values(shown).reverse();
      const body = { ...found.value, audit };
      tellAudit(body, found.hot.room, found.seq, audit.length);
      return { body, seq: found.seq };
    },
  },
  {
    method: "POST",
    path: "/rooms/:id/eval",
    verb: "eval",
    summary: "Evaluate a CEL expression with the caller's eyes.",
    handle: evaluate,
  },
  {
    method: "GET",
    path: "/rooms/:id/salience",
    verb: "salience.read",
    summary: "What matters to the reader, most salient first, with the signals.",
    handle: async (call) => {
      const limit = whole(call.query, "limit", 1, 10_000) ?? 50;
      const { value, seq } = await call.look(
        "salience.read",
        (moment, acting) => showSalience(moment, acting, limit),
      );
      return { body: value, seq };
    },
  },
  {
    method: "GET",
    path: "/rooms/:id/help",
    verb: "help",
    summary: "The keys of the room's help.",
    handle: (call) => help(call, undefined),
  },
  {
    method: "GET",
    path: "/rooms/:id/help/:key",
    verb: "help",
    summary: "One help text, with the version that overriding it takes.",
    handle: (call) => help(call, call.param("key")),
  },
];
