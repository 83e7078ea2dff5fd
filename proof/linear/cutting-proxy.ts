/**
 * A stretch of bad network before a database: now and then a request never gets there, gets there
 * long after its sender has given it up, or is carried out and its reply lost.
 */

/** A proxy of one server. It cuts nothing until it is told how often. */
export interface CuttingProxy {
  readonly url: string;
  /** Requests that were cut off. */
  readonly cuts: () => number;
  /** From now on one request in `n` is cut off; 0 for none. */
  cutOneIn(n: number): void;
  close(): void;
}

const GATHER_MS = 15;
const LATE_MS = 120;
const CHUNK = 65_536;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function shut(...connections: Deno.Conn[]): void {
  for (const connection of connections) {
    try {
      connection.close();
    } catch (error) {
      // The other direction has closed it.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

async function readFrom(connection: Deno.Conn, buffer: Uint8Array): Promise<Uint8Array | null> {
  const length = await connection.read(buffer).catch(() => null);
  return length === null ? null : buffer.slice(0, length);
}

async function writeTo(connection: Deno.Conn, bytes: Uint8Array): Promise<boolean> {
  for (let sent = 0; sent < bytes.length;) {
    const written = await connection.write(bytes.subarray(sent)).catch(() => undefined);
    if (written === undefined) return false;
    sent += written;
  }
  return true;
}

/** One connection through the proxy. */
class Passage {
  #isCut = false;
  #isReplyLost = false;

  constructor(
    private readonly client: Deno.Conn,
    private readonly server: Deno.Conn,
    private readonly chooseCut: () => "never" | "late" | "reply lost" | undefined,
  ) {}

  async run(): Promise<void> {
    await Promise.all([this.forth(), this.back()]);
    shut(this.client, this.server);
  }

  private async forth(): Promise<void> {
    const buffer = new Uint8Array(CHUNK);
    for (;;) {
      const bytes = await readFrom(this.client, buffer);
      if (!bytes) break;
      const isStart = /^[A-Z]+ \//.test(new TextDecoder().decode(bytes.subarray(0, 16)));
      const cut = isStart && !this.#isReplyLost ? this.chooseCut() : undefined;
      if (cut === "never") break;
      if (cut === "late") return await this.sendLate(bytes, buffer);
      this.#isReplyLost ||= cut === "reply lost";
      if (!await writeTo(this.server, bytes)) break;
    }
    shut(this.client, this.server);
  }

  /** Gives the sender up, and hands on what it had sent a while later. */
  private async sendLate(first: Uint8Array, buffer: Uint8Array): Promise<void> {
    this.#isCut = true;
    const parts = [first];
    const gathering = (async () => {
      for (let more = await readFrom(this.client, buffer); more;) {
        parts.push(more);
        more = await readFrom(this.client, buffer);
      }
    })();
    await pause(GATHER_MS);
    shut(this.client);
    await gathering;
    await pause(Math.random() * LATE_MS);
    for (const part of parts) await writeTo(this.server, part);
    await pause(LATE_MS);
    shut(this.server);
  }

  private async back(): Promise<void> {
    const buffer = new Uint8Array(CHUNK);
    for (;;) {
      const bytes = await readFrom(this.server, buffer);
      if (!bytes || this.#isReplyLost) break;
      if (!this.#isCut && !await writeTo(this.client, bytes)) break;
    }
    shut(this.client, this.server);
  }
}

/** A proxy of the server at `target`; `random` says which requests are cut, and how. */
export function openCuttingProxy(target: string, random: () => number): CuttingProxy {
  const { port } = new URL(target);
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  let rate = 0, cuts = 0;
  const chooseCut = (): "never" | "late" | "reply lost" | undefined => {
    if (rate === 0 || random() >= 1 / rate) return undefined;
    cuts++;
    const dice = random();
    return dice < 0.2 ? "never" : dice < 0.6 ? "late" : "reply lost";
  };
  const accept = async (client: Deno.Conn): Promise<void> => {
    try {
      const server = await Deno.connect({ port: Number(port), hostname: "127.0.0.1" });
      await new Passage(client, server, chooseCut).run();
    } catch (error) {
      // The server is away.
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      shut(client);
    }
  };
  void (async () => {
    for await (const client of listener) void accept(client);
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    cuts: () => cuts,
    cutOneIn: (n) => rate = n,
    close: () => listener.close(),
  };
}
