/**
 * A client that costs little: one keep-alive HTTP/1.1 connection, one request at a time, replies
 * with a Content-Length. So that a bench measures the server and not the client.
 */

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** A request, ready to be sent. */
export interface RequestSpec {
  readonly method: "GET" | "POST" | "DELETE" | "PATCH";
  readonly path: string;
  readonly token?: string | undefined;
  readonly body?: unknown;
  /** Its Idempotency-Key. */
  readonly key?: string | undefined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes of a request on the wire. */
export function encodeRequest(port: number, spec: RequestSpec): Uint8Array<ArrayBuffer> {
  const body = spec.body === undefined ? "" : JSON.stringify(spec.body);
  const lines = [`${spec.method} ${spec.path} HTTP/1.1`, `Host: 127.0.0.1:${port}`];
  if (spec.token !== undefined) lines.push(`Authorization: Bearer ${spec.token}`);
  if (spec.key !== undefined) lines.push(`Idempotency-Key: ${spec.key}`);
  if (body !== "") lines.push("Content-Type: application/json");
  lines.push(`Content-Length: ${encoder.encode(body).length}`);
  return encoder.encode(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** The JSON of an answer. Throws when the status is no success. */
export function jsonOf<T>(answer: Answer): T {
  const text = decoder.decode(answer.body);
  if (answer.status >= 300) throw new Error(`status ${answer.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text) as T;
}

/** One connection. */
export class Connection {
  #buffer = new Uint8Array(16_384);
  #filled = 0;

  private constructor(private readonly port: number, private readonly socket: Deno.TcpConn) {}

  static async open(port: number): Promise<Connection> {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port });
    socket.setNoDelay(true);
    return new Connection(port, socket);
  }

  close(): void {
    this.socket.close();
  }

  /** Sends a request and reads its whole answer. */
  ask(spec: RequestSpec): Promise<Answer> {
    return this.send(encodeRequest(this.port, spec));
  }

  /** Sends bytes made by `encodeRequest` and reads the whole answer. */
  async send(bytes: Uint8Array): Promise<Answer> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.socket.write(sent === 0 ? bytes : bytes.subarray(sent));
    }
    this.#filled = 0;
    let headEnd = -1, whole = Infinity;
    while (this.#filled < whole) {
      if (this.#filled === this.#buffer.length) this.grow(this.#filled * 2);
      const read = await this.socket.read(this.#buffer.subarray(this.#filled));
      if (read === null) throw new Error("the server closed the connection");
      this.#filled += read;
      if (headEnd >= 0) continue;
      headEnd = endOfHead(this.#buffer, this.#filled);
      if (headEnd < 0) continue;
      const head = decoder.decode(this.#buffer.subarray(0, headEnd));
      const length = /\r\ncontent-length: *(\d+)/i.exec(head);
      if (!length) throw new Error(`an answer without a length: ${head}`);
      whole = headEnd + Number(length[1]);
      if (whole > this.#buffer.length) this.grow(whole);
    }
    const status = Number(decoder.decode(this.#buffer.subarray(9, 12)));
    return { status, body: this.#buffer.subarray(headEnd, whole) };
  }

  private grow(size: number): void {
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(0, this.#filled));
    this.#buffer = larger;
  }
}

function endOfHead(bytes: Uint8Array, filled: number): number {
  for (let at = bytes.indexOf(13); at >= 0 && at + 3 < filled; at = bytes.indexOf(13, at + 1)) {
    if (bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at + 4;
  }
  return -1;
}
