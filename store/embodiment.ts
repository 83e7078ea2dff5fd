/** The SQL of embodiments: who drives an agent, and letting it go. */
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import type { Millis } from "../types.ts";

/** A grant that drives an agent, or holds its own token. */
export interface DriverRow {
  readonly grantId: string;
  readonly kind: "embodied" | "token";
  readonly parent: string | null;
  readonly label: string | null;
  readonly client: string | null;
  readonly username: string | null;
  readonly since: Millis;
}

/** The grants that drive an agent: those that embody it, and those behind its own tokens. */
export async function findDrivers(store: Store, room: string, agent: string): Promise<DriverRow[]> {
  const rows = await store.db.all(
    `SELECT g.id, 'embodied' AS kind, g.parent, g.label, g.client, u.username, e.since
      FROM embodiment AS e JOIN token_grant AS g ON g.id = e.grant_id LEFT JOIN user AS u ON u.id = g.user
      WHERE e.room = :room AND e.agent = :agent AND g.revoked_at IS NULL
      UNION ALL
      SELECT g.id, 'token', g.parent, g.label, g.client, u.username, g.created_at
      FROM token_grant AS g LEFT JOIN user AS u ON u.id = g.user
      WHERE g.room = :room AND g.agent = :agent AND g.kind = 'as' AND g.revoked_at IS NULL
      ORDER BY 7 DESC, 1`,
    { room, agent },
  );
  const text = (value: unknown): string | null => typeof value === "string" ? value : null;
  return rows.map((row) => ({
    grantId: String(row["id"]),
    kind: row["kind"] === "token" ? "token" : "embodied",
    parent: text(row["parent"]),
    label: text(row["label"]),
    client: text(row["client"]),
    username: text(row["username"]),
    since: Number(row["since"]),
  }));
}

/** Lets one grant's agent go. */
export function deleteEmbodiment(grant: string, room: string, agent: string): SideStatement {
  return {
    sql: "DELETE FROM embodiment WHERE grant_id = :grant AND room = :room AND agent = :agent",
    args: { grant, room, agent },
  };
}

/** Lets every agent of a grant in a room go. */
export function deleteGrantEmbodiments(grant: string, room: string): SideStatement {
  return {
    sql: "DELETE FROM embodiment WHERE grant_id = :grant AND room = :room",
    args: { grant, room },
  };
}
