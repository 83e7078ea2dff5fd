/** Server-sent events as bytes: what stands beside the records, for one kind of sight. */
import type { Acting } from "../auth.ts";
import { CelError } from "../cel.ts";
import type { Moment } from "../engine/types.ts";
import type { Room } from "../room.ts";
import { splitCell } from "../room/changes.ts";
import { callerEyes, Sight } from "../sight.ts";
import { programOf } from "../sight/programs.ts";
import { iso } from "../timers.ts";
import type { Json, JsonObject } from "../types.ts";

const encoder = new TextEncoder();

/** One event as bytes. */
export function frame(event: string, data: Json, id?: number): Uint8Array {
  const head = id === undefined ? "" : `id: ${id}\n`;
  return encoder.encode(`${head}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** How soon a client should come back. */
export function retryFrame(ms: number): Uint8Array {
  return encoder.encode(`retry: ${ms}\n\n`);
}

/** What may have changed beside the records. */
export interface Besides {
  readonly views: Set<string>;
  readonly agents: Set<string>;
  readonly actions: Set<string>;
  /** Something was written, or a view changed by itself: any gate may have opened or shut. */
  mayOpenGates: boolean;
}

/** What a set of cells that read differently may have changed. */
export function besidesOf(cells: Iterable<string>): Besides {
  const besides: Besides = {
    views: new Set(),
    agents: new Set(),
    actions: new Set(),
    mayOpenGates: false,
  };
  for (const cell of cells) {
    if (cell.startsWith("presence:")) besides.agents.add(cell.slice("presence:".length));
    else if (cell.startsWith("view:")) besides.views.add(cell.slice("view:".length));
    besides.mayOpenGates ||= cell.includes("\u0000") || cell.startsWith("view:");
    if (!cell.includes("\u0000")) continue;
    const [scope, key] = splitCell(cell);
    if (key === "") continue;
    if (scope === "_agents") besides.agents.add(key);
    else if (scope === "_views") besides.views.add(key);
    else if (scope === "_actions") besides.actions.add(key);
  }
  // Which targets are contested hangs on the actions.
  if (besides.actions.size > 0) besides.views.add("_contested");
  return besides;
}

/** Everything, for a reader that has come from behind. */
export function allBesides(room: Room): Besides {
  const keys = (scope: string): Set<string> => new Set(room.scopes.get(scope)?.keys() ?? []);
  return {
    views: keys("_views"),
    agents: keys("_agents"),
    actions: keys("_actions"),
    mayOpenGates: true,
  };
}

/** The events for a reader: views and presence by value, actions by id. */
export function besidesFor(
  { hot, room, now }: Moment,
  acting: Acting,
  besides: Besides,
): Uint8Array[] {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  const seq = room.head;
  const views = viewsFor(sight, besides.views);
  const agents = presenceFor(sight, hot, besides.agents);
  const ids = actionsFor(sight, besides);
  const chunks: Uint8Array[] = [];
  if (Object.keys(views).length > 0) chunks.push(frame("views", { seq, views }));
  if (Object.keys(agents).length > 0) chunks.push(frame("presence", { seq, agents }));
  if (ids.length > 0) chunks.push(frame("actions", { seq, ids }));
  return chunks;
}

function viewsFor(sight: Sight, ids: ReadonlySet<string>): JsonObject {
  const views: JsonObject = {};
  for (const id of ids) {
    const view = sight.view(id);
    if (view) views[id] = { value: view.value, ...(view.error ? { error: view.error.code } : {}) };
    else if (id !== "_contested") views[id] = { gone: true };
  }
  return views;
}

function presenceFor(sight: Sight, hot: Moment["hot"], ids: ReadonlySet<string>): JsonObject {
  const agents: JsonObject = {};
  for (const id of ids) {
    const entry = sight.entry("_agents", id);
    if (!entry || sight.room.agent(id)!.left_at !== undefined) {
      agents[id] = { gone: true };
      continue;
    }
    const presence = hot.presence.get(id);
    const waiting = hot.waitingOn(id) ?? null;
    agents[id] = {
      status: waiting === null ? presence?.status ?? "active" : "waiting",
      waiting_on: waiting,
      last_heartbeat: iso(presence?.lastHeartbeat ?? entry.updatedAt),
    };
  }
  return agents;
}

/** Ids of what was written itself, and of all that a gate stands before which may have turned. */
function actionsFor({ room }: Sight, { actions, agents, mayOpenGates }: Besides): string[] {
  const ids = new Set(actions);
  const mayTurn = mayOpenGates || agents.size > 0;
  for (const id of mayTurn ? room.scopes.get("_actions")?.keys() ?? [] : []) {
    const { if: gate, enabled } = room.action(id)!;
    const isGated = gate !== undefined || enabled !== undefined;
    if (isGated && (mayOpenGates || readsPresence(gate))) ids.add(id);
  }
  return [...ids].sort();
}

function readsPresence(gate: string | undefined): boolean {
  if (gate === undefined) return false;
  try {
    return programOf(gate, "action").passing.includes("presence");
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}
