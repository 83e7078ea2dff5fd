/** The running server, asked as its clients ask: over HTTP, through whatever stands in front. */
import { type Config, isLoopbackName } from "../../config.ts";
import { RELEASE, SYNC_VERSION } from "../../http/render.ts";
import { causeOf, type Check, inMs, Notes, spreadOf } from "./report.ts";

const ASKED = 10;
const ANSWER_MS_MAX = 10_000;
const ANSWER_MS = { warn: 250, fail: 5_000 };
/** The header that names the time does so in whole seconds. */
const SKEW_MS = { warn: 3_000, fail: 30_000 };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly ms: number;
}

/** Asks one server. */
class Patient {
  readonly notes = new Notes("server");

  constructor(
    readonly base: URL,
    readonly config: Config | undefined,
    /** Do others reach it, too? */
    readonly isPublic: boolean,
  ) {}

  async ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const started = performance.now();
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const response = await fetch(new URL(path, this.base), {
      redirect: "manual",
      ...init,
      signal,
    });
    const text = await response.text();
    const ms = performance.now() - started;
    return { status: response.status, headers: response.headers, text, ms };
  }
}

/** Looks at the server at this address; one that is not of this machine is held to more. */
export async function checkServer(
  base: URL,
  config: Config | undefined,
  isPublic = !isLoopbackName(base.host),
): Promise<Check[]> {
  const patient = new Patient(base, config, isPublic);
  const { notes } = patient;
  try {
    if (!await alive(patient)) return notes.checks;
    await ready(patient);
    await identity(patient);
    await pages(patient);
    await metrics(patient);
    await creation(patient);
  } catch (error) {
    notes.fail(
      "answers",
      `${base.origin}: ${causeOf(error)}`,
      "See that the service runs and listens there, that the name leads to it, and that its certificate is good.",
    );
  }
  return notes.checks;
}

async function alive(patient: Patient): Promise<boolean> {
  const { notes, base } = patient;
  const first = await patient.ask("/healthz");
  const isOurs = first.headers.get("X-Sync-Version");
  if (first.status !== 200 || isOurs === null) {
    notes.fail(
      "answers",
      `${base.origin}/healthz answered ${first.status}${isOurs === null ? ", and is no sync" : ""}`,
      "See what listens there: the proxy, or another service.",
    );
    return false;
  }
  const durations: number[] = [];
  for (let i = 0; i < ASKED; i++) durations.push((await patient.ask("/healthz")).ms);
  const { p50, p99 } = spreadOf(durations);
  notes.against(
    "answers",
    p50,
    ANSWER_MS,
    `in ${inMs(p50)}, at worst ${inMs(p99)}`,
    "Find out what keeps it busy: reference/operations.md begins with that.",
  );
  if (isOurs !== SYNC_VERSION) {
    notes.warn("version", `the server speaks ${isOurs}, this is ${SYNC_VERSION}`, "Update one.");
  }
  skew(patient, first);
  if (patient.isPublic && base.protocol !== "https:") {
    notes.fail("https", "it is reached without", "Have a proxy end TLS, and redirect http to it.");
  }
  return true;
}

function skew({ notes }: Patient, { headers, ms }: Answer): void {
  const date = headers.get("Date");
  if (date === null) return;
  const apart = Math.max(0, Math.abs(Date.now() - ms / 2 - Date.parse(date)) - 1_000);
  notes.against(
    "clock",
    apart,
    SKEW_MS,
    apart === 0 ? "the same as here" : `${inMs(apart)} apart from this machine's`,
    "Set it by NTP: timers and the ends of tokens go by it.",
  );
}

async function ready(patient: Patient): Promise<void> {
  const { status, text, ms } = await patient.ask("/readyz");
  if (status === 200) patient.notes.ok("ready", `it takes writes, in ${inMs(ms)}`);
  else {
    patient.notes.fail(
      "ready",
      `${status}: ${text.slice(0, 200)}`,
      "Its log says what the database answered; nothing is written until it does.",
    );
  }
}

/** Does it call itself what it is reached by? */
async function identity(patient: Patient): Promise<void> {
  const { notes, base, config } = patient;
  const { status, text } = await patient.ask("/.well-known/oauth-authorization-server");
  const issuer = status === 200 ? issuerOf(text) : undefined;
  const todo =
    "Set SYNC_ORIGIN to the address that clients use: OAuth and passkeys fail otherwise.";
  if (issuer === undefined) {
    notes.fail("issuer", `the metadata answered ${status}`, "Let the proxy pass /.well-known/ on.");
  } else if (issuer !== base.origin && !(isLoopbackName(base.host) && isLocal(issuer))) {
    notes.fail("issuer", `reached as ${base.origin}, it calls itself ${issuer}`, todo);
  } else notes.ok("issuer", issuer);
  if (config && issuer !== undefined && issuer !== config.origin) {
    notes.warn(
      "configuration",
      `the server's origin is ${issuer}, this shell's ${config.origin}`,
      "Run the doctor with the server's own environment.",
    );
  }
  if (patient.isPublic && issuer !== undefined) {
    if (issuer.startsWith("https:")) {
      notes.ok("cookies", "are Secure, HttpOnly and bound to the host");
    } else notes.fail("cookies", "go over plain http", todo);
  }
}

function isLocal(origin: string): boolean {
  return URL.canParse(origin) && isLoopbackName(new URL(origin).host);
}

function issuerOf(text: string): string | undefined {
  try {
    const { issuer } = JSON.parse(text) as { issuer?: unknown };
    return typeof issuer === "string" ? issuer.replace(/\/$/, "") : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Do the headers that guard pages get through? */
async function pages(patient: Patient): Promise<void> {
  const { headers, status } = await patient.ask("/", { headers: { Accept: "text/html" } });
  const policy = headers.get("Content-Security-Policy") ?? "";
  const missing = [
    ...policy === "" ? ["Content-Security-Policy"] : [],
    ...policy.includes("unsafe-inline") ? ["a policy without unsafe-inline"] : [],
    ...policy !== "" && !policy.includes("frame-ancestors 'none'")
      ? ["frame-ancestors 'none'"]
      : [],
    ...headers.get("X-Content-Type-Options") === "nosniff" ? [] : ["X-Content-Type-Options"],
    ...headers.has("Referrer-Policy") ? [] : ["Referrer-Policy"],
  ];
  if (missing.length === 0 && status === 200) patient.notes.ok("headers", "pages are guarded");
  else {
    patient.notes.fail(
      "headers",
      status === 200 ? `missing: ${missing.join(", ")}` : `the page answered ${status}`,
      "Let the proxy pass the service's headers on as they are.",
    );
  }
  const hsts = headers.has("Strict-Transport-Security");
  if (patient.isPublic && patient.base.protocol === "https:" && !hsts) {
    patient.notes.warn(
      "hsts",
      "no Strict-Transport-Security",
      'Have the proxy add it: "max-age=31536000".',
    );
  }
}

/** Who may read the metrics, and what they say at a glance. */
async function metrics(patient: Patient): Promise<void> {
  const { notes, config, isPublic } = patient;
  const bare = await patient.ask("/metrics");
  const token = config?.metricsToken;
  if (isPublic && bare.status === 200) {
    notes.fail(
      "metrics",
      "open to everybody",
      "Set SYNC_METRICS_TOKEN, or have the proxy shut them.",
    );
  }
  let shown = bare;
  if (token !== undefined) {
    shown = await patient.ask("/metrics", { headers: { Authorization: `Bearer ${token}` } });
    if (shown.status !== 200) {
      notes.fail(
        "metrics",
        `${shown.status} with this shell's SYNC_METRICS_TOKEN`,
        "Run the doctor with the server's own environment.",
      );
    } else if (bare.status !== 200) notes.ok("metrics", "by token alone");
    else if (!isPublic) notes.ok("metrics", "by token, and open to this machine");
  } else if (bare.status === 200 && !isPublic) notes.ok("metrics", "open to this machine");
  else if (bare.status !== 200) notes.ok("metrics", "closed");
  if (shown.status === 200) glance(patient, shown.text);
}

/** What the numbers say that nobody should have to go and look for. */
function glance({ notes, isPublic }: Patient, text: string): void {
  const sum = (name: string, labels = ""): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, "gm"))]
      .filter(([, found]) => (found ?? "").includes(labels))
      .reduce((all, [, , value]) => all + Number(value), 0);
  const [, release] = /^sync_build_info\{version="([^"]+)"/m.exec(text) ?? [];
  if (release !== undefined && release !== RELEASE) {
    notes.note("release", `the server is ${release}, this is ${RELEASE}`);
  }
  const failed = sum("sync_database_errors_total") - sum("sync_database_errors_total", '"busy"');
  notes.against(
    "database errors",
    failed,
    { warn: 0 },
    `${failed} since it started`,
    "Its log names the cause of each.",
  );
  const bugs = sum("sync_requests_total", 'status="500"');
  notes.against("bugs", bugs, { warn: 0 }, `${bugs} since it started`, "Its log has each of them.");
  const files = sum("process_open_fds") / sum("process_max_fds");
  if (Number.isFinite(files)) {
    notes.against(
      "files in use",
      files,
      { warn: 0.8, fail: 0.97 },
      `${Math.round(files * 100)} % of those allowed`,
      "Raise the limit of open files: each wait and each stream takes one.",
    );
  }
  if (isPublic && sum("sync_rate_limit_per_minute", '"address"') === 0) {
    notes.warn("rate limits", "off", "Set SYNC_RATE_LIMIT_IP and SYNC_RATE_LIMIT_TOKEN.");
  }
}

/** May anybody make rooms? Asked with a body that makes none. */
async function creation(patient: Patient): Promise<void> {
  const { status } = await patient.ask("/rooms", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ id: "" }),
  });
  if (status === 401 || status === 403) patient.notes.ok("creation", "takes a token");
  else if (status === 429) patient.notes.ok("creation", "limited");
  else if (!patient.isPublic) patient.notes.ok("creation", "open to this machine");
  else {
    patient.notes.warn(
      "creation",
      "anybody may create rooms without a token",
      "Unless that is meant: leave SYNC_ROOM_CREATION out, or set it to token.",
    );
  }
}
