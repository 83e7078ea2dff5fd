/**
 * What a room should show, in the plainest way: no indices, nothing kept, everything worked out
 * anew. It shares no code with the service.
 */

/** A clock as it was asked for. */
export interface Asked {
  readonly ms?: number;
  readonly ticks?: number;
  readonly tick_on?: string;
  readonly effect: "delete" | "enable";
}

/** A clock that runs. */
interface Running {
  readonly asked: Asked;
  due?: number;
  left?: number;
  /** What was left when it came to rest. */
  rested?: number;
}

/** `has`, its opposite, or a value above a number. */
export interface Gate {
  readonly key: string;
  readonly is: "there" | "missing" | "above";
  readonly than: number;
}

/** The gate as an expression. */
export function celOf({ key, is, than }: Gate): string {
  const there = `has(state._shared.${key})`;
  if (is === "above") return `${there} && state._shared.${key}.value > ${than}`;
  return is === "there" ? there : `!${there}`;
}

interface Thing {
  value: number;
  clock?: Running | undefined;
  gate?: Gate | undefined;
}

interface Message {
  readonly from: string;
  readonly gate?: Gate | undefined;
  clock?: Running | undefined;
  by?: string | undefined;
  lease?: number | undefined;
  isDone?: boolean;
}

interface Action {
  readonly cools?: Asked | undefined;
  readonly gate?: Gate | undefined;
  readonly bumps: string;
  cooldown?: Running | undefined;
}

/** The room as it should be. */
export class Model {
  readonly entries = new Map<string, Thing>();
  readonly messages = new Map<number, Message>();
  readonly actions = new Map<string, Action>();
  carol: Gate | undefined;

  constructor(public head: number, public now: number) {}

  private start(asked: Asked | undefined): Running | undefined {
    if (!asked) return undefined;
    return asked.ms === undefined
      ? { asked, left: asked.ticks! }
      : { asked, due: this.now + asked.ms };
  }

  private *clocks(): Iterable<[Running, end: () => void]> {
    for (const [key, thing] of this.entries) {
      if (thing.clock) yield [thing.clock, () => this.end(thing, () => this.entries.delete(key))];
    }
    for (const [seq, message] of this.messages) {
      const { clock } = message;
      if (clock) yield [clock, () => this.end(message, () => this.messages.delete(seq))];
    }
    for (const action of this.actions.values()) {
      if (action.cooldown) yield [action.cooldown, () => action.cooldown = undefined];
    }
  }

  private end(thing: { clock?: Running | undefined }, remove: () => void): void {
    if (thing.clock!.asked.effect === "delete") remove();
    else thing.clock = undefined;
  }

  /** One record: it ticks what counts on the keys it wrote, and what is spent ends in the next. */
  private record(
    written: readonly string[] = [],
    set: readonly (Running | undefined)[] = [],
  ): void {
    this.head++;
    const ends: (() => void)[] = [];
    for (const [clock, end] of this.clocks()) {
      if (clock.left === undefined || clock.rested !== undefined || set.includes(clock)) continue;
      if (!written.includes(clock.asked.tick_on!.replace("_shared.", ""))) continue;
      if (--clock.left <= 0) ends.push(end);
    }
    for (const end of ends) end();
    if (ends.length > 0) this.head++;
  }

  /** Time goes on: what falls due ends at its instant, one record an instant. */
  pass(to: number): void {
    for (;;) {
      const dues = [...this.clocks()].flatMap(([c]) => c.rested === undefined ? c.due ?? [] : []);
      for (const { lease } of this.messages.values()) if (lease !== undefined) dues.push(lease);
      const due = Math.min(...dues);
      if (due > to) break;
      this.head++;
      for (const [clock, end] of [...this.clocks()]) {
        if (clock.due === due && clock.rested === undefined) end();
      }
      for (const message of this.messages.values()) {
        if (message.lease !== due) continue;
        this.free(message, due);
      }
    }
    this.now = to;
  }

  private free(message: Message, at: number): void {
    message.by = message.lease = undefined;
    const { clock } = message;
    if (clock?.rested === undefined) return;
    if (clock.due !== undefined) clock.due = at + clock.rested;
    delete clock.rested;
  }

  private holds(gate: Gate | undefined): boolean {
    if (!gate) return true;
    const value = this.shown(gate.key);
    if (gate.is === "missing") return value === undefined;
    return value !== undefined && (gate.is === "there" || value > gate.than);
  }

  private isAwake(thing: { clock?: Running | undefined; gate?: Gate | undefined }): boolean {
    return thing.clock?.asked.effect !== "enable" && this.holds(thing.gate);
  }

  /** The value at a key, if it is there. */
  shown(key: string): number | undefined {
    const thing = this.entries.get(key);
    return thing && this.isAwake(thing) ? thing.value : undefined;
  }

  /** Is the agent in the room? Only carol may be out of it. */
  isIn(agent: string): boolean {
    return agent !== "carol" || this.holds(this.carol);
  }

  /** Is the message there? */
  isThere(seq: number): boolean {
    const message = this.messages.get(seq);
    return message !== undefined && this.isIn(message.from) && this.isAwake(message);
  }

  /** Writes a value; an unnamed clock of ms or ticks starts anew. */
  put(key: string, value: number, asked: Asked | null | undefined, gate?: Gate): void {
    const old = this.entries.get(key)?.clock?.asked;
    const clock = this.start(asked === undefined ? old : asked ?? undefined);
    this.entries.set(key, { value, clock, gate });
    this.record([key], [clock]);
  }

  /** Adds one; everything else goes on. */
  bump(key: string): void {
    const thing = this.entries.get(key);
    if (thing) thing.value++;
    else this.entries.set(key, { value: 1 });
    this.record([key]);
  }

  /** Removes a key. */
  drop(key: string): void {
    this.record(this.entries.delete(key) ? [key] : []);
  }

  /** Starts a key's clock anew; false when it has none. */
  renew(key: string): boolean {
    const thing = this.entries.get(key);
    if (!thing?.clock) return false;
    thing.clock = this.start(thing.clock.asked);
    this.record([], [thing.clock]);
    return true;
  }

  /** Registers an action that adds one to a key. */
  register(id: string, bumps: string, cools: Asked | undefined, gate: Gate | undefined): void {
    this.actions.set(id, { bumps, cools, gate, cooldown: this.actions.get(id)?.cooldown });
    this.record();
  }

  /** What invoking an action should answer. */
  answer(id: string): number {
    const action = this.actions.get(id);
    if (!action) return 404;
    return !this.holds(action.gate) || action.cooldown ? 409 : 200;
  }

  /** Invokes an action that may be. */
  fire(id: string): void {
    const action = this.actions.get(id)!;
    const thing = this.entries.get(action.bumps);
    if (thing) thing.value++;
    else this.entries.set(action.bumps, { value: 1 });
    const started = this.start(action.cools);
    if (started) action.cooldown = started;
    this.record([action.bumps], [started]);
  }

  /** Sends a message; answers its seq. */
  send(from: string, asked: Asked | undefined, gate: Gate | undefined): number {
    const seq = this.head + 1;
    const clock = this.start(asked);
    this.messages.set(seq, { from, gate, clock });
    this.record([], [clock]);
    return seq;
  }

  /** What claiming should answer. */
  claimAnswer(seq: number, who: string): number {
    if (!this.isThere(seq)) return 404;
    const { by } = this.messages.get(seq)!;
    return by === undefined || by === who ? 200 : 409;
  }

  /** Claims or renews. */
  claim(seq: number, who: string, lease: number): void {
    const message = this.messages.get(seq)!;
    message.by = who;
    message.lease = message.isDone ? undefined : this.now + lease;
    const { clock } = message;
    if (clock?.asked.effect === "delete" && clock.rested === undefined) {
      clock.rested = clock.due === undefined ? clock.left! : clock.due - this.now;
    }
    this.record();
  }

  /** Gives back. */
  release(seq: number): void {
    const message = this.messages.get(seq)!;
    this.free(message, this.now);
    message.isDone = false;
    this.record();
  }

  /** The holder's result. */
  finish(seq: number, who: string): number {
    const message = this.messages.get(seq)!;
    message.isDone = true;
    message.lease = undefined;
    return this.send(who, undefined, undefined);
  }

  /** Changes carol's gate. */
  gateCarol(gate: Gate | undefined): void {
    this.carol = gate;
    this.record();
  }

  /** All of it, as the test compares it. */
  picture(): unknown {
    const instant = (ms: number | undefined) =>
      ms === undefined ? null : new Date(ms).toISOString();
    const state = [...this.entries].filter(([key]) => this.shown(key) !== undefined)
      .map(([key, { value, clock }]) => [
        key,
        value,
        instant(clock?.rested === undefined ? clock?.due : undefined),
        clock?.left ?? null,
      ]);
    const actions = [...this.actions].filter(([, a]) => this.holds(a.gate)).map((
      [id, { cooldown }],
    ) => [id, !cooldown, instant(cooldown?.due), cooldown?.left ?? null]);
    const messages = [...this.messages.keys()].filter((seq) => this.isThere(seq)).map((seq) => {
      const { by, lease } = this.messages.get(seq)!;
      return [seq, by ?? null, instant(lease)];
    });
    const agents = ["alice", "bob", "carol"].filter((agent) => this.isIn(agent));
    const unclaimed = messages.filter(([seq, by]) => by === null && this.isTask(seq as number));
    return {
      seq: this.head,
      state: state.sort(byFirst),
      actions: actions.sort(byFirst),
      messages: messages.sort(byFirst),
      agents,
      unclaimed: unclaimed.length,
    };
  }

  readonly tasks = new Set<number>();
  private isTask(seq: number): boolean {
    return this.tasks.has(seq);
  }
}

function byFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return a[0]! < b[0]! ? -1 : a[0]! > b[0]! ? 1 : 0;
}
