/**
 * One reader's eyes over a room at its tail, for one synchronous look: what is there, what it
 * may read, and the variables that CEL gets. Rights come from `policy.ts`; nothing here writes.
 */
import {
  Budget,
  type CelMap,
  type Env,
  evaluate,
  type Program,
  Timestamp,
  type Value,
} from "./cel.ts";
import { CelError, CelTooExpensive, toJson } from "./cel.ts";
import { ENABLED_STEPS_MAX } from "./limits.ts";
import { grantsOf, isPrivateScope } from "./policy.ts";
import { cellOf } from "./room/changes.ts";
import type { Room } from "./room.ts";
import { programOf } from "./sight/programs.ts";
import { type Memos, scopeCell, Tracker } from "./sight/memos.ts";
import {
  ActionsMap,
  AgentsMap,
  EntryMap,
  MessagesMap,
  RoomMap,
  StateMap,
  ViewsMap,
} from "./sight/maps.ts";
import { type ActorsPort, MemoryMap } from "./sight/actors.ts";
import { type Eyes, remembering, scopeEyes } from "./sight/eyes.ts";
import { callHelper } from "./sight/helpers.ts";
import { Scorer } from "./sight/scores.ts";
import { isDormant, iso } from "./timers.ts";
import type { Entry, Json, Millis, Presence, ViewDefinition } from "./types.ts";

/** The room with what lives beside its log. */
export interface LiveRoom {
  readonly room: Room;
  readonly memos: Memos;
  readonly presence: ReadonlyMap<string, Presence>;
  /** The condition an agent waits on now. */
  waitingOn(agent: string): string | undefined;
  /** What a reader's open waits read, for salience. */
  openWaits(agent: string): readonly Program[];
  /** Lies in the past: nobody is present. */
  readonly isPast?: boolean;
  /** What is known of actors; nothing without it. */
  readonly actors?: ActorsPort | undefined;
}

/** What a view came to: its value, or why it has none. */
export interface ViewResult {
  readonly value: Json;
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string };
  readonly isVolatile: boolean;
}

/** Steps that all views and gates of one look may take together. */
const LOOK_STEPS = 2_000_000;
/** What evaluating a view takes beside its steps: views that change by themselves are not kept. */
const VIEW_STEPS = 400;

/** One look. */
export class Sight {
  readonly #seen: number;
  #scorer: Scorer | undefined;
  #views: Map<string, ViewResult> | undefined;
  #roots: Map<string, Value | undefined> | undefined;
  #contested: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(
    readonly live: LiveRoom,
    readonly eyes: Eyes,
    readonly now: Millis,
    readonly tracker: Tracker | undefined = undefined,
    readonly params: Json | undefined = undefined,
    readonly pool: Budget = new Budget(LOOK_STEPS),
    /** Who the look is for, where that is somebody else than `self` (views, `enabled`). */
    readonly viewer: string = eyes.self,
  ) {
    // The reader's cursor as it stands now: showing what was found may move it.
    this.#seen = live.presence.get(eyes.self)?.seen ?? 0;
  }

  /** Scores entries for this reader. */
  get scorer(): Scorer {
    return this.#scorer ??= new Scorer(this.live, this.eyes.self, this.now, this.#seen);
  }

  get room(): Room {
    return this.live.room;
  }

  /** Another pair of eyes on the same instant. */
  as(eyes: Eyes, tracker?: Tracker, params?: Json): Sight {
    return new Sight(this.live, eyes, this.now, tracker, params, this.pool, this.viewer);
  }

  /** Notes that a cell was read. */
  read(cell: string): void {
    this.tracker?.cells.add(cell);
  }

  /** Notes a passing input. */
  pass(name: string, value: Json): void {
    this.tracker?.pass(name, value);
  }

  /** Notes that the result may change by itself. */
  passVolatile(name: string, value: Json): void {
    if (!this.tracker) return;
    this.tracker.isVolatile = true;
    this.tracker.pass(name, value);
  }

  /** The entry, if it is there for this reader; rights to the scope are the caller's matter. */
  entry(scope: string, key: string): Entry | undefined {
    if (this.tracker) {
      this.tracker.cells.add(cellOf(scope, key));
      const keeper = scope === "_actions" ? this.room.action(key)?.scope : scope;
      if (keeper !== undefined && isPrivateScope(keeper)) {
        this.tracker.cells.add(cellOf("_agents", keeper));
      }
    }
    const entry = this.room.get(scope, key);
    return entry && this.isThere(scope, key, entry) ? entry : undefined;
  }

  /** Is this entry part of the room's live state for this reader? */
  isThere(scope: string, key: string, entry: Entry): boolean {
    if (isDormant(entry.timer)) return false;
    if (this.room.gated.size === 0) return true;
    // The agent first: it sees the room without what is its own.
    const keeper = this.keeperOf(scope, key, entry);
    if (keeper !== undefined && !this.isAgentThere(keeper)) return false;
    return entry.enabled === undefined || this.isEnabled(scope, key, entry.enabled);
  }

  /** Is there anything in a scope for this reader? */
  holdsAny(scope: string): boolean {
    const { room } = this;
    const holder = room.scopes.get(scope);
    if (!holder || (room.gated.size === 0 && room.timers.pending === 0)) return !!holder;
    return holder.keys().some((key) => this.isThere(scope, key, holder.entries.get(key)!));
  }

  /** The agent whose `enabled` carries over to an entry. */
  private keeperOf(scope: string, key: string, entry: Entry): string | undefined {
    if (isPrivateScope(scope)) return scope;
    if (scope === "_messages") return (entry.value as { from?: string }).from;
    if (scope !== "_actions") return undefined;
    const owner = this.room.action(key)?.scope;
    return owner !== undefined && isPrivateScope(owner) ? owner : undefined;
  }

  /** Is the agent in the room's live state? Agents that never joined do not stand in the way. */
  isAgentThere(agent: string): boolean {
    const entry = this.room.get("_agents", agent);
    if (entry?.enabled === undefined) return true;
    this.read(cellOf("_agents", agent));
    return this.isEnabled("_agents", agent, entry.enabled);
  }

  private isEnabled(scope: string, key: string, source: string): boolean {
    const cell = cellOf(scope, key);
    this.read(cell);
    const memos = this.live.memos;
    const base = `enabled:${cell}`;
    const mine = `${base}\u0001${this.viewer}`;
    const memo = memos.get<boolean>(base) ?? memos.get<boolean>(mine);
    if (memo) {
      if (memo.key === mine && this.tracker) this.tracker.readsSelf = true;
      return memo.value;
    }
    if (memos.computing.has(base)) return false;
    const tracker = new Tracker();
    memos.computing.add(base);
    try {
      const authority = this.authorityOf(scope, key);
      const eyes = scopeEyes(this.room, authority, this.viewer);
      if (isPrivateScope(authority)) tracker.cells.add(cellOf("_agents", authority));
      const holds = this.as(eyes, tracker).holds(programOf(source, "enabled"), tracker);
      // Its own cell, too: another expression, scope or sender is another answer.
      tracker.cells.add(cell);
      memos.keep(tracker.readsSelf ? mine : base, holds, tracker.cells, this.room.head);
      if (tracker.readsSelf && this.tracker) this.tracker.readsSelf = true;
      return holds;
    } finally {
      memos.computing.delete(base);
    }
  }

  /** The scope whose rights an `enabled` has: the thing's own, a message's sender's. */
  private authorityOf(scope: string, key: string): string {
    if (scope === "_agents") return key;
    if (scope === "_actions") return this.room.action(key)?.scope ?? "_shared";
    if (scope === "_views") return this.room.view(key)?.scope ?? "_shared";
    if (scope === "_messages") return this.room.message(Number(key))?.from ?? "_shared";
    return scope;
  }

  private holds(program: Program, tracker: Tracker): boolean {
    try {
      // A passing input that got past the check at registration: time is what timers are for.
      const budget = new Budget(ENABLED_STEPS_MAX);
      return this.evaluate(program, budget) === true && tracker.seen.size === 0;
    } catch (error) {
      if (error instanceof CelError || error instanceof CelTooExpensive) return false;
      throw error;
    }
  }

  /** Evaluates with this reader's variables. Throws `CelError`, `CelTooExpensive`. */
  evaluate(program: Program, budget: Budget = new Budget()): Value {
    return evaluate(program, this.env(budget));
  }

  /** The variables and helpers of an evaluation. */
  env(budget: Budget): Env {
    return {
      budget,
      root: (name) => this.root(name),
      call: (name, args) => callHelper(this, name, args),
    };
  }

  private root(name: string): Value | undefined {
    if (name === "now") {
      this.passVolatile("now", iso(this.now));
      return Timestamp.fromMillis(this.now);
    }
    if (name === "self") {
      if (this.tracker) this.tracker.readsSelf = true;
      return this.eyes.self;
    }
    const roots = this.#roots ??= new Map();
    if (roots.has(name)) return roots.get(name);
    const value = this.makeRoot(name);
    roots.set(name, value);
    return value;
  }

  private makeRoot(name: string): Value | undefined {
    switch (name) {
      case "state":
        return new StateMap(this);
      case "views":
        return new ViewsMap(this);
      case "agents":
        return new AgentsMap(this);
      case "actions":
        return new ActionsMap(this);
      case "messages":
        return new MessagesMap(this);
      case "room":
        return new RoomMap(this);
      case "memory":
        return new MemoryMap(this);
      case "params":
        return this.params as Value | undefined;
      default:
        return undefined;
    }
  }

  /** Ids of the views that are there for this reader, `_contested` included when there is one. */
  viewIds(): string[] {
    this.read(scopeCell("_views"));
    const scope = this.room.scopes.get("_views");
    const ids = (scope?.keys() ?? []).filter((id) =>
      this.isThere("_views", id, scope!.entries.get(id)!)
    );
    return this.contested.size > 0 ? ["_contested", ...ids] : [...ids];
  }

  /** A view's value as of now; undefined when it is not there for this reader. */
  view(id: string): ViewResult | undefined {
    this.read(`view:${id}`);
    if (id === "_contested") return this.contestedView();
    const entry = this.entry("_views", id);
    if (!entry) return undefined;
    const kept = this.#views?.get(id) ?? this.live.memos.get<ViewResult>(`view:${id}`)?.value;
    if (kept) {
      this.noteVolatile(id, kept);
      return kept;
    }
    const result = this.computeView(id, entry.value as unknown as ViewDefinition);
    this.noteVolatile(id, result);
    return result;
  }

  /** What each contested target's actions are, as far as they are there for this reader. */
  get contested(): ReadonlyMap<string, readonly string[]> {
    this.read(scopeCell("_actions"));
    const { contested, gated, timers } = this.room;
    if (contested.size === 0 || (gated.size === 0 && timers.pending === 0)) return contested;
    return this.#contested ??= contestedAmong(
      contested,
      (id) => this.entry("_actions", id) !== undefined,
    );
  }

  private contestedView(): ViewResult | undefined {
    if (this.contested.size === 0) return undefined;
    const value = Object.fromEntries(
      [...this.contested].map(([target, ids]) => [target, [...ids]]),
    );
    return { value, isVolatile: false };
  }

  private noteVolatile(id: string, result: ViewResult): void {
    if (result.isVolatile) this.passVolatile(`views.${id}.value`, result.value);
  }

  private computeView(id: string, definition: ViewDefinition): ViewResult {
    const memos = this.live.memos;
    const key = `view:${id}`;
    if (memos.computing.has(key)) {
      return failedView(
        "view_cycle",
        `The view "${id}" reads itself.`,
        "Break the circle of views.",
      );
    }
    const tracker = new Tracker();
    tracker.cells.add(cellOf("_views", id));
    // What its scope's agent may read hangs on its grants.
    if (isPrivateScope(definition.scope)) tracker.cells.add(cellOf("_agents", definition.scope));
    memos.computing.add(key);
    try {
      const { scope, memory_of } = definition;
      const eyes = remembering(scopeEyes(this.room, scope), this.room, scope, memory_of);
      const sight = new Sight(this.live, eyes, this.now, tracker, undefined, this.pool, eyes.self);
      const result = { ...sight.viewValue(definition), isVolatile: tracker.isVolatile };
      // What failed because others had taken the look's steps is no result of the view's.
      const isCut = this.pool.spent > this.pool.steps;
      if (result.isVolatile || isCut) (this.#views ??= new Map()).set(id, result);
      else memos.keep(key, result, tracker.cells, this.room.head);
      return result;
    } finally {
      memos.computing.delete(key);
    }
  }

  private viewValue(definition: ViewDefinition): ViewResult {
    const budget = new Budget();
    try {
      this.pool.spend(VIEW_STEPS);
      const program = programOf(definition.expr, "view");
      const value = plain(this.evaluate(program, budget));
      return { value: toJson(value, budget), isVolatile: false };
    } catch (error) {
      if (error instanceof CelTooExpensive) {
        return failedView("cel_too_expensive", "The expression takes too many steps.");
      }
      if (error instanceof CelError) return failedView("cel_error", error.detail, error.hint);
      throw error;
    } finally {
      this.pool.spent += budget.spent;
    }
  }
}

/** The contests that are left among those actions. */
function contestedAmong(
  contested: ReadonlyMap<string, readonly string[]>,
  isThere: (id: string) => boolean,
): Map<string, string[]> {
  const left = new Map<string, string[]>();
  for (const [target, all] of contested) {
    const ids = all.filter(isThere);
    if (ids.length > 1) left.set(target, ids);
  }
  return left;
}

function failedView(code: string, message: string, hint?: string): ViewResult {
  return {
    value: null,
    error: { code, message, ...(hint === undefined ? {} : { hint }) },
    isVolatile: false,
  };
}

/** A result that is an entry counts as its value. */
export function plain(value: Value): Value {
  return value instanceof EntryMap ? (value as CelMap).get("value") ?? null : value;
}

export { actionEyes, callerEyes, type Eyes, memoryMark, ownEyes, scopeEyes } from "./sight/eyes.ts";
export { Tracker } from "./sight/memos.ts";
export { grantsOf };
