/** Rooms: created, shown, listed, configured, shared with users, ended. */
import { z } from "zod";
import {
  type Acting,
  actorBehind,
  authenticated,
  authorship,
  localActor,
  type Touched,
} from "./auth.ts";
import { visibleRooms } from "./auth/visible.ts";
import { versionOf } from "./canonical.ts";
import type { Decision, Moment } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { invalid, SyncError } from "./errors.ts";
import { json, keyName, labelText, parseBody, roomId } from "./input.ts";
import {
  RETENTION_MS_MIN,
  RETENTION_RECORDS_MIN,
  ROOMS_LIMIT_DEFAULT,
  ROOMS_LIMIT_MAX,
  TIMER_MS_MAX,
} from "./limits.ts";
import type { Access, Principal } from "./policy.ts";
import type { Room } from "./room.ts";
import { mustFitValue, mustHaveRoomFor } from "./rules.ts";
import { areWeights } from "./salience.ts";
import { formatScope } from "./scopes.ts";
import type { RoomRow, SideStatement } from "./store/rows.ts";
import { findRoles, upsertRole } from "./store/members.ts";
import { addScopeWord } from "./store/tokens.ts";
import { iso } from "./timers.ts";
import { mint } from "./tokens.ts";
import type { Json, JsonObject, Millis, Write } from "./types.ts";

const settings = {
  meta: json.optional(),
  label: labelText.nullable().optional(),
  join: z.enum(["open", "token"]).optional(),
  public: z.enum(["read"]).nullable().optional(),
  vocabulary: z.enum(["open", "closed"]).optional(),
};

/** The body that creates a room. */
export const createBody = z.strictObject({ id: roomId.optional(), ...settings });
/** The body that changes a room's settings. */
export const patchRoomBody = z.strictObject(settings);

/** What creating a room answers. */
export type CreatedRoom = JsonObject & { id: string; token: string; view_token: string };

const SETTINGS = ["meta", "label", "join", "public", "vocabulary"] as const;

function configWrite(room: Room, key: string, value: Json): Write {
  return {
    scope: "_config",
    key,
    op: "set",
    value,
    revision: (room.get("_config", key)?.revision ?? 0) + 1,
    version: versionOf(value),
  };
}

function settingWrites(
  room: Room,
  body: Partial<Record<typeof SETTINGS[number], unknown>>,
): Write[] {
  return SETTINGS.filter((key) => body[key] !== undefined).map((key) => {
    const value = body[key] as Json;
    mustFitValue(value, key);
    return configWrite(room, key, value);
  });
}

/** Creates a room. Needs `create_rooms`, or nothing while the request counts as open. */
export async function createRoom(
  engine: Engine,
  principal: Principal,
  raw: Json,
  forget: (touched: Touched) => void,
): Promise<CreatedRoom> {
  mustMayCreate(principal);
  const body = parseBody(createBody, raw, { example: { id: "my-room" } });
  const id = body.id ?? `room-${engine.clock.nonce().slice(0, 12)}`;
  const { user } = principal;
  const join = body.join ?? (user === undefined || principal.isOpen ? "open" : "token");
  let uid = "";
  const make = (room: Room, now: Millis): Decision<CreatedRoom> => {
    uid = room.uid;
    const { actor, token, view_token, side } = ownership(
      engine,
      principal,
      room,
      body.label ?? null,
      now,
    );
    return {
      draft: {
        kind: "create",
        agent: "admin",
        actor,
        writes: settingWrites(room, { ...body, join }),
      },
      side,
      reply: () => ({
        id,
        created_at: iso(now),
        meta: body.meta ?? null,
        token,
        view_token,
      }),
    };
  };
  const reply = await withinQuota(engine, principal, () => engine.create(id, make));
  forget({ room: uid, by: principal });
  return reply;
}

/** Makes a room for a user who may own one more. Throws `quota_exceeded`. */
export async function withinQuota<T>(
  { quotas, store }: Engine,
  principal: Principal,
  make: () => Promise<T>,
): Promise<T> {
  const owned = async (user: string): Promise<number> =>
    [...(await findRoles(store, user)).values()].filter((role) => role === "owner").length;
  return quotas ? await quotas.makingRoom(principal, owned, make) : await make();
}

/** A new room's tokens and owner: what whoever makes a room gets of it. */
export function ownership(
  { store }: Pick<Engine, "store">,
  principal: Principal,
  room: Room,
  label: string | null,
  now: Millis,
): { actor: string; token: string; view_token: string; side: SideStatement[] } {
  const { user } = principal;
  // Tokens about another room cannot reach this one: what is minted hangs on the user's own.
  const own = user ? principal.lineage.filter((grant) => grant.kind === "tok") : [];
  const common = {
    user: user?.id ?? null,
    parent: own[0]?.id ?? null,
    room: room.uid,
    fits: store.beside(room.uid),
  };
  const admin = mint({ ...common, kind: "room", scope: `rooms:${room.id}` }, now);
  const view = mint({ ...common, kind: "view", scope: `rooms:${room.id}:read` }, now);
  const side: SideStatement[] = [...admin.statements, ...view.statements];
  if (user) side.push(upsertRole(room.uid, user.id, "owner", label));
  for (const grant of own) side.push(...widened(grant, room.id));
  const actor = actorBehind(principal) ?? localActor(room, "admin");
  return { actor, token: admin.token, view_token: view.token, side };
}

/** A grant without a wildcard gains the room that it made. */
function widened({ id, words }: Principal["lineage"][number], room: string): SideStatement[] {
  if (words.words.some((word) => word.room === undefined && word.level === 3)) return [];
  return [addScopeWord(id, formatScope({ words: [{ room, level: 3 }], createRooms: false }))];
}

/** Refuses a caller that may not create rooms. Throws `authentication_required`, `scope_denied`. */
export function mustMayCreate(principal: Principal): void {
  const isGranted = principal.lineage.length > 0 && principal.user !== undefined &&
    principal.lineage.every((grant) => grant.words.createRooms);
  if (isGranted || (principal.isOpen && principal.lineage.length === 0)) return;
  if (principal.isOpen && principal.user === undefined) return;
  if (principal.lineage.length === 0) {
    throw new SyncError("authentication_required", "Creating rooms on this server needs a token.", {
      hint:
        "Get one with the scope create_rooms: POST /auth/device, or `deno task token` on the machine itself.",
      example: "Authorization: Bearer tok_…",
    }, { "WWW-Authenticate": 'Bearer realm="sync"' });
  }
  throw new SyncError("scope_denied", "The token's scope does not include create_rooms.", {
    scope: "create_rooms",
    hint: "Ask for a token with the scope create_rooms: POST /auth/device.",
  });
}

/** A room as its readers see it. */
export function describeRoom(room: Room, access: Access): JsonObject {
  const { meta, label, join, vocabulary } = room.settings;
  return {
    id: room.id,
    created_at: iso(room.createdAt),
    meta,
    label,
    role: access.role ?? null,
    head: room.head,
    agents: room.agentCount,
    join,
    public: room.settings.public,
    vocabulary,
    last_activity_at: iso(room.ts),
    ...(room.forkedFrom === null ? {} : { forked_from: room.forkedFrom }),
  };
}

/** Changes a room's settings. */
export function decidePatchRoom(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room } = moment;
  const body = parseBody(patchRoomBody, raw, { example: { label: "Planning" } });
  const writes = settingWrites(room, body);
  const reply = (): JsonObject => describeRoom(room, acting.access);
  if (writes.length === 0) return { reply };
  mustHaveRoomFor(room, writes);
  return { draft: { ...authorship(acting, room), kind: "configure", writes }, reply };
}

const configureParams = z.strictObject({
  key: keyName,
  value: z.custom<Json>((value) => value !== undefined, {
    error: "JSON is wanted; null removes the key",
  }),
});

/** `_configure {key, value}`: one key of `_config`; null removes it. */
export function decideConfigure(moment: Moment, acting: Acting, raw: Json): Decision<JsonObject> {
  const { room } = moment;
  const { key, value } = parseBody(configureParams, raw, {
    example: { key: "salience_weights", value: { recency: 0.2 } },
    at: "params",
  });
  checkSetting(key, value);
  mustFitValue(value, "params.value");
  const exists = room.get("_config", key) !== undefined;
  const write: Write = value === null
    ? { scope: "_config", key, op: "delete", value: null, revision: 0, version: "" }
    : configWrite(room, key, value);
  mustHaveRoomFor(room, [write]);
  const reply = (seq: number): JsonObject => ({
    invoked: true,
    action: "_configure",
    agent: acting.agent,
    seq,
    key,
    value,
  });
  if (value === null && !exists) return { reply: () => reply(room.head) };
  return {
    draft: {
      ...authorship(acting, room),
      kind: "configure",
      action: "_configure",
      params: { key, value },
      writes: [write],
    },
    reply: (record) => reply(record?.seq ?? room.head),
  };
}

/** How much of its log a room keeps; see `retention.ts`. */
const retentionValue = z.strictObject({
  records: z.number().int().min(RETENTION_RECORDS_MIN).optional(),
  ms: z.number().int().min(RETENTION_MS_MIN).max(TIMER_MS_MAX).optional(),
}).refine(({ records, ms }) => records !== undefined || ms !== undefined, {
  error: '"records" or "ms" is wanted',
});

function checkSetting(key: string, value: Json): void {
  if (value === null) return;
  if (key === "salience_weights" && !areWeights(value)) {
    throw invalid("params.value", "non-negative numbers by signal are wanted", {
      recency: 0.2,
      dependency: 0.3,
    });
  }
  if (key === "retention") {
    parseBody(retentionValue, value, { example: { records: 10_000 }, at: "params.value" });
  }
  if (!(SETTINGS as readonly string[]).includes(key)) return;
  parseBody(patchRoomBody, { [key]: value } as JsonObject, { at: "params" });
}

/** The rooms a caller may see, by name. */
export async function listRooms(
  engine: Engine,
  principal: Principal,
  query: { limit?: string | undefined; cursor?: string | undefined },
): Promise<JsonObject> {
  authenticated(principal);
  const limit = query.limit === undefined ? ROOMS_LIMIT_DEFAULT : Number(query.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > ROOMS_LIMIT_MAX) {
    throw invalid("limit", `a whole number from 1 to ${ROOMS_LIMIT_MAX} is wanted`, 100);
  }
  const uids = await visibleRooms(engine.store, principal);
  const { rooms, total } = await engine.store.listRooms(uids, startOf(query.cursor), limit);
  const listed = rooms.map((row) => describeRow(row, principal));
  const last = rooms.at(-1);
  return {
    rooms: listed,
    total,
    returned: listed.length,
    ...(last && rooms.length === limit && total > limit
      ? { next_cursor: `${AFTER}${last.id}` }
      : {}),
  };
}

const AFTER = "after:";

/** The room behind which a page begins. */
function startOf(cursor: string | undefined): string {
  if (cursor === undefined || cursor === "") return "";
  const id = cursor.startsWith(AFTER) ? cursor.slice(AFTER.length) : "";
  if (roomId.safeParse(id).success) return id;
  throw invalid("cursor", "the next_cursor of the page before is wanted", `${AFTER}my-room`);
}

function describeRow(row: RoomRow, principal: Principal): JsonObject {
  return {
    id: row.id,
    created_at: iso(row.createdAt),
    meta: row.meta,
    label: row.label,
    role: principal.roles.get(row.uid) ?? null,
    agents: row.agents,
    head: row.head,
    last_activity_at: iso(row.ts),
  };
}
