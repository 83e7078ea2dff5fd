/** Calls to the service: one token, one room, refusals as `Refused`. Speaks HTTP and nothing else. */
import type { Json, JsonObject } from "./model.ts";

/** A refusal of the service, or a network that is not there (`status` 0). */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly facts: JsonObject,
  ) {
    super(message);
  }

  /** What to do about it, when the service says so. */
  get hint(): string | undefined {
    const { hint } = this.facts;
    return typeof hint === "string" ? hint : undefined;
  }
}

/** Query parameters; undefined ones are left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** The service as one credential sees one room. */
export class Api {
  /** Server clock minus this machine's, in ms; within a second. */
  skew = 0;

  constructor(
    readonly room: string,
    public token: string | undefined,
    /** An admin looks through this agent's eyes. */
    public agent: string | undefined = undefined,
  ) {}

  /** The path of the room, or of something in it. */
  path(rest = "", query: Query = {}): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) search.set(name, String(value));
    }
    const text = search.toString();
    return `/rooms/${encodeURIComponent(this.room)}${rest}${text === "" ? "" : `?${text}`}`;
  }

  /** The headers of every call. */
  headers(): Record<string, string> {
    return this.token === undefined ? {} : { Authorization: `Bearer ${this.token}` };
  }

  /** Reads something of the room, as the agent looked through. */
  async get<T>(rest: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return await this.call<T>(
      "GET",
      this.path(rest, { ...query, agent: this.agent }),
      undefined,
      signal,
    );
  }

  /** Reads something whose `agent` parameter means something else, or nothing. */
  async getPlain<T>(rest: string, query: Query = {}): Promise<T> {
    return await this.call<T>("GET", this.path(rest, query));
  }

  /** Sends JSON to something of the room. */
  async post<T>(rest: string, body: Json): Promise<T> {
    return await this.call<T>("POST", this.path(rest), body);
  }

  /** Invokes an action as whoever looks. */
  async invoke(action: string, params: JsonObject, rest: JsonObject = {}): Promise<JsonObject> {
    const agent = this.agent === undefined ? {} : { agent: this.agent };
    return await this.post(`/actions/${encodeURIComponent(action)}/invoke`, {
      params,
      ...agent,
      ...rest,
    });
  }

  /** One call. Throws `Refused`. */
  async call<T>(method: string, path: string, body?: Json, signal?: AbortSignal): Promise<T> {
    const headers = this.headers();
    const init: RequestInit = { method, headers, cache: "no-store", credentials: "omit" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    if (signal) init.signal = signal;
    const response = await reach(path, init);
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date) && Math.abs(date - Date.now()) > 2_000) this.skew = date - Date.now();
    return await readReply<T>(response);
  }
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, "offline", "The service cannot be reached.", {});
  }
}

/** The JSON of a response. Throws `Refused`. */
export async function readReply<T>(response: Response): Promise<T> {
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    throw new Refused(
      response.status,
      "unreadable",
      "The service answered something that is no JSON.",
      {},
    );
  }
  if (response.ok) return body as T;
  const { error, message, ...facts } = body as JsonObject;
  throw new Refused(
    response.status,
    String(error ?? "error"),
    String(message ?? "It was refused."),
    facts,
  );
}

/** A refusal in words, whatever was thrown. */
export function inWords(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A token for a signed-in person: minted with the session, as wide as the person's role allows. */
export async function mintFromSession(room: string): Promise<string | undefined> {
  const who = await fetch("/me", { credentials: "same-origin", cache: "no-store" });
  if (!who.ok) return undefined;
  const { csrf } = await who.json() as { csrf: string };
  for (const level of ["", ":write", ":read"]) {
    const reply = await fetch("/tokens", {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify({
        scope: `rooms:${room}${level}`,
        label: `dashboard of ${room}`.slice(0, 100),
      }),
    });
    if (reply.ok) return ((await reply.json()) as { token: string }).token;
    if (reply.status !== 403) return undefined;
  }
  return undefined;
}
