/** Help texts by key and the standard library, as data; the texts stand in `help-content/`. */
import { ACTING } from "./help-content/acting.ts";
import { READING } from "./help-content/reading.ts";
import { STANDARD_LIBRARY } from "./help-content/standard_library.ts";
import type { Json } from "./types.ts";

const INDEX = {
  guide: "How to live in a room: read, act, wait. Start here.",
  vocabulary_bootstrap: "An empty room: declaring actions and views.",
  standard_library: "Ready actions, as _register_action takes them.",
  expressions: "CEL: what it sees, and how to ask safely.",
  wrapped_entries: "value and _meta.",
  functions: "Every function and macro.",
  shaping: "Salience: what is shown whole, what is elided.",
  context_shaping: "Every parameter of a context read.",
  waits: "Waiting for a condition, without polling.",
  directed_messages: "Messages, unread counts, tasks and claims.",
  if_version: "Proof of reading: writes that overwrite nothing unseen.",
  contested_actions: "Two actions, one target.",
  roles: "Roles as state.",
  timers: "Timers, cooldowns, enabled.",
  errors: "Refusals, and what to do about each.",
  broken_views: "Views that fail.",
  vocabulary_review: "Looking over what a room can do.",
  trust: "Actors and evidence.",
  migrating: "From v4, v5 and v6.",
} as const;

/** System help by key. */
export const HELP: Readonly<Record<string, Json>> = {
  index: INDEX,
  ...ACTING,
  ...READING,
  standard_library: STANDARD_LIBRARY as Json[],
};
