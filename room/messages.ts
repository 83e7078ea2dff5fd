/**
 * The messages of a room in the order in which they became visible, those of one record by seq, and
 * the open tasks. Kept by the fold; who may see what is decided above.
 */
import { isDormant } from "../timers.ts";
import type { Entry, MessageBody } from "../types.ts";

/** A message's place: `order` is the record that made it visible. */
export interface MessagePlace {
  readonly order: number;
  readonly seq: number;
  readonly from: string;
  readonly to?: readonly string[];
  /** The record that last changed how it shows. */
  readonly touched: number;
}

/** Messages by the record that showed them. */
export class MessageIndex {
  readonly #places: MessagePlace[] = [];
  /** Live `kind:"task"` messages that nobody holds. */
  readonly openTasks = new Set<number>();

  /** Every visible message, oldest first. Callers must not change the list. */
  get places(): readonly MessagePlace[] {
    return this.#places;
  }

  /** Follows an entry's replacement. */
  replace(seq: number, old: Entry | undefined, next: Entry | undefined): void {
    const was = old && placeOf(seq, old), is = next && placeOf(seq, next);
    if (was && was.order === is?.order) this.#places[this.indexOf(was)] = is;
    else {
      if (was) this.#places.splice(this.indexOf(was), 1);
      if (is) this.insert(is);
    }
    if (is && isOpenTask(next!)) this.openTasks.add(seq);
    else this.openTasks.delete(seq);
  }

  /**
   * Index of the first message that became visible after record `after`; of those that this very
   * record showed, the first one beyond `seq`.
   */
  firstAfter(after: number, seq = Infinity): number {
    let low = 0, high = this.#places.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      const place = this.#places[mid]!;
      if (place.order < after || (place.order === after && place.seq <= seq)) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  private insert(place: MessagePlace): void {
    const at = this.firstAfter(place.order, place.seq);
    if (at === this.#places.length) this.#places.push(place);
    else this.#places.splice(at, 0, place);
  }

  /** Where a place is that is there. */
  private indexOf({ order, seq }: MessagePlace): number {
    return this.firstAfter(order, seq - 1);
  }
}

function placeOf(seq: number, entry: Entry): MessagePlace | undefined {
  if (isDormant(entry.timer)) return undefined;
  const { from, to } = entry.value as unknown as MessageBody;
  const { shown, touched } = entry;
  return { order: shown ?? seq, seq, from, touched, ...(to === undefined ? {} : { to }) };
}

function isOpenTask(entry: Entry): boolean {
  const message = entry.value as unknown as MessageBody;
  return message.kind === "task" && !message.claimed_by;
}
