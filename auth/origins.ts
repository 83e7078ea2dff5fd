/** Where a request comes from: made on the machine itself, through a proxy, or by a foreign page. */
import { type Config, isLoopbackName } from "../config.ts";

/** The facts of a request that decide whether it counts as made on the machine itself. */
export interface RequestFacts {
  readonly authorization: string | undefined;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly isForwarded: boolean;
}

/** Headers that say a request came through a proxy, beside all that begin with `X-Forwarded-`. */
const FORWARDING: ReadonlySet<string> = new Set(["forwarded", "via", "x-real-ip"]);

/** Did a request come through a proxy? */
export function isForwarded(headers: Headers): boolean {
  for (const name of headers.keys()) {
    if (FORWARDING.has(name) || name.startsWith("x-forwarded-")) return true;
  }
  return false;
}

/** Judges where requests come from. */
export class Origins {
  #host = { name: "", isLoopback: false };

  constructor(private readonly config: Config) {}

  /** `isLoopbackName` of a Host header, which is nearly always the one before. */
  private isLoopbackHost(host: string): boolean {
    if (this.#host.name !== host) this.#host = { name: host, isLoopback: isLoopbackName(host) };
    return this.#host.isLoopback;
  }

  /** Counts a request as open: made on the machine itself, through no proxy and from no other page? */
  isOpen(request: RequestFacts): boolean {
    if (this.config.roomCreation === "open") return true;
    if (this.config.roomCreation === "token") return false;
    if (!this.config.isLoopback || !this.config.isLocalOrigin || request.isForwarded) return false;
    if (request.host === undefined || !this.isLoopbackHost(request.host)) return false;
    return request.origin === undefined || request.origin === `http://${request.host}` ||
      request.origin === this.config.origin;
  }

  /** Does a page of another origin, or of a name that was rebound, call a server on a laptop? */
  isForeign({ origin, host }: RequestFacts): boolean {
    const { roomCreation, isLoopback, isLocalOrigin } = this.config;
    if (origin === undefined || roomCreation === "open" || !isLoopback || !isLocalOrigin) {
      return false;
    }
    const isOwn = origin === this.config.origin ||
      (host !== undefined && this.isLoopbackHost(host) && origin === `http://${host}`);
    return !isOwn;
  }
}
