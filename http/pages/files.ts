/** How files and documents are sent: compressed where the client takes that, told apart by a tag. */
import { hash } from "node:crypto";

/** A file as it is served. */
export interface StaticFile {
  readonly type: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
}

/** Smaller texts are sent as they are. */
const COMPRESSED_MIN = 1_024;

const packed = new WeakMap<StaticFile, Promise<Uint8Array<ArrayBuffer>>>();
const digests = new WeakMap<StaticFile, string>();

/** Does a client take gzip? */
export function takesGzip(request: Request): boolean {
  const names = (request.headers.get("accept-encoding") ?? "").toLowerCase().split(",");
  const gzip = names.map((name) => name.replaceAll(/\s/g, "")).find((name) =>
    /^(x-)?gzip(;|$)/.test(name)
  );
  return gzip !== undefined && !/;q=0(\.0*)?$/.test(gzip);
}

/** Sends a file; its text is compressed when it is first asked for so, and then kept. */
export async function sendFile(
  request: Request,
  file: StaticFile,
  cacheControl: string,
): Promise<Response> {
  const isText = typeof file.body === "string" && file.body.length >= COMPRESSED_MIN;
  const isPacked = isText && takesGzip(request);
  const tag = `"${digestOf(file)}${isPacked ? "-gzip" : ""}"`;
  const headers = {
    "Cache-Control": cacheControl,
    "ETag": tag,
    "X-Content-Type-Options": "nosniff",
    ...(isText ? { Vary: "Accept-Encoding" } : {}),
  };
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((one) => one.trim());
  if (known.includes(tag) || known.includes(`W/${tag}`)) {
    return new Response(null, { status: 304, headers });
  }
  return new Response(isPacked ? await gzipOf(file) : file.body, {
    headers: {
      ...headers,
      "Content-Type": file.type,
      ...(isPacked ? { "Content-Encoding": "gzip" } : {}),
    },
  });
}

function digestOf(file: StaticFile): string {
  const digest = digests.get(file) ?? hash("sha256", file.body, "hex").slice(0, 16);
  digests.set(file, digest);
  return digest;
}

function gzipOf(file: StaticFile): Promise<Uint8Array<ArrayBuffer>> {
  const kept = packed.get(file) ?? new Response(zipped(new Blob([file.body]).stream())).bytes();
  packed.set(file, kept);
  return kept;
}

function zipped(stream: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream {
  return stream.pipeThrough(new CompressionStream("gzip"));
}

/**
 * The same answer, compressed where the client takes that. For documents and pages that hold
 * nothing secret: how well a text compresses tells of what is in it.
 */
export function compressed(request: Request, response: Response): Response {
  const headers = new Headers(response.headers);
  headers.append("Vary", "Accept-Encoding");
  const init = { status: response.status, headers };
  if (!takesGzip(request) || !response.body) return new Response(response.body, init);
  headers.set("Content-Encoding", "gzip");
  return new Response(request.method === "HEAD" ? null : zipped(response.body), init);
}
