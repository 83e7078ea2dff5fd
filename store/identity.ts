/**
 * The SQL of people: passkeys, ceremonies, sessions and recovery codes. Secrets are known here
 * by their hashes only.
 */
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { Row } from "./db.ts";
import { once } from "./security.ts";
import { insertUser } from "./members.ts";

function text(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

function number(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

/** A passkey's row. */
export interface PasskeyRow {
  readonly id: string;
  readonly user: string;
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  readonly name: string;
  readonly createdAt: Millis;
  readonly lastUsedAt: Millis | null;
}

const PASSKEY_COLUMNS = "id, user, public_key, counter, transports, name, created_at, last_used_at";

function passkeyRow(row: Row): PasskeyRow {
  return {
    id: String(row["id"]),
    user: String(row["user"]),
    publicKey: String(row["public_key"]),
    counter: Number(row["counter"]),
    transports: JSON.parse(String(row["transports"])) as string[],
    name: String(row["name"]),
    createdAt: Number(row["created_at"]),
    lastUsedAt: number(row["last_used_at"]),
  };
}

/** Adds a passkey to a user that exists; none when the credential is known already. */
export function insertPasskey(p: PasskeyRow): SideStatement {
  return {
    sql: `INSERT INTO passkey (${PASSKEY_COLUMNS})
      SELECT :id, :user, :public_key, :counter, :transports, :name, :created_at, NULL
      WHERE EXISTS (SELECT 1 FROM user WHERE id = :user)
        AND NOT EXISTS (SELECT 1 FROM passkey WHERE id = :id) RETURNING id`,
    args: {
      id: p.id,
      user: p.user,
      public_key: p.publicKey,
      counter: p.counter,
      transports: JSON.stringify(p.transports),
      name: p.name,
      created_at: p.createdAt,
    },
  };
}

/** A passkey by its credential id. */
export async function findPasskey(store: Store, id: string): Promise<PasskeyRow | undefined> {
  const row = await store.db.first(`SELECT ${PASSKEY_COLUMNS} FROM passkey WHERE id = :id`, { id });
  return row && passkeyRow(row);
}

/** A user's passkeys, oldest first. */
export async function listPasskeys(store: Store, user: string): Promise<PasskeyRow[]> {
  const rows = await store.db.all(
    `SELECT ${PASSKEY_COLUMNS} FROM passkey WHERE user = :user ORDER BY created_at, rowid`,
    { user },
  );
  return rows.map(passkeyRow);
}

/** Notes a passkey's use, unless its counter has moved on meanwhile; false when it has. */
export async function usePasskey(
  store: Store,
  id: string,
  from: number,
  to: number,
  at: Millis,
): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `UPDATE passkey SET counter = :to, last_used_at = :at
      WHERE id = :id AND counter = :from RETURNING id`,
    args: { id, from, to, at },
  }]);
  return (rows ?? []).length > 0;
}

/** Names a user's passkey. */
export async function renamePasskey(
  store: Store,
  user: string,
  id: string,
  name: string,
): Promise<boolean> {
  const [rows] = await store.run([{
    sql: "UPDATE passkey SET name = :name WHERE id = :id AND user = :user RETURNING id",
    args: { id, user, name },
  }]);
  return (rows ?? []).length > 0;
}

/** Removes a user's passkey and the sessions it opened, unless it is the last one. */
export async function removePasskey(store: Store, user: string, id: string): Promise<boolean> {
  const [rows] = await store.run([
    {
      sql: `DELETE FROM passkey WHERE id = :id AND user = :user
        AND (SELECT count(*) FROM passkey WHERE user = :user) > 1 RETURNING id`,
      args: { id, user },
    },
    {
      sql: `DELETE FROM session WHERE user = :user AND passkey = :id
        AND NOT EXISTS (SELECT 1 FROM passkey WHERE id = :id)`,
      args: { id, user },
    },
  ]);
  return (rows ?? []).length > 0;
}

/** Creates a user with its first passkey and session, or nothing of it when name or credential is taken. */
export async function registerUser(
  store: Store,
  user: { readonly id: string; readonly username: string },
  passkey: PasskeyRow,
  session: SessionRow,
  at: Millis,
): Promise<boolean> {
  const fresh = insertUser(user.id, user.username, at);
  const [, added] = await store.run([
    {
      sql: `${fresh.sql} AND NOT EXISTS (SELECT 1 FROM passkey WHERE id = :passkey)`,
      args: { ...fresh.args, passkey: passkey.id },
    },
    insertPasskey(passkey),
    insertSession(session),
  ]);
  return (added ?? []).length > 0;
}

/** What a ceremony is for. */
export type Purpose = "register" | "login" | "add";

/** A ceremony that waits for the browser's answer. */
export interface ChallengeRow {
  readonly hash: string;
  readonly purpose: Purpose;
  readonly challenge: string;
  readonly user: string | null;
  readonly username: string | null;
  readonly expiresAt: Millis;
}

/** Remembers a ceremony. */
export async function insertChallenge(store: Store, c: ChallengeRow): Promise<void> {
  await store.run([{
    sql: `INSERT INTO challenge (hash, purpose, challenge, user, username, expires_at)
      VALUES (:hash, :purpose, :challenge, :user, :username, :expires_at)`,
    args: {
      hash: c.hash,
      purpose: c.purpose,
      challenge: c.challenge,
      user: c.user,
      username: c.username,
      expires_at: c.expiresAt,
    },
  }]);
}

/** Takes a ceremony: only the first of several callers gets it. */
export async function takeChallenge(
  store: Store,
  hash: string,
  purpose: Purpose,
  now: Millis,
): Promise<{ challenge: string; user: string | null; username: string | null } | undefined> {
  const [rows] = await store.run([{
    sql: `DELETE FROM challenge WHERE hash = :hash AND purpose = :purpose AND expires_at > :now
      RETURNING challenge, user, username`,
    args: { hash, purpose, now },
  }]);
  const row = rows?.[0];
  return row &&
    {
      challenge: String(row["challenge"]),
      user: text(row["user"]),
      username: text(row["username"]),
    };
}

/** A session's row. */
export interface SessionRow {
  readonly hash: string;
  readonly id: string;
  readonly user: string;
  readonly kind: "full" | "recovery";
  readonly passkey: string | null;
  readonly label: string | null;
  readonly createdAt: Millis;
  readonly expiresAt: Millis;
}

function sessionRow(row: Row): SessionRow {
  return {
    hash: String(row["hash"]),
    id: String(row["id"]),
    user: String(row["user"]),
    kind: row["kind"] === "recovery" ? "recovery" : "full",
    passkey: text(row["passkey"]),
    label: text(row["label"]),
    createdAt: Number(row["created_at"]),
    expiresAt: Number(row["expires_at"]),
  };
}

/** Opens a session of a user that exists. */
export function insertSession(s: SessionRow): SideStatement {
  return {
    sql: `INSERT INTO session (hash, id, user, kind, passkey, label, created_at, expires_at)
      SELECT :hash, :id, :user, :kind, :passkey, :label, :created_at, :expires_at
      WHERE EXISTS (SELECT 1 FROM user WHERE id = :user)`,
    args: {
      hash: s.hash,
      id: s.id,
      user: s.user,
      kind: s.kind,
      passkey: s.passkey,
      label: s.label,
      created_at: s.createdAt,
      expires_at: s.expiresAt,
    },
  };
}

/** A living session and its user. */
export async function findSession(
  store: Store,
  hash: string,
  now: Millis,
): Promise<(SessionRow & { username: string }) | undefined> {
  const rows = await store.db.all(
    `SELECT s.hash, s.id, s.user, s.kind, s.passkey, s.label, s.created_at, s.expires_at, u.username
      FROM session AS s JOIN user AS u ON u.id = s.user WHERE s.hash = :hash AND s.expires_at > :now`,
    { hash, now },
  );
  return rows[0] && { ...sessionRow(rows[0]), username: String(rows[0]["username"]) };
}

/** A user's living sessions, newest first. */
export async function listSessions(store: Store, user: string, now: Millis): Promise<SessionRow[]> {
  const rows = await store.db.all(
    `SELECT hash, id, user, kind, passkey, label, created_at, expires_at FROM session
      WHERE user = :user AND expires_at > :now ORDER BY created_at DESC, id`,
    { user, now },
  );
  return rows.map(sessionRow);
}

/** Makes a recovery session a full one, once a passkey was added. */
export function upgradeSession(hash: string, passkey: string, expiresAt: Millis): SideStatement {
  return {
    sql: `UPDATE session SET kind = 'full', passkey = :passkey, expires_at = :expires_at
      WHERE hash = :hash AND kind = 'recovery'`,
    args: { hash, passkey, expires_at: expiresAt },
  };
}

/** Ends a session by its hash. */
export async function deleteSession(store: Store, hash: string): Promise<void> {
  await store.run([{ sql: "DELETE FROM session WHERE hash = :hash", args: { hash } }]);
}

/** Ends one of a user's sessions by its id, or all but one; how many ended. */
export async function endSessions(
  store: Store,
  user: string,
  which: { readonly id: string } | { readonly butHash: string },
): Promise<number> {
  const id = "id" in which ? which.id : null;
  const but = "butHash" in which ? which.butHash : null;
  const [rows] = await store.run([{
    sql:
      `DELETE FROM session WHERE user = :user AND (:id IS NULL OR id = :id) AND (:but IS NULL OR hash <> :but)
      RETURNING id`,
    args: { user, id, but },
  }]);
  return (rows ?? []).length;
}

/** Replaces a user's recovery codes. */
export async function replaceRecoveryCodes(
  store: Store,
  user: string,
  hashes: readonly string[],
  at: Millis,
): Promise<void> {
  await store.run([
    { sql: "DELETE FROM recovery_code WHERE user = :user", args: { user } },
    {
      sql: `INSERT INTO recovery_code (hash, user, created_at)
        SELECT value, :user, :at FROM json_each(:hashes)`,
      args: { user, at, hashes: JSON.stringify(hashes) },
    },
  ]);
}

/** Adds one recovery code to a user's. */
export async function addRecoveryCode(
  store: Store,
  user: string,
  hash: string,
  at: Millis,
): Promise<void> {
  await store.run([{
    sql: "INSERT INTO recovery_code (hash, user, created_at) VALUES (:hash, :user, :at)",
    args: { hash, user, at },
  }]);
}

/** How many recovery codes a user has left. */
export async function countRecoveryCodes(store: Store, user: string): Promise<number> {
  const rows = await store.db.all(
    "SELECT count(*) AS n FROM recovery_code WHERE user = :user AND used_at IS NULL",
    { user },
  );
  return Number(rows[0]?.["n"] ?? 0);
}

/** The user behind an unused recovery code. */
export async function findRecoveryCode(store: Store, hash: string): Promise<string | undefined> {
  const rows = await store.db.all(
    "SELECT user FROM recovery_code WHERE hash = :hash AND used_at IS NULL",
    { hash },
  );
  return rows[0] && String(rows[0]["user"]);
}

/** Uses a recovery code once: it ends every session of its user and opens the one given. */
export async function useRecoveryCode(
  store: Store,
  hash: string,
  session: SessionRow,
  at: Millis,
): Promise<boolean> {
  const guard = {
    sql: "EXISTS (SELECT 1 FROM recovery_code WHERE hash = :code AND used_at IS NULL)",
    args: { code: hash },
  };
  const row = await once(store, guard, [
    { sql: "DELETE FROM session WHERE user = :user", args: { user: session.user } },
    insertSession(session),
  ], {
    sql:
      "UPDATE recovery_code SET used_at = :at WHERE hash = :hash AND used_at IS NULL RETURNING user",
    args: { hash, at },
  });
  return row !== undefined;
}
