/** Routes about rooms and their members. */
import { act } from "../auth.ts";
import { showForks } from "../fork.ts";
import {
  claimRoom,
  deleteMember,
  deleteRoom,
  invite,
  type MemberCall,
  type MemberReply,
  members,
  patchMember,
  rotateViewToken,
} from "../members.ts";
import { createRoom, decidePatchRoom, describeRoom, listRooms, mustMayCreate } from "../rooms.ts";
import { type Call, hideExistence, type Reply } from "./call.ts";
import type { Route } from "./routes.ts";

async function memberCall(call: Call): Promise<MemberCall> {
  const { engine, elevate, auth } = call.deps;
  return {
    engine,
    elevate,
    principal: await call.principal(),
    room: call.param("id"),
    forget: (touched) => auth.forget(touched),
  };
}

async function about(
  call: Call,
  run: (member: MemberCall) => Promise<MemberReply>,
): Promise<Reply> {
  const member = await memberCall(call);
  try {
    return await run(member);
  } catch (error) {
    throw hideExistence(error, member.principal);
  }
}

async function patchRoom(call: Call): Promise<Reply> {
  const principal = await call.principal();
  const body = await call.json();
  const { engine, elevate } = call.deps;
  try {
    const { reply, seq } = await engine.submit(call.param("id"), (moment) => {
      return decidePatchRoom(
        moment,
        act(principal, moment, "room.patch", undefined, elevate),
        body,
      );
    });
    return { body: reply, seq };
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

/** The routes. */
export const ROOM_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/rooms",
    verb: "open",
    summary: "Create a room; answers its room_ (admin) and view_ (read-only) tokens once.",
    handle: async (call) => {
      const { engine, auth } = call.deps;
      const principal = await call.principal();
      mustMayCreate(principal);
      const body = await createRoom(
        engine,
        principal,
        await call.json(),
        (touched) => auth.forget(touched),
      );
      return { status: 201, body, seq: 1 };
    },
  },
  {
    method: "GET",
    path: "/rooms",
    verb: "token",
    summary: "List the rooms this token may see.",
    handle: async (call) => {
      const { searchParams } = call.url;
      const query = {
        limit: searchParams.get("limit") ?? undefined,
        cursor: searchParams.get("cursor") ?? undefined,
      };
      return { body: await listRooms(call.deps.engine, await call.principal(), query) };
    },
  },
  {
    method: "GET",
    path: "/rooms/:id",
    verb: "room.show",
    summary: "Show a room: settings, head, how many agents.",
    handle: async (call) => {
      const { value, seq, hot, acting } = await call.look(
        "room.show",
        ({ room }, acting) => describeRoom(room, acting.access),
      );
      const forks = acting.isAdmin ? await showForks(call.deps.store, hot.room) : {};
      return { body: { ...value, ...forks }, seq };
    },
  },
  {
    method: "PATCH",
    path: "/rooms/:id",
    verb: "room.patch",
    summary: "Change a room's settings.",
    handle: patchRoom,
  },
  {
    method: "DELETE",
    path: "/rooms/:id",
    verb: "room.delete",
    summary: "End a room: its name, tokens, waits and streams at once.",
    handle: (call) => about(call, deleteRoom),
  },
  {
    method: "POST",
    path: "/rooms/:id/invite",
    verb: "room.invite",
    summary: "Give a user a role in the room.",
    handle: async (call) => {
      const body = await call.json();
      return await about(call, (member) => invite(member, body));
    },
  },
  {
    method: "GET",
    path: "/rooms/:id/members",
    verb: "room.members",
    summary: "List the room's members and their roles.",
    handle: (call) => about(call, members),
  },
  {
    method: "PATCH",
    path: "/rooms/:id/members/:username",
    verb: "room.members",
    summary: "Change a member's role.",
    handle: async (call) => {
      const body = await call.json();
      return await about(call, (member) => patchMember(member, call.param("username"), body));
    },
  },
  {
    method: "DELETE",
    path: "/rooms/:id/members/:username",
    verb: "room.members",
    summary: "Remove a member.",
    handle: (call) => about(call, (member) => deleteMember(member, call.param("username"))),
  },
  {
    method: "POST",
    path: "/rooms/:id/claim",
    verb: "room.claim",
    summary: "A user takes over an anonymous room with its room_ token.",
    handle: async (call) => {
      const body = await call.json();
      const { auth } = call.deps;
      return await about(
        call,
        (member) => claimRoom(member, body, (secret) => auth.bySecret(secret)),
      );
    },
  },
  {
    method: "POST",
    path: "/rooms/:id/rotate-view-token",
    verb: "room.rotate",
    summary: "Replace the room's view_ token.",
    handle: (call) => about(call, rotateViewToken),
  },
];
