/** Rate limits at the door: per address where no token is needed, per token elsewhere. */
import { sha256 } from "../canonical.ts";
import type { Config } from "../config.ts";
import type { Clock } from "../engine/types.ts";
import type { Counter, Family } from "../meters.ts";
import { RateLimiter } from "../rates.ts";
import type { Route } from "./routes.ts";

/** The limits of the JSON door. */
export class Limits {
  readonly #perAddress: RateLimiter;
  readonly #perToken: RateLimiter;

  constructor(
    config: Config,
    private readonly clock: Clock,
    private readonly address: (request: Request) => string,
    refused: Family<Counter>,
  ) {
    const { rateLimitIp, rateLimitToken } = config;
    this.#perAddress = new RateLimiter(
      rateLimitIp,
      undefined,
      undefined,
      refused.of("address"),
    );
    this.#perToken = new RateLimiter(rateLimitToken, undefined, undefined, refused.of("token"));
  }

  /** Counts a request. Throws `rate_limited`. */
  take(request: Request, route: Pick<Route, "verb">): void {
    const credential = request.headers.get("authorization");
    const now = this.clock.now();
    if (credential !== null && this.#perToken.perMinute > 0) {
      this.#perToken.take(sha256(credential), now);
    }
    const isOpenDoor = route.verb === "open" || route.verb === "agent.join";
    if (credential === null || isOpenDoor) this.#perAddress.take(this.address(request), now);
  }
}
