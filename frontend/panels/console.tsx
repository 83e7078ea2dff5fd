/** Console: evaluate an expression with one's own eyes, see what it read and why it is false. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { CelInput } from "../cel-input.tsx";
import { Cel } from "../cel-text.tsx";
import type { Json, JsonObject } from "../model.ts";
import { CopyButton, Empty, Refusal, Tag, Why } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { keep, recall } from "../session.ts";
import { Tree } from "../tree.tsx";

type WhyParts = Parameters<typeof Why>[0]["parts"];

interface Answer {
  readonly id: number;
  readonly expr: string;
  readonly value?: Json;
  readonly type?: string;
  readonly reads?: readonly string[];
  readonly explain?: WhyParts;
  readonly error?: unknown;
  readonly took: number;
}

const KEPT = 30;
let count = 0;

/** The panel. */
export function ConsolePanel() {
  const { api, asked } = useRoom();
  const text = useSignal("");
  const answers = useSignal<readonly Answer[]>([]);
  const history = useSignal<readonly string[]>(recalled(api.room));
  const at = useSignal(-1);
  useEffect(() => {
    if (asked.value === undefined) return;
    text.value = asked.value;
    asked.value = undefined;
    void run();
  }, [asked.value]);
  const run = async (): Promise<void> => {
    const expr = text.value.trim();
    if (expr === "") return;
    const kept = [expr, ...history.value.filter((other) => other !== expr)].slice(0, KEPT);
    history.value = kept;
    keep(`console:${api.room}`, JSON.stringify(kept));
    at.value = -1;
    const started = performance.now();
    const agent = api.agent === undefined ? {} : { agent: api.agent };
    const end = (answer: Partial<Answer>): void => {
      const took = performance.now() - started;
      answers.value = [{ id: count++, expr, took, ...answer }, ...answers.value].slice(0, KEPT);
    };
    try {
      end(
        await api.post<Partial<Answer>>("/eval", { expr, explain: true, ...agent } as JsonObject),
      );
    } catch (error) {
      end({ error });
    }
  };
  const onHistory = (step: -1 | 1): void => {
    const next = Math.max(-1, Math.min(history.value.length - 1, at.value - step));
    at.value = next;
    text.value = history.value[next] ?? "";
  };
  return (
    <>
      <div class="console-box">
        <CelInput
          value={text.value}
          onInput={(value) => (text.value = value)}
          onSubmit={() => void run()}
          onHistory={onHistory}
        />
        <div class="row">
          <button type="button" class="primary" onClick={() => void run()}>Evaluate</button>
          <span class="quiet">
            Enter evaluates, Shift+Enter breaks the line, Tab completes, ↑ and ↓ go through what you
            asked before.
          </span>
        </div>
      </div>
      <div class="scroll">
        {answers.value.length === 0 && (
          <Examples onTake={(expr) => ((text.value = expr), void run())} />
        )}
        <ol class="answers" aria-label="Answers, newest first" aria-live="polite">
          {answers.value.map((answer) => <AnswerItem key={answer.id} answer={answer} />)}
        </ol>
      </div>
    </>
  );
}

function recalled(room: string): readonly string[] {
  try {
    return JSON.parse(recall(`console:${room}`) ?? "[]") as string[];
  } catch {
    // What is not ours to read is no history.
    return [];
  }
}

function AnswerItem({ answer }: { readonly answer: Answer }) {
  const { expr, value, type, reads, explain, error, took } = answer;
  return (
    <li class="answer">
      <div class="row">
        <Cel text={expr} />
        <span class="quiet num">{took.toFixed(0)} ms</span>
      </div>
      {error !== undefined ? <Refusal error={error} /> : (
        <>
          <div class="value-box" tabIndex={0} role="group" aria-label="Value">
            <Tree value={value ?? null} open={2} />
          </div>
          <p class="row quiet">
            <Tag>{type}</Tag>
            {reads && reads.length > 0 && (
              <span>
                reads {reads.map((path) => <code key={path} class="spaced">{path}</code>)}
              </span>
            )}
            <CopyButton text={JSON.stringify(value ?? null, null, 2)} />
          </p>
          {type === "bool" && value === false && explain && <Why parts={explain} />}
        </>
      )}
    </li>
  );
}

function Examples({ onTake }: { readonly onTake: (expr: string) => void }) {
  const examples = [
    "state._shared.keys()",
    "top_n(state._shared, 5)",
    "agents.keys().filter(a, agents[a].value.status == 'waiting')",
    "messages.unclaimed > 0",
  ];
  return (
    <Empty title="Ask the room anything, in CEL.">
      <ul class="examples">
        {examples.map((expr) => (
          <li key={expr}>
            <button type="button" class="link" onClick={() => onTake(expr)}>
              <Cel text={expr} />
            </button>
          </li>
        ))}
      </ul>
    </Empty>
  );
}
