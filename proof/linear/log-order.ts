/**
 * The room's own log as the order of everything: the second look at a history. It sees the whole
 * room at once (also what one command does to several objects), and trusts nothing but the numbers.
 */
import type { Asked, Call, Part } from "./history.ts";

/** What a record of the log shows to an admin, as far as it matters here. */
export interface LogLine {
  readonly seq: number;
  readonly kind: string;
  readonly agent: string;
  readonly prev: string;
  readonly hash: string;
  readonly params?: { readonly op?: string; readonly seq?: number };
  readonly writes?: readonly {
    readonly scope: string;
    readonly key: string;
    readonly value: unknown;
  }[];
}

/** Which record belongs to which call, and what does not fit. */
export interface Matched {
  /** By call id: the record's number. A lapsed lease stands under `<claim> lapse`. */
  readonly seqs: ReadonlyMap<string, number>;
  readonly faults: readonly string[];
}

/** Kinds of record that clients' calls make. */
const MADE_BY_CALLS: ReadonlySet<string> = new Set(["invoke", "message", "claim", "release"]);

function mayBe(call: Call, line: LogLine): boolean {
  if (call.agent !== line.agent || call.asked.kind !== line.kind) return false;
  return (call.asked.kind === "claim" || call.asked.kind === "release") &&
    call.asked.task === line.params?.seq;
}

/** The id that a record carries: in its parameters, or as a message's body. */
function idOf({ kind, params, writes }: LogLine): string | undefined {
  if (kind === "invoke") return params?.op;
  if (kind !== "message") return undefined;
  return (writes?.[0]?.value as { body?: string } | undefined)?.body;
}

/** Finds the call behind each record after `made`. */
export function matchLog(calls: readonly Call[], log: readonly LogLine[], made: number): Matched {
  const faults: string[] = [], seqs = new Map<string, number>();
  const byId = new Map(calls.map((call) => [call.id, call]));
  const bySeq = new Map<number, Call>();
  for (const call of calls) if (call.answer?.kind === "written") bySeq.set(call.answer.seq, call);
  const open = calls.filter(({ answer }) => answer === undefined);
  const lapses = new Lapses();
  let prev: LogLine | undefined;
  for (const [i, line] of log.entries()) {
    if (line.seq !== i + 1) faults.push(`record ${line.seq} stands at place ${i + 1} of the log`);
    if (prev && line.prev !== prev.hash) {
      faults.push(`record ${line.seq} does not go on from ${prev.seq}`);
    }
    prev = line;
    if (line.seq <= made) continue;
    if (line.kind === "timer") {
      for (const id of lapses.endedBy(line)) seqs.set(`${id} lapse`, line.seq);
      continue;
    }
    if (!MADE_BY_CALLS.has(line.kind)) continue;
    const id = idOf(line);
    const call = id === undefined
      ? bySeq.get(line.seq) ?? open.find((o) => !seqs.has(o.id) && mayBe(o, line))
      : byId.get(id);
    if (!call) {
      faults.push(`record ${line.seq} (${line.kind} by ${line.agent}) was asked for by nobody`);
    } else if (seqs.has(call.id)) {
      faults.push(`${call.id} happened twice: records ${seqs.get(call.id)} and ${line.seq}`);
    } else seqs.set(call.id, line.seq);
    if (call) lapses.note(call);
  }
  return { seqs, faults: [...faults, ...unfaithful(calls, seqs)] };
}

/** The claims whose leases run, by task. */
class Lapses {
  readonly #running = new Map<number, string>();

  note({ id, asked }: Call): void {
    if (asked.kind === "claim" && asked.leaseMs !== null) this.#running.set(asked.task, id);
    if (asked.kind === "release") this.#running.delete(asked.task);
  }

  endedBy(line: LogLine): string[] {
    return (line.writes ?? []).flatMap(({ scope, key }) => {
      const id = scope === "_messages" ? this.#running.get(Number(key)) : undefined;
      return id === undefined ? [] : [id];
    });
  }
}

/** Answers that the log does not bear out. */
function unfaithful(calls: readonly Call[], seqs: ReadonlyMap<string, number>): string[] {
  return calls.flatMap(({ id, asked, answer }) => {
    const seq = seqs.get(id);
    if (answer?.kind === "written" && seq !== answer.seq) {
      const where = seq === undefined ? "has no record" : `is record ${seq}`;
      return [`${id} (${asked.kind}) was answered as record ${answer.seq} and ${where}`];
    }
    const isRefused = answer !== undefined && answer.kind !== "written" && answer.kind !== "shown";
    return isRefused && seq !== undefined ? [`${id} was refused and is record ${seq}`] : [];
  });
}

/** Where a call stands in the order of the log; undefined for what left no trace in it. */
function placeOf({ id, answer }: Call, seqs: ReadonlyMap<string, number>): number | undefined {
  return answer?.kind === "shown" ? answer.shown.seq + 0.5 : seqs.get(id);
}

function name({ id, agent, asked }: { id: string; agent: string; asked: Asked }): string {
  return `${id} (${asked.kind} by ${agent})`;
}

/** Does the log's order respect the clients' clock: nothing before what had ended when it began? */
export function againstTime(calls: readonly Call[], seqs: ReadonlyMap<string, number>): string[] {
  const placed = calls.flatMap((call) => {
    const place = placeOf(call, seqs);
    return place === undefined ? [] : [{ call, place }];
  }).sort((a, b) => a.place - b.place || a.call.call - b.call.call);
  const faults: string[] = [];
  let latest: Call | undefined;
  for (const { call, place } of placed) {
    if (latest && call.ret < latest.call) {
      faults.push(
        `${name(call)} stands at ${place}, behind ${
          name(latest)
        }, which began only after it had ended`,
      );
    }
    if (!latest || call.call > latest.call) latest = call;
  }
  return faults;
}

/** Everything that does not fit when the log's order is taken for the order of the operations. */
export function followLog(
  calls: readonly Call[],
  matched: Matched,
  parts: readonly Part[],
): string[] {
  const wrong = parts.flatMap((part) => {
    const at = part.follow();
    return at < 0 ? [] : [`${part.name}: in the log's order ${part.describe(at)} cannot be`];
  });
  return [...matched.faults, ...againstTime(calls, matched.seqs), ...wrong];
}
