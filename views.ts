/** Views: what a room shows of itself. Registered, checked, listed; evaluated by `sight.ts`. */
import { z } from "zod";
import { type Acting, authorship } from "./auth.ts";
import { versionOf } from "./canonical.ts";
import { CelError, compile, type Program } from "./cel.ts";
import type { Decision, Moment } from "./engine/types.ts";
import { SyncError } from "./errors.ts";
import {
  condition,
  json,
  jsonObject,
  nearest,
  ownOrScopeName,
  ownScope,
  parseBody,
  vocabularyId,
} from "./input.ts";
import { TEXT_LENGTH_MAX } from "./limits.ts";
import type { Room } from "./room.ts";
import {
  hasAuthority,
  hiddenByPassing,
  mustFitValue,
  mustGateSoundly,
  mustHaveAuthority,
  mustHaveRoomFor,
  mustStayWithinLimits,
} from "./rules.ts";
import { canReadScope, isPrivateScope } from "./policy.ts";
import { decideDeletion, type Deletable } from "./rules/deletion.ts";
import { ownActor, rememberingAs } from "./rules/remembering.ts";
import { callerEyes, Sight } from "./sight.ts";
import { programOf } from "./sight/programs.ts";
import { RENDER_TYPES, typeInstead } from "./surfaces.ts";
import { arm } from "./timers.ts";
import type { Json, JsonObject, Millis, ViewDefinition, Write } from "./types.ts";

/** Parameters of `_register_view`. */
export const registerViewParams = z.strictObject({
  id: vocabularyId,
  expr: z.string({ error: "a CEL expression is wanted" }),
  scope: ownOrScopeName.optional(),
  description: z.string().max(TEXT_LENGTH_MAX).optional(),
  enabled: condition.nullable().optional(),
  render: z.union([jsonObject, z.string()]).nullable().optional(),
  timer: json.optional(),
  if_version: json.optional(),
});
const EXAMPLE = { id: "phase", expr: "state._shared.phase.value" };

type Params = z.output<typeof registerViewParams>;

/** The static paths that an expression reads, as text. */
export function readsOf(program: Program): string[] {
  const paths = program.refs.map((ref) =>
    [ref.root, ...ref.path.map((part) => part ?? "*")].filter((part) => part !== "value").join(".")
  );
  return [...new Set(paths)];
}

function checkView(room: Room, params: Params, field: string): void {
  const program = compile(params.expr, { field: `${field}expr`, place: "view" });
  mustNotCircle(room, params.id, program);
}

/** Refuses a view that would read itself by way of others. Throws `view_cycle`. */
function mustNotCircle(room: Room, id: string, program: Program): void {
  const walked = new Set<string>();
  const walk = (at: Program, path: readonly string[]): string[] | undefined => {
    for (const ref of at.refs) {
      const next = ref.root === "views" ? ref.path[0] : undefined;
      if (typeof next !== "string") continue;
      if (next === id) return [...path, next];
      const view = walked.has(next) ? undefined : room.view(next);
      if (!view) continue;
      walked.add(next);
      const found = walk(stored(view), [...path, next]);
      if (found) return found;
    }
    return undefined;
  };
  const path = walk(program, [id]);
  if (!path) return;
  throw new SyncError("view_cycle", `The view "${id}" would read itself: ${path.join(" → ")}.`, {
    path,
    hint: "Let one of the views read state instead.",
  });
}

function stored(view: ViewDefinition): Program {
  try {
    return programOf(view.expr, "view");
  } catch (error) {
    if (error instanceof CelError) return { ...EMPTY_PROGRAM, source: view.expr };
    throw error;
  }
}

const EMPTY_PROGRAM = compile("true", { field: "expr", place: "view" });

/** The write that stores a view. Throws for anything wrong with it. */
export function viewWrite(
  room: Room,
  raw: Json,
  registrar: string,
  now: Millis,
  at: string,
  actor?: string,
): Write {
  const params = parseBody(registerViewParams, raw, { example: EXAMPLE, at });
  checkView(room, params, `${at}.`);
  const scope = params.scope === undefined
    ? registrar === "admin" || registrar === "" ? "_shared" : registrar
    : ownScope(params.scope, registrar, `${at}.scope`);
  const render = typeof params.render === "string" ? { type: params.render } : params.render;
  const definition: ViewDefinition = {
    id: params.id,
    expr: params.expr,
    scope,
    ...(params.description === undefined ? {} : { description: params.description }),
    ...(params.enabled == null ? {} : { enabled: params.enabled }),
    ...(render == null ? {} : { render: render as Record<string, Json> }),
    registered_by: registrar,
    ...rememberingAs(room, { agent: registrar, actor }, scope, params.expr),
  };
  const value = definition as unknown as Json;
  mustFitValue(value, at);
  const timer = params.timer == null ? undefined : arm(params.timer, `${at}.timer`, now);
  if (definition.enabled !== undefined) {
    compile(definition.enabled, { field: `${at}.enabled`, place: "enabled", expect: "bool" });
  }
  const enabled = definition.enabled === undefined ? {} : { enabled: definition.enabled };
  const field = `${at}.enabled`;
  mustGateSoundly(room, [{ scope: "_views", key: params.id, value, ...enabled, field }]);
  const known = room.get("_views", params.id);
  if (!known) mustStayWithinLimits(room, "views", 1);
  return {
    scope: "_views",
    key: params.id,
    op: "set",
    value,
    revision: (known?.revision ?? 0) + 1,
    version: versionOf(value),
    ...(timer ? { timer } : {}),
    ...enabled,
  };
}

/** Registers a view, or replaces one. */
export function decideRegisterView(
  moment: Moment,
  acting: Acting,
  raw: Json,
): Decision<Record<string, Json>> {
  const { room, now, hot } = moment;
  const params = parseBody(registerViewParams, raw, { example: EXAMPLE, at: "params" });
  const known = room.view(params.id);
  if (known && !hasAuthority(room, acting, known.scope)) throw viewOwned(params.id, known.scope);
  const write = viewWrite(room, raw, acting.agent, now, "params", ownActor(room, acting));
  const definition = write.value as unknown as ViewDefinition;
  mustHaveAuthority(room, acting, definition.scope);
  mustHaveRoomFor(room, [write]);
  if (params.if_version !== undefined) {
    mustMatchVersion(room, "_views", params.id, params.if_version);
  }
  const warnings = viewWarnings(room, acting, known, definition);
  return {
    draft: {
      ...authorship(acting, room),
      kind: "invoke",
      action: "_register_view",
      params: raw,
      writes: [write],
    },
    reply: (record) => {
      const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
      const result = sight.view(params.id);
      const value = result?.value ?? null;
      const instead = typeInstead(definition.render, value);
      return {
        invoked: true,
        action: "_register_view",
        agent: acting.agent,
        seq: record?.seq ?? room.head,
        ...definition as unknown as Record<string, Json>,
        revision: write.revision,
        version: write.version,
        value,
        ...(instead === undefined ? {} : { inferred_type: instead }),
        ...(result?.error ? { error_in_value: result.error } : {}),
        reads: readsOf(programOf(definition.expr, "view")),
        ...warnings,
      };
    },
  };
}

/** May the caller know what lies in a scope? */
function mayName(room: Room, { agent, seesAll }: Acting, scope: string): boolean {
  return !isPrivateScope(scope) || canReadScope(room, agent, seesAll, scope);
}

function viewWarnings(
  room: Room,
  acting: Acting,
  known: ViewDefinition | undefined,
  next: ViewDefinition,
): Record<string, Json> {
  const warnings: string[] = [];
  const facts: Record<string, Json> = {};
  if (known) {
    const changed = (["expr", "scope", "description", "enabled", "render"] as const)
      .filter((field) => JSON.stringify(known[field]) !== JSON.stringify(next[field]));
    warnings.push("view_redefined");
    facts["redefinition"] = { previous_registrant: known.registered_by, changed };
  }
  if (typeInstead(next.render, null) !== undefined) {
    warnings.push("unknown_render_type");
    facts["render_types"] = [...RENDER_TYPES];
  }
  const hidden = hiddenByPassing(room, next).filter(({ scope }) => mayName(room, acting, scope));
  if (hidden.length > 0) {
    warnings.push("hidden_by_passing");
    facts["hidden"] = hidden.map(({ scope, key }) => `${scope}.${key}`);
  }
  if (warnings.length === 0) return {};
  return { warning: warnings.length === 1 ? warnings[0]! : warnings, ...facts };
}

/** Refuses a registration whose `if_version` does not fit. Throws `version_conflict`. */
export function mustMatchVersion(
  room: Room,
  scope: "_actions" | "_views",
  id: string,
  expected: Json,
): void {
  const entry = room.get(scope, id);
  const matches = expected === "" || expected === 0
    ? entry === undefined
    : typeof expected === "number"
    ? entry?.revision === expected
    : typeof expected === "string"
    ? entry?.version === expected
    : entry?.seq === (expected as { seq?: Json } | null)?.seq;
  if (matches) return;
  throw new SyncError("version_conflict", `"${id}" is not what the caller has read.`, {
    scope,
    key: id,
    expected,
    current: entry
      ? { value: entry.value, revision: entry.revision, version: entry.version }
      : null,
    help: "if_version",
  });
}

function viewOwned(id: string, owner: string): SyncError {
  return new SyncError("view_owned", `The view "${id}" belongs to "${owner}".`, {
    id,
    owner,
    hint: "Choose another id, or ask its owner.",
  });
}

/** `404 view_not_found` with the nearest names, as far as the reader sees them. */
export function viewNotFound(reader: Sight, id: string): SyncError {
  const ids = reader.room.scopes.get("_views")?.keys() ?? [];
  return new SyncError("view_not_found", `There is no view "${id}".`, {
    id,
    nearest: nearest(id, ids, (near) => reader.entry("_views", near) !== undefined),
    hint: "GET /rooms/:id/context?only=views lists them; _register_view adds one.",
  });
}

/** Removes a view. */
export function decideDeleteView(
  moment: Moment,
  acting: Acting,
  raw: Json,
): Decision<JsonObject> {
  return decideDeletion(DELETABLE, moment, acting, raw);
}

const DELETABLE: Deletable = {
  scope: "_views",
  action: "_delete_view",
  example: "phase",
  find: (room, id) => room.view(id),
  missing: (reader, id) => viewNotFound(reader, id),
  owned: (id, scope) => viewOwned(id, scope),
};
