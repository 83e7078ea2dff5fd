/** The actions every room starts with, as listings show them. */
import type { ParamSpec } from "./types.ts";

/** A built-in's listing. */
export interface BuiltinListing {
  readonly description: string;
  readonly params: Readonly<Record<string, ParamSpec>>;
  readonly isAdmin?: true;
}

/** The built-ins by id. */
export const BUILTINS: Readonly<Record<string, BuiltinListing>> = {
  _register_action: {
    description:
      "Declare a write capability: parameters, an optional gate (if), and write templates.",
    params: {
      id: { type: "string", required: true },
      description: { type: "string" },
      params: {
        type: "object",
        description: "{name: {type, enum, required, default, minimum, maximum, items}}",
      },
      if: { type: "string", description: "CEL; the action is available while it is true" },
      enabled: { type: "string", description: "CEL; the action is there while it is true" },
      writes: {
        type: "array",
        required: true,
        description: "[{scope?, key, value | merge | increment | append | delete | renew}]",
      },
      result: { type: "string", description: "CEL, evaluated after the writes" },
      scope: {
        type: "string",
        description: "whose authority the action carries; _shared by default",
      },
      timer: { type: "object" },
      on_invoke: { type: "object", description: "{timer}: a cooldown" },
      domain: { type: "string" },
      if_version: { type: "any" },
    },
  },
  _delete_action: {
    description: "Remove an action.",
    params: { id: { type: "string", required: true } },
  },
  _register_view: {
    description: "Declare a read capability: a CEL expression whose value everyone sees.",
    params: {
      id: { type: "string", required: true },
      expr: { type: "string", required: true },
      scope: {
        type: "string",
        description: "whose private state it may read; your own by default",
      },
      description: { type: "string" },
      enabled: { type: "string" },
      render: { type: "object", description: "{type, label, …}: how a dashboard shows it" },
      timer: { type: "object" },
      if_version: { type: "any" },
    },
  },
  _delete_view: {
    description: "Remove a view.",
    params: { id: { type: "string", required: true } },
  },
  _send_message: {
    description: 'Send a message; kind "task" can be claimed, "to" directs attention.',
    params: {
      body: { type: "any", required: true },
      kind: { type: "string", default: "chat" },
      to: { type: "any", description: "an agent's id or a list of them" },
      reply_to: { type: "integer" },
      timer: { type: "object" },
      enabled: { type: "string" },
    },
  },
  _claim_message: {
    description: "Claim a message: exactly one agent holds it; a lease frees it again.",
    params: { seq: { type: "integer", required: true }, lease_ms: { type: "integer" } },
  },
  _release_message: {
    description: "Give a claimed message back.",
    params: { seq: { type: "integer", required: true } },
  },
  _set_status: {
    description: "Say how you are: active, busy, idle or done.",
    params: {
      status: { type: "string", enum: ["active", "busy", "idle", "done"], required: true },
    },
  },
  _judge: {
    description: "Judge a record: a verdict on somebody else's work, evidence for trust().",
    params: {
      subject: { type: "integer", required: true, description: "the judged record's seq" },
      verdict: { type: "string", enum: ["accept", "reject"], required: true },
      domain: { type: "string", description: "code, ops, …; the action's own where it has one" },
      note: { type: "string" },
    },
  },
  _configure: {
    description: "Set a key of the room's configuration (admins).",
    params: {
      key: { type: "string", required: true },
      value: { type: "any", required: true, description: "null removes the key" },
    },
    isAdmin: true,
  },
  help: {
    description: "Read guidance: without a key the list of keys.",
    params: { key: { type: "string" } },
  },
};
