/** Requests on the wire: they arrive late, twice, or at a dead instance; replies get lost. */
import type { Answer } from "./ledger.ts";
import { sha256Of } from "./digest.ts";
import type { Instance } from "./instance.ts";
import type { World } from "./world.ts";

/** A request. */
export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly token?: string;
  readonly body?: unknown;
  readonly key?: string;
  /** Milliseconds after which the client gives up. */
  readonly patience?: number;
  /** Milliseconds after which the client goes away without waiting for an answer. */
  readonly vanishAfter?: number;
}

/** What came of it: an answer; nothing, with the service perhaps having acted; or never sent. */
export type Fetched = Answer | "lost" | "unsent";

const PATIENCE_MS = 15_000;
/** An instance that nothing has failed for this long owes every answer. */
const OWED_MS = 12_000;

/** Sends a request to an instance. */
export function request(world: World, to: Instance, ask: Ask): Promise<Fetched> {
  const { scheduler, random, faults, ledger } = world;
  const { promise, resolve } = Promise.withResolvers<Fetched>();
  const controller = new AbortController();
  const patience = ask.patience ?? PATIENCE_MS;
  let isOver = false, arrivedAt = 0;
  const cut = (): void => end("lost", 1);
  const end = (fetched: Fetched, ms: number): void => {
    if (isOver) return;
    isOver = true;
    to.open.delete(cut);
    scheduler.after(ms, "", `reply ${ask.method} ${ask.path}`, () => resolve(fetched));
  };
  const { life } = to;
  to.open.add(cut);
  const leave = (why: "gives up" | "goes away"): void => {
    if (isOver) return;
    const since = Math.max(arrivedAt, to.troubledAt);
    if (why === "gives up" && arrivedAt > 0 && scheduler.now - since > OWED_MS) {
      ledger.blame(`${ask.method} ${ask.path} was left hanging`);
    }
    if (to.life === life) {
      scheduler.after(0, to.owner, `client ${why}`, () => controller.abort());
    }
    end("lost", 0);
  };
  scheduler.after(world.faults.latency(""), to.owner, `${ask.method} ${ask.path}`, () => {
    const { service } = to;
    if (!service || to.isStopping || to.life !== life) return end("unsent", 1);
    arrivedAt = scheduler.now;
    void answer(world, service.fetch(requestOf(ask, controller.signal))).then((reply) => {
      scheduler.note(
        `  ${reply.status} at ${reply.seq} ${ask.method} ${ask.path} ${
          sha256Of(reply.text).slice(0, 12)
        }`,
      );
      world.witness(ask, reply);
      const isLost = !faults.isOver && random.chance(faults.climate.lostReply);
      end(isLost ? "lost" : reply, faults.latency(""));
    }, (error) => ledger.blame(`${ask.method} ${ask.path} was thrown at: ${error}`));
  });
  scheduler.after(patience, "", "patience", () => leave("gives up"));
  if (ask.vanishAfter !== undefined) {
    scheduler.after(ask.vanishAfter, "", "vanish", () => leave("goes away"));
  }
  // A dead instance takes nothing: its tasks are never run.
  if (!to.service) end("unsent", 1);
  return promise;
}

/** The request as the service gets it. */
export function requestOf(ask: Ask, signal: AbortSignal): Request {
  const headers: Record<string, string> = {};
  if (ask.token !== undefined) headers["Authorization"] = `Bearer ${ask.token}`;
  if (ask.key !== undefined) headers["Idempotency-Key"] = ask.key;
  if (ask.body !== undefined) headers["Content-Type"] = "application/json";
  const body = ask.body === undefined ? {} : { body: JSON.stringify(ask.body) };
  return new Request(`http://localhost:8787${ask.path}`, {
    method: ask.method,
    headers,
    signal,
    ...body,
  });
}

async function answer(world: World, responding: Promise<Response>): Promise<Answer> {
  const response = await responding;
  const text = await response.text();
  return {
    status: response.status,
    text,
    seq: Number(response.headers.get("X-Sync-Seq") ?? 0),
    isReplay: response.headers.get("Idempotent-Replayed") === "true",
    at: world.scheduler.now,
  };
}
