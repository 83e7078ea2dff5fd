/** What a run found, and how it is told. */

/** An object whose history has no explanation. */
export interface Failure {
  readonly object: string;
  readonly reason: "not linearizable" | "exhausted";
  /** The answered operations closest to the point where the search got no further. */
  readonly around: readonly string[];
}

/** What came of a run. */
export interface Report {
  readonly ok: boolean;
  /** What the search found, object by object. */
  readonly failures: readonly Failure[];
  /** What does not fit when the log's own order is followed. */
  readonly faults: readonly string[];
  /** Answers that nothing explains, and rooms that do not verify. */
  readonly surprises: readonly string[];
  readonly calls: number;
  readonly unknown: number;
  /** Of those, the ones that have a record. */
  readonly happened: number;
  readonly objects: number;
  readonly steps: number;
  readonly records: number;
  readonly kills: readonly string[];
  /** Requests to databases that were cut off. */
  readonly cuts: number;
  readonly checkMs: number;
}

const LINES_MAX = 20;

/** A report as text, for people. */
export function textOf(report: Report): string {
  const { calls, unknown, happened, objects, records, steps, checkMs, kills, cuts } = report;
  const lines = [
    `calls ${calls}, of unknown outcome ${unknown} (${happened} have a record), records ${records}`,
    `killed ${kills.length}: ${kills.join(", ") || "nothing"}; requests cut off ${cuts}`,
    `checked ${objects} objects in ${steps} steps and ${checkMs} ms`,
  ];
  for (const { object, reason, around } of report.failures) {
    lines.push(`FAILED ${object}: ${reason}; near`, ...around.map((text) => `  ${text}`));
  }
  for (const fault of report.faults.slice(0, LINES_MAX)) lines.push(`FAILED log: ${fault}`);
  for (const surprise of report.surprises) lines.push(`FAILED answer: ${surprise}`);
  lines.push(report.ok ? "linearizable" : "NOT LINEARIZABLE");
  return lines.join("\n");
}
