/**
 * Fetching a Client ID Metadata Document: https only, no redirects, 5 KB, 3 s, no IP literals,
 * and only from public addresses. The address that was checked is the one that is connected to.
 */
import { lookup as resolve, type LookupAddress } from "node:dns";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { Buffer } from "node:buffer";

/** Bytes of a client's document. */
export const DOCUMENT_BYTES_MAX = 5_120;
/** Milliseconds that fetching one may take. */
export const DOCUMENT_MS_MAX = 3_000;

/** What a test may stand in for; nothing else does. */
export interface FetchOptions {
  readonly isAllowed?: (address: string) => boolean;
  readonly ca?: string;
  readonly timeoutMs?: number;
}

/** Why a URL cannot be a client's id, or undefined when it can. Pure. */
export function documentFault(text: string): string | undefined {
  if (text.length > 2_000 || !URL.canParse(text)) return "it is no URL";
  const url = new URL(text);
  if (url.protocol !== "https:") return "https is wanted";
  if (url.href !== text) return "it is not written in its normal form";
  if (url.username !== "" || url.password !== "") return "it must not hold credentials";
  if (url.hash !== "" || text.includes("#")) return "it must not have a fragment";
  if (url.pathname === "/") return "it needs a path";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  if (isIP(host) !== 0) return "an IP address is no client";
  if (!host.includes(".") || /(^|\.)(localhost|local|internal|home\.arpa)$/.test(host)) {
    return "a public host is wanted";
  }
  return undefined;
}

const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

/** Is this an address of the public internet? Pure. */
export function isPublicAddress(address: string): boolean {
  const kind = isIP(address);
  if (kind === 4) return !PRIVATE_V4.some(([net, bits]) => sameNet(v4(address), v4(net), bits));
  if (kind !== 6) return false;
  const groups = v6(address);
  // 2000::/3 is all that is routed; of it, transition prefixes and documentation lead elsewhere.
  if ((groups[0]! & 0xe000) !== 0x2000) return false;
  const isSpecial = groups[0] === 0x2001 && groups[1]! < 0x0200;
  return !isSpecial && groups[0] !== 0x2002 && !(groups[0] === 0x2001 && groups[1] === 0x0db8) &&
    groups[0] !== 0x3fff;
}

function v4(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function sameNet(a: number, b: number, bits: number): boolean {
  const size = 2 ** (32 - bits);
  return Math.floor(a / size) === Math.floor(b / size);
}

function v6(address: string): number[] {
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const parse = (text: string) =>
    text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
  const left = parse(head), right = parse(tail ?? "");
  if (tail === undefined) return left;
  return [...left, ...Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right];
}

/** The text of the document, or an error whose text is not for callers. */
export function fetchDocument(url: URL, options: FetchOptions = {}): Promise<string> {
  const isAllowed = options.isAllowed ?? isPublicAddress;
  const lookup: LookupFunction = (host, _options, done) => {
    resolve(host, { all: true }, (error, addresses) => {
      if (error) return done(error, []);
      const refused = addresses.find(({ address }: LookupAddress) => !isAllowed(address));
      if (refused || addresses.length === 0) return done(new Error("not a public address"), []);
      done(null, addresses);
    });
  };
  const timeoutMs = options.timeoutMs ?? DOCUMENT_MS_MAX;
  return new Promise((settle, fail) => {
    const request = httpsRequest({
      host: url.hostname,
      servername: url.hostname,
      port: url.port === "" ? 443 : Number(url.port),
      path: url.pathname + url.search,
      headers: { Accept: "application/json", Host: url.host },
      lookup,
      agent: false,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    }, (response) => {
      if (response.statusCode !== 200) return stop(new Error(`status ${response.statusCode}`));
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > DOCUMENT_BYTES_MAX) return stop(new Error("the document is too long"));
        chunks.push(chunk);
      });
      response.on("error", stop);
      response.on("end", () => {
        clearTimeout(timer);
        settle(Buffer.concat(chunks).toString());
      });
    });
    const timer = setTimeout(() => stop(new Error("the document took too long")), timeoutMs);
    const stop = (error: Error): void => {
      clearTimeout(timer);
      request.destroy();
      fail(error);
    };
    request.on("error", stop);
    request.end();
  });
}

/** The text of a document at a URL that may be anybody's: refused unless a client's could lie there. */
export async function fetchPublic(url: URL): Promise<string> {
  const fault = documentFault(url.href);
  if (fault !== undefined) throw new Error(fault);
  return await fetchDocument(url);
}
