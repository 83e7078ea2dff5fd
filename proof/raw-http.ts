/**
 * Connections by hand, for requests that no client would send: halves of them, wrong lengths,
 * bytes one by one, replies that nobody reads, and thousands of connections that say nothing.
 */

const encoder = new TextEncoder();
const OPEN_AT_ONCE = 500;
/** How much of a reply is kept, at its beginning and at its end. */
const KEPT_CHARS = 100_000;

/** One TCP connection to a server on loopback. */
export class RawConnection {
  #text = "";
  #newest = "";
  readonly #decoder = new TextDecoder();
  #isClosed = false;
  #reading: Promise<void> | undefined;

  private constructor(private readonly socket: Deno.TcpConn) {}

  static async open(port: number): Promise<RawConnection> {
    return new RawConnection(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends text as it is. False when the server has closed the connection. */
  async send(text: string): Promise<boolean> {
    const bytes = encoder.encode(text);
    try {
      for (let sent = 0; sent < bytes.length;) {
        sent += await this.socket.write(bytes.subarray(sent));
      }
      return true;
    } catch (error) {
      if (isBroken(error)) return false;
      throw error;
    }
  }

  /** Says that nothing more will be sent. */
  async closeWrite(): Promise<void> {
    await this.socket.closeWrite();
  }

  /** Reads until the newest of it fits, the server closes, or the time is up; answers `text`. */
  async until(pattern: RegExp, ms: number): Promise<string> {
    const end = performance.now() + ms;
    while (!pattern.test(this.#newest) && !this.#isClosed && performance.now() < end) {
      this.#reading ??= this.read().finally(() => this.#reading = undefined);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) =>
        timer = setTimeout(resolve, end - performance.now())
      );
      await Promise.race([this.#reading, late]);
      clearTimeout(timer);
    }
    return this.text;
  }

  /** The beginning of what has come so far. */
  get text(): string {
    return this.#text;
  }

  /** The end of what has come so far. */
  get newest(): string {
    return this.#newest;
  }

  private note(chunk: string): void {
    if (this.#text.length < KEPT_CHARS) this.#text += chunk;
    this.#newest = (this.#newest + chunk).slice(-KEPT_CHARS);
  }

  /** Has the server closed the connection? Known after reading. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  private async read(): Promise<void> {
    const bytes = new Uint8Array(65_536);
    try {
      const n = await this.socket.read(bytes);
      if (n === null) this.#isClosed = true;
      else this.note(this.#decoder.decode(bytes.subarray(0, n), { stream: true }));
    } catch (error) {
      if (!isBroken(error)) throw error;
      this.#isClosed = true;
    }
  }

  /** Goes away without a word. */
  async vanish(): Promise<void> {
    this.#isClosed = true;
    try {
      this.socket.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await this.#reading?.catch(() => undefined);
  }
}

function isBroken(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.ConnectionAborted;
}

/** The head of a request, with the empty line at its end. */
export function head(
  method: string,
  path: string,
  headers: Readonly<Record<string, string | number>> = {},
): string {
  const lines = Object.entries({ Host: "127.0.0.1", ...headers }).map(([k, v]) => `${k}: ${v}`);
  return [`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

/** The status of a reply; 0 when there is none. */
export function statusOf(text: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
}

/** Many connections that say nothing. Throws with what to raise when the machine does not allow so many. */
export async function openIdle(port: number, n: number): Promise<RawConnection[]> {
  const opened: RawConnection[] = [];
  try {
    while (opened.length < n) {
      const more = Math.min(OPEN_AT_ONCE, n - opened.length);
      opened.push(
        ...await Promise.all(Array.from({ length: more }, () => RawConnection.open(port))),
      );
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map((connection) => connection.vanish()));
    throw new Error(
      `only about ${opened.length} of ${n} connections could be opened; \`ulimit -n\` must allow ` +
        "more files, here and for the server",
      { cause: error },
    );
  }
}
