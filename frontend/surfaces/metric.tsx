/** A single value, large, with the line of its recent past. */
import { useEffect, useState } from "preact/hooks";
import { number, preview } from "../format.ts";
import type { Json, JsonObject } from "../model.ts";
import { CutText } from "../parts.tsx";
import { useRoom } from "../room.ts";

/** A value at a record. */
interface Sample {
  readonly seq: number;
  readonly value: Json;
}

const SAMPLES_SHOWN = 120;
const TEXT_AT_ONCE = 400;
const TONES: ReadonlySet<string> = new Set([
  "good",
  "warn",
  "bad",
  "info",
  "green",
  "amber",
  "yellow",
  "orange",
  "red",
  "blue",
]);

/** Characters of the longest word: it is set so that it fits on a line. Pure. */
export function longestWord(text: string): number {
  return Math.max(1, ...text.slice(0, TEXT_AT_ONCE).split(/[\s-]+/).map((word) => word.length));
}

/** A value and, for numbers, where it has been. */
export function Metric({ value, config, view }: {
  readonly value: Json;
  readonly config: JsonObject;
  readonly view: string | undefined;
}) {
  const { unit, color } = config;
  const tone = typeof color === "string" && TONES.has(color) ? `tone-${color}` : "";
  const text = typeof value === "number"
    ? number(value)
    : typeof value === "string"
    ? value
    : preview(value);
  const isLong = typeof value === "string" && value.length > 18;
  return (
    <>
      <p
        class={`metric-value ${tone}${isLong ? " long" : ""}`}
        style={{ "--word": longestWord(text) }}
      >
        <CutText text={text} max={TEXT_AT_ONCE} />
        {typeof unit === "string" && <span class="unit">{unit}</span>}
      </p>
      {typeof value === "number" && view !== undefined && <Past view={view} value={value} />}
    </>
  );
}

/** The samples that the service kept of a view, and what came since. */
function Past({ view, value }: { readonly view: string; readonly value: number }) {
  const { api, store } = useRoom();
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  useEffect(() => {
    const path = `/samples/${encodeURIComponent(view)}`;
    api.get<{ samples: Sample[] }>(path).then(
      (reply) => setSamples((now) => [...reply.samples, ...now]),
      () => undefined,
    );
  }, [view]);
  useEffect(() => {
    const seq = store.seq.peek();
    setSamples((now) => now.at(-1)?.value === value ? now : [...now, { seq, value }].slice(-1_000));
  }, [value]);
  const numbers = samples.map((sample) => sample.value).filter((item) => typeof item === "number");
  return numbers.length < 2 ? null : (
    <Sparkline
      values={numbers.slice(-SAMPLES_SHOWN)}
      label={`${view}, its last ${numbers.length} values`}
    />
  );
}

const WIDTH = 160, HEIGHT = 32;

/** The points of a line through values, in the drawing's own units. Pure. */
export function linePoints(values: readonly number[], width: number, height: number): string {
  const low = Math.min(...values), high = Math.max(...values);
  const range = high - low || 1;
  return values.map((value, i) => {
    const x = values.length === 1 ? width : (i / (values.length - 1)) * width;
    return `${x.toFixed(1)},${(height - 2 - ((value - low) / range) * (height - 4)).toFixed(1)}`;
  }).join(" ");
}

/** A line without axes; its words say the range. */
export function Sparkline(
  { values, label }: { readonly values: readonly number[]; readonly label: string },
) {
  const words = `${label}: from ${number(Math.min(...values))} to ${number(Math.max(...values))}`;
  const points = linePoints(values, WIDTH, HEIGHT);
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={words}
    >
      <polygon class="area" points={`0,${HEIGHT} ${points} ${WIDTH},${HEIGHT}`} />
      <polyline points={points} />
    </svg>
  );
}
