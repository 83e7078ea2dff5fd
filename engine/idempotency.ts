/** Requests with an Idempotency-Key: known again for a day, also while the first one is under way. */
import { SyncError } from "../errors.ts";
import { IDEMPOTENCY_MS } from "../limits.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { HotRoom, Idempotent } from "./hot.ts";
import type { IdempotencyKey, Outcome } from "./types.ts";

/** Keys of yesterday that go when a new one comes: more than one, so that none pile up. */
const FORGOTTEN_AT_ONCE = 4;

/** A room that stays in memory would keep them for ever; the oldest stand first. */
function forgetOld({ idempotent }: HotRoom, now: Millis): void {
  let left = FORGOTTEN_AT_ONCE;
  for (const [key, { ts }] of idempotent) {
    if (left-- === 0 || ts + IDEMPOTENCY_MS > now) return;
    idempotent.delete(key);
  }
}

/** Notes a request; the answer tells which record it became, or that it became none. */
export function remember(
  hot: HotRoom,
  idem: IdempotencyKey,
  now: Millis,
): (seq: number | undefined) => void {
  forgetOld(hot, now);
  const { promise, resolve } = Promise.withResolvers<void>();
  const known: Idempotent = { digest: idem.digest, ts: now, ended: promise };
  hot.idempotent.set(idem.key, known);
  return (seq) => {
    if (seq !== undefined) known.seq = seq;
    // What another process has made of the same request meanwhile stays known.
    else if (hot.idempotent.get(idem.key) === known) hot.idempotent.delete(idem.key);
    resolve();
  };
}

/** The outcome of an earlier request with this key. Throws `idempotency_key_reused`. */
export async function knownOutcome<T>(
  store: Store,
  hot: HotRoom,
  idem: IdempotencyKey,
  now: Millis,
): Promise<Outcome<T> | undefined> {
  for (
    let known = hot.idempotent.get(idem.key);
    known;
    known = hot.idempotent.get(idem.key)
  ) {
    if (known.ts + IDEMPOTENCY_MS <= now) {
      hot.idempotent.delete(idem.key);
      return undefined;
    }
    if (known.digest !== idem.digest) {
      throw new SyncError(
        "idempotency_key_reused",
        "This Idempotency-Key was used with another body.",
        { hint: "Use a fresh key for a new request, and the same body when repeating one." },
      );
    }
    await known.ended;
    if (known.seq === undefined) continue;
    const reply = await store.readReply(hot.room.uid, known.seq);
    if (reply === undefined) {
      hot.idempotent.delete(idem.key);
      return undefined;
    }
    return { reply: JSON.parse(reply) as T, seq: known.seq, replayed: true };
  }
  return undefined;
}
