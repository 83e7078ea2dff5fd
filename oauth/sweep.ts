/** Forgetting what has expired. The app calls it now and then; nothing depends on when. */
import type { Store } from "../store.ts";
import { sweepExpired } from "../store/oauth.ts";
import { REFRESH_MS } from "../tokens.ts";
import type { Millis } from "../types.ts";

/**
 * Deletes expired ceremonies, sessions, codes and secrets. Used codes and refresh tokens stay as
 * long as their family may live, so that a late replay still ends it.
 */
export async function sweepIdentity(store: Store, now: Millis): Promise<void> {
  await sweepExpired(store, now, REFRESH_MS);
}
