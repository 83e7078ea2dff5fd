/** State: every readable entry in a table that holds 10 000 keys, filtered, sorted and live. */
import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { plural, preview, short } from "../format.ts";
import { Icon } from "../icons.tsx";
import { Ago, Countdown, Empty, Score, Who } from "../parts.tsx";
import { useRoom } from "../room.ts";
import type { Cell, RoomStore } from "../store.ts";
import { scrollFor, stretchOf } from "../window.ts";
import { isPrivate, orderOf, type Sort, SORTS } from "./state-order.ts";

const ROW = 30;
const RESORT_MS = 250;

/** The panel. */
export function StatePanel() {
  const { store } = useRoom();
  const filter = useSignal("");
  const scope = useSignal("");
  const sort = useSignal<Sort>("key");
  const isHeld = useSignal(false);
  const order = useOrder(store, filter.value, scope.value, sort.value, isHeld.value);
  return (
    <>
      <div class="toolbar">
        <label class="grow">
          <span class="sr">Filter by key, value or writer</span>
          <input
            type="search"
            placeholder="Filter by key, value or writer"
            value={filter.value}
            onInput={(event) => (filter.value = event.currentTarget.value)}
          />
        </label>
        <label>
          <span class="label">Scope</span>
          <select
            value={scope.value}
            onChange={(event) => (scope.value = event.currentTarget.value)}
          >
            <option value="">all</option>
            {store.scopes.value.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <label>
          <span class="label">Sort by</span>
          <select
            value={sort.value}
            onChange={(event) => (sort.value = event.currentTarget.value as Sort)}
          >
            {SORTS.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <span class="quiet count" role="status">
          {plural(order.length, "key")}
          {order.length !== store.cells.size && ` of ${store.cells.size.toLocaleString("en-US")}`}
        </span>
      </div>
      {order.length === 0
        ? <NoState isFiltered={store.cells.size > 0} />
        : <StateTable order={order} isHeld={isHeld} />}
    </>
  );
}

function NoState({ isFiltered }: { readonly isFiltered: boolean }) {
  if (isFiltered) return <Empty title="No key fits the filter." />;
  return (
    <Empty title="Nothing is written yet.">
      <p>
        Agents write by invoking actions. Register one with <code>_register_action</code>{" "}
        in the Actions panel.
      </p>
    </Empty>
  );
}

/** Keys in order: sorted anew at most four times a second, and not at all while the reader is in it. */
function useOrder(
  store: RoomStore,
  filter: string,
  scope: string,
  sort: Sort,
  isHeld: boolean,
): readonly string[] {
  const version = store.stateVersion.value;
  const kept = useRef<
    { order: readonly string[]; at: number; by: string; version: number } | undefined
  >(undefined);
  const by = `${filter}\u0000${scope}\u0000${sort}`;
  const tick = useSignal(0);
  const known = kept.current;
  const isFresh = known?.by === by && known.version === version;
  const mayKeep = known?.by === by && (isHeld || performance.now() - known.at < RESORT_MS);
  useEffect(() => {
    if (isFresh || isHeld) return;
    const timer = setTimeout(() => tick.value++, RESORT_MS);
    return () => clearTimeout(timer);
  });
  void tick.value;
  if (!known || (!isFresh && !mayKeep)) {
    const order = orderOf(store.cells, filter, scope, sort);
    kept.current = { order, at: performance.now(), by, version };
    return order;
  }
  return known.order.some((id) => !store.cells.has(id))
    ? known.order.filter((id) => store.cells.has(id))
    : known.order;
}

function StateTable(
  { order, isHeld }: { readonly order: readonly string[]; readonly isHeld: { value: boolean } },
) {
  const { opened } = useRoom();
  const box = useRef<HTMLDivElement>(null);
  const view = useScroll(box);
  const focused = useSignal(0);
  const at = Math.min(focused.value, order.length - 1);
  const move = (index: number): void => {
    const target = Math.max(0, Math.min(order.length - 1, index));
    focused.value = target;
    const scroll = scrollFor(target, ROW, view.top, view.height, ROW);
    if (scroll !== undefined) box.current!.scrollTop = scroll;
    requestAnimationFrame(() => requestAnimationFrame(() => focusRow(box.current, target)));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const target = targetOf(event.key, at, order.length, Math.floor(view.height / ROW) - 1);
    if (target !== undefined) {
      event.preventDefault();
      move(target);
    } else if (event.key === "Enter" && event.target instanceof HTMLTableRowElement) {
      opened.value = order[at];
    }
  };
  return (
    <div
      class="grid-box"
      ref={box}
      onKeyDown={onKeyDown}
      onPointerEnter={() => (isHeld.value = true)}
      onPointerLeave={() => (isHeld.value = box.current!.contains(document.activeElement))}
      onFocusIn={() => (isHeld.value = true)}
      onFocusOut={() => (isHeld.value = box.current!.matches(":hover"))}
    >
      <table class="grid" aria-label="Entries" aria-rowcount={order.length + 1}>
        <TableHead />
        <TableBody order={order} view={view} focused={focused} />
      </table>
    </div>
  );
}

interface Scroll {
  readonly top: number;
  readonly height: number;
}

/** Where a box is scrolled to, and how high it is. */
function useScroll(box: RefObject<HTMLDivElement | null>): Scroll {
  const view = useSignal<Scroll>({ top: 0, height: 600 });
  useEffect(() => {
    const element = box.current!;
    const measure = (): void => {
      view.value = { top: element.scrollTop, height: element.clientHeight };
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  return view.value;
}

function TableHead() {
  return (
    <thead>
      <tr aria-rowindex={1}>
        <th scope="col" class="c-scope">Scope</th>
        <th scope="col" class="c-key">Key</th>
        <th scope="col">Value</th>
        <th scope="col" class="c-score">Score</th>
        <th scope="col" class="c-velocity num">Velocity</th>
        <th scope="col" class="c-rev num">Rev</th>
        <th scope="col" class="c-by">By</th>
        <th scope="col" class="c-ago num">Changed</th>
      </tr>
    </thead>
  );
}

/** The rows on the screen, and the space of the others. */
function TableBody({ order, view, focused }: {
  readonly order: readonly string[];
  readonly view: Scroll;
  readonly focused: Signal<number>;
}) {
  const { store, opened } = useRoom();
  void store.stateVersion.value;
  const { first, last, before, after } = stretchOf(order.length, ROW, view.top, view.height);
  const at = Math.min(focused.value, order.length - 1);
  return (
    <tbody>
      <Gap height={before} />
      {order.slice(first, last).map((id, i) => {
        const cell = store.cells.get(id);
        if (!cell) return null;
        const index = first + i;
        const open = (): void => {
          focused.value = index;
          opened.value = id;
        };
        return <Row key={id} cell={cell} index={index} isCurrent={index === at} onOpen={open} />;
      })}
      <Gap height={after} />
    </tbody>
  );
}

function Gap({ height }: { readonly height: number }) {
  if (height === 0) return null;
  return (
    <tr class="gap" aria-hidden="true">
      {/* One column: a wider span would bring back those that are not shown. */}
      <td style={{ height: `${height}px` }} />
    </tr>
  );
}

function focusRow(box: HTMLElement | null, index: number): void {
  box?.querySelector<HTMLElement>(`tr[data-index="${index}"]`)?.focus({ preventScroll: true });
}

/** Where a key leads in a list of rows; undefined when it leads nowhere. */
function targetOf(key: string, at: number, total: number, page: number): number | undefined {
  switch (key) {
    case "ArrowDown":
      return at + 1;
    case "ArrowUp":
      return at - 1;
    case "PageDown":
      return at + page;
    case "PageUp":
      return at - page;
    case "Home":
      return 0;
    case "End":
      return total - 1;
    default:
      return undefined;
  }
}

function Row({ cell, index, isCurrent, onOpen }: {
  readonly cell: Cell;
  readonly index: number;
  readonly isCurrent: boolean;
  readonly onOpen: () => void;
}) {
  const { entry: { value, _meta }, scope, key } = cell;
  const isRecent = cell.changedAt > 0 && performance.now() - cell.changedAt < 1_500;
  return (
    <tr
      data-index={index}
      aria-rowindex={index + 2}
      tabIndex={isCurrent ? 0 : -1}
      onClick={onOpen}
      class={isPrivate(scope) ? "private" : ""}
    >
      <td class="c-scope">
        {isPrivate(scope) && <Icon name="lock" size={11} />}
        {isPrivate(scope) && <span class="sr">private</span>}
        <bdi>{scope}</bdi>
      </td>
      <td class="c-key">
        <bdi title={key}>{key}</bdi>
      </td>
      <td class={`c-value${isRecent ? " flash" : ""}`} key={isRecent ? `${_meta.seq}` : "still"}>
        <span class="cell">
          <code>
            <bdi>{preview(value)}</bdi>
          </code>
          {_meta.timer && <Countdown timer={_meta.timer} />}
        </span>
      </td>
      <td class="c-score">
        <Score value={_meta.score} />
      </td>
      <td class="c-velocity num">{_meta.velocity === undefined ? "" : short(_meta.velocity)}</td>
      <td class="c-rev num">{_meta.revision}</td>
      <td class="c-by">
        <Who id={_meta.writer ?? ""} /> <span class="quiet via">{_meta.via}</span>
      </td>
      <td class="c-ago num">
        <Ago at={_meta.updated_at} />
      </td>
    </tr>
  );
}
