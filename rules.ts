/**
 * Rules that several nouns share: how much a room holds, who may touch which scope, and that no
 * two things decide about each other's being there.
 */
import type { Acting } from "./auth.ts";
import { CelError, type Program } from "./cel.ts";
import { jsonBytes } from "./canonical.ts";
import { SyncError } from "./errors.ts";
import {
  ROOM_ACTIONS_MAX,
  ROOM_AGENTS_MAX,
  ROOM_BYTES_MAX,
  ROOM_KEYS_MAX,
  ROOM_MESSAGES_MAX,
  ROOM_VIEWS_MAX,
  VALUE_BYTES_MAX,
} from "./limits.ts";
import { grantsOf, isCustomScope, isPrivateScope } from "./policy.ts";
import { cellOf, splitCell } from "./room/changes.ts";
import type { Room } from "./room.ts";
import { programOf } from "./sight/programs.ts";
import type { Json } from "./types.ts";

/** Refuses a value larger than an entry may hold. Throws `too_large`. */
export function mustFitValue(value: Json, field: string): number {
  const bytes = jsonBytes(value);
  if (bytes <= VALUE_BYTES_MAX) return bytes;
  throw new SyncError(
    "too_large",
    `"${field}" is too large: a value takes at most ${VALUE_BYTES_MAX} bytes.`,
    {
      field,
      limit: VALUE_BYTES_MAX,
      actual: bytes,
    },
  );
}

const COUNTED = {
  keys: { max: ROOM_KEYS_MAX, count: (room: Room) => room.keyCount },
  bytes: { max: ROOM_BYTES_MAX, count: (room: Room) => room.valueBytes },
  actions: {
    max: ROOM_ACTIONS_MAX,
    count: (room: Room) => room.scopes.get("_actions")?.entries.size ?? 0,
  },
  views: {
    max: ROOM_VIEWS_MAX,
    count: (room: Room) => room.scopes.get("_views")?.entries.size ?? 0,
  },
  agents: {
    max: ROOM_AGENTS_MAX,
    count: (room: Room) => room.scopes.get("_agents")?.entries.size ?? 0,
  },
  messages: {
    max: ROOM_MESSAGES_MAX,
    count: (room: Room) => room.scopes.get("_messages")?.entries.size ?? 0,
  },
} as const;

/** Refuses to add more than a room may hold. Throws `limit_exceeded`. */
export function mustStayWithinLimits(room: Room, what: keyof typeof COUNTED, adding: number): void {
  const { max, count } = COUNTED[what];
  if (adding <= 0 || count(room) + adding <= max) return;
  throw new SyncError("limit_exceeded", `The room holds at most ${max} ${what}.`, {
    limit: max,
    what,
    hint: "Delete what is no longer needed, or use another room.",
  });
}

/** Who registers: an admin, a collaborator, or anybody else. */
export type Standing = "admin" | "collaborator" | "participant";

/** The standing of a caller in a room. */
export function standingOf(acting: Acting): Standing {
  if (acting.isAdmin) return "admin";
  const { role } = acting.access;
  return role === "owner" || role === "collaborator" ? "collaborator" : "participant";
}

/** Has the caller authority over what is scoped to `scope`? */
export function hasAuthority(room: Room, acting: Acting, scope: string): boolean {
  if (acting.isAdmin) return true;
  if (isPrivateScope(scope)) {
    const grants = grantsOf(room, acting.agent);
    return scope === acting.agent || grants.includes(scope) || grants.includes("*");
  }
  if (scope !== "_shared" && !isCustomScope(scope)) return false;
  return room.settings.vocabulary === "open" || standingOf(acting) !== "participant";
}

/** Refuses to register under a scope that the caller has no authority over. Throws `scope_denied`. */
export function mustHaveAuthority(room: Room, acting: Acting, scope: string): void {
  if (hasAuthority(room, acting, scope)) return;
  throw new SyncError(
    "scope_denied",
    `"${acting.agent}" has no authority over the scope "${scope}".`,
    {
      scope,
      hint: isPrivateScope(scope)
        ? `Register it under your own scope ("${acting.agent}"), or ask an admin to grant you "${scope}".`
        : `The vocabulary of this room is closed: register under your own scope ("${acting.agent}").`,
    },
  );
}

/** A thing with an `enabled` expression, about to be written. */
export interface Gated {
  readonly scope: string;
  readonly key: string;
  readonly enabled: string;
}

/**
 * Refuses a write that would let things decide about each other's being there in a circle.
 * Reading a whole scope counts for every gated thing in it. Throws `enabled_cycle {path}`.
 */
export function mustNotCycle(
  room: Room,
  gated: readonly Gated[],
  views: ReadonlyMap<string, Program> = new Map(),
): void {
  const added = new Map(gated.map((g) => [cellOf(g.scope, g.key), g.enabled]));
  const graph = new EnabledGraph(room, added, views);
  const starts = [...added.keys()];
  if (views.size > 0 && room.gated.size > 0) starts.push(...room.gated);
  for (const start of starts) {
    const path = graph.circleFrom(start);
    if (!path) continue;
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
}

class EnabledGraph {
  constructor(
    private readonly room: Room,
    private readonly added: ReadonlyMap<string, string>,
    private readonly views: ReadonlyMap<string, Program>,
  ) {}

  /** A circle through `start`, if there is one. */
  circleFrom(start: string): string[] | undefined {
    const visited = new Set<string>();
    const walk = (cell: string, path: readonly string[]): string[] | undefined => {
      for (const next of this.readsOf(cell)) {
        if (next === start) return [...path, next];
        if (visited.has(next)) continue;
        visited.add(next);
        const found = walk(next, [...path, next]);
        if (found) return found;
      }
      return undefined;
    };
    return walk(start, [start]);
  }

  private gatedCells(): Set<string> {
    return new Set([...this.room.gated, ...this.added.keys()]);
  }

  /** Gated things and views that a cell's own expression reads. */
  private readsOf(cell: string): Set<string> {
    const reads = new Set<string>();
    const [scope, key] = splitCell(cell);
    if (scope === "_views") {
      const program = this.views.get(key) ?? safely(this.room.view(key)?.expr, "view");
      if (program) this.collect(program, this.room.view(key)?.scope ?? "", cell, reads);
    }
    const enabled = this.added.get(cell) ?? this.room.get(scope, key)?.enabled;
    const program = safely(enabled, "enabled");
    if (program) this.collect(program, isPrivateScope(scope) ? scope : "", cell, reads);
    return reads;
  }

  private collect(program: Program, own: string, of: string, reads: Set<string>): void {
    for (const ref of program.refs) {
      const [first, second] = ref.path;
      if (ref.root === "state") {
        this.collectState(first === "self" ? own : first ?? null, second ?? null, of, reads);
      } else if (ref.root === "views") this.collectScope("_views", first ?? null, reads);
      else if (ref.root === "agents") this.collectScope("_agents", first ?? null, reads);
      else if (ref.root === "actions") this.collectScope("_actions", first ?? null, reads);
      else if (ref.root === "messages") this.collectScope("_messages", null, reads);
    }
  }

  private collectState(
    scope: string | null,
    key: string | null,
    of: string,
    reads: Set<string>,
  ): void {
    for (const cell of this.gatedCells()) {
      const [s, k] = splitCell(cell);
      if (s === "_agents" && (scope === null || scope === k) && cell !== of) reads.add(cell);
      if (["_views", "_actions", "_messages", "_agents"].includes(s)) continue;
      if ((scope === null || s === scope) && (key === null || k === key) && cell !== of) {
        reads.add(cell);
      }
    }
    // An entry that reads its own key sees the room without itself, so that is no circle.
  }

  private collectScope(scope: string, key: string | null, reads: Set<string>): void {
    if (scope === "_views" && key !== null) {
      reads.add(cellOf("_views", key));
      return;
    }
    for (const cell of this.gatedCells()) {
      const [s, k] = splitCell(cell);
      if (s === scope && (key === null || k === key)) reads.add(cell);
    }
    if (scope === "_views") {
      for (const id of this.room.scopes.get("_views")?.keys() ?? []) {
        reads.add(cellOf("_views", id));
      }
    }
  }
}

function safely(source: string | undefined, place: "view" | "enabled"): Program | undefined {
  if (source === undefined) return undefined;
  try {
    return programOf(source, place);
  } catch (error) {
    if (error instanceof CelError) return undefined;
    throw error;
  }
}
