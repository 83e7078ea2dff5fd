/** Commits as a store gets them from the engine, made of as little as a test has to say. */
import type { RoomCommit } from "../store/rows.ts";
import type { LogRecord } from "../types.ts";

/** What of a record a test is about. */
type Told = Partial<Pick<LogRecord, "agent" | "actor" | "params">> & {
  readonly writes?: readonly { readonly scope: string; readonly key: string }[];
};

/** What of a commit is not as a room's own process would have it at once. */
type Fold = Partial<Pick<RoomCommit, "isFolded" | "isBehind">>;

/**
 * The records that a room goes on with after `base`, one for each that is told; its first one makes
 * the room. Instants are milliseconds.
 */
export function commitAfter(
  uid: string,
  base: number,
  told: readonly Told[] = [{}],
  { ts = 1, isFolded = true, isBehind = false }: Fold & { readonly ts?: number } = {},
): RoomCommit {
  const rows = told.map(({ writes, ...more }, i) => {
    const seq = base + i + 1;
    const record: LogRecord = {
      seq,
      ts: new Date(ts).toISOString(),
      kind: seq === 1 ? "create" : "invoke",
      agent: "alice",
      actor: "did:sync:user:a",
      prev: "",
      nonce: "n",
      hash: `${uid}-${seq}`,
      ...more,
      ...(writes
        ? {
          writes: writes.map((write) => ({
            ...write,
            op: "set",
            value: 1,
            revision: seq,
            version: "",
          })),
        }
        : {}),
    };
    return { ts, record };
  });
  const last = rows.at(-1)!.record;
  const created = { id: uid, createdAt: 1, base: null, forkedFrom: null };
  return {
    uid,
    base,
    head: last.seq,
    hash: last.hash,
    ts,
    label: null,
    meta: null,
    agents: 0,
    rows,
    isFolded,
    isBehind,
    entries: [],
    gone: [],
    side: [],
    ...(base === 0 ? { created } : {}),
  };
}
