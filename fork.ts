/**
 * A room that goes on from another: the same past, its own future. State, vocabulary, private
 * scopes and the time timers have left come along; tokens, cursors, presence and Idempotency-Keys
 * stay behind, and agents are set back to actors of the new room.
 */
import { z } from "zod";
import { agentWrite } from "./agents/entry.ts";
import { act, localActor } from "./auth.ts";
import type { Touched } from "./auth/touched.ts";
import { mergePatch, versionOf } from "./canonical.ts";
import type { Decision } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { invalid } from "./errors.ts";
import { parseBody, roomId } from "./input.ts";
import type { Elevate, Principal } from "./policy.ts";
import { roomAt } from "./replay.ts";
import { Room } from "./room.ts";
import { ownership, withinQuota } from "./rooms.ts";
import { type Base, digestOf, keepSnapshot, placedEntries } from "./snapshots.ts";
import { dropPrepared, endPrepared, listForks, notePrepared } from "./store/snapshots.ts";
import type { Store } from "./store.ts";
import { iso } from "./timers.ts";
import type { ArmedTimer, Entry, Json, JsonObject, MessageBody, Millis, Write } from "./types.ts";

/** The body of a fork. */
export const forkBody = z.strictObject({
  id: roomId.optional(),
  at: z.number().int().min(0).nullable().optional(),
});

/** What a fork needs from its door. */
export interface ForkCall {
  readonly engine: Engine;
  readonly principal: Principal;
  readonly room: string;
  readonly elevate?: Elevate | undefined;
  readonly forget: (touched: Touched) => void;
}

/** Forks a room after record `at`; after its newest unless one is named. */
export async function fork(call: ForkCall, raw: Json): Promise<JsonObject> {
  const { engine } = call;
  const { value, seq: head } = await engine.read(call.room, (moment) => {
    act(call.principal, moment, "fork", undefined, call.elevate);
    return { live: moment.room, now: moment.now };
  });
  const body = parseBody(forkBody, raw, { example: { id: "what-if", at: 12 } });
  const at = body.at ?? head;
  if (at > head) throw invalid("at", `a record's seq up to ${head} is wanted`, head, { head });
  const { live } = value;
  const past = await roomAt(engine.store, live, at);
  const id = body.id ?? `${live.id.slice(0, 100)}-fork-${engine.clock.nonce().slice(-8)}`;
  const origin = { uid: live.uid, id: live.id, at, hash: past.hash };
  // What runs on now has its time from now; what ran then, from the record's instant.
  const since = at === head ? value.now : past.ts;
  const room = await begin(engine, past, id, origin, value.now);
  return await goOn(call, room, { since, origin: { id: live.id, at, hash: past.hash } });
}

/** A room with another's entries, and the snapshot that its log will be based on. */
async function begin(
  engine: Engine,
  past: Room,
  id: string,
  origin: { readonly uid: string; readonly id: string; readonly at: number; readonly hash: string },
  now: Millis,
): Promise<Room> {
  const placed = placedEntries(past);
  const salt = engine.clock.nonce();
  const base: Base = {
    seq: past.head,
    hash: past.hash,
    ts: iso(past.ts),
    snapshot: await digestOf(placed, salt),
    salt,
    origin: origin.uid,
  };
  const { uid: _uid, ...forkedFrom } = origin;
  const room = new Room(engine.newUid(id), id, now, base as unknown as Json, forkedFrom);
  for (const [scope, key, entry] of placed) room.place(scope, key, entry);
  room.head = past.head;
  room.hash = past.hash;
  room.ts = past.ts;
  room.removalsFrom = past.head;
  const at = { seq: base.seq, kind: "base", ts: past.ts, hash: past.hash } as const;
  await notePrepared(engine.store, room.uid, now);
  await keepSnapshot(engine.store, room.uid, at, placed);
  return room;
}

/** Creates the room of a prepared fold: its first own record names the base and resets what must not come along. */
export async function goOn(
  call: Omit<ForkCall, "room" | "elevate">,
  room: Room,
  from: { readonly since: Millis; readonly origin: JsonObject },
): Promise<JsonObject> {
  const { engine, principal } = call;
  try {
    const make = (_room: Room, now: Millis): Decision<JsonObject> => {
      const { actor, side, token, view_token } = ownership(engine, principal, room, null, now);
      const { origin } = from;
      const base = room.base as JsonObject | null;
      const named = base && { seq: base["seq"]!, hash: base["hash"]!, snapshot: base["snapshot"]! };
      return {
        draft: {
          kind: "base",
          agent: "admin",
          actor,
          params: { forked_from: origin, base: named },
          writes: resetWrites(room, now - from.since),
        },
        side: [...side, endPrepared(room.uid)],
        reply: () => ({
          id: room.id,
          token,
          view_token,
          forked_from: origin["id"]!,
          at: origin["at"]!,
        }),
      };
    };
    const made = await withinQuota(engine, principal, () => engine.create(room.id, make, room));
    call.forget({ room: room.uid, by: call.principal });
    return made;
  } catch (error) {
    await dropPrepared(engine.store, room.uid);
    throw error;
  }
}

/** Agents become the new room's own, and timers keep the time they had left. */
function resetWrites(room: Room, shift: Millis): Write[] {
  const writes: Write[] = [];
  for (const id of room.scopes.get("_agents")?.keys() ?? []) {
    const { owner: _owner, ...definition } = room.agent(id)!;
    writes.push(agentWrite(room, id, { ...definition, actor: localActor(room, id) }));
  }
  if (shift <= 0) return writes;
  for (const [scope, { entries }] of room.scopes) {
    for (const [key, entry] of entries) writes.push(...shiftedWrites(scope, key, entry, shift));
  }
  return writes;
}

function shiftedWrites(scope: string, key: string, entry: Entry, shift: Millis): Write[] {
  const { revision, version } = entry;
  const kept = entry.enabled === undefined ? {} : { enabled: entry.enabled };
  const place = { scope, key, value: null, revision, version };
  const writes: Write[] = [];
  const timer = later(entry.timer, shift);
  if (timer) writes.push({ ...place, op: "renew", timer, ...kept });
  const cooldown = later(entry.cooldown, shift);
  if (cooldown) writes.push({ ...place, op: "cooldown", timer: cooldown });
  const lease = scope === "_messages" && (entry.value as unknown as MessageBody).lease_expires_at;
  if (typeof lease === "string") {
    const value = { lease_expires_at: iso(Date.parse(lease) + shift) };
    writes.push({
      ...place,
      op: "merge",
      value,
      revision: revision + 1,
      version: versionOf(mergePatch(entry.value, value)),
      ...(timer ?? entry.timer ? { timer: timer ?? entry.timer! } : {}),
      ...kept,
    });
  }
  return writes;
}

/** A running timer that is due later by `shift`; undefined for one that rests or ticks. */
function later(timer: ArmedTimer | undefined, shift: Millis): ArmedTimer | undefined {
  if (timer?.due_at === undefined || timer.resting_ms !== undefined) return undefined;
  return { ...timer, due_at: iso(Date.parse(timer.due_at) + shift) };
}

/** Forks that a room's info names. */
const FORKS_SHOWN = 100;

/** The rooms that go on from a room, for its admins; nothing when there is none. */
export async function showForks(store: Store, room: Room): Promise<JsonObject> {
  const { forks, total } = await listForks(store, room.uid, FORKS_SHOWN);
  return total === 0 ? {} : { forks, forks_total: total };
}
