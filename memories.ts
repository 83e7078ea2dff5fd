/**
 * What actors remember, across rooms and sessions: for the actor's own tokens and its owner, and
 * for nobody else. Each change is a record in the actor's own log.
 */
import { z } from "zod";
import { isLocalActor, MEMORY_KINDS, type Remembered } from "./actors.ts";
import { authenticated } from "./auth.ts";
import { jsonBytes } from "./canonical.ts";
import { invalid, SyncError } from "./errors.ts";
import { json, parseBody, roomId } from "./input.ts";
import { MEMORIES_MAX, MEMORY_BYTES_MAX, TEXT_LENGTH_MAX } from "./limits.ts";
import { change } from "./registry/log.ts";
import { findOrBegin } from "./registry.ts";
import { type ActorCall, actorDenied, actorNotFound, mayRemember } from "./registry/rights.ts";
import type { Store } from "./store.ts";
import { findActor } from "./store/actors.ts";
import {
  countUse,
  deleteMemory,
  openTextIndex,
  recallAll,
  searchMemories,
  upsertMemory,
} from "./store/memories.ts";
import { iso } from "./timers.ts";
import type { Json, JsonObject } from "./types.ts";

/** A memory's name. */
export const memoryName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, {
  error: "1-128 letters, digits, '_', '-' or '.' are wanted",
}).refine((name) => !["constructor", "prototype"].includes(name), {
  error: "this name is reserved",
});

/** The body of a memory. */
export const memoryBody = z.strictObject({
  kind: z.enum(MEMORY_KINDS).optional(),
  description: z.string().max(TEXT_LENGTH_MAX).optional(),
  body: json.optional(),
  room: roomId.nullable().optional(),
});
const EXAMPLE = { kind: "feedback", description: "no emojis in commit messages", body: "…" };

/** What is asked of a memory. */
export interface MemoryQuery {
  readonly kind?: string | undefined;
  readonly q?: string | undefined;
  readonly limit: number;
}

const indexed = new WeakMap<Store, Promise<boolean>>();

/** Is there a full-text index? Found out once per database. */
async function hasIndex(store: Store): Promise<boolean> {
  let found = indexed.get(store);
  if (!found) {
    found = openTextIndex(store);
    indexed.set(store, found);
    found.catch(() => indexed.delete(store));
  }
  return await found;
}

/** Refuses a caller that is neither the actor nor its owner. Throws `actor_denied`, `actor_not_found`. */
export async function mustRemember(call: ActorCall, did: string): Promise<void> {
  authenticated(call.principal);
  if (isLocalActor(did)) {
    throw actorDenied(did, "An actor of one room has no memory; register one of your own");
  }
  if (await mayRemember(call, did)) return;
  const row = await findActor(call.engine.store, did);
  if (!row || row.endedAt !== null) throw actorNotFound(did);
  throw actorDenied(did, "Its memory is the actor's own and its owner's");
}

/** Memories by kind and by words, best first; without words the newest first. */
export async function recall(
  call: ActorCall,
  did: string,
  query: MemoryQuery,
): Promise<JsonObject> {
  await mustRemember(call, did);
  const { store } = call.engine;
  if (query.kind !== undefined && !MEMORY_KINDS.some((kind) => kind === query.kind)) {
    throw invalid("kind", `one of ${MEMORY_KINDS.join(", ")} is wanted`, "feedback");
  }
  const all = await recallAll(store, did);
  const words = (query.q ?? "").split(/[^\p{L}\p{N}_]+/u).filter((word) => word !== "");
  const isIndexed = words.length > 0 && await hasIndex(store);
  const found = words.length === 0
    ? [...all.values()].sort((a, b) => b.updatedAt - a.updatedAt || (a.name < b.name ? -1 : 1))
    : isIndexed
    ? (await searchMemories(store, did, words.slice(0, 32), MEMORIES_MAX)).flatMap((name) =>
      all.get(name) ?? []
    )
    : plainly(all, words);
  const fitting = found.filter(({ kind }) => query.kind === undefined || kind === query.kind);
  const page = fitting.slice(0, query.limit);
  return {
    did,
    memories: page.map(shown),
    total: fitting.length,
    returned: page.length,
    ...(words.length === 0 ? {} : { search: isIndexed ? "fts5" : "plain" }),
  };
}

/** Those that hold most of the words, without an index. */
function plainly(all: ReadonlyMap<string, Remembered>, words: readonly string[]): Remembered[] {
  const scored = [...all.values()].map((memory) => {
    const text = `${memory.name} ${memory.description} ${JSON.stringify(memory.body)}`
      .toLowerCase();
    return { memory, hits: words.filter((word) => text.includes(word.toLowerCase())).length };
  });
  return scored.filter(({ hits }) => hits > 0).sort((a, b) => b.hits - a.hits).map(({ memory }) =>
    memory
  );
}

function shown(memory: Remembered): JsonObject {
  const { name, kind, description, body, room, createdAt, updatedAt, uses } = memory;
  return {
    name,
    kind,
    description,
    body,
    ...(room === null ? {} : { room }),
    created_at: iso(createdAt),
    updated_at: iso(updatedAt),
    uses,
  };
}

function notRemembered(name: string): SyncError {
  return new SyncError("memory_not_found", `There is no memory "${name}".`, {
    name,
    hint: "GET /actors/:did/memory lists them.",
  });
}

/** One memory by its name. Throws `memory_not_found`. */
export async function recallOne(call: ActorCall, did: string, name: string): Promise<JsonObject> {
  await mustRemember(call, did);
  const { store } = call.engine;
  const memory = (await recallAll(store, did)).get(name);
  if (!memory) throw notRemembered(name);
  await countUse(store, did, name);
  return shown({ ...memory, uses: memory.uses + 1 });
}

/** Keeps a memory; what the body leaves out stays as it was. */
export async function remember(
  call: ActorCall,
  did: string,
  rawName: string,
  raw: Json,
): Promise<JsonObject> {
  await mustRemember(call, did);
  const name = nameOf(rawName);
  const body = parseBody(memoryBody, raw, { example: EXAMPLE });
  const { store, clock } = call.engine;
  await findOrBegin(call, did);
  const all = await recallAll(store, did);
  const known = all.get(name);
  if (!known && all.size >= MEMORIES_MAX) {
    throw new SyncError("limit_exceeded", `An actor has at most ${MEMORIES_MAX} memories.`, {
      limit: MEMORIES_MAX,
      hint: "Forget some, or gather several in one.",
    });
  }
  const now = clock.now();
  const memory: Remembered = {
    name,
    kind: body.kind ?? known?.kind ?? "project",
    description: body.description ?? known?.description ?? "",
    body: body.body ?? known?.body ?? null,
    room: body.room === undefined ? known?.room ?? null : body.room,
    createdAt: known?.createdAt ?? now,
    updatedAt: now,
    uses: known?.uses ?? 0,
  };
  const bytes = jsonBytes(memory.body);
  if (bytes > MEMORY_BYTES_MAX) {
    throw new SyncError("too_large", `A memory takes at most ${MEMORY_BYTES_MAX} bytes.`, {
      field: "body",
      limit: MEMORY_BYTES_MAX,
      actual: bytes,
    });
  }
  const statements = upsertMemory(did, memory, await hasIndex(store));
  const { kind, description, room } = memory;
  const record = { name, kind, description, body: memory.body, room };
  await change(call, did, () => ({ kind: "remember", body: record, statements }));
  return shown(memory);
}

function nameOf(name: string): string {
  const read = memoryName.safeParse(name);
  if (read.success) return read.data;
  throw invalid("name", read.error.issues[0]?.message ?? "a name is wanted", "commit-style");
}

/** Forgets a memory; the actor's log keeps that it was there. */
export async function forget(call: ActorCall, did: string, name: string): Promise<JsonObject> {
  await mustRemember(call, did);
  const { store } = call.engine;
  if (!(await recallAll(store, did)).has(name)) throw notRemembered(name);
  const statements = deleteMemory(did, name, await hasIndex(store));
  await change(call, did, () => ({ kind: "forget", body: { name }, statements }));
  return { deleted: true, did, name };
}

/** Characters that stand for one token. */
const TOKEN_CHARS = 4;

/** The manual and the memories that matter, as many as a budget of tokens holds. */
export async function briefing(
  call: ActorCall,
  did: string,
  tokens: number,
): Promise<JsonObject | undefined> {
  if (isLocalActor(did) || !await mayRemember(call, did)) return undefined;
  const { store } = call.engine;
  const row = await findActor(store, did);
  const all = [...(await recallAll(store, did)).values()];
  let left = tokens * TOKEN_CHARS;
  const manual = row?.manual ?? null;
  const isManualWhole = manual === null || manual.length <= left;
  left -= Math.min(left, manual?.length ?? 0);
  const memories: JsonObject[] = [];
  for (const memory of all.sort((a, b) => b.uses - a.uses || b.updatedAt - a.updatedAt)) {
    const whole = shown(memory);
    const { body: _body, ...brief } = whole;
    const form = [whole, brief].find((entry) => JSON.stringify(entry).length <= left);
    if (!form) continue;
    memories.push(form);
    left -= JSON.stringify(form).length;
  }
  return {
    actor: did,
    ...(manual === null
      ? {}
      : { manual: isManualWhole ? manual : manual.slice(0, tokens * TOKEN_CHARS) }),
    ...(isManualWhole ? {} : { manual_cut: true }),
    memories,
    total: all.length,
    returned: memories.length,
  };
}
