/**
 * When a thing is due and what a tick does. Pure; instants come from the caller.
 */
import { SyncError } from "./errors.ts";
import { TIMER_MS_MAX, TIMER_TICKS_MAX } from "./limits.ts";
import type { ArmedTimer, Json, JsonObject, Millis, TimerEffect } from "./types.ts";

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
const TICK_ON = /^(state\.)?([A-Za-z0-9_][A-Za-z0-9_:@-]*)\.(.+)$/;

/** Any RFC 3339 instant as milliseconds, or undefined. */
export function parseInstant(text: string): Millis | undefined {
  if (!RFC3339.test(text)) return undefined;
  const ms = Date.parse(text.replace(" ", "T"));
  return Number.isFinite(ms) ? ms : undefined;
}

/** An instant as ISO-8601 UTC with milliseconds. */
export function iso(ms: Millis): string {
  return new Date(ms).toISOString();
}

function bad(field: string, detail: string): SyncError {
  return new SyncError("invalid_timer", `"${field}" is not a valid timer: ${detail}.`, {
    field,
    detail,
    help: "timers",
    example: { ms: 60000, effect: "delete" },
  });
}

/** Checks a timer's form and arms it at `now`. `null` stays null: no timer. Throws `invalid_timer`. */
export function arm(spec: Json, field: string, now: Millis): ArmedTimer {
  const fields = checkTimer(spec, field);
  const effect = fields["effect"] as TimerEffect;
  if (fields["ms"] !== undefined) {
    const ms = fields["ms"] as number;
    return { effect, ms, due_at: iso(now + ms) };
  }
  if (fields["at"] !== undefined) {
    const due = parseInstant(fields["at"] as string)!;
    if (due <= now && effect === "delete") {
      throw bad(`${field}.at`, "an instant in the past would delete at once; name one to come");
    }
    return { effect, due_at: iso(due) };
  }
  const ticks = fields["ticks"] as number;
  return { effect, ticks, ticks_left: ticks, tick_on: tickTarget(fields["tick_on"] as string)! };
}

/** `state.<scope>.<key>` or `<scope>.<key>` as `<scope>.<key>`; undefined when it is neither. */
export function tickTarget(text: string): string | undefined {
  const match = TICK_ON.exec(text);
  return match ? `${match[2]}.${match[3]}` : undefined;
}

/** Checks the form of a timer without arming it. Throws `invalid_timer {field, detail}`. */
export function checkTimer(spec: Json, field: string): JsonObject {
  if (spec === null || typeof spec !== "object" || Array.isArray(spec)) {
    throw bad(field, "an object is wanted");
  }
  for (const key of Object.keys(spec)) {
    if (!["ms", "at", "ticks", "tick_on", "effect"].includes(key)) {
      throw bad(`${field}.${key}`, 'only "ms", "at", "ticks", "tick_on" and "effect" are known');
    }
  }
  const clocks = ["ms", "at", "ticks"].filter((key) => spec[key] !== undefined);
  if (clocks.length !== 1) throw bad(field, 'exactly one of "ms", "at" and "ticks" is wanted');
  if (spec["effect"] !== "delete" && spec["effect"] !== "enable") {
    throw bad(`${field}.effect`, '"delete" or "enable" is wanted');
  }
  checkClock(spec, field);
  return spec;
}

function checkClock(spec: JsonObject, field: string): void {
  const { ms, at, ticks, tick_on } = spec;
  if (ms !== undefined && !within(ms, TIMER_MS_MAX)) {
    throw bad(`${field}.ms`, `whole milliseconds from 1 to ${TIMER_MS_MAX} are wanted`);
  }
  if (at !== undefined && (typeof at !== "string" || parseInstant(at) === undefined)) {
    throw bad(`${field}.at`, "an RFC 3339 instant is wanted, such as 2030-01-01T00:00:00Z");
  }
  if (ticks === undefined) {
    if (tick_on !== undefined) throw bad(`${field}.tick_on`, 'it goes with "ticks" only');
    return;
  }
  if (!within(ticks, TIMER_TICKS_MAX)) {
    throw bad(`${field}.ticks`, `a whole number from 1 to ${TIMER_TICKS_MAX} is wanted`);
  }
  if (typeof tick_on !== "string" || tickTarget(tick_on) === undefined) {
    throw bad(`${field}.tick_on`, 'the key that ticks is wanted, as "state.<scope>.<key>"');
  }
}

function within(value: Json, max: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max;
}

/** The same timer started anew at `now`; one bound to an instant stays as it is. */
export function restart(timer: ArmedTimer, now: Millis): ArmedTimer {
  if (timer.ms !== undefined) {
    return { effect: timer.effect, ms: timer.ms, due_at: iso(now + timer.ms) };
  }
  if (timer.ticks !== undefined) return { ...timer, ticks_left: timer.ticks };
  return timer;
}

/** One tick less. */
export function tick(timer: ArmedTimer): ArmedTimer {
  return { ...timer, ticks_left: Math.max(0, (timer.ticks_left ?? 1) - 1) };
}

/** When a timer is due: an instant, `-Infinity` when its ticks are used up, undefined while it rests or ticks. */
export function dueAt(timer: ArmedTimer | undefined): Millis | undefined {
  if (!timer || timer.resting_ms !== undefined) return undefined;
  if (timer.ticks_left !== undefined) return timer.ticks_left <= 0 ? -Infinity : undefined;
  return timer.due_at === undefined ? undefined : Date.parse(timer.due_at);
}

/** Dormant: not there until its timer enables it. */
export function isDormant(timer: ArmedTimer | undefined): boolean {
  return timer?.effect === "enable";
}

/** A `delete` timer at rest, as a claimed message's is: it keeps what it had left. */
export function rest(timer: ArmedTimer | undefined, now: Millis): ArmedTimer | undefined {
  if (timer?.effect !== "delete" || timer.due_at === undefined || timer.resting_ms !== undefined) {
    return timer;
  }
  return { ...timer, resting_ms: Math.max(0, Date.parse(timer.due_at) - now) };
}

/** A rested timer goes on with what it had left. */
export function resume(timer: ArmedTimer | undefined, now: Millis): ArmedTimer | undefined {
  if (timer?.resting_ms === undefined) return timer;
  const { resting_ms, ...running } = timer;
  return { ...running, due_at: iso(now + resting_ms) };
}
