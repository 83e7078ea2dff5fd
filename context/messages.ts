/** The messages section: a page without loss, and how far it moves the reader's cursor. */
import type { MessagePlace } from "../room/messages.ts";
import type { Sight } from "../sight.ts";
import { isMessageThere, isOpenFor, surveyMessages } from "../sight/messages.ts";
import { iso } from "../timers.ts";
import type { JsonObject, MessageBody } from "../types.ts";
import type { ContextQuery } from "./query.ts";
import { isBack, mayHaveFlipped } from "./state.ts";

/** A message on the page. */
export interface ShownMessage {
  readonly order: number;
  readonly seq: number;
  readonly isUnread: boolean;
  readonly isDirected: boolean;
  readonly body: JsonObject;
}

/** The messages section before it is cut to a budget. */
export interface MessagesSection {
  readonly counters: JsonObject;
  readonly page: readonly ShownMessage[];
  /** Messages that fit the filters, page or not. */
  readonly total: number;
  readonly nextAfter?: number;
  /** Messages that fit the filters and lie before the page. */
  readonly before: number;
  /** What the page of those begins after. */
  readonly earlierAfter: number;
  /** The cursor that the page may move to; undefined when it must stay. */
  readonly readTo?: number;
}

/** How many messages lie before a page, and how to get them. */
export function earlier(count: number, after: number): JsonObject {
  return { count, expand: `?messages_after=${after}` };
}

/**
 * Where the run begins that `at` is part of. What one record made visible has one place for pages
 * and cursors: no page ends within it, or what is left of it could be told from nothing.
 */
export function beginOfRun(list: readonly { readonly order: number }[], at: number): number {
  let begin = at;
  while (begin > 0 && list[begin - 1]!.order === list[at]?.order) begin--;
  return begin;
}

/** Where a page from `first` ends: at most `limit` on, unless its first run is longer. */
function endOfPage(visible: readonly MessagePlace[], first: number, limit: number): number {
  const most = first + limit;
  if (most >= visible.length) return visible.length;
  const end = beginOfRun(visible, most);
  return end > first ? end : firstAfter(visible, visible[first]!.order);
}

/** Where a page begins that ends before `end`: at most `limit` before, unless its run is longer. */
function beginOfPage(visible: readonly MessagePlace[], end: number, limit: number): number {
  const least = Math.max(0, end - limit);
  const begin = beginOfRun(visible, least);
  if (begin === least) return least;
  const next = firstAfter(visible, visible[least]!.order);
  return next < end ? next : begin;
}

/** Tokens that a reply takes beside the messages, when they are all that was asked for. */
const BESIDE_TOKENS = 500;

/**
 * A message that found no room in a budget though nothing of its page goes before it, and what reads
 * it: asking the same again would not show it, nor would the page that begins with it.
 */
export function noRoom(seq: number, after: number, size: number, kind?: string): JsonObject {
  const asked = ["only=messages", "messages_limit=1", `messages_after=${after}`];
  if (kind !== undefined) asked.push(`messages_kind=${kind}`);
  asked.push(`budget=${BESIDE_TOKENS + Math.ceil(size / 4)}`);
  return { seq, expand: `?${asked.join("&")}` };
}

/** Collects the page. */
export function collectMessages(sight: Sight, query: ContextQuery): MessagesSection {
  const { messages: filter, since } = query;
  const { room, eyes, live } = sight;
  const { counts, firstUnread } = surveyMessages(sight);
  const open = [...room.messages.openTasks].filter((seq) => isOpenFor(sight, seq)).length;
  const counters = { ...counts, unclaimed: open };
  const cursor = live.presence.get(eyes.self)?.read ?? 0;
  const isFiltered = filter.kinds !== undefined || filter.from !== undefined ||
    filter.to !== undefined ||
    filter.thread !== undefined || filter.unclaimed;
  const places = room.messages.places;
  const simple = !isFiltered && room.gated.size === 0 && since === undefined;
  const isInThread = threadOf(sight, filter.thread);
  const visible = simple
    ? places
    : places.filter((place) =>
      fits(sight, place, query) && isInThread(place.seq) && isMessageThere(sight, place.seq)
    );
  const first = firstOfPage(query, visible, firstUnread?.order, eyes.self);
  const end = endOfPage(visible, first, filter.limit);
  const page = visible.slice(first, end);
  const last = page.at(-1);
  const start = filter.after ?? (since ?? (first === 0 ? 0 : visible[first - 1]!.order));
  const movesCursor = !isFiltered && !query.peek && sight.scorer.isAgent &&
    // Nothing unread may lie between the cursor and the page's beginning.
    (start <= cursor || firstUnread === undefined || firstUnread.order > start);
  return {
    counters,
    page: page.map(({ order, seq }) => showMessage(sight, order, seq, cursor)),
    total: visible.length,
    before: first,
    earlierAfter: visible[beginOfPage(visible, first, filter.limit) - 1]?.order ?? 0,
    ...(end < visible.length && last ? { nextAfter: last.order } : {}),
    ...(movesCursor && last && last.order > cursor ? { readTo: last.order } : {}),
  };
}

function firstOfPage(
  query: ContextQuery,
  visible: readonly MessagePlace[],
  unreadFrom: number | undefined,
  self: string,
): number {
  const { after, limit } = query.messages;
  if (after !== undefined) return firstAfter(visible, after);
  if (query.since !== undefined) return 0;
  const newest = beginOfPage(visible, visible.length, limit);
  if (unreadFrom === undefined) return newest;
  let at = firstAfter(visible, unreadFrom - 1);
  while (at < visible.length && visible[at]!.from === self) at++;
  return Math.min(newest, beginOfRun(visible, at));
}

function firstAfter(visible: readonly { readonly order: number }[], after: number): number {
  let low = 0, high = visible.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (visible[mid]!.order <= after) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** May the message have changed, or have come to be there, after record `since`? */
function mayHaveChanged(sight: Sight, place: MessagePlace, since: number): boolean {
  if (place.touched > since || isBack(sight, place.from, since)) return true;
  if (sight.room.gated.size === 0) return false;
  return mayHaveFlipped(sight, "_messages", String(place.seq), since) ||
    mayHaveFlipped(sight, "_agents", place.from, since);
}

function fits(
  sight: Sight,
  place: MessagePlace,
  { messages: filter, since }: ContextQuery,
): boolean {
  if (since !== undefined && !mayHaveChanged(sight, place, since)) return false;
  const { seq } = place;
  const message = sight.room.message(seq)!;
  if (filter.kinds !== undefined && !filter.kinds.has(message.kind)) return false;
  if (filter.from !== undefined && message.from !== agentNamed(sight, filter.from)) return false;
  if (filter.to !== undefined && !message.to?.includes(agentNamed(sight, filter.to))) return false;
  return !filter.unclaimed || isOpenFor(sight, seq);
}

/** The agent that a filter names: `self` is the reader. */
function agentNamed(sight: Sight, name: string): string {
  return name === "self" ? sight.eyes.self : name;
}

/** Tells whether a message is the thread's first, or replies to it directly or by others. */
function threadOf(sight: Sight, thread: number | undefined): (seq: number) => boolean {
  if (thread === undefined) return () => true;
  // Each reply is followed up but once, however long the chains are.
  const known = new Map<number, boolean>([[thread, true]]);
  return (seq) => {
    const path: number[] = [];
    let at: number | undefined = seq;
    while (at !== undefined && !known.has(at)) {
      known.set(at, false);
      path.push(at);
      at = sight.room.message(at)?.reply_to;
    }
    const isIn = at !== undefined && known.get(at) === true;
    if (isIn) { for (const member of path) known.set(member, true); }
    return isIn;
  };
}

function showMessage(sight: Sight, order: number, seq: number, cursor: number): ShownMessage {
  const entry = sight.room.get("_messages", String(seq))!;
  const { lease_ms: _lease, fence: _fence, done: _done, ...message } = entry
    .value as unknown as MessageBody;
  const isUnread = order > cursor && message.from !== sight.eyes.self && sight.scorer.isAgent;
  const body = {
    seq,
    ts: iso(entry.firstAt),
    ...message,
    ...(message.kind === "task" && !message.claimed_by ? { claimed_by: null } : {}),
    ...(order === seq ? {} : { shown_at: order }),
  } as unknown as JsonObject;
  return {
    order,
    seq,
    isUnread,
    isDirected: isUnread && (message.to?.includes(sight.eyes.self) ?? false),
    body,
  };
}
