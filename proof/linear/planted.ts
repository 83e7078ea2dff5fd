/**
 * `planted.ts <name>`: the service with a bug put in around it, to see that the checker finds it;
 * or with a fault beneath, to see that the service stands it. Never part of the service.
 */
import { readConfig } from "../../config.ts";
import { TailDropped } from "../../engine/hot.ts";
import { SyncError } from "../../errors.ts";
import { createService, type Service } from "../../main.ts";
import type { RoomCommit } from "../../store/rows.ts";

type Answer = (request: Request) => Promise<Response>;

/** The clients are at work: while their room is made, nothing is wrong. */
let isAtWork = false;

/** What can be put in. A fault is one that the service has to stand. */
interface Plant {
  readonly what: string;
  readonly isFault?: true;
  /** What has to be there for it to show. */
  readonly needs?: "a kill" | "two instances";
  readonly put: (service: Service, answer: Answer) => Answer;
}

const LATE_MS = 80;

function isTo(request: Request, action: string): boolean {
  return new URL(request.url).pathname.endsWith(`/actions/${action}/invoke`);
}

/** The same request to another action, with another body. */
async function redirected(
  request: Request,
  action: string,
  change: (params: Record<string, unknown>) => Record<string, unknown> = (params) => params,
): Promise<Request> {
  const url = request.url.replace(/\/actions\/[^/]+\//, `/actions/${action}/`);
  const { params, ...rest } = await request.json();
  const body = JSON.stringify({ ...rest, params: change(params) });
  return new Request(url, { method: "POST", headers: request.headers, body });
}

async function changed(
  response: Response,
  change: (body: Record<string, unknown>) => Record<string, unknown>,
  status = response.status,
): Promise<Response> {
  const text = JSON.stringify(change(await response.json()));
  return new Response(text, { status, headers: response.headers });
}

/** True once in `n` times. */
function oneIn(n: number): () => boolean {
  let count = 0;
  return () => ++count % n === 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Replies of success that turn into "nobody knows", one in eight. */
function cutReplies(answer: Answer): Answer {
  const isCut = oneIn(8);
  return async (request) => {
    const response = await answer(request);
    if (request.method !== "POST" || response.status >= 300 || !isCut()) return response;
    await response.body?.cancel();
    return Response.json({ error: "outcome_unknown" }, { status: 503 });
  };
}

/** Groups that the database refuses after a moment, one in ten. */
function failCommits({ store }: Service): void {
  const commit = store.commit.bind(store), isFailing = oneIn(10);
  store.commit = async (group) => {
    if (!isAtWork || !isFailing()) return await commit(group);
    await pause(20);
    const error = new SyncError("unavailable", "The disk is full, say.");
    return new Map(group.map(({ uid }) => [uid, error]));
  };
}

/** Reads a room that is in memory as it stands there. */
function readAsKnown({ engine }: Service): void {
  const read = engine.read.bind(engine);
  engine.read = async (id, look) => {
    const hot = [...engine.hotRooms].find(({ room, isDead }) => room.id === id && !isDead);
    if (!hot || !isAtWork) return await read(id, look);
    try {
      const value = look(engine.moment(hot));
      const seq = hot.room.head;
      await hot.whenDurable(seq);
      return { value, seq, hot };
    } catch (error) {
      if (error instanceof TailDropped) return await read(id, look);
      throw error;
    }
  };
}

/** What can be put in, by name. */
export const PLANTS: Readonly<Record<string, Plant>> = {
  "failing-commits": {
    what: "some groups are refused by the database",
    isFault: true,
    put: (service, answer) => {
      failCommits(service);
      return answer;
    },
  },
  "cut-replies": {
    what: "some replies of success never reach the client",
    isFault: true,
    put: (_service, answer) => cutReplies(answer),
  },
  "ack-first": {
    what: "replies leave before the records are in the database",
    needs: "a kill",
    put: ({ store }, answer) => {
      const commit = store.commit.bind(store);
      let last: Promise<unknown> = Promise.resolve();
      store.commit = (group: readonly RoomCommit[]) => {
        if (!isAtWork) return commit(group);
        last = last.then(() => pause(LATE_MS)).then(() => commit(group));
        return Promise.resolve(new Map(group.map(({ uid }) => [uid, true])));
      };
      return answer;
    },
  },
  "undone-read": {
    what: "reads show records that are not in the database yet, and some never get there",
    put: (service, answer) => {
      failCommits(service);
      const { engine } = service;
      engine.read = async (id, look) => {
        const hot = await engine.find(id);
        const value = look(engine.moment(hot));
        return { value, seq: hot.room.head, hot };
      };
      return answer;
    },
  },
  "stale-read": {
    what: "contexts come from a copy that may be a little old",
    put: (_service, answer) => {
      const isTime = oneIn(6);
      let copy: Response | undefined;
      return async (request) => {
        if (!request.url.includes("/context?")) return await answer(request);
        if (!copy || isTime()) copy = await answer(request);
        return copy.clone();
      };
    },
  },
  "short-delta": {
    what: "what changed is told from one record too late on",
    put: (_service, answer) => async (request) => {
      const url = request.url.replace(/(since=)(\d+)/, (_, is, n) => `${is}${Number(n) + 1}`);
      return await answer(url === request.url ? request : new Request(url, request));
    },
  },
  "stale-instance": {
    what: "a read does not ask what other instances have written",
    needs: "two instances",
    put: (service, answer) => {
      readAsKnown(service);
      // Looking for changed rights tells of what was written, too.
      service.deps.auth.refresh = () => Promise.resolve();
      return answer;
    },
  },
  "lost-update": {
    what: "an increment reads, and writes what it read plus one",
    put: ({ engine }, answer) => async (request) => {
      if (!isTo(request, "inc")) return await answer(request);
      const id = /\/rooms\/([^/]+)\//.exec(request.url)![1]!;
      const { room } = await engine.find(id);
      const put = await redirected(request, "put", (params) => {
        const { value } = room.get("_shared", String(params["key"])) ?? { value: 0 };
        return { ...params, value: Number(value) + 1 };
      });
      await pause(1);
      return await answer(put);
    },
  },
  "blind-swap": {
    what: "the version that a write expects is not looked at",
    put: (_service, answer) => async (request) =>
      await answer(isTo(request, "cas") ? await redirected(request, "put") : request),
  },
  "half-write": {
    what: "an action with two writes makes them one after the other",
    put: (_service, answer) => async (request) => {
      if (!isTo(request, "pair")) return await answer(request);
      const headers = new Headers(request.headers);
      headers.delete("Idempotency-Key");
      const first = new Request(request.clone(), { headers });
      await (await answer(
        await redirected(first, "put", (params) => ({ ...params, key: "right" })),
      ))
        .body?.cancel();
      await pause(1);
      return await answer(
        await redirected(request, "put", (params) => ({ ...params, key: "left" })),
      );
    },
  },
  "two-winners": {
    what: "a claim that came too late is told that it won",
    put: (_service, answer) => async (request) => {
      const response = await answer(request);
      if (response.status !== 409 || !isTo(request, "_claim_message")) return response;
      return await changed(response, ({ seq }) => ({ seq, fence: seq, claimed: true }), 200);
    },
  },
  "early-wait": {
    what: "a wait is answered one too early",
    put: (_service, answer) => async (request) => {
      const url = request.url.replace(/(%3E%3D%20)(\d+)/, (_, is, n) => `${is}${n - 1}`);
      return await answer(url === request.url ? request : new Request(url, request));
    },
  },
  "missed-wait": {
    what: "a wait whose condition holds says that its time was up, one in two",
    put: (_service, answer) => {
      const isMissed = oneIn(2);
      return async (request) => {
        const response = await answer(request);
        if (!request.url.includes("/wait?") || response.status !== 200 || !isMissed()) {
          return response;
        }
        return await changed(response, (body) => ({ ...body, triggered: false, timeout: true }));
      };
    },
  },
  "forgotten-key": {
    what: "a repeat with the same Idempotency-Key is carried out again",
    put: (_service, answer) => {
      const forgetful: Answer = (request) => {
        const headers = new Headers(request.headers);
        headers.delete("Idempotency-Key");
        return answer(new Request(request, { headers }));
      };
      return cutReplies(forgetful);
    },
  },
};

if (import.meta.main) {
  const plant = PLANTS[Deno.args[0] ?? ""];
  if (!plant) throw new Error(`one of these is wanted: ${Object.keys(PLANTS).join(", ")}`);
  const service = await createService({ config: readConfig((name) => Deno.env.get(name)) });
  const planted = plant.put(service, service.fetch);
  const answer: Answer = (request) => {
    isAtWork ||= request.headers.has("Idempotency-Key");
    return isAtWork ? planted(request) : service.fetch(request);
  };
  const onListen = ({ port }: Deno.NetAddr): void =>
    console.log(JSON.stringify({ message: "listening", port }));
  Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, answer);
}
