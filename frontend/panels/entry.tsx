/** One state entry in full: value, what is known of it, why it has its score, and its history. */
import { useEffect, useState } from "preact/hooks";
import { instant, number, preview } from "../format.ts";
import { Cel } from "../cel-text.tsx";
import { Dialog } from "../dialog.tsx";
import type { Context, Entry, Json, Meta } from "../model.ts";
import { Ago, CopyButton, Countdown, Fact, Refusal, Score, Who } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { Tree } from "../tree.tsx";

/** A write to the key. */
export interface HistoryEntry {
  readonly seq: number;
  readonly ts: string;
  readonly agent: string;
  readonly action: string;
  readonly op: string;
  readonly value: Json;
  readonly revision: number;
}

/** Writes to a key, oldest first, and before which record others lie. */
interface HistoryPage {
  readonly entries: readonly HistoryEntry[];
  readonly total: number;
  readonly next_before?: number;
}

const WRITES_AT_ONCE = 50;

/** A page beside what is known: older or newer, or instead of it where writes lie between. Pure. */
export function joined(known: HistoryPage | undefined, page: HistoryPage): HistoryPage {
  const [first, last] = [known?.entries[0], known?.entries.at(-1)];
  const [from, to] = [page.entries[0], page.entries.at(-1)];
  if (!known || !first || !last || !from || !to) return page;
  if (to.seq < first.seq) return { ...page, entries: [...page.entries, ...known.entries] };
  if (from.seq > last.seq && page.next_before !== undefined) return page;
  const newer = page.entries.filter(({ seq }) => seq > last.seq);
  return { ...known, total: page.total, entries: [...known.entries, ...newer] };
}

/** The dialog of the entry that is open, if one is. */
export function EntryDialog() {
  const { store, opened } = useRoom();
  const id = opened.value;
  void store.stateVersion.value;
  if (id === undefined) return null;
  const cell = store.cells.get(id);
  const [scope = "", key = ""] = id.split("\u0000");
  return (
    <Dialog title={`${scope}.${key}`} onClose={() => (opened.value = undefined)} wide>
      {cell
        ? <EntryBody key={id} scope={scope} name={key} entry={cell.entry} />
        : <p>This key is gone.</p>}
    </Dialog>
  );
}

function EntryBody(
  { scope, name, entry }: { readonly scope: string; readonly name: string; readonly entry: Entry },
) {
  const { panel, asked, opened } = useRoom();
  const { value, _meta } = entry;
  const expression = /^[A-Za-z_]\w*$/.test(name)
    ? `state.${scope}.${name}`
    : `state.${scope}[${JSON.stringify(name)}]`;
  const ask = (): void => {
    asked.value = `${expression}.value`;
    opened.value = undefined;
    panel.value = "Console";
  };
  return (
    <>
      <div class="value-box" tabIndex={0} role="group" aria-label="Value">
        <Tree value={value} open={2} />
      </div>
      <p class="row">
        <CopyButton text={JSON.stringify(value, null, 2)} label="Copy value" />
        <CopyButton text={expression} label="Copy path" />
        <button type="button" class="small" onClick={ask}>Open in console</button>
      </p>
      <EntryFacts meta={_meta} />
      <Signals scope={scope} name={name} seq={_meta.seq ?? 0} />
      <History scope={scope} name={name} seq={_meta.seq ?? 0} />
    </>
  );
}

function EntryFacts({ meta }: { readonly meta: Meta }) {
  const { timer, writers = [] } = meta;
  return (
    <dl class="facts">
      <Fact name="Written by">
        <Who id={meta.writer ?? ""} /> {meta.via && (
          <>
            by way of <code>{meta.via}</code>
          </>
        )}
      </Fact>
      <Fact name="Changed">
        <Ago at={meta.updated_at} long />{" "}
        <span class="quiet">{meta.updated_at && instant(meta.updated_at)}</span>
      </Fact>
      <Fact name="Revision">
        {meta.revision}{" "}
        <span class="quiet">
          version <code>{meta.version}</code>, record {meta.seq}
        </span>
      </Fact>
      <Fact name="Score">
        <Score value={meta.score} />
      </Fact>
      <Fact name="Velocity">
        {meta.velocity === undefined ? "–" : number(meta.velocity)}{" "}
        <span class="quiet">recent writes, halved every five minutes</span>
      </Fact>
      <Fact name="Writers" when={writers.length > 0}>
        <span class="row">{writers.map((id) => <Who key={id} id={id} />)}</span>
      </Fact>
      {timer && (
        <Fact name="Timer">
          <Countdown timer={timer} />
        </Fact>
      )}
      <Fact name="Enabled" when={meta.enabled !== undefined}>
        <Cel text={meta.enabled ?? ""} />
      </Fact>
    </dl>
  );
}

/** Why the entry has its score, for the agent that looks. */
function Signals(
  { scope, name, seq }: { readonly scope: string; readonly name: string; readonly seq: number },
) {
  const { api } = useRoom();
  const [signals, setSignals] = useState<Readonly<Record<string, number>> | null | undefined>();
  useEffect(() => {
    const query = { only: `state.${scope}`, expand: `${scope}.${name}`, explain: true, peek: true };
    api.get<Context>("/context", query).then(
      (context) => setSignals(context.state[scope]?.[name]?._meta.signals ?? null),
      () => setSignals(null),
    );
  }, [scope, name, seq]);
  if (!signals) return null;
  return (
    <section aria-label="Signals">
      <h3>Why this score</h3>
      <dl class="signals">
        {Object.entries(signals).map(([signal, value]) => (
          <div key={signal}>
            <dt>{signal}</dt>
            <dd>
              <Score value={value} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function History(
  { scope, name, seq }: { readonly scope: string; readonly name: string; readonly seq: number },
) {
  const { api } = useRoom();
  const [known, setKnown] = useState<HistoryPage>();
  const [error, setError] = useState<unknown>();
  const read = (before: number): void => {
    const path = `/history/${encodeURIComponent(scope)}/${encodeURIComponent(name)}`;
    api.get<HistoryPage>(path, { limit: WRITES_AT_ONCE, before }).then(
      (page) => setKnown((known) => joined(known, page)),
      setError,
    );
  };
  useEffect(() => read(Number.MAX_SAFE_INTEGER), [scope, name, seq]);
  if (error !== undefined) return <Refusal error={error} />;
  const { entries = [], total = 0, next_before } = known ?? {};
  return (
    <section aria-label="History">
      <h3>
        History{" "}
        <span class="quiet">
          {next_before === undefined
            ? number(total)
            : `${number(entries.length)} of ${number(total)}`}
        </span>
      </h3>
      <ol class="history">
        {[...entries].reverse().map((entry) => (
          <li key={`${entry.seq}-${entry.revision}`}>
            <span class="num quiet">{entry.seq}</span>
            <span class="op">{entry.op}</span>
            <code>
              <bdi>{preview(entry.value, 120)}</bdi>
            </code>
            <span class="meta">
              <Who id={entry.agent} /> <span class="quiet">{entry.action}</span>{" "}
              <Ago at={entry.ts} />
            </span>
          </li>
        ))}
      </ol>
      {next_before !== undefined && (
        <button
          type="button"
          class="small"
          onClick={() => read(next_before)}
        >
          Older writes
        </button>
      )}
    </section>
  );
}
