/**
 * The one reader of the environment: every option with its default and a sentence. Nothing
 * else in the service asks for environment variables.
 */
import { SyncError } from "./errors.ts";

interface Option {
  readonly name: string;
  readonly fallback: string;
  readonly what: string;
}

/** Every option of the service. */
export const OPTIONS = [
  { name: "PORT", fallback: "8787", what: "TCP port to listen on." },
  {
    name: "HOST",
    fallback: "127.0.0.1",
    what: "Address to listen on; loopback unless told otherwise.",
  },
  {
    name: "SYNC_ORIGIN",
    fallback: "",
    what:
      "Public origin, for links, the OAuth issuer and passkeys; http://localhost:<PORT> unless set.",
  },
  {
    name: "SYNC_DB",
    fallback: "file:./data/sync.db",
    what: "Database: a file: path or any libSQL URL.",
  },
  { name: "SYNC_DB_TOKEN", fallback: "", what: "Token for a remote libSQL server." },
  {
    name: "SYNC_ROOM_CREATION",
    fallback: "",
    what:
      'Who may create rooms without a token: "" (on loopback only), "token" (nobody), "open" (anybody).',
  },
  { name: "SYNC_LOG", fallback: "json", what: 'Log lines as "json" or "pretty", or "off".' },
  {
    name: "SYNC_TRUSTED_PROXIES",
    fallback: "",
    what: "Addresses of proxies whose X-Forwarded-For is believed, separated by commas.",
  },
  {
    name: "SYNC_METRICS_TOKEN",
    fallback: "",
    what: "Bearer token that opens /metrics beyond loopback.",
  },
  {
    name: "SYNC_RATE_LIMIT_IP",
    fallback: "",
    what:
      "Requests a minute per address on doors without a token; 0 is off. 60, but off on loopback.",
  },
  {
    name: "SYNC_RATE_LIMIT_TOKEN",
    fallback: "",
    what: "Requests a minute per token; 0 is off. 6000, but off on loopback.",
  },
] as const satisfies readonly Option[];

type OptionName = typeof OPTIONS[number]["name"];

/** The configuration, checked. */
export interface Config {
  readonly port: number;
  readonly host: string;
  /** Without a trailing slash. */
  readonly origin: string;
  /** Was the origin left to its default, or set to a loopback one? */
  readonly isLocalOrigin: boolean;
  /** Does the service listen on loopback only? */
  readonly isLoopback: boolean;
  readonly db: string;
  readonly dbToken?: string;
  readonly roomCreation: "local" | "token" | "open";
  readonly log: "json" | "pretty" | "off";
  readonly trustedProxies: readonly string[];
  readonly metricsToken?: string;
  /** Requests a minute; 0 is off. */
  readonly rateLimitIp: number;
  readonly rateLimitToken: number;
}

/** Is this a name of the machine itself? */
export function isLoopbackName(host: string): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(name);
}

/** Reads the environment. Throws `invalid_argument` for a value that makes no sense. */
export function readConfig(get: (name: string) => string | undefined): Config {
  const value = (name: OptionName): string => {
    const given = get(name);
    if (given !== undefined && given !== "") return given;
    return OPTIONS.find((option) => option.name === name)!.fallback;
  };
  const port = wholeNumber("PORT", value("PORT"), 65_535);
  const host = value("HOST");
  const origin = (value("SYNC_ORIGIN") || `http://localhost:${port}`).replace(/\/+$/, "");
  if (!URL.canParse(origin)) {
    throw bad("SYNC_ORIGIN", "a URL such as https://sync.example.org is wanted");
  }
  const isLoopback = isLoopbackName(host.includes(":") ? `[${host}]` : host);
  const rate = (name: OptionName, away: number): number =>
    value(name) === "" ? (isLoopback ? 0 : away) : wholeNumber(name, value(name), 10_000_000);
  const dbToken = value("SYNC_DB_TOKEN"), metricsToken = value("SYNC_METRICS_TOKEN");
  return {
    port,
    host,
    origin,
    isLocalOrigin: isLoopbackName(new URL(origin).host),
    isLoopback,
    db: value("SYNC_DB"),
    ...(dbToken ? { dbToken } : {}),
    roomCreation: oneOf("SYNC_ROOM_CREATION", value("SYNC_ROOM_CREATION") || "local", [
      "local",
      "token",
      "open",
    ]),
    log: oneOf("SYNC_LOG", value("SYNC_LOG"), ["json", "pretty", "off"]),
    trustedProxies: value("SYNC_TRUSTED_PROXIES").split(",").map((s) => s.trim()).filter((s) =>
      s !== ""
    ),
    ...(metricsToken ? { metricsToken } : {}),
    rateLimitIp: rate("SYNC_RATE_LIMIT_IP", 60),
    rateLimitToken: rate("SYNC_RATE_LIMIT_TOKEN", 6000),
  };
}

function bad(name: string, wanted: string): SyncError {
  return new SyncError("invalid_argument", `The option ${name} is not valid: ${wanted}.`, {
    field: name,
  });
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw bad(name, `a whole number up to ${max} is wanted`);
  }
  return value;
}

function oneOf<T extends string>(name: string, text: string, among: readonly T[]): T {
  const found = among.find((word) => word === text);
  if (found === undefined) throw bad(name, `one of ${among.join(", ")} is wanted`);
  return found;
}
