/** The SQL of tokens, roles and embodiments. Secrets are known here by their hashes only. */
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";
import type { Db, Row, Statement } from "./db.ts";
import { pairs } from "./members.ts";

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

const GRANT_NAMES = [
  "id",
  "kind",
  "user",
  "parent",
  "scope",
  "label",
  "room",
  "agent",
  "client",
  "resource",
  "created_at",
  "expires_at",
  "revoked_at",
  "last_used_at",
] as const;
const GRANT_COLUMNS = GRANT_NAMES.map((name) => `g.${name}`).join(", ");
const GRANT_OBJECT = `json_object(${GRANT_NAMES.map((name) => `'${name}', g.${name}`).join(", ")})`;

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

/** Adds a word to a grant's scope, unless it is there; a grant that is about no room. */
export function addScopeWord(id: string, word: string): SideStatement {
  return {
    // The right to create rooms stands last, as scopes are written everywhere.
    sql: `UPDATE token_grant SET scope = CASE
        WHEN scope = 'create_rooms' THEN :word || ' create_rooms'
        WHEN substr(scope, -13) = ' create_rooms'
          THEN substr(scope, 1, length(scope) - 13) || ' ' || :word || ' create_rooms'
        ELSE trim(scope || ' ' || :word) END
      WHERE id = :id AND instr(' ' || scope || ' ', ' ' || :word || ' ') = 0`,
    args: { id, word },
    isHome: true,
  };
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

/** The grant behind a secret; those of `tok_` and `ref_` tokens are in the first database. */
export async function findSecret(
  store: Store,
  hash: string,
  kind: GrantKind,
): Promise<{ grant: GrantRow; secret: SecretRow; usedAt: Millis | null } | undefined> {
  const row = await (kind === "tok" ? store.db : store.of(hash)).first(
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
  const lineage: GrantRow[] = [];
  for (let next: string | null = id; next !== null && lineage.length < LINEAGE_MAX;) {
    const wanted: string = next;
    const found = (await Promise.all(grantPlaces(store, wanted).map((db) => climb(db, wanted))))
      .find((part) => part.length > 0);
    if (!found) break;
    lineage.push(...found);
    next = found.at(-1)!.parent;
  }
  return lineage;
}

const LINEAGE_MAX = 64;

/** Where a grant can be: in the first database, or beside its room, for which its id was drawn. */
function grantPlaces(store: Store, id: string): Db[] {
  const beside = store.of(id);
  return beside === store.db ? [beside] : [store.db, beside];
}

/** A grant and what it was minted from, as far as one database has it. */
async function climb(db: Db, id: string): Promise<GrantRow[]> {
  const row = await db.first(
    `WITH RECURSIVE up (id, depth) AS (
        SELECT :id, 0
        UNION ALL
        SELECT t.parent, up.depth + 1 FROM up JOIN token_grant AS t ON t.id = up.id
        WHERE t.parent IS NOT NULL AND up.depth < ${LINEAGE_MAX}
      )
      SELECT json_group_array(json_array(up.depth, ${GRANT_OBJECT})) AS found
        FROM up JOIN token_grant AS g ON g.id = up.id`,
    { id },
  );
  const found = JSON.parse(String(row?.["found"] ?? "[]")) as [depth: number, grant: Row][];
  return found.sort(([a], [b]) => a - b).map(([, grant]) => grantRow(grant));
}

/**
 * The agents a grant has joined or embodied: room uid and agent. Those of a grant about a room are
 * beside it; those of a user's anywhere, and here all of them or those in rooms beside one.
 */
export async function findEmbodiments(
  store: Store,
  { id: grant, kind }: Pick<GrantRow, "id" | "kind">,
  beside?: string,
): Promise<{ room: string; agent: string }[]> {
  const find = (db: Db): Promise<[string, string][]> =>
    pairs(
      db,
      `SELECT json_group_array(json_array(room, agent)) AS found
        FROM (SELECT room, agent FROM embodiment WHERE grant_id = :grant ORDER BY since, rowid)`,
      { grant },
    );
  const place = kind === "tok" ? beside : grant;
  const found = await (place === undefined ? store.everywhere(find) : find(store.of(place)));
  return found.map(([room, agent]) => ({ room, agent }));
}

/** Notes the last use of grants. */
export async function touchGrants(store: Store, uses: readonly [string, Millis][]): Promise<void> {
  const touch = {
    sql: `UPDATE token_grant SET last_used_at = j.value->>1 FROM json_each(:rows) AS j
      WHERE token_grant.id = j.value->>0`,
    args: { rows: JSON.stringify(uses) },
  };
  await store.everywhere((db) => db.batch([touch]));
}

/** The living grants of a user that are tokens in their own right, newest first. */
export async function listGrants(store: Store, user: string): Promise<GrantRow[]> {
  const rows = await store.everywhere((db) =>
    db.all(
      `SELECT ${GRANT_COLUMNS} FROM token_grant AS g WHERE g.user = :user AND g.revoked_at IS NULL`,
      { user },
    )
  );
  return rows.map(grantRow).sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1));
}

/** A grant by its id. */
export async function findGrant(store: Store, id: string): Promise<GrantRow | undefined> {
  const found = await Promise.all(
    grantPlaces(store, id).map((db) =>
      db.first(`SELECT ${GRANT_COLUMNS} FROM token_grant AS g WHERE g.id = :id`, { id })
    ),
  );
  const row = found.find((one) => one !== undefined);
  return row && grantRow(row);
}

/**
 * Revokes a grant and everything minted from it; true when it was alive. What was minted in other
 * databases is dead already, since every use asks for the whole lineage: there it is only noted.
 */
export async function revokeTree(store: Store, id: string, at: Millis): Promise<boolean> {
  const revoke = (from: readonly string[]): Statement => ({
    sql: `UPDATE token_grant SET revoked_at = :at
      WHERE revoked_at IS NULL AND id IN (
        WITH RECURSIVE down (id) AS (
          SELECT value FROM json_each(:from)
          UNION SELECT t.id FROM down JOIN token_grant AS t ON t.parent = down.id
        )
        SELECT id FROM down
      ) RETURNING id`,
    args: { from: JSON.stringify(from), at },
  });
  const [first = []] = await store.db.batch([revoke([id])]);
  const known = new Set([id, ...first.map((row) => String(row["id"]))]);
  const others = store.shards.slice(1);
  const found = await Promise.all(others.map(async (db) => {
    const [rows = []] = await db.batch([revoke([...known])]);
    return rows;
  }));
  return first.length + found.flat().length > 0;
}

/** Sets a grant's scope and label if its scope is still the one that was read; false when it is not. */
export async function replaceScope(
  store: Store,
  id: string,
  from: string,
  to: string,
  label: string | null,
): Promise<boolean> {
  const replace = {
    sql: `UPDATE token_grant SET scope = :to, label = :label
      WHERE id = :id AND scope = :from AND revoked_at IS NULL RETURNING id`,
    args: { id, from, to, label },
  };
  for (const db of grantPlaces(store, id)) {
    const [rows = []] = await db.batch([replace]);
    if (rows.length > 0) return true;
  }
  return false;
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
