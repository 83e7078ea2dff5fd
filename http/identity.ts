/** Mounts the identity doors, and gives them what they need of rooms. */
import type { Hono } from "hono";
import type { Auth, Touched } from "../auth.ts";
import type { Config } from "../config.ts";
import type { Clock } from "../engine/types.ts";
import type { Engine } from "../engine.ts";
import type { Arrivals } from "../input/arrivals.ts";
import { elevationLink } from "../oauth/elevation.ts";
import { identityRoutes } from "../oauth/routes.ts";
import { loadServerKey } from "../oauth/signed.ts";
import type { RoomsPort, UserRef } from "../oauth/deps.ts";
import type { Counter, Family } from "../meters.ts";
import { parseScope } from "../scopes.ts";
import type { Elevate, Principal } from "../policy.ts";
import { createRoom } from "../rooms.ts";
import {
  deleteMember,
  deleteRoom,
  invite,
  type MemberCall,
  members,
  patchMember,
} from "../members.ts";
import type { Store } from "../store.ts";
import { findRoles } from "../store/members.ts";
import type { Role } from "../types.ts";

/** What mounting takes. */
export interface IdentityParts {
  readonly store: Store;
  readonly engine: Engine;
  readonly auth: Auth;
  readonly config: Config;
  readonly clock: Clock;
  readonly address: (request: Request) => string;
  readonly arrivals: Arrivals;
  /** Counts what rate limits refuse. */
  readonly rateLimited: Family<Counter>;
}

/** Mounts the doors; answers how a refusal makes its elevation link. */
export async function mountIdentity(app: Hono, parts: IdentityParts): Promise<Elevate> {
  const { store, auth, config, clock, address, arrivals, rateLimited } = parts;
  const serverKey = await loadServerKey(store);
  const deps = {
    store,
    config,
    serverKey,
    now: () => clock.now(),
    principal: (request: Request) =>
      auth.principal({
        authorization: request.headers.get("authorization") ?? undefined,
        host: request.headers.get("host") ?? undefined,
        origin: request.headers.get("origin") ?? undefined,
        isForwarded: false,
      }),
    forget: () => auth.forget(),
    address,
    arrivals,
    rateLimited,
    rooms: roomsPort(parts),
  };
  app.route("/", identityRoutes(deps));
  return (grantId, room, level) => elevationLink(deps, grantId, room, level);
}

/** A signed-in person, as the domain sees the owner of a token that may do everything. */
async function principalOf(store: Store, user: UserRef): Promise<Principal> {
  const grant = {
    id: `session:${user.id}`,
    kind: "tok",
    words: parseScope("rooms:* create_rooms"),
    room: null,
    agent: null,
    user: user.id,
  } as const;
  return {
    lineage: [grant],
    user,
    roles: await findRoles(store, user.id),
    embodied: new Map(),
    isOpen: false,
  };
}

function roomsPort({ store, engine, auth }: IdentityParts): RoomsPort {
  const forget = (touched?: Touched): void => auth.forget(touched);
  const call = async (user: UserRef, room: string): Promise<MemberCall> => ({
    engine,
    principal: await principalOf(store, user),
    room,
    forget,
  });
  return {
    list: async (userId) => {
      const roles = await findRoles(store, userId);
      const { rooms } = await store.listRooms([...roles.keys()], "", -1);
      return await Promise.all(rooms.map(async (row) => ({
        id: row.id,
        uid: row.uid,
        label: row.label,
        role: roles.get(row.uid) as Role,
        agents: await agentsOf(engine, row.id),
      })));
    },
    create: async (user, room) =>
      (await createRoom(engine, await principalOf(store, user), { ...room }, forget)).id,
    invite: async (user, room, username, role) =>
      void await invite(await call(user, room), { username, role }),
    members: async (user, room) => {
      const { body: { members: list } } = await members(await call(user, room));
      return list as unknown as { username: string; role: Role }[];
    },
    changeRole: async (user, room, username, role) =>
      void await patchMember(await call(user, room), username, { role }),
    remove: async (user, room, username) =>
      void await deleteMember(await call(user, room), username),
    delete: async (user, room) => void await deleteRoom(await call(user, room)),
  };
}

async function agentsOf(engine: Engine, room: string): Promise<string[]> {
  const hot = await engine.peek(room);
  return hot ? [...hot.room.liveAgents()].map(([id]) => id) : [];
}
