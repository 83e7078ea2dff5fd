/** A JSON value as native, collapsible rows. Large and deep ones are drawn only as far as they are opened. */
import { useState } from "preact/hooks";
import { number, plural, preview } from "./format.ts";
import type { Json } from "./model.ts";
import { CutText, More } from "./parts.tsx";

const ITEMS_AT_ONCE = 100;
const TEXT_AT_ONCE = 2_000;
const DEPTH_MAX = 60;

/** A value of any kind. `open` levels are unfolded at first. */
export function Tree({ value, open = 1, depth = 0 }: {
  readonly value: Json;
  readonly open?: number;
  readonly depth?: number;
}) {
  if (value === null || typeof value !== "object") return <Scalar value={value} />;
  const isList = Array.isArray(value);
  const size = isList ? value.length : Object.keys(value).length;
  if (size === 0) return <span class="json-mark">{isList ? "[]" : "{}"}</span>;
  if (depth >= DEPTH_MAX) return <span class="quiet">nested deeper than this page shows</span>;
  return <Branch value={value} size={size} open={open} depth={depth} />;
}

function Branch({ value, size, open, depth }: {
  readonly value: Json[] | { [key: string]: Json };
  readonly size: number;
  readonly open: number;
  readonly depth: number;
}) {
  const [isOpen, setOpen] = useState(open > 0);
  const [shown, setShown] = useState(ITEMS_AT_ONCE);
  const isList = Array.isArray(value);
  const keys = isOpen ? Object.keys(value).slice(0, shown) : [];
  return (
    <details
      class="json"
      open={isOpen}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <span class="json-mark">
          {isList ? `[${plural(size, "item")}]` : `{${plural(size, "member")}}`}
        </span>
        {!isOpen && <span class="quiet">{preview(value, 90)}</span>}
      </summary>
      {isOpen && (
        <ul>
          {keys.map((key) => (
            <li key={key}>
              <span class="json-key">
                <bdi>{key}</bdi>
              </span>
              <Tree
                value={(value as Record<string, Json>)[key]!}
                open={open - 1}
                depth={depth + 1}
              />
            </li>
          ))}
          {size > shown && (
            <li>
              <More
                rest={size - shown}
                one="more item"
                onMore={() => setShown(shown + ITEMS_AT_ONCE * 5)}
              />
            </li>
          )}
        </ul>
      )}
    </details>
  );
}

/** A value that has no parts. */
function Scalar({ value }: { readonly value: null | boolean | number | string }) {
  if (typeof value === "number") return <span class="json-number">{number(value)}</span>;
  if (typeof value !== "string") return <span class="json-word">{String(value)}</span>;
  return (
    <span class="json-text">
      <CutText text={value} max={TEXT_AT_ONCE} />
    </span>
  );
}
