/** Actions: the vocabulary of a room. Registered whole, replaced with a warning, listed with reasons. */
import { z } from "zod";
import { type Acting, authorship } from "./auth.ts";
import { versionOf } from "./canonical.ts";
import { compile } from "./cel.ts";
import type { Decision, Moment } from "./engine.ts";
import { invalid, SyncError } from "./errors.ts";
import { isKey, isScopeName, json, jsonObject, nearest, parseBody, scopeName, vocabularyId } from "./input.ts";
import { ACTION_PARAMS_MAX, ACTION_WRITES_MAX, EXPAND_PARAMS_MAX, TEXT_LENGTH_MAX } from "./limits.ts";
import { isPrivateScope } from "./policy.ts";
import { literalTargets, type Room } from "./room.ts";
import {
  hasAuthority,
  mustFitValue,
  mustHaveAuthority,
  mustNotCycle,
  mustStayWithinLimits,
  standingOf,
} from "./rules.ts";
import type { Sight } from "./sight.ts";
import { type Availability, availabilityOf } from "./sight/availability.ts";
import { checkTemplate, placeholdersIn } from "./templates.ts";
import { arm, checkTimer } from "./timers.ts";
import {
  type ActionDefinition,
  type Entry,
  type Json,
  type JsonObject,
  type ParamSpec,
  RESERVED_SCOPES,
  type Write,
  type WriteTemplate,
} from "./types.ts";
import { mustMatchVersion } from "./views.ts";

const PARAM_TYPES = ["string", "number", "integer", "boolean", "array", "object", "any"] as const;

const paramSpec: z.ZodType<ParamSpec> = z.lazy(() =>
  z.strictObject({
    type: z.enum(PARAM_TYPES).optional(),
    enum: z.array(json).min(1).max(1_000).optional(),
    required: z.boolean().optional(),
    default: json.optional(),
    description: z.string().max(TEXT_LENGTH_MAX).optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    items: paramSpec.optional(),
  }) as unknown as z.ZodType<ParamSpec>
);

const writeTemplate = z.strictObject({
  scope: z.string().optional(),
  key: z.string().optional(),
  value: json.optional(),
  merge: json.optional(),
  increment: json.optional(),
  append: z.boolean().optional(),
  delete: z.boolean().optional(),
  renew: z.boolean().optional(),
  expr: z.boolean().optional(),
  if_version: json.optional(),
  timer: json.optional(),
  enabled: z.string().nullable().optional(),
});

/** Parameters of `_register_action`. */
export const registerActionParams = z.strictObject({
  id: z.union([vocabularyId, z.literal("help")]),
  description: z.string().max(TEXT_LENGTH_MAX).optional(),
  params: z.record(z.string(), paramSpec).nullable().optional(),
  if: z.string().nullable().optional(),
  enabled: z.string().nullable().optional(),
  writes: z.array(writeTemplate, { error: "a list of write templates is wanted" }).max(ACTION_WRITES_MAX),
  result: z.string().nullable().optional(),
  scope: scopeName.optional(),
  timer: json.optional(),
  on_invoke: z.strictObject({ timer: jsonObject }).nullable().optional(),
  domain: z.string().max(64).optional(),
  if_version: json.optional(),
});

type Params = z.output<typeof registerActionParams>;

const EXAMPLE = {
  id: "submit_result",
  params: { result: { type: "any" } },
  writes: [{ scope: "_shared", key: "${self}.result", value: "${params.result}" }],
};

/** The member that says what a write template does. */
export const MODES = ["value", "merge", "increment", "append", "delete", "renew"] as const;
type Mode = typeof MODES[number];

/** The mode of a write template. */
export function modeOf(write: WriteTemplate): Mode {
  if (write.delete) return "delete";
  if (write.renew) return "renew";
  if (write.append) return "append";
  if (write.increment !== undefined) return "increment";
  if (write.merge !== undefined) return "merge";
  return "value";
}

function checkWrite(write: WriteTemplate, field: string, params: readonly string[] | undefined): void {
  const mode = modeOf(write);
  const modes = [
    write.delete && "delete",
    write.renew && "renew",
    write.append && "append",
    write.increment !== undefined && "increment",
    write.merge !== undefined && "merge",
  ].filter((name) => name !== undefined && name !== false);
  if (modes.length > 1) throw invalid(field, `one mode is wanted, not ${modes.join(" and ")}`, { key: "n", increment: 1 });
  const needsValue = mode === "value" || mode === "append";
  if (needsValue && write.value === undefined) {
    throw invalid(`${field}.value`, `"value" is wanted, or another mode: ${MODES.join(", ")}`, EXAMPLE.writes[0]);
  }
  if (write.value !== undefined && !needsValue && write.increment !== true) {
    throw invalid(`${field}.value`, `it does not go with "${mode}"`);
  }
  if (write.key === undefined && mode !== "append") throw invalid(`${field}.key`, "a key is wanted", "phase");
  if (write.expr) checkExpression(write, mode, field, params);
  else if (mode === "increment") checkIncrement(write, field);
  for (const part of ["scope", "key", "value", "merge", "increment", "if_version", "timer"] as const) {
    const template = write[part];
    if (template !== undefined && !(write.expr && part === operandName(write, mode))) {
      checkTemplate(template as Json, `${field}.${part}`, params);
    }
  }
  checkNames(write, field);
  checkLife(write, mode, field);
}

/** The member whose content `expr:true` turns into an expression. */
export function operandName(write: WriteTemplate, mode: Mode): "value" | "merge" | "increment" {
  if (mode === "merge") return "merge";
  return mode === "increment" && write.increment !== true ? "increment" : "value";
}

function checkExpression(
  write: WriteTemplate,
  mode: Mode,
  field: string,
  params: readonly string[] | undefined,
): void {
  if (mode === "delete" || mode === "renew") throw invalid(`${field}.expr`, `it does not go with "${mode}"`);
  const name = operandName(write, mode);
  const source = write[name];
  if (typeof source !== "string") {
    throw invalid(`${field}.${name}`, 'with "expr":true a CEL expression is wanted', "state._shared.turn.value + 1");
  }
  compile(source, { field: `${field}.${name}`, place: "action", params });
}

function checkIncrement(write: WriteTemplate, field: string): void {
  const { increment } = write;
  const amount = increment === true ? write.value ?? 1 : increment!;
  const isTemplate = typeof amount === "string" && placeholdersIn(amount).length > 0;
  if (typeof amount === "number" || isTemplate) return;
  const name = increment === true ? "value" : "increment";
  throw invalid(`${field}.${name}`, 'a number or a placeholder such as "${params.by}" is wanted', 1);
}

function checkNames(write: WriteTemplate, field: string): void {
  const { scope, key } = write;
  if (scope !== undefined && placeholdersIn(scope).length === 0) {
    if ((RESERVED_SCOPES as readonly string[]).includes(scope) && scope !== "_shared" && scope !== "_help") {
      throw scopeDenied(scope, write.key ?? "", "The service keeps this scope for itself.");
    }
    if (!isScopeName(scope)) throw invalid(`${field}.scope`, "a scope is wanted: _shared, _custom or an agent's id");
  }
  if (key !== undefined && placeholdersIn(key).length === 0 && !isKey(key)) {
    throw invalid(`${field}.key`, "1-256 printable characters are wanted", "phase");
  }
  if (scope === "_help" && write.if_version === undefined) {
    throw invalid(`${field}.if_version`, "writing help takes the version that `help` answered", "${params.version}");
  }
}

function checkLife(write: WriteTemplate, mode: Mode, field: string): void {
  const { timer, enabled } = write;
  if (mode === "delete" || mode === "renew") {
    if (timer != null || enabled != null) throw invalid(field, `"timer" and "enabled" do not go with "${mode}"`);
    return;
  }
  if (timer != null && placeholdersIn(timer).length === 0) checkTimer(timer, `${field}.timer`);
  if (enabled != null) compile(enabled, { field: `${field}.enabled`, place: "enabled", expect: "bool" });
}

/** `403 scope_denied {scope, key}` of a write. */
export function scopeDenied(scope: string, key: string, why: string): SyncError {
  return new SyncError("scope_denied", `Writing to "${scope}" is not allowed here. ${why}`, {
    scope,
    key,
    hint: "An action writes to _shared, custom scopes, its own scope, the invoker's own, and granted ones.",
  });
}

function checkParams(params: Readonly<Record<string, ParamSpec>> | undefined): void {
  const names = Object.keys(params ?? {});
  if (names.length > ACTION_PARAMS_MAX) throw invalid("params.params", `at most ${ACTION_PARAMS_MAX} are taken`);
  for (const name of names) {
    const field = `params.params.${name}`;
    if (!/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(name)) {
      throw invalid(field, "a parameter's name is 1-64 letters, digits, '_' or '-', beginning with a letter", "choice");
    }
    const spec = params![name]!;
    if (spec.default !== undefined) checkParam(name, spec.default, spec);
  }
}

/** The actual type of a value, in the words of a parameter's schema. */
function actualType(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** Checks one parameter's value. Throws `invalid_param_type`, `invalid_param`. */
export function checkParam(name: string, value: Json, spec: ParamSpec): void {
  const { type } = spec;
  if (type !== undefined && type !== "any") {
    const actual = actualType(value);
    if (actual !== type && !(type === "number" && actual === "integer")) {
      throw new SyncError("invalid_param_type", `The parameter "${name}" is not of type ${type}.`, {
        param: name,
        expected: type,
        actual,
      });
    }
  }
  const refuse = (allowed: Json): never => {
    throw new SyncError("invalid_param", `The parameter "${name}" has a value that is not allowed.`, {
      param: name,
      value,
      allowed,
    });
  };
  if (spec.enum && !spec.enum.some((member) => versionOf(member) === versionOf(value))) refuse([...spec.enum]);
  if (typeof value === "number") {
    const { minimum, maximum } = spec;
    const isWithin = (minimum === undefined || value >= minimum) && (maximum === undefined || value <= maximum);
    if (!isWithin) {
      refuse({ ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) });
    }
  }
  if (spec.items && Array.isArray(value)) {
    value.forEach((item, i) => checkParam(`${name}[${i}]`, item, spec.items!));
  }
}

/** The parameters an invocation runs with: checked, defaults filled in. */
export function checkInvocationParams(
  specs: Readonly<Record<string, ParamSpec>> | undefined,
  given: JsonObject,
): JsonObject {
  if (!specs) return given;
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(specs, name)) continue;
    throw new SyncError("unknown_param", `There is no parameter "${name}".`, {
      param: name,
      params: Object.keys(specs),
      nearest: nearest(name, Object.keys(specs)),
    });
  }
  const params: JsonObject = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = Object.hasOwn(given, name) ? given[name] : spec.default;
    if (value === undefined) {
      if (spec.required) throw missingParam(name, specs);
      continue;
    }
    checkParam(name, value, spec);
    params[name] = value;
  }
  return params;
}

function missingParam(name: string, specs: Readonly<Record<string, ParamSpec>>): SyncError {
  const { type, description } = specs[name]!;
  return new SyncError("missing_param", `The parameter "${name}" is missing.`, {
    param: name,
    ...(type === undefined ? {} : { expected: type }),
    ...(description === undefined ? {} : { description }),
    example: { params: { [name]: "…" } },
  });
}

/** The scope a registration has when it names none. */
function defaultScope(room: Room, acting: Acting, writes: readonly WriteTemplate[]): string {
  if (acting.agent === "" || acting.agent === "admin") return "_shared";
  if (writes.some((write) => write.scope === acting.agent)) return acting.agent;
  const isNarrowed = room.settings.vocabulary === "closed" && standingOf(acting) === "participant";
  return isNarrowed ? acting.agent : "_shared";
}

function definitionFrom(room: Room, acting: Acting, params: Params): ActionDefinition {
  const names = params.params ? Object.keys(params.params) : undefined;
  checkParams(params.params ?? undefined);
  params.writes.forEach((write, i) => checkWrite(write as WriteTemplate, `params.writes[${i}]`, names));
  const check = (field: "if" | "enabled" | "result", place: "action" | "enabled"): void => {
    const source = params[field];
    if (source == null) return;
    const expect = field === "result" ? {} : { expect: "bool" as const };
    compile(source, { field: `params.${field}`, place, params: place === "action" ? names : undefined, ...expect });
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
    scope: params.scope ?? defaultScope(room, acting, params.writes as WriteTemplate[]),
    registered_by: acting.agent,
    ...(standingOf(acting) === "participant" ? { standing: "participant" } : {}),
    ...(params.domain === undefined ? {} : { domain: params.domain }),
    ...(params.on_invoke ? { on_invoke: params.on_invoke as unknown as ActionDefinition["on_invoke"] } : {}),
  } as ActionDefinition;
}

/** Registers an action, or replaces one. */
export function decideRegisterAction(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room, now } = moment;
  const params = parseBody(registerActionParams, raw, { example: EXAMPLE, at: "params" });
  const known = room.get("_actions", params.id);
  const old = known?.value as unknown as ActionDefinition | undefined;
  if (old && !hasAuthority(room, acting, old.scope)) throw actionOwned(params.id, old.scope);
  const definition = definitionFrom(room, acting, params);
  mustHaveAuthority(room, acting, definition.scope);
  if (params.if_version !== undefined) mustMatchVersion(room, "_actions", params.id, params.if_version);
  if (!known) mustStayWithinLimits(room, "actions", 1);
  if (definition.enabled !== undefined) {
    mustNotCycle(room, [{ scope: "_actions", key: params.id, enabled: definition.enabled }]);
  }
  const value = definition as unknown as JsonObject;
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
  const redefinition = old && redefined(old, definition, known!);
  return {
    draft: { ...authorship(acting, room), kind: "invoke", action: "_register_action", params: raw, writes: [write] },
    reply: (record) => ({
      invoked: true,
      action: "_register_action",
      agent: acting.agent,
      seq: record?.seq ?? room.head,
      ...value,
      ...(timer ? { timer: timer as unknown as JsonObject } : {}),
      revision: write.revision,
      version: write.version,
      ...warningsOf(room, definition, redefinition),
    }),
  };
}

function redefined(old: ActionDefinition, next: ActionDefinition, known: Entry): JsonObject | undefined {
  const fields = ["description", "params", "if", "enabled", "writes", "result", "scope", "on_invoke", "domain"] as const;
  const changed = fields.filter((field) =>
    versionOf((old[field] ?? null) as Json) !== versionOf((next[field] ?? null) as Json)
  );
  if (changed.length === 0) return undefined;
  return {
    previous_registrant: old.registered_by,
    changed,
    invocation_count: known.stats?.invocations ?? 0,
    previous: Object.fromEntries(changed.map((field) => [field, (old[field] ?? null) as Json])),
  };
}

function warningsOf(room: Room, definition: ActionDefinition, redefinition: JsonObject | undefined): JsonObject {
  const warnings: string[] = [];
  const facts: JsonObject = {};
  if (redefinition) {
    warnings.push("action_redefined");
    facts["redefinition"] = redefinition;
  }
  const mine = literalTargets(definition).filter((target) => room.contested.has(target));
  if (mine.length > 0) {
    warnings.push("competing_write_targets");
    facts["contested_targets"] = mine;
    facts["competing_actions"] = mine.map((target) => ({ target, actions: [...room.contested.get(target)!] }));
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
export function decideDeleteAction(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room } = moment;
  const { id } = parseBody(z.strictObject({ id: z.string() }), raw, { example: { id: "vote" }, at: "params" });
  const known = room.action(id);
  if (!known) throw actionNotFound(room, id);
  if (!hasAuthority(room, acting, known.scope)) throw actionOwned(id, known.scope);
  const write: Write = { scope: "_actions", key: id, op: "delete", value: null, revision: 0, version: "" };
  return {
    draft: { ...authorship(acting, room), kind: "invoke", action: "_delete_action", params: raw, writes: [write] },
    reply: (record) => ({
      invoked: true,
      action: "_delete_action",
      agent: acting.agent,
      seq: record?.seq ?? room.head,
      deleted: true,
      id,
    }),
  };
}

/** `404 action_not_found` with the nearest names. */
export function actionNotFound(room: Room, id: string): SyncError {
  return new SyncError("action_not_found", `There is no action "${id}" in the room.`, {
    action: id,
    nearest: nearest(id, room.scopes.get("_actions")?.keys() ?? []),
    hint: "GET /rooms/:id/context?only=actions lists what can be invoked; _register_action adds one.",
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
      const judgement: Availability = availabilityOf(sight, id, definition, entry, { [name]: value });
      (by[name] ??= {})[typeof value === "string" ? value : JSON.stringify(value)] = { ...judgement };
    }
  }
  return by;
}

