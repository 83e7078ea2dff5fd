/**
 * The one reader of the environment: every option with its default and a sentence. Nothing
 * else in the service asks for environment variables.
 */
import { SyncError } from "./errors.ts";
import { WAIT_MS_MAX } from "./limits.ts";

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
  { name: "SYNC_DB_TOKEN", fallback: "", what: "Token for remote libSQL servers." },
  {
    name: "SYNC_SHARDS",
    fallback: "",
    what:
      "Further databases that rooms are spread over, separated by commas. Number and order are for ever.",
  },
  {
    name: "SYNC_POLL_MS",
    fallback: "40",
    what: "How often a remote database is asked for news while somebody waits, in milliseconds.",
  },
  {
    name: "SYNC_PEERS",
    fallback: "",
    what: "Origins of the other instances, separated by commas: they are told of writes at once.",
  },
  {
    name: "SYNC_PEER_TOKEN",
    fallback: "",
    what: "What instances show one another; needed with SYNC_PEERS, the same everywhere.",
  },
  {
    name: "SYNC_ROOM_CREATION",
    fallback: "",
    what:
      'Who may create rooms without a token: "" (on loopback only), "token" (nobody), "open" (anybody).',
  },
  { name: "SYNC_LOG", fallback: "json", what: 'Log lines as "json" or "pretty", or "off".' },
  {
    name: "SYNC_LOG_LEVEL",
    fallback: "info",
    what: 'The least that is logged: "debug" (every request), "info", "warn" or "error".',
  },
  {
    name: "SYNC_TRUSTED_PROXIES",
    fallback: "",
    what: "Addresses of proxies whose X-Forwarded-For is believed, separated by commas.",
  },
  {
    name: "SYNC_WAIT_MS_MAX",
    fallback: String(WAIT_MS_MAX),
    what:
      "Longest wait in ms; longer ones answer by then, for hosts and proxies that cut off sooner.",
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
      "Requests a minute per address on doors without a token; 0 is off. 60, but off where only this machine calls.",
  },
  {
    name: "SYNC_RATE_LIMIT_TOKEN",
    fallback: "",
    what: "Requests a minute per token; 0 is off. 6000, but off where only this machine calls.",
  },
  {
    name: "SYNC_QUOTA_USER_ROOMS",
    fallback: "",
    what: "Rooms that one user may own; 0 is off. 1000, but off where only this machine calls.",
  },
  {
    name: "SYNC_QUOTA_ROOM_WRITES",
    fallback: "",
    what:
      "Records a minute that one room takes; 0 is off. 60000, but off where only this machine calls.",
  },
  {
    name: "SYNC_QUOTA_AGENT_MESSAGES",
    fallback: "",
    what:
      "Messages a minute that one agent may send in a room; 0 is off. 600, but off where only this machine calls.",
  },
  {
    name: "SYNC_QUOTA_USER_WAITS",
    fallback: "",
    what:
      "Waits that one user may hold open at once; 0 is off. 1000, but off where only this machine calls.",
  },
  {
    name: "SYNC_QUOTA_USER_STREAMS",
    fallback: "",
    what:
      "Event streams that one user may hold open at once; 0 is off. 200, but off where only this machine calls.",
  },
] as const satisfies readonly Option[];

/**
 * What the service itself reads of the options that OpenTelemetry has for every program. Its SDK
 * reads the rest: service name, resource attributes, headers, certificates, time-out, compression.
 */
export const TRACING_OPTIONS = [
  {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    fallback: "",
    what:
      "Where a collector takes OTLP over HTTP, such as http://localhost:4318; spans are sent when it is set.",
  },
  {
    name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    fallback: "",
    what: "The same for spans alone: the whole address.",
  },
  {
    name: "OTEL_EXPORTER_OTLP_PROTOCOL",
    fallback: "http/protobuf",
    what: "How spans are sent; http/protobuf is the only way here.",
  },
  { name: "OTEL_SDK_DISABLED", fallback: "false", what: '"true" sends nothing all the same.' },
  { name: "OTEL_TRACES_EXPORTER", fallback: "otlp", what: '"none" sends no spans.' },
  {
    name: "OTEL_TRACES_SAMPLER",
    fallback: "parentbased_always_on",
    what: "Which traces are kept: always_on, always_off, traceidratio, each also as parentbased_….",
  },
  {
    name: "OTEL_TRACES_SAMPLER_ARG",
    fallback: "1",
    what: "The share that traceidratio keeps, 0 to 1.",
  },
  {
    name: "OTEL_BSP_SCHEDULE_DELAY",
    fallback: "5000",
    what: "Spans are gathered for this many milliseconds before they are sent.",
  },
] as const satisfies readonly Option[];

type OptionName = typeof OPTIONS[number]["name"];
type TracingOptionName = typeof TRACING_OPTIONS[number]["name"];

/** Levels of log lines, the least important first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** How important a log line is. */
export type LogLevel = typeof LOG_LEVELS[number];

/** What one user, room or agent may take; 0 is no bound. */
export interface QuotaConfig {
  /** Rooms owned. */
  readonly userRooms: number;
  /** Records a minute. */
  readonly roomWrites: number;
  /** Messages a minute. */
  readonly agentMessages: number;
  /** Open at once. */
  readonly userWaits: number;
  readonly userStreams: number;
}

/** Which spans are sent, and when; where to is known to the SDK. */
export interface TracingConfig {
  readonly sampler: string;
  /** Of traces kept, 0 to 1. */
  readonly share: number;
  readonly delayMs: number;
}

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
  /** Further databases, in their order. */
  readonly shards: readonly string[];
  readonly pollMs: number;
  /** Origins of the other instances. */
  readonly peers: readonly string[];
  readonly peerToken?: string;
  readonly roomCreation: "local" | "token" | "open";
  readonly log: "json" | "pretty" | "off";
  readonly logLevel: LogLevel;
  readonly trustedProxies: readonly string[];
  /** Milliseconds of the longest wait. */
  readonly waitMsMax: number;
  readonly metricsToken?: string;
  /** Requests a minute; 0 is off. */
  readonly rateLimitIp: number;
  readonly rateLimitToken: number;
  readonly quotas: QuotaConfig;
  /** Undefined where no spans are sent. */
  readonly tracing?: TracingConfig;
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
  const isLocalOrigin = isLoopbackName(new URL(origin).host);
  // Behind a proxy on the same machine the world comes by way of loopback.
  const isLocal = isLoopback && isLocalOrigin;
  const rate = (name: OptionName, away: number): number =>
    value(name) === "" ? (isLocal ? 0 : away) : wholeNumber(name, value(name), 10_000_000);
  const dbToken = value("SYNC_DB_TOKEN"), metricsToken = value("SYNC_METRICS_TOKEN");
  const tracing = readTracing(get);
  return {
    port,
    host,
    origin,
    isLocalOrigin,
    isLoopback,
    db: value("SYNC_DB"),
    shards: list(value("SYNC_SHARDS")),
    pollMs: Math.max(1, wholeNumber("SYNC_POLL_MS", value("SYNC_POLL_MS"), 60_000)),
    ...readPeers(list(value("SYNC_PEERS")), value("SYNC_PEER_TOKEN")),
    ...(dbToken ? { dbToken } : {}),
    roomCreation: oneOf("SYNC_ROOM_CREATION", value("SYNC_ROOM_CREATION") || "local", [
      "local",
      "token",
      "open",
    ]),
    log: oneOf("SYNC_LOG", value("SYNC_LOG"), ["json", "pretty", "off"]),
    logLevel: oneOf("SYNC_LOG_LEVEL", value("SYNC_LOG_LEVEL"), LOG_LEVELS),
    trustedProxies: list(value("SYNC_TRUSTED_PROXIES")),
    waitMsMax: wholeNumber("SYNC_WAIT_MS_MAX", value("SYNC_WAIT_MS_MAX"), WAIT_MS_MAX),
    ...(metricsToken ? { metricsToken } : {}),
    rateLimitIp: rate("SYNC_RATE_LIMIT_IP", 60),
    rateLimitToken: rate("SYNC_RATE_LIMIT_TOKEN", 6000),
    quotas: {
      userRooms: rate("SYNC_QUOTA_USER_ROOMS", 1000),
      roomWrites: rate("SYNC_QUOTA_ROOM_WRITES", 60_000),
      agentMessages: rate("SYNC_QUOTA_AGENT_MESSAGES", 600),
      userWaits: rate("SYNC_QUOTA_USER_WAITS", 1000),
      userStreams: rate("SYNC_QUOTA_USER_STREAMS", 200),
    },
    ...(tracing ? { tracing } : {}),
  };
}

const SAMPLERS = ["always_on", "always_off", "traceidratio"];

/** How spans are sent; undefined where they are not. */
function readTracing(get: (name: string) => string | undefined): TracingConfig | undefined {
  const value = (name: TracingOptionName): string =>
    get(name) || TRACING_OPTIONS.find((option) => option.name === name)!.fallback;
  const isWanted = value("OTEL_EXPORTER_OTLP_ENDPOINT") !== "" ||
    value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") !== "";
  const isOff = value("OTEL_SDK_DISABLED").toLowerCase() === "true" ||
    value("OTEL_TRACES_EXPORTER") === "none";
  if (!isWanted || isOff) return undefined;
  oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", value("OTEL_EXPORTER_OTLP_PROTOCOL"), ["http/protobuf"]);
  const sampler = oneOf("OTEL_TRACES_SAMPLER", value("OTEL_TRACES_SAMPLER"), [
    ...SAMPLERS,
    ...SAMPLERS.map((name) => `parentbased_${name}`),
  ]);
  const share = Number(value("OTEL_TRACES_SAMPLER_ARG"));
  if (!(share >= 0 && share <= 1)) throw bad("OTEL_TRACES_SAMPLER_ARG", "0 to 1 is wanted");
  const delayMs = wholeNumber(
    "OTEL_BSP_SCHEDULE_DELAY",
    value("OTEL_BSP_SCHEDULE_DELAY"),
    3_600_000,
  );
  return { sampler, share, delayMs };
}

/** The shortest token that instances may show one another. */
const PEER_TOKEN_LENGTH_MIN = 16;

function readPeers(peers: readonly string[], token: string): Pick<Config, "peers" | "peerToken"> {
  for (const peer of peers) {
    if (!URL.canParse(peer)) {
      throw bad("SYNC_PEERS", "origins such as http://10.0.0.2:8787 are wanted");
    }
  }
  if (token === "" ? peers.length > 0 : token.length < PEER_TOKEN_LENGTH_MIN) {
    throw bad("SYNC_PEER_TOKEN", `at least ${PEER_TOKEN_LENGTH_MIN} characters are wanted`);
  }
  return {
    peers: peers.map((peer) => new URL(peer).origin),
    ...(token === "" ? {} : { peerToken: token }),
  };
}

function list(text: string): string[] {
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
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
