/** Messages: sent, claimed with a fence, released; paged without loss. */
import { z } from "zod";
import { type Acting, authorship } from "./auth.ts";
import { mergePatch, versionOf } from "./canonical.ts";
import { compile } from "./cel.ts";
import type { Decision, Moment } from "./engine/types.ts";
import { invalid, SyncError } from "./errors.ts";
import { agentId, condition, json, parseBody } from "./input.ts";
import { LEASE_MS_MAX, RECIPIENTS_MAX } from "./limits.ts";
import { CLAIM_ENDED } from "./room/changes.ts";
import type { Room } from "./room.ts";
import { mustFitValue, mustGateSoundly, mustHaveRoomFor, mustStayWithinLimits } from "./rules.ts";
import { callerEyes, Sight } from "./sight.ts";
import { isMessageThere } from "./sight/messages.ts";
import { arm, iso, rest, resume } from "./timers.ts";
import type { ArmedTimer, Draft, Entry, Json, JsonObject, MessageBody, Write } from "./types.ts";

const recipient = z.union([agentId, z.literal("admin")]);

/** Parameters of `_send_message`. */
export const sendParams = z.strictObject({
  body: json,
  kind: z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, {
    error: "a word of 1-64 letters is wanted",
  }).optional(),
  to: z.union([recipient, z.array(recipient).max(RECIPIENTS_MAX)]).nullable().optional(),
  reply_to: z.number().int().positive().nullable().optional(),
  timer: json.optional(),
  enabled: condition.nullable().optional(),
});

/** Parameters of `_claim_message`. */
export const claimParams = z.strictObject({
  seq: z.number().int().positive(),
  lease_ms: z.number().int().min(1).max(LEASE_MS_MAX).nullable().optional(),
});

/** Parameters of `_release_message`. */
export const releaseParams = z.strictObject({ seq: z.number().int().positive() });

/** The reply's members that every built-in has. */
function invoked(action: string, acting: Acting, seq: number): JsonObject {
  return { invoked: true, action, agent: acting.agent, seq };
}

/** Sends a message: a record, whose `seq` is the message's. */
export function decideSend(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room, now } = moment;
  const params = parseBody(sendParams, raw, {
    example: { body: "hello", kind: "chat" },
    at: "params",
  });
  if (params.kind === "action_invocation") {
    throw invalid(
      "params.kind",
      'another kind is wanted: "action_invocation" is what the log shows',
      "chat",
    );
  }
  mustFitValue(params.body, "params.body");
  mustStayWithinLimits(room, "messages", 1);
  const seq = room.head + 1;
  const to = params.to == null
    ? undefined
    : Array.isArray(params.to)
    ? [...new Set(params.to)]
    : [params.to];
  const message: MessageBody = {
    from: acting.agent,
    kind: params.kind ?? "chat",
    body: params.body,
    ...(to === undefined || to.length === 0 ? {} : { to }),
    ...(params.reply_to == null ? {} : { reply_to: params.reply_to }),
  };
  const value = message as unknown as Json;
  const timer = params.timer == null ? undefined : arm(params.timer, "params.timer", now);
  const enabled = params.enabled ?? undefined;
  if (enabled !== undefined) {
    compile(enabled, { field: "params.enabled", place: "enabled", expect: "bool" });
    const field = "params.enabled";
    mustGateSoundly(room, [{ scope: "_messages", key: String(seq), value, enabled, field }]);
  }
  const writes: Write[] = [{
    scope: "_messages",
    key: String(seq),
    op: "set",
    value,
    revision: 1,
    version: versionOf(value),
    ...(timer ? { timer } : {}),
    ...(enabled === undefined ? {} : { enabled }),
  }];
  if (params.reply_to != null) {
    writes.push(...answered(moment, acting, params.reply_to, message.kind));
  }
  mustHaveRoomFor(room, writes);
  const draft: Draft = {
    ...authorship(acting, room),
    kind: "message",
    action: "_send_message",
    writes,
  };
  return {
    draft,
    reply: (record) => ({
      ...invoked("_send_message", acting, record?.seq ?? seq),
      sent: true,
      from: acting.agent,
      kind: message.kind,
      ...(message.to ? { to: [...message.to] } : {}),
      ...(message.reply_to === undefined ? {} : { reply_to: message.reply_to }),
    }),
  };
}

/** A `result` of the holder ends the lease and keeps the claim. Throws `message_not_found`. */
function answered(moment: Moment, acting: Acting, replyTo: number, kind: string): Write[] {
  const entry = visible(moment, acting, replyTo);
  const parent = entry.value as unknown as MessageBody;
  if (kind !== "result" || parent.claimed_by !== acting.agent) return [];
  const change: JsonObject = { lease_expires_at: null, lease_ms: null, done: true };
  return [patchOf(entry, replyTo, change, entry.timer)];
}

function patchOf(
  entry: Entry,
  seq: number,
  change: JsonObject,
  timer: ArmedTimer | undefined,
): Write {
  return {
    scope: "_messages",
    key: String(seq),
    op: "merge",
    value: change,
    revision: entry.revision + 1,
    version: versionOf(mergePatch(entry.value, change)),
    ...(timer ? { timer } : {}),
    ...(entry.enabled === undefined ? {} : { enabled: entry.enabled }),
  };
}

/** A message that the caller sees. Throws `message_not_found`. */
function visible({ hot, room, now }: Moment, acting: Acting, seq: number): Entry {
  const entry = room.get("_messages", String(seq));
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  if (entry && isMessageThere(sight, seq)) return entry;
  throw new SyncError("message_not_found", `There is no message ${seq}.`, {
    seq,
    hint: "GET /rooms/:id/context?only=messages lists them; a message's seq is its record's.",
  });
}

function alreadyClaimed(seq: number, message: MessageBody): SyncError {
  return new SyncError("already_claimed", `Message ${seq} is claimed by "${message.claimed_by}".`, {
    seq,
    claimed: false,
    claimed_by: message.claimed_by ?? null,
    claimed_at: message.claimed_at ?? null,
    hint:
      "Take another: messages.unclaimed counts what is open, ?messages_unclaimed=true lists it.",
  });
}

/** Claims a message: exactly one holder. The holder claiming again renews the lease and keeps the fence. */
export function decideClaim(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room, now } = moment;
  const { seq, lease_ms } = parseBody(claimParams, raw, {
    example: { seq: 7, lease_ms: 60000 },
    at: "params",
  });
  const entry = visible(moment, acting, seq);
  const message = entry.value as unknown as MessageBody;
  if (message.claimed_by && message.claimed_by !== acting.agent) throw alreadyClaimed(seq, message);
  if (message.to && !message.to.includes(acting.agent)) {
    throw new SyncError("scope_denied", `Message ${seq} is for ${message.to.join(", ")}.`, {
      seq,
      to: message.to,
    });
  }
  const isRenewal = message.claimed_by === acting.agent;
  // Work that is done is held without an end.
  const lease = message.done
    ? null
    : lease_ms ?? (isRenewal ? message.lease_ms : undefined) ?? null;
  const change = {
    claimed_by: acting.agent,
    claimed_at: isRenewal ? message.claimed_at ?? iso(now) : iso(now),
    fence: isRenewal ? message.fence ?? room.head + 1 : room.head + 1,
    lease_expires_at: lease === null ? null : iso(now + lease),
    lease_ms: lease,
  };
  const write = patchOf(entry, seq, change, rest(entry.timer, now));
  return {
    draft: {
      ...authorship(acting, room),
      kind: "claim",
      action: "_claim_message",
      params: { seq, ...(lease_ms == null ? {} : { lease_ms }) },
      writes: [write],
    },
    reply: (record) => ({
      ...invoked("_claim_message", acting, record?.seq ?? room.head),
      claimed: true,
      message: seq,
      claimed_by: change.claimed_by,
      claimed_at: change.claimed_at,
      fence: change.fence,
      ...(change.lease_expires_at === null ? {} : { lease_expires_at: change.lease_expires_at }),
    }),
  };
}

/** Gives a claim back. */
export function decideRelease(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room, now } = moment;
  const { seq } = parseBody(releaseParams, raw, { example: { seq: 7 }, at: "params" });
  const entry = visible(moment, acting, seq);
  const message = entry.value as unknown as MessageBody;
  if (!message.claimed_by) {
    throw new SyncError("not_claimed", `Message ${seq} is not claimed.`, {
      seq,
      hint: "Only a claimed message can be given back; _claim_message takes it.",
    });
  }
  if (message.claimed_by !== acting.agent && !acting.isAdmin) throw alreadyClaimed(seq, message);
  const write = patchOf(entry, seq, { ...CLAIM_ENDED, done: null }, resume(entry.timer, now));
  return {
    draft: {
      ...authorship(acting, room),
      kind: "release",
      action: "_release_message",
      params: { seq },
      writes: [write],
    },
    reply: (record) => ({
      ...invoked("_release_message", acting, record?.seq ?? room.head),
      released: true,
      message: seq,
    }),
  };
}

/** Refuses a fence that is not the current claim's. Throws `stale_fence`, `message_not_found`. */
export function mustHoldFence(
  room: Room,
  agent: string,
  fence: { message: number; fence: number },
): void {
  const message = room.message(fence.message);
  if (message?.claimed_by === agent && message.fence === fence.fence) return;
  throw new SyncError("stale_fence", `The claim of message ${fence.message} has moved on.`, {
    seq: fence.message,
    fence: fence.fence,
    current: message?.fence ?? null,
    hint: "Somebody else holds the message now, or nobody: stop working on it, or claim it again.",
  });
}
