/** Two moments side by side: what was added, changed and removed between them, and by whom. */
import { useSignal } from "@preact/signals";
import { plural, preview } from "../format.ts";
import type { Json } from "../model.ts";
import { More, Refusal, Tag, Who } from "../parts.tsx";
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
  readonly from: number;
  readonly to: number;
  readonly changed?: readonly Change[];
  readonly added?: readonly Change[];
  readonly removed?: readonly Change[];
  readonly total: number;
  readonly next_after?: string;
}

const CHANGES_AT_ONCE = 200;

/** A page of differences after those that are known. Pure. */
export function further(known: Diff, page: Diff): Diff {
  const both = (name: "added" | "changed" | "removed"): readonly Change[] => [
    ...known[name] ?? [],
    ...page[name] ?? [],
  ];
  return { ...page, added: both("added"), changed: both("changed"), removed: both("removed") };
}

/** Asks for the difference, and lists it. */
export function Compare({ at, head }: { readonly at: number; readonly head: number }) {
  const { api } = useRoom();
  const from = useSignal(1);
  const to = useSignal(head);
  const diff = useSignal<Diff | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const compare = async (known?: Diff): Promise<void> => {
    const moments = known ?? { from: from.value, to: to.value };
    try {
      const page = await api.get<Diff>("/diff", {
        from: moments.from,
        to: moments.to,
        limit: CHANGES_AT_ONCE,
        after: known?.next_after,
      });
      diff.value = known ? further(known, page) : page;
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
      {diff.value && <Differences diff={diff.value} onMore={() => void compare(diff.value)} />}
    </section>
  );
}

function Differences({ diff, onMore }: { readonly diff: Diff; readonly onMore: () => void }) {
  const { added = [], changed = [], removed = [], total } = diff;
  const shown = added.length + changed.length + removed.length;
  if (shown === 0) {
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
        {shown < total && `${shown} of ${plural(total, "difference")}: `}
        {plural(added.length, "key")} added, {changed.length} changed, {removed.length} removed
      </p>
      <ul class="diff">
        {list.map((change) => (
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
      <More rest={total - shown} one="more difference" onMore={onMore} />
    </>
  );
}
