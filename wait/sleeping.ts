/** What is bounded, counted and traced of sleeping: who may, how it ends, how soon news gets there. */
import type { Engine } from "../engine.ts";
import { counters, Histogram, stopwatch } from "../meters.ts";
import type { Principal } from "../policy.ts";
import { isTracing, traced } from "../tracing.ts";
import type { Wakeup } from "./reply.ts";

/** The sleeps of a service. */
export class Sleeping {
  /** Sleeps by how they ended: `woken`, `timeout`, `closing`, `gone` or `failed`. */
  readonly ended = counters("outcome").with("woken", "timeout", "closing", "gone", "failed");
  /** Seconds from when a durable change was told to when a sleeper that it woke was settled. */
  readonly wakeSeconds = new Histogram();
  #isScheduled = false;
  #dueSince: number | undefined;

  constructor(private readonly engine: Pick<Engine, "quotas">) {}

  /**
   * Runs a sleep: within the user's quota, counted by its end, and in a span that links to the
   * write that woke it. Throws `quota_exceeded`.
   */
  async run(
    request: { readonly principal: Principal },
    sleep: () => Promise<Wakeup>,
  ): Promise<Wakeup> {
    const release = this.engine.quotas?.hold("user_waits", request.principal);
    try {
      const wakeup = await (isTracing() ? inSpan(sleep) : sleep());
      this.ended.of(wakeup.kind).inc();
      return wakeup;
    } finally {
      release?.();
    }
  }

  /** Something is to be judged: false when a turn is arranged for it already. */
  schedule(): boolean {
    this.#dueSince ??= stopwatch();
    if (this.#isScheduled) return false;
    return this.#isScheduled = true;
  }

  /** The turn has come. */
  begin(): void {
    this.#isScheduled = false;
  }

  /** The turn is over; what was left over is still due. */
  end(): void {
    if (!this.#isScheduled) this.#dueSince = undefined;
  }

  /** A sleeper is settled with this. */
  woke(wakeup: Wakeup): Wakeup {
    if (this.#dueSince !== undefined) this.wakeSeconds.since(this.#dueSince);
    return wakeup;
  }
}

function inSpan(sleep: () => Promise<Wakeup>): Promise<Wakeup> {
  return traced("wait", {}, async (running) => {
    const wakeup = await sleep();
    running.note("sync.outcome", wakeup.kind);
    if (wakeup.kind === "woken") running.follow(wakeup.by);
    return wakeup;
  });
}
