/**
 * The judge: folds the log that is left by a plain model that shares no code with the service, and
 * holds every answer against it.
 */
import { createHash } from "node:crypto";
import type { Connection } from "../../store/file.ts";
import type { Deed, Ledger, Look, Waited } from "./ledger.ts";
import { type Logged, Model, type Shared } from "./model.ts";

/** Judges everything that was answered about the rooms that are left. */
export async function judge(ledger: Ledger, databases: readonly Connection[]): Promise<void> {
  for (const [uid, kept] of ledger.rooms) {
    if (kept.isDeleted) continue;
    const log = await readLog(databases, uid);
    const model = new Model(kept.name, (text) => ledger.blame(text));
    const states: Shared[] = [new Map()];
    for (const record of log) {
      model.apply(record);
      states[record.seq] = new Map(model.shared);
    }
    const court: Court = { ledger, log, states, model, name: kept.name };
    for (const deed of ledger.deeds) if (deed.uid === uid) judgeDeed(court, deed);
    for (const look of ledger.looks) if (look.uid === uid) judgeLook(court, look);
    for (const waited of ledger.waited) {
      if (waited.uid === uid) judgeWait(court, waited, kept.durableAt);
    }
    for (const told of ledger.told) {
      if (told.uid === uid && log[told.seq - 1]?.hash !== told.hash) {
        ledger.blame(`${kept.name}: a stream told a record ${told.seq} that is not in the log`);
      }
    }
  }
}

interface Court {
  readonly ledger: Ledger;
  readonly log: readonly Logged[];
  readonly states: readonly Shared[];
  readonly model: Model;
  readonly name: string;
}

async function readLog(databases: readonly Connection[], uid: string): Promise<Logged[]> {
  const sql =
    "SELECT seq, ts, kind, agent, action, body, hash FROM log WHERE room = ? ORDER BY seq";
  const log: Logged[] = [];
  for (const database of databases) {
    for (const row of (await database.execute({ sql, args: [uid] })).rows) {
      const body = JSON.parse(String(row["body"])) as Pick<Logged, "prev" | "params" | "writes">;
      log.push({
        ...body,
        seq: Number(row["seq"]),
        ts: Number(row["ts"]),
        kind: String(row["kind"]),
        agent: String(row["agent"]),
        action: String(row["action"]),
        hash: String(row["hash"]),
      });
    }
  }
  return log;
}

/** The records that a deed has become. */
function recordsOf({ log }: Court, deed: Deed): Logged[] {
  if (deed.action === "_send_message") {
    const isIt = (value: unknown): boolean =>
      (value as { body?: unknown } | null)?.body === deed.id;
    return log.filter(({ kind, writes }) => kind === "message" && isIt(writes?.[0]?.value));
  }
  return log.filter(({ params }) => params?.["op"] === deed.id);
}

function judgeDeed(court: Court, deed: Deed): void {
  const blame = (text: string): void =>
    court.ledger.blame(`${court.name}: ${deed.agent} ${deed.action} ${deed.id} ${text}`);
  const good = deed.answers.filter(({ status }) => status < 300);
  const [first] = good;
  for (const other of deed.isKeyed ? good : []) {
    if (other.text !== first!.text || other.seq !== first!.seq) {
      blame(`was repeated with another answer: ${other.text} after ${first!.text}`);
    }
  }
  for (const { seq } of good) {
    if (seq <= deed.floor) blame(`became ${seq}, though ${deed.floor} had been answered before it`);
  }
  if (first) judgeRecord(court, deed, first.seq, first.text, blame);
  for (const { status, text } of deed.answers) {
    if (status >= 300) judgeRefusal(court, deed, status, text, blame);
  }
  // Claims and registrations carry no mark of their own.
  if (deed.action.startsWith("_") && deed.action !== "_send_message") return;
  const found = recordsOf(court, deed).map(({ seq }) => seq);
  if (first) {
    if (!found.includes(first.seq)) blame(`was answered as ${first.seq}, which is not in the log`);
    if (found.length > (deed.isKeyed ? 1 : good.length)) blame(`was done twice: ${found}`);
  } else {
    const most = !deed.isUncertain ? 0 : deed.isKeyed ? 1 : deed.sends;
    if (found.length > most) blame(`became ${found}, of ${deed.sends} uncertain requests`);
  }
}

function judgeRecord(
  { log }: Court,
  deed: Deed,
  seq: number,
  text: string,
  blame: (text: string) => void,
): void {
  const record = log[seq - 1];
  const isOurs = record?.action === deed.action && record.agent === deed.agent;
  if (!isOurs) return blame(`was answered as ${seq}, which is ${record?.agent} ${record?.action}`);
  if (deed.action.startsWith("_")) return;
  const { writes } = JSON.parse(text) as {
    writes?: { value: unknown; _meta?: { revision: number } }[];
  };
  const [told] = writes ?? [], [kept] = record.writes ?? [];
  if (told?.value !== kept?.value || (told?._meta?.revision ?? 0) !== kept?.revision) {
    blame(`was answered with ${JSON.stringify(told)}, and is ${JSON.stringify(kept)}`);
  }
}

/** A refusal is right if what it says held at some record it may have been judged at. */
function judgeRefusal(
  { states, model }: Court,
  deed: Deed,
  status: number,
  text: string,
  blame: (text: string) => void,
): void {
  const among = states.slice(deed.floor, deed.ceiling + 1);
  const { k, ver } = deed.params as { k?: string; ver?: string | null };
  const lock = `l_${k}`;
  const reasons: Record<string, () => boolean> = {
    take: () => among.some((state) => state.has(lock)),
    drop: () => among.some((state) => state.get(lock) !== deed.agent),
    cas: () => among.some((state) => versionOf(state.get(`c_${k}`)) !== ver),
    _claim_message: () => true,
    _release_message: () => true,
  };
  const isGated = deed.action.startsWith("dyn");
  const isRight = isGated
    ? model.couldRefuse(deed.action, deed.floor, deed.ceiling, states)
    : reasons[deed.action]?.() ?? false;
  const expected = isGated ? [404, 409] : [409];
  if (!expected.includes(status) || !isRight) blame(`was refused: ${status} ${text.slice(0, 300)}`);
}

function versionOf(value: unknown): string | null {
  if (value === undefined) return null;
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

function judgeLook({ ledger, states, name }: Court, look: Look): void {
  const { seq, floor, ceiling, agent } = look;
  const blame = (text: string): void =>
    ledger.blame(`${name}: ${agent}'s ${look.what} at ${seq} ${text}`);
  if (seq < floor) return blame(`is older than ${floor}, which had been answered before it`);
  if (seq > ceiling) return blame(`is newer than ${ceiling}, which is all that was durable`);
  const state = states[seq];
  if (!state) return blame("is of no record of the log");
  const seen = new Map(look.change ? states[look.change.since] : []);
  for (const key of look.change?.gone ?? []) seen.delete(key);
  for (const [key, value] of Object.entries(look.shared)) seen.set(key, value);
  const shown = JSON.stringify(sorted([...seen]));
  const kept = JSON.stringify(sorted([...state]));
  if (shown !== kept) blame(`shows ${shown}, and the log comes to ${kept}`);
  if (look.held && !look.held.holds(state)) {
    blame("was answered though its condition does not hold");
  }
}

function sorted(rows: readonly (readonly [string, unknown])[]): unknown {
  return [...rows].sort(([a], [b]) => a < b ? -1 : 1);
}

/** After trouble an instance has this long to tell who waits. */
const GRACE_MS = 3_000;

/** A wait is answered soon after what it waits for is durable; it runs out only if that was not. */
function judgeWait(
  { ledger, states, name }: Court,
  wait: Waited,
  durableAt: readonly number[],
): void {
  const { condition, since, endedAt } = wait;
  if (condition && !condition.isLasting) return;
  const seq = condition
    ? states.findIndex((state) => condition.holds(state))
    : states.findIndex((state, at) => at > since! && state !== undefined && differs(states, at));
  if (seq < 0) return;
  const from = Math.max(durableAt[seq] ?? Infinity, wait.startedAt, wait.troubledAt);
  if (endedAt - from <= GRACE_MS) return;
  const what = condition?.text ?? `a change since ${since}`;
  const late = (endedAt - from).toFixed(0);
  ledger.blame(`${name}: a wait for ${what} ended ${late} ms after ${seq} was durable`);
}

function differs(states: readonly Shared[], at: number): boolean {
  const before = states[at - 1], after = states[at]!;
  return JSON.stringify([...before ?? []]) !== JSON.stringify([...after]);
}
