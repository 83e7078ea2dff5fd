/**
 * Sessions of the 2025 protocols, in memory: cancelling, what a server asks its client, and
 * following a resource belong to one. Authority is the token's alone, judged at each request.
 */
import {
  type AuthInfo,
  type McpServer,
  ProtocolError,
  ProtocolErrorCode,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import type { Clock } from "../engine/types.ts";
import { BODY_BYTES_MAX } from "../limits.ts";
import type { Principal } from "../policy.ts";
import type { Json, Millis } from "../types.ts";
import { FOLLOWED_MAX, type Followers, type Following } from "./follow.ts";
import { RPC, rpcError } from "./guard.ts";
import { idOf, paramsOf } from "./message.ts";

/** Sessions kept; the one unused for longest ends first. */
const SESSIONS_MAX = 5_000;
/** A session unused for this long ends. */
const SESSION_IDLE_MS = 3_600_000;

interface Session {
  /** The user, whose client may change its token; else the grant. */
  readonly owner: string;
  readonly server: McpServer;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  principal: Principal;
  usedAt: Millis;
  following: Following | undefined;
}

/** A request of a session, as the door hands it over. */
export interface SessionRequest {
  readonly request: Request;
  readonly principal: Principal;
  readonly authInfo: AuthInfo;
  /** The body, where there is one. */
  readonly body?: Json;
}

function ownerOf(principal: Principal): string {
  return principal.user?.id ?? principal.lineage[0]!.id;
}

/** The sessions. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();

  constructor(
    private readonly makeServer: () => McpServer,
    private readonly followers: Followers,
    private readonly clock: Clock,
  ) {}

  /** How many are open. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Serves a request of a session, or one that begins one; undefined when it is neither. */
  async serve(
    { request, principal, authInfo, body }: SessionRequest,
  ): Promise<Response | undefined> {
    const id = request.headers.get("mcp-session-id");
    const options = { authInfo, ...(body === undefined ? {} : { parsedBody: body }) };
    if (id === null) {
      if (body === undefined || !paramsOf(body, "initialize")) return undefined;
      const { transport } = await this.begin(principal);
      return await transport.handleRequest(request, options);
    }
    const session = this.find(id, principal);
    if (!session) {
      return rpcError(404, RPC.sessionNotFound, "There is no such session; initialize again.", {
        id: idOf(body ?? null),
      });
    }
    return await session.transport.handleRequest(request, options);
  }

  private find(id: string, principal: Principal): Session | undefined {
    const session = this.#sessions.get(id);
    if (!session || session.owner !== ownerOf(principal)) return undefined;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    session.usedAt = this.clock.now();
    session.principal = principal;
    session.following?.renew(principal);
    return session;
  }

  private async begin(principal: Principal): Promise<Session> {
    this.makeRoom();
    const server = this.makeServer();
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: (id) => void this.#sessions.set(id, session),
      onsessionclosed: (id) => this.end(id),
      maxRequestBodySize: BODY_BYTES_MAX,
    });
    const session: Session = {
      owner: ownerOf(principal),
      server,
      transport,
      principal,
      usedAt: this.clock.now(),
      following: undefined,
    };
    this.followWhatIsAsked(session);
    await server.connect(transport);
    return session;
  }

  /** The oldest make room: those idle for long, and the one unused for longest when it is full. */
  private makeRoom(): void {
    const idleSince = this.clock.now() - SESSION_IDLE_MS;
    for (const [id, session] of this.#sessions) {
      if (session.usedAt > idleSince && this.#sessions.size < SESSIONS_MAX) break;
      this.end(id);
    }
  }

  private end(id: string): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#sessions.delete(id);
    session.following?.stop();
    void session.server.close();
  }

  /** `resources/subscribe` and its opposite: the session's stream hears of what it follows. */
  private followWhatIsAsked(session: Session): void {
    const uris = new Set<string>();
    const { server } = session.server;
    server.setRequestHandler("resources/subscribe", ({ params }) => {
      if (uris.size >= FOLLOWED_MAX) {
        throw new ProtocolError(
          ProtocolErrorCode.InvalidParams,
          `A session follows at most ${FOLLOWED_MAX} resources.`,
        );
      }
      uris.add(params.uri);
      session.following ??= this.followers.add({
        principal: session.principal,
        uris,
        tell: (uri) => void server.sendResourceUpdated({ uri }).catch(() => undefined),
      });
      return {};
    });
    server.setRequestHandler("resources/unsubscribe", ({ params }) => {
      uris.delete(params.uri);
      return {};
    });
  }

  /** Ends them all. */
  close(): void {
    for (const id of [...this.#sessions.keys()]) this.end(id);
  }
}
