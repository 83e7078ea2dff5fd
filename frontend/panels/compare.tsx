/** Two moments side by side: what was added, changed and removed between them, and by whom. */
import { useSignal } from "@preact/signals";
import { plural, preview } from "../format.ts";
import type { Json } from "../model.ts";
import { Refusal, Tag, Who } from "../parts.tsx";
import { useRoom } from "../room.ts";

interface Change {
  readonly scope: string;
  readonly key: string;
  readonly before?: Json;
  readonly after?: Json;
  readonly by?: string;
  readonly via?: string;
  readonly seq?: number;
}

interface Diff {
  readonly changed?: readonly Change[];
  readonly added?: readonly Change[];
  readonly removed?: readonly Change[];
}

/** Asks for the difference, and lists it. */
export function Compare({ at, head }: { readonly at: number; readonly head: number }) {
  const { api } = useRoom();
  const from = useSignal(1);
  const to = useSignal(head);
  const diff = useSignal<Diff | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const compare = async (): Promise<void> => {
    try {
      diff.value = await api.get<Diff>("/diff", { from: from.value, to: to.value });
      error.value = undefined;
    } catch (failure) {
      error.value = failure;
    }
  };
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    void compare();
  };
  return (
    <section aria-label="Compare">
      <h2 class="group-title">Compare two moments</h2>
      <form class="row" onSubmit={onSubmit}>
        <label>
          <span class="label">From</span>
          <input
            type="number"
            min={0}
            max={head}
            value={from.value}
            onInput={(event) => (from.value = Number(event.currentTarget.value))}
          />
        </label>
        <button type="button" class="small" onClick={() => (from.value = at)}>here</button>
        <label>
          <span class="label">To</span>
          <input
            type="number"
            min={0}
            max={head}
            value={to.value}
            onInput={(event) => (to.value = Number(event.currentTarget.value))}
          />
        </label>
        <button type="button" class="small" onClick={() => (to.value = at)}>here</button>
        <button type="submit">Compare</button>
      </form>
      {error.value !== undefined && <Refusal error={error.value} />}
      {diff.value && <Differences diff={diff.value} />}
    </section>
  );
}

function Differences({ diff }: { readonly diff: Diff }) {
  const { added = [], changed = [], removed = [] } = diff;
  if (added.length + changed.length + removed.length === 0) {
    return <p class="quiet">Nothing that you may read differs.</p>;
  }
  const list = [
    ...added.map((change) => ({ ...change, word: "added", tone: "good" })),
    ...changed.map((change) => ({ ...change, word: "changed", tone: "info" })),
    ...removed.map((change) => ({ ...change, word: "removed", tone: "bad" })),
  ];
  return (
    <>
      <p class="quiet" role="status">
        {plural(added.length, "key")} added, {changed.length} changed, {removed.length} removed
      </p>
      <ul class="diff">
        {list.slice(0, 200).map((change) => (
          <li key={`${change.scope}.${change.key}`}>
            <Tag tone={change.tone}>{change.word}</Tag>
            <code>
              <bdi>{change.scope}.{change.key}</bdi>
            </code>
            {change.before !== undefined && (
              <del>
                <bdi>{preview(change.before, 80)}</bdi>
              </del>
            )}
            {change.after !== undefined && (
              <ins>
                <bdi>{preview(change.after, 80)}</bdi>
              </ins>
            )}
            {change.by !== undefined && <Who id={change.by} />}
          </li>
        ))}
      </ul>
    </>
  );
}
