/**
 * Invoking: one atomic step against one state of the room. Finds the action, checks what stands
 * before it, and hands its decision to the engine; built-ins too.
 */
import { readHelp } from "./help.ts";
import { z } from "zod";
import { actionNotFound, decideDeleteAction, decideRegisterAction } from "./actions.ts";
import { checkInvocationParams } from "./actions/params.ts";
import { heartbeat, noteLife, setStatus } from "./agents/presence.ts";
import { act, type Acting, authorship, mustActAsSomebody } from "./auth.ts";
import { canonical, jsonBytes, sha256 } from "./canonical.ts";
import { compile, toJson } from "./cel.ts";
import type { Command, Decision, Moment } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { invalid, SyncError } from "./errors.ts";
import { keyName, parseBody } from "./input.ts";
import { failedExpression, readsBeyond } from "./invoke/failures.ts";
import {
  actionDisabled,
  checkCaller,
  coolingDown,
  mustBeEnabled,
  mustHold,
} from "./invoke/gates.ts";
import { actingFor, CONFIGURE } from "./invoke/acting.ts";
import { rehearse, shownWrites } from "./invoke/rehearse.ts";
import {
  EXAMPLE,
  type InvokeBody,
  invokeBody,
  type InvokeReply,
  type InvokeRequest,
} from "./invoke/request.ts";
import { cooldownWrite, planWrites, type Stage, templateVars } from "./invoke/writes.ts";
import { decideJudge } from "./judge.ts";
import { IDEMPOTENCY_KEY_LENGTH_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import { decideClaim, decideRelease, decideSend } from "./messages.ts";
import { type Elevate, mustReach } from "./policy.ts";
import { decideConfigure } from "./rooms.ts";
import { withSignature } from "./registry/signed.ts";
import { actionEyes, callerEyes, plain, Sight, Tracker } from "./sight.ts";
import type { AgentStatus, Json, JsonObject } from "./types.ts";
import { decideDeleteView, decideRegisterView } from "./views.ts";

const CREATED: ReadonlySet<string> = new Set([
  "_register_action",
  "_register_view",
  "_send_message",
]);

/** Invokes an action or a built-in: a sign of life of the acting agent, also when it is refused. */
export async function invoke(engine: Engine, request: InvokeRequest): Promise<InvokeReply> {
  const { principal, room } = request;
  let named = request.agent;
  try {
    const body = parseBody(invokeBody, request.body, {
      example: EXAMPLE,
      hint: 'What the action takes stands under "params".',
    });
    named = body.agent ?? named;
    const reply = await perform(engine, request, body, named);
    const isNew = !reply.replayed && !body.dry_run && request.action !== "help";
    if (!isNew) await noteLife(engine, principal, room, named);
    return reply;
  } catch (error) {
    await noteLife(engine, principal, room, named, error);
    throw error;
  }
}

async function perform(
  engine: Engine,
  request: InvokeRequest,
  body: InvokeBody,
  named: string | undefined,
): Promise<InvokeReply> {
  const status = CREATED.has(request.action) && !body.dry_run ? 201 : 200;
  const command = commandOf(engine, request, body, named);
  if (request.action === "help" && !await isOverridden(engine, request)) {
    const { value, seq } = await engine.read(
      request.room,
      (moment) => helpReply(moment, request, body, named),
    );
    return { status: 200, body: value, seq, replayed: false };
  }
  if (body.dry_run) return await rehearse(engine, request, named, command);
  const idem = await idempotency(engine, request, body, named);
  const { reply, seq, replayed } = await engine.submit(request.room, command, idem);
  if (!replayed) return { status, body: reply, seq, replayed };
  const context = await contextNow(engine, request, body, named);
  return { status, body: { ...reply, ...context }, seq, replayed };
}

/** The context that an invocation asked for, when the invocation itself was done before. */
async function contextNow(
  engine: Engine,
  request: InvokeRequest,
  body: InvokeBody,
  named: string | undefined,
): Promise<JsonObject> {
  const query = contextQuery(body, request);
  if (!query) return {};
  const { value: context } = await engine.read(request.room, (moment) => {
    const acting = actingFor(request, moment, named);
    return request.context!(moment, acting, query);
  });
  return { context };
}

/** The parameters of the context that is wanted after an invocation, if one is. */
function contextQuery(body: InvokeBody, request: InvokeRequest): JsonObject | undefined {
  if (!body.context || !request.context) return undefined;
  return body.context === true ? {} : body.context as JsonObject;
}

async function isOverridden(engine: Engine, request: InvokeRequest): Promise<boolean> {
  const hot = await engine.peek(request.room);
  return hot?.room.action("help") !== undefined;
}

/** An invocation as a command; with `dry_run` it leaves no sign of life and no refusal behind. */
export function commandOf(
  engine: Engine,
  request: InvokeRequest,
  body: InvokeBody,
  named: string | undefined,
): Command<JsonObject> {
  return (moment) => {
    const acting = actingFor(request, moment, named);
    mustActAsSomebody(acting, moment.room);
    try {
      const decided = decide(engine, moment, acting, request, body);
      const decision = withSignature(decided, acting, moment.room, request.signed);
      if (!body.dry_run) heartbeat(engine, moment.hot, acting, moment.now);
      return withContext(decision, moment, acting, body, request);
    } catch (error) {
      if (error instanceof SyncError && !body.dry_run) {
        noteRefusal(moment, acting, request.action, body, error);
      }
      throw error;
    }
  };
}

function noteRefusal(
  { hot, now }: Moment,
  acting: Acting,
  action: string,
  body: InvokeBody,
  error: SyncError,
): void {
  hot.refuse({
    ts: new Date(now).toISOString(),
    agent: acting.agent,
    action: action.slice(0, 128),
    params: (body.params ?? {}) as Json,
    error: error.toJSON() as Json,
  }, error.code !== "action_not_found");
}

function withContext(
  decision: Decision<JsonObject>,
  moment: Moment,
  acting: Acting,
  body: InvokeBody,
  request: InvokeRequest,
): Decision<JsonObject> {
  const query = contextQuery(body, request);
  if (!query) return decision;
  return {
    ...decision,
    reply: (record) => ({
      ...decision.reply(record),
      context: request.context!({ ...moment, now: moment.now }, acting, query),
    }),
    // As large as the room, and old when somebody asks again.
    kept: ({ context: _context, ...outcome }) => outcome,
  };
}

/** How an idempotent request is known again: who, which key, and what was asked. */
async function idempotency(
  engine: Engine,
  request: InvokeRequest,
  body: InvokeBody,
  named: string | undefined,
): Promise<{ key: string; digest: string } | undefined> {
  const { idempotencyKey: key } = request;
  if (key === undefined) return undefined;
  if (key === "" || key.length > IDEMPOTENCY_KEY_LENGTH_MAX) {
    throw invalid("Idempotency-Key", `1-${IDEMPOTENCY_KEY_LENGTH_MAX} characters are wanted`);
  }
  const hot = await engine.find(request.room);
  const acting = actingFor(request, { room: hot.room }, named);
  const [grant] = request.principal.lineage;
  const who = acting.agent === "" || acting.agent === "admin"
    ? `token:${grant?.id}`
    : `agent:${acting.agent}`;
  // No NUL in what the database keeps as text: it would end there.
  return { key: `${who} ${key}`, digest: sha256(canonical({ action: request.action, body })) };
}

function decide(
  engine: Engine,
  moment: Moment,
  acting: Acting,
  { action, elevate }: InvokeRequest,
  body: InvokeBody,
): Decision<JsonObject> {
  const params = (body.params ?? {}) as JsonObject;
  const builtin = action === "help" && moment.room.action("help") ? undefined : BUILTINS[action];
  if (!builtin) return decideCustom(moment, acting, action, body, params);
  checkCaller(moment, acting, action, body);
  mustBeEnabled(moment, acting);
  return builtin(engine, moment, acting, params, elevate);
}

type Builtin = (
  engine: Engine,
  moment: Moment,
  acting: Acting,
  params: JsonObject,
  elevate: Elevate | undefined,
) => Decision<JsonObject>;

const BUILTINS: Readonly<Record<string, Builtin>> = Object.assign(
  Object.create(null),
  {
    _register_action: (_engine, moment, acting, params) =>
      decideRegisterAction(moment, acting, params),
    _delete_action: (_engine, moment, acting, params) => decideDeleteAction(moment, acting, params),
    _register_view: (_engine, moment, acting, params) => decideRegisterView(moment, acting, params),
    _delete_view: (_engine, moment, acting, params) => decideDeleteView(moment, acting, params),
    _send_message: (_engine, moment, acting, params) => decideSend(moment, acting, params),
    _claim_message: (_engine, moment, acting, params) => decideClaim(moment, acting, params),
    _release_message: (_engine, moment, acting, params) => decideRelease(moment, acting, params),
    _judge: (_engine, moment, acting, params) => decideJudge(moment, acting, params),
    _set_status: (engine, moment, acting, params) => decideStatus(engine, moment, acting, params),
    [CONFIGURE]: (_engine, moment, acting, params, elevate) => {
      mustReach(acting.access, "action.configure", moment.room, elevate);
      return decideConfigure(moment, acting, params);
    },
  } satisfies Record<string, Builtin>,
);

function decideStatus(
  engine: Engine,
  moment: Moment,
  acting: Acting,
  raw: JsonObject,
): Decision<JsonObject> {
  const schema = z.strictObject({ status: z.enum(["active", "busy", "idle", "done"]) });
  const { status } = parseBody(schema, raw, { example: { status: "busy" }, at: "params" });
  if (acting.agent === "admin") {
    throw invalid("agent", "an agent is wanted: an admin has no status", "alice");
  }
  return {
    reply: () => {
      setStatus(engine, moment.hot, acting.agent, status as AgentStatus, moment.now);
      return { invoked: true, action: "_set_status", agent: acting.agent, status };
    },
  };
}

function helpReply(
  moment: Moment,
  request: InvokeRequest,
  body: InvokeBody,
  named: string | undefined,
): JsonObject {
  const acting = act(request.principal, moment, "help", named, request.elevate);
  const schema = z.strictObject({ key: keyName.optional() });
  const { key } = parseBody(schema, (body.params ?? {}) as Json, {
    example: { key: "guide" },
    at: "params",
  });
  const sight = new Sight(
    moment.hot,
    callerEyes(moment.room, acting.agent, acting.seesAll),
    moment.now,
  );
  return { invoked: true, action: "help", agent: acting.agent, ...readHelp(moment, sight, key) };
}

/** What an action's `result` comes to after its writes; null, and why, where that is nothing to keep. */
function resultOf(source: string, after: Sight, acting: Acting): { value: Json; error?: string } {
  const program = compile(source, { field: "result", place: "action" });
  try {
    const value = toJson(plain(after.evaluate(program)));
    if (jsonBytes(value) <= VALUE_BYTES_MAX) return { value };
    return { value: null, error: `The result takes more than ${VALUE_BYTES_MAX} bytes.` };
  } catch (error) {
    const failure = failedExpression(error, "result", readsBeyond(program, after, acting));
    if (!(failure instanceof SyncError)) throw failure;
    return { value: null, error: failure.message };
  }
}

/** The order of an invocation: find, enabled, cooldown, params, gates, writes. */
function decideCustom(
  moment: Moment,
  acting: Acting,
  id: string,
  body: InvokeBody,
  given: JsonObject,
): Decision<JsonObject> {
  const { hot, room, now } = moment;
  const entry = room.get("_actions", id);
  const definition = room.action(id);
  const caller = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  if (!entry || !definition || entry.timer?.effect === "enable") throw actionNotFound(caller, id);
  mustBeEnabled(moment, acting);
  if (!caller.isThere("_actions", id, entry)) throw actionDisabled(id);
  if (entry.cooldown) throw coolingDown(id, entry);
  const params = checkInvocationParams(definition.params, given);
  const tracker = new Tracker();
  const eyes = actionEyes(room, definition, acting.agent, definition.memory_of);
  const sight = new Sight(hot, eyes, now, tracker, params);
  if (definition.if !== undefined) {
    const names = definition.params ? Object.keys(definition.params) : undefined;
    const program = compile(definition.if, { field: "if", place: "action", params: names });
    mustHold(program, "if", sight, acting, id);
  }
  checkCaller(moment, acting, id, body, params);
  const vars = templateVars(room, acting.agent, params, now);
  const stage: Stage = { room, now, acting, definition, vars, sight };
  const writes = planWrites(stage);
  const all = [...writes, ...cooldownWrite(stage)];
  let resultError: string | undefined;
  const result = (): Json | undefined => {
    if (definition.result === undefined) return undefined;
    const after = new Sight(hot, eyes, now, undefined, params);
    const { value, error } = resultOf(definition.result, after, acting);
    resultError = error;
    return value;
  };
  return {
    draft: {
      ...authorship(acting, room),
      kind: "invoke",
      action: id,
      ...(Object.keys(params).length > 0 ? { params } : {}),
      ...(tracker.seen.size > 0 ? { seen: Object.fromEntries(tracker.seen) } : {}),
      writes: all,
    },
    result,
    reply: (record) => ({
      invoked: true,
      action: id,
      agent: acting.agent,
      seq: record?.seq ?? room.head,
      writes: shownWrites(moment, acting, writes),
      ...(definition.result === undefined ? {} : { result: record?.result ?? null }),
      ...(resultError === undefined ? {} : { result_error: resultError }),
    }),
  };
}
