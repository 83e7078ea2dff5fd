/** Actions: the vocabulary of a room. Registered whole, replaced with a warning, listed with reasons. */
import { checkParams, checkWrite } from "./actions/check.ts";
import { EXAMPLE, type Params, registerActionParams } from "./actions/schema.ts";
import { type Acting, authorship } from "./auth.ts";
import { versionOf } from "./canonical.ts";
import { compile } from "./cel.ts";
import type { Decision, Moment } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import { nearest, ownScope, parseBody } from "./input.ts";
import { EXPAND_PARAMS_MAX } from "./limits.ts";
import { isPrivateScope } from "./policy.ts";
import { literalTargets } from "./room/changes.ts";
import type { Room } from "./room.ts";
import {
  type Gated,
  hasAuthority,
  mustFitValue,
  mustGateSoundly,
  mustHaveAuthority,
  mustHaveRoomFor,
  mustNotPass,
  mustStayWithinLimits,
  standingOf,
} from "./rules.ts";
import { decideDeletion, type Deletable } from "./rules/deletion.ts";
import { ownActor, rememberingAs } from "./rules/remembering.ts";
import { callerEyes, Sight } from "./sight.ts";
import { type Availability, availabilityOf } from "./sight/availability.ts";
import { arm, checkTimer } from "./timers.ts";
import type { ActionDefinition, Entry, Json, JsonObject, Write, WriteTemplate } from "./types.ts";
import { mustMatchVersion } from "./views.ts";

/** The scope a registration has when it names none. */
function defaultScope(room: Room, acting: Acting, writes: readonly WriteTemplate[]): string {
  if (acting.agent === "" || acting.agent === "admin") return "_shared";
  if (writes.some((write) => write.scope === acting.agent)) return acting.agent;
  const isNarrowed = room.settings.vocabulary === "closed" && standingOf(acting) === "participant";
  return isNarrowed ? acting.agent : "_shared";
}

function definitionFrom(
  { room, now }: Moment,
  acting: Acting,
  params: Params,
): ActionDefinition {
  const names = params.params ? Object.keys(params.params) : undefined;
  checkParams(params.params ?? undefined);
  params.writes.forEach((write, i) =>
    checkWrite(write as WriteTemplate, `params.writes[${i}]`, names, now)
  );
  const check = (field: "if" | "enabled" | "result", place: "action" | "enabled"): void => {
    const source = params[field];
    if (source == null) return;
    const expect = field === "result" ? {} : { expect: "bool" as const };
    compile(source, {
      field: `params.${field}`,
      place,
      params: place === "action" ? names : undefined,
      ...expect,
    });
  };
  check("if", "action");
  check("enabled", "enabled");
  check("result", "action");
  if (params.on_invoke) {
    const timer = checkTimer(params.on_invoke.timer, "params.on_invoke.timer");
    if (timer["effect"] !== "enable") {
      throw new SyncError("invalid_timer", 'A cooldown\'s effect is "enable".', {
        field: "params.on_invoke.timer.effect",
        detail: '"enable" is wanted: the action comes back when the timer runs out',
        help: "timers",
      });
    }
  }
  return {
    id: params.id,
    ...(params.description === undefined ? {} : { description: params.description }),
    ...(params.params ? { params: params.params } : {}),
    ...(params.if == null ? {} : { if: params.if }),
    ...(params.enabled == null ? {} : { enabled: params.enabled }),
    writes: params.writes as unknown as WriteTemplate[],
    ...(params.result == null ? {} : { result: params.result }),
    scope: params.scope === undefined
      ? defaultScope(room, acting, params.writes as WriteTemplate[])
      : ownScope(params.scope, acting.agent, "params.scope"),
    registered_by: acting.agent,
    ...(standingOf(acting) === "participant" ? { standing: "participant" } : {}),
    ...(params.domain === undefined ? {} : { domain: params.domain }),
    ...(params.on_invoke
      ? { on_invoke: params.on_invoke as unknown as ActionDefinition["on_invoke"] }
      : {}),
  } as ActionDefinition;
}

/** The `enabled` of what a template will write, as far as it can be told before. */
function gateOf({ scope, key, enabled }: WriteTemplate, i: number): Gated {
  return {
    scope: scope ?? "_shared",
    key: key ?? "",
    ...(enabled == null ? {} : { enabled }),
    field: `params.writes[${i}].enabled`,
  };
}

/** Registers an action, or replaces one. */
export function decideRegisterAction(
  moment: Moment,
  acting: Acting,
  raw: Json,
): Decision<JsonObject> {
  const { room, now } = moment;
  const params = parseBody(registerActionParams, raw, { example: EXAMPLE, at: "params" });
  const known = room.get("_actions", params.id);
  const old = known?.value as unknown as ActionDefinition | undefined;
  if (old && !hasAuthority(room, acting, old.scope)) throw actionOwned(params.id, old.scope);
  const found = definitionFrom(moment, acting, params);
  const registrar = { agent: acting.agent, actor: ownActor(room, acting) };
  const definition = {
    ...found,
    ...rememberingAs(room, registrar, found.scope, JSON.stringify(params)),
  };
  mustHaveAuthority(room, acting, definition.scope);
  // It answers in everybody's place, whatever scope it has.
  if (params.id === "help") mustHaveAuthority(room, acting, "_shared");
  if (params.if_version !== undefined) {
    mustMatchVersion(room, "_actions", params.id, params.if_version);
  }
  if (!known) mustStayWithinLimits(room, "actions", 1);
  const value = definition as unknown as JsonObject;
  const enabled = definition.enabled === undefined ? {} : { enabled: definition.enabled };
  if (definition.enabled !== undefined || isPrivateScope(definition.scope)) {
    const field = "params.enabled";
    mustGateSoundly(room, [{ scope: "_actions", key: params.id, value, ...enabled, field }]);
  }
  mustNotPass(room, definition.writes.map(gateOf));
  mustFitValue(value, "params");
  const timer = params.timer == null ? undefined : arm(params.timer, "params.timer", now);
  const write: Write = {
    scope: "_actions",
    key: params.id,
    op: "set",
    value,
    revision: (known?.revision ?? 0) + 1,
    version: versionOf(value),
    ...(timer ? { timer } : {}),
    ...(definition.enabled === undefined ? {} : { enabled: definition.enabled }),
  };
  mustHaveRoomFor(room, [write]);
  const redefinition = old && redefined(old, definition, known!);
  return {
    draft: {
      ...authorship(acting, room),
      kind: "invoke",
      action: "_register_action",
      params: raw,
      writes: [write],
    },
    reply: (record) => ({
      invoked: true,
      action: "_register_action",
      agent: acting.agent,
      seq: record?.seq ?? room.head,
      ...value,
      ...(timer ? { timer: timer as unknown as JsonObject } : {}),
      revision: write.revision,
      version: write.version,
      ...warningsOf(moment, acting, definition, redefinition),
    }),
  };
}

function redefined(
  old: ActionDefinition,
  next: ActionDefinition,
  known: Entry,
): JsonObject {
  const fields = [
    "description",
    "params",
    "if",
    "enabled",
    "writes",
    "result",
    "scope",
    "on_invoke",
    "domain",
  ] as const;
  const changed = fields.filter((field) =>
    versionOf((old[field] ?? null) as Json) !== versionOf((next[field] ?? null) as Json)
  );
  return {
    previous_registrant: old.registered_by,
    changed,
    invocation_count: known.stats?.invocations ?? 0,
    previous: Object.fromEntries(changed.map((field) => [field, (old[field] ?? null) as Json])),
  };
}

function warningsOf(
  { hot, room, now }: Moment,
  { agent, seesAll }: Acting,
  definition: ActionDefinition,
  redefinition: JsonObject | undefined,
): JsonObject {
  const warnings: string[] = [];
  const facts: JsonObject = {};
  if (redefinition) {
    warnings.push("action_redefined");
    facts["redefinition"] = redefinition;
  }
  const sight = new Sight(hot, callerEyes(room, agent, seesAll), now);
  const competing = literalTargets(definition).map((target) => ({
    target,
    // The new one need not be there yet to be told of the others.
    actions: (room.contested.get(target) ?? []).filter((id) =>
      id === definition.id || sight.entry("_actions", id) !== undefined
    ),
  })).filter(({ actions }) => actions.length > 1);
  if (competing.length > 0) {
    warnings.push("competing_write_targets");
    facts["contested_targets"] = competing.map(({ target }) => target);
    facts["competing_actions"] = competing;
    facts["help"] = "contested_actions";
  }
  if (warnings.length === 0) return {};
  return { warning: warnings.length === 1 ? warnings[0]! : warnings, ...facts };
}

function actionOwned(id: string, owner: string): SyncError {
  return new SyncError("action_owned", `The action "${id}" belongs to "${owner}".`, {
    id,
    owner,
    hint: "Choose another id, or ask its owner.",
  });
}

/** Removes an action. */
export function decideDeleteAction(
  moment: Moment,
  acting: Acting,
  raw: Json,
): Decision<JsonObject> {
  return decideDeletion(DELETABLE, moment, acting, raw);
}

const DELETABLE: Deletable = {
  scope: "_actions",
  action: "_delete_action",
  example: "vote",
  find: (room, id) => room.action(id),
  missing: (reader, id) => actionNotFound(reader, id),
  owned: (id, scope) => actionOwned(id, scope),
};

/** `404 action_not_found` with the nearest names, as far as the reader sees them. */
export function actionNotFound(reader: Sight, id: string): SyncError {
  const ids = reader.room.scopes.get("_actions")?.keys() ?? [];
  return new SyncError("action_not_found", `There is no action "${id}" in the room.`, {
    action: id,
    nearest: nearest(id, ids, (near) => reader.entry("_actions", near) !== undefined),
    hint:
      "GET /rooms/:id/context?only=actions lists what can be invoked; _register_action adds one.",
  });
}

/** For every value of each `enum` or boolean parameter: would the gate hold with it alone? */
export function availabilityByParam(
  sight: Sight,
  id: string,
  definition: ActionDefinition,
  entry: Entry,
): JsonObject {
  const by: Record<string, Record<string, JsonObject>> = {};
  let judged = 0;
  for (const [name, spec] of Object.entries(definition.params ?? {})) {
    const values = spec.enum ?? (spec.type === "boolean" ? [true, false] : []);
    for (const value of values) {
      if (++judged > EXPAND_PARAMS_MAX) return { ...by, _truncated: true };
      const judgement: Availability = availabilityOf(sight, id, definition, entry, {
        [name]: value,
      });
      (by[name] ??= {})[typeof value === "string" ? value : JSON.stringify(value)] = {
        ...judgement,
      };
    }
  }
  return by;
}
