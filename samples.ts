/**
 * Values of rendered views over time, for sparklines: at most one a second, after a record that
 * the view reads, the newest thousand. Taken off the request's way; a crash loses a second of them.
 */
import type { Engine } from "./engine.ts";
import type { HotRoom } from "./engine/hot.ts";
import type { Change } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { SAMPLE_BYTES_MAX, SAMPLE_EVERY_MS, SAMPLES_KEPT } from "./limits.ts";
import { cellOf } from "./room/changes.ts";
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
  /** Something it reads has changed since. */
  isDue: boolean;
}

/** A room's views and the one alarm that is set for them. */
interface WatchedRoom {
  readonly views: Map<string, Watched>;
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
    let soonest = Infinity;
    const now = this.engine.clock.now();
    for (const view of watched.views.values()) {
      view.isDue ||= isTouched(view.cells, change.cells);
      if (view.isDue) soonest = Math.min(soonest, view.sampledAt + SAMPLE_EVERY_MS - now);
    }
    if (soonest < Infinity) this.arm(hot, watched, Math.max(0, soonest));
  }

  /** What is watched in a room; the list is made anew when its views change. */
  private watched(hot: HotRoom, change: Change): WatchedRoom {
    const known = this.#rooms.get(hot);
    if (known && !change.cells.has(scopeCell("_views"))) return known;
    const watched = known ?? { views: new Map<string, Watched>(), isArmed: false };
    const ids = new Set(renderedViews(hot));
    for (const id of watched.views.keys()) if (!ids.has(id)) watched.views.delete(id);
    for (const id of ids) {
      if (watched.views.has(id)) continue;
      watched.views.set(id, { cells: new Set(), sampledAt: -Infinity, isDue: true });
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
    let next = Infinity;
    for (const [id, view] of watched.views) {
      if (!view.isDue) continue;
      const left = view.sampledAt + SAMPLE_EVERY_MS - now;
      if (left > 0) {
        next = Math.min(next, left);
        continue;
      }
      view.isDue = false;
      view.sampledAt = now;
      this.sample(hot, id, view, Math.max(now, room.ts));
    }
    if (next < Infinity) this.arm(hot, watched, next);
    void this.flush();
  }

  private sample(hot: HotRoom, id: string, view: Watched, now: Millis): void {
    const tracker = new Tracker();
    const result = new Sight(hot, callerEyes(hot.room, "", false), now, tracker).view(id);
    // A view that is kept tells of its change by its name, a volatile one by what it reads.
    view.cells = tracker.isVolatile ? readCells(hot, id) : tracker.cells;
    if (!result || result.error) return;
    const value = JSON.stringify(result.value);
    if (value.length > SAMPLE_BYTES_MAX) return;
    this.#rows.push({ room: hot.room.uid, view: id, seq: hot.room.head, ts: hot.room.ts, value });
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
