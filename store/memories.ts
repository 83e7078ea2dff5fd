/**
 * The SQL of actors' memories. The full-text index lies beside the schema's tables: a database
 * without FTS5 keeps working, and is searched plainly.
 */
import type { MemoryKind, Remembered } from "../actors.ts";
import { SyncError } from "../errors.ts";
import type { Store } from "../store.ts";
import type { Json } from "../types.ts";
import { isContentError, type Row, type Statement } from "./db.ts";

const COLUMNS = `m.name, m.kind, m.description, m.body, m.room, m.created_at, m.updated_at, m.uses`;

function memoryRow(row: Row): Remembered {
  return {
    name: String(row["name"]),
    kind: String(row["kind"]) as MemoryKind,
    description: String(row["description"]),
    body: JSON.parse(String(row["body"])) as Json,
    room: row["room"] === null ? null : String(row["room"]),
    createdAt: Number(row["created_at"]),
    updatedAt: Number(row["updated_at"]),
    uses: Number(row["uses"]),
  };
}

/** Everything an actor remembers, by name. */
export async function recallAll(
  store: Store,
  actor: string,
): Promise<ReadonlyMap<string, Remembered>> {
  const rows = await store.db.all(
    `SELECT ${COLUMNS} FROM actor_memory AS m WHERE m.actor = :actor ORDER BY m.name`,
    { actor },
  );
  return new Map(rows.map((row) => [String(row["name"]), memoryRow(row)]));
}

/** Makes sure of the full-text index; false where the database lacks FTS5. */
export async function openTextIndex(store: Store): Promise<boolean> {
  try {
    await store.run([{
      sql: "CREATE VIRTUAL TABLE IF NOT EXISTS memory_text USING fts5(name, description, body)",
      args: {},
    }]);
    return true;
  } catch (error) {
    if (isContentError(error)) return false;
    throw error;
  }
}

/** Keeps a memory, and its words where there is a full-text index. */
export function upsertMemory(actor: string, memory: Remembered, hasIndex: boolean): Statement[] {
  const { name, kind, description, room, createdAt, updatedAt, uses } = memory;
  const statements: Statement[] = [
    ...(hasIndex ? [deleteWords(actor, name)] : []),
    {
      sql: `INSERT INTO actor_memory
          (actor, name, kind, description, body, room, created_at, updated_at, uses)
        VALUES (:actor, :name, :kind, :description, :body, :room, :created_at, :updated_at, :uses)
        ON CONFLICT (actor, name) DO UPDATE SET kind = excluded.kind,
          description = excluded.description, body = excluded.body, room = excluded.room,
          updated_at = excluded.updated_at`,
      args: {
        actor,
        name,
        kind,
        description,
        body: JSON.stringify(memory.body),
        room,
        created_at: createdAt,
        updated_at: updatedAt,
        uses,
      },
    },
  ];
  if (hasIndex) {
    statements.push({
      sql: `INSERT INTO memory_text (rowid, name, description, body)
        SELECT id, name, description, :words FROM actor_memory WHERE actor = :actor AND name = :name`,
      args: { actor, name, words: wordsOf(memory.body) },
    });
  }
  return statements;
}

function deleteWords(actor: string, name: string): Statement {
  return {
    sql: `DELETE FROM memory_text WHERE rowid IN (
      SELECT id FROM actor_memory WHERE actor = :actor AND name = :name)`,
    args: { actor, name },
  };
}

/** Every text and member name of a body, one after the other. */
function wordsOf(body: Json): string {
  if (body === null || typeof body !== "object") return String(body ?? "");
  if (Array.isArray(body)) return body.map(wordsOf).join(" ");
  return Object.entries(body).map(([key, value]) => `${key} ${wordsOf(value)}`).join(" ");
}

/** Takes a memory away, and its words. */
export function deleteMemory(actor: string, name: string, hasIndex: boolean): Statement[] {
  return [
    ...(hasIndex ? [deleteWords(actor, name)] : []),
    {
      sql: "DELETE FROM actor_memory WHERE actor = :actor AND name = :name",
      args: { actor, name },
    },
  ];
}

/** Counts one more time that a memory was asked for by name. */
export async function countUse(store: Store, actor: string, name: string): Promise<void> {
  await store.run([{
    sql: "UPDATE actor_memory SET uses = uses + 1 WHERE actor = :actor AND name = :name",
    args: { actor, name },
  }]);
}

/** Names of an actor's memories that a question meets, best first. */
export async function searchMemories(
  store: Store,
  actor: string,
  words: readonly string[],
  limit: number,
): Promise<string[]> {
  const match = words.map((word) => `"${word.replaceAll('"', '""')}"`).join(" OR ");
  try {
    const rows = await store.db.all(
      `SELECT m.name FROM memory_text JOIN actor_memory AS m ON m.id = memory_text.rowid
        WHERE memory_text MATCH :match AND m.actor = :actor ORDER BY bm25(memory_text), m.name
        LIMIT :limit`,
      { match, actor, limit },
    );
    return rows.map((row) => String(row["name"]));
  } catch (error) {
    // A question that the index cannot read meets nothing.
    if (error instanceof SyncError && isContentError(error)) return [];
    throw error;
  }
}
