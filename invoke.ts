/**
 * Invoking: one atomic step against one state of the room. Finds the action, checks what stands
 * before it, and hands its decision to the engine; built-ins too.
 */
import { z } from "zod";
import {
  actionNotFound,
  checkInvocationParams,
  decideDeleteAction,
  decideRegisterAction,
} from "./actions.ts";
import { heartbeat, setStatus } from "./agents.ts";
import { act, type Acting, authorship, mustActAsSomebody } from "./auth.ts";
import { canonical, sha256 } from "./canonical.ts";
import { CelError, compile, type Program, toJson } from "./cel.ts";
import type { Command, Decision, Engine, Moment } from "./engine.ts";
import { invalid, SyncError } from "./errors.ts";
import { readHelp } from "./help.ts";
import { json, jsonObject, keyName, parseBody } from "./input.ts";
import { failedExpression } from "./invoke/failures.ts";
import { why } from "./invoke/why.ts";
import { cooldownWrite, mustMatch, planWrites, type Stage, templateVars } from "./invoke/writes.ts";
import { IDEMPOTENCY_KEY_LENGTH_MAX } from "./limits.ts";
import { decideClaim, decideRelease, decideSend, mustHoldFence } from "./messages.ts";
import { canReadScope, type Elevate, isCustomScope, isPrivateScope, mustReach, type Principal } from "./policy.ts";
import { decideConfigure } from "./rooms.ts";
import { actionEyes, callerEyes, plain, Sight, Tracker } from "./sight.ts";
import { availabilityOf } from "./sight/availability.ts";
import { metaOf } from "./sight/meta.ts";
import type { Room } from "./room.ts";
import type { AgentStatus, Entry, Json, JsonObject, Write } from "./types.ts";
import { decideDeleteView, decideRegisterView } from "./views.ts";

const version = z.union([z.string(), z.number(), z.strictObject({ seq: z.number() })]);

/** The body of an invocation. */
export const invokeBody = z.strictObject({
  params: jsonObject.nullable().optional(),
  agent: z.string().optional(),
  if: z.string().nullable().optional(),
  if_version: z.record(z.string(), version).nullable().optional(),
  fence: z.strictObject({ message: z.number(), fence: z.number() }).nullable().optional(),
  dry_run: z.boolean().optional(),
  context: z.union([z.boolean(), jsonObject]).optional(),
  signature: json.optional(),
});
const EXAMPLE = { params: { choice: "yes" } };

/** The body of an invocation, checked. */
export type InvokeBody = z.output<typeof invokeBody>;

/** What an invocation needs from its door. */
export interface InvokeRequest {
  readonly principal: Principal;
  readonly room: string;
  readonly action: string;
  readonly body: Json;
  readonly agent?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly elevate?: Elevate | undefined;
  /** Makes the `context` that a reply may carry. */
  readonly context?: (moment: Moment, acting: Acting, query: JsonObject) => JsonObject;
}

/** What an invocation answers. */
export interface InvokeReply {
  readonly status: 200 | 201;
  readonly body: JsonObject;
  readonly seq: number;
  readonly replayed: boolean;
}

const CREATED: ReadonlySet<string> = new Set(["_register_action", "_register_view", "_send_message"]);

/** Invokes an action or a built-in. */
export async function invoke(engine: Engine, request: InvokeRequest): Promise<InvokeReply> {
  const body = parseBody(invokeBody, request.body, { example: EXAMPLE });
  const named = body.agent ?? request.agent;
  const status = CREATED.has(request.action) && !body.dry_run ? 201 : 200;
  const command = commandOf(engine, request, body, named);
  if (request.action === "help" && !await isOverridden(engine, request)) {
    const { value, seq } = await engine.read(request.room, (moment) => helpReply(moment, request, body, named));
    return { status: 200, body: value, seq, replayed: false };
  }
  if (body.dry_run) return await rehearse(engine, request, named, command);
  const idem = await idempotency(engine, request, body, named);
  const { reply, seq, replayed } = await engine.submit(request.room, command, idem);
  return { status, body: reply, seq, replayed };
}

async function isOverridden(engine: Engine, request: InvokeRequest): Promise<boolean> {
  const hot = await engine.peek(request.room);
  return hot?.room.action("help") !== undefined;
}

function commandOf(
  engine: Engine,
  request: InvokeRequest,
  body: InvokeBody,
  named: string | undefined,
): Command<JsonObject> {
  return (moment) => {
    const acting = act(request.principal, moment, "action.invoke", named, request.elevate);
    mustActAsSomebody(acting, moment.room);
    try {
      const decision = decide(engine, moment, acting, request.action, body);
      if (!body.dry_run) heartbeat(engine, moment.hot, acting, moment.now);
      return withContext(decision, moment, acting, body, request);
    } catch (error) {
      if (error instanceof SyncError && !body.dry_run) noteRefusal(moment, acting, request.action, body, error);
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
  });
}

function withContext(
  decision: Decision<JsonObject>,
  moment: Moment,
  acting: Acting,
  body: InvokeBody,
  request: InvokeRequest,
): Decision<JsonObject> {
  if (!body.context || !request.context) return decision;
  const query = body.context === true ? {} : body.context as JsonObject;
  return {
    ...decision,
    reply: (record) => ({
      ...decision.reply(record),
      context: request.context!({ ...moment, now: moment.now }, acting, query),
    }),
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
  const acting = act(request.principal, { room: hot.room }, "action.invoke", named, request.elevate);
  const [grant] = request.principal.lineage;
  const who = acting.agent === "" || acting.agent === "admin" ? `token:${grant?.id}` : `agent:${acting.agent}`;
  return { key: `${who}\u0000${key}`, digest: sha256(canonical({ action: request.action, body })) };
}

function decide(
  engine: Engine,
  moment: Moment,
  acting: Acting,
  action: string,
  body: InvokeBody,
): Decision<JsonObject> {
  const params = (body.params ?? {}) as JsonObject;
  const builtin = action === "help" && moment.room.action("help") ? undefined : BUILTINS[action];
  if (!builtin) return decideCustom(moment, acting, action, body, params);
  checkCaller(moment, acting, body);
  mustBeEnabled(moment, acting);
  return builtin(engine, moment, acting, params);
}

type Builtin = (engine: Engine, moment: Moment, acting: Acting, params: JsonObject) => Decision<JsonObject>;

const BUILTINS: Readonly<Record<string, Builtin>> = Object.assign(Object.create(null), {
  _register_action: (_engine, moment, acting, params) => decideRegisterAction(moment, acting, params),
  _delete_action: (_engine, moment, acting, params) => decideDeleteAction(moment, acting, params),
  _register_view: (_engine, moment, acting, params) => decideRegisterView(moment, acting, params),
  _delete_view: (_engine, moment, acting, params) => decideDeleteView(moment, acting, params),
  _send_message: (_engine, moment, acting, params) => decideSend(moment, acting, params),
  _claim_message: (_engine, moment, acting, params) => decideClaim(moment, acting, params),
  _release_message: (_engine, moment, acting, params) => decideRelease(moment, acting, params),
  _set_status: (engine, moment, acting, params) => decideStatus(engine, moment, acting, params),
  _configure: (_engine, moment, acting, params) => {
    mustReach(acting.access, "action.configure", moment.room);
    return decideConfigure(moment, acting, params);
  },
} satisfies Record<string, Builtin>);

function decideStatus(engine: Engine, moment: Moment, acting: Acting, raw: JsonObject): Decision<JsonObject> {
  const schema = z.strictObject({ status: z.enum(["active", "busy", "idle", "done"]) });
  const { status } = parseBody(schema, raw, { example: { status: "busy" }, at: "params" });
  if (acting.agent === "admin") throw invalid("agent", "an agent is wanted: an admin has no status", "alice");
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
  const { key } = parseBody(schema, (body.params ?? {}) as Json, { example: { key: "guide" }, at: "params" });
  const sight = new Sight(moment.hot, callerEyes(moment.room, acting.agent, acting.seesAll), moment.now);
  return { invoked: true, action: "help", agent: acting.agent, ...readHelp(moment, sight, key) };
}

function mustBeEnabled({ hot, room, now }: Moment, acting: Acting): void {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  if (acting.agent === "admin" || sight.isAgentThere(acting.agent)) return;
  throw new SyncError("agent_disabled", `The agent "${acting.agent}" is not part of the room now.`, {
    agent: acting.agent,
    hint: 'Its "enabled" expression does not hold; it may read, and wait until it does.',
  });
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
  if (!entry || !definition || entry.timer?.effect === "enable") throw actionNotFound(room, id);
  const caller = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  mustBeEnabled(moment, acting);
  if (!caller.isThere("_actions", id, entry)) throw actionDisabled(id);
  if (entry.cooldown) throw coolingDown(id, entry);
  const params = checkInvocationParams(definition.params, given);
  const tracker = new Tracker();
  const eyes = actionEyes(room, definition.scope, acting.agent);
  const sight = new Sight(hot, eyes, now, tracker, params);
  if (definition.if !== undefined) {
    const names = definition.params ? Object.keys(definition.params) : undefined;
    const program = compile(definition.if, { field: "if", place: "action", params: names });
    mustHold(program, "if", sight, acting);
  }
  checkCaller(moment, acting, body, params);
  const vars = templateVars(room, acting.agent, params, now);
  const stage: Stage = { room, now, acting, definition, vars, sight };
  const writes = planWrites(stage);
  const all = [...writes, ...cooldownWrite(stage)];
  let resultError: string | undefined;
  const result = (): Json | undefined => {
    if (definition.result === undefined) return undefined;
    try {
      const after = new Sight(hot, eyes, now, undefined, params);
      return toJson(plain(after.evaluate(compile(definition.result, { field: "result", place: "action" }))));
    } catch (error) {
      const failure = failedExpression(error, "result");
      if (!(failure instanceof SyncError)) throw failure;
      resultError = failure.message;
      return null;
    }
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

/** The body's own `if`, `if_version` and `fence`: judged with the caller's rights, never the action's. */
function checkCaller(moment: Moment, acting: Acting, body: InvokeBody, params: JsonObject = {}): void {
  const { hot, room, now } = moment;
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now, undefined, params);
  if (body.if != null) {
    const program = compile(body.if, { field: "if", place: "call", expect: "bool" });
    mustBeReadable(room, acting, program);
    mustHold(program, "if", sight, acting);
  }
  for (const [path, expected] of Object.entries(body.if_version ?? {})) {
    const [scope, key] = splitPath(path, acting);
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) throw unreadable(scope, key);
    mustMatch({ room, acting, sight }, scope, key, expected as Json);
  }
  if (body.fence) mustHoldFence(room, acting.agent, body.fence);
}

/** `scope.key`, split at the first dot. Throws `invalid_argument`. */
export function splitPath(path: string, acting: Pick<Acting, "agent">): [scope: string, key: string] {
  const dot = path.indexOf(".");
  if (dot <= 0 || dot === path.length - 1) {
    throw invalid("if_version", 'names of the form "scope.key" are wanted', { "_shared.phase": "486ea46224d1bb4f" });
  }
  const scope = path.slice(0, dot);
  return [scope === "self" ? acting.agent : scope, path.slice(dot + 1)];
}

function unreadable(scope: string, key: string): SyncError {
  return new SyncError("scope_denied", `The caller may not read the scope "${scope}".`, { scope, key });
}

/** Refuses a caller's expression about a scope that the caller may not read. */
function mustBeReadable(room: Moment["room"], acting: Acting, program: Program): void {
  for (const ref of program.refs) {
    const scope = ref.root === "state" ? ref.path[0] : undefined;
    if (typeof scope !== "string" || scope === "self" || !isPrivateScope(scope) || isCustomScope(scope)) continue;
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) throw unreadable(scope, ref.path[1] ?? "");
  }
}

/** Only `true` opens a gate. A missing key or member counts as not true. */
function mustHold(program: Program, field: string, sight: Sight, acting: Acting): void {
  let value: unknown;
  let missing: string | undefined;
  try {
    value = sight.evaluate(program);
  } catch (error) {
    if (!(error instanceof CelError) || error.code !== "missing") throw failedExpression(error, field);
    missing = error.path ?? error.detail;
  }
  if (value === true) return;
  if (missing === undefined && value !== false) {
    throw new SyncError("cel_error", `The expression in "${field}" yields no boolean.`, {
      field,
      detail: "a gate yields true or false",
      help: "expressions",
    });
  }
  throw new SyncError("precondition_failed", `The condition does not hold: ${program.source}`, {
    expression: program.source,
    evaluated: false,
    why: why(program, sight, acting),
    hint: "Wait until it holds (GET /rooms/:id/wait?condition=…), or change what it reads.",
    help: "expressions",
  });
}

function actionDisabled(id: string): SyncError {
  return new SyncError("action_disabled", `The action "${id}" is not part of the room now.`, {
    action: id,
    hint: 'Its "enabled" expression, or that of its agent, does not hold.',
  });
}

function coolingDown(id: string, entry: Entry): SyncError {
  const { due_at, ticks_left, tick_on } = entry.cooldown!;
  return new SyncError("action_cooldown", `The action "${id}" is cooling down.`, {
    action: id,
    ...(due_at === undefined ? {} : { available_at: due_at }),
    ...(ticks_left === undefined ? {} : { ticks_left, tick_on: tick_on ?? null }),
    hint: `Wait for it: GET /rooms/:id/wait?condition=actions["${id}"].value.available`,
  });
}

/** Writes as the reply shows them: values as the next read will, nothing of scopes one may not read. */
function shownWrites({ hot, room, now }: Moment, acting: Acting, writes: readonly Write[]): Json[] {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  return writes.map((write): JsonObject => {
    const { scope, key, op } = write;
    if (!canReadScope(room, acting.agent, acting.seesAll, scope)) return { hidden: true };
    const entry = room.get(scope, key);
    if (!entry) return { scope, key, value: null, deleted: true };
    const mode = op === "set" ? {} : { op };
    return { scope, key, value: entry.value, ...mode, _meta: metaOf(sight, scope, key, entry, "focus") };
  });
}

/** A dry run: everything but a change. */
async function rehearse(
  engine: Engine,
  request: InvokeRequest,
  named: string | undefined,
  command: Command<JsonObject>,
): Promise<InvokeReply> {
  let before = new Map<string, boolean>();
  const actingIn = (moment: Moment): Acting =>
    act(request.principal, moment, "action.invoke", named, request.elevate);
  const noting: Command<JsonObject> = (moment) => {
    before = availableNow(moment, actingIn(moment));
    return command(moment);
  };
  const { value, seq } = await engine.rehearse(request.room, noting, (moment, record, cells) => {
    const acting = actingIn(moment);
    const writes = (record?.writes ?? []).filter((write) => write.op !== "cooldown");
    const after = availableNow(moment, acting);
    const ids = [...new Set([...before.keys(), ...after.keys()])].sort();
    const changed = ids.filter((id) => before.get(id) !== after.get(id));
    return {
      dry_run: true,
      would_invoke: true,
      action: request.action,
      agent: acting.agent,
      writes: shownWrites(moment, acting, writes),
      ...(record?.result === undefined ? {} : { result: record.result }),
      actions_changed: changed.map((id) => ({ id, available: after.get(id) ?? null, was: before.get(id) ?? null })),
      views_changed: [...cells].filter((cell) => cell.startsWith("view:")).map((cell) => cell.slice(5)).sort(),
      ...wouldWake(moment, acting, cells),
    };
  });
  return { status: 200, body: value, seq, replayed: false };
}

/** Which actions the caller could invoke at this moment. */
function availableNow({ hot, room, now }: Moment, acting: Acting): Map<string, boolean> {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  const available = new Map<string, boolean>();
  for (const id of room.scopes.get("_actions")?.keys() ?? []) {
    const entry = sight.entry("_actions", id);
    if (entry) available.set(id, availabilityOf(sight, id, room.action(id)!, entry).available);
  }
  return available;
}

/** Waits that would be answered: by name where they read only what the caller may read, else counted. */
function wouldWake(moment: Moment, acting: Acting, cells: ReadonlySet<string>): JsonObject {
  const woken: JsonObject[] = [];
  let hidden = 0;
  for (const [agent, waits] of moment.hot.waits) {
    for (const wait of waits) {
      if (![...wait.cells()].some((cell) => cells.has(cell)) || !wait.wouldHold(moment)) continue;
      const isReadable = (wait.program?.refs ?? []).every((ref) => isReadableRef(moment.room, acting, ref, agent));
      if (isReadable) woken.push({ agent, condition: wait.condition });
      else hidden++;
    }
  }
  return { waits_woken: woken, waits_woken_hidden: hidden };
}

function isReadableRef(room: Room, acting: Acting, ref: Program["refs"][number], agent: string): boolean {
  if (ref.root !== "state") return true;
  const scope = ref.path[0] === "self" ? agent : ref.path[0];
  return typeof scope === "string" && canReadScope(room, acting.agent, acting.seesAll, scope);
}
