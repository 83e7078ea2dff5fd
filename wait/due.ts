/** What is to be judged, by room: gathered until its turn comes, and left over from the turn before. */
import type { HotRoom } from "../engine/hot.ts";
import type { Change } from "../engine/types.ts";
import type { LogRecord } from "../types.ts";

/** What is to be judged in a room. */
export interface Due<G> {
  /** Whatever reads these has to be judged. */
  readonly cells: Set<string>;
  readonly records: LogRecord[];
  /** Groups to judge whatever they read. */
  readonly groups: Set<G>;
  /** Records that those groups have been due for since an earlier turn. */
  readonly behind: LogRecord[];
}

/** The rooms in which something is to be judged. */
export class DueRooms<G> {
  #rooms = new Map<HotRoom, Due<G>>();

  private in(hot: HotRoom): Due<G> {
    const known = this.#rooms.get(hot);
    if (known) return known;
    const due: Due<G> = { cells: new Set(), records: [], groups: new Set(), behind: [] };
    this.#rooms.set(hot, due);
    return due;
  }

  /** Whatever a change may have made true. */
  note(hot: HotRoom, change: Change): void {
    const due = this.in(hot);
    for (const cell of change.cells) due.cells.add(cell);
    due.records.push(...change.records);
  }

  /** These groups, with the records that they are due for. */
  add(hot: HotRoom, groups: Iterable<G>, behind: readonly LogRecord[] = []): void {
    const due = this.in(hot);
    for (const group of groups) due.groups.add(group);
    due.behind.push(...behind);
  }

  /** All there is, which is then no longer due. */
  take(): [HotRoom, Due<G>][] {
    const rooms = [...this.#rooms];
    this.#rooms = new Map();
    return rooms;
  }
}
