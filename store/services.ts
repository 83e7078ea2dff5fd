/** The SQL of service accounts. Their tokens are grants like any other. */
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { Row, Statement } from "./db.ts";

/** A service account's row. */
export interface ServiceRow {
  readonly id: string;
  readonly name: string;
  /** Who made it, by id. */
  readonly user: string;
  readonly grantId: string;
  /** DIDs that it may speak for. */
  readonly actors: readonly string[];
  readonly createdAt: Millis;
}

const COLUMNS = "s.id, s.name, s.user, s.grant_id, s.actors, s.created_at";

function serviceRow(row: Row): ServiceRow {
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    user: String(row["user"]),
    grantId: String(row["grant_id"]),
    actors: JSON.parse(String(row["actors"])) as string[],
    createdAt: Number(row["created_at"]),
  };
}

/** Inserts a service account. */
export function insertService(s: ServiceRow): Statement {
  return {
    sql: `INSERT INTO service_account (id, name, user, grant_id, actors, created_at)
      VALUES (:id, :name, :user, :grant_id, :actors, :created_at)`,
    args: {
      id: s.id,
      name: s.name,
      user: s.user,
      grant_id: s.grantId,
      actors: JSON.stringify(s.actors),
      created_at: s.createdAt,
    },
  };
}

/** The service account that one of these grants is the token of. */
export async function findServiceOf(
  store: Store,
  grants: readonly string[],
): Promise<ServiceRow | undefined> {
  const row = await store.db.first(
    `SELECT ${COLUMNS} FROM service_account AS s
      WHERE s.grant_id IN (SELECT value FROM json_each(:grants)) LIMIT 1`,
    { grants: JSON.stringify(grants) },
  );
  return row && serviceRow(row);
}

/** A user's service accounts, newest first. */
export async function listServices(store: Store, user: string): Promise<ServiceRow[]> {
  const rows = await store.db.all(
    `SELECT ${COLUMNS} FROM service_account AS s
      WHERE s.user = :user AND s.revoked_at IS NULL ORDER BY s.created_at DESC, s.id`,
    { user },
  );
  return rows.map(serviceRow);
}

/** Marks a service account as ended. */
export function endService(id: string, at: Millis): Statement {
  return { sql: "UPDATE service_account SET revoked_at = :at WHERE id = :id", args: { id, at } };
}

/** Lets the access secrets of a grant end by an instant. */
export function endSecrets(grant: string, at: Millis): Statement {
  return {
    sql: `UPDATE token_secret SET expires_at = min(coalesce(expires_at, :at), :at)
      WHERE grant_id = :grant AND kind = 'access'`,
    args: { grant, at },
  };
}
