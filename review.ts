/**
 * A review of a room's vocabulary: what cannot work, what nobody uses, what gets in each other's
 * way, each with what to do about it. It says less rather than something that is not so.
 */
import type { Acting } from "./auth.ts";
import { Budget, CelError, CelTooExpensive } from "./cel.ts";
import type { Moment } from "./engine/types.ts";
import { defaultsOf, fits, gateFor, seenBy, writersOf } from "./invoke/could.ts";
import { readsBeyond } from "./invoke/failures.ts";
import { isPrivateScope } from "./policy.ts";
import { Reach } from "./review/reach.ts";
import { expressionsOf, stateReads, unusedParams, viewReaders } from "./review/reads.ts";
import { reviewWaits } from "./review/waits.ts";
import { actionEyes, callerEyes, Sight } from "./sight.ts";
import { literalsOf, placeholdersIn } from "./templates.ts";
import type { ActionDefinition, JsonObject } from "./types.ts";

/** A finding: what, about what, and what to do. */
interface Finding extends JsonObject {
  readonly code: string;
  /** `problem`: something cannot work. `notice`: something to think about. */
  readonly severity: "problem" | "notice";
  readonly message: string;
  readonly suggestion: string;
}

/** An action is called unused once this many records came after it. */
const UNUSED_AFTER_RECORDS = 20;

/** Reviews the vocabulary and the open waits of a room for a reader. */
export function review(moment: Moment, acting: Acting): JsonObject {
  const { hot, room, now } = moment;
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  const neverRead = unreadViews(moment);
  const reach = new Reach(sight, acting);
  const findings = [
    ...reviewGates(sight, acting, reach),
    ...reviewKeys(sight),
    ...reviewExpressions(sight, acting),
    ...reviewViews(sight, neverRead),
    ...reviewContests(sight),
    ...reviewUse(sight),
  ];
  const problems = findings.filter(({ severity }) => severity === "problem").length;
  return {
    seq: room.head,
    actions: room.scopes.get("_actions")?.entries.size ?? 0,
    views: room.scopes.get("_views")?.entries.size ?? 0,
    findings,
    counts: { problem: problems, notice: findings.length - problems },
    waits: reviewWaits(moment, acting, sight, reach),
    ...(reach.isCut ? { incomplete: "the room has too much in it to judge every gate" } : {}),
  };
}

function actionsOf(sight: Sight): [string, ActionDefinition][] {
  const ids = sight.room.scopes.get("_actions")?.keys() ?? [];
  return ids.filter((id) => sight.entry("_actions", id)).map((id) => [id, sight.room.action(id)!]);
}

/** Gates that fail, and gates that are shut for everybody for good. */
function reviewGates(sight: Sight, acting: Acting, reach: Reach): Finding[] {
  const findings: Finding[] = [];
  for (const [id, action] of actionsOf(sight)) {
    if (action.if === undefined || readsPrivately(sight, action, acting)) continue;
    if ([...reach.statesOf(id).values()].includes("fails")) {
      findings.push({
        code: "gate_fails",
        severity: "problem",
        action: id,
        expression: action.if,
        message: `The gate of "${id}" fails, or yields no boolean.`,
        suggestion: "Try it with POST /rooms/:id/eval, correct it, and register the action again.",
      });
    } else if (reach.stuck.has(id)) {
      findings.push({
        code: "gate_stuck",
        severity: "problem",
        action: id,
        expression: action.if,
        message:
          `The gate of "${id}" is shut for everybody, and no action can change what it reads.`,
        suggestion: "Register an action that writes what the gate reads, or correct the gate.",
      });
    }
  }
  return findings;
}

/** Does an action's gate come to something that this reader may not know? */
function readsPrivately(sight: Sight, action: ActionDefinition, acting: Acting): boolean {
  const eyes = sight.as(actionEyes(sight.room, action, ""));
  return expressionsOf(action).some(({ program }) => readsBeyond(program, eyes, acting));
}

/** Keys that gates read, that are not there, and that no action writes. */
function reviewKeys(sight: Sight): Finding[] {
  const { room } = sight;
  const missing = new Map<string, { isUsed: boolean; actions: Set<string> }>();
  for (const [id, action] of actionsOf(sight)) {
    for (const { field, program } of expressionsOf(action)) {
      if (field !== "if" && !field.endsWith("enabled")) continue;
      for (const { scope, key, isUsed } of stateReads(program, null)) {
        if (scope === null || key === null || isPrivateScope(scope)) continue;
        if (room.get(scope, key) || writersOf(room, scope, key).length > 0) continue;
        const found = missing.get(`${scope}.${key}`) ?? { isUsed: false, actions: new Set() };
        found.isUsed ||= isUsed;
        missing.set(`${scope}.${key}`, found);
        found.actions.add(id);
      }
    }
  }
  return [...missing].map(([path, { isUsed, actions }]) => ({
    code: "key_never_written",
    severity: isUsed ? "problem" : "notice",
    path,
    actions: [...actions].sort(),
    message: `Gates read "${path}", which is not there and which no action writes.`,
    suggestion: nearWritten(sight, path) ??
      `Register an action that writes "${path}", or take it out of the gates.`,
  }));
}

/** A key that is written and differs by little: most likely a slip. */
function nearWritten(sight: Sight, path: string): string | undefined {
  const written = new Set<string>();
  for (const [, action] of actionsOf(sight)) {
    for (const { scope = "_shared", key } of action.writes) {
      if (key !== undefined && placeholdersIn([scope, key]).length === 0) {
        written.add(`${scope}.${key}`);
      }
    }
  }
  const [near] = [...written].filter((other) => isNear(other, path)).sort();
  return near === undefined ? undefined : `"${near}" is written: is that meant?`;
}

function isNear(a: string, b: string): boolean {
  const x = a.toLowerCase().replace(/[^a-z0-9]/g, ""),
    y = b.toLowerCase().replace(/[^a-z0-9]/g, "");
  return x === y || `${x}s` === y || x === `${y}s` ||
    (x.length > 6 && (x.startsWith(y) || y.startsWith(x)));
}

/** Steps that trying expressions may take in all. */
const TRY_STEPS = 200_000;

/** Expressions of writes and results that fail as things stand though the gate is open. */
function reviewExpressions(sight: Sight, acting: Acting): Finding[] {
  const findings: Finding[] = [];
  const budget = new Budget(TRY_STEPS);
  const who = acting.agent === "" ? "admin" : acting.agent;
  for (const [id, action] of actionsOf(sight)) {
    if (readsPrivately(sight, action, acting)) continue;
    try {
      const state = gateFor(seenBy(sight, who), id, budget);
      if (state === "open") findings.push(...failuresOf(sight, who, id, action, budget));
    } catch (error) {
      if (error instanceof CelTooExpensive) return findings;
      throw error;
    }
  }
  return findings;
}

function failuresOf(
  sight: Sight,
  who: string,
  id: string,
  action: ActionDefinition,
  budget: Budget,
): Finding[] {
  const findings: Finding[] = [];
  const caller = seenBy(sight, who);
  const eyes = caller.as(actionEyes(sight.room, action, who), undefined, defaultsOf(action));
  for (const { field, program } of expressionsOf(action)) {
    if (!/^writes\[\d+\]$/.test(field)) continue;
    try {
      eyes.evaluate(program, budget);
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      if (error.code !== "missing" || /^params\b/.test(error.path ?? "params")) continue;
      findings.push({
        code: "fails_on_missing_key",
        severity: "problem",
        action: id,
        field,
        path: error.path ?? null,
        message: `"${field}" of "${id}" fails as long as ${error.path} is not there.`,
        suggestion:
          `Read it with a fallback (has(…) ? … : …, or .?key.orValue(…)), or gate the action on it.`,
      });
    }
  }
  return findings;
}

/** Views that nothing shows or names, registered since anybody has read the room's views. */
function unreadViews({ hot, room }: Moment): Set<string> {
  const conditions = [...hot.waits.values()].flatMap((waits) =>
    [...waits].flatMap(({ program }) => program ?? [])
  );
  const readers = viewReaders(room, conditions);
  const ids = room.scopes.get("_views")?.keys() ?? [];
  if (readers.has("*")) return new Set();
  return new Set(ids.filter((id) => {
    const { seq } = room.get("_views", id)!;
    const isNew = seq > hot.viewsReadAt && room.head - seq >= UNUSED_AFTER_RECORDS;
    return isNew && !readers.has(id) && room.view(id)!.render === undefined;
  }));
}

/** Views that fail, and views that nobody reads. */
function reviewViews(sight: Sight, neverRead: ReadonlySet<string>): Finding[] {
  const findings: Finding[] = [];
  for (const id of sight.viewIds()) {
    const definition = sight.room.view(id);
    const result = definition && sight.view(id);
    if (!definition || !result) continue;
    const mayKnow = sight.eyes.canRead(definition.scope);
    if (result.error) {
      const { code, message, hint } = result.error;
      findings.push({
        code: "view_broken",
        severity: "problem",
        view: id,
        error: code,
        ...(mayKnow ? { detail: message } : {}),
        message: `The view "${id}" fails.`,
        suggestion: (mayKnow ? hint : undefined) ??
          "Read what may be missing with a fallback: has(…) ? … : …, or .?key.orValue(…).",
      });
    } else if (neverRead.has(id) && !result.isVolatile) {
      findings.push({
        code: "view_never_read",
        severity: "notice",
        view: id,
        message: `Nobody has read the view "${id}", and nothing shows or names it.`,
        suggestion: 'Give it a "render" to show it, use it in a condition, or delete it.',
      });
    }
  }
  return findings;
}

/** Targets that more than one action writes: by the same words, or by a template that can make them. */
function reviewContests(sight: Sight): Finding[] {
  const findings: Finding[] = [];
  const about = (target: string, ids: readonly string[], how: string): Finding => ({
    code: "contested_target",
    severity: "notice",
    target,
    actions: [...ids],
    message: `${ids.map((id) => `"${id}"`).join(" and ")} write ${target}${how}.`,
    suggestion:
      "Let one action write it, give them gates that exclude each other, or use if_version.",
    help: "contested_actions",
  });
  for (const [target, ids] of sight.contested) findings.push(about(target, ids, ""));
  const literal = new Map<string, string[]>(), templates = new Map<string, string[]>();
  for (const [id, action] of actionsOf(sight)) {
    for (const { scope = "_shared", key, value } of action.writes) {
      if (key === undefined || value === undefined) continue;
      const target = `${scope}:${key}`;
      const isTemplate = placeholdersIn(target).length > 0;
      const among = isTemplate ? templates : literal;
      among.set(target, [...new Set([...among.get(target) ?? [], id])]);
    }
  }
  for (const [template, ids] of templates) {
    if (!isTelling(template)) continue;
    if (ids.length > 1) findings.push(about(template, ids, ", made from the same template"));
    for (const [target, others] of literal) {
      if (!fits(template, target)) continue;
      const all = [...new Set([...ids, ...others])];
      if (all.length > 1) findings.push(about(target, all, `, one of them by way of ${template}`));
    }
  }
  return findings;
}

/** Templates that are nothing but a placeholder can make anything: that is what they are for. */
function isTelling(template: string): boolean {
  const key = template.slice(template.indexOf(":") + 1);
  return !template.startsWith("${") && literalsOf(key).join("").replace(/[._-]/g, "") !== "";
}

/** Parameters that nothing uses, and actions that nobody has invoked. */
function reviewUse(sight: Sight): Finding[] {
  const { room } = sight;
  const findings: Finding[] = [];
  for (const [id, action] of actionsOf(sight)) {
    const unused = unusedParams(action);
    if (unused.length > 0) {
      findings.push({
        code: "unused_params",
        severity: "problem",
        action: id,
        params: unused,
        message: `"${id}" declares ${
          unused.map((name) => `"${name}"`).join(", ")
        } and uses none of it.`,
        suggestion: "Use it as ${params.<name>} or params.<name>, or take it out.",
      });
    }
    const entry = room.get("_actions", id)!;
    if (entry.stats !== undefined || room.head - entry.seq < UNUSED_AFTER_RECORDS) continue;
    findings.push({
      code: "never_invoked",
      severity: "notice",
      action: id,
      since: entry.seq,
      message: `Nobody has invoked "${id}" in the ${
        room.head - entry.seq
      } records since it was registered.`,
      suggestion: "Say in its description what it is for and when, or delete it.",
    });
  }
  return findings;
}
