/** Checks the write templates and parameters of a registration, whole. */
import { compile } from "../cel.ts";
import { invalid, SyncError } from "../errors.ts";
import { isKey, isScopeName, noKey } from "../input.ts";
import { ACTION_PARAMS_MAX } from "../limits.ts";
import { isKeptScope } from "../policy.ts";
import { checkTemplate, placeholdersIn } from "../templates.ts";
import { arm } from "../timers.ts";
import type { Json, Millis, ParamSpec, WriteTemplate } from "../types.ts";
import { checkParam } from "./params.ts";
import { EXAMPLE, type Mode, modeOf, MODES, operandName } from "./schema.ts";

export function checkWrite(
  write: WriteTemplate,
  field: string,
  params: readonly string[] | undefined,
  now: Millis,
): void {
  const mode = modeOf(write);
  const modes = [
    write.delete && "delete",
    write.renew && "renew",
    write.append && "append",
    write.increment !== undefined && "increment",
    write.merge !== undefined && "merge",
  ].filter((name) => name !== undefined && name !== false);
  if (modes.length > 1) {
    throw invalid(field, `one mode is wanted, not ${modes.join(" and ")}`, {
      key: "n",
      increment: 1,
    });
  }
  const needsValue = mode === "value" || mode === "append";
  if (needsValue && write.value === undefined) {
    throw invalid(
      `${field}.value`,
      `"value" is wanted, or another mode: ${MODES.join(", ")}`,
      EXAMPLE.writes[0],
    );
  }
  if (write.value !== undefined && !needsValue && write.increment !== true) {
    throw invalid(`${field}.value`, `it does not go with "${mode}"`);
  }
  if (write.key === undefined && mode !== "append") {
    throw invalid(`${field}.key`, "a key is wanted", "phase");
  }
  if (write.expr) checkExpression(write, mode, field, params);
  else if (mode === "increment") checkIncrement(write, field);
  for (
    const part of ["scope", "key", "value", "merge", "increment", "if_version", "timer"] as const
  ) {
    const template = write[part];
    if (template !== undefined && !(write.expr && part === operandName(write, mode))) {
      checkTemplate(template as Json, `${field}.${part}`, params);
    }
  }
  checkNames(write, field);
  checkLife(write, mode, field, now);
}

function checkExpression(
  write: WriteTemplate,
  mode: Mode,
  field: string,
  params: readonly string[] | undefined,
): void {
  if (mode === "delete" || mode === "renew") {
    throw invalid(`${field}.expr`, `it does not go with "${mode}"`);
  }
  const name = operandName(write, mode);
  const source = write[name];
  if (typeof source !== "string") {
    throw invalid(
      `${field}.${name}`,
      'with "expr":true a CEL expression is wanted',
      "state._shared.turn.value + 1",
    );
  }
  compile(source, { field: `${field}.${name}`, place: "action", params });
}

function checkIncrement(write: WriteTemplate, field: string): void {
  const { increment } = write;
  const amount = increment === true ? write.value ?? 1 : increment!;
  const isTemplate = typeof amount === "string" && placeholdersIn(amount).length > 0;
  if (typeof amount === "number" || isTemplate) return;
  const name = increment === true ? "value" : "increment";
  throw invalid(
    `${field}.${name}`,
    'a number or a placeholder such as "${params.by}" is wanted',
    1,
  );
}

function checkNames(write: WriteTemplate, field: string): void {
  const { scope, key } = write;
  if (scope !== undefined && placeholdersIn(scope).length === 0) {
    if (isKeptScope(scope)) {
      throw scopeDenied(scope, write.key ?? "", "The service keeps this scope for itself.");
    }
    if (!isScopeName(scope)) {
      throw invalid(`${field}.scope`, "a scope is wanted: _shared, _custom or an agent's id");
    }
  }
  if (key !== undefined && placeholdersIn(key).length === 0 && !isKey(key)) {
    throw noKey(`${field}.key`, key);
  }
  if (scope === "_help" && write.if_version === undefined) {
    throw helpVersionWanted(`${field}.if_version`);
  }
}

function checkLife(write: WriteTemplate, mode: Mode, field: string, now: Millis): void {
  const { timer, enabled } = write;
  if (mode === "delete" || mode === "renew") {
    if (timer != null || enabled != null) {
      throw invalid(field, `"timer" and "enabled" do not go with "${mode}"`);
    }
    return;
  }
  // Armed for nothing but to see whether that works: an instant in the past never will.
  if (timer != null && placeholdersIn(timer).length === 0) arm(timer, `${field}.timer`, now);
  if (enabled != null) {
    compile(enabled, { field: `${field}.enabled`, place: "enabled", expect: "bool" });
  }
}

/** `400 invalid_argument` of a write to help that names no version. */
export function helpVersionWanted(field: string): SyncError {
  return invalid(field, "writing help takes the version that `help` answered", "${params.version}");
}

/** `403 scope_denied {scope, key}` of a write. */
export function scopeDenied(scope: string, key: string, why: string): SyncError {
  return new SyncError("scope_denied", `Writing to "${scope}" is not allowed here. ${why}`, {
    scope,
    key,
    hint:
      "An action writes to _shared, custom scopes, its own scope, the invoker's own, and granted ones.",
  });
}

export function checkParams(params: Readonly<Record<string, ParamSpec>> | undefined): void {
  const names = Object.keys(params ?? {});
  if (names.length > ACTION_PARAMS_MAX) {
    throw invalid("params.params", `at most ${ACTION_PARAMS_MAX} are taken`);
  }
  for (const name of names) {
    const field = `params.params.${name}`;
    if (!/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(name)) {
      throw invalid(
        field,
        "a parameter's name is 1-64 letters, digits, '_' or '-', beginning with a letter",
        "choice",
      );
    }
    const spec = params![name]!;
    if (spec.default !== undefined) checkParam(name, spec.default, spec);
  }
}
