/**
 * The commands of the mixed load, the actions they invoke, and what the record of each must say.
 */
import assert from "node:assert/strict";

/** One command of the load. */
export interface Command {
  readonly kind: "pair" | "cas" | "brief" | "lasting" | "message" | "claim" | "join";
  readonly agent: string;
  /** Stands in what the command writes, and in nothing else. */
  readonly mark: string;
  readonly action: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly rest?: Readonly<Record<string, unknown>>;
  /** The revision that a compare-and-set began from. */
  readonly from?: number;
}

/** A record as the log shows it to an admin. */
export interface Shown {
  readonly seq: number;
  readonly kind: string;
  readonly agent: string;
  readonly action?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly writes?: readonly {
    readonly key: string;
    readonly value: unknown;
    readonly revision: number;
  }[];
}

const VALUE = "${params.k}";

/** The room's own actions. */
export const ACTIONS = [
  {
    id: "pair",
    writes: [
      { key: `a.${VALUE}`, value: VALUE },
      { key: "n", increment: 1 },
      { key: `b.${VALUE}`, value: VALUE },
    ],
  },
  { id: "cas", writes: [{ key: "c", value: VALUE }] },
  { id: "brief", writes: [{ key: `t.${VALUE}`, value: 1, timer: "${params.timer}" }] },
  { id: "lasting", writes: [{ key: `l.${VALUE}`, value: 1, timer: "${params.timer}" }] },
];

/** What is done, each kind as often as it stands here. */
export const KINDS: readonly Command["kind"][] = [
  "pair",
  "pair",
  "pair",
  "cas",
  "cas",
  "message",
  "claim",
  "brief",
  "lasting",
  "join",
];

/** What tells a command's record from all others. */
export function markOf({ kind, agent, params, writes }: Shown): string | undefined {
  if (kind === "join") return agent;
  const mark = kind === "message"
    ? (writes?.[0]?.value as { body?: unknown } | undefined)?.body
    : params?.["k"];
  return typeof mark === "string" ? mark : undefined;
}

/** Throws unless the record is the command's, whole. */
export function checkRecord(
  { kind, agent, mark, action, params, from }: Command,
  record: Shown,
): void {
  assert.equal(record.agent, agent);
  if (kind === "claim") {
    assert.deepEqual([record.kind, record.params?.["seq"]], ["claim", params["seq"]]);
    return;
  }
  assert.equal(record.action, action, JSON.stringify(record));
  assert.equal(markOf(record), mark, JSON.stringify(record));
  if (kind === "pair") assert.equal(record.writes?.length, 3, "an invocation is there in half");
  if (kind !== "cas") return;
  const [write] = record.writes!;
  assert.deepEqual([write!.revision, write!.value], [from! + 1, mark], "a stale compare-and-set");
}
