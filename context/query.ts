/** The parameters of a context read: parsed once, for GET, POST and the reply of an invocation. */
import { invalid } from "../errors.ts";
import { BUDGET_TOKENS_MIN, MESSAGES_LIMIT_DEFAULT, MESSAGES_LIMIT_MAX } from "../limits.ts";
import { ELIDE_THRESHOLD, FOCUS_THRESHOLD } from "../salience.ts";
import type { JsonObject } from "../types.ts";

/** The sections of a context. */
export const SECTIONS = ["state", "views", "agents", "actions", "messages"] as const;
/** A section's name. */
export type Section = typeof SECTIONS[number];

/** The kind under which invocations can be read as messages. */
export const INVOCATIONS = "action_invocation";

/** Filters of the messages section. */
export interface MessageQuery {
  readonly after?: number;
  readonly limit: number;
  readonly kinds?: ReadonlySet<string>;
  readonly from?: string;
  readonly to?: string;
  readonly thread?: number;
  readonly unclaimed: boolean;
}

/** A context read, checked. */
export interface ContextQuery {
  readonly depth: "lean" | "full" | "usage";
  readonly sections: ReadonlySet<Section>;
  /** Scopes that `only=state.<scope>` names; undefined for all. */
  readonly onlyScopes?: ReadonlySet<string>;
  readonly include: ReadonlySet<string>;
  readonly expand: readonly string[];
  readonly elision: "auto" | "none";
  readonly focus: number;
  readonly elide: number;
  readonly namesThresholds: boolean;
  readonly messages: MessageQuery;
  readonly expandParams: boolean;
  readonly shape: "wrapped" | "plain";
  readonly since?: number;
  readonly budget?: number;
  readonly explain: boolean;
  readonly peek: boolean;
}

/** Where parameters come from: every value of a name, as text. */
export interface Parameters {
  (name: string): readonly string[];
  /** All of them as one text, where there is one: equal texts are parsed once. */
  readonly source?: string;
}

/** Parameters from a query string. */
export function fromSearch(search: URLSearchParams, source: string): Parameters {
  return Object.assign((name: string) => search.getAll(name), { source });
}

const PARSED_MAX = 500;
const SOURCE_LENGTH_MAX = 1_000;

/** What was parsed lately, by its text. Readers of equal text get the same object. */
export class Parsed<T> {
  readonly #bySource = new Map<string, T>();

  /** The result for these parameters, parsed when their text is new. */
  of(get: Parameters, parse: (get: Parameters) => T): T {
    const { source } = get;
    if (source === undefined || source.length > SOURCE_LENGTH_MAX) return parse(get);
    let parsed = this.#bySource.get(source);
    if (parsed === undefined) {
      parsed = parse(get);
      if (this.#bySource.size >= PARSED_MAX) this.#bySource.clear();
      this.#bySource.set(source, parsed);
    }
    return parsed;
  }
}

/** Parameters from a JSON object: numbers and booleans as text, lists as several. */
export function fromJson(body: JsonObject): Parameters {
  return (name) => {
    const value = body[name];
    if (value === undefined || value === null) return [];
    const list = Array.isArray(value) ? value : [value];
    return list.map((item) => typeof item === "string" ? item : JSON.stringify(item));
  };
}

/** The names a context read knows. */
export const CONTEXT_PARAMETERS = [
  "depth",
  "only",
  "include",
  "expand",
  "elision",
  "focus_threshold",
  "elide_threshold",
  "actions",
  "messages",
  "messages_after",
  "messages_limit",
  "messages_kind",
  "messages_from",
  "messages_to",
  "messages_thread",
  "messages_unclaimed",
  "expand_params",
  "compact",
  "shape",
  "since",
  "budget",
  "explain",
  "peek",
  "agent",
] as const;

const parsedQueries = new Parsed<ContextQuery>();

/** Parses a context read. Throws `invalid_argument` for a value that makes no sense. */
export function parseContextQuery(get: Parameters): ContextQuery {
  return parsedQueries.of(get, parseWhole);
}

function parseWhole(get: Parameters): ContextQuery {
  const include = new Set(wordsOf(get, "include").map(checkInclude));
  const { sections, onlyScopes } = withIncluded(parseOnly(wordsOf(get, "only")), include);
  if (!flag(get, "actions", true)) sections.delete("actions");
  if (!flag(get, "messages", true)) sections.delete("messages");
  // Rendering drops the nulls; here its value is only looked at.
  flag(get, "compact", false);
  const since = whole(get, "since", 0, Number.MAX_SAFE_INTEGER);
  const budget = whole(get, "budget", BUDGET_TOKENS_MIN, 10_000_000);
  return {
    depth: oneOf(get, "depth", ["lean", "full", "usage"], "lean"),
    sections,
    ...(onlyScopes ? { onlyScopes } : {}),
    include,
    expand: get("expand").flatMap((text) => text.split(",")).filter((path) => path !== "").map(
      checkExpand,
    ),
    elision: oneOf(get, "elision", ["auto", "none"], "auto"),
    focus: threshold(get, "focus_threshold", FOCUS_THRESHOLD),
    elide: threshold(get, "elide_threshold", ELIDE_THRESHOLD),
    namesThresholds: get("focus_threshold").length > 0 || get("elide_threshold").length > 0,
    messages: parseMessages(get),
    expandParams: flag(get, "expand_params", false),
    shape: oneOf(get, "shape", ["wrapped", "plain"], "wrapped"),
    ...(since === undefined ? {} : { since }),
    ...(budget === undefined ? {} : { budget }),
    explain: flag(get, "explain", false),
    peek: flag(get, "peek", false),
  };
}

/** The sections that `only` leaves, and the scopes of state where it leaves but some. */
interface Only {
  readonly sections: Set<Section>;
  readonly onlyScopes?: Set<string>;
}

/**
 * What is included is shown whatever `only` leaves out, and the records that `only` names are
 * included: neither is dropped without a word.
 */
function withIncluded({ sections, onlyScopes }: Only, include: Set<string>): Only {
  if (onlyScopes?.has("_audit")) include.add("_audit");
  const extra = [...include].filter((word) => word !== "_hidden");
  if (sections.has("state")) {
    return onlyScopes ? { sections, onlyScopes: new Set([...onlyScopes, ...extra]) } : { sections };
  }
  if (extra.length === 0) return { sections };
  return { sections: sections.add("state"), onlyScopes: new Set(extra) };
}

function parseOnly(only: readonly string[]): Only {
  if (only.length === 0) return { sections: new Set(SECTIONS) };
  const sections = new Set<Section>();
  const scopes = new Set<string>();
  for (const word of only) {
    const scope = word.startsWith("state.") ? word.slice("state.".length) : undefined;
    const section = scope === undefined ? word : "state";
    if (!(SECTIONS as readonly string[]).includes(section) || scope === "") {
      throw invalid(
        "only",
        `sections (${SECTIONS.join(", ")}) or state.<scope> are wanted`,
        "state,messages",
      );
    }
    sections.add(section as Section);
    if (scope !== undefined) scopes.add(scope);
  }
  return scopes.size > 0 && !only.includes("state")
    ? { sections, onlyScopes: scopes }
    : { sections };
}

function checkInclude(word: string): string {
  if (!/^_[A-Za-z0-9_-]+$/.test(word)) {
    throw invalid("include", 'scopes with a leading "_" are wanted, such as _audit', "_audit");
  }
  return word;
}

function checkExpand(path: string): string {
  const dot = path.indexOf(".");
  if (dot <= 0 || dot === path.length - 1) {
    throw invalid("expand", '"scope.key", "scope.*" or "_views.id" is wanted', "_shared.phase");
  }
  return path;
}

function parseMessages(get: Parameters): MessageQuery {
  const after = whole(get, "messages_after", 0, Number.MAX_SAFE_INTEGER);
  const thread = whole(get, "messages_thread", 1, Number.MAX_SAFE_INTEGER);
  const text = (name: string): string | undefined => get(name)[0] || undefined;
  const from = text("messages_from"), to = text("messages_to");
  const kinds = new Set(wordsOf(get, "messages_kind"));
  if (kinds.has(INVOCATIONS) && kinds.size > 1) {
    throw invalid("messages_kind", `${INVOCATIONS} is wanted alone: it is read from the log`);
  }
  return {
    limit: whole(get, "messages_limit", 1, MESSAGES_LIMIT_MAX) ?? MESSAGES_LIMIT_DEFAULT,
    unclaimed: flag(get, "messages_unclaimed", false),
    ...(after === undefined ? {} : { after }),
    ...(thread === undefined ? {} : { thread }),
    ...(kinds.size === 0 ? {} : { kinds }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

/** A parameter that is a list of words, with commas or given several times. */
export function wordsOf(get: Parameters, name: string): string[] {
  return get(name).flatMap((text) => text.split(",")).map((word) => word.trim())
    .filter((word) => word !== "");
}

/** A parameter that is one of a few words. */
export function oneOf<T extends string>(
  get: Parameters,
  name: string,
  among: readonly T[],
  fallback: T,
): T {
  const [text] = get(name);
  if (text === undefined || text === "") return fallback;
  const found = among.find((word) => word === text);
  if (found === undefined) throw invalid(name, `one of ${among.join(", ")} is wanted`, fallback);
  return found;
}

/** A parameter that is true or false. */
export function flag(get: Parameters, name: string, fallback: boolean): boolean {
  const [text] = get(name);
  if (text === undefined || text === "") return fallback;
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw invalid(name, "true or false is wanted", !fallback);
}

/** A parameter that is a whole number within bounds; undefined when it is not given. */
export function whole(get: Parameters, name: string, min: number, max: number): number | undefined {
  const [text] = get(name);
  if (text === undefined || text === "") return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(name, `a whole number from ${min} to ${max} is wanted`, min);
  }
  return value;
}

function threshold(get: Parameters, name: string, fallback: number): number {
  const [text] = get(name);
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || value < 0 || value > 1) {
    throw invalid(name, "a number from 0 to 1 is wanted", fallback);
  }
  return value;
}
