/** Surfaces of rows and columns. */
import { useSignal } from "@preact/signals";
import { number, preview } from "../format.ts";
import type { Json, JsonObject } from "../model.ts";
import { CutText, More, Tag } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { columnsOf, textsOf } from "./infer.ts";
import { Metric } from "./metric.tsx";

const ROWS_AT_ONCE = 50;
const PAIRS_AT_ONCE = 100;
const TILES_AT_ONCE = 60;
const TEXT_AT_ONCE = 300;

function CellText({ value }: { readonly value: Json | undefined }) {
  if (value === undefined || value === null) return <span class="quiet">–</span>;
  if (typeof value === "number") return <span class="num">{number(value)}</span>;
  if (typeof value === "string") return <CutText text={value} max={TEXT_AT_ONCE} />;
  return <bdi>{preview(value, 120)}</bdi>;
}

/** An array as a table: of objects by column, of plain values in one. */
export function ArrayTable(
  { value, config }: { readonly value: Json; readonly config: JsonObject },
) {
  const rows = rowsOf(value);
  const max = typeof config["max_rows"] === "number" ? Math.max(1, config["max_rows"]) : undefined;
  const count = useSignal(max ?? ROWS_AT_ONCE);
  if (rows === undefined) return <p class="quiet">Not a list: {preview(value)}</p>;
  if (rows.length === 0) return <p class="quiet">empty</p>;
  const { columns, left } = columnsOf(rows, config["columns"]);
  const shown = rows.slice(0, count.value);
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table class="plain-table">
        <thead>
          <tr>
            {(columns.length > 0 ? columns : [{ key: "", label: "value" }]).map((
              { key, label },
            ) => <th key={key} scope="col">{label}</th>)}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, i) => (
            <tr key={i}>
              {columns.length > 0
                ? columns.map(({ key }) => (
                  <td key={key}>
                    <CellText value={memberOf(row, key)} />
                  </td>
                ))
                : (
                  <td>
                    <CellText value={row} />
                  </td>
                )}
            </tr>
          ))}
        </tbody>
      </table>
      <More
        rest={rows.length - shown.length}
        one="more row"
        onMore={() => (count.value += ROWS_AT_ONCE)}
      />
      <More rest={left} one="more column" />
    </div>
  );
}

/** A list as it is; a map as a list of its values with their keys. */
function rowsOf(value: Json): readonly Json[] | undefined {
  if (Array.isArray(value)) return value;
  if (value === null || typeof value !== "object") return undefined;
  return Object.entries(value).map(([key, item]): Json =>
    item !== null && typeof item === "object" && !Array.isArray(item)
      ? { key, ...item }
      : { key, value: item }
  );
}

function memberOf(row: Json, key: string): Json | undefined {
  if (row === null || typeof row !== "object" || Array.isArray(row)) {
    return key === "value" ? row : undefined;
  }
  return Object.hasOwn(row, key) ? row[key] : undefined;
}

/** Names and values: of the views it lists, or of its own value's members. */
export function PairTable(
  { value, config }: { readonly value: Json; readonly config: JsonObject },
) {
  const { store } = useRoom();
  const count = useSignal(PAIRS_AT_ONCE);
  const views = textsOf(config["views"]);
  if (views.length === 0 && Array.isArray(value)) {
    return <ArrayTable value={value} config={config} />;
  }
  const pairs: [string, Json | undefined, string?][] = views.length > 0
    ? views.map((
      id,
    ) => [labelOf(store.views.value.get(id)?.render, id), store.views.value.get(id)?.value, id])
    : Object.entries(value !== null && typeof value === "object" ? value as JsonObject : { value });
  return (
    <>
      <table class="plain-table pairs">
        <tbody>
          {pairs.slice(0, count.value).map(([name, item]) => (
            <tr key={name}>
              <th scope="row">
                <bdi>{name}</bdi>
              </th>
              <td>
                <CellText value={item} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More
        rest={pairs.length - count.value}
        one="more value"
        onMore={() => (count.value += PAIRS_AT_ONCE)}
      />
    </>
  );
}

function labelOf(render: JsonObject | undefined, id: string): string {
  const label = render?.["label"];
  return typeof label === "string" ? label : id;
}

/** Views side by side, each as a small metric. */
export function ViewGrid({ value, config }: { readonly value: Json; readonly config: JsonObject }) {
  const { store } = useRoom();
  const count = useSignal(TILES_AT_ONCE);
  const views = textsOf(config["views"]);
  const tiles: [string, Json, string | undefined][] = views.length > 0
    ? views.map((
      id,
    ) => [
      labelOf(store.views.value.get(id)?.render, id),
      store.views.value.get(id)?.value ?? null,
      id,
    ])
    : Object.entries(value !== null && typeof value === "object" ? value as JsonObject : { value })
      .map(([k, v]) => [k, v, undefined]);
  return (
    <>
      <div class="tiles">
        {tiles.slice(0, count.value).map(([name, item, view]) => (
          <div class="tile" key={name}>
            <p class="surface-label">
              <bdi>{name}</bdi>
            </p>
            {view !== undefined && !store.views.value.has(view) ? <Tag>not there</Tag> : (
              <Metric
                value={item}
                config={view === undefined ? {} : store.views.value.get(view)?.render ?? {}}
                view={view}
              />
            )}
          </div>
        ))}
      </div>
      <More
        rest={tiles.length - count.value}
        one="more value"
        onMore={() => (count.value += TILES_AT_ONCE)}
      />
    </>
  );
}
