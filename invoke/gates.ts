/** What stands before an invocation: the action being there, its gate, and the caller's own conditions. */
import type { Acting } from "../auth.ts";
import { CelError, compile, type Program } from "../cel.ts";
import type { Moment } from "../engine/types.ts";
import { invalid, SyncError } from "../errors.ts";
import { mustHoldFence } from "../messages.ts";
import { canReadScope, isCustomScope, isPrivateScope } from "../policy.ts";
import { callerEyes, ownEyes, Sight } from "../sight.ts";
import type { Entry, Json, JsonObject } from "../types.ts";
import { failedExpression, readsBeyond } from "./failures.ts";
import type { InvokeBody } from "./request.ts";
import { why } from "./why.ts";
import { mustMatch } from "./versions.ts";

export function mustBeEnabled({ hot, room, now }: Moment, acting: Acting): void {
  if (acting.agent === "admin") return;
  if (room.get("_agents", acting.agent)?.enabled === undefined) return;
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  if (sight.isAgentThere(acting.agent)) return;
  throw new SyncError(
    "agent_disabled",
    `The agent "${acting.agent}" is not part of the room now.`,
    {
      agent: acting.agent,
      hint: 'Its "enabled" expression does not hold; it may read, and wait until it does.',
    },
  );
}

/** The body's own `if`, `if_version` and `fence`: judged with the caller's rights, never the action's. */
export function checkCaller(
  moment: Moment,
  acting: Acting,
  action: string,
  body: InvokeBody,
  params: JsonObject = {},
): void {
  if (body.if == null && !body.if_version && !body.fence) return;
  const { hot, room, now } = moment;
  const sight = new Sight(hot, ownEyes(room, acting), now, undefined, params);
  if (body.if != null) {
    const program = compile(body.if, { field: "if", place: "call", expect: "bool" });
    mustBeReadable(room, acting, program);
    mustHold(program, "if", sight, acting, action);
  }
  for (const [path, expected] of Object.entries(body.if_version ?? {})) {
    const [scope, key] = splitPath(path, acting);
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) throw unreadable(scope, key);
    mustMatch({ room, acting, sight }, scope, key, expected as Json);
  }
  if (body.fence) mustHoldFence(room, acting.agent, body.fence);
}

/** `scope.key`, split at the first dot. Throws `invalid_argument`. */
export function splitPath(
  path: string,
  acting: Pick<Acting, "agent">,
): [scope: string, key: string] {
  const dot = path.indexOf(".");
  if (dot <= 0 || dot === path.length - 1) {
    throw invalid("if_version", 'names of the form "scope.key" are wanted', {
      "_shared.phase": "486ea46224d1bb4f",
    });
  }
  const scope = path.slice(0, dot);
  return [scope === "self" ? acting.agent : scope, path.slice(dot + 1)];
}

function unreadable(scope: string, key: string): SyncError {
  return new SyncError("scope_denied", `The caller may not read the scope "${scope}".`, {
    scope,
    key,
    hint: "Leave it out, or ask an admin for a grant; views show what others' scopes mean to tell.",
  });
}

/** Refuses a caller's expression about a scope that the caller may not read. */
function mustBeReadable(room: Moment["room"], acting: Acting, program: Program): void {
  for (const ref of program.refs) {
    const scope = ref.root === "state" ? ref.path[0] : undefined;
    if (
      typeof scope !== "string" || scope === "self" || !isPrivateScope(scope) ||
      isCustomScope(scope)
    ) continue;
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) {
      throw unreadable(scope, ref.path[1] ?? "");
    }
  }
}

/** Only `true` opens a gate. A missing key or member counts as not true. */
export function mustHold(
  program: Program,
  field: string,
  sight: Sight,
  acting: Acting,
  action: string,
): void {
  let value: unknown;
  let missing: string | undefined;
  try {
    value = sight.evaluate(program);
  } catch (error) {
    if (!(error instanceof CelError) || error.code !== "missing") {
      throw failedExpression(error, field, readsBeyond(program, sight, acting));
    }
    missing = error.path ?? error.detail;
  }
  if (value === true) return;
  if (missing === undefined && value !== false) {
    throw new SyncError("cel_error", `The expression in "${field}" yields no boolean.`, {
      field,
      detail: "a gate yields true or false",
      hint: 'Compare what it yields with something: state._shared.phase.value == "open".',
      help: "expressions",
    });
  }
  throw new SyncError("precondition_failed", `The condition does not hold: ${program.source}`, {
    action,
    expression: program.source,
    evaluated: false,
    why: why(program, sight, acting),
    hint: "Wait until it holds (GET /rooms/:id/wait?condition=…), or change what it reads.",
    help: "expressions",
  });
}

export function actionDisabled(id: string): SyncError {
  return new SyncError("action_disabled", `The action "${id}" is not part of the room now.`, {
    action: id,
    hint: 'Its "enabled" expression, or that of its agent, does not hold.',
  });
}

export function coolingDown(id: string, entry: Entry): SyncError {
  const { due_at, ticks_left, tick_on } = entry.cooldown!;
  return new SyncError("action_cooldown", `The action "${id}" is cooling down.`, {
    action: id,
    ...(due_at === undefined ? {} : { available_at: due_at }),
    ...(ticks_left === undefined ? {} : { ticks_left, tick_on: tick_on ?? null }),
    hint: `Wait for it: GET /rooms/:id/wait?condition=actions["${id}"].value.available`,
  });
}
