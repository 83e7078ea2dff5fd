/** One state entry in full: value, what is known of it, why it has its score, and its history. */
import { useEffect, useState } from "preact/hooks";
import { instant, number, preview } from "../format.ts";
import { Dialog } from "../dialog.tsx";
import type { Context, Entry, Json } from "../model.ts";
import { Ago, CopyButton, Countdown, Refusal, Score, Who } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { Tree } from "../tree.tsx";

interface HistoryEntry {
  readonly seq: number;
  readonly ts: string;
  readonly agent: string;
  readonly action: string;
  readonly op: string;
  readonly value: Json;
  readonly revision: number;
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
      {cell ? <EntryBody scope={scope} name={key} entry={cell.entry} /> : <p>This key is gone.</p>}
    </Dialog>
  );
}

function EntryBody({ scope, name, entry }: { readonly scope: string; readonly name: string; readonly entry: Entry }) {
  const { panel, asked, opened } = useRoom();
  const { value, _meta } = entry;
  const expression = /^[A-Za-z_]\w*$/.test(name) ? `state.${scope}.${name}` : `state.${scope}[${JSON.stringify(name)}]`;
  const ask = (): void => {
    asked.value = `${expression}.value`;
    opened.value = undefined;
    panel.value = "Console";
  };
  return (
    <>
      <div class="value-box"><Tree value={value} open={2} /></div>
      <p class="row">
        <CopyButton text={JSON.stringify(value, null, 2)} label="Copy value" />
        <CopyButton text={expression} label="Copy path" />
        <button type="button" class="small" onClick={ask}>Open in console</button>
      </p>
      <dl class="facts">
        <dt>Written by</dt>
        <dd><Who id={_meta.writer ?? ""} /> {_meta.via && <>by way of <code>{_meta.via}</code></>}</dd>
        <dt>Changed</dt>
        <dd><Ago at={_meta.updated_at} /> ago <span class="quiet">{_meta.updated_at && instant(_meta.updated_at)}</span></dd>
        <dt>Revision</dt>
        <dd>{_meta.revision} <span class="quiet">version <code>{_meta.version}</code>, record {_meta.seq}</span></dd>
        <dt>Score</dt>
        <dd><Score value={_meta.score} /></dd>
        <dt>Velocity</dt>
        <dd>{_meta.velocity === undefined ? "–" : number(_meta.velocity)} <span class="quiet">recent writes, halved every five minutes</span></dd>
        {_meta.writers && <><dt>Writers</dt><dd class="row">{_meta.writers.map((id) => <Who key={id} id={id} />)}</dd></>}
        {_meta.timer && <><dt>Timer</dt><dd><Countdown timer={_meta.timer} /></dd></>}
        {_meta.enabled !== undefined && <><dt>Enabled</dt><dd><code>{_meta.enabled}</code></dd></>}
      </dl>
      <Signals scope={scope} name={name} seq={_meta.seq ?? 0} />
      <History scope={scope} name={name} seq={_meta.seq ?? 0} />
    </>
  );
}

/** Why the entry has its score, for the agent that looks. */
function Signals({ scope, name, seq }: { readonly scope: string; readonly name: string; readonly seq: number }) {
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
            <dd><Score value={value} /></dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function History({ scope, name, seq }: { readonly scope: string; readonly name: string; readonly seq: number }) {
  const { api } = useRoom();
  const [entries, setEntries] = useState<readonly HistoryEntry[]>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const path = `/history/${encodeURIComponent(scope)}/${encodeURIComponent(name)}`;
    api.get<{ entries: HistoryEntry[] }>(path, { limit: 200 }).then((page) => setEntries(page.entries), setError);
  }, [scope, name, seq]);
  if (error !== undefined) return <Refusal error={error} />;
  return (
    <section aria-label="History">
      <h3>History</h3>
      <ol class="history">
        {[...entries ?? []].reverse().slice(0, 50).map((entry) => (
          <li key={`${entry.seq}-${entry.revision}`}>
            <span class="num quiet">{entry.seq}</span>
            <span class="op">{entry.op}</span>
            <code><bdi>{preview(entry.value, 120)}</bdi></code>
            <span class="meta"><Who id={entry.agent} /> <span class="quiet">{entry.action}</span> <Ago at={entry.ts} /></span>
          </li>
        ))}
      </ol>
    </section>
  );
}

