/** A dry run: what a command and the expiries it causes come to, all of it taken back at once. */
import type { Applicable } from "../room/changes.ts";
import { iso } from "../timers.ts";
import type { LogRecord } from "../types.ts";
import type { Command, Moment } from "./types.ts";

/** What a rehearsal is looked at by: the moment after, the record, the cells that read differently. */
export type Look<T> = (
  moment: Moment,
  record: LogRecord | undefined,
  cells: ReadonlySet<string>,
) => T;

/** Decides and applies a command at a moment, looks at the result, and undoes it. */
export function rehearseAt<T>(moment: Moment, command: Command<unknown>, look: Look<T>): T {
  const { hot, room, now } = moment;
  const decision = command(moment);
  if (!decision.draft) return look(moment, undefined, new Set());
  const cells = new Set<string>();
  const undo: (() => void)[] = [];
  const apply = (record: Applicable): void => {
    const applied = room.apply(record);
    undo.unshift(() => {
      applied.undo();
      hot.memos.invalidate(applied.touched);
    });
    for (const cell of hot.memos.invalidate(applied.touched)) cells.add(cell);
  };
  const place = { seq: room.head + 1, ts: iso(now), prev: room.hash, nonce: "", hash: "" };
  const record: LogRecord = { ...decision.draft, ...place };
  try {
    apply(record);
    const result = decision.result?.();
    for (let due = room.dueRecord(now); due; due = room.dueRecord(now)) {
      apply({ ...due.draft, seq: room.head + 1, ts: iso(due.ts) });
    }
    return look(moment, result === undefined ? record : { ...record, result }, cells);
  } finally {
    for (const step of undo) step();
  }
}
