/**
 * Rate limits: one token bucket per key in bounded memory. Pure but for its own table; the
 * clock is passed in.
 */
import { SyncError } from "./errors.ts";
import type { Counter } from "./meters.ts";
import type { Millis } from "./types.ts";

/** Keys a limiter remembers; the one unused for longest is forgotten first. */
export const RATE_KEYS_MAX = 50_000;

interface Bucket {
  tokens: number;
  at: Millis;
}

/** Lets `perMinute` requests a minute through per key, in bursts of up to `burst`. 0 is off. */
export class RateLimiter {
  private readonly buckets = new Map<string, Bucket>();
  private readonly perMs: number;

  constructor(
    readonly perMinute: number,
    private readonly burst: number = Math.max(1, perMinute),
    private readonly keysMax: number = RATE_KEYS_MAX,
    /** Counts what was refused. */
    private readonly refused?: Counter,
  ) {
    this.perMs = perMinute / 60_000;
  }

  /** Takes one request of this key. Throws `429 rate_limited` with `Retry-After` in seconds. */
  take(key: string, now: Millis): void {
    const seconds = this.tryTake(key, now);
    if (seconds === undefined) return;
    this.refused?.inc();
    throw tooMany(seconds);
  }

  /** Takes one of this key; the seconds until there is one again where there is none. */
  tryTake(key: string, now: Millis): number | undefined {
    if (this.perMinute <= 0) return undefined;
    const bucket = this.refilled(key, now);
    if (bucket.tokens < 1) {
      return Math.max(1, Math.ceil((1 - bucket.tokens) / this.perMs / 1000));
    }
    bucket.tokens -= 1;
    return undefined;
  }

  /** Gives back what was taken for nothing. */
  giveBack(key: string): void {
    const bucket = this.buckets.get(key);
    if (bucket) bucket.tokens = Math.min(this.burst, bucket.tokens + 1);
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.buckets.size;
  }

  private refilled(key: string, now: Millis): Bucket {
    const known = this.buckets.get(key);
    // Taken out and put back, so that the map stays ordered by last use.
    this.buckets.delete(key);
    const bucket = known ?? { tokens: this.burst, at: now };
    bucket.tokens = Math.min(this.burst, bucket.tokens + Math.max(0, now - bucket.at) * this.perMs);
    bucket.at = Math.max(bucket.at, now);
    this.buckets.set(key, bucket);
    if (this.buckets.size > this.keysMax) this.buckets.delete(this.buckets.keys().next().value!);
    return bucket;
  }
}

function tooMany(wait: number): SyncError {
  return new SyncError("rate_limited", "Too many requests.", {
    retry_after: wait,
    hint: `Repeat the call in ${wait} s, with the same Idempotency-Key if it has one.`,
  }, { "Retry-After": String(wait) });
}

/** What an address counts as: IPv6 clients hold whole /64 networks, so these count as one. */
export function addressKey(address: string): string {
  const text = address.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "").toLowerCase();
  const mapped = /^(?:::|0:0:0:0:0:)ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (mapped) return mapped[1]!;
  if (!text.includes(":")) return text;
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right];
  return groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":") + "::/64";
}
