/** Does the configuration make sense, by itself and where it is to be used? Pure. */
import { type Config, isLoopbackName, OPTIONS, readConfig } from "../../config.ts";
import { SyncError } from "../../errors.ts";
import { type Check, Notes } from "./report.ts";

/** The environment, by name. */
export type Environment = Readonly<Record<string, string>>;

const METRICS_TOKEN_LENGTH_MIN = 20;

/** Looks at the configuration; it is undefined where it cannot be read. */
export function checkSettings(env: Environment): { config: Config | undefined; checks: Check[] } {
  const notes = new Notes("configuration");
  unknownOptions(env, notes);
  let config: Config;
  try {
    config = readConfig((name) => env[name]);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    notes.fail("options", error.message, "Correct the option; the service does not start with it.");
    return { config: undefined, checks: notes.checks };
  }
  notes.ok("options", "every option can be read");
  reach(config, notes);
  guards(config, env, notes);
  if (config.tracing) notes.ok("traces", `are sent, ${config.tracing.sampler}`);
  return { config, checks: notes.checks };
}

/** The known name that one is nearest to: the same letters but for two. */
function nearest(name: string): string | undefined {
  const letters = (text: string): string => text.replaceAll("_", "");
  return OPTIONS.map((option) => option.name).find((known) => {
    const [a, b] = [letters(name), letters(known)];
    if (Math.abs(a.length - b.length) > 2) return false;
    let start = 0, end = 0;
    while (start < a.length && a[start] === b[start]) start++;
    while (end < a.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
    return a.length - start - end <= 2;
  });
}

function unknownOptions(env: Environment, notes: Notes): void {
  const known = new Set<string>(OPTIONS.map(({ name }) => name));
  for (const name of Object.keys(env).filter((name) => name.startsWith("SYNC_")).sort()) {
    if (known.has(name)) continue;
    const meant = nearest(name);
    notes.warn(
      "options",
      `${name} is no option of this service`,
      meant === undefined ? "Remove it, or look the name up in the README." : `Is ${meant} meant?`,
    );
  }
}

/** Who reaches the service, and by which name. */
function reach(config: Config, notes: Notes): void {
  const { origin, isLocalOrigin, isLoopback, host, port, trustedProxies } = config;
  const isHttps = origin.startsWith("https:");
  if (isLocalOrigin && !isLoopback) {
    notes.fail(
      "origin",
      `it listens on ${host}:${port}, but its origin is ${origin}`,
      "Set SYNC_ORIGIN to the address that clients use: links, OAuth and passkeys hang on it.",
    );
  } else if (!isLocalOrigin && !isHttps) {
    notes.fail(
      "origin",
      `${origin} is not https`,
      "Put a proxy with TLS in front and set SYNC_ORIGIN to https: cookies and passkeys need it.",
    );
  } else notes.ok("origin", origin);
  const isBehindProxy = isHttps && !isLocalOrigin;
  if (isBehindProxy && trustedProxies.length === 0) {
    notes.warn(
      "proxies",
      "whoever ends TLS is not trusted: all clients count as one address",
      "Set SYNC_TRUSTED_PROXIES to the proxy's address, as the service sees it.",
    );
  } else if (trustedProxies.length > 0) {
    const odd = trustedProxies.filter((address) => !/^[0-9a-f.:]+$/i.test(address));
    if (odd.length === 0) notes.ok("proxies", `trusted: ${trustedProxies.join(", ")}`);
    else {
      notes.warn(
        "proxies",
        `no addresses: ${odd.join(", ")}`,
        "SYNC_TRUSTED_PROXIES takes single addresses, no names and no networks.",
      );
    }
  }
}

/** What stands between the service and those who mean ill. */
function guards(config: Config, env: Environment, notes: Notes): void {
  const isPublic = !config.isLoopback || !config.isLocalOrigin;
  const { rateLimitIp, rateLimitToken, metricsToken, roomCreation, db, dbToken } = config;
  if (!isPublic) notes.ok("limits", "off: it serves this machine alone");
  else if (rateLimitIp === 0 || rateLimitToken === 0) {
    const off = [...rateLimitIp === 0 ? ["IP"] : [], ...rateLimitToken === 0 ? ["TOKEN"] : []];
    notes.warn(
      "limits",
      "rate limits are off",
      `Set ${off.map((name) => `SYNC_RATE_LIMIT_${name}`).join(" and ")}, e.g. to 60 and 6000.`,
    );
  } else notes.ok("limits", `${rateLimitIp} a minute per address, ${rateLimitToken} per token`);
  const quotas = Object.values(config.quotas).filter((quota) => quota > 0).length;
  if (isPublic && quotas === 0) {
    notes.warn("quotas", "all are off", "Set SYNC_QUOTA_…: one user can fill the database.");
  } else notes.ok("quotas", isPublic ? `${quotas} are on` : "off: it serves this machine alone");
  if (isPublic && roomCreation === "open") {
    notes.warn(
      "creation",
      "anybody may create rooms without a token",
      "Unless that is meant: leave SYNC_ROOM_CREATION out, or set it to token.",
    );
  }
  if (metricsToken !== undefined && metricsToken.length < METRICS_TOKEN_LENGTH_MIN) {
    notes.warn(
      "metrics",
      `the token has ${metricsToken.length} characters`,
      "Take a long random one, such as `openssl rand -hex 24` prints.",
    );
  } else if (metricsToken === undefined && isPublic) {
    notes.note("metrics", "closed but to this machine", "Set SYNC_METRICS_TOKEN to scrape them.");
  } else notes.ok("metrics", metricsToken === undefined ? "open to this machine" : "by token");
  if (/^http:/.test(db) && !isLoopbackName(new URL(db).host)) {
    notes.warn("database url", "not encrypted on its way", "Use https: or libsql: for SYNC_DB.");
  }
  if (!db.startsWith("file:") && dbToken === undefined && !isLoopbackName(new URL(db).host)) {
    notes.warn("database url", "SYNC_DB_TOKEN is not set", "Have the database server ask for one.");
  }
  if (config.log === "off") {
    notes.warn("log", "nothing is logged", "Set SYNC_LOG to json: a bug is told of nowhere else.");
  } else if (env["SYNC_LOG_LEVEL"] === "error") {
    notes.warn("log", "failures of the database are not logged", "Set SYNC_LOG_LEVEL to warn.");
  } else notes.ok("log", `${config.log}, from ${config.logLevel} on`);
}
