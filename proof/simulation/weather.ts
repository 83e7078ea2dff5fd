/** What goes wrong in a run, and how often: drawn from the seed, and switched off at its end. */
import type { Instance } from "./instance.ts";
import type { Fate, Weather } from "./libsql.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/** How rough a run is: probabilities of a call's or message's fate, and milliseconds between blows. */
export interface Climate {
  readonly slow: number;
  readonly refused: number;
  readonly unanswered: number;
  readonly belated: number;
  readonly doubled: number;
  readonly busy: number;
  readonly lostReply: number;
  readonly duplicate: number;
  readonly vanish: number;
  /** Mean time between crashes, outages and jumps of a clock; 0 for none of them. */
  readonly blowsEveryMs: number;
}

/** No faults at all, only what order things come in. */
export const CALM: Climate = {
  slow: 0.02,
  refused: 0,
  unanswered: 0,
  belated: 0,
  doubled: 0,
  busy: 0,
  lostReply: 0,
  duplicate: 0.05,
  vanish: 0.03,
  blowsEveryMs: 0,
};

/** A climate: one run in five is calm, the others have some faults often and others never. */
export function drawClimate(random: Random): Climate {
  if (random.chance(0.2)) return CALM;
  const some = (often: number): number => random.chance(0.5) ? random.next() * often : 0;
  return {
    slow: some(0.2),
    refused: some(0.15),
    unanswered: some(0.15),
    belated: some(0.05),
    doubled: some(0.1),
    busy: some(0.3),
    lostReply: some(0.2),
    duplicate: some(0.3),
    vanish: some(0.2),
    blowsEveryMs: random.chance(0.7) ? random.int(400, 6_000) : 0,
  };
}

/** The weather of one run. */
export class Faults implements Weather {
  isOver = true;
  readonly #outages = new Map<string, number>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly random: Random,
    readonly climate: Climate,
    private readonly instanceOf: (owner: string) => Instance | undefined,
  ) {}

  latency(owner: string): number {
    const { random } = this;
    if (this.isOver || !random.chance(this.climate.slow)) return 0.05 + random.skewed(0, 6);
    const ms = random.skewed(20, 3_000);
    this.#trouble(owner, ms);
    return ms;
  }

  #trouble(owner: string, ms: number): void {
    const instance = this.instanceOf(owner);
    if (instance) instance.troubledAt = Math.max(instance.troubledAt, this.scheduler.now + ms);
  }

  fate(owner: string, isWrite: boolean): Fate {
    if (this.isOver) return "done";
    const fate = this.#draw(owner, isWrite);
    if (fate !== "done") this.#trouble(owner, 0);
    return fate;
  }

  #draw(owner: string, isWrite: boolean): Fate {
    const { random, climate } = this;
    const name = owner.split(".")[0]!;
    if ((this.#outages.get(name) ?? 0) > this.scheduler.now) return "refused";
    if (random.chance(climate.refused)) return "refused";
    if (random.chance(climate.busy)) return "busy";
    // A call to a file is answered by the process that made it.
    if (!isWrite || !name.startsWith("N")) return "done";
    if (random.chance(climate.unanswered)) return "unanswered";
    if (random.chance(climate.belated)) return "belated";
    return random.chance(climate.doubled) ? "doubled" : "done";
  }

  /** For an instance the database is away for a while. */
  outage(name: string, ms: number): void {
    this.scheduler.note(`  the database is away from ${name} for ${ms.toFixed(0)} ms`);
    this.#outages.set(name, this.scheduler.now + ms);
  }

  /** From now on things go wrong. */
  begin(random: Random, instances: readonly Instance[]): void {
    this.isOver = false;
    void blow(this.scheduler, random, this, instances);
  }

  /** From now on everything works. */
  end(): void {
    this.isOver = true;
    this.#outages.clear();
  }
}

/** Blows upon the instances, until the weather is over. */
async function blow(
  scheduler: Scheduler,
  random: Random,
  faults: Faults,
  instances: readonly Instance[],
): Promise<void> {
  const mean = faults.climate.blowsEveryMs;
  if (mean === 0) return;
  for (;;) {
    await scheduler.sleep(random.next() * 2 * mean);
    if (faults.isOver) return;
    const instance = random.pick(instances);
    if (!instance.service || instance.isStopping) continue;
    const kind = random.weighted([[4, "crash"], [2, "stop"], [3, "outage"], [2, "jump"]] as const);
    scheduler.note(`  ${kind} of ${instance.owner}`);
    if (kind === "crash") {
      instance.crash();
      restart(scheduler, random, instance);
    } else if (kind === "stop") {
      const { owner } = instance;
      scheduler.after(
        0,
        owner,
        "SIGTERM",
        () => void instance.stop().then(() => restart(scheduler, random, instance)),
      );
    } else if (kind === "outage") {
      const ms = random.skewed(50, 6_000);
      const isAll = random.chance(0.3);
      for (const one of isAll ? instances : [instance]) faults.outage(one.name, ms);
    } else {
      instance.troubledAt = scheduler.now;
      instance.skew += random.chance(0.7) ? random.skewed(100, 60_000) : -random.skewed(10, 3_000);
    }
  }
}

function restart(scheduler: Scheduler, random: Random, instance: Instance): void {
  scheduler.after(random.skewed(5, 3_000), "", `start ${instance.name}`, () => {
    instance.isDue = true;
  });
}
