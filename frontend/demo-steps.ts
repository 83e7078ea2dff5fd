/** The play of the demo room, step by step; apart from its making, which a dashboard does not need. */
import type { JsonObject } from "./model.ts";

/** A step of the play: who does what. */
export interface Step {
  readonly agent: string;
  readonly action: string;
  readonly params: JsonObject;
}

const TASKS = [
  "Passkey sign-in",
  "Faster first paint",
  "Audit export",
  "Retry on 503",
  "Dark charts",
  "Import wizard",
];
const TALK = [
  ["ada", "I have put the next two on the board."],
  ["bo", "On it. The export needs the new log endpoint."],
  ["cy", "Reviewing now; tests look fine so far."],
  ["bo", "Coverage went up with the retry cases."],
  ["ada", "Freeze is tonight, let us keep it small."],
] as const;

/** What happens at a step of the play; it repeats with other tasks. Pure. */
export function stepAt(n: number): Step {
  const round = Math.floor(n / 7);
  const task = TASKS[round % TASKS.length]!;
  const [speaker, words] = TALK[round % TALK.length]!;
  const steps: readonly Step[] = [
    { agent: "ada", action: "plan_task", params: { title: task, size: 1 + (round % 4) } },
    { agent: speaker, action: "_send_message", params: { body: words } },
    { agent: "bo", action: "build_task", params: {} },
    {
      agent: "bo",
      action: "run_tests",
      params: { coverage: Math.round((71.5 + ((round * 17) % 23) + round * 0.3) * 10) / 10 },
    },
    {
      agent: "ada",
      action: "_send_message",
      params: { body: `Please review: ${task}`, kind: "task", to: "cy" },
    },
    {
      agent: "cy",
      action: "review",
      params: { verdict: round % 5 === 3 ? "ask for changes" : "approve" },
    },
    { agent: "bo", action: "note", params: { line: `**${task}** is in, reviewed by Cy` } },
  ];
  return steps[n % steps.length]!;
}
