/**
 * The SQL that the identity flows share: the single use of a secret, the server's key, a
 * user's security events, and the rooms a user belongs to.
 */
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis, Role } from "../types.ts";
import type { Row } from "./db.ts";

/** A condition under which statements take effect. */
export interface Guard {
  readonly sql: string;
  readonly args: SideStatement["args"];
}

/**
 * Statements that take effect only while the guard holds, and the one that ends it: in one
 * transaction, so a race has one winner. The row the last statement returns, if it won.
 */
export async function once(
  store: Store,
  guard: Guard,
  statements: readonly SideStatement[],
  consume: SideStatement,
): Promise<Row | undefined> {
  const results = await store.run([
    ...statements.map((s) => ({
      sql: `${s.sql} AND ${guard.sql}`,
      args: { ...s.args, ...guard.args },
    })),
    consume,
  ]);
  return results.at(-1)?.[0];
}

/** The key the service signs its links with; the first caller's proposal is kept. */
export async function keepServerKey(store: Store, proposal: string): Promise<string> {
  const results = await store.run([
    {
      sql: "INSERT OR IGNORE INTO server_key (name, value) VALUES ('links', :proposal)",
      args: { proposal },
    },
    { sql: "SELECT value FROM server_key WHERE name = 'links'", args: {} },
  ]);
  return String(results[1]![0]!["value"]);
}

/** One security event of a user. */
export interface EventRow {
  readonly at: Millis;
  readonly kind: string;
  readonly detail: Readonly<Record<string, string>>;
}

/** Notes a security event and forgets the user's oldest ones beyond `keep`. */
export async function insertEvent(
  store: Store,
  user: string,
  event: EventRow,
  keep: number,
): Promise<void> {
  await store.run([
    {
      sql:
        "INSERT INTO security_event (user, at, kind, detail) VALUES (:user, :at, :kind, :detail)",
      args: { user, at: event.at, kind: event.kind, detail: JSON.stringify(event.detail) },
    },
    {
      sql: `DELETE FROM security_event WHERE user = :user AND id <= (
        SELECT id FROM security_event WHERE user = :user ORDER BY id DESC LIMIT 1 OFFSET :keep)`,
      args: { user, keep },
    },
  ]);
}

/** A user's newest security events. */
export async function listEvents(store: Store, user: string, limit: number): Promise<EventRow[]> {
  const rows = await store.db.all(
    "SELECT at, kind, detail FROM security_event WHERE user = :user ORDER BY id DESC LIMIT :limit",
    { user, limit },
  );
  return rows.map((row) => ({
    at: Number(row["at"]),
    kind: String(row["kind"]),
    detail: JSON.parse(String(row["detail"])) as Record<string, string>,
  }));
}

/** A room as its member sees it. */
export interface MemberRoom {
  readonly id: string;
  readonly uid: string;
  readonly label: string | null;
  readonly role: Role;
  /** Agents there, and the id of the user each belongs to. */
  readonly agents: readonly { readonly id: string; readonly owner: string | null }[];
}

/** The living rooms a user has a role in, by name, and their agents; or those of them that are named. */
export async function listMemberRooms(
  store: Store,
  user: string,
  ids?: readonly string[],
): Promise<MemberRoom[]> {
  const rows = await store.everywhere((db) =>
    db.all(
      `SELECT r.id, r.uid, coalesce(m.label, r.label) AS label, m.role,
        (SELECT json_group_array(json_array(e.key, e.value->>'owner')) FROM fold AS e
          WHERE e.room = r.uid AND e.scope = '_agents') AS agents
      FROM role AS m JOIN room AS r ON r.uid = m.room
      WHERE m.user = :user AND r.deleted_at IS NULL AND (:ids IS NULL OR r.id IN (SELECT value FROM json_each(:ids)))
      ORDER BY r.id`,
      { user, ids: ids === undefined ? null : JSON.stringify(ids) },
    )
  );
  const rooms = rows.map((row) => ({
    id: String(row["id"]),
    uid: String(row["uid"]),
    label: row["label"] === null ? null : String(row["label"]),
    role: String(row["role"]) as Role,
    agents: (JSON.parse(String(row["agents"])) as [string, string | null][])
      .map(([agent, owner]) => ({ id: agent, owner })),
  }));
  return rooms.sort((a, b) => a.id < b.id ? -1 : 1);
}
