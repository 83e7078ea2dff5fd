/** Which messages a reader sees, and its counters. */
import type { MessagePlace } from "../room/messages.ts";
import type { Sight } from "../sight.ts";

/** Is this message part of the room's live state for this reader? */
export function isMessageThere(sight: Sight, seq: number): boolean {
  const entry = sight.room.get("_messages", String(seq));
  return entry !== undefined && sight.isThere("_messages", String(seq), entry);
}

/** May the reader claim it: an open task to all or to it? */
export function isOpenFor(sight: Sight, seq: number): boolean {
  const message = sight.room.message(seq);
  if (!message || message.kind !== "task" || message.claimed_by) return false;
  if (
    message.to !== undefined && sight.eyes.self !== "admin" && !message.to.includes(sight.eyes.self)
  ) {
    return false;
  }
  return isMessageThere(sight, seq);
}

/** The counters of the `messages` section. */
export interface MessageCounts {
  readonly count: number;
  readonly unread: number;
  readonly directed_unread: number;
}

/** Counts what the reader sees, and what of it is new to it. */
export function messageCounts(sight: Sight): MessageCounts {
  return surveyMessages(sight).counts;
}

/** The same, and the place of the first message that is new to the reader: undefined for none. */
export function surveyMessages(
  sight: Sight,
): { readonly counts: MessageCounts; readonly firstUnread: MessagePlace | undefined } {
  const { room, eyes } = sight;
  const { places } = room.messages;
  const someHidden = room.gated.size > 0;
  let count = someHidden ? 0 : places.length;
  if (someHidden) { for (const { seq } of places) if (isMessageThere(sight, seq)) count++; }
  if (!sight.scorer.isAgent) {
    return { counts: { count, unread: 0, directed_unread: 0 }, firstUnread: undefined };
  }
  let unread = 0, directed = 0;
  let firstUnread: MessagePlace | undefined;
  const cursor = sight.live.presence.get(eyes.self)?.read ?? 0;
  for (let i = room.messages.firstAfter(cursor); i < places.length; i++) {
    const place = places[i]!;
    const { seq, from, to } = place;
    if (from === eyes.self || (someHidden && !isMessageThere(sight, seq))) continue;
    unread++;
    firstUnread ??= place;
    if (to?.includes(eyes.self)) directed++;
  }
  return { counts: { count, unread, directed_unread: directed }, firstUnread };
}
