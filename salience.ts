/**
 * How much an entry matters to one reader now: six signals in [0,1], weighed. Pure arithmetic
 * on numbers that the fold keeps; the log is never read for it.
 */
import type { Entry, Json, Millis } from "./types.ts";

/** Half-life of recency and velocity: five minutes. */
export const HALF_LIFE_MS = 300_000;

/** The six signals. */
export interface Signals {
  recency: number;
  dependency: number;
  authorship: number;
  directed: number;
  contest: number;
  delta: number;
}

/** Weights of the signals; they sum to 1. */
export type Weights = Readonly<Signals>;

/** The weights a room has unless it configures its own. */
export const DEFAULT_WEIGHTS: Weights = {
  recency: 0.1,
  dependency: 0.3,
  authorship: 0.1,
  directed: 0.2,
  contest: 0.1,
  delta: 0.2,
};

const NAMES = Object.keys(DEFAULT_WEIGHTS) as (keyof Signals)[];

/** Are these weights? Non-negative numbers by signal name, not all zero. */
export function areWeights(value: Json): boolean {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  const known = Object.keys(value).every((k) => (NAMES as string[]).includes(k));
  const numbers = Object.values(value).every((v) =>
    typeof v === "number" && v >= 0 && Number.isFinite(v)
  );
  const merged = { ...DEFAULT_WEIGHTS, ...value } as Record<string, number>;
  return known && numbers && NAMES.some((name) => merged[name]! > 0);
}

/** The room's weights over the defaults, normalised to sum 1. */
export function weightsFrom(config: Json | undefined): Weights {
  if (config === undefined || !areWeights(config)) return DEFAULT_WEIGHTS;
  const merged = { ...DEFAULT_WEIGHTS, ...(config as unknown as Partial<Signals>) };
  const sum = NAMES.reduce((total, name) => total + merged[name], 0);
  const weights = { ...DEFAULT_WEIGHTS } as Signals;
  for (const name of NAMES) weights[name] = merged[name] / sum;
  return weights;
}

/** 0.5^(age / 5 min), 1 for the present and what lies ahead. */
export function decay(ageMs: Millis): number {
  return ageMs <= 0 ? 1 : 0.5 ** (ageMs / HALF_LIFE_MS);
}

/** The entry's velocity as of `now`. */
export function velocityAt(entry: Entry, now: Millis): number {
  return round(entry.velocity * decay(now - entry.updatedAt));
}

/** Four decimals: enough to rank by, short to read. */
export function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

/** The weighed sum of the signals. */
export function scoreOf(signals: Signals, weights: Weights): number {
  return round(
    weights.recency * signals.recency + weights.dependency * signals.dependency +
      weights.authorship * signals.authorship + weights.directed * signals.directed +
      weights.contest * signals.contest + weights.delta * signals.delta,
  );
}

/** The score of everything for a reader that is no agent. */
export const SCORE_WITHOUT_AGENT = 0.5;
/** Focus tier from here on. */
export const FOCUS_THRESHOLD = 0.5;
/** Elided below this. */
export const ELIDE_THRESHOLD = 0.1;
