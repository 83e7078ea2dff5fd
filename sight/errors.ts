/** What a reader is told of a view that failed. */
import type { Sight, ViewResult } from "../sight.ts";
import type { JsonObject } from "../types.ts";

/** The failure of a view: its code, and more to who may read the scope that it looks into. */
export function shownError(
  sight: Sight,
  view: string,
  { code, message, hint }: NonNullable<ViewResult["error"]>,
): JsonObject {
  if (!sight.eyes.canRead(sight.room.view(view)?.scope ?? "")) return { code };
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}
