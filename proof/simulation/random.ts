/** Chance that repeats: a small seeded generator (mulberry32). */

/** Draws from a seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number from 0 up to, but not, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number between two, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** A number between two, most often near the lower. */
  skewed(min: number, max: number): number {
    return min + (max - min) * this.next() ** 3;
  }

  /** True with this probability. */
  chance(p: number): boolean {
    return this.next() < p;
  }

  /** One of a list. */
  pick<T>(among: readonly T[]): T {
    return among[this.int(0, among.length - 1)]!;
  }

  /** One of several by their weights. */
  weighted<T>(among: readonly (readonly [weight: number, of: T])[]): T {
    let left = this.next() * among.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, of] of among) if ((left -= weight) < 0) return of;
    return among.at(-1)![1];
  }

  /** Bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.int(0, 255);
    return bytes;
  }

  /** Another generator, which goes on by itself: drawing from one does not move the other. */
  fork(): Random {
    return new Random(this.int(0, 0xffff_ffff));
  }
}
