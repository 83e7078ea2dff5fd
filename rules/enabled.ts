/**
 * No two things decide about each other's being there. The graph of what `enabled` expressions
 * and views read, over the room as a record would leave it.
 */
import type { Program } from "../cel.ts";
import { SyncError } from "../errors.ts";
import { ENABLED_DEPTH_MAX, ROOM_ENABLED_MAX } from "../limits.ts";
import { isPrivateScope } from "../policy.ts";
import { cellOf, splitCell } from "../room/changes.ts";
import type { Room } from "../room.ts";
import { knownProgram } from "../sight/programs.ts";
import type { ActionDefinition, Json, MessageBody, ViewDefinition } from "../types.ts";
import { type Gated, mustNotPass } from "./passing.ts";

/**
 * Refuses a write that would let things decide about each other's being there in a circle.
 * Reading a whole scope counts for every gated thing in it; a thing sees the room without itself,
 * an agent without what is its own. What passes may not decide either. Throws
 * `enabled_cycle {path}`, `invalid_cel`, `limit_exceeded`.
 */
export function mustGateSoundly(room: Room, writes: readonly Gated[]): void {
  mustNotPass(room, writes);
  const added =
    writes.filter(({ scope, key, enabled }) =>
      enabled !== undefined && !room.gated.has(cellOf(scope, key))
    ).length;
  if (added > 0 && room.gated.size + added > ROOM_ENABLED_MAX) {
    throw new SyncError(
      "limit_exceeded",
      `At most ${ROOM_ENABLED_MAX} things of a room may have an "enabled".`,
      { limit: ROOM_ENABLED_MAX, what: "enabled", hint: "Delete what is no longer needed." },
    );
  }
  const graph = new EnabledGraph(room, writes);
  const { path, depth } = graph.search();
  if (path) {
    throw new SyncError(
      "enabled_cycle",
      "These things would decide about each other's being there.",
      {
        path: path.map((cell) => splitCell(cell).join(".")),
        help: "timers",
        hint: "Let one of them read something that is always there.",
      },
    );
  }
  if (depth <= ENABLED_DEPTH_MAX) return;
  throw new SyncError(
    "limit_exceeded",
    `"enabled" expressions and views build on each other over at most ${ENABLED_DEPTH_MAX} steps.`,
    { limit: ENABLED_DEPTH_MAX, what: "steps", hint: "Let them read state instead of each other." },
  );
}

class EnabledGraph {
  readonly #written: ReadonlyMap<string, Gated>;
  /** Gated things after the write, by scope. */
  readonly #gated = new Map<string, Set<string>>();
  readonly #depths = new Map<string, number>();
  readonly #order = new Map<string, number>();
  readonly #stack: string[] = [];
  #circle: string[] | undefined;

  constructor(private readonly room: Room, writes: readonly Gated[]) {
    this.#written = new Map(writes.map((write) => [cellOf(write.scope, write.key), write]));
    for (const cell of new Set([...room.gated, ...this.#written.keys()])) {
      const [scope, key] = splitCell(cell);
      if (this.enabledOf(scope, key) === undefined) continue;
      const keys = this.#gated.get(scope);
      if (keys) keys.add(key);
      else this.#gated.set(scope, new Set([key]));
    }
  }

  /** A circle with a gated thing in it, if there is one, and the longest way things build up. */
  search(): { path?: string[]; depth: number } {
    const starts = [...this.#written.keys()];
    for (const [scope, keys] of this.#gated) {
      for (const key of keys) starts.push(cellOf(scope, key));
    }
    let depth = 0;
    for (const start of starts) {
      if (!this.#order.has(start)) this.visit(start, 0);
      if (this.#circle) return { path: this.#circle, depth };
      depth = Math.max(depth, this.#depths.get(start) ?? 0);
    }
    return { depth };
  }

  /** Tarjan's walk: things that reach each other come off the stack together. */
  private visit(cell: string, level: number): number {
    const order = this.#order.size;
    this.#order.set(cell, order);
    // Deeper than is allowed anyway: what lies below need not be known.
    const reads = level > 2 * ENABLED_DEPTH_MAX ? new Set<string>() : this.readsOf(cell);
    let low = order, depth = 0;
    const place = this.#stack.push(cell) - 1;
    for (const next of reads) {
      const known = this.#order.get(next);
      if (known === undefined) low = Math.min(low, this.visit(next, level + 1));
      else if (this.#stack.includes(next)) low = Math.min(low, known);
      depth = Math.max(depth, 1 + (this.#depths.get(next) ?? 0));
    }
    this.#depths.set(cell, depth);
    if (low === order) {
      const together = this.#stack.splice(place);
      const gated = together.find((c) => this.enabledOf(...splitCell(c)) !== undefined);
      if (gated !== undefined) this.#circle ??= this.circleOf(gated, new Set(together));
    }
    return low;
  }

  /** The shortest way from a thing back to itself among things that reach each other. */
  private circleOf(start: string, among: ReadonlySet<string>): string[] | undefined {
    const from = new Map<string, string>();
    const queue = [start];
    for (let cell = queue.shift(); cell !== undefined; cell = queue.shift()) {
      for (const next of this.readsOf(cell)) {
        if (next === start) {
          const path = [start];
          for (let at = cell; at !== start; at = from.get(at)!) path.unshift(at);
          return [start, ...path];
        }
        if (!among.has(next) || from.has(next)) continue;
        from.set(next, cell);
        queue.push(next);
      }
    }
    return undefined;
  }

  private enabledOf(scope: string, key: string): string | undefined {
    const written = this.#written.get(cellOf(scope, key));
    return written ? written.enabled : this.room.get(scope, key)?.enabled;
  }

  private valueOf(scope: string, key: string): Json | undefined {
    return this.#written.get(cellOf(scope, key))?.value ?? this.room.get(scope, key)?.value;
  }

  private keysOf(scope: string): Set<string> {
    const keys = new Set(this.room.scopes.get(scope)?.keys() ?? []);
    for (const written of this.#written.values()) {
      if (written.scope === scope) keys.add(written.key);
    }
    return keys;
  }

  /** Gated things and views that a thing's own expressions read. */
  private readsOf(cell: string): Set<string> {
    const [scope, key] = splitCell(cell);
    const reads = new Set<string>();
    if (scope === "_views") {
      const view = this.valueOf(scope, key) as unknown as ViewDefinition | undefined;
      this.collect(knownProgram(view?.expr, "view"), view?.scope ?? "", reads);
    }
    const gate = knownProgram(this.enabledOf(scope, key), "enabled");
    if (!gate) return reads;
    const seen = new Set<string>();
    this.collect(gate, "", seen);
    for (const next of seen) if (!this.isOwn(scope, key, next)) reads.add(next);
    return reads;
  }

  /** Is it what the thing does not see: itself, or an agent's own? */
  private isOwn(scope: string, key: string, other: string): boolean {
    if (other === cellOf(scope, key)) return true;
    if (scope !== "_agents") return false;
    const [s, k] = splitCell(other);
    if (s === key) return true;
    const thing = this.valueOf(s, k);
    if (s === "_actions") return (thing as unknown as ActionDefinition | undefined)?.scope === key;
    return s === "_messages" && (thing as unknown as MessageBody | undefined)?.from === key;
  }

  private collect(program: Program | undefined, own: string, reads: Set<string>): void {
    for (const { root, path: [first, second, third] } of program?.refs ?? []) {
      if (root === "state") {
        this.addState(first === "self" ? own : first ?? null, second ?? null, reads);
      } else if (root === "views") this.addViews(first ?? null, reads);
      else if (root === "agents") this.addGated("_agents", first ?? null, reads);
      else if (root === "actions") {
        // With whom an action competes hangs on which others are there.
        const isOfAll = second === "_meta" && (third ?? "contested") === "contested";
        this.addActions(isOfAll ? null : first ?? null, reads);
      } else if (root === "messages") {
        this.addGated("_messages", null, reads);
        // Any agent may send one.
        this.addGated("_agents", null, reads);
      }
    }
  }

  private addGated(scope: string, key: string | null, reads: Set<string>): void {
    const keys = this.#gated.get(scope);
    if (key === null) { for (const k of keys ?? []) reads.add(cellOf(scope, k)); }
    else if (keys?.has(key)) reads.add(cellOf(scope, key));
  }

  private addState(scope: string | null, key: string | null, reads: Set<string>): void {
    if (scope === null) {
      for (const s of this.#gated.keys()) {
        if (!NOT_STATE.has(s) || s === "_agents") this.addGated(s, key, reads);
      }
      this.addGated("_agents", null, reads);
      return;
    }
    if (NOT_STATE.has(scope)) return;
    this.addGated(scope, key, reads);
    if (isPrivateScope(scope)) this.addGated("_agents", scope, reads);
  }

  private addViews(id: string | null, reads: Set<string>): void {
    const ids = id === null ? this.keysOf("_views") : [id];
    for (const view of ids) reads.add(cellOf("_views", view));
    if (id === null || id === "_contested") this.addActions(null, reads);
  }

  private addActions(id: string | null, reads: Set<string>): void {
    this.addGated("_actions", id, reads);
    for (const action of id === null ? this.keysOf("_actions") : [id]) {
      const owner = (this.valueOf("_actions", action) as unknown as ActionDefinition | undefined)
        ?.scope;
      if (owner !== undefined && isPrivateScope(owner)) this.addGated("_agents", owner, reads);
    }
  }
}

const NOT_STATE: ReadonlySet<string> = new Set(["_views", "_actions", "_messages", "_agents"]);
