/** What the identity doors are given by whoever mounts them. Types only. */
import type { Config } from "../config.ts";
import type { Arrivals } from "../input/arrivals.ts";
import type { Counter, Family } from "../meters.ts";
import type { Principal } from "../policy.ts";
import type { Store } from "../store.ts";
import type { Millis, Role } from "../types.ts";
import type { ServerKey } from "./signed.ts";

/** A signed-in person. */
export interface UserRef {
  readonly id: string;
  readonly username: string;
}

/** A room as its member sees it on `/manage` and on the consent page. */
export interface PortRoom {
  readonly id: string;
  readonly uid: string;
  readonly label: string | null;
  readonly role: Role;
  readonly agents: readonly string[];
}

/** What `/manage` does to rooms: the same domain calls as `/rooms`, on behalf of the user. Each throws `SyncError`. */
export interface RoomsPort {
  /** The rooms a user has a role in. */
  list(userId: string): Promise<readonly PortRoom[]>;
  /** Creates a room owned by the user; the id that it got. */
  create(user: UserRef, room: { readonly id?: string; readonly label?: string }): Promise<string>;
  /** Invites a user by name (owner). */
  invite(user: UserRef, room: string, username: string, role: Role): Promise<void>;
  /** Who belongs to the room (owner). */
  members(
    user: UserRef,
    room: string,
  ): Promise<readonly { readonly username: string; readonly role: Role }[]>;
  /** Changes a member's role (owner). */
  changeRole(user: UserRef, room: string, username: string, role: Role): Promise<void>;
  /** Removes a member (owner). */
  remove(user: UserRef, room: string, username: string): Promise<void>;
  /** Deletes the room (owner). */
  delete(user: UserRef, room: string): Promise<void>;
}

/** What the identity routes need. */
export interface IdentityDeps {
  readonly store: Store;
  readonly config: Config;
  /** From `loadServerKey(store)`, at start-up. */
  readonly serverKey: ServerKey;
  /** The clock, in milliseconds. */
  now(): Millis;
  /** Who sends a bearer token. Throws `401 invalid_token`. */
  principal(request: Request): Promise<Principal>;
  /** Clears what is cached of tokens and roles; called after anything changed them. */
  forget(): void;
  /** The client's address, for rate limits. */
  address(request: Request): string;
  readonly rooms: RoomsPort;
  /** Gives up bodies that stand still. */
  readonly arrivals: Arrivals;
  /** Counts what rate limits refuse, by limit. */
  readonly rateLimited?: Family<Counter>;
  /** Fetches a client's metadata document; the default obeys `clients.ts`. */
  fetchDocument?(url: URL): Promise<string>;
}
