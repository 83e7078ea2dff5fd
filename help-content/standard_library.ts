/** The standard library: action definitions that register and work as they stand. Data only. */
import type { Json } from "../types.ts";

const SCOPE = {
  type: "string",
  default: "_shared",
  description: "_shared, a custom scope such as _board, or your own id for your private scope",
} as const;
const KEY = { type: "string", required: true, description: "the key, without its scope" } as const;

/** General writing: any key of a scope that the caller may write. */
const WRITING: readonly Json[] = [
  {
    id: "set",
    description: "Set a key. With if_version only if the key is still as you read it.",
    params: {
      scope: SCOPE,
      key: KEY,
      value: { type: "any", required: true },
      if_version: {
        type: "string",
        description: 'the _meta.version you read; "" when the key must not exist',
      },
    },
    writes: [{
      scope: "${params.scope}",
      key: "${params.key}",
      value: "${params.value}",
      if_version: "${params.if_version}",
    }],
  },
  {
    id: "delete",
    description: "Remove a key.",
    params: { scope: SCOPE, key: KEY },
    writes: [{ scope: "${params.scope}", key: "${params.key}", delete: true }],
  },
  {
    id: "increment",
    description: "Add to a number; a key that is not there counts as 0.",
    params: { scope: SCOPE, key: KEY, by: { type: "number", default: 1 } },
    writes: [{ scope: "${params.scope}", key: "${params.key}", increment: "${params.by}" }],
  },
  {
    id: "append",
    description: "Push an item on the list at a key; a key that is not there counts as [].",
    params: { scope: SCOPE, key: KEY, item: { type: "any", required: true } },
    writes: [{
      scope: "${params.scope}",
      key: "${params.key}",
      value: "${params.item}",
      append: true,
    }],
  },
];

/** What a group agrees on, and what its members hand in. */
const AGREEING: readonly Json[] = [
  {
    id: "update_objective",
    description:
      "Set the room's objective. Takes the version you read, so nobody is overwritten unseen.",
    params: {
      objective: { type: "any", required: true },
      if_version: {
        type: "string",
        default: "",
        description: "_meta.version of _shared.objective; leave it out for the first objective",
      },
    },
    writes: [{
      key: "objective",
      value: "${params.objective}",
      if_version: "${params.if_version}",
    }],
  },
  {
    id: "claim",
    description:
      "Take something by name, for you alone, until the lease runs out. Again: renews it.",
    params: {
      key: { type: "string", required: true, description: "what you claim" },
      lease_ms: { type: "integer", default: 600000, minimum: 1000, maximum: 86400000 },
    },
    if:
      '!(("claim." + params.key) in state._shared) || state._shared["claim." + params.key].value == self',
    writes: [{
      key: "claim.${params.key}",
      value: "${self}",
      timer: { ms: "${params.lease_ms}", effect: "delete" },
    }],
  },
  {
    id: "submit_result",
    description: "Submit your result, under your own name.",
    params: { result: { type: "any", required: true } },
    writes: [{ key: "${self}.result", value: "${params.result}" }],
  },
  {
    id: "vote",
    description:
      'Cast or change your vote, in your private scope. Join with public_keys ["vote"] to have it counted.',
    params: { choice: { type: "string", required: true } },
    writes: [{ scope: "${self}", key: "vote", value: "${params.choice}" }],
  },
];

/** Roles are state: one entry `roles.<id>` each. */
const ROLES: readonly Json[] = [
  {
    id: "define_role",
    description: "Define a role, or describe it anew, as long as nobody fills it.",
    params: {
      role: { type: "string", required: true },
      description: { type: "string", default: "" },
    },
    if: '!(("roles." + params.role) in state._shared) || ' +
      'state._shared["roles." + params.role].value.filled_by == null',
    writes: [{
      key: "roles.${params.role}",
      value: {
        role: "${params.role}",
        description: "${params.description}",
        defined_by: "${self}",
        filled_by: null,
      },
    }],
  },
  {
    id: "fill_role",
    description: "Fill a role that is open, or whose holder has left the room.",
    params: { role: { type: "string", required: true } },
    if: '("roles." + params.role) in state._shared && ' +
      '(state._shared["roles." + params.role].value.filled_by == null || ' +
      '!(state._shared["roles." + params.role].value.filled_by in agents))',
    writes: [{
      key: "roles.${params.role}",
      merge: { filled_by: "${self}", filled_at: "${now}" },
    }],
  },
];

/** Gates on what is known about an entry. */
const GATES: readonly Json[] = [
  {
    id: "gate_on_stability",
    description:
      "Declare a key settled, once nobody has written it for a while (velocity below the bound).",
    params: {
      key: KEY,
      max_velocity: {
        type: "number",
        default: 0.5,
        description: "one write counts 1 and halves every 5 minutes",
      },
    },
    if:
      "params.key in state._shared && state._shared[params.key]._meta.velocity < params.max_velocity",
    writes: [{
      key: "settled.${params.key}",
      expr: true,
      value: '{"version": state._shared[params.key]._meta.version, "by": self}',
    }],
  },
  {
    id: "gate_on_writer",
    description: "Confirm a key, if the agent you expect wrote it last.",
    params: { key: KEY, writer: { type: "string", required: true } },
    if: "params.key in state._shared && state._shared[params.key]._meta.writer == params.writer",
    writes: [{
      key: "confirmed.${params.key}",
      expr: true,
      value:
        '{"version": state._shared[params.key]._meta.version, "writer": params.writer, "by": self}',
    }],
  },
];

const TASK = { type: "string", required: true, description: "the task's key in _tasks" } as const;

/** A task queue in state: tasks in `_tasks`, who works on them in `_taken`, with a lease. */
const TASKS: readonly Json[] = [
  {
    id: "post_task",
    description: "Post a task; result is its key in _tasks.",
    params: { title: { type: "string", required: true }, detail: { type: "any" } },
    writes: [{
      scope: "_tasks",
      key: "${seq}",
      value: {
        title: "${params.title}",
        detail: "${params.detail}",
        status: "open",
        posted_by: "${self}",
      },
    }],
    result: "string(room.seq)",
  },
  {
    id: "take_task",
    description:
      "Take an open task; it comes free again when the lease runs out. Again: renews it.",
    params: {
      task: TASK,
      lease_ms: { type: "integer", default: 600000, minimum: 1000, maximum: 86400000 },
    },
    if: 'params.task in state._tasks && state._tasks[params.task].value.status == "open" && ' +
      "(!(params.task in state._taken) || state._taken[params.task].value == self)",
    writes: [{
      scope: "_taken",
      key: "${params.task}",
      value: "${self}",
      timer: { ms: "${params.lease_ms}", effect: "delete" },
    }],
  },
  {
    id: "finish_task",
    description: "Finish the task you hold, with its result.",
    params: { task: TASK, result: { type: "any" } },
    if: "params.task in state._taken && state._taken[params.task].value == self",
    writes: [
      {
        scope: "_tasks",
        key: "${params.task}",
        merge: { status: "done", result: "${params.result}", done_by: "${self}" },
      },
      { scope: "_taken", key: "${params.task}", delete: true },
    ],
  },
];

/** Every definition, as `_register_action` takes it. */
export const STANDARD_LIBRARY: readonly Json[] = [
  ...WRITING,
  ...AGREEING,
  ...ROLES,
  ...GATES,
  ...TASKS,
];
