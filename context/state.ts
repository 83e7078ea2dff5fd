/** The state section: what a reader sees of the entries, by tier. */
import { WHOLE_BYTES_MAX, WHOLE_ENTRIES_MAX } from "../limits.ts";
import { grantsOf, isCustomScope, isPrivateScope } from "../policy.ts";
import { cellOf } from "../room/changes.ts";
import type { Sight } from "../sight.ts";
import { metaOf, type Tier } from "../sight/meta.ts";
import { tierOf } from "../sight/scores.ts";
import type { Entry, JsonObject } from "../types.ts";
import type { ContextQuery } from "./query.ts";

/** An entry about to be shown. */
export interface Candidate {
  /** The scope's name in the reply: the reader's own is `self`. */
  readonly shownScope: string;
  readonly scope: string;
  readonly key: string;
  readonly entry: Entry;
  readonly score: number;
  /** Changed since the reader's `seen` cursor. */
  readonly isNew: boolean;
}

/** What the state section came to. */
export interface StateSection {
  /** Scopes that are shown, in order, if only as `{}`. */
  readonly scopes: readonly string[];
  readonly candidates: readonly Candidate[];
  /** Nothing is elided because there is little. */
  readonly isWhole: boolean;
}

/** The scopes a reader sees, by the name they have in the reply. */
function visibleScopes(sight: Sight, query: ContextQuery): [shown: string, scope: string][] {
  const { room, eyes } = sight;
  const { onlyScopes } = query;
  const scopes: [string, string][] = [["_shared", "_shared"]];
  if (eyes.own !== undefined) scopes.push(["self", eyes.own]);
  const names = new Set<string>();
  for (const name of room.scopes.keys()) {
    const isNamed = isCustomScope(name) ? sight.holdsAny(name) : isPrivateScope(name);
    if (isNamed && eyes.canRead(name)) names.add(name);
  }
  for (const grant of grantsOf(room, eyes.self)) {
    if (grant !== "*" && eyes.canRead(grant)) names.add(grant);
  }
  if (eyes.own !== undefined) names.delete(eyes.own);
  for (const name of [...names].sort()) scopes.push([name, name]);
  for (const name of query.include) addReserved(scopes, name);
  if (!onlyScopes) return scopes;
  for (const name of onlyScopes) addReserved(scopes, name);
  return scopes.filter(([shown, scope]) => onlyScopes.has(shown) || onlyScopes.has(scope));
}

const READABLE_RESERVED: ReadonlySet<string> = new Set([
  "_config",
  "_help",
  "_actions",
  "_views",
  "_agents",
  "_messages",
]);

function addReserved(scopes: [string, string][], name: string): void {
  if (READABLE_RESERVED.has(name) && !scopes.some(([shown]) => shown === name)) {
    scopes.push([name, name]);
  }
}

/** Collects what is there for the reader, with scores. */
export function collectState(sight: Sight, query: ContextQuery, seen: number): StateSection {
  const scopes = visibleScopes(sight, query);
  const candidates: Candidate[] = [];
  let bytes = 0, total = 0;
  const plainRoom = sight.room.gated.size === 0 && sight.room.timers.pending === 0;
  for (const [shownScope, scope] of scopes) {
    const holder = sight.room.scopes.get(scope);
    if (!holder) continue;
    const fresh = plainRoom && query.since !== undefined && !isBack(sight, scope, query.since)
      ? holder.changedAfter(query.since)
      : undefined;
    if (plainRoom) {
      total += holder.entries.size;
      bytes += holder.bytes;
    }
    for (const key of fresh ?? holder.keys()) {
      const entry = holder.entries.get(key)!;
      if (!plainRoom) {
        if (!sight.isThere(scope, key, entry)) continue;
        total++;
        bytes += entry.bytes;
      }
      if (query.since !== undefined && !mayHaveChanged(sight, scope, key, entry, query.since)) {
        continue;
      }
      const score = sight.scorer.score(scope, key, entry);
      candidates.push({ shownScope, scope, key, entry, score, isNew: entry.touched > seen });
    }
  }
  const isSmall = total < WHOLE_ENTRIES_MAX && bytes <= WHOLE_BYTES_MAX;
  return {
    scopes: scopes.map(([shown]) => shown),
    candidates,
    isWhole: isSmall && !query.namesThresholds,
  };
}

/** May an entry's shown form have changed after record `since`? */
function mayHaveChanged(
  sight: Sight,
  scope: string,
  key: string,
  entry: Entry,
  since: number,
): boolean {
  if (entry.touched > since || isBack(sight, scope, since)) return true;
  if (sight.room.gated.size === 0) return false;
  if (entry.enabled !== undefined && mayHaveFlipped(sight, scope, key, since)) return true;
  return isPrivateScope(scope) && mayHaveFlipped(sight, "_agents", scope, since);
}

/** Has an agent lost its `enabled` after record `since`, so that what is its may be back? */
export function isBack({ room }: Sight, agent: string, since: number): boolean {
  return (room.ungated.get(agent) ?? 0) > since;
}

/** May a thing's `enabled` have come to something else for this reader after record `since`? */
export function mayHaveFlipped(sight: Sight, scope: string, key: string, since: number): boolean {
  if (sight.room.get(scope, key)?.enabled === undefined) return false;
  return !sight.live.memos.isGateUnchanged(cellOf(scope, key), sight.viewer, since);
}

/** The tier in which a candidate is shown, and whether its value is. */
export function tierFor(
  candidate: Candidate,
  section: StateSection,
  query: ContextQuery,
): { tier: Tier; shown: boolean } {
  if (isExpanded(candidate, query)) return { tier: "focus", shown: true };
  if (section.isWhole) return { tier: "focus", shown: true };
  const tier = tierOf(candidate.score, query.focus, query.elide);
  if (tier !== "elided") return { tier, shown: true };
  const shown = query.elision === "none" || candidate.isNew;
  return { tier: shown ? "peripheral" : "elided", shown };
}

function isExpanded({ scope, shownScope, key }: Candidate, query: ContextQuery): boolean {
  return query.expand.some((path) => {
    const dot = path.indexOf(".");
    const wanted = path.slice(0, dot), rest = path.slice(dot + 1);
    return (wanted === scope || wanted === shownScope) && (rest === "*" || rest === key);
  });
}

/** The shown form of a candidate. */
export function showEntry(
  sight: Sight,
  candidate: Candidate,
  section: StateSection,
  query: ContextQuery,
): JsonObject {
  const { scope, key, entry, score } = candidate;
  const { tier, shown } = tierFor(candidate, section, query);
  const _meta = metaOf(sight, scope, key, entry, tier, score, shown);
  if (query.explain && sight.scorer.isAgent) {
    _meta["signals"] = sight.scorer.signals(scope, key, entry) as unknown as JsonObject;
  }
  return { value: shown ? entry.value : null, _meta };
}
