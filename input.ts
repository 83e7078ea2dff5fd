/** Ids, keys and bodies: the schemas that every door shares, and their failures in our words. */
import { z } from "zod";
import { type ErrorFacts, invalid, SyncError } from "./errors.ts";
import { KEY_LENGTH_MAX, MEMBERS_MAX, TEXT_LENGTH_MAX } from "./limits.ts";
import type { Json } from "./types.ts";

const NEVER: ReadonlySet<string> = new Set([
  "self",
  "admin",
  "system",
  "constructor",
  "prototype",
  "__proto__",
]);

/** Words that no id and no key may be: they mean something else to the service. */
export function isForbiddenWord(word: string): boolean {
  return NEVER.has(word) || word.startsWith("did:");
}

const FORBIDDEN =
  'another word is wanted: "self", "admin", "system", "constructor", "prototype", "__proto__" and ' +
  'what begins with "did:" are reserved';

function id(pattern: RegExp, wanted: string) {
  return z.string({ error: wanted }).regex(pattern, { error: wanted }).refine(
    (word) => !isForbiddenWord(word),
    { error: FORBIDDEN },
  );
}

/** A room's id. */
export const roomId = id(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
  "1-128 letters, digits, '.', '_' or '-' are wanted, beginning with a letter or digit",
);
/** An agent's id. */
export const agentId = id(
  /^[A-Za-z0-9][A-Za-z0-9_:@-]{0,127}$/,
  "1-128 letters, digits, '_', ':', '@' or '-' are wanted, beginning with a letter or digit (no dots)",
);
/** The id of an action or a view. */
export const vocabularyId = id(
  /^[A-Za-z0-9][A-Za-z0-9_:@.-]{0,127}$/,
  "1-128 letters, digits, '_', ':', '@', '.' or '-' are wanted, beginning with a letter or digit " +
    "(a leading '_' is for built-ins)",
);

const CUSTOM_SCOPE = /^_[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const PRINTABLE = /^[^\p{Cc}\p{Cs}\u2028\u2029]+$/u;

/** Has a name the form of a custom scope's? Those of the service have it, too. */
export function isCustomScopeName(name: string): boolean {
  return CUSTOM_SCOPE.test(name);
}

/** Is this a scope's name: `_shared`, a custom one, or an agent's? */
export function isScopeName(name: string): boolean {
  return CUSTOM_SCOPE.test(name) || agentId.safeParse(name).success;
}

/** A scope's name. */
export const scopeName = z.string().refine(isScopeName, {
  error: 'a scope is wanted: "_shared", a custom one such as "_board", or an agent\'s id',
});

/** A scope's name, or `self` for the caller's own. */
export const ownOrScopeName = z.string().refine((name) => name === "self" || isScopeName(name), {
  error:
    'a scope is wanted: "_shared", a custom one such as "_board", an agent\'s id, or "self" for your own',
});

/** The scope that a caller means. Throws `invalid_argument` for the own one of who is no agent. */
export function ownScope(scope: string, caller: string, field: string): string {
  if (scope !== "self") return scope;
  if (caller !== "" && caller !== "admin") return caller;
  throw new SyncError("invalid_argument", `"${field}" is not valid: only agents have a scope.`, {
    field,
    hint: "Name a scope, or act as an agent: self is that agent's own.",
    example: { scope: "_shared" },
  });
}

/** Is this a key? */
export function isKey(key: string): boolean {
  return key.length >= 1 && key.length <= KEY_LENGTH_MAX && PRINTABLE.test(key) &&
    !isForbiddenWord(key);
}

/** What is wanted in place of text that is no key. */
function keyWanted(text: unknown): string {
  return typeof text === "string" && isForbiddenWord(text)
    ? FORBIDDEN
    : `a key of 1-${KEY_LENGTH_MAX} printable characters is wanted`;
}

/** `400 invalid_argument` of what is no key. */
export function noKey(field: string, text: string): SyncError {
  return invalid(field, keyWanted(text), "phase");
}

/** A key. */
export const keyName = z.string().refine(isKey, { error: ({ input }) => keyWanted(input) });

/** Any JSON. */
export const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined, {
  error: "JSON is wanted",
});

/** A condition as an expression; true and false are taken for the expressions they spell. */
export const condition = z.union([z.string(), z.boolean()], {
  error: "a CEL expression is wanted, as text",
}).transform(String);

/** A plain JSON object. */
export const jsonObject = z.custom<Record<string, Json>>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  { error: "a JSON object is wanted" },
);

/** A label: kept as a text column, which would end at a NUL. */
export const labelText = z.string().max(TEXT_LENGTH_MAX).refine(
  (text) => !text.includes("\u0000"),
  {
    error: "text without NUL is wanted",
  },
);

/** An object of members by name. `__proto__` is refused: schemas of records would drop it silently. */
export function record<S extends z.ZodType>(member: S) {
  const isPlain = (value: unknown): boolean =>
    typeof value !== "object" || value === null || !Object.hasOwn(value, "__proto__");
  const isSmall = (value: unknown): boolean =>
    typeof value !== "object" || value === null || Object.keys(value).length <= MEMBERS_MAX;
  // One after the other: an intersection would compare every name with every other.
  const members = z.record(z.string(), member);
  return z.custom<z.input<typeof members>>(isPlain, {
    error: 'another name than "__proto__" is wanted',
    abort: true,
  }).refine(isSmall, { error: `at most ${MEMBERS_MAX} members are wanted`, abort: true })
    .pipe(members);
}

/** How a failed schema is answered; `example` shows the shape wanted. */
export interface BodyOptions {
  readonly example?: unknown;
  /** Prefixed to the field's name, such as "params". */
  readonly at?: string;
  /** Said before the list of members. */
  readonly hint?: string;
}

/** Checks a body against its schema. Throws `invalid_argument` naming the first bad field. */
export function parseBody<S extends z.ZodType>(
  schema: S,
  body: Json,
  options: BodyOptions = {},
): z.output<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = firstIssue(parsed.error.issues);
  const path = [...(options.at === undefined ? [] : [options.at]), ...issue.path];
  if (issue.code === "unrecognized_keys") {
    throw badField(
      fieldName([...path, issue.keys[0]!]),
      "this member is not known here",
      schema,
      options,
    );
  }
  const limit = issue.code === "too_big" ? limitIn(issue) : undefined;
  const wanted = limit?.wanted ?? lowerFirst(issue.message);
  const facts = limit && { limit: limit.max };
  throw badField(fieldName(path) || "body", wanted, schema, options, facts);
}

type Issue = z.core.$ZodIssue;

/** The first thing that is wrong; of alternatives that of the one whose kind of value it was. */
function firstIssue([issue]: readonly Issue[]): Issue {
  if (issue!.code !== "invalid_union") return issue!;
  for (const alternative of issue!.errors) {
    const first = firstIssue(alternative);
    if (OF_ANOTHER_KIND.has(first.code) && first.path.length === 0) continue;
    return { ...first, path: [...issue!.path, ...first.path] };
  }
  return issue!;
}

const OF_ANOTHER_KIND: ReadonlySet<string> = new Set([
  "invalid_type",
  "invalid_value",
  "invalid_union",
]);

const COUNTED_BY: Readonly<Record<string, string>> = { array: " members", string: " characters" };

/** What is said of something beyond its bound: the bound. */
function limitIn(
  { origin, maximum }: Extract<Issue, { code: "too_big" }>,
): { wanted: string; max: number } | undefined {
  const max = Number(maximum);
  const of = COUNTED_BY[origin];
  return of === undefined ? undefined : { wanted: `at most ${max}${of} are wanted`, max };
}

/** `params.writes[0].key`. */
function fieldName(path: readonly PropertyKey[]): string {
  return path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${String(part)}`
  ).join("");
}

function badField(
  field: string,
  wanted: string,
  schema: z.ZodType,
  options: BodyOptions,
  facts: ErrorFacts = {},
): SyncError {
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const members = known.length > 0 ? [`Members: ${known.join(", ")}.`] : [];
  const hint = [...(options.hint === undefined ? [] : [options.hint]), ...members].join(" ");
  return new SyncError("invalid_argument", `"${field}" is not valid: ${wanted}.`, {
    field,
    ...(hint === "" ? {} : { hint }),
    example: options.example ?? {},
    ...facts,
  });
}

function lowerFirst(text: string): string {
  return text.startsWith("Invalid") ? `i${text.slice(1)}` : text;
}

const NEAREST_TOLD = 3;

/** Candidates nearest to a word by edit distance, for "did you mean"; only those that may be told. */
export function nearest(
  word: string,
  among: Iterable<string>,
  mayTell: (candidate: string) => boolean = () => true,
): string[] {
  const scored: [number, string][] = [];
  for (const candidate of among) {
    const distance = editDistance(
      word.toLowerCase().slice(0, 64),
      candidate.toLowerCase().slice(0, 64),
    );
    if (distance <= Math.max(2, candidate.length >> 1)) scored.push([distance, candidate]);
  }
  scored.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
  const told: string[] = [];
  for (const [, candidate] of scored) {
    if (told.length < NEAREST_TOLD && mayTell(candidate)) told.push(candidate);
  }
  return told;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
