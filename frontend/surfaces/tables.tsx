/** Surfaces of rows and columns. */
import { number, plural, preview } from "../format.ts";
import type { Json, JsonObject } from "../model.ts";
import { Tag } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { columnsOf, textsOf } from "./infer.ts";
import { Metric } from "./metric.tsx";

const ROWS_MAX = 50;

function CellText({ value }: { readonly value: Json | undefined }) {
  if (value === undefined || value === null) return <span class="quiet">–</span>;
  if (typeof value === "number") return <span class="num">{number(value)}</span>;
  return <bdi>{typeof value === "string" ? value.slice(0, 300) : preview(value, 120)}</bdi>;
}

/** An array as a table: of objects by column, of plain values in one. */
export function ArrayTable(
  { value, config }: { readonly value: Json; readonly config: JsonObject },
) {
  const rows = rowsOf(value);
  if (rows === undefined) return <p class="quiet">Not a list: {preview(value)}</p>;
  if (rows.length === 0) return <p class="quiet">empty</p>;
  const max = typeof config["max_rows"] === "number" ? config["max_rows"] : ROWS_MAX;
  const columns = columnsOf(rows, config["columns"]);
  const shown = rows.slice(0, Math.max(1, max));
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
      {rows.length > shown.length && (
        <p class="quiet">{plural(rows.length - shown.length, "more row")}</p>
      )}
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
    <table class="plain-table pairs">
      <tbody>
        {pairs.slice(0, 100).map(([name, item]) => (
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
  );
}

function labelOf(render: JsonObject | undefined, id: string): string {
  const label = render?.["label"];
  return typeof label === "string" ? label : id;
}

/** Views side by side, each as a small metric. */
export function ViewGrid({ value, config }: { readonly value: Json; readonly config: JsonObject }) {
  const { store } = useRoom();
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
    <div class="tiles">
      {tiles.slice(0, 60).map(([name, item, view]) => (
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
  );
}
