/** `_meta` as replies show it, by tier. */
import { SCORE_WITHOUT_AGENT, velocityAt } from "../salience.ts";
import type { Sight } from "../sight.ts";
import { iso } from "../timers.ts";
import type { Entry, JsonObject } from "../types.ts";
import { contestedWith } from "./maps.ts";

/** How much of an entry is shown. */
export type Tier = "focus" | "peripheral" | "elided";

/** `_meta` of an entry in a tier. */
export function metaOf(
  sight: Sight,
  scope: string,
  key: string,
  entry: Entry,
  tier: Tier,
  score = sight.scorer.score(scope, key, entry),
  shown = tier !== "elided",
): JsonObject {
  const updated_at = iso(entry.updatedAt);
  if (tier === "elided" && !shown) {
    const expand = `?expand=${
      encodeURIComponent(`${scope === sight.eyes.own ? "self" : scope}.${key}`)
    }`;
    return { score, revision: entry.revision, updated_at, elided: true, expand };
  }
  if (tier !== "focus") {
    return { score, revision: entry.revision, version: entry.version, updated_at, elided: false };
  }
  const meta: JsonObject = {
    revision: entry.revision,
    version: entry.version,
    updated_at,
    writer: entry.writer,
    via: entry.via,
    seq: entry.seq,
    score,
    velocity: velocityAt(entry, sight.now),
    writers: entry.writers as string[],
    first_at: iso(entry.firstAt),
    elided: false,
  };
  if (entry.timer) meta["timer"] = entry.timer as unknown as JsonObject;
  if (entry.enabled !== undefined) meta["enabled"] = entry.enabled;
  if (scope === "_actions") Object.assign(meta, actionMeta(sight, key, entry));
  return meta;
}

function actionMeta(sight: Sight, id: string, entry: Entry): JsonObject {
  return {
    invocations: entry.stats?.invocations ?? 0,
    last_invoked_at: entry.stats ? iso(entry.stats.lastAt) : null,
    last_invoked_by: entry.stats?.lastBy ?? null,
    contested: contestedWith(sight, id),
    ...(entry.cooldown ? { cooldown: entry.cooldown as unknown as JsonObject } : {}),
  };
}

/** `_meta` of what no record has written: built-ins and the service's own views. */
export function builtinMeta(): JsonObject {
  return { score: SCORE_WITHOUT_AGENT, revision: 0, elided: false };
}
