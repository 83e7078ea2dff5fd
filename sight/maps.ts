/**
 * The maps that CEL sees: state, views, agents, actions, messages. Looked up lazily, so that an
 * expression costs what it reads; each look-up is noted for memos and waits.
 */
import { CelMap, type Value } from "../cel.ts";
import { isCustomScopeName } from "../input.ts";
import { grantsOf, isPrivateScope } from "../policy.ts";
import { cellOf } from "../room/changes.ts";
import { velocityAt } from "../salience.ts";
import type { Sight } from "../sight.ts";
import { iso } from "../timers.ts";
import type { AgentDefinition, Entry, Json, MessageBody } from "../types.ts";
import { availabilityOf } from "./availability.ts";
import { scopeCell } from "./memos.ts";
import { isMessageThere, isOpenFor, messageCounts } from "./messages.ts";

/** A fixed set of members, each computed when asked for. */
export class LazyMap extends CelMap {
  constructor(private readonly members: Readonly<Record<string, () => Value | undefined>>) {
    super();
  }
  get(key: string): Value | undefined {
    return Object.hasOwn(this.members, key) ? this.members[key]!() : undefined;
  }
  keys(): Iterable<string> {
    return Object.keys(this.members).filter((key) => this.members[key]!() !== undefined);
  }
  get size(): number {
    return [...this.keys()].length;
  }
}

/** `{value, _meta}`. */
export class EntryMap extends CelMap {
  constructor(private readonly value: () => Value, private readonly meta: () => CelMap) {
    super();
  }
  get(key: string): Value | undefined {
    return key === "value" ? this.value() : key === "_meta" ? this.meta() : undefined;
  }
  keys(): Iterable<string> {
    return ["value", "_meta"];
  }
  get size(): number {
    return 2;
  }
}

/** A map of entries, by key in order: what the salience helpers work on. */
export abstract class EntriesMap extends CelMap {
  constructor(readonly sight: Sight, readonly scope: string) {
    super();
  }
  /** How the map is written in an expression. */
  abstract readonly path: string;
  /** The entry behind a key that is there for this reader. */
  abstract entryAt(key: string): Entry | undefined;
  get size(): number {
    return [...this.keys()].length;
  }
  /** The score of what stands at a key. */
  scoreAt(key: string): number {
    const entry = this.entryAt(key);
    return entry ? this.sight.scorer.score(this.scope, key, entry) : 0;
  }
}

/** `_meta` of an entry, with all fields of the focus tier. */
export function metaMap(
  sight: Sight,
  scope: string,
  key: string,
  entry: Entry,
  path: string,
  more?: Readonly<Record<string, () => Value | undefined>>,
): CelMap {
  const members: Record<string, () => Value | undefined> = {
    revision: () => entry.revision,
    version: () => entry.version,
    updated_at: () => iso(entry.updatedAt),
    writer: () => entry.writer,
    via: () => entry.via,
    seq: () => entry.seq,
    score: () => {
      const score = sight.scorer.score(scope, key, entry);
      sight.passVolatile(`${path}._meta.score`, score);
      return score;
    },
    velocity: () => {
      const velocity = velocityAt(entry, sight.now);
      sight.passVolatile(`${path}._meta.velocity`, velocity);
      return velocity;
    },
    writers: () => entry.writers,
    first_at: () => iso(entry.firstAt),
    elided: () => false,
    timer: () => entry.timer as Value | undefined,
    enabled: () => entry.enabled,
  };
  if (more) Object.assign(members, more);
  if (scope === "_actions") {
    members["invocations"] = () => entry.stats?.invocations ?? 0;
    members["last_invoked_at"] = () => entry.stats ? iso(entry.stats.lastAt) : null;
    members["last_invoked_by"] = () => entry.stats?.lastBy ?? null;
    members["contested"] = () => contestedWith(sight, key);
  }
  return new LazyMap(members);
}

/** Ids of the other actions that write a literal target of this one. */
export function contestedWith(sight: Sight, action: string): string[] {
  const others = new Set<string>();
  for (const ids of sight.contested.values()) {
    if (ids.includes(action)) ids.forEach((id) => id !== action && others.add(id));
  }
  return [...others].sort();
}

/** `state`. */
export class StateMap extends CelMap {
  constructor(private readonly sight: Sight) {
    super();
  }
  get(name: string): Value | undefined {
    const { eyes, room } = this.sight;
    if (name === "self") {
      if (this.sight.tracker) this.sight.tracker.readsSelf = true;
      return eyes.own === undefined ? undefined : new ScopeMap(this.sight, eyes.own, "state.self");
    }
    if (name === "_audit" || !eyes.canRead(name)) return undefined;
    if (isPrivateScope(name)) {
      this.sight.read(cellOf("_agents", name));
      if (!room.get("_agents", name)) return undefined;
    } else if (!room.scopes.has(name) && !isCustomScopeName(name)) return undefined;
    return new ScopeMap(this.sight, name, `state.${name}`);
  }
  keys(): Iterable<string> {
    const { eyes, room } = this.sight;
    this.sight.read("scopes");
    this.sight.read(scopeCell("_agents"));
    const names = new Set<string>(["_shared"]);
    for (const name of room.scopes.keys()) {
      if (eyes.canRead(name) && (isPrivateScope(name) || this.sight.holdsAny(name))) {
        names.add(name);
      }
    }
    const agents = grantsOf(room, eyes.self).includes("*")
      ? room.scopes.get("_agents")?.keys() ?? []
      : [];
    for (const name of agents) if (eyes.canRead(name)) names.add(name);
    if (eyes.own !== undefined && eyes.canRead(eyes.own)) names.add(eyes.own);
    return [...names].filter((name) => !isReservedRow(name)).sort();
  }
  get size(): number {
    return [...this.keys()].length;
  }
}

function isReservedRow(scope: string): boolean {
  return ["_messages", "_audit", "_actions", "_views", "_agents"].includes(scope);
}

/** `state.<scope>`. */
export class ScopeMap extends EntriesMap {
  constructor(sight: Sight, scope: string, readonly path: string) {
    super(sight, scope);
  }
  get(key: string): Value | undefined {
    const entry = this.sight.entry(this.scope, key);
    if (!entry) return undefined;
    const path = `${this.path}.${key}`;
    return new EntryMap(() => entry.value, () => metaMap(this.sight, this.scope, key, entry, path));
  }
  override has(key: string): boolean {
    return this.sight.entry(this.scope, key) !== undefined;
  }
  keys(): Iterable<string> {
    this.sight.read(scopeCell(this.scope));
    if (isPrivateScope(this.scope)) this.sight.read(cellOf("_agents", this.scope));
    const scope = this.sight.room.scopes.get(this.scope);
    if (!scope) return [];
    if (this.sight.room.gated.size === 0 && this.sight.room.timers.pending === 0) {
      return scope.keys();
    }
    return scope.keys().filter((key) =>
      this.sight.isThere(this.scope, key, scope.entries.get(key)!)
    );
  }
  override get size(): number {
    return (this.keys() as readonly string[]).length;
  }
  entryAt(key: string): Entry | undefined {
    return this.sight.entry(this.scope, key);
  }
}

/** `views`. */
export class ViewsMap extends EntriesMap {
  readonly path = "views";
  constructor(sight: Sight) {
    super(sight, "_views");
  }
  get(id: string): Value | undefined {
    const view = this.sight.view(id);
    if (!view) return undefined;
    return new EntryMap(() => view.value, () => {
      const entry = this.sight.entry("_views", id);
      if (!entry) return new LazyMap({ elided: () => false });
      // Its text may hold what the view reads, and an expression's operands are shown to others.
      const error = () => view.error && new LazyMap({ code: () => view.error!.code });
      return metaMap(this.sight, "_views", id, entry, `views.${id}`, { error });
    });
  }
  override has(id: string): boolean {
    return this.sight.view(id) !== undefined;
  }
  keys(): Iterable<string> {
    return this.sight.viewIds();
  }
  entryAt(id: string): Entry | undefined {
    return this.sight.entry("_views", id);
  }
}

/** `agents`. */
export class AgentsMap extends EntriesMap {
  readonly path = "agents";
  constructor(sight: Sight) {
    super(sight, "_agents");
  }
  get(id: string): Value | undefined {
    const entry = this.entryAt(id);
    if (!entry) return undefined;
    const path = `agents.${id}`;
    return new EntryMap(
      () => agentMap(this.sight, id, entry, path),
      () => metaMap(this.sight, "_agents", id, entry, path),
    );
  }
  keys(): Iterable<string> {
    this.sight.read(scopeCell("_agents"));
    const scope = this.sight.room.scopes.get("_agents");
    return (scope?.keys() ?? []).filter((id) => this.entryAt(id) !== undefined);
  }
  entryAt(id: string): Entry | undefined {
    const entry = this.sight.entry("_agents", id);
    return entry && (entry.value as unknown as AgentDefinition).left_at === undefined
      ? entry
      : undefined;
  }
}

function agentMap(sight: Sight, id: string, entry: Entry, path: string): CelMap {
  const agent = entry.value as unknown as AgentDefinition;
  const passing = <T extends Json>(field: string, value: () => T) => (): T => {
    sight.read(`presence:${id}`);
    const current = value();
    sight.pass(`${path}.value.${field}`, current);
    return current;
  };
  const waiting = (): string | null => sight.live.waitingOn(id) ?? null;
  const { isPast } = sight.live;
  const presence = isPast ? undefined : sight.live.presence.get(id);
  const status = (): string | null => isPast ? null : presence?.status ?? "active";
  return new LazyMap({
    name: () => agent.name,
    role: () => agent.role,
    status: passing("status", () => waiting() === null ? status() : "waiting"),
    waiting_on: passing("waiting_on", waiting),
    last_heartbeat: passing(
      "last_heartbeat",
      () => isPast ? null : iso(presence?.lastHeartbeat ?? entry.updatedAt),
    ),
    actor: () => agent.actor,
    substrate: () => agent.substrate as Value | undefined,
    meta: () => agent.meta as Value | undefined,
  });
}

/** `actions`. */
export class ActionsMap extends EntriesMap {
  readonly path = "actions";
  constructor(sight: Sight) {
    super(sight, "_actions");
  }
  get(id: string): Value | undefined {
    const entry = this.sight.entry("_actions", id);
    if (!entry) return undefined;
    const definition = this.sight.room.action(id)!;
    const judged = () => availabilityOf(this.sight, id, definition, entry);
    const value = new LazyMap({
      available: () => {
        const { available } = judged();
        this.sight.pass(`actions.${id}.value.available`, available);
        return available;
      },
      reason: () => judged().reason,
      description: () => definition.description,
      scope: () => definition.scope,
    });
    return new EntryMap(
      () => value,
      () => metaMap(this.sight, "_actions", id, entry, `actions.${id}`),
    );
  }
  override has(id: string): boolean {
    return this.sight.entry("_actions", id) !== undefined;
  }
  keys(): Iterable<string> {
    this.sight.read(scopeCell("_actions"));
    const scope = this.sight.room.scopes.get("_actions");
    return (scope?.keys() ?? []).filter((id) => this.sight.entry("_actions", id) !== undefined);
  }
  entryAt(id: string): Entry | undefined {
    return this.sight.entry("_actions", id);
  }
}

/** Messages come and go with themselves and with those who sent them. */
function readMessages(sight: Sight): void {
  sight.read(scopeCell("_messages"));
  sight.read(scopeCell("_agents"));
}

/** Computes a member when it is first asked for: one look sees one instant. */
function once(make: () => Value): () => Value {
  let value: Value | undefined;
  return () => value ??= make();
}

/** `messages`. */
export class MessagesMap extends LazyMap {
  constructor(sight: Sight) {
    const count = (field: "count" | "unread" | "directed_unread") => (): Value => {
      readMessages(sight);
      const counts = messageCounts(sight);
      if (field === "count") return counts.count;
      sight.read(`unread:${sight.eyes.self}`);
      sight.pass(`messages.${field}`, counts[field]);
      return counts[field];
    };
    super({
      count: once(count("count")),
      unread: once(count("unread")),
      directed_unread: once(count("directed_unread")),
      unclaimed: once(() => {
        readMessages(sight);
        let open = 0;
        for (const seq of sight.room.messages.openTasks) if (isOpenFor(sight, seq)) open++;
        return open;
      }),
      recent: once(() => {
        readMessages(sight);
        return recentMessages(sight) as Value;
      }),
    });
  }
}

/** How many messages `messages.recent` holds. */
const RECENT = 100;

/** Any message may be claimed: expressions may compare these of every one. */
const UNCLAIMED = { claimed_by: null, claimed_at: null, lease_expires_at: null };

function recentMessages(sight: Sight): Json {
  const places = sight.room.messages.places;
  const recent: Json[] = [];
  for (let i = places.length - 1; i >= 0 && recent.length < RECENT; i--) {
    const { seq } = places[i]!;
    if (!isMessageThere(sight, seq)) continue;
    const entry = sight.room.get("_messages", String(seq))!;
    const message = entry.value as unknown as MessageBody;
    recent.push({ seq, ts: iso(entry.firstAt), ...UNCLAIMED, ...message } as unknown as Json);
  }
  return recent.reverse();
}

/** `room`. */
export class RoomMap extends LazyMap {
  constructor(sight: Sight) {
    super({
      id: () => sight.room.id,
      seq: () => {
        sight.read("head");
        return sight.room.head;
      },
    });
  }
}
