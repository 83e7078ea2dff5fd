/** Writes the live data of agents: each agent's at most once in ten seconds. */
import { SyncError } from "../errors.ts";
import type { Presence } from "../types.ts";
import type { HotRoom } from "./hot.ts";
import type { Clock } from "./types.ts";

/** A row of presence. */
export interface PresenceRow {
  readonly room: string;
  readonly agent: string;
  readonly data: Presence;
}

interface Due {
  readonly hot: HotRoom;
  readonly row: PresenceRow;
}

const FIRST_MS = 1_000;
const AGAIN_MS = 2_000;

/** Gathers what has changed and writes it by and by. */
export class PresenceWriter {
  #cancel: (() => void) | undefined;
  #isClosing = false;

  constructor(
    private readonly clock: Clock,
    private readonly rooms: ReadonlyMap<string, HotRoom>,
    /** Writes rows of rooms that are in one database. */
    private readonly write: (rows: readonly PresenceRow[]) => Promise<void>,
    private readonly shardOf: (room: string) => number,
  ) {}

  /** Notes that an agent's live data has changed. */
  note(hot: HotRoom, agent: string): void {
    hot.dirtyPresence.add(agent);
    this.arm(FIRST_MS);
  }

  private arm(ms: number): void {
    if (!this.#isClosing) this.#cancel ??= this.clock.after(ms, () => void this.flush());
  }

  /** Writes what is due; with `all`, everything, for the last time. */
  async flush(all = false): Promise<void> {
    this.#isClosing ||= all;
    this.#cancel?.();
    this.#cancel = undefined;
    const now = this.clock.now();
    const rows: Due[] = [];
    let isLeft = false;
    for (const hot of this.rooms.values()) {
      for (const agent of [...hot.dirtyPresence]) {
        if (!all && !hot.mayWritePresence(agent, now)) {
          isLeft = true;
          continue;
        }
        hot.dirtyPresence.delete(agent);
        const data = hot.presence.get(agent);
        if (!data) continue;
        rows.push({ hot, row: { room: hot.room.uid, agent, data } });
      }
    }
    if (isLeft) this.arm(AGAIN_MS);
    const byShard = Map.groupBy(rows, ({ row }) => this.shardOf(row.room));
    await Promise.all([...byShard.values()].map((some) => this.store(some)));
  }

  private async store(rows: readonly Due[]): Promise<void> {
    try {
      await this.write(rows.map(({ row }) => row));
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      // The database is away: what was to be written stays to be written.
      for (const { hot, row } of rows) hot.dirtyPresence.add(row.agent);
      this.arm(AGAIN_MS);
    }
  }
}
