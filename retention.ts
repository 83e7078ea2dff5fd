/**
 * Rooms that keep only so much of their log: what lies before is folded into a snapshot that the
 * server signs, the log names it by digest, and its records go. `_config/retention` says how much.
 */
import { canonical } from "./canonical.ts";
import type { Engine } from "./engine.ts";
import { type HotRoom, TailDropped } from "./engine/hot.ts";
import type { Change } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { IDEMPOTENCY_MS } from "./limits.ts";
import { roomAt } from "./replay.ts";
import { SYSTEM_ACTOR } from "./room.ts";
import { isSignedBy, type Signer } from "./signing.ts";
import { type Base, baseOf, breathe, digestOf, keepSnapshot, placedEntries } from "./snapshots.ts";
import {
  cutLog,
  firstIdempotentSince,
  lastRecordBefore,
  purgeLogPiece,
} from "./store/snapshots.ts";
import { iso } from "./timers.ts";
import type { Json, JsonObject, Millis } from "./types.ts";

/** How much of its log a room keeps: at least so many records, and all younger than so long. */
export interface RetentionPolicy {
  readonly records?: number;
  readonly ms?: number;
}

/** A room's policy; undefined when it keeps everything. */
export function policyOf({ room }: HotRoom): RetentionPolicy | undefined {
  const value = room.get("_config", "retention")?.value;
  return value !== null && typeof value === "object" && !Array.isArray(value)
    ? value as RetentionPolicy
    : undefined;
}

/** The text that a base's signature is made over. */
export function baseText({ seq, hash, ts, snapshot }: Base): string {
  return `sync-room-base\n${canonical({ seq, hash, ts, snapshot })}`;
}

/** Is a base signed by the key it names, or a kind of base that needs no signature? */
export function isBaseSigned(base: Base): boolean {
  if (base.signature === undefined) return true;
  return isSignedBy(base.key ?? "", baseText(base), base.signature);
}

/** Records that are cut at once; fewer are not worth the work. */
const CUT_LEAST = 10;
/** By age is looked at most once in this time. */
const LOOK_EVERY_MS = 60_000;

/** Cuts logs as rooms grow. */
export class Retention {
  readonly #busy = new Set<HotRoom>();
  readonly #lookedAt = new WeakMap<HotRoom, Millis>();
  readonly #running = new Set<Promise<void>>();

  constructor(private readonly engine: Engine, private readonly signer: () => Promise<Signer>) {
    engine.onChange((hot, change) => this.noteChange(hot, change));
  }

  private noteChange(hot: HotRoom, change: Change): void {
    if (change.records.length === 0 || change.ended || this.engine.isClosing) return;
    const policy = policyOf(hot);
    if (!policy || this.#busy.has(hot) || !this.isDue(hot, policy)) return;
    this.#busy.add(hot);
    const running = this.cut(hot, policy).finally(() => {
      this.#busy.delete(hot);
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  /** Is there half as much again as the policy keeps, so that cutting pays? */
  private isDue(hot: HotRoom, { records, ms }: RetentionPolicy): boolean {
    const base = baseOf(hot.room);
    const held = hot.room.head - (base?.seq ?? 0);
    if (records !== undefined && held < records + Math.max(CUT_LEAST, records / 2)) return false;
    if (ms === undefined) return true;
    const now = this.engine.clock.now();
    if (now - (this.#lookedAt.get(hot) ?? 0) < Math.min(LOOK_EVERY_MS, ms)) return false;
    this.#lookedAt.set(hot, now);
    return now - (base ? Date.parse(base.ts) : hot.room.createdAt) >= ms * 1.5;
  }

  private async cut(hot: HotRoom, policy: RetentionPolicy): Promise<void> {
    try {
      await hot.whenDurable(hot.room.head);
      const seq = await this.lastToGo(hot, policy);
      const from = baseOf(hot.room)?.seq ?? 0;
      if (seq - from >= CUT_LEAST && !hot.isDead) await this.cutAt(hot, seq, policy);
    } catch (error) {
      // What was not cut now is cut after a later record.
      if (!(error instanceof SyncError || error instanceof TailDropped)) throw error;
    }
  }

  /** The newest record that may go: by number, by age, and no Idempotency-Key that is still good. */
  private async lastToGo(hot: HotRoom, { records, ms }: RetentionPolicy): Promise<number> {
    const { store, clock } = this.engine;
    const { uid } = hot.room;
    let seq = hot.durable - 1;
    if (records !== undefined) seq = Math.min(seq, hot.durable - records);
    if (ms !== undefined) seq = Math.min(seq, await lastRecordBefore(store, uid, clock.now() - ms));
    const kept = await firstIdempotentSince(store, uid, clock.now() - IDEMPOTENCY_MS);
    return kept === undefined ? seq : Math.min(seq, kept - 1);
  }

  private async cutAt(hot: HotRoom, seq: number, policy: RetentionPolicy): Promise<void> {
    const { store, clock } = this.engine;
    const { room: live } = hot;
    const past = await roomAt(store, live, seq);
    const placed = placedEntries(past);
    const base = await this.signed({
      ...originOf(live.base),
      seq,
      hash: past.hash,
      ts: iso(past.ts),
      salt: clock.nonce(),
      snapshot: "",
    }, placed);
    const at = { seq, kind: "base", ts: past.ts, hash: past.hash } as const;
    await keepSnapshot(store, live.uid, at, placed);
    const named = { seq, hash: base.hash, snapshot: base.snapshot };
    await this.engine.submit(live.id, () => ({
      draft: {
        kind: "base",
        agent: "_system",
        actor: SYSTEM_ACTOR,
        params: { base: named, retention: policy as unknown as JsonObject },
      },
      reply: () => undefined,
    }));
    await cutLog(store, live.uid, seq, base as unknown as Json);
    live.base = base as unknown as Json;
    while (await purgeLogPiece(store, live.uid, seq)) await breathe();
  }

  private async signed(base: Base, placed: Parameters<typeof digestOf>[0]): Promise<Base> {
    const signer = await this.signer();
    const whole = { ...base, snapshot: await digestOf(placed, base.salt), key: signer.publicKey };
    return { ...whole, signature: signer.sign(baseText(whole)) };
  }

  /** Waits for what is being cut. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

function originOf(base: Json): { origin?: string } {
  const origin = (base as JsonObject | null)?.["origin"];
  return typeof origin === "string" ? { origin } : {};
}
