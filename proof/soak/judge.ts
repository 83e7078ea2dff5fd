/**
 * Flat, or not: lines through the second half of a soak's samples. What grows by less than its
 * own noise, or by less than is worth a word, is flat; a file grows by its records.
 */
import type { Sample } from "./samples.ts";

/** A straight line through points: its slope, the slope's standard error, the mean of y. */
export interface Fit {
  readonly slope: number;
  readonly error: number;
  readonly mean: number;
  /** The share of y's variance that the line explains. */
  readonly r2: number;
}

/** Least squares. With fewer than three points, or all at one x, the slope is 0 and unsure. */
export function fit(points: readonly (readonly [x: number, y: number])[]): Fit {
  const n = points.length;
  const mean = (at: 0 | 1): number => points.reduce((sum, point) => sum + point[at], 0) / (n || 1);
  const [mx, my] = [mean(0), mean(1)];
  let xx = 0, xy = 0, yy = 0;
  for (const [x, y] of points) {
    xx += (x - mx) ** 2;
    xy += (x - mx) * (y - my);
    yy += (y - my) ** 2;
  }
  if (n < 3 || xx === 0) return { slope: 0, error: Infinity, mean: my, r2: 0 };
  const slope = xy / xx;
  const rest = Math.max(0, yy - slope * xy);
  return {
    slope,
    error: Math.sqrt(rest / (n - 2) / xx),
    mean: my,
    r2: yy === 0 ? 1 : 1 - rest / yy,
  };
}

/** One thing that was judged; what grows is explained where something known accounts for it. */
export interface Verdict {
  readonly what: string;
  readonly judgement: "flat" | "explained" | "grows";
  /** In words, with its figures. */
  readonly figures: string;
}

/** Growth of memory that is worth no word: this share of it an hour, and this much in the half. */
const MEMORY_SHARE = 0.05;
const HEAP_BYTES = 2_097_152;
const RESIDENT_BYTES = 33_554_432;
/**
 * Until a room has seen so many records it may remember ever more of its past: changes, removals
 * (their keys and places), and a record adds at most so much to that.
 */
const PAST_RECORDS = 80_000;
const PAST_BYTES = 250;
/** Rise of a p99 over the judged half that is worth no word: this share of it, and this much. */
const LATENCY_SHARE = 0.25;
const LATENCY_MS = 2;
/** Fewer samples than this say nothing; nor does a p99 of fewer requests. */
const SAMPLES_MIN = 5;
const REQUESTS_MIN = 50;
const MIB = 1_048_576;

const mib = (bytes: number): string => (bytes / MIB).toFixed(1);

function memory(
  what: string,
  samples: readonly Sample[],
  of: (sample: Sample) => number,
  least: number,
): Verdict {
  if (samples.length < SAMPLES_MIN) return { what, judgement: "grows", figures: "too few samples" };
  const { slope, error, mean } = fit(samples.map((sample) => [sample.atS / 3600, of(sample)]));
  const hours = (samples.at(-1)!.atS - samples[0]!.atS) / 3600;
  const isRising = slope > 2 * error && slope > MEMORY_SHARE * mean && slope * hours > least;
  return {
    what,
    judgement: isRising ? "grows" : "flat",
    figures: `${mib(mean)} MiB on average, ${mib(slope)} ± ${mib(error)} MiB an hour`,
  };
}

/** A heap that grows while rooms are not yet full of their past, and by no more than that, is explained. */
function heap(samples: readonly Sample[], rooms: number): Verdict {
  const verdict = memory("heap after collection", samples, (sample) => sample.heap, HEAP_BYTES);
  const { slope } = fit(samples.map((sample) => [sample.records, sample.heap]));
  const records = samples.at(-1)?.records ?? 0;
  const isPast = records < PAST_RECORDS * rooms && slope <= PAST_BYTES;
  return {
    ...verdict,
    judgement: verdict.judgement === "grows" && samples.length >= SAMPLES_MIN && isPast
      ? "explained"
      : verdict.judgement,
    figures: `${verdict.figures}, ${slope.toFixed(0)} bytes a record`,
  };
}

function drift(verb: string, samples: readonly Sample[]): Verdict | undefined {
  const points = samples.flatMap(({ atS, latencies }) => {
    const latency = latencies[verb];
    return latency === undefined || latency.count < REQUESTS_MIN
      ? []
      : [[atS, latency.p99] as const];
  });
  if (points.length < SAMPLES_MIN) return undefined;
  const { slope, error, mean } = fit(points);
  const rise = slope * (points.at(-1)![0] - points[0]![0]);
  const isRising = slope > 2 * error && rise > Math.max(LATENCY_MS, LATENCY_SHARE * mean);
  return {
    what: `p99 of ${verb}`,
    judgement: isRising ? "grows" : "flat",
    figures: `${mean.toFixed(2)} ms on average, ${rise >= 0 ? "+" : ""}${
      rise.toFixed(2)
    } ms over the half`,
  };
}

/** A file that grows with the records and with nothing else is explained by them. */
function growth(samples: readonly Sample[]): Verdict {
  const { slope, r2 } = fit(samples.map(({ records, files }) => [records, files.db]));
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const [bytes, records] = [last.files.db - first.files.db, last.records - first.records];
  return {
    what: "file",
    judgement: bytes <= 0 ? "flat" : r2 > 0.9 && records > 0 ? "explained" : "grows",
    figures: `${mib(last.files.db)} MiB, ${mib(bytes)} MiB more by ${records} records: ${
      Math.round(slope)
    } bytes a record, which explains ${(r2 * 100).toFixed(1)} % of it`,
  };
}

/** The write-ahead log is written over again and again: it stays below a size. */
function writeAhead(samples: readonly Sample[]): Verdict {
  const { slope, error, mean } = fit(samples.map(({ atS, files }) => [atS / 3600, files.wal]));
  const most = Math.max(...samples.map(({ files }) => files.wal));
  return {
    what: "write-ahead log",
    judgement: slope > 2 * error && slope > mean ? "grows" : "flat",
    figures: `${mib(mean)} MiB on average, ${mib(most)} MiB at most`,
  };
}

/** Judges the second half of the samples, of a soak with so many lasting rooms. */
export function judge(samples: readonly Sample[], rooms: number): Verdict[] {
  const middle = (samples.at(-1)?.atS ?? 0) / 2;
  const half = samples.filter(({ atS }) => atS >= middle);
  const settled = half.filter(({ isSettled }) => isSettled);
  const verbs = [...new Set(half.flatMap(({ latencies }) => Object.keys(latencies)))].sort();
  return [
    heap(settled, rooms),
    memory(
      "memory outside the heap",
      half,
      ({ rss, heapTotal }) => rss - heapTotal,
      RESIDENT_BYTES,
    ),
    growth(half),
    writeAhead(half),
    ...verbs.map((verb) => drift(verb, half)).filter((verdict) => verdict !== undefined),
  ];
}
