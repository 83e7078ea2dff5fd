/**
 * A linearizability checker: Wing and Gong's search with Lowe's memory of configurations. One
 * history of one object in, an order that explains it out, or the point at which none goes on.
 */

/** One operation on one object, as its caller saw it. Times are of one clock, in any unit. */
export interface Operation<I, O> {
  readonly input: I;
  /** What it answered; undefined when nobody knows whether it happened. */
  readonly output: O | undefined;
  readonly call: number;
  /** When it answered; Infinity when it never did: it may happen at any time after `call`, or never. */
  readonly ret: number;
  /** Where it may stand in the order. Steers the search, and decides nothing. */
  readonly hint?: number | undefined;
}

/** What an object does when one operation at a time reaches it. States are values: never changed. */
export interface Model<S, I, O> {
  readonly initial: S;
  /**
   * The state after an operation with this outcome, or undefined when it cannot have that outcome
   * here. Without an outcome: the state after it has taken effect, undefined when it has none here.
   */
  step(state: S, input: I, output: O | undefined): S | undefined;
  /** Equal states have equal keys. */
  key(state: S): string;
  /** Operations of unknown outcome with equal answers are interchangeable: the earliest goes first. */
  alike?(input: I): string | undefined;
}

/** What a check found. `order` and `furthest` are indices of operations. */
export type Verdict =
  | { readonly ok: true; readonly order: readonly number[]; readonly steps: number }
  | {
    readonly ok: false;
    /** `exhausted`: the steps ran out before an answer was found, which counts as a failure. */
    readonly reason: "not linearizable" | "exhausted";
    /** The longest order that was found, and what of the answered operations is missing in it. */
    readonly furthest: readonly number[];
    readonly missing: readonly number[];
    readonly steps: number;
  };

/** A place in the search: what was tried here, and how it was reached. */
interface Frame<S> {
  readonly state: S;
  readonly candidates: readonly number[];
  next: number;
  /** The operation that led here; -1 at the root. */
  readonly by: number;
}

/** The operations that are done, and the earliest answered one that is not. */
class Done {
  readonly #flags: Uint8Array;
  low = 0;

  constructor(private readonly answered: readonly number[], size: number) {
    this.#flags = new Uint8Array(size);
  }

  has(op: number): boolean {
    return this.#flags[op] === 1;
  }

  add(op: number): void {
    this.#flags[op] = 1;
    while (this.low < this.answered.length && this.has(this.answered[this.low]!)) this.low++;
  }

  remove(op: number, low: number): void {
    this.#flags[op] = 0;
    this.low = low;
  }

  /** One text per set: all answered before `low`, and what else is in it. */
  key(reached: number, unanswered: readonly number[]): string {
    let text = `${this.low}`;
    for (let i = this.low + 1; i < reached; i++) {
      if (this.has(this.answered[i]!)) text += `,${i}`;
    }
    text += ";";
    for (let i = 0; i < unanswered.length; i++) if (this.has(unanswered[i]!)) text += `,${i}`;
    return text;
  }
}

/** The search through one history. */
class Search<S, I, O> {
  readonly #answered: readonly number[];
  readonly #unanswered: readonly number[];
  readonly #done: Done;
  readonly #seen = new Set<string>();
  readonly #order: number[] = [];
  /** One past the last answered operation that was ever looked at. */
  #reached = 0;
  #furthest: readonly number[] = [];
  #steps = 0;

  constructor(
    private readonly operations: readonly Operation<I, O>[],
    private readonly model: Model<S, I, O>,
    private readonly stepsMax: number,
  ) {
    const byCall = operations.map((_, i) => i).sort((a, b) =>
      operations[a]!.call - operations[b]!.call || operations[a]!.ret - operations[b]!.ret
    );
    this.#answered = byCall.filter((i) => operations[i]!.ret !== Infinity);
    this.#unanswered = byCall.filter((i) => operations[i]!.ret === Infinity);
    this.#done = new Done(this.#answered, operations.length);
  }

  /** Every operation that may come next: nothing undone was answered before it was called. */
  private candidates(): number[] {
    let firstReturn = Infinity;
    const found: number[] = [];
    let i = this.#done.low;
    for (; i < this.#answered.length; i++) {
      const op = this.#answered[i]!;
      const { call, ret } = this.operations[op]!;
      if (call > firstReturn) break;
      if (this.#done.has(op)) continue;
      firstReturn = Math.min(firstReturn, ret);
      found.push(op);
    }
    this.#reached = Math.max(this.#reached, i);
    const rank = (op: number): number => this.operations[op]!.hint ?? Infinity;
    found.sort((a, b) => {
      const [x, y] = [rank(a), rank(b)];
      return x === y ? this.operations[a]!.ret - this.operations[b]!.ret : x - y;
    });
    const first = found[0] === undefined ? Infinity : rank(found[0]);
    const [before, after] = this.unanswered(firstReturn, first);
    return [...before, ...found, ...after];
  }

  /** Those of unknown outcome: the ones whose hint puts them first, and the others. */
  private unanswered(firstReturn: number, first: number): [number[], number[]] {
    const before: number[] = [], after: number[] = [], tried = new Set<string>();
    for (const op of this.#unanswered) {
      const { call, input, hint } = this.operations[op]!;
      if (call > firstReturn) break;
      if (this.#done.has(op)) continue;
      const alike = hint === undefined ? this.model.alike?.(input) : undefined;
      if (alike !== undefined && tried.has(alike)) continue;
      if (alike !== undefined) tried.add(alike);
      (hint !== undefined && hint < first ? before : after).push(op);
    }
    return [before, after];
  }

  run(): Verdict {
    const stack: Frame<S>[] = [this.frame(this.model.initial, -1)];
    const lows: number[] = [];
    while (stack.length > 0) {
      if (this.#done.low === this.#answered.length) {
        return { ok: true, order: [...this.#order], steps: this.#steps };
      }
      const top = stack.at(-1)!;
      const op = top.candidates[top.next++];
      if (op === undefined) {
        this.noteFurthest();
        stack.pop();
        if (top.by >= 0) this.#done.remove(this.#order.pop()!, lows.pop()!);
        continue;
      }
      if (this.#steps++ >= this.stepsMax) return this.failure("exhausted");
      const { input, output } = this.operations[op]!;
      const state = this.model.step(top.state, input, output);
      if (state === undefined) continue;
      lows.push(this.#done.low);
      this.#done.add(op);
      this.#order.push(op);
      if (this.isNew(state)) stack.push(this.frame(state, op));
      else this.#done.remove(this.#order.pop()!, lows.pop()!);
    }
    return this.failure("not linearizable");
  }

  private frame(state: S, by: number): Frame<S> {
    return { state, candidates: this.candidates(), next: 0, by };
  }

  private noteFurthest(): void {
    if (this.#order.length > this.#furthest.length) this.#furthest = [...this.#order];
  }

  private isNew(state: S): boolean {
    const key = `${this.#done.key(this.#reached, this.#unanswered)}|${this.model.key(state)}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  private failure(reason: "not linearizable" | "exhausted"): Verdict {
    this.noteFurthest();
    const done = new Set(this.#furthest);
    const missing = this.#answered.filter((op) => !done.has(op));
    return { ok: false, reason, furthest: this.#furthest, missing, steps: this.#steps };
  }
}

/**
 * Is there an order of the operations, each between its call and its answer, that the model
 * explains? At most `stepsMax` tries of one operation after another.
 */
export function check<S, I, O>(
  operations: readonly Operation<I, O>[],
  model: Model<S, I, O>,
  stepsMax = 2_000_000,
): Verdict {
  return new Search(operations, model, stepsMax).run();
}
