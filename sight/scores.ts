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
import type { LiveRoom } from "../sight.ts";
import type { Entry, MessageBody, Millis } from "../types.ts";
import { programOf } from "./programs.ts";
import { CelError } from "../cel.ts";

/** What a reader's own views and open waits read. */
interface Dependencies {
  readonly exact: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
}

/** Scores entries for one reader. */
export class Scorer {
  #weights: Weights | undefined;
  #dependencies: Dependencies | undefined;
  #contests: Map<string, boolean> | undefined;
  readonly #seen: number;

  constructor(
    private readonly live: LiveRoom,
    private readonly reader: string,
    private readonly now: Millis,
  ) {
    this.#seen = live.presence.get(reader)?.seen ?? 0;
  }

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
      delta: entry.touched > this.#seen ? 1 : 0,
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
    const { exact, scopes } = this.#dependencies ??= this.findDependencies();
    if (exact.size === 0 && scopes.size === 0) return 0;
    if (exact.has(cellOf(scope, key))) return 1;
    for (let dot = key.lastIndexOf("."); dot > 0; dot = key.lastIndexOf(".", dot - 1)) {
      if (exact.has(cellOf(scope, key.slice(0, dot)))) return 0.5;
    }
    return scopes.has(scope) ? 0.3 : 0;
  }

  private findDependencies(): Dependencies {
    const exact = new Set<string>(), scopes = new Set<string>();
    for (const program of [...this.ownViews(), ...this.live.openWaits(this.reader)]) {
      for (const ref of program.refs) {
        if (ref.root === "views" && typeof ref.path[0] === "string") {
          exact.add(cellOf("_views", ref.path[0]));
        }
        if (ref.root !== "state" || typeof ref.path[0] !== "string") continue;
        const scope = ref.path[0] === "self" ? this.reader : ref.path[0];
        if (typeof ref.path[1] === "string") exact.add(cellOf(scope, ref.path[1]));
        else scopes.add(scope);
      }
    }
    return { exact, scopes };
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
