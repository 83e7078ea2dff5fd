/**
 * What the clients of one room did and saw, and the same as operations on its objects: each
 * register, each counter, the pair, each task, and the room's log.
 */
import { check, type Model, type Operation, type Verdict } from "./checker.ts";
import {
  type Cell,
  type ClaimInput,
  type ClaimOutput,
  COUNTER,
  type CounterInput,
  type CounterOutput,
  LOG,
  type LogInput,
  REGISTER,
  type RegisterInput,
  type RegisterOutput,
  TASK,
} from "./models.ts";

/** What a client asked of the room. `pair` writes both halves of one value. */
export type Asked =
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | {
    readonly kind: "cas";
    readonly key: string;
    readonly expected: string | number;
    readonly value: string;
  }
  | { readonly kind: "pair"; readonly value: string }
  | { readonly kind: "inc"; readonly key: string }
  | { readonly kind: "send" }
  | { readonly kind: "claim"; readonly task: number; readonly leaseMs: number | null }
  | { readonly kind: "release"; readonly task: number }
  | {
    readonly kind: "work";
    readonly task: number;
    readonly fence: number;
    readonly key: string;
    readonly value: string;
  }
  | { readonly kind: "read"; readonly via: "context" | "poll" }
  /** What changed since `base` was shown, laid over it. */
  | { readonly kind: "read"; readonly via: "delta"; readonly base: Shown }
  | { readonly kind: "wait"; readonly key: string; readonly atLeast: number };

/** The room as one reply shows it, all of it at record `seq`. */
export interface Shown {
  readonly seq: number;
  readonly cells: ReadonlyMap<string, Cell>;
  readonly counters: ReadonlyMap<string, number>;
  readonly pair: Cell;
  /** Who holds each task that is shown; null for nobody. */
  readonly holders: ReadonlyMap<number, string | null>;
}

/** What came back. `written` carries what the write made: a text and its revision, or a number. */
export type Answer =
  | {
    readonly kind: "written";
    readonly seq: number;
    readonly cell?: Cell;
    readonly count?: number;
    readonly fence?: number;
  }
  | { readonly kind: "conflict"; readonly current: Cell }
  | { readonly kind: "taken"; readonly by: string }
  | { readonly kind: "free" }
  | { readonly kind: "stale" }
  | { readonly kind: "shown"; readonly shown: Shown; readonly triggered?: boolean };

/** One call of one client. */
export interface Call {
  /** Unique; goes with the call as its Idempotency-Key, and into its record. */
  readonly id: string;
  readonly agent: string;
  readonly asked: Asked;
  /** Milliseconds, by the one clock of all clients. */
  readonly call: number;
  /** Infinity as long as nothing is known of its outcome. */
  readonly ret: number;
  readonly answer: Answer | undefined;
}

/** Operations on one object, with what judges them. */
export interface Part {
  readonly name: string;
  readonly size: number;
  /** The first operation that the order of the hints does not explain; -1 when there is none. */
  readonly follow: () => number;
  readonly check: (stepsMax?: number) => Verdict;
  /** An operation as text, for a report. */
  readonly describe: (op: number) => string;
}

type Operations<I, O> = Operation<I, O>[];

function part<S, I, O>(
  name: string,
  operations: Operations<I, O>,
  model: Model<S, I, O>,
): Part {
  return {
    name,
    size: operations.length,
    follow: () => follow(operations, model),
    check: (stepsMax) => check(operations, model, stepsMax),
    describe: (op) => {
      const { input, output, call, ret } = operations[op]!;
      const answer = output === undefined ? "no answer" : JSON.stringify(output);
      return `${JSON.stringify(input)} → ${answer} [${call.toFixed(1)}, ${ret.toFixed(1)}]`;
    },
  };
}

function follow<S, I, O>(operations: Operations<I, O>, model: Model<S, I, O>): number {
  const placed = operations.map((_, i) => i).filter((i) => operations[i]!.hint !== undefined)
    .sort((a, b) => operations[a]!.hint! - operations[b]!.hint!);
  let state = model.initial;
  for (const i of placed) {
    const { input, output } = operations[i]!;
    const next = model.step(state, input, output);
    if (next === undefined) return i;
    state = next;
  }
  return -1;
}

/** Groups that are made when they are first asked for. */
class Groups<K, T> extends Map<K, T[]> {
  of(key: K): T[] {
    let group = this.get(key);
    if (!group) this.set(key, group = []);
    return group;
  }
}

/** A lease's end is taken to be possible this much before its time: clocks count whole units. */
const LEASE_SLACK_MS = 5;

/** The operations of a room's history, object by object. */
class Objects {
  readonly registers = new Groups<string, Operation<RegisterInput, RegisterOutput>>();
  readonly counters = new Groups<string, Operation<CounterInput, CounterOutput>>();
  readonly tasks = new Groups<number, Operation<ClaimInput, ClaimOutput>>();
  readonly log: Operations<LogInput, number> = [];
  readonly #lapsed = new Set<number>();

  /** `hints` says where the log has a call whose outcome its client does not know. */
  constructor(private readonly hints: ReadonlyMap<string, number>) {}

  private times(call: Call): Pick<Operation<never, never>, "call" | "ret" | "hint"> {
    const { answer } = call;
    const seq = answer?.kind === "written"
      ? answer.seq
      : answer?.kind === "shown"
      ? answer.shown.seq + 0.5
      : this.hints.get(call.id);
    return { call: call.call, ret: call.ret, hint: seq };
  }

  add(call: Call): void {
    const { asked, answer } = call;
    if (answer?.kind === "shown") return this.addShown(call, answer.shown, answer.triggered);
    if (asked.kind === "read" || asked.kind === "wait") return;
    const times = this.times(call);
    const written = answer?.kind === "written" ? answer : undefined;
    const isNothing = answer !== undefined && !written;
    if (!isNothing) {
      this.log.push({ ...times, input: { kind: "append" }, output: written?.seq });
    }
    switch (asked.kind) {
      case "put":
      case "cas":
      case "pair":
        return this.addWrite(call, asked);
      case "inc": {
        const output = written && { value: written.count! };
        this.counters.of(asked.key).push({ ...times, input: { kind: "inc" }, output });
        return;
      }
      case "work":
        if (!isNothing) {
          this.addWrite(call, { kind: "put", key: asked.key, value: asked.value });
        }
        return this.addClaim(call, asked);
      case "claim":
      case "release":
        return this.addClaim(call, asked);
    }
  }

  private addWrite(call: Call, asked: Asked & { kind: "put" | "cas" | "pair" }): void {
    const { answer } = call;
    const key = asked.kind === "pair" ? "pair" : asked.key;
    const input: RegisterInput = asked.kind === "cas"
      ? { kind: "cas", expected: asked.expected, value: asked.value }
      : { kind: "put", value: asked.value };
    const output: RegisterOutput | undefined = answer?.kind === "conflict"
      ? { kind: "conflict", current: answer.current }
      : answer?.kind === "written"
      ? { kind: "is", cell: answer.cell! }
      : undefined;
    this.registers.of(key).push({ ...this.times(call), input, output });
  }

  private addClaim(call: Call, asked: Asked & { kind: "claim" | "release" | "work" }): void {
    const { agent, answer } = call;
    const task = this.tasks.of(asked.task);
    const times = this.times(call);
    if (asked.kind === "work") {
      if (!answer) return;
      const output: ClaimOutput = { kind: answer.kind === "stale" ? "stale" : "done" };
      task.push({ ...times, input: { kind: "work", agent, fence: asked.fence }, output });
      return;
    }
    const output: ClaimOutput | undefined = answer?.kind === "written"
      ? asked.kind === "claim" ? { kind: "claimed", fence: answer.fence! } : { kind: "done" }
      : answer?.kind === "taken" || answer?.kind === "free"
      ? answer
      : undefined;
    if (asked.kind === "release") {
      task.push({ ...times, input: { kind: "release", agent }, output });
      return;
    }
    const lease = asked.leaseMs === null ? null : call.id;
    task.push({ ...times, input: { kind: "claim", agent, lease }, output });
    const mayLapse = lease !== null && (!answer || answer.kind === "written");
    if (!mayLapse) return;
    const due = call.call + asked.leaseMs! - LEASE_SLACK_MS;
    const lapse = {
      call: due,
      ret: Infinity,
      output: undefined,
      hint: this.hints.get(`${lease} lapse`),
    };
    task.push({ ...lapse, input: { kind: "lapse", lease: lease! } });
    // Leases that end at one instant do so in one record.
    if (lapse.hint !== undefined && this.#lapsed.has(lapse.hint)) return;
    if (lapse.hint !== undefined) this.#lapsed.add(lapse.hint);
    this.log.push({ ...lapse, input: { kind: "append" } });
  }

  private addShown(call: Call, shown: Shown, triggered: boolean | undefined): void {
    const times = this.times(call);
    const { asked } = call;
    this.log.push({ ...times, input: { kind: "head" }, output: shown.seq });
    const cells = [...shown.cells, ["pair", shown.pair] as const];
    for (const [key, cell] of cells) {
      this.registers.of(key).push({
        ...times,
        input: { kind: "read" },
        output: { kind: "is", cell },
      });
    }
    for (const [key, value] of shown.counters) {
      const isWaited = asked.kind === "wait" && asked.key === key;
      const input: CounterInput = isWaited
        ? { kind: "wait", atLeast: asked.atLeast }
        : { kind: "read" };
      const output = isWaited ? { value, triggered: triggered === true } : { value };
      this.counters.of(key).push({ ...times, input, output });
    }
    for (const [task, by] of shown.holders) {
      const output: ClaimOutput = by === null ? { kind: "free" } : { kind: "taken", by };
      this.tasks.of(task).push({ ...times, input: { kind: "read" }, output });
    }
  }
}

/**
 * A history as one part per object. `made` is the room's head when the history begins; `hints`
 * tells by call id which record a call became, where its client cannot say.
 */
export function partsOf(
  calls: readonly Call[],
  made: number,
  hints: ReadonlyMap<string, number> = new Map(),
): Part[] {
  const objects = new Objects(hints);
  for (const call of calls) objects.add(call);
  const { registers, counters, tasks, log } = objects;
  return [
    ...[...registers].map(([key, ops]) => part(`register ${key}`, ops, REGISTER)),
    ...[...counters].map(([key, ops]) => part(`counter ${key}`, ops, COUNTER)),
    ...[...tasks].map(([task, ops]) => part(`task ${task}`, ops, TASK)),
    part("log", log, { ...LOG, initial: made }),
  ];
}
