/**
 * Values of rendered views over time, for sparklines: at most one a second, after a record that
 * the view reads, the newest thousand. Taken off the request's way; a crash loses a second of them.
 */
import type { Engine } from "./engine.ts";
import type { HotRoom } from "./engine/hot.ts";
import type { Change } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { SAMPLE_BYTES_MAX, SAMPLE_EVERY_MS, SAMPLES_KEPT } from "./limits.ts";
import { cellOf, splitCell } from "./room/changes.ts";
import type { Room } from "./room.ts";
import { callerEyes, Sight, Tracker } from "./sight.ts";
import { scopeCell } from "./sight/memos.ts";
import { programOf } from "./sight/programs.ts";
import { breathe } from "./snapshots.ts";
import type { Store } from "./store.ts";
import { insertSamples, listSamples, type SampleRow } from "./store/samples.ts";
import { iso } from "./timers.ts";
import type { JsonObject, Millis } from "./types.ts";

/** What is known of one view of one hot room. */
interface Watched {
  /** The cells it read when it was last sampled. */
  cells: ReadonlySet<string>;
  sampledAt: Millis;
  /** The instant that its newest sample names. */
  ts: Millis;
  /** Something it reads has changed since, or what it reads is not known yet. */
  due: Due | undefined;
}

/** The records that made a view due. */
interface Due {
  readonly from: number;
  /** The newest of them; undefined when they may have touched nothing that the view reads. */
  readonly last: number | undefined;
}

/** A room's views and the one alarm that is set for them. */
interface WatchedRoom {
  readonly views: Map<string, Watched>;
  /** The instants of the records since the first that a view is due for. */
  readonly times: Map<number, string>;
  isArmed: boolean;
}

/** Takes samples as rooms change. */
export class Sampler {
  readonly #rooms = new WeakMap<HotRoom, WatchedRoom>();
  readonly #alarms = new Set<() => void>();
  #rows: SampleRow[] = [];
  #isFlushing = false;

  constructor(private readonly engine: Engine) {
    engine.onChange((hot, change) => this.noteChange(hot, change));
  }

  private noteChange(hot: HotRoom, change: Change): void {
    if (change.records.length === 0 || change.ended || hot.isDead) return;
    const watched = this.watched(hot, change);
    const from = change.records[0]!.seq, last = change.records.at(-1)!.seq;
    let soonest = Infinity;
    const now = this.engine.clock.now();
    for (const view of watched.views.values()) {
      if (!view.due && isTouched(view.cells, change.cells)) view.due = { from, last };
      if (view.due) soonest = Math.min(soonest, view.sampledAt + SAMPLE_EVERY_MS - now);
    }
    if (soonest === Infinity) return;
    for (const { seq, ts } of change.records) watched.times.set(seq, ts);
    this.arm(hot, watched, Math.max(0, soonest));
  }

  /** What is watched in a room; the list is made anew when its views change. */
  private watched(hot: HotRoom, change: Change): WatchedRoom {
    const known = this.#rooms.get(hot);
    if (known && !change.cells.has(scopeCell("_views"))) return known;
    const watched = known ?? { views: new Map(), times: new Map(), isArmed: false };
    const ids = new Set(renderedViews(hot));
    for (const id of watched.views.keys()) if (!ids.has(id)) watched.views.delete(id);
    for (const id of ids) {
      if (watched.views.has(id)) continue;
      const due = { from: change.records[0]!.seq, last: undefined };
      watched.views.set(id, { cells: new Set(), sampledAt: -Infinity, ts: -Infinity, due });
    }
    this.#rooms.set(hot, watched);
    return watched;
  }

  private arm(hot: HotRoom, watched: WatchedRoom, ms: Millis): void {
    if (watched.isArmed || this.engine.isClosing) return;
    watched.isArmed = true;
    const cancel = this.engine.clock.after(ms, () => {
      this.#alarms.delete(cancel);
      watched.isArmed = false;
      if (!hot.isDead && !this.engine.isClosing) this.take(hot, watched);
    });
    this.#alarms.add(cancel);
  }

  private take(hot: HotRoom, watched: WatchedRoom): void {
    const { room } = hot;
    // Only what is durable is sampled: a dropped tail leaves no trace.
    if (hot.durable < room.head) return this.arm(hot, watched, 5);
    const now = this.engine.clock.now();
    let next = Infinity, from = Infinity;
    for (const [id, view] of watched.views) {
      const { due } = view;
      if (!due) continue;
      const left = view.sampledAt + SAMPLE_EVERY_MS - now;
      if (left > 0) {
        next = Math.min(next, left);
        from = Math.min(from, due.from);
        continue;
      }
      view.due = undefined;
      this.sample(hot, id, view, due, watched.times);
    }
    for (const seq of watched.times.keys()) if (seq < from) watched.times.delete(seq);
    if (next < Infinity) this.arm(hot, watched, next);
    void this.flush();
  }

  private sample(
    hot: HotRoom,
    id: string,
    view: Watched,
    due: Due,
    times: ReadonlyMap<number, string>,
  ): void {
    const { room } = hot;
    const now = this.engine.clock.now();
    const tracker = new Tracker();
    const result = new Sight(
      hot,
      callerEyes(room, "", false),
      Math.max(now, room.ts),
      tracker,
    ).view(id);
    // A view that is kept tells of its change by its name, a volatile one by what it reads.
    view.cells = tracker.isVolatile ? readCells(hot, id) : tracker.cells;
    const reads = tracker.isVolatile ? view.cells : hot.memos.cellsBehind(`view:${id}`);
    const touched = newestTouching(room, reads);
    // What is read through `enabled` changes without being written.
    const seq = touched >= due.from && times.has(touched) ? touched : due.last;
    if (seq === undefined) return;
    view.sampledAt = now;
    if (!result || result.error) return;
    const value = JSON.stringify(result.value);
    if (value.length > SAMPLE_BYTES_MAX) return;
    // One that had to wait for its turn shows what still was a second after the one before.
    view.ts = Math.max(Date.parse(times.get(seq)!), view.ts + SAMPLE_EVERY_MS);
    this.#rows.push({ room: room.uid, view: id, seq, ts: view.ts, value });
  }

  /** Takes no more, and writes what was taken. */
  async close(): Promise<void> {
    for (const cancel of this.#alarms) cancel();
    this.#alarms.clear();
    while (this.#isFlushing) await breathe();
    await this.flush();
  }

  /** Writes what was taken. */
  async flush(): Promise<void> {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    try {
      while (this.#rows.length > 0) {
        const rows = this.#rows;
        this.#rows = [];
        await insertSamples(this.engine.store, rows, SAMPLES_KEPT);
      }
    } catch (error) {
      // Samples are a convenience: without a database they are not kept.
      if (!(error instanceof SyncError)) throw error;
    } finally {
      this.#isFlushing = false;
    }
  }
}

function isTouched(cells: ReadonlySet<string>, changed: ReadonlySet<string>): boolean {
  for (const cell of changed) if (cells.has(cell)) return true;
  return false;
}

/** The newest record that wrote, changed or removed what stands under one of these cells. */
function newestTouching(room: Room, cells: ReadonlySet<string>): number {
  let newest = 0;
  for (const cell of cells) {
    // What any record may change.
    if (cell === "head" || cell === "scopes") return room.head;
    if (!cell.includes("\u0000")) continue;
    const [scope, key] = splitCell(cell);
    const { touched = 0 } = (key === "" ? room.scopes.get(scope) : room.get(scope, key)) ?? {};
    newest = Math.max(newest, touched);
  }
  for (let i = room.removals.length - 1; i >= 0 && room.removals[i]!.seq > newest; i--) {
    const { scope, key, seq } = room.removals[i]!;
    if (cells.has(cellOf(scope, key)) || cells.has(scopeCell(scope))) newest = seq;
  }
  return newest;
}

/** The cells that a view reads by its text; `head` for what any record may change. */
function readCells({ room }: HotRoom, id: string): Set<string> {
  const { expr, scope: owner } = room.view(id)!;
  const cells = new Set([cellOf("_views", id)]);
  for (const { root, path: [first, key] } of programOf(expr, "view").refs) {
    const scope = first === "self" ? owner : first;
    if (root === "now" || root === "self" || root === "room") continue;
    if (root !== "state" || typeof scope !== "string") cells.add("head");
    else cells.add(typeof key === "string" ? cellOf(scope, key) : scopeCell(scope));
  }
  return cells;
}

function renderedViews({ room }: HotRoom): string[] {
  const ids = room.scopes.get("_views")?.keys() ?? [];
  return ids.filter((id) => room.view(id)?.render !== undefined);
}

/** The newest samples of a view, oldest first. */
export async function showSamples(
  store: Store,
  uid: string,
  view: string,
  limit: number,
): Promise<JsonObject> {
  const { samples, total } = await listSamples(store, uid, view, limit);
  return {
    view,
    samples: samples.map(({ seq, ts, value }) => ({ seq, ts: iso(ts), value: JSON.parse(value) })),
    total,
    returned: samples.length,
  };
}
