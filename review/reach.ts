/**
 * Who can still change what: which gates are shut for everybody, and whether anything that they
 * read can change. Errs on the side of "it can": a finding must be true.
 */
import { Budget, CelError, CelTooExpensive, explain, type Program } from "../cel.ts";
import { gateFor, type GateState, mayKnowGate, seenBy, writersOf } from "../invoke/could.ts";
import type { Audience } from "../invoke/failures.ts";
import { isPrivateScope } from "../policy.ts";
import { actionEyes, type Sight } from "../sight.ts";
import { knownProgram } from "../sight/programs.ts";
import { stateReads } from "./reads.ts";

/** Steps that one review may take in all. */
const REVIEW_STEPS = 800_000;
/** Agents whose gates are judged. */
const AGENTS_JUDGED = 50;

/** What is behind a shut gate: parts that are false, by agent. */
interface Shut {
  readonly parts: readonly (readonly Program[])[];
}

/** The gates of a room, judged for its agents. */
export class Reach {
  readonly #states = new Map<string, Map<string, GateState>>();
  readonly #shut = new Map<string, Shut>();
  #stuck: Set<string> | undefined;
  readonly #budget = new Budget(REVIEW_STEPS);
  /** Not everything could be judged: nothing is called stuck then. */
  isCut = false;
  readonly agents: readonly string[];

  constructor(private readonly sight: Sight, private readonly audience: Audience) {
    const live = [...sight.room.liveAgents()].map(([id]) => id);
    this.agents = live.length === 0 ? ["admin"] : live.slice(0, AGENTS_JUDGED);
    this.isCut = live.length > AGENTS_JUDGED;
    for (const id of sight.room.scopes.get("_actions")?.keys() ?? []) this.judge(id);
  }

  private judge(id: string): void {
    const states = new Map<string, GateState>();
    this.#states.set(id, states);
    const parts: Program[][] = [];
    // A gate that reads what the reader may not know is judged for the reader alone.
    const mayKnow = mayKnowGate(this.sight, this.sight.room.action(id)!, this.audience);
    for (const agent of this.agents) {
      if (!mayKnow && agent !== this.audience.agent) continue;
      if (this.isCut) return;
      const caller = seenBy(this.sight, agent);
      try {
        const state = gateFor(caller, id, this.#budget);
        states.set(agent, state);
        if (state === "shut") parts.push(this.falseParts(caller, id));
      } catch (error) {
        if (!(error instanceof CelTooExpensive)) throw error;
        this.isCut = true;
      }
    }
    const isShut = mayKnow && states.size > 0 &&
      [...states.values()].every((state) => state === "shut");
    if (isShut) this.#shut.set(id, { parts });
  }

  private falseParts(caller: Sight, id: string): Program[] {
    const definition = this.sight.room.action(id)!;
    const program = knownProgram(definition.if, "action");
    if (!program) return [];
    return this.falsePartsOf(
      program,
      caller.as(actionEyes(this.sight.room, definition, caller.eyes.self), undefined, {}),
    );
  }

  /** The smallest false parts of an expression for somebody's eyes; the whole where that fails. */
  falsePartsOf(program: Program, sight: Sight): Program[] {
    try {
      const parts = explain(program, sight.env(this.#budget));
      return parts.map((part) => knownProgram(part.expression, "action") ?? program);
    } catch (error) {
      if (error instanceof CelError) return [program];
      throw error;
    }
  }

  /** What an action's gate is for each agent that was judged. */
  statesOf(id: string): ReadonlyMap<string, GateState> {
    return this.#states.get(id) ?? new Map();
  }

  /** Agents who could invoke the action now, with the right parameters. */
  openFor(id: string): string[] {
    return [...this.statesOf(id)].filter(([, state]) => state === "open" || state === "conditional")
      .map(([agent]) => agent);
  }

  /** Actions whose gate is shut for everybody, and that nobody can open with what the room has. */
  get stuck(): ReadonlySet<string> {
    return this.#stuck ??= this.findStuck();
  }

  private findStuck(): Set<string> {
    if (this.isCut) return new Set();
    const stuck = new Set(this.#shut.keys());
    for (let isMoving = true; isMoving;) {
      isMoving = false;
      for (const id of stuck) {
        const { parts } = this.#shut.get(id)!;
        const canOpen = parts.some((agentsParts) =>
          agentsParts.length === 0 || agentsParts.every(isAboutSelf) ||
          agentsParts.some((part) => this.canChange(part, stuck))
        );
        if (!canOpen) continue;
        stuck.delete(id);
        isMoving = true;
      }
    }
    return stuck;
  }

  /** Can anything that a part reads change, other than through actions that are stuck themselves? */
  canChange(part: Program, stuck: ReadonlySet<string> = this.stuck): boolean {
    if (part.passing.length > 0) return true;
    const { room } = this.sight;
    return part.refs.some(({ root, path: [first] }) => {
      if (root === "self" || root === "params") return false;
      if (root === "views") {
        return typeof first !== "string" || this.canViewChange(first, stuck, new Set());
      }
      return root !== "state";
    }) || stateReads(part, "").some(({ scope, key }) => {
      if (scope === null || isPrivateScope(scope)) return true;
      const entry = key === null ? undefined : room.get(scope, key);
      if (entry?.timer || entry?.enabled !== undefined) return true;
      if (key === null && this.hasTimers(scope)) return true;
      return writersOf(room, scope, key).some((id) => !stuck.has(id));
    });
  }

  private hasTimers(scope: string): boolean {
    if (this.sight.room.timers.pending === 0) return false;
    const entries = this.sight.room.scopes.get(scope)?.entries.values() ?? [];
    return [...entries].some((entry) => entry.timer !== undefined);
  }

  private canViewChange(id: string, stuck: ReadonlySet<string>, judged: Set<string>): boolean {
    const view = this.sight.room.view(id);
    const program = knownProgram(view?.expr, "view");
    // What was judged before could not change, or nothing else would be asked.
    if (!view || !program || judged.has(id)) return false;
    judged.add(id);
    const reads = program.refs.filter(({ root }) => root === "views");
    const isMade = reads.some(({ path: [next] }) =>
      typeof next !== "string" || this.canViewChange(next, stuck, judged)
    );
    return isMade || isPrivateScope(view.scope) ||
      this.canChange(
        { ...program, refs: program.refs.filter(({ root }) => root !== "views") },
        stuck,
      );
  }

  /** Actions that may change what a part reads. */
  changersOf(part: Program, own: string | null): string[] {
    const ids = new Set<string>();
    for (const { scope, key } of stateReads(part, own)) {
      if (scope === null) continue;
      for (const id of writersOf(this.sight.room, scope, key)) ids.add(id);
    }
    for (const { root, path: [id] } of part.refs) {
      const view = root === "views" && typeof id === "string"
        ? this.sight.room.view(id)
        : undefined;
      const program = knownProgram(view?.expr, "view");
      if (!view || !program) continue;
      for (const { scope, key } of stateReads(program, view.scope)) {
        if (scope !== null) writersOf(this.sight.room, scope, key).forEach((w) => ids.add(w));
      }
    }
    return [...ids].filter((id) => this.sight.entry("_actions", id)).sort();
  }
}

/** Does a part hang on who asks alone? Then somebody else may join for whom it holds. */
function isAboutSelf({ refs }: Program): boolean {
  return refs.length > 0 && refs.every(({ root }) => root === "self");
}
