/** Which rooms a caller may see at all, without a look into any of them. */
import type { Principal } from "../policy.ts";
import type { Store } from "../store.ts";

/** Uids of the rooms that a caller may see. */
export async function visibleRooms(store: Store, principal: Principal): Promise<string[]> {
  const [grant] = principal.lineage;
  if (!principal.user) return grant?.room ? [grant.room] : [];
  const uids = [...principal.roles.keys()];
  if (principal.lineage.every((link) => link.words.words.some((word) => word.room === undefined))) {
    return uids;
  }
  const visible: string[] = [];
  for (const uid of uids) {
    const row = await store.findRoomByUid(uid);
    const isNamed = row &&
      principal.lineage.every((link) =>
        (link.room === null || link.room === uid) &&
        link.words.words.some((word) => word.room === undefined || word.room === row.id)
      );
    if (isNamed) visible.push(uid);
  }
  return visible;
}
