/**
 * Waiting: sleeps until something that the condition reads could have changed, and only then
 * judges it again. Registered in the same turn in which it was judged, so nothing is missed.
 */
import { heartbeat } from "./agents/presence.ts";
import { act, type Acting, type Auth, isExpired, passOver, type Touched } from "./auth.ts";
import { buildContext, type Context, moveCursors } from "./context.ts";
import type { Parameters } from "./context/query.ts";
import type { Change, Moment } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { type HotRoom, TailDropped } from "./engine/hot.ts";
import { isAway } from "./errors.ts";
import { ROOM_VOLATILE_WAITERS_MAX, ROOM_WAITERS_MAX, WAIT_MS_MAX } from "./limits.ts";
import type { Elevate, Principal } from "./policy.ts";
import type { JsonObject, LogRecord, Millis } from "./types.ts";
import { DueRooms } from "./wait/due.ts";
import { type Judgement, type WaitGroup, WaitIndex } from "./wait/index.ts";
import {
  hasChangedSince,
  isAnswer,
  judge,
  noteLate,
  noteShown,
  stalledAgents,
} from "./wait/judge.ts";
import { showWaiting } from "./wait/presence.ts";
import { parseWait, type WaitQuery } from "./wait/query.ts";
import { Sleeping } from "./wait/sleeping.ts";
import {
  contextMembers,
  hasLasted,
  newestBehind,
  type NotWoken,
  SharedContexts,
  tooManyWaiters,
  type Wakeup,
  wakeUp,
  type Woken,
  wokenAt,
  wokenReply,
} from "./wait/reply.ts";

/** What a wait needs from its door. */
export interface WaitRequest {
  readonly principal: Principal;
  readonly room: string;
  readonly agent?: string | undefined;
  readonly parameters: Parameters;
  readonly elevate?: Elevate | undefined;
  /** Ends the wait when the client goes away. */
  readonly signal?: AbortSignal | undefined;
}

/** The same once its parameters are parsed: what a sleeper holds on to. */
type Waiting = Omit<WaitRequest, "parameters">;

/** One sleeping request. */
interface Sleeper {
  readonly request: Waiting;
  readonly query: WaitQuery;
  readonly acting: Acting;
  readonly since: number;
  /** What was hidden from it when it fell asleep, where it wants a change. */
  readonly hidden: Set<string> | undefined;
  readonly startedAt: Millis;
  readonly settle: (outcome: Wakeup) => void;
  generation: number;
  /** Its condition did not hold at some time since it asked: that it holds now is a change. */
  wasFalse: boolean;
}

/** Steps that judging takes before others get their turn. */
const TURN_STEPS = 30_000;
/** What judging a group takes beside its steps. */
const GROUP_STEPS = 50;

/** The waits of all rooms; each answers within `longestMs`, whatever it asks for. */
export class Waits {
  readonly #indices = new Map<HotRoom, WaitIndex<Sleeper>>();
  readonly #due = new DueRooms<WaitGroup<Sleeper>>();
  readonly sleeping: Sleeping;
  longestMs = WAIT_MS_MAX;
  #cancelVolatile: (() => void) | undefined;
  #isClosing = false;

  constructor(private readonly engine: Engine, private readonly auth: Auth) {
    this.sleeping = new Sleeping(engine);
    engine.onChange((hot, change) => this.noteChange(hot, change));
    auth.onForget((touched) => void this.judgeRights(touched));
  }

  /** Open waits, for metrics. */
  get open(): number {
    let open = 0;
    for (const index of this.#indices.values()) open += index.size;
    return open;
  }

  /** Waits until the condition holds, something changes, or the time is up. */
  wait({ parameters, ...request }: WaitRequest): Promise<{ body: JsonObject; seq: number }> {
    return this.waitFor(request, parseWait(parameters));
  }

  private async waitFor(
    request: Waiting,
    query: WaitQuery,
  ): Promise<{ body: JsonObject; seq: number }> {
    const startedAt = this.engine.clock.now();
    for (;;) {
      const { generation } = this.auth;
      const wakeup = await this.sleeping.run(request, () => this.sleep(request, query, startedAt));
      const reply = await this.answer(request, query, startedAt, wakeup, generation);
      if (reply) return reply;
    }
  }

  /** Looks once; when there is nothing to tell yet, sleeps in the index from the same turn on. */
  private async sleep(request: Waiting, query: WaitQuery, startedAt: Millis): Promise<Wakeup> {
    let leave: (() => void) | undefined;
    const look = (moment: Moment): Promise<Wakeup> => {
      leave?.();
      leave = undefined;
      const acting = act(request.principal, moment, "wait", request.agent, request.elevate);
      heartbeat(this.engine, moment.hot, acting, moment.now);
      const since = query.since ?? moment.room.head;
      const judgement = judge(moment, acting, query.program);
      if (isAnswer(moment, acting, query, judgement)) {
        return Promise.resolve<Wakeup>(wokenAt(moment, acting, query, judgement, undefined));
      }
      const wantsChange = query.since !== undefined || !query.program;
      const hidden = wantsChange ? noteShown(moment, acting) : undefined;
      const { promise, resolve } = Promise.withResolvers<Wakeup>();
      const sleeper: Sleeper = {
        request,
        query,
        acting,
        since,
        hidden,
        startedAt,
        settle: resolve,
        generation: this.auth.generation,
        wasFalse: !judgement.holds,
      };
      leave = this.enter(moment, sleeper, judgement);
      return promise;
    };
    try {
      const { value: outcome } = await this.engine.read(request.room, look);
      return await outcome;
    } finally {
      leave?.();
    }
  }

  /** Registers a sleeper; the answer takes it out again, with its timer and its presence. */
  private enter({ hot }: Moment, sleeper: Sleeper, judgement: Judgement): () => void {
    let index = this.#indices.get(hot);
    if (!index) this.#indices.set(hot, index = new WaitIndex());
    if (index.size >= ROOM_WAITERS_MAX) throw tooManyWaiters();
    const { acting, query, request, startedAt } = sleeper;
    const key = `${acting.seesAll ? "*" : ""}${acting.isBorrowed ? "?" : ""}${acting.agent}\u0000${
      query.condition ?? `\u0000${sleeper.since}`
    }`;
    const wantsChange = query.since !== undefined;
    const group = index.join(
      wantsChange ? `${key}\u0000since` : key,
      query.program,
      wantsChange,
      sleeper,
      judgement,
    );
    hot.pins++;
    const left = startedAt + Math.min(query.timeout, this.longestMs) - this.engine.clock.now();
    const onTimeout = (): void => {
      if (!group.isVolatile) noteLate(hot, acting, query, this.engine.clock.now());
      sleeper.settle({ kind: "timeout", hidden: sleeper.hidden });
    };
    const cancelTimer = this.engine.clock.after(Math.max(0, left), onTimeout);
    const onAbort = (): void => sleeper.settle({ kind: "gone" });
    if (request.signal?.aborted) onAbort();
    request.signal?.addEventListener("abort", onAbort, { once: true });
    if (this.#isClosing) sleeper.settle({ kind: "closing" });
    if (group.isVolatile) {
      if (index.volatile.size > ROOM_VOLATILE_WAITERS_MAX) {
        sleeper.settle({ kind: "failed", error: tooManyWaiters() });
      }
      this.tickVolatile();
    }
    const open = showWaiting(this.engine, hot, sleeper, group);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      hot.pins--;
      cancelTimer();
      request.signal?.removeEventListener("abort", onAbort);
      index.leave(group, sleeper);
      if (index.size === 0) this.#indices.delete(hot);
      open();
    };
  }

  private noteChange(hot: HotRoom, change: Change): void {
    const index = this.#indices.get(hot);
    if (!index) return;
    if (change.ended) {
      for (const sleeper of index.all()) {
        sleeper.settle({ kind: "failed", error: new TailDropped() });
      }
      return;
    }
    this.#due.note(hot, change);
    this.schedule();
  }

  private schedule(): void {
    if (!this.sleeping.schedule()) return;
    // The writer's reply goes first; what piles up meanwhile is judged together.
    setImmediate(() => this.judgeDue());
  }

  private judgeDue(): void {
    this.sleeping.begin();
    let steps = 0;
    for (const [hot, { cells, records, groups, behind }] of this.#due.take()) {
      const index = this.#indices.get(hot);
      if (!index || hot.isDead) continue;
      const contexts = new SharedContexts(this.engine.moment(hot));
      // The room stands at its tail, which may be ahead of what is durable.
      const all = [...behind, ...records, ...hot.pending.map(({ record }) => record)];
      const isNews = cells.size > 0 || records.length > 0;
      for (const group of isNews ? index.affected(cells, all.length > 0) : []) groups.add(group);
      for (const group of groups) {
        if (steps > TURN_STEPS) break;
        groups.delete(group);
        steps += GROUP_STEPS + this.judgeGroup(contexts, index, group, all);
      }
      if (groups.size === 0) continue;
      this.#due.add(hot, groups, [...behind, ...records]);
      this.schedule();
    }
    this.sleeping.end();
  }

  private judgeGroup(
    contexts: SharedContexts,
    index: WaitIndex<Sleeper>,
    group: WaitGroup<Sleeper>,
    records: readonly LogRecord[],
  ): number {
    const [first] = group.sleepers;
    if (!first) return 0;
    const { moment } = contexts;
    const judgement = judge(moment, first.acting, group.program);
    index.update(group, judgement);
    if (group.isVolatile) this.tickVolatile();
    if (!judgement.holds) {
      for (const sleeper of group.sleepers) sleeper.wasFalse = true;
      return judgement.steps;
    }
    const by = newestBehind(records, group.cells);
    for (const sleeper of [...group.sleepers]) {
      const needsChange = sleeper.query.since !== undefined || group.program === undefined;
      const isChanged = !needsChange || sleeper.wasFalse ||
        hasChangedSince(moment, sleeper.acting, sleeper.since, sleeper.hidden);
      if (!isChanged) continue;
      sleeper.settle(this.sleeping.woke(wakeUp(contexts, sleeper, judgement, by)));
    }
    return judgement.steps;
  }

  /** Conditions that change by themselves are judged once a second. */
  private tickVolatile(): void {
    this.#cancelVolatile ??= this.engine.clock.after(1_000, () => {
      this.#cancelVolatile = undefined;
      let isAny = false;
      for (const [hot, index] of this.#indices) {
        if (hot.isDead || index.volatile.size === 0) continue;
        isAny = true;
        this.#due.add(hot, index.volatile);
        this.schedule();
      }
      if (isAny && !this.#isClosing) this.tickVolatile();
    });
  }

  /** Rights are judged again whenever tokens, scopes or roles changed. */
  private async judgeRights(touched: Touched | undefined): Promise<void> {
    for (const index of this.#indices.values()) {
      passOver(index.all(), touched, this.auth.generation);
    }
    for (const index of [...this.#indices.values()]) {
      for (const sleeper of [...index.all()]) {
        if (sleeper.generation === this.auth.generation) continue;
        // Noted before the look: what changes meanwhile is judged once more.
        const { generation } = this.auth;
        try {
          await this.mayStill(sleeper.request);
          sleeper.generation = generation;
        } catch (error) {
          // What cannot be read just now is read again before the wait is answered.
          if (!isAway(error)) sleeper.settle({ kind: "failed", error });
        }
      }
    }
  }

  private async mayStill(request: Waiting): Promise<Waiting> {
    const principal = await this.auth.again(request.principal, request.room);
    const hot = await this.engine.find(request.room);
    act(principal, { room: hot.room }, "wait", request.agent, request.elevate);
    return { ...request, principal };
  }

  /** The reply to a wake-up; undefined when what was seen did not last and the wait goes on. */
  private async answer(
    request: Waiting,
    query: WaitQuery,
    startedAt: Millis,
    wakeup: Wakeup,
    generation: number,
  ): Promise<{ body: JsonObject; seq: number } | undefined> {
    if (wakeup.kind === "failed") {
      if (wakeup.error instanceof TailDropped) return undefined;
      throw wakeup.error;
    }
    if (wakeup.kind === "woken" && !await hasLasted(wakeup)) return undefined;
    // What another process revoked meanwhile raises the generation.
    await this.auth.refresh(request.room);
    const isFresh = generation === this.auth.generation &&
      !isExpired(request.principal, this.engine.clock.now());
    const current = isFresh ? request : await this.mayStill(request);
    if (wakeup.kind !== "woken") return await this.timeOut(wakeup, current, query, startedAt);
    return await this.tell(wakeup, current, query, startedAt);
  }

  private async tell(woken: Woken, request: Waiting, query: WaitQuery, startedAt: Millis) {
    const now = this.engine.clock.now();
    const members = await this.contextOf(woken.context, request, woken, query);
    moveCursors(this.engine, woken.hot, woken.context.cursors, now);
    return { body: { ...wokenReply(woken, query, now - startedAt), ...members }, seq: woken.seq };
  }

  private contextOf(
    context: Context,
    { principal, agent, elevate }: Waiting,
    { hot, seq }: Pick<Woken, "hot" | "seq">,
    query: WaitQuery,
  ): Promise<JsonObject> {
    const acting = (): Acting => act(principal, hot, "wait", agent, elevate);
    return contextMembers(context, query, this.engine.store, { hot, seq, acting });
  }

  private async timeOut(
    { kind, hidden }: NotWoken,
    request: Waiting,
    query: WaitQuery,
    startedAt: Millis,
  ): Promise<{ body: JsonObject; seq: number }> {
    const { value, hot, seq } = await this.engine.read(request.room, (moment) => {
      const acting = act(request.principal, moment, "wait", request.agent, request.elevate);
      const judgement = judge(moment, acting, query.program);
      // What came true while the time ran out is told: no time-out shows a state that is an answer.
      if (kind !== "gone" && isAnswer(moment, acting, query, judgement, hidden)) {
        return wokenAt(moment, acting, query, judgement, undefined);
      }
      const { error, isVolatile } = judgement;
      const context = buildContext(moment, acting, query.context);
      return { kind, error, context, stalled: stalledAgents(moment, acting, query, isVolatile) };
    });
    if (value.kind === "woken") return await this.tell(value, request, query, startedAt);
    const now = this.engine.clock.now();
    const members = await this.contextOf(value.context, request, { hot, seq }, query);
    if (kind !== "gone") moveCursors(this.engine, hot, value.context.cursors, now);
    const body: JsonObject = {
      triggered: false,
      timeout: true,
      ...(kind === "closing" ? { closing: true } : {}),
      condition: query.condition ?? null,
      elapsed_ms: now - startedAt,
      seq,
      ...(value.error === undefined ? {} : { last_error: value.error }),
      ...(kind === "timeout" && value.stalled !== null ? { stalled: value.stalled } : {}),
      ...members,
    };
    return { body, seq };
  }

  /** Answers everybody: the service is about to stop. */
  close(): void {
    this.#isClosing = true;
    this.#cancelVolatile?.();
    for (const index of this.#indices.values()) {
      for (const sleeper of [...index.all()]) sleeper.settle({ kind: "closing" });
    }
  }
}
