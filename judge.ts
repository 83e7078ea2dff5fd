/**
 * Verdicts: one agent's word on another's record. Each is a record of its room; those that count
 * are evidence about the judged actor, wherever it is.
 */
import { z } from "zod";
import { GENERAL_DOMAIN, isLocalActor } from "./actors.ts";
import { type Acting, authorship } from "./auth.ts";
import { sha256 } from "./canonical.ts";
import type { Decision, Moment } from "./engine/types.ts";
import { invalid, SyncError } from "./errors.ts";
import { parseBody } from "./input.ts";
import { TEXT_LENGTH_MAX } from "./limits.ts";
import { SYSTEM_ACTOR } from "./room.ts";
import { insertObservation } from "./store/evidence.ts";
import type { Json, JsonObject, LogRecord } from "./types.ts";

/** A free word for what a verdict is about. */
export const domainWord = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/, {
  error: "a word of 1-64 letters, digits, '_', '.', ':' or '-' is wanted",
});

/** Parameters of `_judge`. */
export const judgeParams = z.strictObject({
  subject: z.number({ error: "a record's seq is wanted" }).int().positive(),
  verdict: z.enum(["accept", "reject"]),
  domain: domainWord.nullable().optional(),
  note: z.string().max(TEXT_LENGTH_MAX).nullable().optional(),
});
const EXAMPLE = { subject: 12, verdict: "accept", domain: "code" };

/** Why a verdict is no evidence. */
type Uncounted = "self" | "anonymous" | "on_behalf" | "system";

/** Judges a record of the room. Throws `record_not_found`. */
export function decideJudge(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { hot, room, now } = moment;
  const params = parseBody(judgeParams, raw, { example: EXAMPLE, at: "params" });
  const { subject, verdict, note } = params;
  const judged = subject <= room.head ? hot.actors?.record(room.uid, subject) : undefined;
  if (!judged) throw recordNotFound(subject, room.head);
  const domain = domainOf(moment, judged, params.domain ?? undefined);
  const author = authorship(acting, room);
  const why = whyUncounted(moment, acting, author, judged);
  const outcome: JsonObject = {
    actor: judged.actor,
    verdict,
    domain,
    counted: why === undefined,
    ...(why === undefined ? {} : { why }),
  };
  const observation = insertObservation({
    actor: judged.actor,
    domain,
    room: room.uid,
    seq: room.head + 1,
    subject,
    judge: judgeKey(moment, acting, author.actor),
    judgeActor: author.actor,
    isAccept: verdict === "accept",
    at: now,
  });
  return {
    draft: {
      ...author,
      kind: "verdict",
      action: "_judge",
      params: { subject, verdict, domain, ...(note == null ? {} : { note }) },
    },
    result: () => outcome,
    side: why === undefined ? [observation] : [],
    reply: (record) => ({
      invoked: true,
      action: "_judge",
      agent: acting.agent,
      seq: record?.seq ?? room.head,
      subject,
      ...outcome,
    }),
  };
}

function recordNotFound(seq: number, head: number): SyncError {
  return new SyncError("record_not_found", `There is no record ${seq} in this room's log.`, {
    field: "params.subject",
    subject: seq,
    head,
    hint: "GET /rooms/:id/log lists the records and their seq.",
  });
}

/** An action's own domain goes before the judge's word. */
function domainOf({ room }: Moment, judged: LogRecord, given: string | undefined): string {
  const own = judged.kind === "invoke" && judged.action !== undefined
    ? room.action(judged.action)?.domain
    : undefined;
  if (own !== undefined && given !== undefined && own !== given) {
    throw invalid("params.domain", `the action "${judged.action}" is judged in "${own}"`, own);
  }
  return own ?? given ?? GENERAL_DOMAIN;
}

/** The user behind an actor, as far as anybody is. */
function userBehind({ hot }: Moment, did: string): string | undefined {
  return hot.actors?.owner(did).user;
}

/** Judges are counted by the user behind them: ten agents of one person are one judge. */
function judgeKey(moment: Moment, acting: Acting, actor: string): string {
  const user = rootUser(moment, acting, actor);
  return user === undefined ? actor : `user:${user}`;
}

function rootUser(moment: Moment, acting: Acting, actor: string): string | undefined {
  const calling = acting.access.principal.lineage.find((grant) => grant.user !== null);
  return calling?.user ?? moment.room.agent(acting.agent)?.owner ?? userBehind(moment, actor);
}

function whyUncounted(
  moment: Moment,
  acting: Acting,
  author: { readonly actor: string; readonly on_behalf?: string },
  judged: LogRecord,
): Uncounted | undefined {
  if (judged.actor === SYSTEM_ACTOR) return "system";
  const user = rootUser(moment, acting, author.actor);
  const sessions = acting.access.principal.lineage.map((grant) => sha256(grant.id).slice(0, 16));
  const isOwnToken = judged.session !== undefined && sessions.includes(judged.session);
  const owners = [moment.room.agent(judged.agent)?.owner, userBehind(moment, judged.actor)];
  const isOwnUser = user !== undefined && owners.includes(user);
  if (judged.actor === author.actor || isOwnToken || isOwnUser) return "self";
  if (author.on_behalf !== undefined || judged.on_behalf !== undefined) return "on_behalf";
  if (user === undefined && !isLocalActor(judged.actor)) return "anonymous";
  return undefined;
}
