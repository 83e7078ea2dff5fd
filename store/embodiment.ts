/** The SQL of embodiments: who drives an agent, and letting it go. */
import type { Row } from "./db.ts";
import type { SideStatement } from "./rows.ts";
import type { Store } from "../store.ts";
import { findUsernames } from "./members.ts";
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
  const db = store.of(room);
  const embodied = await db.all(
    "SELECT grant_id AS id, since FROM embodiment WHERE room = :room AND agent = :agent",
    { room, agent },
  );
  const own = await db.all(
    `SELECT ${COLUMNS}, g.created_at AS since FROM token_grant AS g
      WHERE g.room = :room AND g.agent = :agent AND g.kind = 'as' AND g.revoked_at IS NULL`,
    { room, agent },
  );
  const grants = embodied.length === 0 ? [] : await store.db.all(
    `SELECT ${COLUMNS} FROM token_grant AS g
      WHERE g.id IN (SELECT value FROM json_each(:ids)) AND g.revoked_at IS NULL`,
    { ids: JSON.stringify(embodied.map((row) => row["id"])) },
  );
  const since = new Map(embodied.map((row) => [row["id"], row["since"]]));
  const users = [...grants, ...own].flatMap((row) => text(row["user"]) ?? []);
  const names = await findUsernames(store, users);
  const driver = (kind: DriverRow["kind"], row: Row, at: unknown): DriverRow => ({
    grantId: String(row["id"]),
    kind,
    parent: text(row["parent"]),
    label: text(row["label"]),
    client: text(row["client"]),
    username: names.get(text(row["user"]) ?? "") ?? null,
    since: Number(at),
  });
  return [
    ...grants.map((row) => driver("embodied", row, since.get(row["id"]))),
    ...own.map((row) => driver("token", row, row["since"])),
  ].sort((a, b) => b.since - a.since || (a.grantId < b.grantId ? -1 : 1));
}

const COLUMNS = "g.id, g.parent, g.label, g.client, g.user";

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
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
