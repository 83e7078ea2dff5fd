/**
 * The SQL of the authorization server: device codes, clients, authorization codes and the
 * requests that were answered. Secrets are known here by their hashes only.
 */
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { Row } from "./db.ts";
import { type Guard, once } from "./security.ts";

function text(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** A device's request for a token. */
export interface DeviceRow {
  readonly hash: string;
  readonly userHash: string;
  /** The registered client, if it named one. */
  readonly client: string | null;
  readonly clientName: string;
  readonly asked: string;
  /** Did it name the scope itself? */
  readonly explicit: boolean;
  readonly resource: string | null;
  readonly status: "pending" | "approved" | "denied" | "used";
  readonly user: string | null;
  readonly granted: string | null;
  readonly intervalMs: number;
  readonly polledAt: Millis | null;
  readonly createdAt: Millis;
  readonly expiresAt: Millis;
}

const DEVICE_COLUMNS =
  `hash, user_hash, client, client_name, asked, explicit, resource, status, user, granted,
  interval_ms, polled_at, created_at, expires_at`;

function deviceRow(row: Row): DeviceRow {
  return {
    hash: String(row["hash"]),
    userHash: String(row["user_hash"]),
    client: text(row["client"]),
    clientName: String(row["client_name"]),
    asked: String(row["asked"]),
    explicit: Number(row["explicit"]) === 1,
    resource: text(row["resource"]),
    status: String(row["status"]) as DeviceRow["status"],
    user: text(row["user"]),
    granted: text(row["granted"]),
    intervalMs: Number(row["interval_ms"]),
    polledAt: row["polled_at"] === null ? null : Number(row["polled_at"]),
    createdAt: Number(row["created_at"]),
    expiresAt: Number(row["expires_at"]),
  };
}

/** Remembers a device's request; false when its user code is taken (draw another). */
export async function insertDevice(store: Store, d: DeviceRow): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `INSERT INTO device_code (${DEVICE_COLUMNS})
      SELECT :hash, :user_hash, :client, :client_name, :asked, :explicit, :resource, 'pending', NULL, NULL,
        :interval_ms, NULL, :created_at, :expires_at
      WHERE NOT EXISTS (SELECT 1 FROM device_code WHERE user_hash = :user_hash) RETURNING hash`,
    args: {
      hash: d.hash,
      user_hash: d.userHash,
      client: d.client,
      client_name: d.clientName,
      asked: d.asked,
      explicit: d.explicit ? 1 : 0,
      resource: d.resource,
      interval_ms: d.intervalMs,
      created_at: d.createdAt,
      expires_at: d.expiresAt,
    },
  }]);
  return (rows ?? []).length > 0;
}

/** A device's request by the hash of its device code. */
export async function findDevice(store: Store, hash: string): Promise<DeviceRow | undefined> {
  const row = await store.db.first(`SELECT ${DEVICE_COLUMNS} FROM device_code WHERE hash = :hash`, {
    hash,
  });
  return row && deviceRow(row);
}

/** A device's request that still waits, by the hash of its user code. */
export async function findPendingDevice(
  store: Store,
  userHash: string,
  now: Millis,
): Promise<DeviceRow | undefined> {
  const row = await store.db.first(
    `SELECT ${DEVICE_COLUMNS} FROM device_code
      WHERE user_hash = :userHash AND status = 'pending' AND expires_at > :now`,
    { userHash, now },
  );
  return row && deviceRow(row);
}

/** Notes a poll, and the interval from now on. */
export async function notePoll(
  store: Store,
  hash: string,
  at: Millis,
  intervalMs: number,
): Promise<void> {
  await store.run([{
    sql: "UPDATE device_code SET polled_at = :at, interval_ms = :intervalMs WHERE hash = :hash",
    args: { hash, at, intervalMs },
  }]);
}

/** Answers a waiting device once: what is granted, or null for no; false when it was answered already. */
export async function answerDevice(
  store: Store,
  userHash: string,
  user: string,
  granted: string | null,
  now: Millis,
): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `UPDATE device_code SET status = :status, user = :user, granted = :granted
      WHERE user_hash = :user_hash AND status = 'pending' AND expires_at > :now RETURNING hash`,
    args: {
      user_hash: userHash,
      user,
      granted,
      now,
      status: granted === null ? "denied" : "approved",
    },
  }]);
  return (rows ?? []).length > 0;
}

/** Turns an approved device code into what the statements store; false for all but the first. */
export async function useDevice(
  store: Store,
  hash: string,
  statements: readonly SideStatement[],
  now: Millis,
): Promise<boolean> {
  const guard: Guard = {
    sql: `EXISTS (SELECT 1 FROM device_code
      WHERE hash = :dev_hash AND status = 'approved' AND expires_at > :dev_now)`,
    args: { dev_hash: hash, dev_now: now },
  };
  const row = await once(store, guard, statements, {
    sql: `UPDATE device_code SET status = 'used'
      WHERE hash = :hash AND status = 'approved' AND expires_at > :now RETURNING hash`,
    args: { hash, now },
  });
  return row !== undefined;
}

/** A registered client. */
export interface ClientRow {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly authMethod: "none" | "client_secret_post" | "client_secret_basic";
  readonly secretHash: string | null;
  readonly createdAt: Millis;
}

/** Registers a client. */
export async function insertClient(store: Store, c: ClientRow): Promise<void> {
  await store.run([{
    sql: `INSERT INTO oauth_client (id, name, redirect_uris, auth_method, secret_hash, created_at)
      VALUES (:id, :name, :uris, :method, :secret, :at)`,
    args: {
      id: c.id,
      name: c.name,
      uris: JSON.stringify(c.redirectUris),
      method: c.authMethod,
      secret: c.secretHash,
      at: c.createdAt,
    },
  }]);
}

/** A registered client by its id. */
export async function findClient(store: Store, id: string): Promise<ClientRow | undefined> {
  const row = await store.db.first(
    "SELECT id, name, redirect_uris, auth_method, secret_hash, created_at FROM oauth_client WHERE id = :id",
    { id },
  );
  return row && {
    id: String(row["id"]),
    name: String(row["name"]),
    redirectUris: JSON.parse(String(row["redirect_uris"])) as string[],
    authMethod: String(row["auth_method"]) as ClientRow["authMethod"],
    secretHash: text(row["secret_hash"]),
    createdAt: Number(row["created_at"]),
  };
}

/** An authorization code's row. */
export interface CodeRow {
  readonly hash: string;
  readonly client: string;
  readonly clientName: string;
  readonly redirectUri: string;
  readonly user: string;
  readonly scope: string;
  readonly codeChallenge: string;
  readonly resource: string | null;
  readonly expiresAt: Millis;
  readonly usedAt: Millis | null;
  readonly grantId: string | null;
}

/** Stores an authorization code. */
export function insertCode(c: CodeRow): SideStatement {
  return {
    sql: `INSERT INTO oauth_code
        (hash, client, client_name, redirect_uri, user, scope, code_challenge, resource, expires_at)
      SELECT :hash, :client, :client_name, :redirect_uri, :user, :scope, :code_challenge, :resource, :expires_at
      WHERE true`,
    args: {
      hash: c.hash,
      client: c.client,
      client_name: c.clientName,
      redirect_uri: c.redirectUri,
      user: c.user,
      scope: c.scope,
      code_challenge: c.codeChallenge,
      resource: c.resource,
      expires_at: c.expiresAt,
    },
  };
}

/** An authorization code by its hash. */
export async function findCode(store: Store, hash: string): Promise<CodeRow | undefined> {
  const row = await store.db.first(
    `SELECT hash, client, client_name, redirect_uri, user, scope, code_challenge, resource, expires_at,
      used_at, grant_id FROM oauth_code WHERE hash = :hash`,
    { hash },
  );
  return row && {
    hash: String(row["hash"]),
    client: String(row["client"]),
    clientName: String(row["client_name"]),
    redirectUri: String(row["redirect_uri"]),
    user: String(row["user"]),
    scope: String(row["scope"]),
    codeChallenge: String(row["code_challenge"]),
    resource: text(row["resource"]),
    expiresAt: Number(row["expires_at"]),
    usedAt: row["used_at"] === null ? null : Number(row["used_at"]),
    grantId: text(row["grant_id"]),
  };
}

/** Turns a code into the grant the statements store; false for all but the first. */
export async function useCode(
  store: Store,
  hash: string,
  grantId: string,
  statements: readonly SideStatement[],
  now: Millis,
): Promise<boolean> {
  const guard: Guard = {
    sql:
      "EXISTS (SELECT 1 FROM oauth_code WHERE hash = :code_hash AND used_at IS NULL AND expires_at > :code_now)",
    args: { code_hash: hash, code_now: now },
  };
  const row = await once(store, guard, statements, {
    sql: `UPDATE oauth_code SET used_at = :now, grant_id = :grant
      WHERE hash = :hash AND used_at IS NULL AND expires_at > :now RETURNING hash`,
    args: { hash, grant: grantId, now },
  });
  return row !== undefined;
}

/** Answers a signed request once, with what the statements store; false when it was answered already. */
export async function answerRequest(
  store: Store,
  id: string,
  expiresAt: Millis,
  statements: readonly SideStatement[],
): Promise<boolean> {
  const guard: Guard = {
    sql: "NOT EXISTS (SELECT 1 FROM used_request WHERE id = :request_id)",
    args: { request_id: id },
  };
  const row = await once(store, guard, statements, {
    sql: `INSERT INTO used_request (id, expires_at) SELECT :id, :expires_at
      WHERE NOT EXISTS (SELECT 1 FROM used_request WHERE id = :id) RETURNING id`,
    args: { id, expires_at: expiresAt },
  });
  return row !== undefined;
}

/**
 * Answers a signed request once by giving grants new scopes, all or none: nothing happens, and
 * the request stays open, when a scope is no longer the one that was read.
 */
export async function answerByScopes(
  store: Store,
  id: string,
  expiresAt: Millis,
  changes: readonly { readonly grant: string; readonly from: string; readonly to: string }[],
): Promise<boolean> {
  const args = { id, changes: JSON.stringify(changes.map((c) => [c.grant, c.from, c.to])) };
  const differing = (column: number) =>
    `SELECT 1 FROM json_each(:changes) AS j LEFT JOIN token_grant AS g ON g.id = j.value->>0
      WHERE g.id IS NULL OR g.revoked_at IS NOT NULL OR g.scope <> j.value->>${column}`;
  const unused = "NOT EXISTS (SELECT 1 FROM used_request WHERE id = :id)";
  const results = await store.run([
    {
      sql: `UPDATE token_grant SET scope = (
          SELECT j.value->>2 FROM json_each(:changes) AS j WHERE j.value->>0 = token_grant.id)
        WHERE id IN (SELECT j.value->>0 FROM json_each(:changes) AS j)
          AND ${unused} AND NOT EXISTS (${differing(1)})`,
      args,
    },
    {
      sql: `INSERT INTO used_request (id, expires_at) SELECT :id, :expires_at
        WHERE ${unused} AND NOT EXISTS (${differing(2)}) RETURNING id`,
      args: { ...args, expires_at: expiresAt },
    },
  ]);
  return (results.at(-1) ?? []).length > 0;
}

/** Was a signed request answered? */
export async function isAnswered(store: Store, id: string): Promise<boolean> {
  const row = await store.db.first("SELECT 1 AS n FROM used_request WHERE id = :id", { id });
  return row !== undefined;
}

/** Forgets what has expired: ceremonies, sessions, codes, answered requests, spent secrets. */
export async function sweepExpired(store: Store, now: Millis, keepCodesMs: number): Promise<void> {
  const gone = (table: string, before: Millis) => ({
    sql: `DELETE FROM ${table} WHERE expires_at <= :before`,
    args: { before },
  });
  await store.run([
    gone("challenge", now),
    gone("session", now),
    gone("used_request", now),
    // Kept for a day, so that a device that asks too late hears why.
    gone("device_code", now - 86_400_000),
    // A used code is kept as long as its family may live, so that a late replay still revokes it.
    gone("oauth_code", now - keepCodesMs),
    gone("token_secret", now - keepCodesMs),
  ]);
}
