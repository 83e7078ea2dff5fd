/** A client of a room's event stream, as the tests read it. */
import assert from "node:assert/strict";
import { turns } from "./harness.ts";
import type { World } from "./time_world.ts";

/** One event as it came. */
export interface Event {
  readonly event: string;
  readonly id?: number;
  // deno-lint-ignore no-explicit-any -- events are read by many shapes
  readonly data: any;
}

/** A reader of a stream that takes what comes, unless it is told to stop. */
export class Stream {
  readonly events: Event[] = [];
  isOver = false;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #text = "";

  private constructor(readonly response: Response) {
    this.#reader = response.body!.getReader();
  }

  /** Opens a stream; `isReading` false leaves it unread. */
  static async open(
    world: World,
    who: string,
    query = "",
    headers: Record<string, string> = {},
    isReading = true,
  ): Promise<Stream> {
    const url = `http://localhost:8787/rooms/${world.room.id}/events${query}`;
    const request = new Request(url, {
      headers: { Authorization: `Bearer ${world.token(who)}`, ...headers },
    });
    const stream = new Stream(await world.on.service.fetch(request));
    assert.equal(stream.response.status, 200);
    if (isReading) void stream.readOn();
    await turns(12);
    return stream;
  }

  /** Reads until the stream ends. */
  async readOn(): Promise<void> {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await this.#reader.read().catch(() => ({
        done: true,
        value: undefined,
      }));
      if (done) break;
      this.#text += decoder.decode(value, { stream: true });
      for (let end = this.#text.indexOf("\n\n"); end >= 0; end = this.#text.indexOf("\n\n")) {
        this.take(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 2);
      }
    }
    this.isOver = true;
  }

  private take(block: string): void {
    const fields = new Map(
      block.split("\n").map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }),
    );
    const event = fields.get("event");
    if (event === undefined) return;
    const id = fields.get("id");
    const data = JSON.parse(fields.get("data")!);
    this.events.push({ event, data, ...(id === undefined ? {} : { id: Number(id) }) });
  }

  /** The events of one kind. */
  of(event: string): Event[] {
    return this.events.filter((e) => e.event === event);
  }

  /** Takes out what has come so far. */
  takeAll(): Event[] {
    return this.events.splice(0);
  }

  /** Goes away. */
  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
    await turns(4);
  }
}
