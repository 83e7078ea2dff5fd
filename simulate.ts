/**
 * What would happen: steps on a throw-away fork of the room's tail, one after the other, each
 * with its outcome. The fork lives for one synchronous look, and everything is taken back.
 */
import { z } from "zod";
import { actAs, type Acting } from "./auth.ts";
import { type Before, differences, showDifferences } from "./diff.ts";
import type { Engine } from "./engine.ts";
import { HotRoom } from "./engine/hot.ts";
import type { Moment } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { jsonObject, parseBody } from "./input.ts";
import { commandOf } from "./invoke.ts";
import { isReadableRef } from "./invoke/rehearse.ts";
import { SIMULATE_STEPS_MAX } from "./limits.ts";
import {
  type Access,
  accessTo,
  canReadScope,
  type Elevate,
  mustReach,
  type Principal,
} from "./policy.ts";
import { type Applicable, cellOf, splitCell } from "./room/changes.ts";
import type { Room } from "./room.ts";
import { iso } from "./timers.ts";
import type { Entry, Json, JsonObject } from "./types.ts";

const step = z.strictObject({
  agent: z.string().optional(),
  action: z.string(),
  params: jsonObject.nullable().optional(),
});

/** The body of a simulation. */
export const simulateBody = z.strictObject({
  steps: z.array(step, { error: "a list of steps is wanted" }).min(1).max(SIMULATE_STEPS_MAX),
});
const EXAMPLE = { steps: [{ agent: "alice", action: "set_phase", params: { phase: "two" } }] };

type Step = z.output<typeof step>;

/** What a simulation needs from its door. */
export interface SimulateCall {
  readonly engine: Engine;
  readonly principal: Principal;
  readonly room: string;
  readonly agent?: string | undefined;
  readonly elevate?: Elevate | undefined;
}

/** Runs the steps, tells what came of them, and leaves the room as it was. */
export async function simulate(
  call: SimulateCall,
  raw: Json,
): Promise<{ body: JsonObject; seq: number }> {
  const { value, seq } = await call.engine.read(call.room, (moment) => {
    const access = accessTo(call.principal, moment.room, moment.room.id);
    mustReach(access, "simulate", moment.room, call.elevate);
    const { steps } = parseBody(simulateBody, raw, { example: EXAMPLE });
    const acting = readerOf(call, access, moment.room, steps[0]!);
    const fork = new ThrowAway(moment);
    try {
      return fork.run(call, acting, steps);
    } finally {
      fork.undo();
    }
  });
  const { found, removers, ...told } = value;
  const diff = await showDifferences(found, (scope, key) => removers.get(cellOf(scope, key)) ?? {});
  return { body: { simulated: true, seq, ...told, diff }, seq };
}

/** Who reads the outcome; a token with several agents reads as the first step's. */
function readerOf(call: SimulateCall, access: Access, room: Room, first: Step): Acting {
  const isSeveral = access.bound === undefined && access.embodied.length > 1;
  return actAs(access, room, call.agent ?? (isSeveral ? first.agent : undefined));
}

/** The room's tail with presence, memos and waits of its own. */
class ThrowAway {
  readonly #hot: HotRoom;
  readonly #undo: (() => void)[] = [];
  readonly #touched = new Map<string, JsonObject>();
  readonly #old = new Map<string, Map<string, Entry>>();

  constructor(private readonly moment: Moment) {
    const { hot, room, now } = moment;
    this.#hot = new HotRoom(room, now);
    this.#hot.actors = hot.actors;
    for (const [agent, presence] of hot.presence) this.#hot.presence.set(agent, { ...presence });
    for (const [agent, waits] of hot.waits) this.#hot.waits.set(agent, waits);
    for (const [scope, { entries }] of room.scopes) this.#old.set(scope, new Map(entries));
  }

  run(call: SimulateCall, reader: Acting, steps: readonly Step[]) {
    const { room } = this.moment;
    const outcomes = steps.map((step) => this.take(call, step));
    const mayRead = (scope: string): boolean =>
      canReadScope(room, reader.agent, reader.seesAll, scope);
    const before: Before = new Map([...this.#touched.keys()].map((cell) => {
      const [scope, key] = splitCell(cell);
      return [cell, this.#old.get(scope)?.get(key)];
    }));
    return {
      head: room.head,
      steps: outcomes,
      ...this.woken(reader),
      found: differences(before, room, mayRead),
      removers: this.#touched,
    };
  }

  private take(call: SimulateCall, { agent, action, params }: Step): JsonObject {
    const { room, now } = this.moment;
    const named = agent ?? call.agent;
    const place = { agent: named ?? null, action };
    const request = { ...call, action, body: null };
    const body = { params: params ?? {}, dry_run: true };
    try {
      const moment: Moment = { hot: this.#hot, room, now };
      const decision = commandOf(call.engine, request, body, named)(moment);
      if (!decision.draft) return { ...place, ok: true, reply: decision.reply(undefined) };
      const record = this.apply({
        ...decision.draft,
        seq: room.head + 1,
        ts: iso(now),
        prev: room.hash,
        hash: "",
        nonce: "",
      });
      const result = decision.result?.();
      const reply = decision.reply(result === undefined ? record : { ...record, result });
      for (let due = room.dueRecord(now); due; due = room.dueRecord(now)) {
        this.apply({ ...due.draft, seq: room.head + 1, ts: iso(due.ts) });
      }
      return { ...place, ok: true, seq: record.seq, reply };
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      return { ...place, ok: false, refused: error.toJSON() as JsonObject };
    }
  }

  private apply<T extends Applicable>(record: T): T {
    const { room } = this.moment;
    const applied = room.apply(record);
    this.#undo.push(() => applied.undo());
    this.#hot.memos.invalidate(applied.touched);
    const by = { by: record.agent, via: record.action ?? record.kind, seq: record.seq };
    for (const cell of applied.touched) this.#touched.set(cell, by);
    return record;
  }

  /** Waits that would be answered: by name where they read only what the reader may read, else counted. */
  private woken(reader: Acting): JsonObject {
    const { room, now } = this.moment;
    const after: Moment = { hot: this.#hot, room, now };
    const woken: JsonObject[] = [];
    let hidden = 0;
    for (const [agent, waits] of this.#hot.waits) {
      for (const wait of waits) {
        const holds = wait.program
          ? this.#touched.size > 0 && wait.wouldHold(after)
          : this.isSeenBy(agent);
        if (!holds) continue;
        const refs = wait.program?.refs ?? [];
        if (refs.every((ref) => isReadableRef(after, reader, ref, agent))) {
          woken.push({ agent, condition: wait.condition });
        } else hidden++;
      }
    }
    return { waits_woken: woken, waits_woken_hidden: hidden };
  }

  private isSeenBy(agent: string): boolean {
    const { room } = this.moment;
    return [...this.#touched.keys()].some((cell) =>
      canReadScope(room, agent, false, splitCell(cell)[0])
    );
  }

  /** Takes everything back, newest first. */
  undo(): void {
    for (let step = this.#undo.pop(); step; step = this.#undo.pop()) step();
  }
}
