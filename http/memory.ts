/** Routes about a room's past and its possible futures: replay, diff, fork, simulate, review. */
import { addFromLog } from "../audit.ts";
import { mustNameReader } from "../auth.ts";
import type { Touched } from "../auth/touched.ts";
import { parseContextQuery, whole } from "../context/query.ts";
import { diff } from "../diff.ts";
import { invalid } from "../errors.ts";
import { exportLines } from "../export.ts";
import { fork } from "../fork.ts";
import { importRoom } from "../import.ts";
import { ownScope } from "../input.ts";
import { DIFF_LIMIT_DEFAULT, DIFF_LIMIT_MAX, SAMPLES_KEPT } from "../limits.ts";
import { replay } from "../replay.ts";
import { review } from "../review.ts";
import { showSamples } from "../samples.ts";
import { callerEyes, Sight } from "../sight.ts";
import { simulate } from "../simulate.ts";
import { didDocument } from "../signing.ts";
import { viewNotFound } from "../views.ts";
import type { JsonObject } from "../types.ts";
import { type Call, hideExistence, type Reply } from "./call.ts";
import type { Route } from "./routes.ts";

function seqOf(text: string | undefined, field: string, head: number): number {
  const value = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value <= head) return value;
  throw invalid(field, `a record's seq from 0 to ${head} is wanted`, head, { head });
}

async function replayAt(call: Call): Promise<Reply> {
  const query = parseContextQuery(call.query);
  const { hot, acting, seq: head } = await call.look("replay", () => undefined);
  const seq = seqOf(call.param("seq"), "seq", head);
  const { store } = call.deps;
  const body = await replay(store, hot.room, acting, seq, query, hot.actors);
  await addFromLog(store, { hot, acting, seq }, query, body);
  return { body, seq };
}

async function diffBetween(call: Call): Promise<Reply> {
  const { hot, acting, seq: head } = await call.look("diff", () => undefined);
  const from = seqOf(call.query("from")[0], "from", head);
  const to = seqOf(call.query("to")[0] ?? String(head), "to", head);
  const [scope] = call.query("scope"), [after] = call.query("after");
  if (scope !== undefined) mustNameReader(acting, scope);
  const body = await diff(call.deps.store, hot.room, acting, {
    from,
    to,
    limit: whole(call.query, "limit", 1, DIFF_LIMIT_MAX) ?? DIFF_LIMIT_DEFAULT,
    ...(scope === undefined ? {} : { scope: ownScope(scope, acting.agent, "scope") }),
    ...(after === undefined ? {} : { after }),
  });
  return { body, seq: head };
}

async function forkRoom(call: Call): Promise<Reply> {
  const { engine, auth, elevate } = call.deps;
  const principal = await call.principal();
  const raw = await call.json();
  try {
    const forget = (touched: Touched): void => auth.forget(touched);
    const body = await fork({ engine, principal, room: call.param("id"), elevate, forget }, raw);
    return { status: 201, body, seq: firstOwn(body) };
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

const WHOLE_LOG = ["after", "limit", "kind", "agent", "actor", "action", "scope", "key"] as const;

async function simulateSteps(call: Call): Promise<Reply> {
  const { engine, elevate } = call.deps;
  const principal = await call.principal();
  const raw = await call.json();
  try {
    return await simulate(
      { engine, principal, room: call.param("id"), agent: call.agent, elevate },
      raw,
    );
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

async function samples(call: Call): Promise<Reply> {
  const { store, memory } = call.deps;
  const id = call.param("view");
  const limit = whole(call.query, "limit", 1, SAMPLES_KEPT) ?? SAMPLES_KEPT;
  const { hot, seq } = await call.look("samples.read", ({ room, hot, now }, acting) => {
    const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
    if (!sight.entry("_views", id)) throw viewNotFound(sight, id);
  });
  await memory.samples.flush();
  return { body: await showSamples(store, hot.room.uid, id, limit), seq };
}

async function reviewVocabulary(call: Call): Promise<Reply> {
  const { value, seq } = await call.look("vocabulary", (moment, acting) => review(moment, acting));
  return { body: value, seq };
}

/** The whole log as JSON Lines, as far as the caller may read it. */
export async function exportLog(call: Call): Promise<Reply> {
  for (const name of WHOLE_LOG) {
    if (call.query(name).length > 0) {
      throw invalid(name, "format=jsonl exports the whole log, unfiltered");
    }
  }
  const { hot, acting, seq } = await call.look("export", () => undefined, null);
  const { store, engine, memory } = call.deps;
  const at = { now: engine.clock.now(), salt: engine.clock.nonce() };
  const lines = exportLines(store, hot, acting, seq, await memory.signer(), at);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let piece = "";
      while (piece.length < EXPORT_PIECE) {
        const { done, value } = await lines.next();
        if (done) break;
        piece += value;
      }
      if (piece === "") controller.close();
      else controller.enqueue(encoder.encode(piece));
    },
    cancel: async () => void await lines.return(undefined),
  });
  const headers = { "Content-Disposition": `attachment; filename="${hot.room.id}.jsonl"` };
  return { body: null, stream: { type: "application/jsonl; charset=utf-8", body }, seq, headers };
}

const EXPORT_PIECE = 65_536;

async function importOne(call: Call): Promise<Reply> {
  const { engine, auth, arrivals } = call.deps;
  const [id] = call.query("id");
  const body = await importRoom({
    engine,
    principal: await call.principal(),
    id,
    body: call.request.body ? arrivals.each(call.request.body) : emptyBody(),
    forget: (touched) => auth.forget(touched),
  });
  return { status: 201, body, seq: firstOwn(body) };
}

/** The first record that a fork or an import has of its own: the one behind where it goes on. */
function firstOwn({ at }: JsonObject): number {
  return (at as number) + 1;
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array();
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
  {
    method: "POST",
    path: "/rooms/:id/simulate",
    verb: "simulate",
    summary: "What some steps would come to, one after the other; nothing is kept.",
    handle: simulateSteps,
  },
  {
    method: "GET",
    path: "/rooms/:id/samples/:view",
    verb: "samples.read",
    summary: "A rendered view's values over time, at most one a second.",
    handle: samples,
  },
  {
    method: "GET",
    path: "/rooms/:id/vocabulary",
    verb: "vocabulary",
    summary: "A review of the room's actions, views and waits, with what to do about each finding.",
    handle: reviewVocabulary,
  },
  {
    method: "POST",
    path: "/rooms/import",
    verb: "open",
    summary: "A new room from an admin's export; only what verifies comes in.",
    handle: importOne,
  },
  {
    method: "GET",
    path: "/.well-known/did.json",
    verb: "open",
    summary: "The server's DID document: the key that its signatures are checked with.",
    handle: async (call) => {
      const { publicKey } = await call.deps.memory.signer();
      return { body: didDocument(call.deps.config.origin, publicKey) };
    },
  },
];
