/** One tool call as the tools see it: who calls, on what, and how to look at a room. */
import type { z } from "zod";
import { heartbeat, noteLife } from "../agents/presence.ts";
import { act, type Acting, type Auth, type Touched } from "../auth.ts";
import type { Config } from "../config.ts";
import type { Clock, Moment } from "../engine/types.ts";
import type { Engine } from "../engine.ts";
import type { HotRoom } from "../engine/hot.ts";
import type { Arrivals } from "../input/arrivals.ts";
import type { Elevate, Principal, Verb } from "../policy.ts";
import type { KeyRing } from "../registry/proof.ts";
import type { Standing } from "../standing.ts";
import type { Store } from "../store.ts";
import type { JsonObject } from "../types.ts";
import type { Waits } from "../wait.ts";
import type { Told } from "./schema.ts";

/** Everything the tools work with. */
export interface McpDeps {
  readonly config: Config;
  readonly store: Store;
  readonly engine: Engine;
  readonly auth: Auth;
  readonly waits: Waits;
  readonly elevate: Elevate;
  readonly arrivals: Arrivals;
  readonly standing: Standing;
  readonly keys: KeyRing;
  readonly clock: Clock;
  /** Documents by name, as the service serves them. */
  readonly documents: ReadonlyMap<string, string>;
}

/** Tells a client that asked for it how far a call is: done so far, of how much, in words. */
export type Progress = (done: number, total: number, message: string) => Promise<void>;

/** A tool call. */
export class ToolCall {
  /** Has the call been a sign of life of whoever acts? */
  isAlive = false;

  constructor(
    readonly deps: McpDeps,
    readonly principal: Principal,
    /** The client's name, where it gave one. */
    readonly client: string | undefined,
    readonly signal: AbortSignal,
    readonly progress: Progress | undefined,
  ) {}

  /** Drops what was kept of tokens, after a change to one. */
  readonly forget = (touched?: Touched): void => this.deps.auth.forget(touched);

  /** Looks at the room as the caller, which is a sign of life of the agent it acts as. */
  async look<T>(
    room: string,
    verb: Verb,
    agent: string | undefined,
    look: (moment: Moment, acting: Acting) => T,
  ): Promise<{ value: T; seq: number; hot: HotRoom; acting: Acting }> {
    const { engine, elevate } = this.deps;
    const { value, seq, hot } = await engine.read(room, (moment) => {
      const acting = act(this.principal, moment, verb, agent, elevate);
      heartbeat(engine, moment.hot, acting, moment.now);
      this.isAlive = true;
      return { found: look(moment, acting), acting };
    });
    return { value: value.found, seq, hot, acting: value.acting };
  }

  /** Notes a sign of life of whoever acts in the room of the call, unless the call has been one. */
  async noteLife(tool: Tool, args: unknown, refusal?: unknown): Promise<void> {
    const { room, agent } = (args ?? {}) as Partial<Record<string, unknown>>;
    if (this.isAlive || typeof room !== "string") return;
    // Of the log it says whose records are wanted, not who reads.
    const isName = typeof agent === "string" && tool.verb !== "log.read";
    await noteLife(this.deps.engine, this.principal, room, isName ? agent : undefined, refusal);
  }
}

/** A tool: what it is called and takes, and the one domain call behind it. */
export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** The verb it takes in its room; `open` and `token` as for routes. */
  readonly verb: Verb | "open" | "token";
  readonly annotations: {
    readonly readOnlyHint: boolean;
    readonly destructiveHint?: boolean;
    readonly idempotentHint?: boolean;
    readonly openWorldHint: false;
  };
  readonly input: z.ZodObject;
  readonly told?: Told;
  readonly output: z.ZodObject;
  /** It may take long: answered as a stream, whose end tells when the client has gone. */
  readonly isLong?: true;
  readonly run: (call: ToolCall, args: JsonObject) => Promise<JsonObject>;
}

/** Annotations of a tool that only reads. */
export const READS = { readOnlyHint: true, openWorldHint: false } as const;
/** Annotations of a tool that adds. */
export const ADDS = { readOnlyHint: false, destructiveHint: false, openWorldHint: false } as const;
/** Annotations of a tool that adds, once however often it is called. */
export const SETS = { ...ADDS, idempotentHint: true } as const;
/** Annotations of a tool that takes away. */
export const REMOVES = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
} as const;
