/** Turns at something that takes only so many at once: first come, first served. */

/** The turns. */
export class Turns {
  readonly #queue: (() => void)[] = [];
  #underWay = 0;

  constructor(private readonly max: number) {}

  /**
   * Runs something once fewer than `max` others are under way. What was given up by then is never
   * begun: throws the signal's reason.
   */
  async take<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#underWay < this.max) this.#underWay++;
    else await new Promise<void>((begin) => this.#queue.push(begin));
    try {
      signal.throwIfAborted();
      return await run();
    } finally {
      this.pass();
    }
  }

  /** Its place is the next one's. */
  private pass(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#underWay--;
  }
}
