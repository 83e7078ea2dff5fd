/** What a surface shows and as what: declared by `render`, or inferred from the value. Pure. */
import { inferType, RENDER_TYPES, type RenderType } from "../../surfaces.ts";
import type { Json, JsonObject, View } from "../model.ts";

/** A surface as it is drawn. */
export interface Surface {
  readonly id: string;
  readonly type: RenderType;
  readonly label: string;
  readonly config: JsonObject;
  /** The view it belongs to; undefined for one inside a section. */
  readonly view: string | undefined;
}

/** The surface of a configuration: a view's `render`, or one inside a section. */
export function surfaceOf(
  id: string,
  config: JsonObject,
  value: Json,
  view: string | undefined,
): Surface {
  const named = config["type"];
  const type = RENDER_TYPES.find((known) => known === named) ?? inferType(value);
  const label = config["label"] ?? config["title"];
  return { id, type, label: typeof label === "string" ? label : id, config, view };
}

/** The surfaces inside a section. Pure. */
export function innerSurfaces(list: readonly unknown[], owner: string): Surface[] {
  return list.filter((item): item is JsonObject =>
    item !== null && typeof item === "object" && !Array.isArray(item)
  )
    .map((config, i) => {
      const id = typeof config["id"] === "string" ? config["id"] : `${owner}-${i}`;
      return surfaceOf(id, config, null, undefined);
    });
}

/** Surfaces that belong together. */
export interface Group {
  readonly name: string;
  readonly surfaces: readonly Surface[];
}

/** The declared surfaces in their order and groups; without any, what the views suggest. */
export function groupsOf(
  views: ReadonlyMap<string, View>,
): { readonly groups: readonly Group[]; readonly isInferred: boolean } {
  const all = [...views].filter(([, view]) => !view.system);
  const declared = all.filter(([, view]) => view.render);
  const isInferred = declared.length === 0;
  const order = ([, view]: [string, View]): number => {
    const given = view.render?.["order"];
    return typeof given === "number" ? given : 999;
  };
  const sorted = (isInferred ? all : declared).map((pair, i) => ({ pair, i }))
    .sort((a, b) => order(a.pair) - order(b.pair) || a.i - b.i).map(({ pair }) => pair);
  const groups = new Map<string, Surface[]>();
  for (const [id, view] of sorted) {
    const render = view.render ?? {};
    const name = typeof render["group"] === "string" ? render["group"] : "";
    const surface = surfaceOf(id, render, view.value, id);
    groups.set(name, [...groups.get(name) ?? [], surface]);
  }
  return { groups: [...groups].map(([name, surfaces]) => ({ name, surfaces })), isInferred };
}

/** A member of a configuration as a list of texts; one text counts as a list of one. */
export function textsOf(value: Json | undefined): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** A column of a table. */
export interface Column {
  readonly key: string;
  readonly label: string;
}

const COLUMNS_MAX = 12;

/** The columns of a table of objects, and how many are left out: as configured, else the first rows' members. */
export function columnsOf(
  rows: readonly Json[],
  given: Json | undefined,
): { readonly columns: readonly Column[]; readonly left: number } {
  if (Array.isArray(given)) return { columns: given.map(columnOf), left: 0 };
  const names = new Set<string>();
  for (const row of rows.slice(0, 20)) {
    if (row !== null && typeof row === "object" && !Array.isArray(row)) {
      for (const name of Object.keys(row)) {
        names.add(name);
      }
    }
  }
  const columns = [...names].slice(0, COLUMNS_MAX).map((key) => ({ key, label: key }));
  return { columns, left: names.size - columns.length };
}

function columnOf(column: Json): Column {
  if (typeof column === "string") return { key: column, label: column };
  const { key, label } = (column ?? {}) as JsonObject;
  return { key: String(key), label: String(label ?? key) };
}
