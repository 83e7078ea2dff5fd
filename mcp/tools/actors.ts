/** Tools about actors: judging work, and what an actor remembers from room to room. */
import { z } from "zod";
import { MEMORY_KINDS } from "../../actors.ts";
import { actorBehind } from "../../auth.ts";
import { invalid } from "../../errors.ts";
import { json } from "../../input.ts";
import { judgeParams } from "../../judge.ts";
import { ACTORS_LIMIT_MAX, EMBODY_MEMORY_TOKENS } from "../../limits.ts";
import { briefing, forget, recall, recallOne, remember } from "../../memories.ts";
import { mustBeDid, showActor } from "../../registry.ts";
import type { ActorCall } from "../../registry/rights.ts";
import type { JsonObject } from "../../types.ts";
import { READS, REMOVES, SETS, type Tool, type ToolCall } from "../call.ts";
import { agent, anything, count, inRoom, invokedShape, room } from "../shapes.ts";
import { builtin } from "./acting.ts";

function actorCall({ deps, principal }: ToolCall): ActorCall {
  const { engine, standing, keys } = deps;
  return { engine, standing, principal, prove: keys.prove };
}

/** The actor meant: the one named, that of the agent in the room, or the caller's own. */
async function actorMeant(call: ToolCall, args: JsonObject): Promise<string> {
  const { actor, room, agent } = args;
  if (typeof actor === "string") return mustBeDid(actor, "actor").did;
  if (typeof room === "string") {
    const named = agent as string | undefined;
    const { value } = await call.look(
      room,
      "context.read",
      named,
      (moment, acting) => moment.room.agent(acting.agent)?.actor,
    );
    if (value !== undefined) return value;
  }
  const own = actorBehind(call.principal);
  if (own !== undefined) return own;
  throw invalid(
    "actor",
    "a DID is wanted, or the room in which you are an agent",
    "did:sync:agent:dev",
  );
}

/** What an agent that was just embodied should know: its actor's manual and memories. */
export async function briefingFor(
  call: ToolCall,
  room: string,
  agent: string,
): Promise<{ _memory?: JsonObject }> {
  const hot = await call.deps.engine.find(room);
  const actor = hot.room.agent(agent)?.actor;
  const told = actor === undefined
    ? undefined
    : await briefing(actorCall(call), actor, EMBODY_MEMORY_TOKENS);
  return told ? { _memory: told } : {};
}

const who = { actor: z.string().optional(), room: room.optional(), agent };
const WHO = { actor: "a DID; your own unless told", room: "where you are an agent" };
const name = z.string({ error: "a memory's name is wanted" });
const memoryShape = {
  name: z.string(),
  kind: z.string(),
  description: z.string(),
  body: anything,
  updated_at: z.string(),
};

/** The tools. */
export const ACTOR_TOOLS: readonly Tool[] = [
  {
    name: "sync_judge",
    title: "Judge a record",
    description:
      "Accept or reject somebody else's work, by the seq of its record: evidence for trust(). " +
      "Your own work never counts.",
    verb: "action.invoke",
    annotations: SETS,
    input: judgeParams.extend(inRoom),
    told: {
      subject: "the record's seq",
      domain: "code, ops, …; the action's own where it has one",
    },
    output: z.looseObject({ ...invokedShape, counted: z.boolean(), domain: z.string() }),
    run: builtin("_judge"),
  },
  {
    name: "sync_remember",
    title: "Remember",
    description:
      "Keep something for later sessions, in any room: preferences, corrections, state of work, references.",
    verb: "token",
    annotations: SETS,
    input: z.strictObject({
      ...who,
      name,
      kind: z.enum(MEMORY_KINDS).optional(),
      description: z.string().optional(),
      body: json.optional(),
    }),
    told: { ...WHO, body: { description: "any JSON, mostly text" }, description: "one line" },
    output: z.looseObject(memoryShape),
    run: async (call, { name, kind, description, body, ...whose }) => {
      const did = await actorMeant(call, whose);
      const members = { kind, description, body, room: whose["room"] };
      const given = Object.fromEntries(
        Object.entries(members).filter(([, value]) => value !== undefined),
      ) as JsonObject;
      return await remember(actorCall(call), did, name as string, given);
    },
  },
  {
    name: "sync_recall",
    title: "Recall",
    description: "What you remember: one memory by name, or those that meet words, best first.",
    verb: "token",
    annotations: READS,
    input: z.strictObject({
      ...who,
      name: name.optional(),
      q: z.string().optional(),
      kind: z.enum(MEMORY_KINDS).optional(),
      limit: count.min(1).max(ACTORS_LIMIT_MAX).optional(),
    }),
    told: { ...WHO, q: "words to look for" },
    output: z.looseObject({ memories: z.array(anything).optional(), name: z.string().optional() }),
    run: async (call, { name, q, kind, limit, ...whose }) => {
      const did = await actorMeant(call, whose);
      if (typeof name === "string") return await recallOne(actorCall(call), did, name);
      const [words, about] = [q, kind] as (string | undefined)[];
      const query = { q: words, kind: about, limit: (limit as number | undefined) ?? RECALLED };
      return await recall(actorCall(call), did, query);
    },
  },
  {
    name: "sync_forget",
    title: "Forget",
    description: "Forget a memory.",
    verb: "token",
    annotations: REMOVES,
    input: z.strictObject({ ...who, name }),
    told: WHO,
    output: z.looseObject({ deleted: z.boolean(), name: z.string() }),
    run: async (call, { name, ...whose }) =>
      await forget(actorCall(call), await actorMeant(call, whose), name as string),
  },
  {
    name: "sync_actor",
    title: "Look up an actor",
    description: "A registered actor: owner, substrate, and the trust it has earned by domain.",
    verb: "token",
    annotations: READS,
    input: z.strictObject(who),
    told: WHO,
    output: z.looseObject({ did: z.string(), kind: z.string(), trust: z.array(anything) }),
    run: async (call, whose) => await showActor(actorCall(call), await actorMeant(call, whose)),
  },
];

/** Memories that a recall answers unless told. */
const RECALLED = 20;
