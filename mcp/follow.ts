/**
 * Resources that follow their rooms: subscribers hear of a room's records a moment after they are
 * durable, gathered, and only while they may read the room.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { ServerEvent, ServerEventBus } from "@modelcontextprotocol/server";
import type { Auth } from "../auth.ts";
import type { Clock } from "../engine/types.ts";
import type { Engine } from "../engine.ts";
import { SyncError } from "../errors.ts";
import { accessTo, type Principal } from "../policy.ts";
import { LEVEL } from "../types.ts";

/** Changes of a room are gathered for this long before its subscribers hear of them. */
const GATHER_MS = 50;
/** Resources one subscriber may follow. */
export const FOLLOWED_MAX = 200;

const ROOM_URI = /^sync:\/\/rooms\/([^/]+)\/(context|log)$/;

/** The room that a resource is about, if any. */
export function roomOfUri(uri: string): string | undefined {
  const match = ROOM_URI.exec(uri);
  if (!match) return undefined;
  try {
    return decodeURIComponent(match[1]!);
  } catch {
    return undefined;
  }
}

/** Somebody who follows resources. */
export interface Follower {
  principal: Principal;
  readonly uris: ReadonlySet<string>;
  generation: number;
  tell(uri: string): void;
}

/** What a follower holds: its end, and the change of its token. */
export interface Following {
  stop(): void;
  renew(principal: Principal): void;
}

/** Those who follow, by what they follow; also the bus of the SDK's listen streams. */
export class Followers implements ServerEventBus {
  readonly #followers = new Set<Follower>();
  readonly #streams = new Set<(event: ServerEvent) => void>();
  readonly #asking = new AsyncLocalStorage<Pick<Follower, "principal" | "uris">>();
  readonly #due = new Set<string>();
  #cancel: (() => void) | undefined;
  readonly #unsubscribe: () => void;

  constructor(
    private readonly engine: Engine,
    private readonly auth: Auth,
    private readonly clock: Clock,
  ) {
    this.#unsubscribe = engine.onChange((hot, change) => {
      if (change.records.length > 0 && this.#followers.size > 0) this.note(hot.room.id);
    });
  }

  /** How many follow. */
  get size(): number {
    return this.#followers.size;
  }

  /** Adds a follower. */
  add(follower: Omit<Follower, "generation">): Following {
    const added: Follower = Object.assign(follower, { generation: this.auth.generation });
    this.#followers.add(added);
    return {
      stop: () => void this.#followers.delete(added),
      renew: (principal) => {
        added.principal = principal;
        added.generation = this.auth.generation;
      },
    };
  }

  /** Runs what opens a listen stream, so that the stream belongs to its caller. */
  as<T>(principal: Principal, uris: ReadonlySet<string>, run: () => T): T {
    return this.#asking.run({ principal, uris }, run);
  }

  /** The SDK's side: a listen stream opens. */
  subscribe(listener: (event: ServerEvent) => void): () => void {
    const asking = this.#asking.getStore();
    this.#streams.add(listener);
    const following = asking && this.add({
      ...asking,
      tell: (uri) => listener({ kind: "resource_updated", uri }),
    });
    return () => {
      this.#streams.delete(listener);
      following?.stop();
    };
  }

  /** The SDK's side: what concerns everybody, such as a changed list. */
  publish(event: ServerEvent): void {
    for (const listener of [...this.#streams]) listener(event);
  }

  private note(room: string): void {
    this.#due.add(room);
    this.#cancel ??= this.clock.after(GATHER_MS, () => {
      this.#cancel = undefined;
      const rooms = [...this.#due];
      this.#due.clear();
      for (const id of rooms) void this.tellOf(id);
    });
  }

  private async tellOf(room: string): Promise<void> {
    for (const follower of [...this.#followers]) {
      const uris = [...follower.uris].filter((uri) => roomOfUri(uri) === room);
      if (uris.length === 0 || !await this.mayRead(follower, room)) continue;
      for (const uri of uris) if (this.#followers.has(follower)) follower.tell(uri);
    }
  }

  private async mayRead(follower: Follower, room: string): Promise<boolean> {
    try {
      if (follower.generation !== this.auth.generation) {
        const { generation } = this.auth;
        follower.principal = await this.auth.again(follower.principal);
        follower.generation = generation;
      }
      const hot = await this.engine.peek(room);
      return hot !== undefined && accessTo(follower.principal, hot.room, room).level >= LEVEL.read;
    } catch (error) {
      if (error instanceof SyncError) return false;
      throw error;
    }
  }

  /** Tells nobody any more. */
  close(): void {
    this.#cancel?.();
    this.#unsubscribe();
    this.#followers.clear();
    this.#streams.clear();
  }
}
