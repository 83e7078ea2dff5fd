/** What the MCP door counts and times of its tools. */
import { counters, histograms, stopwatch } from "../../meters.ts";

/** How a tool call ended. */
export type ToolOutcome = "ok" | "refused" | "bug";

/** The tools' meters. */
export class ToolMeters {
  readonly seconds = histograms(["tool"]);
  readonly calls = counters("tool", "outcome");
  /** Sessions and followers open; the door says how many once it is there. */
  open: () => { readonly sessions: number; readonly followers: number } = () => ({
    sessions: 0,
    followers: 0,
  });

  /** Hears of refusals: set once by whoever counts them. */
  refused: (code: string) => void = () => undefined;

  /** Begins to time a call; the answer notes how it ended. */
  begin(tool: string): (outcome: ToolOutcome) => void {
    const started = stopwatch();
    return (outcome) => {
      this.seconds.of(tool).since(started);
      this.calls.of(tool, outcome).inc();
    };
  }
}
