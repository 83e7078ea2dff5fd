/** Timeline: the room's past. Scrub to any record, play it, compare two moments, fork from one. */
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { instant, plural } from "../format.ts";
import type { Context, LogRecord } from "../model.ts";
import { Empty, IconButton, Refusal, Who } from "../parts.tsx";
import { isAdmin, useRoom } from "../room.ts";
import { Activity } from "./activity.tsx";
import { Compare } from "./compare.tsx";
import { ForkDialog } from "./fork.tsx";
import { WritesInBrief } from "./log.tsx";
import { Moment } from "./moment.tsx";

const PAGES = 10;
const SPEEDS = [1, 2, 5] as const;
const STEP_MS = 800;

/** The panel. */
export function TimelinePanel() {
  const room = useRoom();
  const { records, isRead } = useRecords();
  const head = room.store.seq.value;
  const at = useSignal<number | undefined>(undefined);
  const isForking = useSignal(false);
  const seq = Math.min(at.value ?? head, head);
  const play = usePlay(seq, head, (next) => (at.value = next));
  if (head === 0) return <Empty title="Nothing has happened here yet." />;
  return (
    <div class="scroll timeline">
      <Activity records={records} head={head} at={seq} onPick={(picked) => (at.value = picked)} />
      {isRead && <Reach first={records[0]?.seq ?? 1} />}
      <input
        type="range"
        aria-label="Record"
        min={1}
        max={head}
        value={seq}
        aria-valuetext={`record ${seq} of ${head}`}
        onInput={(event) => (at.value = Number(event.currentTarget.value))}
      />
      <div class="scrubber">
        <IconButton
          icon="back"
          label="One record back"
          onClick={() => (at.value = Math.max(1, seq - 1))}
        />
        <IconButton
          icon={play.isOn ? "pause" : "play"}
          label={play.isOn ? "Pause" : "Play"}
          onClick={play.toggle}
        />
        <IconButton
          icon="next"
          label="One record on"
          onClick={() => (at.value = Math.min(head, seq + 1))}
        />
        <label>
          <span class="sr">Speed</span>
          <select
            value={play.speed}
            onChange={(event) => play.setSpeed(Number(event.currentTarget.value))}
          >
            {SPEEDS.map((speed) => <option key={speed} value={speed}>{speed}×</option>)}
          </select>
        </label>
        {isAdmin(room) && (
          <IconButton
            icon="fork"
            label="Fork from here"
            showLabel
            onClick={() => (isForking.value = true)}
          />
        )}
        {at.value !== undefined && (
          <button type="button" class="link" onClick={() => (at.value = undefined)}>
            Back to now
          </button>
        )}
        <output class="num">{seq} of {head}</output>
      </div>
      <RecordLine record={records.find((record) => record.seq === seq)} />
      <Replay seq={seq} />
      <Compare at={seq} head={head} />
      {isForking.value && <ForkDialog at={seq} onClose={() => (isForking.value = false)} />}
    </div>
  );
}

/** Says where the drawing begins, if that is not where the room does. */
function Reach({ first }: { readonly first: number }) {
  if (first === 1) return null;
  return (
    <p class="quiet">
      The drawing begins with record {first}; the slider reaches all that are kept.
    </p>
  );
}

/** The log as far back as the drawing reaches, and live from there on. */
function useRecords(): { readonly records: readonly LogRecord[]; readonly isRead: boolean } {
  const { api, store } = useRoom();
  const [old, setOld] = useState<readonly LogRecord[]>();
  const known = store.records.value;
  const first = known[0]?.seq ?? 1;
  useEffect(() => {
    let isGone = false;
    const read = async (): Promise<void> => {
      const found: LogRecord[] = [];
      let after = Math.max(0, first - 1 - PAGES * 500);
      for (let i = 0; i < PAGES && after < first - 1 && !isGone; i++) {
        const page = await api.getPlain<{ records: LogRecord[]; next_after?: number }>("/log", {
          after,
          limit: 500,
        });
        found.push(...page.records.filter((record) => record.seq < first));
        if (page.next_after === undefined) break;
        after = page.next_after;
      }
      if (!isGone) setOld(found);
    };
    if (first > 1) read().catch(() => undefined);
    return () => {
      isGone = true;
    };
  }, [first]);
  const earlier = first > 1 ? old?.filter((record) => record.seq < first) ?? [] : [];
  return { records: [...earlier, ...known], isRead: old !== undefined };
}

function usePlay(seq: number, head: number, go: (seq: number) => void) {
  const isOn = useSignal(false);
  const speed = useSignal<number>(1);
  useEffect(() => {
    if (!isOn.value) return;
    if (seq >= head) {
      isOn.value = false;
      return;
    }
    const timer = setTimeout(() => go(seq + 1), STEP_MS / speed.value);
    return () => clearTimeout(timer);
  }, [isOn.value, seq, speed.value]);
  const toggle = (): void => {
    if (!isOn.value && seq >= head) go(1);
    isOn.value = !isOn.value;
  };
  return {
    isOn: isOn.value,
    speed: speed.value,
    toggle,
    setSpeed: (value: number) => (speed.value = value),
  };
}

function RecordLine({ record }: { readonly record: LogRecord | undefined }) {
  if (!record) return null;
  return (
    <p class="record-line">
      <span class="quiet">{instant(record.ts)}</span> <Who id={record.agent} />{" "}
      <strong>{record.action ?? record.kind}</strong>
      <WritesInBrief writes={record.writes ?? []} />
    </p>
  );
}

/** The room as it was after a record, as the service folds it. */
function Replay({ seq }: { readonly seq: number }) {
  const { api } = useRoom();
  const [context, setContext] = useState<{ seq: number; context: Context }>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const stop = new AbortController();
    const query = {
      elision: "none",
      focus_threshold: 0,
      elide_threshold: 0,
      depth: "full",
      messages_limit: 20,
    };
    const timer = setTimeout(() => {
      api.get<Context>(`/replay/${seq}`, query, stop.signal).then((found) => {
        setContext({ seq, context: found });
        setError(undefined);
      }, (failure) => {
        if (!(failure instanceof DOMException)) setError(failure);
      });
    }, 60);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [seq]);
  if (error !== undefined) return <Refusal error={error} />;
  if (!context) return <p class="quiet">Reading the past…</p>;
  return (
    <section
      aria-label="The room then"
      data-seq={context.seq}
      class={context.seq === seq ? "" : "stale"}
    >
      <h2 class="group-title">
        After record {context.seq}
        <span>
          {" · "}
          {plural(
            Object.values(context.context.state).reduce(
              (n, keys) => n + Object.keys(keys).length,
              0,
            ),
            "key",
          )}
        </span>
      </h2>
      <Moment context={context.context} seq={context.seq} />
    </section>
  );
}
