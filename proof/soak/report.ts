/** A soak's report: everything as JSON, and what a reader wants to know as Markdown. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Verdict } from "./judge.ts";
import type { Sample } from "./samples.ts";

/** What a soak came to. */
export interface Report {
  readonly version: string;
  readonly startedAt: string;
  readonly machine: string;
  readonly options: Readonly<Record<string, string | number>>;
  /** Deeds a second at full speed, and those of the soak; 0 where it was not measured. */
  readonly capacity: number;
  readonly rate: number;
  readonly answered: number;
  readonly records: number;
  readonly told: number;
  readonly visits: { readonly made: number; readonly deleted: number };
  /** What failed, by verb and words, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** What does not add up in a room at the end, after a restart. */
  readonly faults: readonly string[];
  readonly verdicts: readonly Verdict[];
  readonly isFlat: boolean;
  readonly samples: readonly Sample[];
}

const MIB = 1_048_576;
const ROWS_MAX = 30;

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function sampleRow(sample: Sample): (string | number)[] {
  const { atS, rss, heap, isSettled, files, records, roomsHot, waitsOpen, cores, load } = sample;
  const of = (verb: string): string => {
    const latency = sample.latencies[verb];
    return latency === undefined ? "–" : `${latency.p50.toFixed(1)} / ${latency.p99.toFixed(1)}`;
  };
  return [
    `${atS} s`,
    (rss / MIB).toFixed(0),
    `${(heap / MIB).toFixed(1)}${isSettled ? "" : " *"}`,
    (files.db / MIB).toFixed(1),
    (files.wal / MIB).toFixed(1),
    records,
    roomsHot,
    waitsOpen,
    cores.toFixed(2),
    load.toFixed(1),
    of("invoke"),
    of("context"),
    of("wake"),
  ];
}

/** The report for readers. */
export function markdown(report: Report): string {
  const { samples, verdicts, failures, faults } = report;
  const step = Math.max(1, Math.ceil(samples.length / ROWS_MAX));
  const shown = samples.filter((_, i) => (i + 1) % step === 0);
  const wrong = [
    ...Object.entries(failures).map(([what, times]) => `${times} × ${what}`),
    ...faults,
  ];
  return [
    `# Soak of sync ${report.version}, ${report.startedAt}`,
    `${report.machine}. ${
      report.capacity > 0 ? `Capacity ${report.capacity.toFixed(0)} deeds/s; run` : "Run"
    } at ${report.rate.toFixed(0)} deeds/s, open loop: ${report.answered} requests answered, ` +
    `${report.records} records, ${report.told} records told to streams, ` +
    `${report.visits.made} rooms made and ${report.visits.deleted} deleted beside the lasting ones.`,
    `**${report.isFlat ? "Flat, or explained" : "NOT flat"}; ${
      wrong.length === 0 ? "nothing failed" : `${wrong.length} kinds of failure`
    }.**`,
    ...(wrong.length === 0 ? [] : [wrong.map((what) => `- ${what}`).join("\n")]),
    "## The second half",
    table(
      ["what", "", "figures"],
      verdicts.map((
        { what, judgement, figures },
      ) => [what, judgement === "grows" ? "**grows**" : judgement, figures]),
    ),
    "## Samples",
    "Memory and files in MiB (`*`: not right after collection), latencies in ms (p50 / p99).",
    table(
      [
        "at",
        "rss",
        "heap",
        "file",
        "WAL",
        "records",
        "hot rooms",
        "waits",
        "cores",
        "load",
        "invoke",
        "context",
        "wake",
      ],
      shown.map(sampleRow),
    ),
    "",
  ].join("\n\n");
}

/** Writes both into a folder. */
export async function writeReport(folder: string, report: Report): Promise<void> {
  await writeFile(join(folder, "soak.json"), `${JSON.stringify(report, null, 1)}\n`);
  await writeFile(join(folder, "soak.md"), markdown(report));
}
