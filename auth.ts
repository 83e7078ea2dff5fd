/**
 * A credential becomes a principal, and a principal the agent it acts as. Secrets are hashed
 * before they are looked up; what was found is kept until anything about tokens changes.
 */
import { serviceActor, userActor } from "./actors.ts";
import { Caller } from "./auth/caller.ts";
import { sha256 } from "./canonical.ts";
import { Origins, type RequestFacts } from "./auth/origins.ts";
import { Kept } from "./auth/kept.ts";
import { agentNotFound, agentRequired, identityMismatch, severalAgents } from "./auth/refusals.ts";
import type { Touched } from "./auth/touched.ts";
import type { Config } from "./config.ts";
import { SyncError } from "./errors.ts";
import { counters } from "./meters.ts";
import type { Moment } from "./engine/types.ts";
import {
  type Access,
  accessTo,
  authenticationRequired,
  type Elevate,
  isBoundToAnothers,
  mustReach,
  type Principal,
  type Verb,
  VERBS,
} from "./policy.ts";
import type { Room } from "./room.ts";
import type { Store } from "./store.ts";
import { findServiceOf } from "./store/services.ts";
import { findRoles, findUsername } from "./store/members.ts";
import { findEmbodiments, touchGrants } from "./store/tokens.ts";
import { findLivingLineage, findToken, type Grant, hashSecret, resourceMatches } from "./tokens.ts";
import { LEVEL, type Millis } from "./types.ts";

export { agentNotFound, agentRequired } from "./auth/refusals.ts";
export { passOver, type Touched } from "./auth/touched.ts";

/** What is kept of a token that was looked up. */
interface Known {
  readonly principal: Principal;
  readonly expiresAt: Millis | null;
}

const KNOWN_MAX = 20_000;
/** A judgement is shared this long by those that ask for it together. */
const JUDGED_MS = 1_000;

/** Who calls. */
export class Auth {
  readonly #known = new Kept<Known>(KNOWN_MAX);
  readonly #used = new Map<string, Millis>();
  /** Grants judged a moment ago, for the many waits and streams of one token. */
  readonly #judged = new Map<
    string,
    { readonly at: Millis; readonly principal: Promise<Principal> }
  >();
  readonly #onForget = new Set<(touched: Touched | undefined) => void>();
  readonly #origins: Origins;
  /** Look-ups of tokens by `result`: `hit` when it was kept, else `miss`. */
  readonly lookups = counters("result");
  readonly #hits = this.lookups.of("hit");
  readonly #misses = this.lookups.of("miss");
  /** Counts up whenever rights may have changed. */
  generation = 0;

  constructor(
    private readonly store: Store,
    private readonly config: Config,
    private readonly now: () => Millis,
  ) {
    this.#origins = new Origins(config);
  }

  /** Tokens that are kept. */
  get cached(): number {
    return this.#known.size;
  }

  /**
   * Forgets what was looked up: called whenever a token, scope, role or embodiment changes. Where
   * that was in one room, only of those whom it may touch.
   */
  forget(touched?: Touched): void {
    this.#known.forget(touched);
    this.#judged.clear();
    this.generation++;
    for (const listener of this.#onForget) listener(touched);
  }

  /** Tells when rights may have changed, and whose: waits and streams judge theirs again. */
  onForget(listener: (touched: Touched | undefined) => void): void {
    this.#onForget.add(listener);
  }

  /**
   * Learns what other processes changed of rights before this was called: in the first database,
   * where a secret is, and where a room is, or everywhere. Throws `unavailable`.
   */
  async refresh(room?: string, secretHash?: string): Promise<void> {
    const { store } = this;
    if (!store.isShared) return;
    const shards = room === undefined
      ? store.pulses.keys()
      : new Set([0, store.shardOf(room), store.shardOf(secretHash ?? room)]);
    await Promise.all([...shards].map((shard) => store.pulses[shard]?.look()));
  }

  /**
   * The principal of a request, which is about one room if it is named: what it may elsewhere can
   * then be older. Throws `invalid_token` for a credential that opens nothing.
   */
  async principal(request: RequestFacts, room?: string): Promise<Principal> {
    if (request.authorization === undefined) {
      return nobody(this.#origins.isOpen(request), this.#origins.isForeign(request));
    }
    const known = await this.bySecret(bearer(request.authorization), room);
    return new Caller(known, () => this.#origins.isOpen(request));
  }

  /** The principal behind a token. Throws `invalid_token`. */
  async bySecret(secret: string, room?: string): Promise<Principal> {
    const key = hashSecret(secret);
    const now = this.now();
    if (this.store.isShared) await this.refresh(room, key);
    const place = this.placeOf(key, room);
    const known = this.#known.get(place);
    if (known && (known.expiresAt === null || known.expiresAt > now)) {
      this.#used.set(known.principal.lineage[0]!.id, now);
      this.#hits.inc();
      return known.principal;
    }
    this.#misses.inc();
    const { generation } = this;
    const found = await findToken(this.store, secret, now);
    if (!found) throw invalidToken();
    const { origin } = this.config;
    if (!found.lineage.every((grant) => resourceMatches(grant, origin))) throw invalidToken();
    const principal = await this.principalOf(found.lineage, room);
    // What was forgotten during the look-up must not be kept by it.
    if (generation !== this.generation) return principal;
    const ends = [found.expiresAt, ...found.lineage.map((grant) => grant.expiresAt)].filter((at) =>
      at !== null
    );
    this.#known.set(place, { principal, expiresAt: ends.length > 0 ? Math.min(...ends) : null });
    return principal;
  }

  /** What is kept about a caller holds for the rooms of one database, when one was named. */
  private placeOf(name: string, room: string | undefined): string {
    const isOne = room === undefined || this.store.shards.length === 1;
    return isOne ? name : `${name}:${this.store.shardOf(room)}`;
  }

  private async principalOf(lineage: readonly Grant[], room?: string): Promise<Principal> {
    const [grant] = lineage;
    const username = grant!.user === null ? undefined : await findUsername(this.store, grant!.user);
    const roles = grant!.user === null ? new Map() : await findRoles(this.store, grant!.user, room);
    const isService = lineage.some(({ client }) => client?.startsWith("sa_"));
    const service = isService
      ? await findServiceOf(this.store, lineage.map(({ id }) => id))
      : undefined;
    const embodied = new Map<string, string[]>();
    for (const { room: uid, agent } of await findEmbodiments(this.store, grant!, room)) {
      embodied.set(uid, [...embodied.get(uid) ?? [], agent]);
    }
    return {
      lineage,
      ...(username === undefined ? {} : { user: { id: grant!.user!, username } }),
      ...(service ? { service: { id: service.id, actors: service.actors } } : {}),
      roles,
      embodied,
      isOpen: false,
    };
  }

  /** The same principal as it stands now. Throws `invalid_token` when its grant has ended. */
  async again(principal: Principal, room?: string): Promise<Principal> {
    const [grant] = principal.lineage;
    if (!grant) return principal;
    await this.refresh(room, grant.kind === "tok" ? undefined : grant.id);
    const now = this.now();
    const place = this.placeOf(grant.id, room);
    let judged = this.#judged.get(place);
    if (!judged || now - judged.at >= JUDGED_MS) {
      judged = { at: now, principal: this.judge(grant.id, now, room) };
      if (this.#judged.size >= KNOWN_MAX) this.#judged.clear();
      this.#judged.set(place, judged);
    }
    return { ...await judged.principal, isOpen: principal.isOpen };
  }

  private async judge(grantId: string, now: Millis, room?: string): Promise<Principal> {
    const lineage = await findLivingLineage(this.store, grantId, now);
    if (!lineage) throw invalidToken();
    return await this.principalOf(lineage, room);
  }

  /** Writes down when tokens were last used. */
  async flushUses(): Promise<void> {
    if (this.#used.size === 0) return;
    const uses = [...this.#used];
    this.#used.clear();
    try {
      await touchGrants(this.store, uses);
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      for (const [id, at] of uses) if (!this.#used.has(id)) this.#used.set(id, at);
    }
  }
}

/** Has one of the grants that a principal stands on run out? */
export function isExpired(principal: Principal, now: Millis): boolean {
  return principal.lineage.some(({ expiresAt }) => expiresAt != null && expiresAt <= now);
}

/** A caller without a credential. */
export function nobody(isOpen: boolean, isForeign = false): Principal {
  return { lineage: [], roles: new Map(), embodied: new Map(), isOpen, isForeign };
}

function bearer(header: string): string {
  const match = /^Bearer +([A-Za-z0-9._~+/=-]{8,512})$/i.exec(header.trim());
  if (!match) throw invalidToken();
  return match[1]!;
}

function invalidToken(): SyncError {
  return new SyncError("invalid_token", "The token is unknown, expired or revoked.", {
    hint: "Send Authorization: Bearer <token> with a token that is still good; " +
      "joining again or POST /tokens/refresh gives a new one.",
  }, { "WWW-Authenticate": 'Bearer realm="sync", error="invalid_token"' });
}

/** Who acts in a room, and as whom. */
export interface Acting {
  readonly access: Access;
  /** The acting agent: an id, `admin`, or "" for nobody. */
  readonly agent: string;
  /** Sees every scope: an admin that acts as nobody else. */
  readonly seesAll: boolean;
  /** An admin looks through this agent's eyes: moves no cursor, is no heartbeat. */
  readonly isBorrowed: boolean;
  /** May this caller do what needs admin rights? Goes by the token, whoever it acts as. */
  readonly isAdmin: boolean;
  /** The agents of a token that names none of its several, and so acts as nobody. */
  readonly unnamed?: readonly string[];
}

/** Checks a verb and answers who acts. Throws the refusals of `policy.ts` and `identity_mismatch`. */
export function act(
  principal: Principal,
  moment: Pick<Moment, "room">,
  verb: Verb,
  named: string | undefined,
  elevate?: Elevate,
): Acting {
  const access = accessTo(principal, moment.room, moment.room.id);
  mustReach(access, verb, moment.room, elevate);
  return actAs(access, moment.room, named, goesByToken(verb));
}

/**
 * Verbs about the room or its agents as such, and reads that do not turn on who looks: whichever
 * agents the token has joined do not matter. With several of them and none named such a read shows
 * what it shows to a token that stands for no agent.
 */
function goesByToken(verb: Verb): boolean {
  return VERBS[verb] === "admin" || VERBS[verb] === "owner" || BY_TOKEN.has(verb);
}

const BY_TOKEN: ReadonlySet<Verb> = new Set([
  "room.show",
  "agent.patch",
  "agent.leave",
  "log.read",
  "history.read",
  "diff",
  "samples.read",
  "export",
  "verify",
  "vocabulary",
  "help",
]);

/** The agent that acts: the one named, else bound, else joined, else `admin`, else nobody. */
export function actAs(
  access: Access,
  room: Room,
  named: string | undefined,
  isByToken = false,
): Acting {
  const isAdmin = access.level === LEVEL.admin;
  const base = { access, isAdmin, seesAll: false, isBorrowed: isBoundToAnothers(access, room) };
  const mine = access.embodied.filter((agent) => isPresent(room, agent));
  if (named !== undefined && named !== "") {
    if (isAdmin && named === "admin") return { ...base, agent: "admin", seesAll: true };
    const isMine = access.bound === named || (access.bound === undefined && mine.includes(named));
    if (isMine) return { ...base, agent: named };
    if (!isAdmin || access.bound !== undefined) throw identityMismatch(access, mine, named);
    if (!room.agent(named)) throw agentNotFound(room, named);
    return { ...base, agent: named, isBorrowed: true };
  }
  if (access.bound !== undefined) return { ...base, agent: access.bound };
  if (mine.length === 1) return { ...base, agent: mine[0]! };
  if (mine.length > 1 && !isByToken) throw severalAgents(mine);
  if (isAdmin) return { ...base, agent: "admin", seesAll: true };
  return { ...base, agent: "", ...(mine.length > 1 ? { unnamed: mine } : {}) };
}

/** Refuses to read the own scope of one of several agents without saying as which. Throws `agent_required`. */
export function mustNameReader({ unnamed }: Acting, scope: string): void {
  if (unnamed && (scope === "self" || unnamed.includes(scope))) throw severalAgents(unnamed);
}

function isPresent(room: Room, agent: string): boolean {
  const definition = room.agent(agent);
  return definition !== undefined && definition.left_at === undefined;
}

/** Refuses a caller that acts as nobody. Throws `agent_required`. */
export function mustActAsSomebody(acting: Acting, room: Room): void {
  if (acting.agent === "") {
    throw agentRequired("This token stands for no agent, and writing needs one.");
  }
  if (acting.agent === "admin") return;
  if (!isPresent(room, acting.agent)) throw agentNotFound(room, acting.agent);
}

/** How a record names who wrote it. */
export interface Authorship {
  readonly agent: string;
  readonly actor: string;
  readonly on_behalf?: string;
  readonly session?: string;
}

/** The actor of an agent that has none of its own. */
export function localActor(room: Room, agent: string): string {
  return `did:sync:agent:~${room.uid}~${encodeURIComponent(agent)}`;
}

/** The actor of a caller that acts as no agent: its service account's, else its user's. */
export function actorBehind({ user, service }: Principal): string | undefined {
  if (service) return serviceActor(service.id);
  return user && userActor(user.username);
}

/** How records name the session of a grant, by the grant as it was looked up. */
const sessions = new WeakMap<object, string>();

function sessionOf(grant: { readonly id: string }): string {
  let session = sessions.get(grant);
  if (session === undefined) sessions.set(grant, session = sha256(grant.id).slice(0, 16));
  return session;
}

/** The agent and the actor that a record carries; an admin in an agent's name stays an admin. */
export function authorship(acting: Acting, room: Room): Authorship {
  const [grant] = acting.access.principal.lineage;
  const session = grant ? { session: sessionOf(grant) } : {};
  const own = room.agent(acting.agent)?.actor;
  if (own !== undefined && !acting.isBorrowed) {
    return { agent: acting.agent, actor: own, ...session };
  }
  const actor = actorBehind(acting.access.principal) ?? localActor(room, "admin");
  return {
    agent: acting.agent,
    actor,
    ...(own === undefined ? {} : { on_behalf: own }),
    ...session,
  };
}

/** Refuses a caller without a credential. Throws `authentication_required`. */
export function authenticated(principal: Principal): void {
  if (principal.lineage.length === 0) throw authenticationRequired();
}
