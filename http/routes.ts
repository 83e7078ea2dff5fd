/**
 * Every route of the JSON door: method, path, the verb of the policy table that it takes, and a
 * handler of a few lines that parses, makes one call and answers.
 */
import type { Verb } from "../policy.ts";
import type { Call, Reply } from "./call.ts";
import { ACTOR_ROUTES } from "./actors.ts";
import { AGENT_ROUTES } from "./agents.ts";
import { LOG_ROUTES } from "./log.ts";
import { MEMORY_ROUTES } from "./memory.ts";
import { READ_ROUTES } from "./read.ts";
import { ROOM_ROUTES } from "./rooms.ts";

/** A route. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /** The verb it takes in its room; `open` for none, `token` for any credential. */
  readonly verb: Verb | "open" | "token";
  /** A sentence for the reference and the OpenAPI document. */
  readonly summary: string;
  readonly handle: (call: Call) => Promise<Reply>;
}

/** The routes of rooms, agents, reading, acting and the log. */
export const ROUTES: readonly Route[] = [
  ...ROOM_ROUTES,
  ...AGENT_ROUTES,
  ...READ_ROUTES,
  ...LOG_ROUTES,
  ...MEMORY_ROUTES,
  ...ACTOR_ROUTES,
];
