/** One HTTP request as the routes see it: parsed, authenticated, nothing of the framework. */
import { mustMayJoin } from "../agents/rights.ts";
import { act, type Acting, type Auth, authenticated } from "../auth.ts";
import { isForwarded, type RequestFacts } from "../auth/origins.ts";
import { heartbeat, noteLife } from "../agents/presence.ts";
import { parseJson } from "../canonical.ts";
import type { Config } from "../config.ts";
import { flag, fromSearch, type Parameters } from "../context/query.ts";
import type { Engine } from "../engine.ts";
import type { Moment } from "../engine/types.ts";
import type { HotRoom } from "../engine/hot.ts";
import { SyncError } from "../errors.ts";
import { type Arrivals, notWhole } from "../input/arrivals.ts";
import { BODY_BYTES_MAX } from "../limits.ts";
import type { Memory } from "../memory.ts";
import {
  accessTo,
  authenticationRequired,
  type Elevate,
  mustReach,
  type Principal,
  type Verb,
} from "../policy.ts";
import type { KeyRing } from "../registry/proof.ts";
import type { Standing } from "../standing.ts";
import type { Marks, Store } from "../store.ts";
import type { Json } from "../types.ts";
import type { Streams } from "../events.ts";
import type { Waits } from "../wait.ts";

/** Everything that routes work with. */
export interface Deps {
  readonly config: Config;
  readonly store: Store;
  readonly engine: Engine;
  readonly auth: Auth;
  readonly waits: Waits;
  readonly streams: Streams;
  readonly memory: Memory;
  readonly standing: Standing;
  readonly keys: KeyRing;
  readonly elevate: Elevate;
  readonly arrivals: Arrivals;
}

/** What a route answers; `seq` becomes `X-Sync-Seq`. */
export interface Reply {
  readonly status?: number;
  readonly body: Json;
  /** A stream instead of the body. */
  readonly stream?: { readonly type: string; readonly body: ReadableStream<Uint8Array> };
  readonly seq?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request. */
export class Call {
  readonly #hasSearch: boolean;
  /** Has the call been a sign of life of whoever acts? */
  isAlive = false;
  /** What others had written before the request came must be seen. */
  readonly #marks: Marks | undefined;
  #url: URL | undefined;
  #principal: Promise<Principal> | undefined;
  #query: Parameters | undefined;

  constructor(
    readonly deps: Deps,
    readonly request: Request,
    readonly params: Readonly<Record<string, string>>,
  ) {
    this.#hasSearch = request.url.includes("?");
    this.#marks = deps.store.isShared ? deps.store.marks() : undefined;
  }

  /** The URL, parsed when it is asked for. */
  get url(): URL {
    return this.#url ??= new URL(this.request.url);
  }

  /** Does the caller want members that are null left out? Throws `invalid_argument`. */
  get isCompact(): boolean {
    return this.#hasSearch && flag(this.query, "compact", false);
  }

  /** The query's parameters. */
  get query(): Parameters {
    return this.#query ??= fromSearch(this.url.searchParams, this.url.search);
  }

  /** Lets go of what was parsed; it is parsed again when it is asked for. For calls that last. */
  release(): void {
    this.#url = undefined;
    this.#query = undefined;
  }

  /** A path parameter. */
  param(name: string): string {
    return this.params[name] ?? "";
  }

  /** The acting agent named in the query. */
  get agent(): string | undefined {
    return this.#hasSearch ? this.url.searchParams.get("agent") ?? undefined : undefined;
  }

  /** Who calls. */
  principal(): Promise<Principal> {
    return this.#principal ??= this.deps.auth.principal(
      new Facts(this),
      this.isAboutRoom ? this.param("id") : undefined,
    );
  }

  /** Is the request about one room, and no other? */
  private get isAboutRoom(): boolean {
    const { url } = this.request;
    return url.startsWith("/rooms/", url.indexOf("/", url.indexOf("://") + 3));
  }

  /** The body as JSON; an empty one is `{}`. */
  async json(): Promise<Json> {
    const text = await this.deps.arrivals.take(readText(this.request));
    return text.trim() === "" ? {} : parseJson(text);
  }

  /** Looks at the room as the caller, which is a sign of life of the agent it acts as. */
  async look<T>(
    verb: Verb,
    look: (moment: Moment, acting: Acting) => T,
    named: string | null | undefined = this.agent,
  ): Promise<{ value: T; seq: number; hot: HotRoom; acting: Acting }> {
    const principal = await this.principal();
    const { engine, elevate } = this.deps;
    try {
      const { value, seq, hot } = await engine.read(this.param("id"), (moment) => {
        const acting = act(principal, moment, verb, named ?? undefined, elevate);
        heartbeat(engine, moment.hot, acting, moment.now);
        this.isAlive = true;
        return { found: look(moment, acting), acting };
      }, this.#marks);
      return { value: value.found, seq, hot, acting: value.acting };
    } catch (error) {
      throw hideExistence(error, principal);
    }
  }

  /** Notes a sign of life of whoever acts, unless the call has been one; `isFiltered` where ?agent= is no name of theirs. */
  async noteLife(isFiltered: boolean, refusal?: unknown): Promise<void> {
    const room = this.isAboutRoom ? this.param("id") : "";
    if (this.isAlive || room === "") return;
    try {
      const named = isFiltered ? undefined : this.agent;
      await noteLife(this.deps.engine, await this.principal(), room, named, refusal);
    } catch (error) {
      // A credential that opens nothing is nobody's.
      if (!(error instanceof SyncError)) throw error;
    }
  }
}

/**
 * What a refused request is told. Whoever may not make the call at all hears that, and nothing of
 * what else is wrong with the request: judged only once something is, so that it costs no other.
 */
export async function refusalOf(
  call: Call,
  verb: Verb | "open" | "token",
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof SyncError) || error.status !== 400 || verb === "open") return error;
  try {
    await mustMayCall(call, verb);
    return error;
  } catch (first) {
    return first;
  }
}

async function mustMayCall(call: Call, verb: Verb | "token"): Promise<void> {
  const principal = await call.principal();
  if (verb === "token" || verb === "room.claim") return authenticated(principal);
  const { engine, elevate } = call.deps;
  const id = call.param("id");
  const hot = await engine.peek(id);
  if (verb === "agent.join") return mustMayJoin(principal, hot?.room, id, elevate);
  mustReach(accessTo(principal, hot?.room, id), verb, hot!.room, elevate);
}

/** What of a request says who calls and from where, read when it is asked for. */
class Facts implements RequestFacts {
  constructor(private readonly call: Call) {}

  private header(name: string): string | undefined {
    return this.call.request.headers.get(name) ?? undefined;
  }

  get authorization(): string | undefined {
    return this.header("authorization");
  }

  get host(): string {
    return this.header("host") ?? this.call.url.host;
  }

  get origin(): string | undefined {
    return this.header("origin");
  }

  get isForwarded(): boolean {
    return isForwarded(this.call.request.headers);
  }
}

/** Without a credential a room that does not exist answers like one that does. */
export function hideExistence(error: unknown, principal: Principal): unknown {
  const isMissing = error instanceof SyncError && error.code === "room_not_found";
  return isMissing && principal.lineage.length === 0 ? authenticationRequired() : error;
}

async function readText(request: Request): Promise<string> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > BODY_BYTES_MAX) throw tooLarge(announced);
  // A body of known length is taken whole by the server, far cheaper than as a stream.
  if (announced > 0) return decode(await whole(request));
  if (!request.body) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.body) {
      bytes += chunk.byteLength;
      if (bytes > BODY_BYTES_MAX) throw tooLarge(bytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof SyncError) throw error;
    throw notWhole();
  }
  return decode(joined(chunks, bytes));
}

async function whole(request: Request): Promise<Uint8Array> {
  try {
    return await request.bytes();
  } catch {
    throw notWhole();
  }
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new SyncError("invalid_json", "The body is not UTF-8.", {
      hint: "Encode the JSON as UTF-8.",
    });
  }
}

function tooLarge(bytes: number): SyncError {
  return new SyncError("too_large", `A body takes at most ${BODY_BYTES_MAX} bytes.`, {
    limit: BODY_BYTES_MAX,
    actual: bytes,
    hint:
      "Send less at once, in several calls; what is larger belongs elsewhere, with its address here.",
  });
}
