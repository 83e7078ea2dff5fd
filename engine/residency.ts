/** Which rooms are in memory: loaded when somebody asks, let go when nobody has for a while. */
import { HOT_BYTES_MAX, HOT_ROOMS_MAX, IDEMPOTENCY_MS, ROOM_IDLE_MS } from "../limits.ts";
import { roomNotFound } from "../policy.ts";
import type { Store } from "../store.ts";
import type { HotRoom } from "./hot.ts";
import type { EngineMeters } from "./meters.ts";
import { hotFromRows } from "./rows.ts";
import type { Clock } from "./types.ts";

/** The rooms in memory. */
export class Residency {
  readonly byUid = new Map<string, HotRoom>();
  readonly #byName = new Map<string, HotRoom>();
  readonly #loading = new Map<string, Promise<HotRoom>>();
  #cancelSweep: (() => void) | undefined;
  #isClosing = false;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly meters: EngineMeters,
    private readonly onAdmit: (hot: HotRoom) => void,
  ) {}

  /** The room of this name, if it is in memory. */
  known(id: string): HotRoom | undefined {
    const hot = this.#byName.get(id);
    return hot && !hot.isDead ? hot : undefined;
  }

  /** The room of this name, loaded once for all who ask meanwhile. Throws `room_not_found`. */
  load(id: string): Promise<HotRoom> {
    let loading = this.#loading.get(id);
    if (!loading) {
      loading = this.meters.load(() => this.read(id)).finally(() => this.#loading.delete(id));
      this.#loading.set(id, loading);
    }
    return loading;
  }

  private async read(id: string): Promise<HotRoom> {
    const row = await this.store.findRoom(id);
    if (!row) throw roomNotFound(id);
    const now = this.clock.now();
    const hot = hotFromRows(await this.store.loadRoom(row, now - IDEMPOTENCY_MS), now);
    // News that came during the look were for rooms in memory.
    hot.isUnsure = this.store.pulses[this.store.shardOf(row.uid)] !== undefined;
    this.admit(hot);
    return hot;
  }

  /** Takes a room into memory. */
  admit(hot: HotRoom): void {
    this.byUid.set(hot.room.uid, hot);
    this.#byName.set(hot.room.id, hot);
    this.onAdmit(hot);
    this.arm();
  }

  /** Takes a room out of memory; it is loaded again when somebody asks for it. */
  release(hot: HotRoom): void {
    hot.isDead = true;
    if (this.byUid.get(hot.room.uid) === hot) this.byUid.delete(hot.room.uid);
    if (this.#byName.get(hot.room.id) === hot) this.#byName.delete(hot.room.id);
  }

  /** Stops looking for idle rooms. */
  stop(): void {
    this.#isClosing = true;
    this.#cancelSweep?.();
  }

  private arm(): void {
    if (this.#isClosing || this.byUid.size === 0) return;
    this.#cancelSweep ??= this.clock.after(ROOM_IDLE_MS / 4, () => {
      this.#cancelSweep = undefined;
      this.sweep();
      this.arm();
    });
  }

  /** Lets go of rooms that nobody has used for a while, and of more when memory is short. */
  private sweep(): void {
    const now = this.clock.now();
    const rooms = [...this.byUid.values()];
    let bytes = rooms.reduce((sum, hot) => sum + hot.room.valueBytes, 0);
    const idle = rooms.filter((hot) => hot.pins === 0 && hot.pending.length === 0)
      .sort((a, b) => a.lastUsed - b.lastUsed);
    for (const hot of idle) {
      const isShort = this.byUid.size > HOT_ROOMS_MAX || bytes > HOT_BYTES_MAX;
      const isIdle = now - hot.lastUsed >= ROOM_IDLE_MS;
      if (!isShort && !isIdle) break;
      if (hot.dirtyPresence.size > 0) continue;
      this.meters.evictions.of(isIdle ? "idle" : "memory").inc();
      bytes -= hot.room.valueBytes;
      this.release(hot);
    }
  }
}
