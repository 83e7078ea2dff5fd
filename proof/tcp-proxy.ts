/**
 * A TCP proxy that makes a way to a server bad: late, cut off in the middle of an answer, reset,
 * swallowed, or held back and let through after everybody has given up.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** What is wrong with the way; nothing unless named. Holds for connections that are open, too. */
export interface Trouble {
  /** Every piece comes this much later, in both directions. */
  readonly lateMs?: number;
  /** New connections are reset, and those there are when this is set. */
  readonly isDown?: boolean;
  /** What is sent is swallowed, and never answered. */
  readonly isBlackHole?: boolean;
  /** Requests arrive; answers are reset after so many bytes of them. */
  readonly cutAnswersAfter?: () => number;
  /** Nothing passes until this is no longer set; then everything does, even for those who left. */
  readonly isHeld?: boolean;
}

/** A running proxy. */
export interface TcpProxy {
  readonly port: number;
  /** Puts other trouble in the place of what there was. */
  set(trouble: Trouble): void;
  /** Resets every connection, once. */
  reset(): void;
  close(): Promise<void>;
}

/** One connection through the proxy. */
class Pair {
  #answered = 0;
  #held: { to: Socket; chunk: Uint8Array }[] = [];
  #cutAt: number | undefined;
  /** Resolves when both sides have gone. */
  readonly ended: Promise<unknown>;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly trouble: () => Trouble,
  ) {
    client.on("data", (chunk: Uint8Array) => this.pass(server, chunk));
    server.on("data", (chunk: Uint8Array) => this.pass(client, chunk));
    // A client that leaves does not unsay what it has sent.
    client.on("close", () => void (this.trouble().isHeld || server.destroy()));
    server.on("close", () => client.destroy());
    this.ended = Promise.all([client, server].map((socket) => {
      socket.on("error", () => socket.destroy());
      return new Promise<void>((resolve) => socket.on("close", () => resolve()));
    }));
  }

  private pass(to: Socket, chunk: Uint8Array): void {
    const { lateMs, isBlackHole, isHeld } = this.trouble();
    if (isBlackHole) return;
    if (isHeld) this.#held.push({ to, chunk });
    else if (lateMs === undefined) this.write(to, chunk);
    else setTimeout(() => this.write(to, chunk), lateMs);
  }

  private write(to: Socket, chunk: Uint8Array): void {
    if (to.destroyed) return;
    const { cutAnswersAfter } = this.trouble();
    if (to !== this.client || !cutAnswersAfter) return void to.write(chunk);
    this.#cutAt ??= this.#answered + cutAnswersAfter();
    const left = this.#cutAt - this.#answered;
    this.#answered += chunk.length;
    if (chunk.length < left) return void to.write(chunk);
    to.write(chunk.subarray(0, Math.max(0, left)), () => this.reset());
  }

  /** Lets go what was held back; a client that has left is let go after that. */
  release(): void {
    this.#cutAt = undefined;
    for (const { to, chunk } of this.#held.splice(0)) this.write(to, chunk);
    if (this.client.destroyed) this.server.end();
  }

  reset(): void {
    this.client.destroy();
    this.server.destroy();
  }
}

/** Opens a proxy on loopback to a port of it. */
export async function openProxy(target: number): Promise<TcpProxy> {
  let trouble: Trouble = {};
  const pairs = new Set<Pair>();
  const server: Server = createServer((client) => {
    if (trouble.isDown) return void client.destroy();
    const pair = new Pair(client, connect(target, "127.0.0.1"), () => trouble);
    pairs.add(pair);
    void pair.ended.then(() => pairs.delete(pair));
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  const reset = (): void => pairs.forEach((pair) => pair.reset());
  return {
    port,
    set: (next) => {
      trouble = next;
      if (next.isDown) reset();
      else if (!next.isHeld) pairs.forEach((pair) => pair.release());
    },
    reset,
    close: async () => {
      reset();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
