/**
 * What a service counts and times about itself: plain numbers, kept by whoever does the work and
 * read when somebody asks (`http/metrics.ts`). Adding to one takes some nanoseconds.
 */

/** Bounds, in seconds, for what takes from a tenth of a millisecond to a minute. */
export const SECONDS: readonly number[] = [
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
  60,
];

/** Bounds for how many come together. */
export const SIZES: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/** Members a family takes at most; what comes beyond is counted under `other`. */
export const FAMILY_MEMBERS_MAX = 500;

/** Seconds of a clock that only goes forward: for differences, never for decisions. */
export function stopwatch(): number {
  return performance.now() / 1000;
}

/** A number that only grows. */
export class Counter {
  value = 0;

  /** Adds, one unless told otherwise. */
  inc(by = 1): void {
    this.value += by;
  }
}

/** How often values fell into each of fixed intervals, how many there were, and their sum. */
export class Histogram {
  /** Values up to each bound and above the one before; the last place is for those beyond all. */
  readonly counts: number[];
  sum = 0;

  constructor(readonly bounds: readonly number[] = SECONDS) {
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Notes one value. */
  observe(value: number): void {
    const { bounds } = this;
    let place = 0;
    while (place < bounds.length && value > bounds[place]!) place++;
    this.counts[place]!++;
    this.sum += value;
  }

  /** Notes the seconds since a reading of the stopwatch. */
  since(started: number): void {
    this.observe(stopwatch() - started);
  }

  /** How many values were noted. */
  get count(): number {
    return this.counts.reduce((sum, n) => sum + n, 0);
  }
}

/** Meters of one kind, one per combination of label values; these come from closed lists only. */
export class Family<M> {
  readonly #members = new Map<string, { readonly values: readonly string[]; readonly meter: M }>();

  constructor(readonly labels: readonly string[], private readonly make: () => M) {}

  /** The meter of these values, in the order of the labels. Keep it where it is used often. */
  of(...values: string[]): M {
    const key = values.join("\u0000");
    let member = this.#members.get(key);
    if (!member && this.#members.size >= FAMILY_MEMBERS_MAX) {
      const other = this.labels.map(() => "other");
      if (values.some((value) => value !== "other")) return this.of(...other);
    }
    if (!member) this.#members.set(key, member = { values, meter: this.make() });
    return member.meter;
  }

  /** Has these from the start, so that what never happened reads 0: each a value of the one label. */
  with(...values: string[]): this {
    for (const value of values) this.of(value);
    return this;
  }

  /** Every member that was asked for so far. */
  members(): Iterable<{ readonly values: readonly string[]; readonly meter: M }> {
    return this.#members.values();
  }
}

/** A family of counters. */
export function counters(...labels: string[]): Family<Counter> {
  return new Family(labels, () => new Counter());
}

/** A family of histograms. */
export function histograms(
  labels: readonly string[],
  bounds?: readonly number[],
): Family<Histogram> {
  return new Family(labels, () => new Histogram(bounds));
}
