/**
 * Rooms as they were, kept beside the log: a base where a log begins, and caches to fold from.
 * Caches are written off the request's way, once a room has grown by as many records as it has
 * keys, so that they cost as much as the log itself and no more.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { canonical } from "./canonical.ts";
import type { Engine } from "./engine.ts";
import type { Change } from "./engine/types.ts";
import { type HotRoom, TailDropped } from "./engine/hot.ts";
import { SyncError } from "./errors.ts";
import { SNAPSHOT_PART_CHARS, SNAPSHOT_RECORDS } from "./limits.ts";
import type { Room } from "./room.ts";
import type { Store } from "./store.ts";
import {
  findSnapshot,
  readSnapshotPart,
  saveSnapshot,
  type SnapshotKind,
  type SnapshotRow,
} from "./store/snapshots.ts";
import type { Entry, JsonObject, Millis } from "./types.ts";

/** An entry with its place. */
export type Placed = readonly [scope: string, key: string, entry: Entry];

/** Where a log begins: stored with the room, named by digest in a record. */
export interface Base {
  /** The last record that the snapshot has folded. */
  readonly seq: number;
  readonly hash: string;
  readonly ts: string;
  /** Digest of the snapshot, salted so that nothing can be guessed from it. */
  readonly snapshot: string;
  readonly salt: string;
  /** Uid of the room that the log goes on from. */
  readonly origin?: string;
  /** The server's signature, where the log before the base is gone. */
  readonly signature?: string;
  /** The public key that it was made with, as hex. */
  readonly key?: string;
}

/** The base of a room; undefined when its log begins with its first record. */
export function baseOf(room: Room): Base | undefined {
  return room.base === null ? undefined : room.base as unknown as Base;
}

/** A base as readers of the room see it. */
export function showBase(base: Base | undefined): JsonObject | null {
  if (!base) return null;
  const { salt: _salt, origin: _origin, ...shown } = base;
  return shown as unknown as JsonObject;
}

/** Every entry of a room as it is now, in the order of scopes and keys. */
export function placedEntries(room: Room): Placed[] {
  const placed: Placed[] = [];
  for (const scope of [...room.scopes.keys()].sort()) {
    const { entries } = room.scopes.get(scope)!;
    for (const key of [...entries.keys()].sort()) placed.push([scope, key, entries.get(key)!]);
  }
  return placed;
}

/** Gives the event loop a turn. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const BREATH = 500;

/** SHA-256 over the salt and the canonical line of each entry. */
export async function digestOf(placed: readonly Placed[], salt: string): Promise<string> {
  const hash = createHash("sha256").update(`${salt}\n`);
  for (let i = 0; i < placed.length; i++) {
    hash.update(`${canonical(placed[i])}\n`);
    if (i % BREATH === BREATH - 1) await breathe();
  }
  return hash.digest("hex");
}

async function* partsOf(placed: readonly Placed[]): AsyncIterable<Uint8Array> {
  let lines: string[] = [], chars = 0;
  for (const entry of placed) {
    const line = JSON.stringify(entry);
    lines.push(line);
    chars += line.length;
    if (chars < SNAPSHOT_PART_CHARS) continue;
    yield pack(lines);
    lines = [];
    chars = 0;
    await breathe();
  }
  if (lines.length > 0) yield pack(lines);
}

function pack(lines: readonly string[]): Uint8Array {
  return new Uint8Array(gzipSync(Buffer.from(`[${lines.join(",")}]`), { level: 1 }));
}

/** Writes a snapshot of entries that a room had after record `seq`. */
export async function keepSnapshot(
  store: Store,
  uid: string,
  at: {
    readonly seq: number;
    readonly kind: SnapshotKind;
    readonly ts: Millis;
    readonly hash: string;
  },
  placed: readonly Placed[],
): Promise<void> {
  await saveSnapshot(store, uid, at, partsOf(placed));
}

/** Puts a snapshot's entries into an empty room and sets its head. */
export async function restoreSnapshot(store: Store, room: Room, row: SnapshotRow): Promise<void> {
  for (let part = 0; part < row.parts; part++) {
    const body = await readSnapshotPart(store, room.uid, row, part);
    if (!body) throw new SyncError("unavailable", "A snapshot of the room lacks a part.");
    for (const [scope, key, entry] of JSON.parse(gunzipSync(body).toString()) as Placed[]) {
      room.place(scope, key, entry);
    }
    if (part + 1 < row.parts) await breathe();
  }
  room.head = row.seq;
  room.hash = row.hash;
  room.ts = row.ts;
  room.removalsFrom = row.seq;
}

/** What is known of a hot room's newest snapshot. */
interface Progress {
  newest: number | undefined;
  isBusy: boolean;
}

/** Writes caches as rooms grow. */
export class Snapshotter {
  readonly #progress = new WeakMap<HotRoom, Progress>();
  readonly #running = new Set<Promise<void>>();

  constructor(private readonly engine: Engine) {
    engine.onChange((hot, change) => this.noteChange(hot, change));
  }

  private noteChange(hot: HotRoom, change: Change): void {
    if (change.records.length === 0 || change.ended || this.engine.isClosing) return;
    const { room } = hot;
    let progress = this.#progress.get(hot);
    if (!progress) this.#progress.set(hot, progress = { newest: undefined, isBusy: false });
    const since = progress.newest ?? baseOf(room)?.seq ?? 0;
    if (progress.isBusy || room.head - since < Math.max(SNAPSHOT_RECORDS, room.keyCount)) return;
    progress.isBusy = true;
    const running = this.write(hot, progress).finally(() => {
      progress.isBusy = false;
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  private async write(hot: HotRoom, progress: Progress): Promise<void> {
    const { store } = this.engine;
    const { room } = hot;
    try {
      if (progress.newest === undefined) {
        progress.newest = (await findSnapshot(store, room.uid, room.head))?.seq ?? 0;
        if (room.head - progress.newest < Math.max(SNAPSHOT_RECORDS, room.keyCount)) return;
      }
      // Entries are replaced, never changed: the list stays what it was while it is written.
      const at = { seq: room.head, kind: "cache", ts: room.ts, hash: room.hash } as const;
      const placed = placedEntries(room);
      await hot.whenDurable(at.seq);
      if (hot.isDead) return;
      await keepSnapshot(store, room.uid, at, placed);
      progress.newest = at.seq;
    } catch (error) {
      // A cache that was not written is written another time.
      if (!(error instanceof SyncError || error instanceof TailDropped)) throw error;
    }
  }

  /** Waits for what is being written. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
