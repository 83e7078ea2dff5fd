/** Whether an action that is not there once was, and ran out. */
import type { HotRoom } from "../engine/hot.ts";
import { SyncError } from "../errors.ts";
import type { Store } from "../store.ts";

/** `404 action_expired` when the action's own timer ended it; undefined otherwise. */
export async function actionEnded(
  store: Store,
  hot: HotRoom,
  id: string,
): Promise<SyncError | undefined> {
  const [last] = await store.readLog(hot.room.uid, {
    scope: "_actions",
    key: id,
    newestFirst: true,
    limit: 1,
  });
  const end = last?.writes?.find((write) => write.scope === "_actions" && write.key === id);
  if (end?.op !== "expire") return undefined;
  return new SyncError("action_expired", `The action "${id}" has run out.`, {
    action: id,
    expired_at: last!.ts,
    hint: "Register it again to bring it back.",
    help: "timers",
  });
}
