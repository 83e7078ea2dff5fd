/** A moment of the past: its state, views and agents side by side; what the record wrote stands out. */
import { useSignal } from "@preact/signals";
import { preview } from "../format.ts";
import type { Context, Entry } from "../model.ts";
import { More, Who } from "../parts.tsx";

const SHOWN = 300;

/** What was there. */
export function Moment({ context, seq }: { readonly context: Context; readonly seq: number }) {
  const entries = Object.entries(context.state).flatMap(([scope, keys]) =>
    Object.entries(keys).map(([key, entry]): [string, Entry] => [`${scope}.${key}`, entry])
  );
  const views = Object.entries(context.views).map(([id, view]): [string, Entry] => [id, view]);
  const agents = Object.entries(context.agents);
  return (
    <div class="moment">
      <Pairs title="State then" pairs={entries} seq={seq} />
      <Pairs title="Views then" pairs={views} seq={0} />
      <div>
        <h3>Agents then</h3>
        {agents.length === 0 && <p class="quiet">nobody</p>}
        <ul class="plain" tabIndex={0} aria-label="Agents then">
          {agents.map(([id, { value }]) => (
            <li key={id}>
              <Who id={id} /> <span class="quiet">{value.role}</span>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function Pairs(
  { title, pairs, seq }: {
    readonly title: string;
    readonly pairs: readonly [string, Entry][];
    readonly seq: number;
  },
) {
  const shown = useSignal(SHOWN);
  return (
    <div>
      <h3>{title}</h3>
      {pairs.length === 0 && <p class="quiet">nothing</p>}
      <dl class="pairs-list" tabIndex={0} aria-label={title}>
        {pairs.slice(0, shown.value).map(([name, entry]) => (
          <div key={name} class={entry._meta.seq === seq ? "touched" : ""}>
            <dt>
              <bdi>{name}</bdi>
            </dt>
            <dd>
              <code>
                <bdi>{preview(entry.value, 120)}</bdi>
              </code>
            </dd>
          </div>
        ))}
      </dl>
      <More
        rest={pairs.length - shown.value}
        one="more entry"
        many="more entries"
        onMore={() => (shown.value += SHOWN)}
      />
    </div>
  );
}
