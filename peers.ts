/**
 * Hints between instances: one that has written tells the others at once, and they look sooner
 * than they would by themselves. A hint says nothing of what was written, and losing one costs
 * time only.
 */
import { timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import { sha256 } from "./canonical.ts";
import type { Clock } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { PEER_PAUSE_MS, PEER_TIMEOUT_MS } from "./limits.ts";

/** Where a peer takes hints. */
export const HINT_PATH = "/_wake";

/** Sends a hint; resolves to whether it was taken. */
type Send = (origin: string, shards: readonly number[]) => Promise<boolean>;

/** One other instance: at most one hint is on its way to it. */
class Peer {
  readonly #due = new Set<number>();
  #isBusy = false;

  constructor(
    private readonly origin: string,
    private readonly send: Send,
    private readonly clock: Clock,
  ) {}

  note(shard: number): void {
    this.#due.add(shard);
    if (!this.#isBusy) void this.run();
  }

  private async run(): Promise<void> {
    this.#isBusy = true;
    while (this.#due.size > 0) {
      const shards = [...this.#due];
      this.#due.clear();
      if (await this.send(this.origin, shards)) continue;
      // It is away: what it misses meanwhile it finds by looking.
      await new Promise<void>((resolve) => void this.clock.after(PEER_PAUSE_MS, resolve));
      this.#due.clear();
    }
    this.#isBusy = false;
  }
}

/** The other instances. */
export class Peers {
  readonly #peers: readonly Peer[];

  constructor(
    private readonly engine: Engine,
    private readonly config: { readonly peers: readonly string[]; readonly peerToken?: string },
  ) {
    const send: Send = (origin, shards) => this.send(origin, shards);
    this.#peers = config.peers.map((origin) => new Peer(origin, send, engine.clock));
    if (this.#peers.length > 0) {
      engine.onWritten = (uid) => {
        const shard = engine.store.shardOf(uid);
        for (const peer of this.#peers) peer.note(shard);
      };
    }
  }

  private async send(origin: string, shards: readonly number[]): Promise<boolean> {
    try {
      const response = await fetch(`${origin}${HINT_PATH}`, {
        method: "POST",
        headers: {
          "Authorization": `Bearer ${this.config.peerToken}`,
          "Content-Type": "application/json",
        },
        body: JSON.stringify({ shards }),
        signal: AbortSignal.timeout(PEER_TIMEOUT_MS),
      });
      await response.body?.cancel();
      return response.ok;
    } catch (error) {
      // Refused, unreachable or too slow.
      if (error instanceof TypeError || error instanceof DOMException) return false;
      throw error;
    }
  }

  /** Lets other instances in. Throws `not_found` for whoever is none: nothing of theirs is read. */
  mustBePeer(authorization: string | undefined): void {
    const { peerToken } = this.config;
    const isPeer = peerToken !== undefined && authorization !== undefined &&
      isSame(authorization, `Bearer ${peerToken}`);
    if (!isPeer) throw new SyncError("not_found", "There is nothing here.");
  }

  /** Takes a hint. Throws `invalid_argument`. */
  take(body: unknown): void {
    const { shards } = (body ?? {}) as { shards?: unknown };
    const most = this.engine.store.shards.length;
    const isShard = (shard: unknown): shard is number =>
      Number.isInteger(shard) && Number(shard) >= 0 && Number(shard) < most;
    if (!Array.isArray(shards) || !shards.every(isShard)) {
      throw new SyncError("invalid_argument", `"shards" lists numbers from 0 to ${most - 1}.`, {
        field: "shards",
        example: { shards: [0] },
      });
    }
    void this.engine.hint(shards);
  }
}

function isSame(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(sha256(a)), Buffer.from(sha256(b)));
}
