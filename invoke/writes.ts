/**
 * What the write templates of an action come to: per write the template is filled, authority and
 * CAS are checked, and the result is computed on the result of the one before.
 */
import { modeOf, operandName } from "../actions/schema.ts";
import { helpVersionWanted, scopeDenied } from "../actions/check.ts";
import type { Acting } from "../auth.ts";
import { mergePatch, versionOf } from "../canonical.ts";
import { compile, toJson } from "../cel.ts";
import { invalid, SyncError } from "../errors.ts";
import { isKey, isScopeName, noKey } from "../input.ts";
import { grantsOf, isKeptScope, isPrivateScope } from "../policy.ts";
import { asList, cellOf, splitCell } from "../room/changes.ts";
import type { Room } from "../room.ts";
import {
  type Gated,
  mustFitRecord,
  mustFitValue,
  mustGateSoundly,
  mustStayWithinLimits,
} from "../rules.ts";
import { plain, type Sight } from "../sight.ts";
import { fill, fillName, missingParam, type TemplateVars } from "../templates.ts";
import { arm, iso, restart } from "../timers.ts";
import type {
  ActionDefinition,
  ArmedTimer,
  Json,
  JsonObject,
  Millis,
  Write,
  WriteTemplate,
} from "../types.ts";
import { systemHelp } from "../help.ts";
import { failedExpression, readsBeyond } from "./failures.ts";
import { mustMatch, shownEntry } from "./versions.ts";

/** What a decision about writes works with. */
export interface Stage {
  readonly room: Room;
  readonly now: Millis;
  readonly acting: Acting;
  readonly definition: ActionDefinition;
  readonly vars: TemplateVars;
  /** The action's own eyes, on the room before the first write. */
  readonly sight: Sight;
}

/** An entry as the writes so far have left it. */
interface Working {
  readonly exists: boolean;
  readonly value: Json | undefined;
  readonly bytes: number;
  readonly revision: number;
  readonly timer: ArmedTimer | undefined;
  readonly enabled: string | undefined;
  /** Written by this record already: a second write gains no revision. */
  readonly isTouched: boolean;
}

/** Computes the writes of an invocation. Throws the refusals of `contract`: scopes, CAS, types, limits. */
export function planWrites(stage: Stage): Write[] {
  const plan = new Plan(stage);
  stage.definition.writes.forEach((template, i) => plan.add(template, `writes[${i}]`));
  plan.checkRoom();
  return plan.writes;
}

class Plan {
  readonly writes: Write[] = [];
  readonly #working = new Map<string, Working>();
  #rows = 0;
  #addedKeys = 0;
  #addedBytes = 0;
  #writtenBytes = 0;

  constructor(private readonly stage: Stage) {}

  add(template: WriteTemplate, field: string): void {
    const { vars } = this.stage;
    const scope = fillName(template.scope ?? "_shared", `${field}.scope`, vars);
    const mode = modeOf(template);
    const isRow = template.key === undefined;
    const key = isRow ? this.rowKey(scope) : fillName(template.key!, `${field}.key`, vars);
    if (!isKey(key)) throw noKey(`${field}.key`, key);
    mustWriteTo(this.stage, scope, key);
    this.checkVersion(template, scope, key, field);
    const before = this.working(scope, key);
    if (mode === "delete") return this.remove(scope, key, before);
    if (mode === "renew") return this.renew(scope, key, before);
    const operand = this.operand(template, mode, field);
    if (operand === undefined) {
      const name = operandName(template, mode);
      throw missingParam(template[name]!, `${field}.${name}`, vars);
    }
    const op = isRow ? "set" : mode === "value" ? "set" : mode;
    const value = this.resultOf(isRow ? "value" : mode, operand, before, scope, key);
    const revision = before.isTouched ? before.revision : before.revision + 1;
    const life = this.life(template, mode === "value", before, field);
    const bytes = mustFitValue(value, `${field}.value`);
    mustFitRecord(this.#writtenBytes += bytes);
    this.#addedBytes += bytes - before.bytes;
    if (!before.exists) this.#addedKeys++;
    this.push(
      {
        scope,
        key,
        op,
        value: op === "append" || op === "merge" ? operand : value,
        revision,
        version: versionOf(value),
        ...timerMember(op, before.timer, life.timer),
        ...(life.enabled === undefined ? {} : { enabled: life.enabled }),
      },
      value,
      bytes,
      life.timer,
    );
  }

  private push(write: Write, value: Json | undefined, bytes: number, timer?: ArmedTimer): void {
    this.writes.push(write);
    this.#working.set(cellOf(write.scope, write.key), {
      exists: value !== undefined,
      value,
      bytes,
      revision: write.revision,
      timer,
      enabled: write.enabled,
      isTouched: value !== undefined,
    });
  }

  private working(scope: string, key: string): Working {
    const known = this.#working.get(cellOf(scope, key));
    if (known) return known;
    const entry = this.stage.room.get(scope, key);
    return {
      exists: entry !== undefined,
      value: entry?.value,
      bytes: entry?.bytes ?? 0,
      revision: entry?.revision ?? 0,
      timer: entry?.timer,
      enabled: entry?.enabled,
      isTouched: false,
    };
  }

  private rowKey(scope: string): string {
    const { seq } = this.stage.vars;
    for (;;) {
      const key = this.#rows === 0 ? String(seq) : `${seq}.${this.#rows}`;
      this.#rows++;
      if (!this.working(scope, key).exists) return key;
    }
  }

  private remove(scope: string, key: string, before: Working): void {
    if (!before.exists) return;
    this.#addedKeys--;
    this.#addedBytes -= before.bytes;
    this.push({ scope, key, op: "delete", value: null, revision: 0, version: "" }, undefined, 0);
  }

  private renew(scope: string, key: string, before: Working): void {
    const { timer } = before;
    if (!before.exists || !timer || (timer.ms === undefined && timer.ticks === undefined)) {
      throw new SyncError("no_timer", `"${scope}.${key}" has no timer that could start anew.`, {
        scope,
        key,
        help: "timers",
        hint: "Only a timer with ms or ticks can be renewed; write the entry with a timer first.",
      });
    }
    const entry = this.stage.room.get(scope, key);
    const write: Write = {
      scope,
      key,
      op: "renew",
      value: null,
      revision: before.revision,
      version: entry?.version ?? versionOf(before.value!),
      timer: restart(timer, this.stage.now),
      ...(before.enabled === undefined ? {} : { enabled: before.enabled }),
    };
    this.writes.push(write);
    this.#working.set(cellOf(scope, key), { ...before, timer: write.timer ?? undefined });
  }

  /** The operand of a write: filled from its template, or computed. */
  private operand(
    template: WriteTemplate,
    mode: ReturnType<typeof modeOf>,
    field: string,
  ): Json | undefined {
    const { vars, definition } = this.stage;
    if (template.expr) {
      const name = operandName(template, mode);
      const names = definition.params ? Object.keys(definition.params) : undefined;
      const program = compile(template[name], {
        field: `${field}.${name}`,
        place: "action",
        params: names,
      });
      try {
        return toJson(plain(this.stage.sight.evaluate(program)));
      } catch (error) {
        const isBeyond = readsBeyond(program, this.stage.sight, this.stage.acting);
        throw failedExpression(error, `${field}.${name}`, isBeyond);
      }
    }
    if (mode === "increment") {
      const amount = template.increment === true ? template.value ?? 1 : template.increment!;
      return fill(amount, vars) ?? 1;
    }
    return fill(mode === "merge" ? template.merge! : template.value!, vars);
  }

  private resultOf(
    mode: ReturnType<typeof modeOf>,
    operand: Json,
    before: Working,
    scope: string,
    key: string,
  ): Json {
    if (mode === "merge") return mergePatch(before.value, operand);
    if (mode === "append") return [...asList(before.value), operand];
    if (mode !== "increment") return operand;
    if (typeof operand !== "number") {
      throw new SyncError("invalid_param_type", "An increment is a number.", {
        param: "increment",
        expected: "number",
        actual: operand === null ? "null" : Array.isArray(operand) ? "array" : typeof operand,
      });
    }
    const current = before.exists ? before.value : 0;
    if (typeof current !== "number") throw this.notANumber(scope, key);
    const sum = current + operand;
    if (!Number.isFinite(sum)) throw invalid("increment", "the sum must stay finite", 1);
    if (Number.isInteger(sum) && !Number.isSafeInteger(sum)) {
      throw invalid("increment", "integers stay within ±(2^53−1)", 1);
    }
    return sum;
  }

  private notANumber(scope: string, key: string): SyncError {
    return new SyncError("not_a_number", `"${scope}.${key}" holds no number to add to.`, {
      scope,
      key,
      current: shownEntry(this.stage, scope, key),
      hint: "Set it to a number first, or write it with another mode.",
    });
  }

  /** The timer and `enabled` that the entry has after the write. */
  private life(
    template: WriteTemplate,
    isReplaced: boolean,
    before: Working,
    field: string,
  ): { timer: ArmedTimer | undefined; enabled: string | undefined } {
    const { now, vars } = this.stage;
    let timer = before.timer;
    // A parameter that is not given leaves the timer unnamed.
    const spec = template.timer === undefined ? undefined : fill(template.timer, vars);
    if (spec === null) timer = undefined;
    else if (spec !== undefined) timer = arm(spec, `${field}.timer`, now);
    else if (isReplaced) {
      timer = timer && (timer.ms !== undefined || timer.ticks !== undefined)
        ? restart(timer, now)
        : undefined;
    }
    const named = template.enabled;
    const enabled = named === null ? undefined : named ?? (isReplaced ? undefined : before.enabled);
    return { timer, enabled };
  }

  /** `if_version` looks at the room before the first write. */
  private checkVersion(template: WriteTemplate, scope: string, key: string, field: string): void {
    if (scope === "_help") return this.checkHelpVersion(template, key, field);
    if (template.if_version === undefined) return;
    const expected = fill(template.if_version, this.stage.vars);
    if (expected !== undefined) mustMatch(this.stage, scope, key, expected);
  }

  private checkHelpVersion(template: WriteTemplate, key: string, field: string): void {
    if (template.if_version === undefined) throw helpVersionWanted(`${field}.if_version`);
    const expected = fill(template.if_version, this.stage.vars);
    if (expected === undefined) {
      throw missingParam(template.if_version, `${field}.if_version`, this.stage.vars);
    }
    const entry = this.stage.room.get("_help", key);
    const system = entry ? undefined : systemHelp(key);
    const current = entry?.version ?? system?.version ?? "";
    if (expected !== current) {
      throw new SyncError("version_conflict", `Help "${key}" is not what the caller has read.`, {
        scope: "_help",
        key,
        expected,
        current: system ? { ...system } : shownEntry(this.stage, "_help", key),
        help: "if_version",
        hint: `Read help {"key":"${key}"} and pass the version it answers.`,
      });
    }
  }

  /** Checks what the room as a whole may hold, and all new `enabled` together. */
  checkRoom(): void {
    const { room } = this.stage;
    const gated: Gated[] = [];
    for (const [cell, { exists, enabled }] of this.#working) {
      const [scope, key] = splitCell(cell);
      if (!exists || enabled === undefined || enabled === room.get(scope, key)?.enabled) continue;
      gated.push({ scope, key, enabled });
    }
    if (gated.length > 0) mustGateSoundly(room, gated);
    mustStayWithinLimits(this.stage.room, "keys", this.#addedKeys);
    mustStayWithinLimits(this.stage.room, "bytes", this.#addedBytes);
  }
}

/** What a write says of the timer: nothing where it goes on as it was. */
function timerMember(
  op: Write["op"],
  before: ArmedTimer | undefined,
  after: ArmedTimer | undefined,
): Pick<Write, "timer"> {
  if (op === "set") return after ? { timer: after } : {};
  return after === before ? {} : { timer: after ?? null };
}

/** Refuses a write to a scope that neither the action nor the invoker may write. Throws `scope_denied`. */
function mustWriteTo(stage: Stage, scope: string, key: string): void {
  const { room, acting, definition } = stage;
  if (isKeptScope(scope)) throw scopeDenied(scope, key, "The service keeps this scope for itself.");
  if (!isScopeName(scope)) throw scopeDenied(scope, key, "It is no scope.");
  const isNarrowed = room.settings.vocabulary === "closed" && definition.standing === "participant";
  if (!isPrivateScope(scope)) {
    if (!isNarrowed) return;
    throw scopeDenied(
      scope,
      key,
      "The vocabulary is closed: what a participant registers writes its own scope only.",
    );
  }
  const actionGrants = isPrivateScope(definition.scope) ? grantsOf(room, definition.scope) : [];
  const isActions = scope === definition.scope || actionGrants.includes(scope) ||
    actionGrants.includes("*");
  const invokerGrants = grantsOf(room, acting.agent);
  const isInvokers = scope === acting.agent || invokerGrants.includes(scope) ||
    invokerGrants.includes("*");
  if (isActions || isInvokers || (acting.seesAll && room.agent(scope))) return;
  throw scopeDenied(
    scope,
    key,
    `Neither the action ("${definition.scope}") nor "${acting.agent}" has authority over it.`,
  );
}

/** The cooldown that an invocation starts. */
export function cooldownWrite(stage: Stage): Write[] {
  const { definition, room, now } = stage;
  if (!definition.on_invoke) return [];
  const entry = room.get("_actions", definition.id)!;
  return [{
    scope: "_actions",
    key: definition.id,
    op: "cooldown",
    value: null,
    revision: entry.revision,
    version: entry.version,
    timer: arm(definition.on_invoke.timer as unknown as Json, "on_invoke.timer", now),
  }];
}

/** What placeholders stand for at an instant. */
export function templateVars(
  room: Room,
  self: string,
  params: JsonObject,
  now: Millis,
): TemplateVars {
  return { params, self, now: iso(now), seq: room.head + 1 };
}
