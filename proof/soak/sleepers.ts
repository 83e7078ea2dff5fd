/** Those who only listen: streams that break off and come back, and waits that nothing wakes. */
import { Connection, encodeRequest } from "../client.ts";
import type { Home } from "./rooms.ts";
import type { Tally } from "./tally.ts";

const STREAM_MS = 20_000;
const SLEEP_MS = 50_000;
const PAUSE_MS = 200;

/** Listeners of a soak, until they are let go. */
export class Sleepers {
  #isOver = false;
  readonly #ends = new Set<() => void>();
  readonly #running: Promise<void>[] = [];
  /** Records that streams were told of. */
  told = 0;

  constructor(
    private readonly port: number,
    private readonly tally: Tally,
    private readonly chance: () => number,
  ) {}

  /** Opens some streams and some waits, spread over the rooms. */
  start(homes: readonly Home[], streams: number, waits: number): void {
    for (let i = 0; i < streams; i++) {
      this.#running.push(this.forever("stream", () => this.listen(homes[i % homes.length]!)));
    }
    for (let i = 0; i < waits; i++) {
      this.#running.push(this.forever("sleep", () => this.sleep(homes[i % homes.length]!, i)));
    }
  }

  /** Breaks all of them off, in the middle of what they do. */
  async stop(): Promise<void> {
    this.#isOver = true;
    for (const end of this.#ends) end();
    this.#ends.clear();
    await Promise.all(this.#running);
  }

  private async forever(verb: string, once: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      try {
        await once();
      } catch (error) {
        if (!this.#isOver) this.tally.failed(verb, `${error}`.slice(0, 200));
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  /** Reads a stream for a while, and leaves without a word. */
  private async listen(home: Home): Promise<void> {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    let isLeaving = false;
    const end = (): void => {
      isLeaving = true;
      socket.close();
    };
    this.#ends.add(end);
    const timer = setTimeout(() => this.#ends.delete(end) && end(), this.streamMs());
    try {
      const spec = { method: "GET", path: `/rooms/${home.id}/events`, token: home.bob } as const;
      await socket.write(encodeRequest(this.port, spec));
      const buffer = new Uint8Array(65_536), decoder = new TextDecoder();
      for (let n = await socket.read(buffer); n !== null; n = await socket.read(buffer)) {
        this.told += decoder.decode(buffer.subarray(0, n)).split("event: record").length - 1;
      }
      throw new Error("the stream ended by itself");
    } catch (error) {
      if (!isLeaving) throw error;
    } finally {
      clearTimeout(timer);
      if (this.#ends.delete(end)) end();
    }
  }

  private streamMs(): number {
    return STREAM_MS * (0.5 + this.chance());
  }

  /** Waits for what never comes: answered after its time, or left before. */
  private async sleep(home: Home, i: number): Promise<void> {
    const connection = await Connection.open(this.port);
    const end = (): void => connection.close();
    this.#ends.add(end);
    try {
      const condition = encodeURIComponent(`state._shared.count.value == -${i}`);
      const ms = Math.round(SLEEP_MS * (0.5 + this.chance() / 2));
      const { status } = await connection.ask({
        method: "GET",
        path: `/rooms/${home.id}/wait?only=agents&timeout=${ms}&condition=${condition}`,
        token: home.bob,
      });
      if (status !== 200) throw new Error(`status ${status}`);
    } finally {
      if (this.#ends.delete(end)) end();
    }
  }
}
