/** What every identity route has at hand: the dependencies, and the rate limits of its doors. */
import type { Context } from "hono";
import type { Config } from "../config.ts";
import { type Counter, counters, type Family } from "../meters.ts";
import { addressKey, RateLimiter } from "../rates.ts";
import type { IdentityDeps } from "./deps.ts";

/** Guesses a minute, per address and per person, at codes that people type. */
export const GUESSES_PER_MINUTE = 10;

/** The dependencies and the limits. */
export interface Doors extends IdentityDeps {
  readonly limits: DoorLimits;
}

/** Rate limits of the identity doors. Guessing is limited wherever the service listens. */
export class DoorLimits {
  private readonly addresses: RateLimiter;
  private readonly sessions: RateLimiter;
  private readonly guesses: RateLimiter;

  /** `refused` counts refusals, by limit. */
  constructor(
    config: Pick<Config, "rateLimitIp" | "rateLimitToken">,
    refused: Family<Counter> = counters("limit"),
  ) {
    const limiter = (perMinute: number, limit: string): RateLimiter =>
      new RateLimiter(perMinute, undefined, undefined, refused.of(limit));
    this.addresses = limiter(config.rateLimitIp, "address");
    this.sessions = limiter(config.rateLimitToken, "session");
    this.guesses = limiter(GUESSES_PER_MINUTE, "guess");
  }

  /** One request at a door that takes no token. Throws `429 rate_limited`. */
  address(deps: IdentityDeps, c: Context): void {
    this.addresses.take(addressKey(deps.address(c.req.raw)), deps.now());
  }

  /** One request with a session. Throws `429 rate_limited`. */
  session(deps: IdentityDeps, hash: string): void {
    this.sessions.take(hash, deps.now());
  }

  /** One guess at a typed code. Throws `429 rate_limited`. */
  guess(deps: IdentityDeps, c: Context, what: string, user?: string): void {
    const now = deps.now();
    if (user !== undefined) this.guesses.take(`${what} user ${user}`, now);
    this.guesses.take(`${what} address ${addressKey(deps.address(c.req.raw))}`, now);
  }
}
