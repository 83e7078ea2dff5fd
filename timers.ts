/**
 * When a thing is due and what a tick does. Pure; instants come from the caller.
 */
import { SyncError } from "./errors.ts";
import { isKey, isScopeName } from "./input.ts";
import { TIMER_MS_MAX, TIMER_TICKS_MAX } from "./limits.ts";
import type { ArmedTimer, Json, JsonObject, Millis, TimerEffect } from "./types.ts";

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
/** The last instant with a year of four digits. */
const INSTANT_MAX = Date.parse("9999-12-31T23:59:59.999Z");
const TICK_ON = /^(state\.)?([A-Za-z0-9_][A-Za-z0-9_:@-]*)\.(.+)$/;

/** Any RFC 3339 instant as milliseconds, or undefined; a leap second counts as the one after it. */
export function parseInstant(text: string): Millis | undefined {
  const match = RFC3339.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  const isDate = Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 &&
    Number(day) <= days;
  const isLeap = second === "60";
  if (!isDate || Number(hour) > 23 || Number(minute) > 59) return undefined;
  if (Number(second) > 59 && !isLeap) return undefined;
  const date = `${year}-${month}-${day}T${hour}:${minute}`, utc = zone!.toUpperCase();
  if (isLeap && !endsMonth(Date.parse(`${date}${utc}`))) return undefined;
  const ms = Date.parse(`${date}:${isLeap ? "59" : second}${fraction ?? ""}${utc}`) +
    (isLeap ? 1_000 : 0);
  return Number.isFinite(ms) && ms <= INSTANT_MAX ? ms : undefined;
}

const MINUTE = 60_000;

/** Is this a month's last minute in UTC, the only one that may have a second more? */
function endsMonth(minute: Millis): boolean {
  const next = new Date(minute + MINUTE);
  return next.getUTCDate() === 1 && next.getUTCHours() === 0 && next.getUTCMinutes() === 0;
}

/** An instant as ISO-8601 UTC with milliseconds. */
export function iso(ms: Millis): string {
  const slot = ms & (KEPT - 1);
  if (keptMillis[slot] !== ms) {
    keptText[slot] = new Date(ms).toISOString();
    keptMillis[slot] = ms;
  }
  return keptText[slot]!;
}

/** The newest texts of instants: the same ones are shown again and again. */
const KEPT = 4_096;
const keptMillis = new Float64Array(KEPT).fill(NaN);
const keptText: string[] = new Array<string>(KEPT).fill("");

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
  checkTarget(tick_on, `${field}.tick_on`);
}

/** What nothing can ever be written to would never tick. */
function checkTarget(tick_on: Json | undefined, field: string): void {
  const target = typeof tick_on === "string" ? tickTarget(tick_on) : undefined;
  if (target === undefined) {
    throw bad(field, 'the key that ticks is wanted, as "state.<scope>.<key>"');
  }
  const dot = target.indexOf(".");
  const scope = target.slice(0, dot), key = target.slice(dot + 1);
  if (scope === "self") {
    const detail = '"self" is no scope of its own; name the agent, or in a template "${self}", ' +
      "which is the invoker";
    throw bad(field, detail);
  }
  if (!isScopeName(scope)) throw bad(field, `there can be no scope "${scope}"`);
  if (!isKey(key)) throw bad(field, `there can be no key "${key}"`);
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
  if (timer.resting) return timer;
  return { ...timer, ticks_left: Math.max(0, (timer.ticks_left ?? 1) - 1) };
}

/** When a timer is due: an instant, `-Infinity` when its ticks are used up, undefined while it rests or ticks. */
export function dueAt(timer: ArmedTimer | undefined): Millis | undefined {
  if (!timer || timer.resting_ms !== undefined || timer.resting) return undefined;
  if (timer.ticks_left !== undefined) return timer.ticks_left <= 0 ? -Infinity : undefined;
  return timer.due_at === undefined ? undefined : Date.parse(timer.due_at);
}

/** Dormant: not there until its timer enables it. */
export function isDormant(timer: ArmedTimer | undefined): boolean {
  return timer?.effect === "enable";
}

/** A `delete` timer at rest, as a claimed message's is: it keeps what it had left. */
export function rest(timer: ArmedTimer | undefined, now: Millis): ArmedTimer | undefined {
  if (timer?.effect !== "delete" || timer.resting_ms !== undefined) return timer;
  if (timer.due_at === undefined) return { ...timer, resting: true };
  return { ...timer, resting_ms: Math.max(0, Date.parse(timer.due_at) - now) };
}

/** A rested timer goes on with what it had left. */
export function resume(timer: ArmedTimer | undefined, now: Millis): ArmedTimer | undefined {
  if (!timer) return timer;
  const { resting_ms, resting: _resting, ...running } = timer;
  if (resting_ms === undefined) return running;
  return { ...running, due_at: iso(now + resting_ms) };
}
