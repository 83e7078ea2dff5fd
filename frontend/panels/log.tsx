/** Log: the room's records as they come, filtered and opened, and the invocations that were refused. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { clock, instant, plural, preview } from "../format.ts";
import type { Json, LogRecord, Poll, Refusal as RefusalEntry, Write } from "../model.ts";
import { Empty, More, Tag, Who, Why } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { Tree } from "../tree.tsx";
import { Actor } from "./actor.tsx";
import { Verdict } from "./verdict.tsx";

const SHOWN = 200;
const REFUSALS_EVERY_MS = 4_000;

/** The panel. */
export function LogPanel() {
  const { store, api } = useRoom();
  const filter = useSignal("");
  const kind = useSignal("");
  const count = useSignal(SHOWN);
  const isWhole = useSignal(false);
  useRefusals();
  const records = store.records.value;
  const kinds = [...new Set(records.map((record) => record.kind))].sort();
  const fitting = records.filter((record) =>
    (kind.value === "" || record.kind === kind.value) && fits(record, filter.value)
  );
  const first = records[0]?.seq ?? 1;
  const older = async (): Promise<void> => {
    count.value += SHOWN;
    if (fitting.length >= count.value || first === 1 || isWhole.value) return;
    const page = await api.getPlain<{ records: LogRecord[] }>("/log", {
      after: Math.max(0, first - 501),
      limit: Math.min(500, first - 1),
    });
    const before = store.records.peek().length;
    store.addOlderRecords(page.records);
    isWhole.value = store.records.peek().length === before;
  };
  return (
    <>
      <div class="toolbar">
        <label class="grow">
          <span class="sr">Filter the log</span>
          <input
            type="search"
            placeholder="Filter by agent, action, scope.key"
            value={filter.value}
            onInput={(event) => (filter.value = event.currentTarget.value)}
          />
        </label>
        <label>
          <span class="label">Kind</span>
          <select value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
            <option value="">all</option>
            {kinds.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <span class="quiet count" role="status">
          {plural(Math.min(fitting.length, count.value), "record")} of {store.seq.value}
        </span>
      </div>
      <div class="scroll">
        <Refusals refusals={store.refusals.value} />
        {fitting.length === 0 && <Empty title="No record fits the filter." />}
        <ol class="log" aria-label="Records, newest first">
          {fitting.slice(-count.value).reverse().map((record) => (
            <RecordRow key={record.seq} record={record} />
          ))}
        </ol>
        {(fitting.length > count.value || (first > 1 && !isWhole.value)) && (
          <p class="row">
            <button type="button" class="small" onClick={() => void older()}>Older records</button>
          </p>
        )}
      </div>
    </>
  );
}

/** Refusals are no records, so nothing tells of them: they are asked for while the panel is open. */
function useRefusals(): void {
  const { api, store } = useRoom();
  useEffect(() => {
    const ask = async (): Promise<void> => {
      if (document.hidden || store.link.peek() !== "live") return;
      const poll = await api.get<Poll>("/poll", { only: "agents", since: store.seq.peek() });
      store.refusals.value = poll.refusals;
      store.waits.value = poll.waits;
    };
    const timer = setInterval(() => void ask().catch(() => undefined), REFUSALS_EVERY_MS);
    void ask().catch(() => undefined);
    return () => clearInterval(timer);
  }, []);
}

function fits(record: LogRecord, filter: string): boolean {
  if (filter === "") return true;
  const places = (record.writes ?? []).map((write) => `${write.scope}.${write.key}`).join(" ");
  const text = `${record.seq} ${record.kind} ${record.agent} ${record.action ?? ""} ${places}`
    .toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function RecordRow({ record }: { readonly record: LogRecord }) {
  const isOpen = useSignal(false);
  return (
    <li class="item">
      <details open={isOpen.value} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <span class="num quiet seq">{record.seq}</span>
          <time class="quiet" dateTime={record.ts} title={instant(record.ts)}>
            {clock(record.ts)}
          </time>
          <Who id={record.agent} />
          <span class="item-name">{record.action ?? record.kind}</span>
          <span class="grow ellipsis quiet">
            <WritesInBrief writes={record.writes ?? []} />
          </span>
        </summary>
        {isOpen.value && (
          <>
            <RecordBody record={record} />
            <Verdict subject={record.seq} />
          </>
        )}
      </details>
    </li>
  );
}

/** What a record wrote, in one line. */
export function WritesInBrief({ writes }: { readonly writes: readonly Write[] }) {
  const open = writes.filter((write) => write.hidden === undefined);
  const hidden = writes.length - open.length;
  return (
    <>
      {open.slice(0, 3).map((write, i) => (
        <span key={i} class="spaced">
          <code>
            <bdi>{write.scope}.{write.key}</bdi>
          </code>{" "}
          <bdi>{effectOf(write)}</bdi>
        </span>
      ))}
      {open.length > 3 && ` and ${open.length - 3} more`}
      {hidden > 0 && <Tag>{hidden} private</Tag>}
    </>
  );
}

/** What a write did, in a few words. Pure. */
export function effectOf({ scope, op, value = null, timer }: Write): string {
  switch (op) {
    case "delete":
      return "deleted";
    case "expire":
      return "ran out";
    case "enable":
      return "began";
    case "renew":
      return "renewed";
    case "cooldown":
      return timer ? "rests" : "has rested";
    case "append":
      return `+ ${preview(value, 60)}`;
    case "merge":
      return `merged ${preview(value, 60)}`;
    default:
      return `= ${preview(scope === "_messages" ? bodyOf(value) : value, 60)}`;
  }
}

function bodyOf(value: Json): Json {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    ? value["body"] ?? value
    : value;
}

/** A record in full. */
export function RecordBody({ record }: { readonly record: LogRecord }) {
  const { params, result, seen, writes = [] } = record;
  return (
    <div class="item-body">
      <dl class="facts">
        <dt>When</dt>
        <dd>{instant(record.ts)}</dd>
        <dt>Actor</dt>
        <dd>
          <Actor did={record.actor} />
          {record.on_behalf && (
            <>
              on behalf of <Actor did={record.on_behalf} />
            </>
          )}
        </dd>
        {params !== undefined && (
          <>
            <dt>Parameters</dt>
            <dd>
              <Tree value={params} />
            </dd>
          </>
        )}
        {writes.length > 0 && (
          <>
            <dt>Writes</dt>
            <dd>
              <ul class="writes">
                {writes.map((write, i) => (
                  <li key={i}>
                    {write.hidden === undefined
                      ? (
                        <>
                          <code>{write.op} {write.scope}.{write.key}</code>{" "}
                          <Tree value={write.value ?? null} open={0} />
                        </>
                      )
                      : <Tag>private</Tag>}
                  </li>
                ))}
              </ul>
            </dd>
          </>
        )}
        {result !== undefined && (
          <>
            <dt>Result</dt>
            <dd>
              <Tree value={result} />
            </dd>
          </>
        )}
        {seen !== undefined && (
          <>
            <dt>Seen by its gates</dt>
            <dd>
              <Tree value={seen} open={0} />
            </dd>
          </>
        )}
        <dt>Hash</dt>
        <dd>
          <code class="did">{record.hash}</code>
        </dd>
      </dl>
    </div>
  );
}

function Refusals({ refusals }: { readonly refusals: readonly RefusalEntry[] }) {
  const shown = useSignal(SHOWN);
  if (refusals.length === 0) return null;
  return (
    <details class="section refusals">
      <summary>Refused ({refusals.length})</summary>
      <ul class="log">
        {refusals.slice(0, shown.value).map((refusal, i) => (
          <li key={`${refusal.ts}-${i}`} class="item refused">
            <p class="line">
              <time class="quiet" dateTime={refusal.ts} title={instant(refusal.ts)}>
                {clock(refusal.ts)}
              </time>
              <Who id={refusal.agent} />
              <span class="item-name">{refusal.action}</span>
              <Tag tone="bad">{String(refusal.error["error"])}</Tag>
              <span class="grow">{String(refusal.error["message"] ?? "")}</span>
            </p>
            {Array.isArray(refusal.error["why"]) && (
              <Why parts={refusal.error["why"] as unknown as Parameters<typeof Why>[0]["parts"]} />
            )}
          </li>
        ))}
      </ul>
      <More
        rest={refusals.length - shown.value}
        one="more refusal"
        onMore={() => (shown.value += SHOWN)}
      />
    </details>
  );
}
