/**
 * Following what other processes write to the same databases: a room is caught up when somebody
 * asks for it, and now and then while somebody waits in it. One small query tells of all rooms.
 */
import { SyncError } from "../errors.ts";
import type { Marks, Store } from "../store.ts";
import type { PresenceNews, RoomNews, Watched } from "../store/pulse.ts";
import type { Told } from "../store/rows.ts";
import type { Millis } from "../types.ts";
import type { HotRoom } from "./hot.ts";
import type { Change, Clock } from "./types.ts";

/** How long a room that others wrote to is looked after. */
const WATCH_MS = 10_000;
const WATCHED_MAX = 256;

/** Whom the follower tells. */
export interface FollowEvents {
  /** Another process has ended the room. */
  onEnded(hot: HotRoom): void;
  /** The room's log no longer goes on from where it stands here: it is to be loaded anew. */
  onOutdated(hot: HotRoom): void;
  /** The room stands at what others have written. */
  onFollowed(hot: HotRoom, change: Change): void;
  /** Somebody's rights may have changed. */
  onRights(): void;
}

/** Follows the rooms in memory. */
export class Follower {
  /** What looks next, by shard: one that is away keeps nobody else from looking. */
  readonly #cancel: (() => void)[] = [];
  #isStopped = false;
  /** Rooms that others write to as well, and until when that is remembered. */
  readonly #others = new Map<HotRoom, Millis>();
  /** Under way, by room. */
  readonly #following = new Map<HotRoom, Promise<void>>();

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly rooms: ReadonlyMap<string, HotRoom>,
    private readonly events: FollowEvents,
    /** How often it looks by itself, while somebody waits. */
    private readonly everyMs: Millis,
  ) {
    for (const [shard, pulse] of store.pulses.entries()) {
      pulse?.tell({
        watched: () => this.watched(shard),
        onNews: (uid, news) => this.noteNews(uid, news),
        onRooms: (news) => this.note(news),
        onPresence: (news) => this.notePresence(news),
        onRights: () => this.events.onRights(),
      });
    }
    for (const shard of store.pulses.keys()) if (store.pulses[shard]) this.arm(shard);
  }

  /** Looks no more by itself. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#cancel) cancel();
  }

  /** The room at what the database held when this was called, or later. Throws `unavailable`. */
  async catchUp(hot: HotRoom, since?: Marks): Promise<void> {
    const shard = this.store.shardOf(hot.room.uid);
    const pulse = this.store.pulses[shard];
    if (!pulse) return;
    await pulse.look(since?.[shard]);
    await this.follow(hot);
  }

  /** A race was lost to these records: the room stands where they leave it. Throws `unavailable`. */
  async takeNews(hot: HotRoom, news: Told | undefined): Promise<void> {
    if (this.#following.has(hot) || hot.isDead || !news) return await this.catchUp(hot);
    if (news.records[0]?.seq !== hot.room.head + 1) return await this.catchUp(hot);
    this.noteOthers(hot);
    this.take(hot, news);
  }

  /** Others have written, somebody says: whoever waits there is told at once. */
  async hint(shards: readonly number[]): Promise<void> {
    await Promise.all(shards.map((shard) => this.look(shard)));
  }

  private note(news: readonly RoomNews[]): void {
    for (const { uid, head, deletedAt } of news) {
      const hot = this.rooms.get(uid);
      if (!hot) continue;
      if (deletedAt !== null) this.events.onEnded(hot);
      else {
        hot.headElsewhere = Math.max(hot.headElsewhere, head);
        if (hot.isBehind) this.noteOthers(hot);
      }
    }
  }

  /** Others write to this room, too: for a while looks bring along what they write. */
  private noteOthers(hot: HotRoom): void {
    this.#others.delete(hot);
    this.#others.set(hot, this.clock.now() + WATCH_MS);
    for (const oldest of this.#others.keys()) {
      if (this.#others.size <= WATCHED_MAX) break;
      this.#others.delete(oldest);
    }
  }

  private watched(shard: number): Watched[] {
    const now = this.clock.now();
    const found: Watched[] = [];
    for (const [hot, until] of this.#others) {
      if (until < now || hot.isDead) this.#others.delete(hot);
      else if (this.store.shardOf(hot.room.uid) === shard) found.push([hot.room.uid, hot.durable]);
    }
    return found;
  }

  private noteNews(uid: string, { records, idempotent }: Told): void {
    const hot = this.rooms.get(uid);
    if (!hot || !hot.isBehind || hot.isUnsure || this.#following.has(hot)) return;
    // What has been followed since the look began is left out.
    const fresh = records.filter(({ seq }) => seq > hot.room.head);
    if (fresh[0]?.seq === hot.room.head + 1) this.take(hot, { records: fresh, idempotent });
  }

  /** What is newer there than here is taken over; what was read stays read. */
  private notePresence(news: readonly PresenceNews[]): void {
    for (const { room, agent, data } of news) {
      const hot = this.rooms.get(room);
      if (!hot) continue;
      const here = hot.presenceOf(agent, data.lastHeartbeat);
      const cells: string[] = [];
      if (data.lastHeartbeat > here.lastHeartbeat || data.status !== here.status) {
        if (data.lastHeartbeat >= here.lastHeartbeat) {
          here.status = data.status;
          here.lastHeartbeat = data.lastHeartbeat;
          cells.push(`presence:${agent}`);
        }
      }
      if (data.read > here.read) cells.push(`unread:${agent}`);
      here.read = Math.max(here.read, data.read);
      here.seen = Math.max(here.seen, data.seen);
      if (cells.length > 0) {
        this.events.onFollowed(hot, { records: [], cells: hot.memos.invalidate(cells, false) });
      }
    }
  }

  /** The room at what is known of it, whenever that was learnt. Throws `unavailable`. */
  follow(hot: HotRoom): Promise<void> {
    if (hot.isDead || !hot.mayBeBehind || hot.pending.length > 0) {
      return Promise.resolve();
    }
    let following = this.#following.get(hot);
    if (!following) {
      following = this.readOn(hot).finally(() => this.#following.delete(hot));
      this.#following.set(hot, following);
    }
    return following;
  }

  private async readOn(hot: HotRoom): Promise<void> {
    const { uid } = hot.room;
    while (!hot.isDead && hot.mayBeBehind) {
      const news = await this.store.readNews(uid, hot.durable);
      // A record of our own is on its way: it loses, and the room follows after that.
      if (hot.pending.length > 0 || hot.isDead) return;
      const wasUnsure = hot.isUnsure;
      hot.isUnsure &&= !news.isAll;
      if (wasUnsure && news.records.length === 0) continue;
      if (news.records[0]?.seq !== hot.room.head + 1) return this.events.onOutdated(hot);
      this.take(hot, news);
    }
  }

  private take(hot: HotRoom, { records, idempotent }: Told): void {
    for (const { key, digest, seq, ts } of idempotent) {
      hot.idempotent.set(key, { digest, seq, ts, ended: Promise.resolve() });
    }
    const cells = new Set<string>(["head"]);
    for (const record of records) {
      const { touched } = hot.room.apply(record);
      hot.room.hash = record.hash;
      hot.unfolded.note(touched, record.seq);
      for (const cell of hot.memos.invalidate(touched)) cells.add(cell);
    }
    hot.unfolded.followed(hot.room.head);
    hot.settleDurable(hot.room.head);
    this.events.onFollowed(hot, { records, cells });
  }

  private arm(shard: number): void {
    if (this.#isStopped) return;
    this.#cancel[shard] = this.clock.after(this.everyMs, () => void this.turn(shard));
  }

  /** A look at a database with rooms in which somebody waits, or with the tokens of those who do. */
  private async turn(shard: number): Promise<void> {
    const isWaitedFor = ({ room, pins }: HotRoom): boolean =>
      pins > 0 && (shard === 0 || this.store.shardOf(room.uid) === shard);
    if ([...this.rooms.values()].some(isWaitedFor)) await this.look(shard);
    this.arm(shard);
  }

  private async look(shard: number): Promise<void> {
    try {
      await this.store.pulses[shard]?.look();
      const behind = [...this.rooms.values()].filter((hot) =>
        hot.pins > 0 && hot.mayBeBehind && this.store.shardOf(hot.room.uid) === shard
      );
      await Promise.all(behind.map((hot) => this.follow(hot)));
    } catch (error) {
      // The database is away; the next turn looks again.
      if (!(error instanceof SyncError)) throw error;
    }
  }
}
