/** What goes wrong with a database, in one word for metrics. */

const KINDS: readonly (readonly [code: RegExp, kind: string])[] = [
  [/^SQLITE_BUSY|^SQLITE_LOCKED|^TRANSACTION_ACTIVE$|^CLIENT_CLOSED$/, "busy"],
  [/^SQLITE_FULL/, "full"],
  [/^SQLITE_IOERR|^SQLITE_CANTOPEN/, "io"],
  [/^SQLITE_READONLY|^SQLITE_PERM/, "read_only"],
  [/^SQLITE_CORRUPT|^SQLITE_NOTADB/, "corrupt"],
  [/^SQLITE_/, "statement"],
];

/** Every kind, those of a network last. */
export const TROUBLES = [...KINDS.map(([, kind]) => kind), "late", "unreachable"] as const;

/** Has the server too much to do (HTTP 429), and done nothing of this? */
export function isTurnedAway(error: unknown): boolean {
  return (error as { status?: unknown } | null)?.status === 429;
}

/** The kind of a failure by its code; a database that does not answer has none. */
export function troubleOf(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (isTurnedAway(error)) return "busy";
  const found = typeof code === "string" && KINDS.find(([pattern]) => pattern.test(code));
  if (found) return found[1];
  return typeof message === "string" && /^no answer in |abort/i.test(message)
    ? "late"
    : "unreachable";
}
