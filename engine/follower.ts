/**
 * Following what other processes write to the same database: a room is caught up when somebody
 * asks for it, and now and then while somebody waits in it.
 */
import { SyncError } from "../errors.ts";
import { FOLLOW_MS } from "../limits.ts";
import type { Store } from "../store.ts";
import type { HotRoom } from "./hot.ts";
import type { Change, Clock } from "./types.ts";

/** Whom the follower tells. */
export interface FollowEvents {
  /** Another process has ended the room. */
  onEnded(hot: HotRoom): void;
  /** The room stands at what others have written. */
  onFollowed(hot: HotRoom, change: Change): void;
}

/** Follows the rooms in memory. */
export class Follower {
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly rooms: ReadonlyMap<string, HotRoom>,
    private readonly events: FollowEvents,
  ) {
    if (store.db.isShared) this.arm();
  }

  /** Looks no more by itself. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** The room at what the database held when this was called, or later; looks are shared. */
  async catchUp(hot: HotRoom): Promise<void> {
    const look = (): Promise<void> =>
      hot.looking = this.follow(hot).finally(() => hot.looking = undefined);
    if (!hot.looking) return await look();
    hot.nextLook ??= hot.looking.catch(() => undefined).then(() => {
      hot.nextLook = undefined;
      return look();
    });
    await hot.nextLook;
  }

  private async follow(hot: HotRoom): Promise<void> {
    const row = await this.store.findRoomByUid(hot.room.uid);
    if (!row) return this.events.onEnded(hot);
    if (row.head <= hot.durable || hot.pending.length > 0) return;
    const records = await this.store.readLog(hot.room.uid, { after: hot.durable });
    if (hot.pending.length > 0) return;
    // A log that was cut beyond where this room stands cannot be followed: the room is loaded anew.
    if (records[0]?.seq !== hot.room.head + 1) return this.events.onEnded(hot);
    const cells = new Set<string>(["head"]);
    for (const record of records) {
      if (record.seq !== hot.room.head + 1) continue;
      const { touched } = hot.room.apply(record);
      hot.room.hash = record.hash;
      for (const cell of hot.memos.invalidate(touched)) cells.add(cell);
    }
    hot.settleDurable(hot.room.head);
    this.events.onFollowed(hot, { records, cells });
  }

  private arm(): void {
    if (!this.#isStopped) this.#cancel = this.clock.after(FOLLOW_MS, () => void this.turn());
  }

  /** One look at the heads of all rooms in which somebody waits. */
  private async turn(): Promise<void> {
    const watched = [...this.rooms.values()].filter((hot) => hot.pins > 0);
    try {
      const heads = watched.length > 0
        ? await this.store.headsOf(watched.map((hot) => hot.room.uid))
        : new Map<string, number>();
      for (const hot of watched) {
        if ((heads.get(hot.room.uid) ?? Infinity) > hot.durable) await this.catchUp(hot);
      }
    } catch (error) {
      // The database is away; the next turn looks again.
      if (!(error instanceof SyncError)) throw error;
    }
    this.arm();
  }
}
