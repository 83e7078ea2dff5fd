/** A room's members: invited, changed, removed; anonymous rooms claimed; tokens rotated; rooms ended. */
import { z } from "zod";
import { act, authenticated } from "./auth.ts";
import type { Touched } from "./auth/touched.ts";
import type { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { labelText, parseBody } from "./input.ts";
import { accessTo, type Elevate, type Principal } from "./policy.ts";
import type { Room } from "./room.ts";
import { changeRole, findUser, listMembers, removeMember, upsertRole } from "./store/members.ts";
import { revokeRoomGrants } from "./store/tokens.ts";
import { mint } from "./tokens.ts";
import type { Json, JsonObject, Role } from "./types.ts";

const ROLES = ["owner", "collaborator", "participant", "observer"] as const;
const role = z.enum(ROLES);
const label = labelText.nullable().optional();
/** The body that invites a user. */
export const inviteBody = z.strictObject({ username: z.string(), role: role.optional(), label });
/** The body that changes a member. */
export const memberBody = z.strictObject({ role });
/** The body that claims an anonymous room. */
export const claimRoomBody = z.strictObject({ room_token: z.string(), label });

/** What the calls about a room's members need. */
export interface MemberCall {
  readonly engine: Engine;
  readonly principal: Principal;
  readonly room: string;
  readonly elevate?: Elevate | undefined;
  readonly forget: (touched: Touched) => void;
}

/** What a call about a room's members answers, and the record that the room was at. */
export interface MemberReply {
  readonly body: JsonObject;
  readonly seq: number;
}

/** Whom the call's change of rights in the room touches. */
function changed({ principal }: MemberCall, room: string, newcomer?: string): Touched {
  return { room, by: principal, ...(newcomer === undefined ? {} : { newcomer }) };
}

async function roomFor(
  call: MemberCall,
  verb: "room.invite" | "room.members" | "room.rotate" | "room.delete",
): Promise<{ readonly room: Room; readonly seq: number }> {
  const { value: room, seq } = await call.engine.read(call.room, (moment) => {
    act(call.principal, moment, verb, undefined, call.elevate);
    return moment.room;
  });
  return { room, seq };
}

/** Gives a user a role in the room. */
export async function invite(call: MemberCall, raw: Json): Promise<MemberReply> {
  const body = parseBody(inviteBody, raw, { example: { username: "bob", role: "participant" } });
  const { room, seq } = await roomFor(call, "room.invite");
  const user = await mustFindUser(call.engine, body.username);
  const wanted = body.role ?? "participant";
  const members = await listMembers(call.engine.store, room.uid);
  if (members.some((member) => member.user === user.id)) await setRole(call, room, user.id, wanted);
  else {await call.engine.store.of(room.uid).batch([
      upsertRole(room.uid, user.id, wanted, body.label ?? null),
    ]);}
  call.forget(changed(call, room.uid, user.id));
  const told = { invited: true, username: user.username, room: room.id, role: wanted };
  return { body: told, seq };
}

async function mustFindUser(
  engine: Engine,
  username: string,
): Promise<{ id: string; username: string }> {
  const user = await findUser(engine.store, username);
  if (user) return user;
  throw new SyncError("user_not_found", `There is no user "${username}".`, {
    username,
    hint: "A user has a name of its own once it has registered a passkey on this server.",
    example: { username: "bob", role: "participant" },
  });
}

async function setRole(call: MemberCall, room: Room, user: string, wanted: Role): Promise<void> {
  if (!await changeRole(call.engine.store, room.uid, user, wanted)) throw lastOwner(room);
}

function lastOwner(room: Room): SyncError {
  return new SyncError("last_owner", "The room would be left without an owner.", {
    room: room.id,
    hint: "Make somebody else an owner first.",
  });
}

/** The members of a room. */
export async function members(call: MemberCall): Promise<MemberReply> {
  const { room, seq } = await roomFor(call, "room.members");
  const list = await listMembers(call.engine.store, room.uid);
  return {
    body: {
      members: list.map(({ username, role, label }) => ({ username, role, label })),
      total: list.length,
      returned: list.length,
    },
    seq,
  };
}

async function mustFindMember(call: MemberCall, room: Room, username: string): Promise<string> {
  const list = await listMembers(call.engine.store, room.uid);
  const member = list.find((candidate) => candidate.username === username);
  if (member) return member.user;
  throw new SyncError("user_not_found", `"${username}" is no member of the room.`, {
    username,
    room: room.id,
    hint: "GET /rooms/:id/members lists them; POST /rooms/:id/invite adds one.",
  });
}

/** Changes a member's role. */
export async function patchMember(
  call: MemberCall,
  username: string,
  raw: Json,
): Promise<MemberReply> {
  const body = parseBody(memberBody, raw, { example: { role: "observer" } });
  const { room, seq } = await roomFor(call, "room.members");
  await setRole(call, room, await mustFindMember(call, room, username), body.role);
  call.forget(changed(call, room.uid));
  return { body: { username, room: room.id, role: body.role }, seq };
}

/** Removes a member: its tokens about the room, its waits and streams there end. */
export async function deleteMember(call: MemberCall, username: string): Promise<MemberReply> {
  const { room, seq } = await roomFor(call, "room.members");
  const user = await mustFindMember(call, room, username);
  const { store, clock } = call.engine;
  if (!await removeMember(store, room.uid, user, clock.now())) throw lastOwner(room);
  call.forget(changed(call, room.uid));
  return { body: { removed: true, username, room: room.id }, seq };
}

/** A user takes over an anonymous room; its `room_` token rotates. */
export async function claimRoom(
  call: MemberCall,
  raw: Json,
  bySecret: (secret: string) => Promise<Principal>,
): Promise<MemberReply> {
  authenticated(call.principal);
  const body = parseBody(claimRoomBody, raw, { example: { room_token: "room_…" } });
  const { user } = call.principal;
  if (!user) {
    throw new SyncError("access_denied", "Claiming a room takes a user's token.", {
      hint: "Get one: POST /auth/device.",
    });
  }
  const owner = await principalOfRoomToken(body.room_token, bySecret);
  const hot = await call.engine.find(call.room);
  if (!accessTo(owner, hot.room, call.room).owner) throw badRoomToken();
  const { store, clock } = call.engine;
  const now = clock.now();
  if ((await listMembers(store, hot.room.uid)).some((member) => member.role === "owner")) {
    throw new SyncError("already_owned", "The room belongs to a user already.", {
      room: call.room,
      hint: "Ask an owner to invite you: POST /rooms/:id/invite.",
    });
  }
  const { uid } = hot.room;
  const fits = store.beside(uid);
  const minted = mint({ kind: "room", scope: `rooms:${call.room}`, room: uid, fits }, now);
  await store.of(uid).batch([
    revokeRoomGrants(hot.room.uid, "room", null, now),
    ...minted.statements,
    upsertRole(hot.room.uid, user.id, "owner", body.label ?? null),
  ]);
  call.forget(changed(call, uid));
  return {
    body: { claimed: true, room: call.room, role: "owner", token: minted.token },
    seq: hot.room.head,
  };
}

async function principalOfRoomToken(
  secret: string,
  bySecret: (secret: string) => Promise<Principal>,
): Promise<Principal> {
  try {
    return await bySecret(secret);
  } catch (error) {
    if (error instanceof SyncError && error.code === "invalid_token") throw badRoomToken();
    throw error;
  }
}

function badRoomToken(): SyncError {
  return new SyncError("invalid_room_token", "This is not the room_ token of that room.", {
    field: "room_token",
    hint: "Send the room_ token that creating the room gave, or that a claim since then gave.",
    example: { room_token: "room_…" },
  });
}

/** Gives the room a new `view_` token; the old one ends. */
export async function rotateViewToken(call: MemberCall): Promise<MemberReply> {
  const { room, seq } = await roomFor(call, "room.rotate");
  const now = call.engine.clock.now();
  const { store } = call.engine;
  const scope = `rooms:${room.id}:read`;
  const minted = mint(
    { kind: "view", scope, room: room.uid, fits: store.beside(room.uid) },
    now,
  );
  await store.of(room.uid).batch([
    revokeRoomGrants(room.uid, "view", null, now),
    ...minted.statements,
  ]);
  call.forget(changed(call, room.uid));
  return { body: { view_token: minted.token }, seq };
}

/** Ends a room for good. */
export async function deleteRoom(call: MemberCall): Promise<MemberReply> {
  const { room, seq } = await roomFor(call, "room.delete");
  await call.engine.delete(call.room);
  call.forget(changed(call, room.uid));
  return { body: { deleted: true, id: call.room }, seq };
}
