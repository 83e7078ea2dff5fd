/** How fast deeds are done: as fast as they are answered, or at a fixed rate whatever happens. */
import type { Tally } from "./tally.ts";

const TICK_MS = 1;
/** Deeds under way beyond which further ones are not begun but counted as failed. */
const UNDER_WAY_MAX = 5_000;
/** Longer than any request may take: what is not answered by then never is. */
const LAST_MS = 60_000;

/** Some users who each do the next thing when the last is done. Deeds a second, after a warm-up. */
export async function capacity(
  next: () => Promise<void>,
  users: number,
  seconds: number,
): Promise<number> {
  const warmAt = performance.now() + seconds * 250;
  const end = warmAt + seconds * 1000;
  let done = 0;
  await Promise.all(Array.from({ length: users }, async () => {
    while (performance.now() < end) {
      await next();
      if (performance.now() >= warmAt && performance.now() < end) done++;
    }
  }));
  return done / seconds;
}

/** Deeds at a fixed rate, a second, however long each takes; until it is stopped. */
export class Pace {
  #begun = 0;
  #underWay = 0;
  #isOver = false;
  readonly #ended: Promise<void>;

  constructor(
    private readonly next: (dueAt: number) => Promise<void>,
    private readonly rate: number,
    private readonly tally: Tally,
  ) {
    this.#ended = this.run();
  }

  /** Deeds begun and not yet done. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Begins no more, and waits for those under way, up to a minute. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
    const limit = performance.now() + LAST_MS;
    while (this.#underWay > 0 && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  private async run(): Promise<void> {
    const start = performance.now();
    while (!this.#isOver) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      const now = performance.now();
      for (let dueAt = this.due(start); dueAt <= now; dueAt = this.due(start)) {
        this.#begun++;
        this.tally.late = Math.max(this.tally.late, now - dueAt);
        if (this.#underWay >= UNDER_WAY_MAX) this.tally.failed("pace", "too many under way");
        else this.begin(dueAt);
      }
    }
  }

  private due(start: number): number {
    return start + this.#begun / this.rate * 1000;
  }

  private begin(dueAt: number): void {
    this.#underWay++;
    void this.next(dueAt).finally(() => this.#underWay--);
  }
}
