/** The service's own log: a JSON object a line, never with bodies, tokens or values. */

/** How lines are written. */
export type LogStyle = "json" | "pretty" | "off";

/** Writes one line. */
export type LogLine = (
  level: "info" | "warn" | "error",
  message: string,
  facts?: Record<string, unknown>,
) => void;

/** A writer in the given style. */
export function logger(style: LogStyle, now: () => number): LogLine {
  if (style === "off") return () => undefined;
  return (level, message, facts = {}) => {
    const ts = new Date(now()).toISOString();
    const line = style === "json"
      ? JSON.stringify({ ts, level, message, ...facts })
      : `${ts} ${level.padEnd(5)} ${message} ${
        Object.entries(facts).map(([k, v]) => `${k}=${v}`).join(" ")
      }`;
    if (level === "error") console.error(line);
    else console.log(line);
  };
}
