/** A room's log folded in the plainest way: every record is held against what it should have been. */
import { createHash } from "node:crypto";
import { type Gated, isOpen } from "./conditions.ts";

/** A write as the log has it. */
export interface LoggedWrite {
  readonly scope: string;
  readonly key: string;
  readonly op: string;
  readonly value: unknown;
  readonly revision: number;
}

/** A record as the log has it. */
export interface Logged {
  readonly seq: number;
  readonly ts: number;
  readonly kind: string;
  readonly agent: string;
  readonly action: string;
  readonly hash: string;
  readonly prev: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly writes?: readonly LoggedWrite[];
}

/** The shared state as values by key. */
export type Shared = ReadonlyMap<string, unknown>;

interface Held {
  by: string | null;
  until: number;
}

/** The fold. */
export class Model {
  readonly shared = new Map<string, unknown>();
  readonly #own = new Map<string, number>();
  readonly #revisions = new Map<string, number>();
  /** When a key's timer is due; how many ticks another has left. */
  readonly #due = new Map<string, number>();
  readonly #left = new Map<string, number>();
  readonly #messages = new Map<number, Held>();
  readonly #gated: { readonly from: number; readonly gated: Gated }[] = [];
  #head = 0;
  #hash = "";
  #ts = 0;

  constructor(private readonly name: string, private readonly blame: (text: string) => void) {}

  /** Takes the next record. */
  apply(record: Logged): void {
    const { seq, ts, kind } = record;
    const wrong = (text: string): void =>
      this.blame(`${this.name} at ${seq} (${record.agent} ${kind} ${record.action}): ${text}`);
    if (seq !== this.#head + 1) wrong(`follows ${this.#head}`);
    if (record.prev !== this.#hash) wrong("does not carry the hash before");
    if (ts < this.#ts) wrong(`lies ${this.#ts - ts} ms before the record before`);
    if (kind === "timer") this.#expire(record, wrong);
    else {
      this.#mustBeSettled(ts, wrong);
      if (record.action === "_register_action") this.#register(record);
      else if (kind === "invoke" && !record.action.startsWith("_")) this.#invoke(record, wrong);
      else if (kind === "message") this.#messages.set(seq, { by: null, until: Infinity });
      else if (kind === "claim" || kind === "release") this.#hold(record, wrong);
    }
    this.#head = seq;
    this.#hash = record.hash;
    this.#ts = ts;
  }

  /** Nothing may be done while something is due that has not been recorded. */
  #mustBeSettled(ts: number, wrong: (text: string) => void): void {
    for (const [key, due] of this.#due) {
      if (due <= ts) wrong(`${key} was due ${ts - due} ms before`);
    }
    for (const [key, left] of this.#left) if (left <= 0) wrong(`${key} has no ticks left`);
    for (const [seq, { until }] of this.#messages) {
      if (until <= ts) wrong(`the lease of ${seq} had ended ${ts - until} ms before`);
    }
  }

  #expire({ ts, writes = [] }: Logged, wrong: (text: string) => void): void {
    for (const { scope, key } of writes) {
      if (scope === "_messages") {
        const held = this.#messages.get(Number(key));
        if (!held || held.until !== ts) {
          wrong(`the lease of ${key} ends at ${held?.until}, not ${ts}`);
        } else this.#messages.set(Number(key), { by: null, until: Infinity });
        continue;
      }
      if (this.#due.get(key) !== ts && this.#left.get(key) !== 0) wrong(`${key} was not due`);
      this.#remove(key);
    }
    if (writes.length === 0) wrong("it expires nothing");
  }

  #remove(key: string): void {
    this.shared.delete(key);
    this.#revisions.delete(key);
    this.#due.delete(key);
    this.#left.delete(key);
  }

  #register({ seq, params }: Logged): void {
    const { description } = params as { description?: string };
    if (description !== undefined) this.#gated.push({ from: seq, gated: JSON.parse(description) });
  }

  #invoke(record: Logged, wrong: (text: string) => void): void {
    const params = record.params as {
      k: string;
      v: unknown;
      ver: string | null;
      ms: number;
      left: number;
    };
    const { agent, action } = record;
    const [write] = record.writes ?? [];
    if (!write) return wrong("it writes nothing");
    const lock = `l_${params.k}`;
    const expects = (key: string, value: unknown): void => this.#write(write, key, value, wrong);
    if (action === "inc") this.#count(write, `n_${params.k}`, 1, wrong);
    else if (action === "cas") {
      if (versionOf(this.shared.get(`c_${params.k}`)) !== params.ver) {
        wrong("another version stood there");
      }
      expects(`c_${params.k}`, params.v);
    } else if (action === "take") {
      if (this.shared.has(lock)) wrong(`${lock} is ${this.shared.get(lock)}'s`);
      expects(lock, agent);
    } else if (action === "drop") {
      if (this.shared.get(lock) !== agent) wrong(`${lock} is ${this.shared.get(lock)}'s`);
      this.#remove(lock);
    } else if (action === "put") {
      expects(`t_${params.k}`, params.v);
      this.#due.set(`t_${params.k}`, record.ts + params.ms);
    } else if (action === "wind") {
      expects(`x_${params.k}`, params.v);
      this.#left.set(`x_${params.k}`, params.left);
    } else if (action === "mine") this.#countOwn(agent, write, wrong);
    else this.#gate(record, write, wrong);
  }

  #gate({ action }: Logged, write: LoggedWrite, wrong: (text: string) => void): void {
    const gated = this.#gated.findLast(({ gated }) => gated.id === action)?.gated;
    if (!gated) return wrong("there is no such action");
    if (!isOpen(gated, this.shared)) wrong(`the counter is not above ${gated.above}`);
    this.#count(write, `n_${gated.k}`, gated.by, wrong);
  }

  #number(key: string): number {
    return Number(this.shared.get(key) ?? 0);
  }

  #count(write: LoggedWrite, key: string, by: number, wrong: (text: string) => void): void {
    this.#write(write, key, this.#number(key) + by, wrong);
    if (key !== "n_0") return;
    for (const [wound, left] of this.#left) this.#left.set(wound, left - 1);
  }

  #countOwn(
    agent: string,
    { scope, key, value }: LoggedWrite,
    wrong: (text: string) => void,
  ): void {
    const cell = `${agent} ${key}`;
    const expected = (this.#own.get(cell) ?? 0) + 1;
    if (scope !== agent || value !== expected) {
      wrong(`${scope}.${key} is ${value}, not ${expected}`);
    }
    this.#own.set(cell, expected);
  }

  #write(write: LoggedWrite, key: string, value: unknown, wrong: (text: string) => void): void {
    const revision = (this.#revisions.get(key) ?? 0) + 1;
    if (write.scope !== "_shared" || write.key !== key || write.value !== value) {
      wrong(`${write.scope}.${write.key} is ${write.value}; ${key} should be ${value}`);
    }
    if (write.revision !== revision) {
      wrong(`${key} has revision ${write.revision}, not ${revision}`);
    }
    this.#revisions.set(key, revision);
    this.shared.set(key, value);
  }

  #hold({ kind, agent, ts, params }: Logged, wrong: (text: string) => void): void {
    const { seq, lease_ms } = params as { seq: number; lease_ms: number };
    const held = this.#messages.get(seq);
    if (!held) return wrong(`there is no message ${seq}`);
    if (kind === "release") {
      if (held.by !== agent) wrong(`message ${seq} is ${held.by}'s`);
      this.#messages.set(seq, { by: null, until: Infinity });
    } else {
      if (held.by !== null && held.by !== agent) wrong(`message ${seq} is ${held.by}'s`);
      this.#messages.set(seq, { by: agent, until: ts + lease_ms });
    }
  }

  /** Could a gated action have been refused at one of these records? */
  couldRefuse(id: string, from: number, to: number, states: readonly Shared[]): boolean {
    for (let seq = from; seq <= to; seq++) {
      const gated = this.#gated.findLast((known) => known.gated.id === id && known.from <= seq)
        ?.gated;
      if (!gated || !isOpen(gated, states[seq] ?? new Map())) return true;
    }
    return false;
  }
}

function versionOf(value: unknown): string | null {
  if (value === undefined) return null;
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
