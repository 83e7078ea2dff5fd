/** Requests of a soak over connections that are kept, timed by verb. */
import { Connection, jsonOf, type RequestSpec } from "../client.ts";
import type { Tally } from "./tally.ts";

/** Connections kept for the next request; a burst needs more, which are closed after it. */
const KEPT_MAX = 128;

/** Sends requests, each over a connection that nobody else uses meanwhile. */
export class Caller {
  readonly #free: Connection[] = [];
  readonly #open = new Set<string>();
  #asked = 0;

  constructor(readonly port: number, private readonly tally: Tally) {}

  /** What was asked and is not answered: method and path. */
  get unanswered(): readonly string[] {
    return [...this.#open].map((name) => name.slice(name.indexOf(" ") + 1));
  }

  /** The JSON of one answer. Throws when it is refused, or the connection breaks. */
  async ask<T>(spec: RequestSpec): Promise<T> {
    const name = `${this.#asked++} ${spec.method} ${spec.path}`;
    this.#open.add(name);
    try {
      return await this.over(this.#free.pop() ?? await Connection.open(this.port), spec);
    } finally {
      this.#open.delete(name);
    }
  }

  private async over<T>(connection: Connection, spec: RequestSpec): Promise<T> {
    try {
      const answer = await connection.ask(spec);
      const value = jsonOf<T>(answer);
      if (this.#free.length < KEPT_MAX) this.#free.push(connection);
      else connection.close();
      return value;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** The same, its time noted under a verb, counted from when it was due (milliseconds). */
  async timed<T>(verb: string, spec: RequestSpec, dueAt = performance.now()): Promise<T> {
    const value = await this.ask<T>(spec);
    this.tally.took(verb, performance.now() - dueAt);
    return value;
  }

  /** Closes the connections that nobody uses. */
  close(): void {
    for (const connection of this.#free.splice(0)) connection.close();
  }
}
