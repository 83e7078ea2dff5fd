/** A dry run: everything but a change. */
import type { Acting } from "../auth.ts";
import type { Program } from "../cel.ts";
import type { Command, Moment } from "../engine/types.ts";
import type { Engine } from "../engine.ts";
import { canReadScope } from "../policy.ts";
import { callerEyes, Sight } from "../sight.ts";
import { availabilityOf } from "../sight/availability.ts";
import { metaOf } from "../sight/meta.ts";
import type { Json, JsonObject, Write } from "../types.ts";
import { actingFor } from "./acting.ts";
import { mayKnowAction } from "./could.ts";
import type { InvokeReply, InvokeRequest } from "./request.ts";

/** Writes as the reply shows them: values as the next read will, nothing of scopes one may not read. */
export function shownWrites(
  { hot, room, now }: Moment,
  acting: Acting,
  writes: readonly Write[],
): Json[] {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  return writes.map((write): JsonObject => {
    const { scope, key, op } = write;
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) return { hidden: true };
    const entry = room.get(scope, key);
    if (!entry) return { scope, key, value: null, deleted: true };
    const mode = op === "set" ? {} : { op };
    return {
      scope,
      key,
      value: entry.value,
      ...mode,
      _meta: metaOf(sight, scope, key, entry, "focus"),
    };
  });
}

/** A dry run: everything but a change. */
export async function rehearse(
  engine: Engine,
  request: InvokeRequest,
  named: string | undefined,
  command: Command<JsonObject>,
): Promise<InvokeReply> {
  let before = new Map<string, boolean>();
  const actingIn = (moment: Moment): Acting => actingFor(request, moment, named);
  const noting: Command<JsonObject> = (moment) => {
    before = availableNow(moment, actingIn(moment));
    return command(moment);
  };
  const { value, seq } = await engine.rehearse(request.room, noting, (moment, record, cells) => {
    const acting = actingIn(moment);
    const writes = (record?.writes ?? []).filter((write) => write.op !== "cooldown");
    const after = availableNow(moment, acting);
    const ids = [...new Set([...before.keys(), ...after.keys()])].sort();
    const changed = ids.filter((id) => before.get(id) !== after.get(id));
    return {
      dry_run: true,
      would_invoke: true,
      action: request.action,
      agent: acting.agent,
      writes: shownWrites(moment, acting, writes),
      ...(record?.result === undefined ? {} : { result: record.result }),
      actions_changed: changed.map((id) => ({
        id,
        available: after.get(id) ?? null,
        was: before.get(id) ?? null,
      })),
      views_changed: [...cells].filter((cell) => cell.startsWith("view:")).map((cell) =>
        cell.slice(5)
      ).sort(),
      ...wouldWake(moment, acting, cells),
    };
  });
  return { status: 200, body: value, seq, replayed: false };
}

/** Which actions the caller could invoke at this moment. */
function availableNow({ hot, room, now }: Moment, acting: Acting): Map<string, boolean> {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  const available = new Map<string, boolean>();
  for (const id of room.scopes.get("_actions")?.keys() ?? []) {
    const entry = sight.entry("_actions", id);
    if (entry) available.set(id, availabilityOf(sight, id, room.action(id)!, entry).available);
  }
  return available;
}

/** Waits that would be answered: by name where they read only what the caller may read, else counted. */
function wouldWake(moment: Moment, acting: Acting, cells: ReadonlySet<string>): JsonObject {
  const woken: JsonObject[] = [];
  let hidden = 0;
  for (const [agent, waits] of moment.hot.waits) {
    for (const wait of waits) {
      if (![...wait.cells()].some((cell) => cells.has(cell)) || !wait.wouldHold(moment)) continue;
      const isReadable = (wait.program?.refs ?? []).every((ref) =>
        isReadableRef(moment, acting, ref, agent)
      );
      if (isReadable) woken.push({ agent, condition: wait.condition });
      else hidden++;
    }
  }
  return { waits_woken: woken, waits_woken_hidden: hidden };
}

/** May the caller read what a wait of `agent` reads by this path? */
export function isReadableRef(
  { hot, room, now }: Moment,
  acting: Acting,
  ref: Program["refs"][number],
  agent: string,
): boolean {
  if (ref.root === "memory") return agent === acting.agent && !acting.isBorrowed;
  if (ref.root === "actions" && agent !== acting.agent) {
    const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
    return mayKnowAction(sight, ref.path[0], acting);
  }
  if (ref.root !== "state") return true;
  const scope = ref.path[0] === "self" ? agent : ref.path[0];
  return typeof scope === "string" && canReadScope(room, acting.agent, acting.seesAll, scope);
}
