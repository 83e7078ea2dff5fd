/** The few calls that an agent makes, over HTTP: what the demo's processes speak to the service with. */
import type { Json, JsonObject } from "../../types.ts";

/** A refusal that was not expected. */
export class Refused extends Error {
  constructor(readonly status: number, readonly body: JsonObject) {
    super(`${status} ${String(body["error"])}: ${String(body["message"])}`);
  }
}

/** How often a call is repeated when the service says "not now". */
const ATTEMPTS = 5;

/** One call. Throws `Refused`. Repeats what may safely be repeated, after `Retry-After`. */
export async function call(
  method: string,
  url: string,
  options: { token?: string; body?: Json; key?: string } = {},
): Promise<JsonObject> {
  const { token, body, key } = options;
  for (let attempt = 1;; attempt++) {
    const response = await fetch(url, {
      method,
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(key === undefined ? {} : { "Idempotency-Key": key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const reply = await response.json() as JsonObject;
    if (response.ok) return reply;
    const isPassing = response.status === 503 && (key !== undefined || method === "GET");
    if (!isPassing || attempt === ATTEMPTS) throw new Refused(response.status, reply);
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

/** An agent in a room. */
export class Agent {
  private constructor(
    readonly origin: string,
    readonly room: string,
    readonly id: string,
    private readonly token: string,
  ) {}

  /** Joins a room that takes anybody. Throws `Refused`. */
  static async join(
    origin: string,
    room: string,
    id: string,
    more: JsonObject = {},
  ): Promise<Agent> {
    const joined = await call("POST", `${origin}/rooms/${room}/agents`, { body: { id, ...more } });
    return new Agent(origin, room, id, joined["token"] as string);
  }

  /** Invokes an action. `key` makes repeating it safe. Throws `Refused`. */
  async invoke(
    action: string,
    params: JsonObject,
    rest: JsonObject = {},
    key?: string,
  ): Promise<JsonObject> {
    const url = `${this.origin}/rooms/${this.room}/actions/${action}/invoke`;
    const body = { params, ...rest };
    return await call("POST", url, { token: this.token, body, ...(key ? { key } : {}) });
  }

  /** Sleeps until the condition holds, however long that takes; answers the sections asked for. */
  async wait(condition: string, parameters: JsonObject = {}): Promise<JsonObject> {
    const url = `${this.origin}/rooms/${this.room}/wait`;
    const body = { condition, timeout: 25_000, include: "state", ...parameters };
    for (;;) {
      const reply = await call("POST", url, { token: this.token, body });
      if (reply["triggered"] === true) return reply;
    }
  }

  /** A document of the service, as text. */
  async document(name: string): Promise<string> {
    return await (await fetch(`${this.origin}/reference/${name}`)).text();
  }

  /** Prints a line, with the agent's name before it. */
  say(text: string): void {
    console.log(`${this.id.padEnd(12)} ${text}`);
  }
}

/** A member that is an object. */
export function objectAt(of: JsonObject, ...path: string[]): JsonObject {
  let at: Json = of;
  for (const name of path) at = (at as JsonObject)[name] ?? {};
  return at as JsonObject;
}
