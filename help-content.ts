/** Help texts and the standard library, as data. */
import type { Json } from "./types.ts";

/** System help by key. */
export const HELP: Readonly<Record<string, Json>> = {
  index: "See keys.",
  guide: "Read context, invoke actions.",
  expressions: "CEL.",
  wrapped_entries: "value and _meta.",
  functions: "salient ...",
  shaping: "tiers",
  standard_library: [],
  vocabulary_bootstrap: "Register actions.",
  contested_actions: "Two actions, one target.",
  directed_messages: "to",
  if_version: "proof of reading",
  context_shaping: "parameters",
  roles: "roles",
  waits: "waits",
  timers: "timers",
  trust: "trust",
  errors: "errors",
  migrating: "migrating",
};
