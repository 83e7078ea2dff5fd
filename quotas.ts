/**
 * What one user, room or agent may take of a service that many share: a refusal says which quota,
 * how much is used, and what to do. The clock is passed in; every quota is an option, 0 is off.
 */
import type { QuotaConfig } from "./config.ts";
import type { Room } from "./room.ts";
import { SyncError } from "./errors.ts";
import { counters } from "./meters.ts";
import type { Principal } from "./policy.ts";
import { RateLimiter } from "./rates.ts";
import type { Draft, Millis } from "./types.ts";

/** The quotas by name, as refusals and metrics have them. */
export const QUOTAS = [
  "user_rooms",
  "room_writes",
  "agent_messages",
  "user_waits",
  "user_streams",
] as const;
/** One of them. */
export type Quota = typeof QUOTAS[number];

/** What is held open. */
export type Held = "user_waits" | "user_streams";

const NOTHING = (): void => undefined;

/** How soon to come back where nobody knows when something will be let go. */
const HELD_RETRY_S = 5;

/** The quotas of a service. */
export class Quotas {
  /** Refusals by quota. */
  readonly refused = counters("quota").with(...QUOTAS);
  readonly #writes: RateLimiter;
  readonly #messages: RateLimiter;
  readonly #held = new Map<string, number>();

  constructor(private readonly config: QuotaConfig) {
    this.#writes = new RateLimiter(config.roomWrites);
    this.#messages = new RateLimiter(config.agentMessages);
  }

  /**
   * Takes what a record costs its room and its writer; the answer gives it back, for a record that
   * did not become durable. Throws `quota_exceeded`.
   */
  takeRecord(room: Room, draft: Draft, now: Millis): () => void {
    const { roomWrites, agentMessages } = this.config;
    if ((roomWrites <= 0 && agentMessages <= 0) || isKeepingOrder(draft)) return NOTHING;
    const messages = draft.action === "_send_message" ? `${room.uid} ${draft.agent}` : undefined;
    if (messages !== undefined) this.takeMinute(this.#messages, "agent_messages", messages, now);
    try {
      this.takeMinute(this.#writes, "room_writes", room.uid, now);
    } catch (error) {
      if (messages !== undefined) this.#messages.giveBack(messages);
      throw error;
    }
    return () => {
      this.#writes.giveBack(room.uid);
      if (messages !== undefined) this.#messages.giveBack(messages);
    };
  }

  private takeMinute(limiter: RateLimiter, quota: Quota, key: string, now: Millis): void {
    const seconds = limiter.tryTake(key, now);
    if (seconds === undefined) return;
    const limit = limiter.perMinute;
    throw this.exceeded(quota, { limit, used: limit, per: "minute" }, seconds);
  }

  /** Holds something open for a user until the answer is called. Throws `quota_exceeded`. */
  hold(quota: Held, principal: Principal): () => void {
    const limit = quota === "user_waits" ? this.config.userWaits : this.config.userStreams;
    const holder = holderOf(principal);
    if (limit <= 0 || holder === undefined) return NOTHING;
    const key = `${quota} ${holder}`;
    const used = this.#held.get(key) ?? 0;
    if (used >= limit) throw this.exceeded(quota, { limit, used }, HELD_RETRY_S);
    this.#held.set(key, used + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = (this.#held.get(key) ?? 1) - 1;
      if (left > 0) this.#held.set(key, left);
      else this.#held.delete(key);
    };
  }

  /**
   * Runs the making of a room for its owner, who has `owned()` of them. Throws `quota_exceeded`.
   */
  async makingRoom<T>(
    principal: Principal,
    owned: (userId: string) => Promise<number>,
    make: () => Promise<T>,
  ): Promise<T> {
    const limit = this.config.userRooms;
    const { user } = principal;
    if (limit <= 0 || !user) return await make();
    const key = `making ${user.id}`;
    // Those under way count from before the others are counted: together they cannot pass.
    const making = (this.#held.get(key) ?? 0) + 1;
    this.#held.set(key, making);
    try {
      const used = await owned(user.id) + making - 1;
      if (used >= limit) throw this.exceeded("user_rooms", { limit, used });
      return await make();
    } finally {
      const left = (this.#held.get(key) ?? 1) - 1;
      if (left > 0) this.#held.set(key, left);
      else this.#held.delete(key);
    }
  }

  private exceeded(
    quota: Quota,
    facts: { readonly limit: number; readonly used: number; readonly per?: string },
    seconds?: number,
  ): SyncError {
    this.refused.of(quota).inc();
    const { message, hint } = WORDS[quota];
    return new SyncError(
      "quota_exceeded",
      message(facts.limit),
      { quota, ...facts, ...(seconds === undefined ? {} : { retry_after: seconds }), hint },
      seconds === undefined ? {} : { "Retry-After": String(seconds) },
    );
  }
}

/** Settings, leaving, and what an admin does to agents: who floods a room can always be stopped. */
function isKeepingOrder({ kind, agent }: Draft): boolean {
  return kind === "leave" || kind === "configure" || (kind === "agent" && agent === "admin");
}

/** Whose quota it is: the user's, else that of the token that all others were minted from. */
function holderOf({ user, lineage }: Principal): string | undefined {
  return user?.id ?? lineage.at(-1)?.id;
}

const WORDS: Readonly<
  Record<Quota, { readonly message: (limit: number) => string; readonly hint: string }>
> = {
  user_rooms: {
    message: (limit) => `A user owns at most ${limit} rooms on this server.`,
    hint: "Delete a room that is no longer needed, or ask the operator for more.",
  },
  room_writes: {
    message: (limit) => `A room takes at most ${limit} records a minute on this server.`,
    hint: "Wait as Retry-After says and repeat the call, with the same Idempotency-Key; " +
      "write several keys with one action.",
  },
  agent_messages: {
    message: (limit) => `An agent sends at most ${limit} messages a minute in a room.`,
    hint: "Wait as Retry-After says and repeat the call; say more in one message.",
  },
  user_waits: {
    message: (limit) => `A user holds at most ${limit} waits open at once.`,
    hint: "Let one end first, or wait for several things at once: `a || b`.",
  },
  user_streams: {
    message: (limit) => `A user holds at most ${limit} event streams open at once.`,
    hint: "Close one first; one stream of a room serves any number of readers.",
  },
};
