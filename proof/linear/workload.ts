/**
 * Clients of one room that write, read, compare, claim and wait at random over HTTP, and note
 * what they asked, when, and what they were told. A call that is cut off is repeated with its
 * Idempotency-Key, or given up: then nobody knows whether it happened.
 */
import { ask as send } from "../server.ts";
import type { Answer, Asked, Call, Shown } from "./history.ts";
import { ABSENT, versionOfText } from "./models.ts";
import {
  answerOf,
  COUNTERS,
  REGISTERS,
  type Request,
  requestOf,
  TASKS_SHOWN,
  type World,
} from "./wire.ts";

/** Where the service answers now: the origins of the instances that are up. */
export type Origins = () => readonly string[];

const REPEATS_MAX = 100;
const REPEAT_PAUSE_MS = 40;
const ANSWER_MS_MAX = 10_000;
const LEASE_MS = 250;
const WAIT_MS_MAX = 300;
const SURPRISES_MAX = 20;
const UNKNOWN = { ret: Infinity, answer: undefined } as const;

/** The clients, and what they noted. */
export class Workload {
  readonly calls: Call[] = [];
  /** Answers that nothing explains; each is a failure. */
  readonly surprises: string[] = [];
  readonly #tasks: { readonly seq: number; readonly leaseMs: number | null }[] = [];
  #seen: Shown | undefined;
  #count = 0;

  constructor(
    readonly world: World,
    private readonly origins: Origins,
    private readonly random: () => number,
  ) {}

  /** Runs all clients until `isOver` says so. */
  async run(isOver: () => boolean): Promise<void> {
    await Promise.all(this.world.agents.map(async (agent) => {
      const held = new Map<number, number>();
      while (!isOver()) {
        await this.perform(agent, this.choose(held), held);
        await pause(this.random() * 4);
      }
    }));
  }

  /** One read of everything at one instance. */
  readonly readAt = async (origin: string): Promise<void> => {
    await this.perform(
      this.world.agents[0]!,
      { kind: "read", via: "context" },
      new Map(),
      () => [origin],
    );
  };

  private pick<T>(among: readonly T[]): T {
    return among[Math.floor(this.random() * among.length)]!;
  }

  private choose(held: ReadonlyMap<number, number>): Asked {
    const key = this.pick(REGISTERS), counter = this.pick(COUNTERS), value = `v${this.#count}`;
    const dice = this.random() * 100;
    if (dice < 26) return this.chooseRead(dice / 26);
    if (dice < 40) return { kind: "put", key, value };
    if (dice < 56) return { kind: "cas", key, expected: this.expected(key), value };
    if (dice < 61) return { kind: "pair", value };
    if (dice < 75) return { kind: "inc", key: counter };
    if (dice < 82) return this.chooseWait(counter);
    return this.chooseTask(key, value, held);
  }

  private chooseRead(dice: number): Asked {
    if (dice < 0.15) return { kind: "read", via: "poll" };
    const base = this.#seen;
    return base && dice < 0.5
      ? { kind: "read", via: "delta", base }
      : { kind: "read", via: "context" };
  }

  private expected(key: string): string | number {
    const cell = this.#seen?.cells.get(key) ?? ABSENT;
    return this.random() < 0.5
      ? cell.revision
      : cell.value === null
      ? ""
      : versionOfText(cell.value);
  }

  private chooseWait(key: string): Asked {
    const seen = this.#seen?.counters.get(key) ?? 0;
    return { kind: "wait", key, atLeast: Math.max(1, seen + Math.floor(this.random() * 4)) };
  }

  private chooseTask(key: string, value: string, held: ReadonlyMap<number, number>): Asked {
    const recent = this.#tasks.slice(-TASKS_SHOWN);
    const mine = recent.filter(({ seq }) => held.has(seq));
    const dice = this.random();
    if (recent.length === 0 || dice < 0.15) return { kind: "send" };
    if (mine.length > 0 && dice < 0.45) {
      const { seq: task } = this.pick(mine);
      return { kind: "work", task, fence: held.get(task)!, key, value };
    }
    const { seq: task, leaseMs } = this.pick(dice < 0.6 && mine.length > 0 ? mine : recent);
    return dice < 0.6 ? { kind: "release", task } : { kind: "claim", task, leaseMs };
  }

  /** Sends until it is known what happened, or until it is given up. */
  private async perform(
    agent: World["agents"][number],
    asked: Asked,
    held: Map<number, number>,
    origins: Origins = this.origins,
  ): Promise<void> {
    const id = `op${this.#count++}`, waitMs = Math.floor(this.random() * WAIT_MS_MAX);
    const request = requestOf(this.world, { id, token: agent.token }, asked, waitMs);
    const isRead = asked.kind === "read" || asked.kind === "wait";
    const repeats = isRead || this.random() < 0.3 ? 0 : REPEATS_MAX;
    /** When the first attempt began of which nobody knows the outcome. */
    let first: number | undefined;
    for (let i = 0; i <= repeats; i++) {
      const origin = this.pick(origins()), began = performance.now();
      const told = origin === undefined ? "unsent" : await this.send(origin, id, asked, request);
      if (typeof told !== "string") {
        return this.note({ id, agent: agent.id, asked }, told, began, first, held);
      }
      if (told === "unknown") first ??= began;
      await pause(REPEAT_PAUSE_MS);
    }
    if (first !== undefined && !isRead) {
      this.calls.push({ id, agent: agent.id, asked, call: first, ...UNKNOWN });
    }
  }

  private async send(
    origin: string,
    id: string,
    asked: Asked,
    { method, path, token, body }: Request,
  ): Promise<Answer | "unknown"> {
    const headers = { "Idempotency-Key": id };
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    try {
      const reply = await send(method, origin + path, { token, body, headers, signal });
      return answerOf(asked, reply) ?? "unknown";
    } catch (error) {
      // A refused connection says nothing: `fetch` had repeated what broke on a kept one.
      if (error instanceof TypeError || signal.aborted) return "unknown";
      if (this.surprises.length < SURPRISES_MAX) {
        this.surprises.push(`${id} (${asked.kind}): ${error}`);
      }
      return "unknown";
    }
  }

  private note(
    what: Pick<Call, "id" | "agent" | "asked">,
    answer: Answer,
    began: number,
    first: number | undefined,
    held: Map<number, number>,
  ): void {
    const ret = performance.now();
    const isRefused = answer.kind !== "written" && answer.kind !== "shown";
    if (isRefused && first !== undefined) {
      // Refusals are not kept: the attempt before may yet turn out to have happened.
      this.calls.push({ ...what, call: first, ...UNKNOWN });
      this.calls.push({ ...what, id: `${what.id} again`, call: began, ret, answer });
    } else this.calls.push({ ...what, call: first ?? began, ret, answer });
    if (answer.kind === "shown") this.#seen = answer.shown;
    if (answer.kind !== "written") return;
    const { asked } = what;
    if (asked.kind === "send") {
      this.#tasks.push({ seq: answer.seq, leaseMs: this.random() < 0.5 ? LEASE_MS : null });
    }
    if (asked.kind === "claim") held.set(asked.task, answer.fence!);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
