/** The SQL of tokens, roles and embodiments. Secrets are known here by their hashes only. */
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis, Role } from "../types.ts";
import type { Row } from "./db.ts";

/** What kind of token a grant stands behind. */
export type GrantKind = "tok" | "room" | "view" | "as";

/** A grant's row. */
export interface GrantRow {
  readonly id: string;
  readonly kind: GrantKind;
  readonly user: string | null;
  readonly parent: string | null;
  readonly scope: string;
  readonly label: string | null;
  readonly room: string | null;
  readonly agent: string | null;
  readonly client: string | null;
  readonly resource: string | null;
  readonly createdAt: Millis;
  readonly expiresAt: Millis | null;
  readonly revokedAt: Millis | null;
  readonly lastUsedAt: Millis | null;
}

/** A secret's row. */
export interface SecretRow {
  readonly hash: string;
  readonly grantId: string;
  readonly kind: "access" | "refresh";
  readonly createdAt: Millis;
  readonly expiresAt: Millis | null;
}

const GRANT_COLUMNS = `g.id, g.kind, g.user, g.parent, g.scope, g.label, g.room, g.agent, g.client,
  g.resource, g.created_at, g.expires_at, g.revoked_at, g.last_used_at`;

function text(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

function number(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function grantRow(row: Row): GrantRow {
  return {
    id: String(row["id"]),
    kind: String(row["kind"]) as GrantKind,
    user: text(row["user"]),
    parent: text(row["parent"]),
    scope: String(row["scope"]),
    label: text(row["label"]),
    room: text(row["room"]),
    agent: text(row["agent"]),
    client: text(row["client"]),
    resource: text(row["resource"]),
    createdAt: Number(row["created_at"]),
    expiresAt: number(row["expires_at"]),
    revokedAt: number(row["revoked_at"]),
    lastUsedAt: number(row["last_used_at"]),
  };
}

/** Inserts a grant. */
export function insertGrant(g: GrantRow): SideStatement {
  return {
    sql: `INSERT INTO token_grant
        (id, kind, user, parent, scope, label, room, agent, client, resource, created_at, expires_at)
      SELECT :id, :kind, :user, :parent, :scope, :label, :room, :agent, :client, :resource, :created_at,
        :expires_at
      WHERE true`,
    args: {
      id: g.id,
      kind: g.kind,
      user: g.user,
      parent: g.parent,
      scope: g.scope,
      label: g.label,
      room: g.room,
      agent: g.agent,
      client: g.client,
      resource: g.resource,
      created_at: g.createdAt,
      expires_at: g.expiresAt,
    },
  };
}

/** Inserts a secret's hash. */
export function insertSecret(s: SecretRow): SideStatement {
  return {
    sql: `INSERT INTO token_secret (hash, grant_id, kind, created_at, expires_at)
      SELECT :hash, :grant_id, :kind, :created_at, :expires_at WHERE true`,
    args: {
      hash: s.hash,
      grant_id: s.grantId,
      kind: s.kind,
      created_at: s.createdAt,
      expires_at: s.expiresAt,
    },
  };
}

/** Revokes the tokens of one kind about a room, or about one agent in it. */
export function revokeRoomGrants(
  room: string,
  kind: GrantKind,
  agent: string | null,
  at: Millis,
): SideStatement {
  return {
    sql: `UPDATE token_grant SET revoked_at = :at
      WHERE room = :room AND kind = :kind AND (:agent IS NULL OR agent = :agent) AND revoked_at IS NULL`,
    args: { room, kind, agent, at },
  };
}

/** Gives a user a role in a room. */
export function upsertRole(
  room: string,
  user: string,
  role: Role,
  label: string | null,
): SideStatement {
  return {
    sql:
      `INSERT OR REPLACE INTO role (room, user, role, label) SELECT :room, :user, :role, :label WHERE true`,
    args: { room, user, role, label },
  };
}

/** Adds words to a grant's scope. */
export function updateScope(id: string, scope: string): SideStatement {
  return { sql: "UPDATE token_grant SET scope = :scope WHERE id = :id", args: { id, scope } };
}

/** Notes that a grant has joined or embodied an agent. */
export function insertEmbodiment(
  grant: string,
  room: string,
  agent: string,
  since: Millis,
): SideStatement {
  return {
    sql: `INSERT OR REPLACE INTO embodiment (grant_id, room, agent, since)
      SELECT :grant, :room, :agent, :since WHERE true`,
    args: { grant, room, agent, since },
  };
}

/** Ends every embodiment of an agent. */
export function deleteEmbodiments(room: string, agent: string): SideStatement {
  return {
    sql: "DELETE FROM embodiment WHERE room = :room AND agent = :agent",
    args: { room, agent },
  };
}

/** The grant behind a secret. */
export async function findSecret(
  store: Store,
  hash: string,
): Promise<{ grant: GrantRow; secret: SecretRow; usedAt: Millis | null } | undefined> {
  const [row] = await store.db.all(
    `SELECT ${GRANT_COLUMNS}, s.kind AS secret_kind, s.created_at AS secret_created,
        s.expires_at AS secret_expires, s.used_at AS secret_used
      FROM token_secret AS s JOIN token_grant AS g ON g.id = s.grant_id WHERE s.hash = :hash`,
    { hash },
  );
  if (!row) return undefined;
  const grant = grantRow(row);
  return {
    grant,
    secret: {
      hash,
      grantId: grant.id,
      kind: row["secret_kind"] === "refresh" ? "refresh" : "access",
      createdAt: Number(row["secret_created"]),
      expiresAt: number(row["secret_expires"]),
    },
    usedAt: number(row["secret_used"]),
  };
}

/** A grant and everything it was minted from, itself first. */
export async function findLineage(store: Store, id: string): Promise<GrantRow[]> {
  const rows = await store.db.all(
    `WITH RECURSIVE up (id, depth) AS (
        SELECT :id, 0
        UNION ALL
        SELECT t.parent, up.depth + 1 FROM up JOIN token_grant AS t ON t.id = up.id
        WHERE t.parent IS NOT NULL AND up.depth < 64
      )
      SELECT ${GRANT_COLUMNS} FROM up JOIN token_grant AS g ON g.id = up.id ORDER BY up.depth`,
    { id },
  );
  return rows.map(grantRow);
}

/** A user's roles, by room uid. */
export async function findRoles(store: Store, user: string): Promise<Map<string, Role>> {
  const rows = await store.db.all("SELECT room, role FROM role WHERE user = :user", { user });
  return new Map(rows.map((row) => [String(row["room"]), String(row["role"]) as Role]));
}

/** A user's name. */
export async function findUsername(store: Store, id: string): Promise<string | undefined> {
  const rows = await store.db.all("SELECT username FROM user WHERE id = :id", { id });
  return rows[0] && String(rows[0]["username"]);
}

/** A user by name. */
export async function findUser(
  store: Store,
  username: string,
): Promise<{ id: string; username: string } | undefined> {
  const rows = await store.db.all("SELECT id, username FROM user WHERE username = :username", {
    username,
  });
  return rows[0] && { id: String(rows[0]["id"]), username: String(rows[0]["username"]) };
}

/** Creates a user unless the name is taken. */
export function insertUser(id: string, username: string, at: Millis): SideStatement {
  return {
    sql: `INSERT INTO user (id, username, created_at) SELECT :id, :username, :at
      WHERE NOT EXISTS (SELECT 1 FROM user WHERE username = :username)`,
    args: { id, username, at },
  };
}

/** The agents a grant has joined or embodied: room uid and agent. */
export async function findEmbodiments(
  store: Store,
  grant: string,
): Promise<{ room: string; agent: string }[]> {
  const rows = await store.db.all("SELECT room, agent FROM embodiment WHERE grant_id = :grant", {
    grant,
  });
  return rows.map((row) => ({ room: String(row["room"]), agent: String(row["agent"]) }));
}

/** Notes the last use of grants. */
export async function touchGrants(store: Store, uses: readonly [string, Millis][]): Promise<void> {
  await store.run([{
    sql: `UPDATE token_grant SET last_used_at = j.value->>1 FROM json_each(:rows) AS j
      WHERE token_grant.id = j.value->>0`,
    args: { rows: JSON.stringify(uses) },
  }]);
}

/** The living grants of a user that are tokens in their own right, newest first. */
export async function listGrants(store: Store, user: string): Promise<GrantRow[]> {
  const rows = await store.db.all(
    `SELECT ${GRANT_COLUMNS} FROM token_grant AS g
      WHERE g.user = :user AND g.revoked_at IS NULL ORDER BY g.created_at DESC, g.id`,
    { user },
  );
  return rows.map(grantRow);
}

/** A grant by its id. */
export async function findGrant(store: Store, id: string): Promise<GrantRow | undefined> {
  const rows = await store.db.all(
    `SELECT ${GRANT_COLUMNS} FROM token_grant AS g WHERE g.id = :id`,
    { id },
  );
  return rows[0] && grantRow(rows[0]);
}

/** Revokes a grant and everything minted from it; true when it was alive. */
export async function revokeTree(store: Store, id: string, at: Millis): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `UPDATE token_grant SET revoked_at = :at
      WHERE revoked_at IS NULL AND id IN (
        WITH RECURSIVE down (id) AS (
          SELECT :id UNION SELECT t.id FROM down JOIN token_grant AS t ON t.parent = down.id
        )
        SELECT id FROM down
      ) RETURNING id`,
    args: { id, at },
  }]);
  return (rows ?? []).length > 0;
}

/** Members of a room. */
export async function listMembers(
  store: Store,
  room: string,
): Promise<{ user: string; username: string; role: Role; label: string | null }[]> {
  const rows = await store.db.all(
    `SELECT r.user, u.username, r.role, r.label FROM role AS r JOIN user AS u ON u.id = r.user
      WHERE r.room = :room ORDER BY u.username`,
    { room },
  );
  return rows.map((row) => ({
    user: String(row["user"]),
    username: String(row["username"]),
    role: String(row["role"]) as Role,
    label: text(row["label"]),
  }));
}

/** Changes a member's role, unless that would leave the room without an owner. */
export async function changeRole(
  store: Store,
  room: string,
  user: string,
  role: Role,
): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `UPDATE role SET role = :role WHERE room = :room AND user = :user
      AND (:role = 'owner' OR role <> 'owner'
        OR (SELECT count(*) FROM role WHERE room = :room AND role = 'owner') > 1) RETURNING user`,
    args: { room, user, role },
  }]);
  return (rows ?? []).length > 0;
}

/** Removes a member, unless it is the last owner, and revokes its tokens about the room. */
export async function removeMember(
  store: Store,
  room: string,
  user: string,
  at: Millis,
): Promise<boolean> {
  const [rows] = await store.run([
    {
      sql: `DELETE FROM role WHERE room = :room AND user = :user
        AND (role <> 'owner' OR (SELECT count(*) FROM role WHERE room = :room AND role = 'owner') > 1)
        RETURNING user`,
      args: { room, user },
    },
    {
      sql:
        `UPDATE token_grant SET revoked_at = :at WHERE room = :room AND user = :user AND revoked_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM role WHERE room = :room AND user = :user)`,
      args: { room, user, at },
    },
  ]);
  return (rows ?? []).length > 0;
}

/** Sets a grant's scope and label if its scope is still the one that was read; false when it is not. */
export async function replaceScope(
  store: Store,
  id: string,
  from: string,
  to: string,
  label: string | null,
): Promise<boolean> {
  const [rows] = await store.run([{
    sql: `UPDATE token_grant SET scope = :to, label = :label
      WHERE id = :id AND scope = :from AND revoked_at IS NULL RETURNING id`,
    args: { id, from, to, label },
  }]);
  return (rows ?? []).length > 0;
}

/**
 * Uses a refresh secret once: its successors take its place, the grant lives on, the access
 * secret it came with ends. All in one transaction; false for all but the first.
 */
export async function rotateSecret(
  store: Store,
  hash: string,
  successors: readonly SecretRow[],
  now: Millis,
  grantEndsAt: Millis,
): Promise<boolean> {
  const unused = "EXISTS (SELECT 1 FROM token_secret WHERE hash = :used_hash AND used_at IS NULL)";
  const grant = successors[0]!.grantId;
  const results = await store.run([
    {
      sql: `DELETE FROM token_secret WHERE grant_id = :grant AND kind = 'access' AND ${unused}`,
      args: { grant, used_hash: hash },
    },
    ...successors.map(insertSecret).map((s) => ({
      sql: `${s.sql} AND ${unused}`,
      args: { ...s.args, used_hash: hash },
    })),
    {
      sql: `UPDATE token_grant SET expires_at = :ends WHERE id = :grant AND ${unused}`,
      args: { grant, ends: grantEndsAt, used_hash: hash },
    },
    {
      sql:
        "UPDATE token_secret SET used_at = :now WHERE hash = :hash AND used_at IS NULL RETURNING hash",
      args: { hash, now },
    },
  ]);
  return (results.at(-1) ?? []).length > 0;
}
