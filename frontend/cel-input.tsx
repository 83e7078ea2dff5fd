/** A text box for CEL: the colours lie under a transparent native textarea, so undo, IME and readers work. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Pieces } from "./cel-text.tsx";
import { type Completion, completionsFor, pathBefore } from "./complete.ts";
import { useRoom } from "./room.ts";

interface CelInputProps {
  readonly value: string;
  readonly onInput: (text: string) => void;
  readonly onSubmit: () => void;
  /** Up and down at the ends of the text: earlier and later expressions. */
  readonly onHistory: (step: -1 | 1) => void;
}

/** The box. Enter evaluates, Shift+Enter breaks the line, Tab takes a completion when some are shown. */
export function CelInput({ value, onInput, onSubmit, onHistory }: CelInputProps) {
  const { store } = useRoom();
  const box = useRef<HTMLTextAreaElement>(null);
  const options = useSignal<readonly Completion[]>([]);
  const chosen = useSignal(0);
  const isOpen = options.value.length > 0;
  const suggest = (): void => {
    const element = box.current!;
    const isAtEnd = element.selectionStart === element.selectionEnd;
    options.value = isAtEnd
      ? completionsFor(store, element.value.slice(0, element.selectionStart))
      : [];
    chosen.value = 0;
  };
  const take = (option: Completion): void => {
    const element = box.current!;
    const at = element.selectionStart;
    const { start } = pathBefore(element.value.slice(0, at));
    element.setRangeText(option.insert, start, at, "end");
    onInput(element.value);
    options.value = [];
    element.focus();
    if (!/[()]$/.test(option.insert)) suggest();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (isOpen && step !== 0) {
      event.preventDefault();
      chosen.value = (chosen.value + step + options.value.length) % options.value.length;
    } else if (isOpen && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      take(options.value[chosen.value]!);
    } else if (isOpen && event.key === "Escape") {
      event.preventDefault();
      options.value = [];
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      options.value = [];
      onSubmit();
    } else if (step !== 0 && !value.includes("\n")) {
      event.preventDefault();
      onHistory(step);
    }
  };
  return (
    <div class="cel-input">
      <pre aria-hidden="true"><Pieces source={`${value}\n`} /></pre>
      <textarea
        ref={box}
        aria-label="Expression"
        aria-autocomplete="list"
        aria-controls="completions"
        aria-activedescendant={isOpen ? `completion-${chosen.value}` : undefined}
        rows={Math.min(8, value.split("\n").length + 1)}
        spellcheck={false}
        autocapitalize="none"
        value={value}
        placeholder="state._shared.phase.value"
        onInput={(event) => {
          onInput(event.currentTarget.value);
          suggest();
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setTimeout(() => (options.value = []), 150)}
      />
      <Options options={options.value} chosen={chosen.value} onTake={take} />
    </div>
  );
}

function Options({ options, chosen, onTake }: {
  readonly options: readonly Completion[];
  readonly chosen: number;
  readonly onTake: (option: Completion) => void;
}) {
  return (
    <ul id="completions" role="listbox" aria-label="Completions" hidden={options.length === 0}>
      {options.map((option, i) => (
        <li
          key={option.insert}
          id={`completion-${i}`}
          role="option"
          aria-selected={i === chosen}
          onPointerDown={(event) => {
            event.preventDefault();
            onTake(option);
          }}
        >
          <code>{option.insert}</code> <span class="quiet">{option.note}</span>
        </li>
      ))}
    </ul>
  );
}
