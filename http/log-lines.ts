/** The service's own log: a JSON object a line, never with bodies, tokens or values. */
import { LOG_LEVELS, type LogLevel } from "../config.ts";
import { traceId } from "../tracing.ts";

/** How lines are written. */
export type LogStyle = "json" | "pretty" | "off";

/** Writes one line. */
export interface LogLine {
  (level: LogLevel, message: string, facts?: Record<string, unknown>): void;
  /** Are lines of the least important level written? Spares making them. */
  readonly isDebug?: boolean;
}

/** A writer in the given style, of lines of a level and above; a line names the trace it is about. */
export function logger(style: LogStyle, now: () => number, least: LogLevel = "info"): LogLine {
  const from = LOG_LEVELS.indexOf(least);
  const write = (level: LogLevel, message: string, facts: Record<string, unknown> = {}): void => {
    if (style === "off" || LOG_LEVELS.indexOf(level) < from) return;
    const ts = new Date(now()).toISOString();
    const trace = traceId();
    const all = trace === undefined ? facts : { ...facts, trace_id: trace };
    const line = style === "json"
      ? JSON.stringify({ ts, level, message, ...all })
      : `${ts} ${level.padEnd(5)} ${message} ${
        Object.entries(all).map(([k, v]) => `${k}=${v}`).join(" ")
      }`;
    if (level === "error") console.error(line);
    else console.log(line);
  };
  return Object.assign(write, { isDebug: style !== "off" && from === 0 });
}
