/** The tails of rooms: what is decided is applied at once, sealed, and on its way to the database. */
import { hashOf } from "../record.ts";
import type { RoomCommit } from "../store/rows.ts";
import { iso } from "../timers.ts";
import { noteWrite } from "../tracing.ts";
import type { Draft, LogRecord, Millis } from "../types.ts";
import { type HotRoom, type Pending, TailDropped } from "./hot.ts";
import type { Clock, Decision, IdempotencyKey, Moment } from "./types.ts";

/** Applies records to rooms in memory. */
export class Tails {
  constructor(
    private readonly clock: Clock,
    /** Told when a room has records to write. */
    private readonly onKept: (hot: HotRoom) => void,
  ) {}

  /** The moment at which a command or read looks: what is due by then is recorded first. */
  moment(hot: HotRoom): Moment {
    if (hot.isDead) throw new TailDropped();
    const now = Math.max(this.clock.now(), hot.room.ts);
    hot.lastUsed = now;
    this.settle(hot, now);
    return { hot, room: hot.room, now: Math.max(now, hot.room.ts) };
  }

  /** Records everything that is due by `now`; not on a tail that others have gone beyond. */
  settle(hot: HotRoom, now: Millis): void {
    if (hot.isBehind) return;
    for (let due = hot.room.dueRecord(now); due; due = hot.room.dueRecord(now)) {
      this.keep(hot, due.draft, due.ts, { reply: () => undefined });
    }
  }

  /** Applies what was decided, and hands it on to be written; undone when its reply cannot be made. */
  keep<T>(
    hot: HotRoom,
    draft: Draft,
    now: Millis,
    decision: Decision<T>,
    idem?: IdempotencyKey,
    created?: RoomCommit["created"],
  ): { record: LogRecord; reply: T } {
    const { room } = hot;
    const unsealed = {
      ...draft,
      seq: room.head + 1,
      ts: iso(now),
      prev: room.hash,
      nonce: this.clock.nonce(),
    };
    const applied = room.apply(unsealed);
    const cells = hot.memos.invalidate(applied.touched);
    const place = hot.pending.length;
    try {
      const result = decision.result?.();
      const whole = result === undefined ? unsealed : { ...unsealed, result };
      const record = { ...whole, hash: hashOf(whole) };
      room.hash = record.hash;
      noteWrite(record);
      const pending: Pending = {
        record,
        ts: now,
        applied: created ? { ...applied, touched: new Set(room.cells()) } : applied,
        cells,
        side: decision.side ?? [],
        ...(created ? { created } : {}),
      };
      hot.pending.push(pending);
      // Ticks used up by this record end their things in the same group, before anybody looks.
      if (draft.kind !== "timer") this.settle(hot, now);
      const reply = decision.reply(record);
      if (idem) {
        const kept = decision.kept ? decision.kept(reply) : reply;
        pending.idem = { ...idem, reply: JSON.stringify(kept) };
      }
      this.onKept(hot);
      return { record, reply };
    } catch (error) {
      if (hot.pending.length > place) hot.takeBack(place);
      else {
        applied.undo();
        hot.memos.invalidate(applied.touched);
      }
      throw error;
    }
  }
}
