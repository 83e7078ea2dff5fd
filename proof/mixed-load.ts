/**
 * A mixed load on one room, and what must be true of the room after the server was hurt: every
 * acknowledged command stands in the log as it was answered, nothing is there twice or in half.
 */
import assert from "node:assert/strict";
import { ACTIONS, checkRecord, type Command, KINDS, markOf, type Shown } from "./mixed-commands.ts";
import type { Answer, Ask } from "./server.ts";

/** Asks the server that runs at the moment. */
export type AskServer = (method: string, path: string, ask?: Ask) => Promise<Answer>;

/** Numbers from 0 up to 1, the same ones for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Acknowledged {
  readonly command: Command;
  readonly seq: number;
  readonly text: string;
}

const AGENTS = ["alice", "bob"];
const HOUR_MS = 3_600_000;
const LOG_PAGE = 1_000;
const PATIENCE_TRIES = 100;
const PATIENCE_PAUSE_MS = 50;
/** Repeats of acknowledged commands, a check. */
const REPEATS = 3;

/** What went before, in one room. */
export class MixedLoad {
  readonly #tokens = new Map<string, string>();
  readonly acknowledged: Acknowledged[] = [];
  /** Commands whose answer never came: there whole, or not at all. */
  readonly inDoubt: Command[] = [];
  /** Refusals by 503, by their code. */
  readonly refused = new Map<string, number>();
  readonly #joined = new Map<string, string>();
  readonly #marks = new Set<string>();
  readonly #claims = new Map<number, string>();
  #messages: number[] = [];
  #revision = 0;
  #checked = 0;
  #settled = 0;
  #count = 0;

  private constructor(
    readonly room: string,
    private readonly chance: () => number,
    private readonly clock: () => number,
  ) {}

  /** Makes the room and its vocabulary. `clock` must be the server's. */
  static async begin(
    ask: AskServer,
    room: string,
    chance: () => number,
    clock: () => number = () => Date.now(),
  ): Promise<MixedLoad> {
    const load = new MixedLoad(room, chance, clock);
    const made = await ask("POST", "/rooms", { body: { id: room } });
    assert.equal(made.status, 201, made.text);
    load.#tokens.set("admin", made.body.token);
    for (const id of AGENTS) {
      const joined = await ask("POST", `/rooms/${room}/agents`, { body: { id } });
      assert.equal(joined.status, 201, joined.text);
      load.#tokens.set(id, joined.body.token);
    }
    for (const params of ACTIONS) {
      const path = `/rooms/${room}/actions/_register_action/invoke`;
      const reply = await ask("POST", path, { token: load.admin, body: { params } });
      assert.equal(reply.status, 201, reply.text);
    }
    return load;
  }

  /** The same load with nothing checked yet. */
  fresh(): MixedLoad {
    const other = new MixedLoad(this.room, this.chance, this.clock);
    for (const [agent, token] of this.#tokens) other.#tokens.set(agent, token);
    for (const [agent, token] of this.#joined) other.#joined.set(agent, token);
    other.acknowledged.push(...this.acknowledged);
    other.inDoubt.push(...this.inDoubt);
    return other;
  }

  /** The room's own token. */
  get admin(): string {
    return this.#tokens.get("admin")!;
  }

  /** An agent's token. */
  token(agent: string): string {
    return this.#tokens.get(agent)!;
  }

  private pick<T>(among: readonly T[]): T {
    return among[Math.floor(this.chance() * among.length)]!;
  }

  private next(): Command {
    const kind = this.pick(KINDS);
    const mark = `k${++this.#count}`, agent = this.pick(AGENTS);
    const command = { kind, agent, mark, action: kind };
    const timer = (ms: number) => ({ k: mark, timer: { ms, effect: "delete" } });
    if (kind === "brief") {
      return { ...command, params: timer(20 + Math.floor(this.chance() * 200)) };
    }
    if (kind === "lasting") return { ...command, params: timer(HOUR_MS) };
    if (kind === "cas") {
      const from = this.#revision;
      return { ...command, params: { k: mark }, rest: { if_version: { "_shared.c": from } }, from };
    }
    if (kind === "claim" && this.#messages.length > 0) {
      const params = { seq: this.pick(this.#messages), lease_ms: HOUR_MS };
      return { ...command, action: "_claim_message", params };
    }
    if (kind === "message" || kind === "claim") {
      return { ...command, kind: "message", action: "_send_message", params: { body: mark } };
    }
    return { ...command, params: { k: mark } };
  }

  private send(ask: AskServer, command: Command): Promise<Answer> {
    const { kind, agent, mark, action, params, rest } = command;
    if (kind === "join") {
      return ask("POST", `/rooms/${this.room}/agents`, { body: { id: mark } });
    }
    return ask("POST", `/rooms/${this.room}/actions/${action}/invoke`, {
      token: this.token(agent),
      headers: { "Idempotency-Key": mark },
      body: { params, ...rest },
    });
  }

  /** Several clients at once, until `isOver` or the connection breaks. Refusals by 503 are passed over. */
  async run(ask: AskServer, clients: number, isOver: () => boolean): Promise<void> {
    await Promise.all(Array.from({ length: clients }, async () => {
      while (!isOver()) {
        const command = this.next();
        let answer: Answer;
        try {
          answer = await this.send(ask, command);
        } catch (error) {
          this.inDoubt.push(command);
          // The connection broke: the process or the way to it is gone.
          if (error instanceof TypeError) return;
          throw error;
        }
        this.note(command, answer);
      }
    }));
  }

  private note(command: Command, { status, body, text, headers }: Answer): void {
    const { kind, mark, from } = command;
    if (status === 503) {
      assert.match(headers.get("Retry-After") ?? "", /^[1-9]\d*$/, text);
      this.refused.set(body.error, (this.refused.get(body.error) ?? 0) + 1);
      // It may have happened only where the service says so.
      if (body.error === "outcome_unknown") this.inDoubt.push(command);
    } else if (status === 409 && (kind === "cas" || kind === "claim")) {
      if (kind === "cas") this.#revision = body.current?.revision ?? 0;
    } else {
      assert.ok(status === 200 || status === 201, `${kind} was answered ${status}: ${text}`);
      this.acknowledged.push({ command, seq: body.seq, text });
      if (kind === "cas") this.#revision = Math.max(this.#revision, from! + 1);
      if (kind === "message") this.#messages.push(body.seq);
      if (kind === "join") this.#joined.set(mark, body.token);
    }
  }

  /** Checks everything on a server that runs again. Throws at the first thing that is not as it was said. */
  async check(given: AskServer): Promise<void> {
    const ask = patient(given);
    await this.settleDoubts(ask);
    await this.checkLog(ask);
    await this.checkState(ask);
    await this.checkRepeats(ask);
    await this.checkTokens(ask);
    const verified = await ask("GET", `/rooms/${this.room}/verify`, { token: this.admin });
    assert.equal(verified.body?.ok, true, `verify: ${verified.text}`);
    this.#settled = this.acknowledged.length;
  }

  /** What was in doubt is asked again, and then is there once. A join has no key: it is there or not. */
  private async settleDoubts(ask: AskServer): Promise<void> {
    for (const command of this.inDoubt.splice(0)) {
      const answer = await this.send(ask, command);
      if (command.kind === "join" && answer.status === 409) continue;
      assert.notEqual(answer.status, 503, answer.text);
      this.note(command, answer);
    }
  }

  private async readLog(ask: AskServer): Promise<Shown[]> {
    const records: Shown[] = [];
    for (let after = this.#checked;; after = records.at(-1)!.seq) {
      const path = `/rooms/${this.room}/log?after=${after}&limit=${LOG_PAGE}`;
      const { status, body, text } = await ask("GET", path, { token: this.admin });
      assert.equal(status, 200, text);
      records.push(...body.records);
      if (body.next_after === undefined) return records;
    }
  }

  /** Every acknowledged command has its record, and no command has two. */
  private async checkLog(ask: AskServer): Promise<void> {
    const records = await this.readLog(ask);
    records.forEach(({ seq }, i) => assert.equal(seq, this.#checked + i + 1, "a gap in the log"));
    const bySeq = new Map(records.map((record) => [record.seq, record]));
    for (const { command, seq } of this.acknowledged.slice(this.#settled)) {
      const { kind, mark } = command;
      // A join's reply names no seq; its agent is looked for among the marks below.
      if (kind === "join" || seq <= this.#checked) continue;
      const record = bySeq.get(seq);
      assert.ok(record, `${kind} ${mark} was acknowledged as ${seq} and is gone`);
      checkRecord(command, record);
    }
    for (const record of records) this.noteMark(record);
    for (const mark of this.#joined.keys()) {
      assert.ok(this.#marks.has(mark), `${mark} was told that it had joined, and has not`);
    }
    this.#checked += records.length;
  }

  private noteMark(record: Shown): void {
    const { kind, params, agent, seq } = record;
    if (kind === "claim") {
      const message = Number(params?.["seq"]);
      // Who holds it may claim it again, which is a new lease.
      assert.equal(this.#claims.get(message) ?? agent, agent, `${message} has two holders`);
      this.#claims.set(message, agent);
    }
    const mark = markOf(record);
    if (mark === undefined || AGENTS.includes(mark)) return;
    assert.ok(!this.#marks.has(mark), `${mark} was done twice, the second time as ${seq}`);
    this.#marks.add(mark);
  }

  private async checkState(ask: AskServer): Promise<void> {
    const before = this.clock();
    const path = `/rooms/${this.room}/context?elision=none&only=state`;
    const { status, body, text } = await ask("GET", path, { token: this.admin });
    assert.equal(status, 200, text);
    const shared: Record<string, { value: unknown; _meta: { timer?: { due_at: string } } }> =
      body.state._shared;
    const halves = ["a.", "b."].map((half) =>
      Object.keys(shared).filter((key) => key.startsWith(half)).map((key) => key.slice(2)).sort()
    );
    assert.deepEqual(halves[0], halves[1], "an invocation is there in half");
    assert.equal(shared["n"]?.value ?? 0, halves[0]!.length, "the counter is not the count");
    for (const { command: { kind, mark } } of this.acknowledged) {
      if (kind === "pair") assert.ok(shared[`a.${mark}`], `${mark} was acknowledged and is gone`);
      if (kind !== "lasting") continue;
      assert.ok(shared[`l.${mark}`]?._meta.timer, `${mark} has lost its timer`);
    }
    for (const [key, { _meta: { timer } }] of Object.entries(shared)) {
      if (!timer) continue;
      assert.ok(Date.parse(timer.due_at) >= before, `${key} is shown after ${timer.due_at}`);
    }
  }

  /** A repeat with the same Idempotency-Key answers the first outcome again. */
  private async checkRepeats(ask: AskServer): Promise<void> {
    const keyed = this.acknowledged.filter(({ command }) => command.kind !== "join");
    for (const { command, text } of keyed.slice(-REPEATS)) {
      const again = await this.send(ask, command);
      const isReplayed = again.headers.get("Idempotent-Replayed");
      assert.equal(isReplayed, "true", `a repeat is not known again: ${again.text}`);
      assert.equal(again.text, text);
    }
  }

  private async checkTokens(ask: AskServer): Promise<void> {
    for (const [agent, token] of [...this.#joined].slice(-REPEATS)) {
      const path = `/rooms/${this.room}/context?only=agents`;
      const { status, body, text } = await ask("GET", path, { token });
      assert.equal(status, 200, `the token of ${agent}: ${text}`);
      assert.ok(body.agents[agent], `${agent} is not in the room`);
    }
  }
}

/** Asks again, as callers do, what is answered 503, for a while. */
function patient(ask: AskServer): AskServer {
  return async (...request) => {
    for (let tries = 1;; tries++) {
      const answer = await ask(...request);
      if (answer.status !== 503 || tries === PATIENCE_TRIES) return answer;
      await new Promise((resolve) => setTimeout(resolve, PATIENCE_PAUSE_MS));
    }
  };
}
