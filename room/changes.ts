/** What one write makes of an entry, and the writes that end a thing. Pure. */
import { jsonBytes, mergePatch, versionOf } from "../canonical.ts";
import { WRITERS_MAX } from "../limits.ts";
import { decay } from "../salience.ts";
import { resume } from "../timers.ts";
import type {
  ActionDefinition,
  AgentDefinition,
  Entry,
  Json,
  LogRecord,
  MessageBody,
  Millis,
  Write,
} from "../types.ts";

/** What `apply` needs of a record: everything but its hash and salts. */
export type Applicable = Pick<LogRecord, "seq" | "ts" | "kind" | "agent" | "action" | "writes">;

/** Joins scope and key into the name of a cell. */
export function cellOf(scope: string, key: string): string {
  return `${scope}\u0000${key}`;
}

/** Splits a cell's name. */
export function splitCell(cell: string): [scope: string, key: string] {
  const at = cell.indexOf("\u0000");
  return [cell.slice(0, at), cell.slice(at + 1)];
}

/** `<scope>:<key>` of each write whose scope and key hold no placeholder. */
export function literalTargets(action: ActionDefinition): string[] {
  const targets: string[] = [];
  for (const write of action.writes) {
    const scope = write.scope ?? "_shared";
    if (write.key === undefined || write.key.includes("${") || scope.includes("${")) continue;
    targets.push(`${scope}:${write.key}`);
  }
  return [...new Set(targets)];
}

/** Was an entry not there at record `since`? One that went in between is among the removals. */
export function isNewSince(scope: string, key: string, entry: Entry, since: number): boolean {
  return scope === "_messages" ? Number(key) > since : entry.revision === 1 && entry.seq > since;
}

/** Does an action come under another scope, with whose agent it is there or hidden? */
export function changesHands(old: Entry | undefined, next: Entry): boolean {
  const scopeOf = ({ value }: Entry): string => (value as unknown as ActionDefinition).scope;
  return old !== undefined && scopeOf(old) !== scopeOf(next);
}

/** What `append` pushes on: the array, a scalar wrapped, or nothing yet. */
export function asList(value: Json | undefined): Json[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

export function isPresent(entry: Entry | undefined): 0 | 1 {
  const agent = entry?.value as unknown as AgentDefinition | undefined;
  return agent !== undefined && agent.left_at === undefined ? 1 : 0;
}

export function leaseDue(entry: Entry | undefined): Millis | undefined {
  const lease = (entry?.value as unknown as MessageBody | undefined)?.lease_expires_at;
  return typeof lease === "string" ? Date.parse(lease) : undefined;
}

/** What is written to a message when its claim ends. */
export const CLAIM_ENDED = {
  claimed_by: null,
  claimed_at: null,
  fence: null,
  lease_expires_at: null,
  lease_ms: null,
} as const;

export function endOf(
  slot: "timer" | "cooldown" | "lease",
  scope: string,
  key: string,
  entry: Entry,
): Write {
  const { revision, version } = entry;
  const kept = entry.enabled === undefined ? {} : { enabled: entry.enabled };
  if (slot === "cooldown") return { scope, key, op: "cooldown", value: null, revision, version };
  if (slot === "lease") {
    const timer = resume(entry.timer, leaseDue(entry) ?? entry.updatedAt);
    return {
      scope,
      key,
      op: "merge",
      value: { ...CLAIM_ENDED },
      revision: revision + 1,
      version: versionOf(mergePatch(entry.value, { ...CLAIM_ENDED })),
      ...kept,
      ...(timer ? { timer } : {}),
    };
  }
  if (entry.timer?.effect === "enable") {
    return { scope, key, op: "enable", value: null, revision, version, ...kept };
  }
  return { scope, key, op: "expire", value: null, revision: 0, version: "" };
}

export function retimed(old: Entry, write: Write, seq: number): Entry {
  const { timer: _timer, cooldown, ...rest } = old;
  if (write.op === "cooldown") {
    return {
      ...rest,
      ...(old.timer ? { timer: old.timer } : {}),
      ...(write.timer ? { cooldown: write.timer } : {}),
      touched: seq,
    };
  }
  return {
    ...rest,
    ...(cooldown ? { cooldown } : {}),
    ...(write.timer ? { timer: write.timer } : {}),
    ...(write.op === "enable" ? { shown: seq } : {}),
    touched: seq,
  };
}

/** Changes in place: a timer that they do not name runs on. */
const IN_PLACE: ReadonlySet<string> = new Set(["merge", "increment", "append"]);

/** The entry as a write leaves it. */
export function rewritten(
  old: Entry | undefined,
  value: Json,
  write: Write,
  record: Applicable,
  ts: Millis,
): Entry {
  const again = old !== undefined && old.seq === record.seq;
  const velocity = old ? old.velocity * decay(ts - old.updatedAt) + (again ? 0 : 1) : 1;
  const timer = write.timer === undefined && IN_PLACE.has(write.op) ? old?.timer : write.timer;
  const others = old ? old.writers.filter((writer) => writer !== record.agent) : [];
  return {
    value,
    revision: write.revision,
    version: write.version,
    updatedAt: ts,
    writer: record.agent,
    via: record.action ?? record.kind,
    seq: record.seq,
    touched: record.seq,
    velocity,
    writers: [record.agent, ...others].slice(0, WRITERS_MAX),
    firstAt: old?.firstAt ?? ts,
    bytes: jsonBytes(value),
    ...(timer ? { timer } : {}),
    ...(write.enabled === undefined ? {} : { enabled: write.enabled }),
    ...(old?.shown === undefined ? {} : { shown: old.shown }),
    ...(old?.stats ? { stats: old.stats } : {}),
    ...(old?.cooldown ? { cooldown: old.cooldown } : {}),
  };
}
