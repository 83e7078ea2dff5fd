/** Salience for one reader at one instant: `salience.ts` fed with what the room keeps. */
import type { Program } from "../cel.ts";
import { cellOf } from "../room/changes.ts";
import {
  decay,
  ELIDE_THRESHOLD,
  FOCUS_THRESHOLD,
  round,
  SCORE_WITHOUT_AGENT,
  scoreOf,
  type Signals,
  type Weights,
  weightsFrom,
} from "../salience.ts";
import type { Scope } from "../room/scope.ts";
import type { LiveRoom } from "../sight.ts";
import type { Entry, MessageBody, Millis } from "../types.ts";
import { programOf } from "./programs.ts";
import { CelError } from "../cel.ts";

/** What a reader's own views and open waits read. */
interface Dependencies {
  readonly exact: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
}

/** By the list of an agent's open waits, which is the same one as long as they are the same. */
const dependenciesOfWaits = new WeakMap<readonly Program[], Dependencies>();

/** By the scope of a room's views, as of so many edits, and by reader. */
const dependenciesOfViews = new WeakMap<Scope, {
  readonly edits: number;
  readonly byReader: Map<string, Dependencies | undefined>;
}>();

function dependenciesOf(programs: readonly Program[], reader: string): Dependencies {
  const exact = new Set<string>(), scopes = new Set<string>();
  for (const { refs } of programs) {
    for (const { root, path: [first, second] } of refs) {
      if (root === "views" && typeof first === "string") exact.add(cellOf("_views", first));
      if (root !== "state" || typeof first !== "string") continue;
      const scope = first === "self" ? reader : first;
      if (typeof second === "string") exact.add(cellOf(scope, second));
      else scopes.add(scope);
    }
  }
  return { exact, scopes };
}

/** 1 for the key itself, .5 for one below it, .3 for its scope as a whole. */
function dependencyOn({ exact, scopes }: Dependencies, scope: string, key: string): number {
  if (exact.size > 0) {
    if (exact.has(cellOf(scope, key))) return 1;
    for (let dot = key.lastIndexOf("."); dot > 0; dot = key.lastIndexOf(".", dot - 1)) {
      if (exact.has(cellOf(scope, key.slice(0, dot)))) return 0.5;
    }
  }
  return scopes.has(scope) ? 0.3 : 0;
}

/** Scores entries for one reader. */
export class Scorer {
  #weights: Weights | undefined;
  #dependencies: readonly Dependencies[] | undefined;
  #contests: Map<string, boolean> | undefined;

  constructor(
    private readonly live: LiveRoom,
    private readonly reader: string,
    private readonly now: Millis,
    /** The newest record that the reader has seen. */
    private readonly seen: number,
  ) {}

  /** The room's weights. */
  get weights(): Weights {
    return this.#weights ??= weightsFrom(this.live.room.get("_config", "salience_weights")?.value);
  }

  /** Is the reader an agent, so that things matter to it differently? */
  get isAgent(): boolean {
    return this.reader !== "" && this.reader !== "admin";
  }

  /** The score of an entry. */
  score(scope: string, key: string, entry: Entry): number {
    if (!this.isAgent) return SCORE_WITHOUT_AGENT;
    return scoreOf(this.signals(scope, key, entry), this.weights);
  }

  /** The six signals of an entry. */
  signals(scope: string, key: string, entry: Entry): Signals {
    return {
      recency: round(decay(this.now - entry.updatedAt)),
      dependency: this.dependency(scope, key),
      authorship: entry.writer === this.reader ? 1 : 0,
      directed: scope === "_messages" ? this.directed(entry) : 0,
      contest: this.contest(scope, key),
      delta: entry.touched > this.seen ? 1 : 0,
    };
  }

  private directed(entry: Entry): number {
    const to = (entry.value as unknown as MessageBody).to;
    if (to === undefined) return 0.3;
    return to.includes(this.reader) ? 1 : 0.1;
  }

  private contest(scope: string, key: string): number {
    this.#contests ??= this.findContests();
    if (this.#contests.size === 0) return 0;
    const mine = this.#contests.get(`${scope}:${key}`);
    return mine === undefined ? 0 : mine ? 1 : 0.5;
  }

  private findContests(): Map<string, boolean> {
    const room = this.live.room;
    const contests = new Map<string, boolean>();
    for (const [target, ids] of room.contested) {
      contests.set(target, ids.some((id) => room.action(id)?.registered_by === this.reader));
    }
    return contests;
  }

  private dependency(scope: string, key: string): number {
    this.#dependencies ??= this.findDependencies();
    let most = 0;
    for (const dependencies of this.#dependencies) {
      most = Math.max(most, dependencyOn(dependencies, scope, key));
    }
    return most;
  }

  /** What the reader's own views read, and what its open waits read; neither when it reads nothing. */
  private findDependencies(): readonly Dependencies[] {
    const waits = this.live.openWaits(this.reader);
    let ofWaits = dependenciesOfWaits.get(waits);
    if (!ofWaits && waits.length > 0) {
      ofWaits = dependenciesOf(waits, this.reader);
      dependenciesOfWaits.set(waits, ofWaits);
    }
    const ofViews = this.dependenciesOfViews();
    return [...(ofWaits ? [ofWaits] : []), ...(ofViews ? [ofViews] : [])];
  }

  /** What the reader's own views read: kept by reader until any view is written. */
  private dependenciesOfViews(): Dependencies | undefined {
    const holder = this.live.room.scopes.get("_views");
    if (!holder) return undefined;
    let kept = dependenciesOfViews.get(holder);
    if (kept?.edits !== holder.edits) {
      kept = { edits: holder.edits, byReader: new Map() };
      dependenciesOfViews.set(holder, kept);
    }
    if (!kept.byReader.has(this.reader)) {
      const views = this.ownViews();
      const found = views.length > 0 ? dependenciesOf(views, this.reader) : undefined;
      kept.byReader.set(this.reader, found);
    }
    return kept.byReader.get(this.reader);
  }

  private ownViews(): Program[] {
    const room = this.live.room;
    const programs: Program[] = [];
    for (const id of room.scopes.get("_views")?.keys() ?? []) {
      const view = room.view(id)!;
      if (view.scope !== this.reader && view.registered_by !== this.reader) continue;
      try {
        programs.push(programOf(view.expr, "view"));
      } catch (error) {
        // A view that does not compile reads nothing.
        if (!(error instanceof CelError)) throw error;
      }
    }
    return programs;
  }
}

/** The tier of a score. */
export function tierOf(
  score: number,
  focus = FOCUS_THRESHOLD,
  elide = ELIDE_THRESHOLD,
): "focus" | "peripheral" | "elided" {
  return score >= focus ? "focus" : score >= elide ? "peripheral" : "elided";
}
