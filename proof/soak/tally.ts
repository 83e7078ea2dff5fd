/** What a soak counts between two samples: latencies by verb, in milliseconds, and what failed. */

/** The latencies of one verb in one window, in milliseconds. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

/** The value below which a share of sorted numbers lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** Counts until it is read out, and begins again. */
export class Tally {
  #took = new Map<string, number[]>();
  readonly failures = new Map<string, number>();
  /** Requests answered since the start. */
  answered = 0;
  /** The longest that a request left after its time, in this window. */
  late = 0;

  /** A request that succeeded. */
  took(verb: string, ms: number): void {
    this.answered++;
    const known = this.#took.get(verb);
    if (known) known.push(ms);
    else this.#took.set(verb, [ms]);
  }

  /** One that did not, or answered what it should not. */
  failed(verb: string, what: string): void {
    const name = `${verb}: ${what}`;
    this.failures.set(name, (this.failures.get(name) ?? 0) + 1);
  }

  /** The latencies since the last call, by verb; they are forgotten. */
  drain(): Record<string, Latency> {
    const latencies = Object.fromEntries(
      [...this.#took].sort(([a], [b]) => a < b ? -1 : 1).map(([verb, took]) => {
        took.sort((a, b) => a - b);
        const [p50, p99] = [quantile(took, 0.5), quantile(took, 0.99)];
        return [verb, { count: took.length, p50: round(p50), p99: round(p99) }];
      }),
    );
    this.#took = new Map();
    this.late = 0;
    return latencies;
  }
}
