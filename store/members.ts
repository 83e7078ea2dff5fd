/** The SQL of users' names and of their roles in rooms. A role is beside its room. */
import type { Db } from "./db.ts";
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis, Role } from "../types.ts";

/** A user's name. */
export async function findUsername(store: Store, id: string): Promise<string | undefined> {
  const row = await store.db.first("SELECT username FROM user WHERE id = :id", { id });
  return row && String(row["username"]);
}

/** Names of users by their ids. */
export async function findUsernames(
  store: Store,
  ids: readonly string[],
): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await store.db.all(
    "SELECT id, username FROM user WHERE id IN (SELECT value FROM json_each(:ids))",
    { ids: JSON.stringify(ids) },
  );
  return new Map(rows.map((row) => [String(row["id"]), String(row["username"])]));
}

/** A user by name. */
export async function findUser(
  store: Store,
  username: string,
): Promise<{ id: string; username: string; createdAt: Millis } | undefined> {
  const row = await store.db.first(
    "SELECT id, username, created_at FROM user WHERE username = :username",
    { username },
  );
  return row && {
    id: String(row["id"]),
    username: String(row["username"]),
    createdAt: Number(row["created_at"]),
  };
}

/** Creates a user unless the name is taken. */
export function insertUser(id: string, username: string, at: Millis): SideStatement {
  return {
    sql: `INSERT INTO user (id, username, created_at) SELECT :id, :username, :at
      WHERE NOT EXISTS (SELECT 1 FROM user WHERE username = :username)`,
    args: { id, username, at },
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

/** A user's roles, by room uid: all of them, or those in the rooms that are beside one. */
export async function findRoles(
  store: Store,
  user: string,
  beside?: string,
): Promise<Map<string, Role>> {
  const find = (db: Db): Promise<[string, string][]> =>
    pairs(
      db,
      "SELECT json_group_array(json_array(room, role)) AS found FROM role WHERE user = :user",
      { user },
    );
  const found = await (beside === undefined ? store.everywhere(find) : find(store.of(beside)));
  return new Map(found.map(([room, role]) => [room, role as Role]));
}

/** The users who have a role in any of these rooms. */
export async function findUsersOf(store: Store, rooms: readonly string[]): Promise<string[]> {
  const found = await store.everywhere((db) =>
    db.all(
      "SELECT DISTINCT user FROM role WHERE room IN (SELECT value FROM json_each(:rooms))",
      { rooms: JSON.stringify(rooms) },
    )
  );
  return [...new Set(found.map((row) => String(row["user"])))];
}

/** Pairs of texts that a read answers as the JSON in its one column, `found`. */
export async function pairs(
  db: Db,
  sql: string,
  args: Readonly<Record<string, string>>,
): Promise<[string, string][]> {
  const row = await db.first(sql, args);
  return JSON.parse(String(row?.["found"] ?? "[]")) as [string, string][];
}

/** Members of a room. */
export async function listMembers(
  store: Store,
  room: string,
): Promise<{ user: string; username: string; role: Role; label: string | null }[]> {
  const rows = await store.of(room).all("SELECT user, role, label FROM role WHERE room = :room", {
    room,
  });
  const names = await findUsernames(store, rows.map((row) => String(row["user"])));
  return rows.flatMap((row) => {
    const user = String(row["user"]);
    const username = names.get(user);
    const role = String(row["role"]) as Role;
    return username === undefined
      ? []
      : [{ user, username, role, label: row["label"] === null ? null : String(row["label"]) }];
  }).sort((a, b) => a.username < b.username ? -1 : 1);
}

/** Changes a member's role, unless that would leave the room without an owner. */
export async function changeRole(
  store: Store,
  room: string,
  user: string,
  role: Role,
): Promise<boolean> {
  const [rows] = await store.of(room).batch([{
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
  const [rows] = await store.of(room).batch([
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
