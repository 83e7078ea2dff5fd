/** Tools that act in a room: invoking, registering, sending, claiming. One door: `invoke`. */
import { z } from "zod";
import { registerActionParams } from "../../actions/schema.ts";
import { buildContext } from "../../context.ts";
import { fromJson, parseContextQuery } from "../../context/query.ts";
import { SyncError } from "../../errors.ts";
import { vocabularyId } from "../../input.ts";
import { invoke } from "../../invoke.ts";
import { actionEnded } from "../../invoke/ended.ts";
import { invokeBody } from "../../invoke/request.ts";
import { claimParams, sendParams } from "../../messages.ts";
import type { JsonObject } from "../../types.ts";
import { registerViewParams } from "../../views.ts";
import { ADDS, REMOVES, SETS, type Tool, type ToolCall } from "../call.ts";
import { anything, count, inRoom, invokedShape } from "../shapes.ts";

/** Invokes as the caller; what the domain answers is what the tool answers. */
async function invokeAs(
  call: ToolCall,
  room: string,
  action: string,
  body: JsonObject,
  idempotencyKey?: string,
): Promise<JsonObject> {
  const { engine, elevate, store } = call.deps;
  // From here on it sees to that itself.
  call.isAlive = true;
  try {
    const { body: reply, replayed } = await invoke(engine, {
      principal: call.principal,
      room,
      action,
      body,
      idempotencyKey,
      elevate,
      context: (moment, acting, query) =>
        buildContext(moment, acting, parseContextQuery(fromJson(query))).body,
    });
    return replayed ? { ...reply, replayed: true } : reply;
  } catch (error) {
    if (error instanceof SyncError && error.code === "action_not_found") {
      throw await actionEnded(store, await engine.find(room), action) ?? error;
    }
    throw error;
  }
}

/** A tool whose members beside room and agent are the parameters of a built-in. */
export function builtin(action: string): Tool["run"] {
  return (call, { room, agent, ...params }) => {
    const body = { params, ...(agent === undefined ? {} : { agent }) };
    return invokeAs(call, room as string, action, body);
  };
}

const REGISTERED = {
  ...invokedShape,
  id: z.string(),
  scope: z.string(),
  warning: anything.optional(),
};
const removal = { input: z.strictObject({ ...inRoom, id: vocabularyId }) };
const removed = z.looseObject({ deleted: z.boolean(), id: z.string() });

/** The tools. */
export const ACTING_TOOLS: readonly Tool[] = [
  {
    name: "sync_invoke_action",
    title: "Invoke an action",
    description:
      "Do something: invoke a registered action or a built-in as your agent, in one atomic step. " +
      "409 precondition_failed says why and what could change it.",
    verb: "action.invoke",
    annotations: { readOnlyHint: false, destructiveHint: true, openWorldHint: false },
    input: z.strictObject({
      ...inRoom,
      action: z.string({ error: "an action's id is wanted" }),
      ...invokeBody.shape,
      idempotency_key: z.string().optional(),
    }),
    told: {
      if: "CEL that must hold for you, too",
      if_version: {
        type: "object",
        description: '{"scope.key": version you read}; "" = must not exist',
      },
      fence: { type: "object", description: "{message, fence} of your claim" },
      context: { description: "true or context parameters: adds the context after it" },
      idempotency_key: "repeat a call safely",
    },
    output: z.looseObject({
      ...invokedShape,
      writes: z.array(anything).optional(),
      result: anything.optional(),
    }),
    run: (call, { room, action, idempotency_key, ...body }) =>
      invokeAs(call, room as string, action as string, body, idempotency_key as string | undefined),
  },
  {
    name: "sync_register_action",
    title: "Register an action",
    description:
      "Declare a write capability that everyone in the room can then invoke: parameters, a gate, writes. " +
      "Read sync_help vocabulary_bootstrap first in an empty room.",
    verb: "action.invoke",
    annotations: SETS,
    input: registerActionParams.extend(inRoom),
    told: {
      params: {
        type: "object",
        description: "{name: {type, enum, required, default, minimum, maximum}}",
      },
      if: "CEL; available while true",
      enabled: "CEL; there while true",
      result: "CEL after the writes",
      writes: {
        type: "array",
        items: { type: "object" },
        description:
          "[{scope?, key, value | merge | increment | append | delete | renew, expr?, if_version?, timer?}]; " +
          "templates ${self} ${params.x} ${now}",
      },
      scope: "whose authority it carries; _shared unless told",
      timer: "{ms | at | ticks + tick_on, effect}",
      on_invoke: { type: "object", description: "{timer}: cooldown" },
    },
    output: z.looseObject(REGISTERED),
    run: builtin("_register_action"),
  },
  {
    name: "sync_register_view",
    title: "Register a view",
    description:
      "Declare a read capability: a CEL expression whose value everyone in the room sees.",
    verb: "action.invoke",
    annotations: SETS,
    input: registerViewParams.extend(inRoom),
    told: {
      expr: "CEL; entries are {value, _meta}",
      scope: "whose private state it may read; your own unless told",
      enabled: "CEL; there while true",
      render: { type: "object", description: "{type, label}: for dashboards" },
    },
    output: z.looseObject({ ...REGISTERED, value: anything.optional() }),
    run: builtin("_register_view"),
  },
  {
    name: "sync_delete_action",
    title: "Delete an action",
    description: "Remove an action from the room's vocabulary.",
    verb: "action.invoke",
    annotations: REMOVES,
    ...removal,
    output: removed,
    run: builtin("_delete_action"),
  },
  {
    name: "sync_delete_view",
    title: "Delete a view",
    description: "Remove a view.",
    verb: "action.invoke",
    annotations: REMOVES,
    ...removal,
    output: removed,
    run: builtin("_delete_view"),
  },
  {
    name: "sync_send_message",
    title: "Send a message",
    description:
      'Say something in the room. "to" directs attention and hides nothing; kind "task" can be claimed; ' +
      'answer a task with kind "result" and reply_to.',
    verb: "action.invoke",
    annotations: ADDS,
    input: sendParams.extend(inRoom),
    told: {
      to: { description: "an agent's id, or a list" },
      reply_to: "the message's seq",
      enabled: "CEL",
    },
    output: z.looseObject({ sent: z.boolean(), seq: count, from: z.string(), kind: z.string() }),
    run: builtin("_send_message"),
  },
  {
    name: "sync_claim_message",
    title: "Claim a message",
    description:
      "Take a task message: exactly one agent holds it. lease_ms frees it again unless renewed; " +
      "pass the fence when you invoke on its behalf.",
    verb: "action.invoke",
    annotations: ADDS,
    input: claimParams.extend(inRoom),
    output: z.looseObject({ claimed: z.boolean(), message: count, fence: count }),
    run: builtin("_claim_message"),
  },
];
