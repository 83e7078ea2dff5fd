/** Small parts that every panel uses: names, times, scores, notes, refusals. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { inWords, Refused } from "./api.ts";
import { now } from "./clock.ts";
import { ago, hue, instant, number, plural, preview, short, span } from "./format.ts";
import { Icon, type IconName } from "./icons.tsx";
import type { Json, Timer } from "./model.ts";

/** Who did it: a coloured initial and the name. */
export function Who({ id }: { readonly id: string }) {
  if (id === "") return <span class="quiet">nobody</span>;
  return (
    <span class="who">
      <span class={`dot hue-${hue(id)}`} aria-hidden="true" />
      <bdi>{id}</bdi>
    </span>
  );
}

/** How long ago, with the instant in full as its title; `long` in a sentence. */
export function Ago(
  { at, long = false }: { readonly at: string | undefined | null; readonly long?: boolean },
) {
  if (!at) return <span class="quiet">–</span>;
  const words = ago(now.value - Date.parse(at));
  return (
    <time dateTime={at} title={instant(at)}>
      {long && words !== "now" ? `${words} ago` : words}
    </time>
  );
}

/** What is left of a timer. */
export function Countdown({ timer }: { readonly timer: Timer }) {
  const verb = timer.effect === "delete" ? "ends" : "starts";
  if (timer.due_at !== undefined) {
    const left = Date.parse(timer.due_at) - now.value;
    return (
      <span
        class={left < 10_000 ? "timer soon" : "timer"}
        title={`${verb} ${instant(timer.due_at)}`}
      >
        <Icon name="timer" size={12} />
        <span class="sr">{verb} in</span>
        {span(left)}
      </span>
    );
  }
  if (timer.ticks_left === undefined) return <span class="timer">resting</span>;
  return (
    <span
      class="timer"
      title={`${verb} after ${timer.ticks_left} more writes to ${timer.tick_on ?? ""}`}
    >
      <Icon name="timer" size={12} />
      <span class="sr">{verb} after</span>
      {timer.ticks_left} ticks
    </span>
  );
}

/** A score between 0 and 1 as a bar and two digits. */
export function Score({ value }: { readonly value: number }) {
  const tier = value >= 0.5 ? "focus" : value >= 0.1 ? "peripheral" : "elided";
  return (
    <span class={`score ${tier}`} title={`${tier}, ${value}`}>
      <svg width="28" height="6" viewBox="0 0 28 6" aria-hidden="true">
        <rect width="28" height="6" rx="3" class="track" />
        <rect width={Math.max(2, Math.min(1, value) * 28)} height="6" rx="3" class="fill" />
      </svg>
      {short(value)}
    </span>
  );
}

/** A word in a quiet box. */
export function Tag(
  { children, tone = "" }: { readonly children: ComponentChildren; readonly tone?: string },
) {
  return <span class={`tag ${tone}`}>{children}</span>;
}

/** A line of a list of facts; nothing when it is not so. */
export function Fact({ name, when = true, children }: {
  readonly name: string;
  readonly when?: boolean;
  readonly children: ComponentChildren;
}) {
  if (!when) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

/** A panel with nothing in it says why, and what would change that. */
export function Empty(
  { title, children }: { readonly title: string; readonly children?: ComponentChildren },
) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

interface WhyPart {
  readonly expression?: string;
  readonly operands?: readonly {
    path: string;
    value?: Json;
    missing?: boolean;
    hidden?: boolean;
    writer?: string;
  }[];
  readonly could_change?: readonly string[];
}

/** What an operand of a shut gate is, in words. */
function operandWords(operand: NonNullable<WhyPart["operands"]>[number]): string {
  if (operand.hidden) return `${operand.path} is private`;
  if (operand.missing) return `${operand.path} does not exist`;
  const by = operand.writer ? `, written by ${operand.writer}` : "";
  return `${operand.path} is ${preview(operand.value ?? null, 80)}${by}`;
}

/** Why a gate is shut, part by part. */
export function Why({ parts }: { readonly parts: readonly WhyPart[] }) {
  if (parts.length === 0) return null;
  return (
    <ul class="why">
      {parts.map((part, i) => (
        <li key={i}>
          <code>{part.expression}</code> is not true
          {part.operands && part.operands.length > 0 && (
            <>: {part.operands.map(operandWords).join("; ")}</>
          )}.
          {part.could_change && part.could_change.length > 0 && (
            <span class="quiet after">Could change by: {part.could_change.join(", ")}.</span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** A refusal in words: what failed, why, what to do, and the way to more rights where there is one. */
export function Refusal({ error }: { readonly error: unknown }) {
  const facts = error instanceof Refused ? error.facts : {};
  const why = Array.isArray(facts["why"]) ? facts["why"] as unknown as WhyPart[] : [];
  const elevate = typeof facts["elevate"] === "string" ? facts["elevate"] : undefined;
  const corrected = typeof facts["corrected"] === "string" ? facts["corrected"] : undefined;
  const detail = typeof facts["detail"] === "string" ? facts["detail"] : undefined;
  return (
    <div class="refusal" role="alert">
      <p>
        {error instanceof Refused && error.code !== "" && <Tag tone="bad">{error.code}</Tag>}{" "}
        {inWords(error)}
      </p>
      {detail !== undefined && !inWords(error).includes(detail) && <p>{detail}</p>}
      <Why parts={why} />
      {error instanceof Refused && error.hint !== undefined && <p class="quiet">{error.hint}</p>}
      {corrected !== undefined && (
        <p>
          Corrected: <code>{corrected}</code>
        </p>
      )}
      {elevate !== undefined && (
        <p>
          <a href={elevate} target="_blank" rel="noopener">Ask for more access</a>, then try again
          here.
        </p>
      )}
    </div>
  );
}

/** What a cut list leaves out, in a word, with the way to more of it. */
export function More({ rest, one, many, onMore }: {
  readonly rest: number;
  /** As in "more row"; `many` where its plural is another one. */
  readonly one: string;
  readonly many?: string;
  readonly onMore?: () => void;
}) {
  if (rest <= 0) return null;
  const words = plural(rest, one, many);
  return onMore
    ? <button type="button" class="link" onClick={onMore}>{words}</button>
    : <p class="quiet">{words}</p>;
}

/** A text, cut where it is long until all of it is asked for. */
export function CutText({ text, max }: { readonly text: string; readonly max: number }) {
  const [isWhole, setWhole] = useState(false);
  if (isWhole || text.length <= max) return <bdi>{text}</bdi>;
  return (
    <>
      <bdi>{text.slice(0, max)}</bdi>
      <button type="button" class="link" onClick={() => setWhole(true)}>
        … all {number(text.length)} characters
      </button>
    </>
  );
}

/** A button with an icon and words. */
export function IconButton(props: {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: () => void;
  readonly showLabel?: boolean;
  readonly disabled?: boolean;
  readonly pressed?: boolean;
}) {
  const { icon, label, onClick, showLabel = false, disabled = false, pressed } = props;
  return (
    <button
      type="button"
      class="icon-button"
      onClick={onClick}
      disabled={disabled}
      {...(showLabel ? {} : { "aria-label": label, title: label })}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
    >
      <Icon name={icon} />
      {showLabel && <span>{label}</span>}
    </button>
  );
}

/** Copies a text, and says so. */
export function CopyButton(
  { text, label = "Copy" }: { readonly text: string; readonly label?: string },
) {
  const [said, say] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      // Without the permission the text stays there to be selected by hand.
      say("Select and copy it by hand");
    }
    setTimeout(() => say(""), 2_500);
  };
  return (
    <button type="button" class="small" onClick={() => void copy()}>
      <Icon name="copy" size={14} />
      <span aria-live="polite">{said === "" ? label : said}</span>
    </button>
  );
}
