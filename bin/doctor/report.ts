/** What the doctor finds, and how it is told. */

/** How something is: well, to be looked at, broken, or merely to be known. */
export type Verdict = "ok" | "warn" | "fail" | "note";

/** One thing that was looked at. */
export interface Check {
  readonly area: "configuration" | "machine" | "database" | "server";
  readonly name: string;
  readonly verdict: Verdict;
  readonly detail: string;
  /** What to do about it. */
  readonly todo?: string;
}

/** Everything that was looked at. */
export interface Report {
  /** Nothing failed. */
  readonly ok: boolean;
  readonly counts: Readonly<Record<Verdict, number>>;
  readonly checks: readonly Check[];
}

/** What the checks of one area are noted with. */
export class Notes {
  readonly checks: Check[] = [];

  constructor(private readonly area: Check["area"]) {}

  /** It is well. */
  ok(name: string, detail: string): void {
    this.add(name, "ok", detail);
  }

  /** It is to be known, and neither well nor ill. */
  note(name: string, detail: string, todo?: string): void {
    this.add(name, "note", detail, todo);
  }

  /** It works, but should be looked at. */
  warn(name: string, detail: string, todo: string): void {
    this.add(name, "warn", detail, todo);
  }

  /** It does not work, or is not safe. */
  fail(name: string, detail: string, todo: string): void {
    this.add(name, "fail", detail, todo);
  }

  /** A number against two bounds: beyond the first it is to be looked at, beyond the second broken. */
  against(
    name: string,
    value: number,
    bounds: { readonly warn: number; readonly fail?: number },
    detail: string,
    todo: string,
  ): void {
    if (value > (bounds.fail ?? Infinity)) this.fail(name, detail, todo);
    else if (value > bounds.warn) this.warn(name, detail, todo);
    else this.ok(name, detail);
  }

  private add(name: string, verdict: Verdict, detail: string, todo?: string): void {
    const { area } = this;
    this.checks.push({ area, name, verdict, detail, ...(todo === undefined ? {} : { todo }) });
  }
}

/** Puts the checks together. */
export function reportOf(checks: readonly Check[]): Report {
  const counts = { ok: 0, warn: 0, fail: 0, note: 0 };
  for (const { verdict } of checks) counts[verdict]++;
  return { ok: counts.fail === 0, counts, checks };
}

/** The report as lines for people. */
export function linesOf({ checks, counts }: Report): string[] {
  const lines: string[] = [];
  let area: string | undefined;
  const width = Math.max(...checks.map(({ name }) => name.length));
  for (const check of checks) {
    if (check.area !== area) lines.push(...(area === undefined ? [] : [""]), check.area);
    area = check.area;
    lines.push(`  ${check.verdict.padEnd(4)}  ${check.name.padEnd(width)}  ${check.detail}`);
    if (check.todo !== undefined) lines.push(`  ${" ".repeat(width + 8)}-> ${check.todo}`);
  }
  lines.push("", `${counts.ok} ok, ${counts.warn} to look at, ${counts.fail} failed`);
  return lines;
}

/** Milliseconds in words. */
export function inMs(ms: number): string {
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`;
}

/** Bytes in words. */
export function inBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes, unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** The middle and the nearly slowest of some durations. */
export function spreadOf(durations: readonly number[]): { p50: number; p99: number } {
  const sorted = [...durations].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

/** What went wrong, in one line. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const text = cause instanceof Error ? `${error.message} ${cause.message}` : error.message;
  return text.replace(/\s+/g, " ").slice(0, 300);
}
