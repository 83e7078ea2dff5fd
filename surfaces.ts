/** The surfaces by which a view asks to be shown, and the one that suits a value. Pure. */
import type { Json, JsonObject } from "./types.ts";

/** The surface types that `render.type` may name. */
export const RENDER_TYPES = [
  "metric",
  "markdown",
  "feed",
  "view-table",
  "view-grid",
  "array-table",
  "action-bar",
  "action-form",
  "action-choice",
  "watch",
  "section",
  "json",
] as const;
/** One of them. */
export type RenderType = typeof RENDER_TYPES[number];

const MARKDOWN = /(^|\n)(#{1,6} |[-*] |\d+\. |> |```|\|.*\|)|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\)/;
const LONG_TEXT = 120;

/** The kind of surface that suits a value. */
export function inferType(value: Json): RenderType {
  if (value === null || typeof value === "number" || typeof value === "boolean") return "metric";
  if (typeof value === "string") {
    return value.length > LONG_TEXT || value.includes("\n") || MARKDOWN.test(value)
      ? "markdown"
      : "metric";
  }
  if (Array.isArray(value)) return isTabular(value) ? "array-table" : "json";
  const leaves = Object.values(value);
  return leaves.length > 0 && leaves.every(isScalar) ? "view-table" : "json";
}

function isScalar(value: Json): boolean {
  return value === null || typeof value !== "object";
}

/** Are the first items all plain, or objects of nearly the same members? */
function isTabular(list: readonly Json[]): boolean {
  const head = list.slice(0, 5);
  if (head.length === 0) return false;
  if (head.every(isScalar)) return true;
  if (!head.every((item) => item !== null && typeof item === "object" && !Array.isArray(item))) {
    return false;
  }
  const names = head.map((item) => new Set(Object.keys(item as JsonObject)));
  const first = names[0]!;
  return names.every((other) =>
    [...other].filter((name) => !first.has(name)).length +
        [...first].filter((name) => !other.has(name)).length <= 1
  );
}

/** The type that is shown where `render` names one that there is not; undefined where it does not. */
export function typeInstead(render: JsonObject | undefined, value: Json): RenderType | undefined {
  if (!render || RENDER_TYPES.some((known) => known === render["type"])) return undefined;
  return inferType(value);
}
