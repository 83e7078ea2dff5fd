/**
 * Shapes what a reader sees: one consistent cut of the room, tiers by salience, a budget, the
 * changes since a record, and how far the reader's cursors move.
 */
import type { Acting } from "./auth.ts";
import { addMostSalient, Budgeter } from "./context/budget.ts";
import { collectMessages, earlier, type MessagesSection } from "./context/messages.ts";
import { inShape } from "./context/plain.ts";
import type { ContextQuery } from "./context/query.ts";
import { collectState, showEntry, type StateSection, tierFor } from "./context/state.ts";
import { mayContestHaveGone, showActions, showAgents, showViews } from "./context/vocabulary.ts";
import type { Engine } from "./engine.ts";
import type { Moment } from "./engine/types.ts";
import type { HotRoom } from "./engine/hot.ts";
import { isPrivateScope } from "./policy.ts";
import { isNewSince } from "./room/changes.ts";
import { callerEyes, type Eyes, Sight } from "./sight.ts";
import type { Json, JsonObject } from "./types.ts";

/** How far a read moves the reader's cursors, once the reply is on its way. */
export interface CursorMove {
  readonly agent: string;
  readonly read?: number;
  readonly seen?: number;
}

/** A context and what it does to the reader's cursors. */
export interface Context {
  readonly body: JsonObject;
  readonly cursors: CursorMove | undefined;
}

/** A context in pieces, before it is laid out whole or within a budget. */
interface Collected {
  readonly state: StateSection;
  readonly views: ReadonlyMap<string, JsonObject>;
  readonly agents: ReadonlyMap<string, JsonObject>;
  readonly actions: ReadonlyMap<string, JsonObject>;
  readonly messages: MessagesSection | undefined;
}

/** Builds the context that a reader gets at a moment. */
export function buildContext(
  moment: Moment,
  acting: Acting,
  asked: ContextQuery,
  eyes: Eyes = callerEyes(moment.room, acting.agent, acting.seesAll),
): Context {
  const { hot, now } = moment;
  const isReset = asked.since !== undefined && mustReset(moment, acting, asked.since);
  const { since: _since, ...whole } = asked;
  const query: ContextQuery = isReset ? whole : asked;
  const sight = new Sight(hot, eyes, now);
  // A reader that is no agent has no cursor: nothing is new to it.
  const seen = sight.scorer.isAgent ? hot.presence.get(acting.agent)?.seen ?? 0 : moment.room.head;
  const has = (section: "state" | "views" | "agents" | "actions" | "messages"): boolean =>
    query.sections.has(section);
  if (has("views")) hot.viewsReadAt = moment.room.head;
  const state = has("state")
    ? collectState(sight, query, seen)
    : { scopes: [], candidates: [], isWhole: true };
  const collected: Collected = {
    state,
    views: has("views") ? showViews(sight, query, state.isWhole) : new Map(),
    agents: has("agents") ? showAgents(sight, hot, query.depth) : new Map(),
    actions: has("actions") ? showActions(sight, hot, acting, query) : new Map(),
    messages: has("messages") ? collectMessages(sight, query) : undefined,
  };
  const frame = frameOf(moment, acting, query, sight, collected, isReset);
  const laid = query.budget === undefined
    ? layOutWhole(frame, sight, collected, query)
    : layOutWithin(frame, sight, collected, query, query.budget);
  return { body: laid.body, cursors: cursorsAfter(moment, acting, query, collected, laid) };
}

/** Can changes since `since` not be told? Too old, ahead of the room, or the reader's rights changed. */
function mustReset({ room }: Moment, acting: Acting, since: number): boolean {
  if (since > room.head || since < room.removalsFrom) return true;
  const me = room.get("_agents", acting.agent);
  return me !== undefined && me.seq > since;
}

/** Everything of the reply but its sections' contents. */
function frameOf(
  moment: Moment,
  acting: Acting,
  query: ContextQuery,
  sight: Sight,
  collected: Collected,
  isReset: boolean,
): JsonObject {
  const frame: JsonObject = { seq: moment.room.head };
  if (query.sections.has("state")) {
    frame["state"] = Object.fromEntries(collected.state.scopes.map((scope) => [scope, {}]));
  }
  for (const section of ["views", "agents", "actions"] as const) {
    if (query.sections.has(section)) frame[section] = {};
  }
  const { messages } = collected;
  if (messages) {
    frame["messages"] = { ...messages.counters, recent: [], total: messages.total, returned: 0 };
  }
  frame["self"] = acting.agent;
  if (isReset) frame["reset"] = true;
  if (acting.seesAll && query.include.has("_hidden")) frame["hidden"] = hiddenThings(moment, sight);
  if (query.since !== undefined) frame["removed"] = removedSince(moment, sight, query.since);
  frame["_shaping"] = shapingOf(query, collected);
  frame["_context"] = { depth: query.depth, help: helpFor(sight, collected) };
  return frame;
}

function shapingOf(query: ContextQuery, { state }: Collected): JsonObject {
  const counts = { focus: 0, peripheral: 0, elided: 0, total: state.candidates.length };
  for (const candidate of state.candidates) counts[tierFor(candidate, state, query).tier]++;
  const left = ["state", "views", "agents", "actions", "messages"].filter((name) =>
    !query.sections.has(name as "state")
  );
  return {
    focus_threshold: query.focus,
    elide_threshold: query.elide,
    elision: query.elision,
    ...(state.isWhole && query.sections.has("state") ? { reason: "small" } : {}),
    state_entries: counts,
    ...(left.length > 0 ? { sections_elided: left } : {}),
  };
}

/** What is stored but not part of the room's live state for this reader, and why. */
function hiddenThings({ room }: Moment, sight: Sight): Json[] {
  const hidden: JsonObject[] = [];
  for (const [scope, holder] of room.scopes) {
    for (const key of holder.keys()) {
      const entry = holder.entries.get(key)!;
      if (sight.isThere(scope, key, entry)) continue;
      const why = entry.timer?.effect === "enable" ? "dormant" : "disabled";
      hidden.push({ scope, key, value: entry.value, hidden: why });
    }
  }
  return hidden;
}

/** Help keys that fit what the reader sees. */
function helpFor(sight: Sight, { messages, views, state }: Collected): string[] {
  const help: string[] = [];
  if ((sight.room.scopes.get("_actions")?.entries.size ?? 0) === 0) {
    help.push("vocabulary_bootstrap");
  }
  if (sight.contested.size > 0) help.push("contested_actions");
  if (Number(messages?.counters["directed_unread"] ?? 0) > 0) help.push("directed_messages");
  if (!state.isWhole) help.push("shaping");
  const isBroken = [...views.values()].some((view) =>
    (view["_meta"] as JsonObject)["error"] !== undefined
  );
  if (isBroken) help.push("broken_views");
  return help;
}

/** What the reader could see before and is gone, or hidden, since. */
function removedSince({ room, hot }: Moment, sight: Sight, since: number): Json[] {
  const gone = new Map<string, JsonObject>();
  const add = (scope: string, key: string): void => {
    const form = removalOf(sight, scope, key);
    if (form) gone.set(`${scope}.${key}`, form);
  };
  for (let i = room.removals.length - 1; i >= 0 && room.removals[i]!.seq > since; i--) {
    const { scope, key } = room.removals[i]!;
    const entry = room.get(scope, key);
    if (!entry || !sight.isThere(scope, key, entry)) add(scope, key);
  }
  if (mayContestHaveGone(sight, since)) add("_views", "_contested");
  // What came only since, and is hidden, was never there.
  const addKnown = (scope: string, key: string): void => {
    if (!isNewSince(scope, key, room.get(scope, key)!, since)) add(scope, key);
  };
  // With an agent go its scope, its actions and its messages.
  const addThingsOf = (agent: string): void => {
    for (const key of room.scopes.get(agent)?.keys() ?? []) addKnown(agent, key);
    for (const id of room.scopes.get("_actions")?.keys() ?? []) {
      if (room.action(id)!.scope === agent) addKnown("_actions", id);
    }
    for (const { seq } of room.messages.places) {
      if (room.message(seq)!.from === agent) addKnown("_messages", String(seq));
    }
  };
  for (const cell of room.gated) {
    const at = cell.indexOf("\u0000");
    const scope = cell.slice(0, at), key = cell.slice(at + 1);
    const entry = room.get(scope, key)!;
    const isSame = hot.memos.isGateUnchanged(cell, sight.viewer, since) && entry.touched <= since;
    if (isSame || sight.isThere(scope, key, entry)) continue;
    if (scope === "_agents") addThingsOf(key);
    else addKnown(scope, key);
  }
  return [...gone.values()];
}

function removalOf(sight: Sight, scope: string, key: string): JsonObject | undefined {
  if (scope === "_actions") return { action: key };
  if (scope === "_views") return { view: key };
  if (scope === "_messages") return { message: Number(key) };
  if (scope === "_agents" || scope === "_config" || scope === "_help") return undefined;
  if (isPrivateScope(scope) && !sight.eyes.canRead(scope)) return undefined;
  return { scope: scope === sight.eyes.own ? "self" : scope, key };
}

/** What was laid out, and what did not fit. */
interface LaidOut {
  readonly body: JsonObject;
  /** All of the state that is new to the reader is in it. */
  readonly isStateWhole: boolean;
  /** How far the messages go without a gap. */
  readonly readTo: number | undefined;
}

function layOutWhole(
  frame: JsonObject,
  sight: Sight,
  collected: Collected,
  query: ContextQuery,
): LaidOut {
  const { state, messages } = collected;
  const shown = (frame["state"] ?? {}) as Record<string, JsonObject>;
  for (const candidate of state.candidates) {
    shown[candidate.shownScope]![candidate.key] = showEntry(sight, candidate, state, query);
  }
  for (const section of ["views", "agents", "actions"] as const) {
    if (frame[section] !== undefined) frame[section] = Object.fromEntries(collected[section]);
  }
  if (messages) {
    const section = frame["messages"] as JsonObject;
    section["recent"] = messages.page.map((message) => message.body);
    section["returned"] = messages.page.length;
    if (messages.nextAfter !== undefined) section["next_after"] = messages.nextAfter;
    if (messages.before > 0) section["earlier"] = earlier(messages.before, messages.earlierAfter);
  }
  return { body: inShape(frame, query.shape), isStateWhole: true, readTo: messages?.readTo };
}

/** Lays out by priority until the budget is used up: four characters to a token. */
function layOutWithin(
  frame: JsonObject,
  sight: Sight,
  collected: Collected,
  query: ContextQuery,
  tokens: number,
): LaidOut {
  const budgeter = new Budgeter(frame, tokens, query.shape);
  const { state, messages } = collected;
  const page = messages?.page ?? [];
  for (const message of page) if (message.isDirected) budgeter.addMessage(message);
  const addEntries = (isNew: boolean): boolean =>
    addMostSalient(
      budgeter,
      state.candidates.filter((c) => c.isNew === isNew),
      (candidate) => showEntry(sight, candidate, state, query),
    );
  const isStateWhole = addEntries(true);
  for (const [id, agent] of collected.agents) budgeter.addMember("agents", id, agent);
  addEntries(false);
  const unread = query.messages.after === undefined ? page.find((m) => m.isUnread) : undefined;
  // What was read already is of use from its end; a page that was asked for goes on from its start.
  const isNewest = query.messages.after === undefined && query.since === undefined;
  const first = unread ?? page.at(isNewest ? -1 : 0);
  if (first && !first.isDirected) budgeter.addFirst(first);
  const others = page.filter((message) => message !== first && !message.isDirected);
  const known = others.filter((message) => !message.isUnread);
  for (const message of others) if (message.isUnread) budgeter.addMessage(message);
  for (const message of isNewest ? known.reverse() : known) budgeter.addMessage(message);
  for (const [id, view] of collected.views) budgeter.addMember("views", id, view);
  for (const [id, action] of collected.actions) {
    const { available, reason, builtin } = action["value"] as JsonObject;
    const brief: JsonObject = { available: available ?? null };
    if (reason !== undefined) brief["reason"] = reason;
    if (builtin !== undefined) brief["builtin"] = builtin;
    budgeter.addMember("actions", id, { value: brief });
  }
  for (const [id, action] of collected.actions) budgeter.replaceMember("actions", id, action);
  const { body, readTo } = budgeter.finish(messages, isNewest);
  const limit = messages?.readTo;
  return {
    body,
    isStateWhole,
    readTo: limit === undefined || readTo === undefined ? undefined : Math.min(limit, readTo),
  };
}

/** Each cursor moves only past what was returned whole. */
function cursorsAfter(
  { room, hot }: Moment,
  acting: Acting,
  query: ContextQuery,
  collected: Collected,
  laid: LaidOut,
): CursorMove | undefined {
  const { agent } = acting;
  if (agent === "" || agent === "admin" || acting.isBorrowed || query.peek || !room.agent(agent)) {
    return undefined;
  }
  const seen = hot.presence.get(agent)?.seen ?? 0;
  const isGapless = query.since === undefined || query.since <= seen;
  const isStateRead = query.sections.has("state") && query.onlyScopes === undefined &&
    laid.isStateWhole && isGapless;
  return {
    agent,
    ...(isStateRead ? { seen: room.head } : {}),
    ...(collected.messages && laid.readTo !== undefined ? { read: laid.readTo } : {}),
  };
}

/** Moves the reader's cursors: called when the reply is certain to leave. */
export function moveCursors(
  engine: Engine,
  hot: HotRoom,
  move: CursorMove | undefined,
  now: number,
): void {
  if (!move || (move.read === undefined && move.seen === undefined)) return;
  const presence = hot.presenceOf(move.agent, now);
  const isRead = move.read !== undefined && move.read > presence.read;
  if (isRead) presence.read = move.read!;
  if (move.seen !== undefined && move.seen > presence.seen) presence.seen = move.seen;
  if (isRead) engine.presenceChanged(hot, move.agent, "unread");
  else engine.cursorsMoved(hot, move.agent);
}

/** `GET /rooms/:id/salience`: what matters to a reader, most salient first. */
export function showSalience(moment: Moment, acting: Acting, limit: number): JsonObject {
  const { hot, room, now } = moment;
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  const query = {
    include: new Set<string>(),
    expand: [],
    onlyScopes: undefined,
  } as unknown as ContextQuery;
  const { candidates } = collectState(sight, query, hot.presence.get(acting.agent)?.seen ?? 0);
  const entries = [...candidates].sort((a, b) => b.score - a.score).slice(0, limit);
  return {
    agent: acting.agent,
    weights: sight.scorer.weights as unknown as JsonObject,
    entries: entries.map(({ scope, key, score, entry }) => ({
      scope,
      key,
      score,
      signals: sight.scorer.isAgent
        ? sight.scorer.signals(scope, key, entry) as unknown as JsonObject
        : null,
    })),
    total: candidates.length,
    returned: entries.length,
    seq: room.head,
  };
}
