/**
 * Redirect URIs: which may be registered, and which registered one a request meets. Pure.
 */
import { isLoopbackName } from "../config.ts";

/** Longest redirect URI. */
export const REDIRECT_LENGTH_MAX = 2_000;

/** Schemes that act in the browser itself, or are no application's own. */
const FORBIDDEN_SCHEMES = new Set([
  "about:",
  "blob:",
  "chrome:",
  "chrome-extension:",
  "data:",
  "file:",
  "filesystem:",
  "ftp:",
  "intent:",
  "javascript:",
  "mailto:",
  "resource:",
  "sms:",
  "tel:",
  "urn:",
  "vbscript:",
  "view-source:",
  "ws:",
  "wss:",
]);

/**
 * Why a redirect URI may not be registered, or undefined when it may: https anywhere, http on
 * loopback, and for native apps a private scheme.
 */
export function redirectFault(uri: string, isNative: boolean): string | undefined {
  if (uri.length > REDIRECT_LENGTH_MAX) {
    return `at most ${REDIRECT_LENGTH_MAX} characters are wanted`;
  }
  if (!URL.canParse(uri) || /[^\x21-\x7e]|\\/.test(uri)) return "it is no absolute URI";
  const url = new URL(uri);
  if (uri.includes("#")) return "it must not have a fragment";
  if (url.username !== "" || url.password !== "") return "it must not hold credentials";
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  // What stands in a host goes into a Content-Security-Policy: plain characters only.
  if (isWeb && !/^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])$/.test(url.hostname)) {
    return "its host is not plain";
  }
  if (url.protocol === "https:") return undefined;
  if (url.protocol === "http:") {
    return isLoopbackName(url.host) ? undefined : "http is for loopback addresses only";
  }
  if (FORBIDDEN_SCHEMES.has(url.protocol)) return `the scheme ${url.protocol} is refused`;
  return isNative
    ? undefined
    : "private schemes are for native applications (application_type: native)";
}

/**
 * Does a request's redirect URI meet a registered one? Character by character, save for the
 * port of a loopback http URI (RFC 8252, 7.3).
 */
export function meetsRedirect(registered: string, given: string): boolean {
  if (registered === given) return true;
  if (!URL.canParse(registered) || !URL.canParse(given)) return false;
  const a = new URL(registered), b = new URL(given);
  if (a.protocol !== "http:" || b.protocol !== "http:" || !isLoopbackName(a.host)) return false;
  return withoutPort(registered, a) === withoutPort(given, b);
}

/** The text of a URI with its port taken out, or undefined when it is not written plainly. */
function withoutPort(text: string, url: URL): string | undefined {
  const match = /^http:\/\/([^/?@:[\]]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?((?:[/?].*)?)$/.exec(text);
  return match && url.username === "" ? `${match[1]!.toLowerCase()}${match[2]}` : undefined;
}

/** Where a redirect leads, as people read it: the host, or the private scheme. */
export function redirectHost(uri: string): string {
  const url = new URL(uri);
  return url.protocol === "https:" || url.protocol === "http:" ? url.host : url.protocol;
}

/** A redirect's origin as a CSP source, or undefined where none can name it (IPv6 literals). */
export function redirectSource(uri: string): string | undefined {
  const url = new URL(uri);
  if (url.protocol !== "https:" && url.protocol !== "http:") return url.protocol;
  return url.host.startsWith("[") ? undefined : url.origin;
}

/** A redirect URI with parameters added to its query; what it had stays as it was written. */
export function redirectWith(
  uri: string,
  params: Readonly<Record<string, string | undefined>>,
): string {
  const added = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) added.append(name, value);
  }
  const joint = !uri.includes("?") ? "?" : /[?&]$/.test(uri) ? "" : "&";
  return `${uri}${joint}${added}`;
}
