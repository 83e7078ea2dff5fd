/**
 * A room in memory: the fold at its tail, what is pending on the way to the database, and the
 * live data beside the log.
 */
import type { Program } from "../cel.ts";
import type { SyncError } from "../errors.ts";
import { PRESENCE_WRITE_MS, REFUSALS_BYTES_MAX, REFUSALS_MAX } from "../limits.ts";
import type { Applied, Room } from "../room.ts";
import type { ActorsPort } from "../sight/actors.ts";
import { Memos } from "../sight/memos.ts";
import type { LiveRoom } from "../sight.ts";
import type { LogRow, RoomCommit, SideStatement } from "../store/rows.ts";
import type { Json, LogRecord, Millis, Presence } from "../types.ts";
import { Unfolded } from "./unfolded.ts";

/** Thrown to whoever looked at a tail that did not become durable: look again. */
export class TailDropped extends Error {
  override readonly name = "TailDropped";
}

/** One applied record on its way to the database. */
export interface Pending {
  readonly record: LogRecord;
  readonly ts: Millis;
  readonly applied: Applied;
  /** Cells that may read differently since. */
  readonly cells: ReadonlySet<string>;
  readonly side: readonly SideStatement[];
  idem?: LogRow["idem"];
  readonly created?: RoomCommit["created"];
}

/** An open wait of an agent, as presence and salience see it. */
export interface OpenWait {
  readonly condition: string;
  readonly program: Program | undefined;
  readonly since: Millis;
  readonly isVolatile: () => boolean;
  /** The cells it read when it was last judged. */
  readonly cells: () => Iterable<string>;
  /** Would it be answered at this moment? */
  readonly wouldHold: (
    moment: { readonly hot: HotRoom; readonly room: Room; readonly now: Millis },
  ) => boolean;
}

/** An agent's open waits, oldest first. */
export class OpenWaits extends Set<OpenWait> {
  #programs: readonly Program[] | undefined;

  override add(wait: OpenWait): this {
    this.#programs = undefined;
    return super.add(wait);
  }

  override delete(wait: OpenWait): boolean {
    this.#programs = undefined;
    return super.delete(wait);
  }

  /** Their compiled conditions. */
  get programs(): readonly Program[] {
    return this.#programs ??= [...this].flatMap(({ program }) => program ? [program] : []);
  }
}

/** A refused invocation: changes nothing, so it is no history. */
export interface Refusal {
  readonly ts: string;
  readonly agent: string;
  readonly action: string;
  readonly params: Json;
  readonly error: Json;
}

/** What is known of a request with an Idempotency-Key. */
export interface Idempotent {
  readonly digest: string;
  readonly ts: Millis;
  /** Its record; undefined while the request is under way. */
  seq?: number;
  /** Settles when the request has ended, whichever way. */
  readonly ended: Promise<void>;
}

/** A room in memory. */
export class HotRoom implements LiveRoom {
  readonly memos = new Memos();
  readonly presence: Map<string, Presence> = new Map();
  readonly isPast: boolean = false;
  /** What is known of actors, once the service knows any. */
  actors: ActorsPort | undefined = undefined;
  readonly idempotent = new Map<string, Idempotent>();
  readonly refusals: Refusal[] = [];
  readonly #refusalSizes: number[] = [];
  #refusalBytes = 0;
  /** Refused invocations by action, since the room was loaded. */
  readonly refusedCount = new Map<string, number>();
  readonly waits = new Map<string, OpenWaits>();
  /** Waits that timed out a moment ago still count as waiting when a stall is judged. */
  readonly lateWaits = new Map<string, { readonly condition: string; readonly until: Millis }>();
  readonly dirtyPresence = new Set<string>();
  /** When an agent's sign of life was last told to those who watch it. */
  readonly heartbeatTold = new Map<string, Millis>();
  readonly #presenceWritten = new Map<string, Millis>();
  pending: Pending[] = [];
  /** The newest record that is in the database. */
  durable: number;
  /** What is in the log only. */
  readonly unfolded: Unfolded;
  /** Waits and streams that hold the room in memory. */
  pins = 0;
  lastUsed: Millis;
  /** The head when somebody last read the views; at first, when the room was loaded. */
  viewsReadAt: number;
  /** The newest record that another process is known to have written, or this one. */
  headElsewhere = 0;
  /** Loaded while others could write: what they wrote meanwhile was told to nobody here. */
  isUnsure = false;
  /** Set when the room was deleted or dropped from memory. */
  isDead = false;
  #waiters: { seq: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  /** `folded` is the record up to which the room's table is whole: its newest unless given. */
  constructor(readonly room: Room, now: Millis, folded = room.head) {
    this.durable = room.head;
    this.unfolded = new Unfolded(room, folded);
    this.viewsReadAt = room.head;
    this.lastUsed = now;
  }

  /** The condition an agent waits on now: its oldest open wait. */
  waitingOn(agent: string): string | undefined {
    for (const wait of this.waits.get(agent) ?? []) return wait.condition;
    return undefined;
  }

  /** Compiled conditions of an agent's open waits: the same list until one comes or goes. */
  openWaits(agent: string): readonly Program[] {
    return this.waits.get(agent)?.programs ?? [];
  }

  /** Is there something in the database, as far as is known, that this room has not followed yet? */
  get mayBeBehind(): boolean {
    return this.isUnsure || this.headElsewhere > this.durable;
  }

  /** Must it follow others before anything is put on its tail? That would lose, and be in the way. */
  get isBehind(): boolean {
    return this.mayBeBehind && this.pending.length === 0;
  }

  /** Resolves when record `seq` is in the database; rejects with `TailDropped` when it never will be. */
  whenDurable(seq: number): Promise<void> | undefined {
    if (seq <= this.durable) return undefined;
    return new Promise((resolve, reject) => this.#waiters.push({ seq, resolve, reject }));
  }

  /** Everything up to `seq` is in the database. */
  settleDurable(seq: number): void {
    this.durable = seq;
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.seq > seq);
    for (const waiter of waiters) if (waiter.seq <= seq) waiter.resolve();
  }

  /** Undoes everything that is not in the database; whoever waits for it is told. */
  dropTail(reason: Error | SyncError): Set<string> {
    const cells = this.takeBack(0);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(reason);
    return cells;
  }

  /** Undoes what is pending from a place on; answers the cells that read differently again. */
  takeBack(from: number): Set<string> {
    const cells = new Set<string>();
    for (const { applied } of this.pending.splice(from).reverse()) {
      applied.undo();
      for (const cell of this.memos.invalidate(applied.touched)) cells.add(cell);
    }
    return cells;
  }

  /** An agent's live data; made when there is none yet. */
  presenceOf(agent: string, now: Millis): Presence {
    let presence = this.presence.get(agent);
    if (!presence) {
      presence = { status: "active", lastHeartbeat: now, read: 0, seen: 0 };
      this.presence.set(agent, presence);
    }
    return presence;
  }

  /** Is it time to write this agent's presence again? */
  mayWritePresence(agent: string, now: Millis): boolean {
    const last = this.#presenceWritten.get(agent);
    if (last !== undefined && now - last < PRESENCE_WRITE_MS) return false;
    this.#presenceWritten.set(agent, now);
    return true;
  }

  /** Remembers a refused invocation: the newest thousand of them, and no more than so many bytes. */
  refuse(refusal: Refusal, isOfAction: boolean): void {
    const bytes = JSON.stringify(refusal).length;
    this.refusals.push(refusal);
    this.#refusalSizes.push(bytes);
    this.#refusalBytes += bytes;
    while (this.refusals.length > REFUSALS_MAX || this.#refusalBytes > REFUSALS_BYTES_MAX) {
      this.refusals.shift();
      this.#refusalBytes -= this.#refusalSizes.shift()!;
    }
    // Names that nothing has are without number.
    if (!isOfAction) return;
    this.refusedCount.set(refusal.action, (this.refusedCount.get(refusal.action) ?? 0) + 1);
  }
}
