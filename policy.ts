/**
 * The one table that decides everything. A principal's reach into a room is the minimum of the
 * scopes of its token's lineage and the user's role; a verb wants a level. Default deny. Pure.
 */
import { SyncError } from "./errors.ts";
import type { Room } from "./room.ts";
import { minReach, type Reach, reachInto, type TokenScope } from "./scopes.ts";
import { LEVEL, type Level, type Millis, RESERVED_SCOPES, type Role } from "./types.ts";

/** What every verb of the service needs in the room it is about. */
export const VERBS = {
  "room.show": "read",
  "room.patch": "admin",
  "room.delete": "owner",
  "room.invite": "owner",
  "room.members": "owner",
  "room.rotate": "admin",
  "room.claim": "none",
  "agent.join": "none",
  "agent.patch": "write",
  "agent.leave": "write",
  "context.read": "read",
  "salience.read": "read",
  "wait": "read",
  "events": "read",
  "poll": "read",
  "eval": "read",
  "help": "read",
  "log.read": "read",
  "history.read": "read",
  "samples.read": "read",
  "replay": "read",
  "diff": "read",
  "verify": "read",
  "vocabulary": "read",
  "simulate": "write",
  "fork": "admin",
  "export": "read",
  "action.invoke": "write",
  "action.configure": "admin",
} as const satisfies Record<string, "none" | "read" | "write" | "admin" | "owner">;

/** A word of the table. */
export type Verb = keyof typeof VERBS;

/** Who calls: the token's lineage, its user and that user's roles, as the database has them. */
export interface Principal {
  /** The calling grant first, then what it was minted from; empty without a credential. */
  readonly lineage: readonly {
    readonly id: string;
    readonly kind: "tok" | "room" | "view" | "as";
    readonly words: TokenScope;
    readonly room: string | null;
    readonly agent: string | null;
    readonly user: string | null;
    readonly expiresAt?: Millis | null;
  }[];
  readonly user?: { readonly id: string; readonly username: string };
  /** The service account that calls in its maker's place, and the actors it may speak for. */
  readonly service?: { readonly id: string; readonly actors: readonly string[] };
  readonly roles: ReadonlyMap<string, Role>;
  /** Agents the calling grant has joined or embodied, by room uid. */
  readonly embodied: ReadonlyMap<string, readonly string[]>;
  /** Counts this request as made on the machine itself (`contract`: open mode)? */
  readonly isOpen: boolean;
  /** Made by somebody else's page, on a server that only this machine is meant to reach? */
  readonly isForeign?: boolean;
}

/** A principal's reach into one room. */
export interface Access {
  readonly level: Level;
  /** The agent the token is bound to. */
  readonly bound?: string;
  readonly embodied: readonly string[];
  readonly owner: boolean;
  /** The role, when the principal is a user's. */
  readonly role?: Role;
  /** May consent widen the token to do more here? */
  readonly canWiden: boolean;
  readonly principal: Principal;
}

const ROLE_LEVEL: Record<Role, Level> = {
  owner: LEVEL.admin,
  collaborator: LEVEL.write,
  participant: LEVEL.write,
  observer: LEVEL.read,
};

/**
 * How far a principal reaches into a room. Throws `401 authentication_required` without a
 * credential and `404 room_not_found` where the room must not show that it exists.
 */
export function accessTo(principal: Principal, room: Room | undefined, id: string): Access {
  const [grant] = principal.lineage;
  const isPublic = room?.settings.public === "read";
  if (!grant) {
    if (isPublic) return visitor(principal);
    throw authenticationRequired();
  }
  if (!room) throw roomNotFound(id);
  if (!principal.user) return anonymousAccess(principal, room, isPublic);
  const role = principal.roles.get(room.uid);
  if (!role) {
    if (isPublic) return visitor(principal);
    throw roomNotFound(id);
  }
  let reach: Reach = { level: ROLE_LEVEL[role] };
  for (const link of principal.lineage) reach = minReach(reach, reachOf(link, room));
  if (!mayBeBound(principal, room, role, reach)) reach = { level: readAtMost(reach.level) };
  return {
    level: reach.level,
    ...(reach.agent === undefined ? {} : { bound: reach.agent }),
    embodied: drivenStill(principal, room, reach.level),
    owner: role === "owner" && reach.level === LEVEL.admin,
    role,
    canWiden: grant.kind === "tok",
    principal,
  };
}

/**
 * Is a binding worth anything? An agent's own token is; a scope that was asked for is, for an agent
 * of the user's, for one that has not come yet, and in a room of the user's own.
 */
function mayBeBound(principal: Principal, room: Room, role: Role, reach: Reach): boolean {
  return reach.agent === undefined || role === "owner" ||
    isOwnBinding(principal, room, reach.agent);
}

/** Is a token bound to this agent the agent's own, its user's, or of one that has not come yet? */
function isOwnBinding(principal: Principal, room: Room, agent: string): boolean {
  const isIssued = principal.lineage.some((link) =>
    link.kind === "as" && link.room === room.uid && link.agent === agent
  );
  const known = room.agent(agent);
  return isIssued || known === undefined || known.owner === principal.user?.id;
}

/**
 * Is the token bound to somebody else's agent, as an owner of the room may bind one? Then it acts in
 * that agent's name, but is not its actor.
 */
export function isBoundToAnothers({ bound, principal }: Access, room: Room): boolean {
  return bound !== undefined && principal.user !== undefined &&
    !isOwnBinding(principal, room, bound);
}

/** The agents that a user's grant embodies, as far as it still may: its user's own, and any for admins. */
function drivenStill(principal: Principal, room: Room, level: Level): readonly string[] {
  const embodied = principal.embodied.get(room.uid) ?? [];
  if (level === LEVEL.admin) return embodied;
  return embodied.filter((agent) => room.agent(agent)?.owner === principal.user!.id);
}

function readAtMost(level: Level): Level {
  return level > LEVEL.read ? LEVEL.read : level;
}

function reachOf(link: Principal["lineage"][number], room: Room): Reach {
  if (link.kind !== "tok" && link.room !== room.uid) return { level: LEVEL.none };
  return reachInto(link.words, room.id);
}

function anonymousAccess(principal: Principal, room: Room, isPublic: boolean): Access {
  let reach: Reach = { level: LEVEL.admin };
  for (const link of principal.lineage) reach = minReach(reach, reachOf(link, room));
  if (reach.level === LEVEL.none) {
    if (isPublic) return visitor(principal);
    throw roomNotFound(room.id);
  }
  return {
    level: reach.level,
    ...(reach.agent === undefined ? {} : { bound: reach.agent }),
    embodied: principal.embodied.get(room.uid) ?? [],
    owner: principal.lineage[0]!.kind === "room",
    canWiden: false,
    principal,
  };
}

function visitor(principal: Principal): Access {
  return { level: LEVEL.read, embodied: [], owner: false, canWiden: false, principal };
}

/** `401 authentication_required`. */
export function authenticationRequired(): SyncError {
  return new SyncError("authentication_required", "This call needs a token.", {
    hint:
      "Send Authorization: Bearer <token>: an agent's as_ token (from joining), a room_ or view_ token " +
      "(from creating the room), or a tok_ token (POST /auth/device).",
    example: "Authorization: Bearer as_…",
  }, { "WWW-Authenticate": 'Bearer realm="sync"' });
}

/** `404 room_not_found`: also what a room answers that must not show that it exists. */
export function roomNotFound(id: string): SyncError {
  return new SyncError("room_not_found", `There is no room "${id}" here.`, {
    room: id,
    hint: "GET /rooms lists the rooms this token may see; POST /rooms creates one.",
  });
}

/** What the refusal of a verb is told about: the link by which a user may widen the token. */
export type Elevate = (grantId: string, room: string, level: Level) => string | undefined;

/** Refuses a verb that the access does not reach. Throws `scope_denied`, `read_only_token`, `owner_required`. */
export function mustReach(access: Access, verb: Verb, room: Room, elevate?: Elevate): void {
  const wanted = VERBS[verb];
  const isReached = wanted === "owner" ? access.owner : access.level >= LEVEL[wanted];
  if (isReached) return;
  if (access.principal.lineage.length === 0) throw authenticationRequired();
  if (wanted === "owner") {
    if (access.level === LEVEL.admin || access.role === "owner") {
      throw widen(access, room, LEVEL.admin, elevate);
    }
    throw new SyncError(
      "owner_required",
      "Only an owner of the room, or its room_ token, may do this.",
      {
        room: room.id,
        hint: "Ask an owner (GET /rooms/:id/members lists them), or use the room_ token.",
      },
    );
  }
  const level = LEVEL[wanted];
  mustNotBeNarrowed(access, room, level, elevate);
  if (access.level === LEVEL.none) throw widen(access, room, level, elevate);
  if (access.level === LEVEL.read) {
    throw new SyncError("read_only_token", "This token may only read the room.", {
      room: room.id,
      hint: "Use an agent's as_ token (POST /rooms/:id/agents) or the room_ token.",
    });
  }
  throw new SyncError("scope_denied", "This needs admin rights in the room.", {
    room: room.id,
    hint: "Use the room_ token, or the token of a user who owns the room.",
  });
}

/** Refuses, with the link to widen it, a token narrower than its user's role. Throws `scope_denied`. */
export function mustNotBeNarrowed(
  access: Access,
  room: Room,
  level: Level,
  elevate?: Elevate,
): void {
  const roleLevel = access.role ? ROLE_LEVEL[access.role] : LEVEL.none;
  if (!access.canWiden || roleLevel < level || access.level >= level) return;
  throw widen(access, room, level, elevate);
}

function widen(access: Access, room: Room, level: Level, elevate?: Elevate): SyncError {
  if (!access.canWiden && access.level === LEVEL.none) {
    return new SyncError("read_only_token", "This token is for another room, for good.", {
      room: room.id,
      hint: "Use a tok_ token of the user (POST /auth/device): its scope can be widened.",
    });
  }
  const grant = access.principal.lineage[0];
  const link = grant && access.canWiden ? elevate?.(grant.id, room.id, level) : undefined;
  return new SyncError(
    "scope_denied",
    `The token's scope does not reach that far into "${room.id}".`,
    {
      room: room.id,
      ...(link === undefined ? {} : { elevate: link }),
      hint: link === undefined
        ? "Use a token whose scope covers the room at this level."
        : "Show the elevate link to the token's user; after approval repeat the call with the same token.",
    },
  );
}

/** Scopes of the service that every reader of the room may read. */
const PUBLIC_RESERVED: ReadonlySet<string> = new Set([
  "_shared",
  "_messages",
  "_actions",
  "_views",
  "_agents",
  "_config",
  "_help",
]);

/** Does the service keep this scope for itself? No write template reaches it. */
export function isKeptScope(scope: string): boolean {
  return (RESERVED_SCOPES as readonly string[]).includes(scope) && scope !== "_shared" &&
    scope !== "_help";
}

/** A custom scope: communal like `_shared`. */
export function isCustomScope(scope: string): boolean {
  return scope.startsWith("_") && !PUBLIC_RESERVED.has(scope) && scope !== "_audit";
}

/** Is this the private scope of an agent? */
export function isPrivateScope(scope: string): boolean {
  return !scope.startsWith("_");
}

/** Scopes an agent was granted: by name, or every one. */
export function grantsOf(room: Room, agent: string): readonly string[] {
  if (agent === "" || agent === "admin") return [];
  const definition = room.agent(agent);
  return definition && definition.left_at === undefined ? definition.grants : [];
}

/**
 * May a reader that acts as `agent` read this scope? Private scopes are the agent's own, those
 * granted to it, and for `isAdmin` all.
 */
export function canReadScope(room: Room, agent: string, isAdmin: boolean, scope: string): boolean {
  if (!isPrivateScope(scope)) return true;
  if (isAdmin || scope === agent) return true;
  const grants = grantsOf(room, agent);
  return grants.includes(scope) || grants.includes("*");
}
