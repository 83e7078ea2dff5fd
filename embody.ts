/**
 * Embodying: a token takes, creates or resumes an agent, and lets it go. One driver at a time.
 * An embodiment belongs to the token's grant and outlives the connection; each new one and each
 * release is a record that rewrites the agent, so that of two at once one decides anew.
 */
import { z } from "zod";
import { definitionOf, idFromName, joinWrites, text } from "./agents/join.ts";
import { mustOwnAgent, ownsAgent } from "./agents/rights.ts";
import { actorFor } from "./agents/actor.ts";
import { agentWrite } from "./agents/entry.ts";
import { setStatus } from "./agents/presence.ts";
import {
  type Acting,
  agentNotFound,
  agentRequired,
  authorship,
  localActor,
  type Touched,
} from "./auth.ts";
import type { Decision, Moment } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { agentId, json, parseBody, record } from "./input.ts";
import { filledRole, isPresent, rolesOf, roleWrite } from "./embody/roles.ts";
import {
  type Access,
  accessTo,
  type Elevate,
  isBoundToAnothers,
  mustReach,
  type Principal,
} from "./policy.ts";
import type { Room } from "./room.ts";
import { mustStayWithinLimits } from "./rules.ts";
import { deleteEmbodiment, type DriverRow, findDrivers } from "./store/embodiment.ts";
import { deleteEmbodiments, insertEmbodiment, revokeRoomGrants } from "./store/tokens.ts";
import { iso } from "./timers.ts";
import { findLivingLineage } from "./tokens.ts";
import { type AgentDefinition, type Json, type JsonObject, LEVEL } from "./types.ts";

/** The body of an embodiment. */
export const embodyBody = z.strictObject({
  agent: agentId.optional(),
  role: text.optional(),
  name: text.optional(),
  state: record(json).optional(),
  take_over: z.boolean().optional(),
});
type EmbodyBody = z.output<typeof embodyBody>;

/** What embodying needs from its door. */
export interface EmbodyCall {
  readonly engine: Engine;
  readonly principal: Principal;
  readonly room: string;
  /** The client's name, for the id of an agent that is given none. */
  readonly client?: string | undefined;
  readonly elevate?: Elevate | undefined;
  readonly forget: (touched?: Touched) => void;
}

/** What embodying came to. */
export interface Embodied {
  readonly agent: string;
  readonly level: "read" | "write" | "admin";
  readonly created: boolean;
  readonly taken_over: boolean;
  readonly role?: string;
}

/** The agent changed between looking up its drivers and deciding. */
class Outdated extends Error {}

const ATTEMPTS = 6;

/** Takes, creates or resumes an agent. Throws `agent_embodied`, `agent_exists`, `identity_mismatch`. */
export async function embody(call: EmbodyCall, raw: Json): Promise<Embodied> {
  const body = parseBody(embodyBody, raw, { example: { agent: "alice", role: "reviewer" } });
  const chance = call.engine.clock.nonce();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const chosen = await chooseAgent(call, body, chance);
    const others = await otherDrivers(call, chosen.uid, chosen.id);
    const driving = { ...chosen, others };
    try {
      const { reply } = await call.engine.submit(
        call.room,
        (moment) => decideEmbody(call, moment, body, driving),
      );
      call.forget({ room: chosen.uid, by: call.principal });
      return reply;
    } catch (error) {
      if (!(error instanceof Outdated)) throw error;
    }
  }
  throw new SyncError("store_busy", "The agent is being embodied by others.", {
    hint: "Repeat the call.",
  }, { "Retry-After": "1" });
}

/** Which agent it is about, and how it stood when that was decided. */
interface Chosen {
  readonly uid: string;
  readonly id: string;
  readonly revision: number;
}

async function chooseAgent(call: EmbodyCall, body: EmbodyBody, chance: string): Promise<Chosen> {
  const { value } = await call.engine.read(call.room, ({ room }): Chosen => {
    const access = writersAccess(call, room);
    const id = agentFor(access, room, body, call.client, chance);
    return { uid: room.uid, id, revision: room.get("_agents", id)?.revision ?? 0 };
  });
  return value;
}

function writersAccess(call: EmbodyCall, room: Room): Access {
  const access = accessTo(call.principal, room, room.id);
  mustReach(access, "action.invoke", room, call.elevate);
  return access;
}

/** The agent meant: bound, named, already driven, one's own of that role or name, else a new one. */
function agentFor(
  access: Access,
  room: Room,
  body: EmbodyBody,
  client: string | undefined,
  chance: string,
): string {
  const { agent, role, name } = body;
  if (access.bound !== undefined) {
    if (agent !== undefined && agent !== access.bound) throw notBoundTo(access.bound, agent);
    return access.bound;
  }
  if (agent !== undefined) return agent;
  const mine = access.embodied.filter((id) => isPresent(room, id));
  const isNamed = role !== undefined || name !== undefined;
  if (!isNamed && mine.length === 1) return mine[0]!;
  if (!isNamed && mine.length > 1) {
    throw agentRequired(`This token drives several agents: ${mine.join(", ")}.`, mine[0]!);
  }
  const user = access.principal.user;
  const base = [role, name, `${user?.username ?? "agent"}-${client ?? "agent"}`]
    .flatMap((word) => word === undefined ? [] : idFromName(word) ?? [])[0] ??
    `agent-${chance.slice(0, 8)}`;
  const isMine = (id: string, known: AgentDefinition): boolean =>
    mine.includes(id) || (user !== undefined && known.owner === user.id);
  for (const [id, known] of room.liveAgents()) {
    const fits = isNamed
      ? (role === undefined || known.role === role) && (name === undefined || known.name === name)
      : id === base;
    if (fits && isMine(id, known)) return id;
  }
  return freeId(room, base);
}

function freeId(room: Room, base: string): string {
  if (!room.agent(base)) return base;
  for (let n = 2;; n++) {
    const id = `${base.slice(0, 120)}-${n}`;
    if (!room.agent(id)) return id;
  }
}

function notBoundTo(bound: string, agent: string): SyncError {
  return new SyncError("identity_mismatch", `This token is bound to the agent "${bound}".`, {
    claimed: agent,
    authenticated_as: bound,
    hint: `Leave "agent" out to embody "${bound}", or use another token.`,
  });
}

/** The living drivers of an agent other than this token and what belongs to it. */
async function otherDrivers(call: EmbodyCall, uid: string, agent: string): Promise<DriverRow[]> {
  const { store, clock } = call.engine;
  const [me, parent] = call.principal.lineage;
  const others: DriverRow[] = [];
  for (const driver of await findDrivers(store, uid, agent)) {
    if (driver.grantId === me!.id || driver.parent === me!.id) continue;
    if (me!.kind === "as" && driver.grantId === parent?.id) continue;
    if (await findLivingLineage(store, driver.grantId, clock.now())) others.push(driver);
  }
  return others;
}

function decideEmbody(
  call: EmbodyCall,
  moment: Moment,
  body: EmbodyBody,
  { id, revision, others }: Chosen & { readonly others: readonly DriverRow[] },
): Decision<Embodied> {
  const { hot, room, now } = moment;
  const access = writersAccess(call, room);
  if ((room.get("_agents", id)?.revision ?? 0) !== revision) throw new Outdated();
  const known = room.agent(id);
  if (others[0] && !body.take_over) {
    const mayTake = !known || ownsAgent(access, known, id);
    throw agentEmbodied(id, others[0], call.principal, mayTake);
  }
  if (known) mustOwnAgent(access, known, id);
  else mustStayWithinLimits(room, "agents", 1);
  const [me] = call.principal.lineage;
  const isOwn = !known || (access.bound === id && !isBoundToAnothers(access, room)) ||
    (call.principal.user !== undefined && known.owner === call.principal.user.id);
  // An agent taken by somebody who is not its user speaks as a member of this room only.
  const actor = isOwn ? actorFor(hot.actors, access, room, id, known, {}) : localActor(room, id);
  const { name, role } = body;
  const user = call.principal.user?.id ?? null;
  const definition = definitionOf(id, { name, role }, known, actor, user, now);
  const isDriven = me!.kind === "as" || access.embodied.includes(id);
  const isThere = known !== undefined && known.left_at === undefined;
  const changes = [
    ...joinWrites(room, id, { state: body.state }, definition, now),
    ...filledRole(room, id, body.role, now),
  ];
  const asksNothing = body.role === undefined && body.name === undefined &&
    body.state === undefined;
  const acting: Acting = { access, agent: id, seesAll: false, isBorrowed: !isOwn, isAdmin: false };
  const reply = (): Embodied => {
    setStatus(call.engine, hot, id, "active", now);
    return {
      agent: id,
      level: levelName(access.level),
      created: known === undefined,
      taken_over: others.length > 0,
      role: definition.role,
    };
  };
  if (isThere && isDriven && others.length === 0 && asksNothing) return { reply };
  return {
    draft: {
      ...authorship(acting, room),
      agent: id,
      ...(isOwn ? { actor: definition.actor } : {}),
      kind: isThere ? "agent" : "join",
      action: "_embody",
      ...(others.length > 0 ? { params: { take_over: true } } : {}),
      writes: changes,
    },
    side: [
      ...(me!.kind === "as" ? [] : [
        ...(others.length > 0 ? [revokeRoomGrants(room.uid, "as", id, now)] : []),
        deleteEmbodiments(room.uid, id),
        insertEmbodiment(me!.id, room.uid, id, now),
      ]),
      ...(me!.kind === "as" && others.length > 0 ? [deleteEmbodiments(room.uid, id)] : []),
    ],
    reply,
  };
}

/** How a driver is named: a token by its label to its own user, to others by the user behind it. */
function driverName(driver: DriverRow, { user }: Principal): string {
  if (driver.kind === "token") return "a holder of its own as_ token";
  const { label, client, username } = driver;
  const isOwn = user !== undefined && user.username === username;
  return (isOwn ? label ?? client : null) ?? username ?? "another token";
}

function agentEmbodied(
  id: string,
  driver: DriverRow,
  caller: Principal,
  mayTake: boolean,
): SyncError {
  const by = driverName(driver, caller);
  return new SyncError("agent_embodied", `The agent "${id}" is driven by ${by}.`, {
    agent: id,
    by,
    since: iso(driver.since),
    ...(mayTake
      ? {
        hint: "Embody another agent, or take this one over knowingly with take_over:true; " +
          "its former driver then acts for it no more.",
        example: { agent: id, take_over: true },
      }
      : {
        hint: "Embody another agent: this one is somebody else's.",
        example: { agent: `${id}-2` },
      }),
  });
}

function levelName(level: number): Embodied["level"] {
  return level === LEVEL.admin ? "admin" : level === LEVEL.write ? "write" : "read";
}

/** Lets an agent go: it stays in the room with all it wrote, and the roles it filled are open again. */
export async function disembody(
  call: EmbodyCall,
  named: string | undefined,
): Promise<JsonObject> {
  let room = "";
  const { reply } = await call.engine.submit(call.room, (moment) => {
    room = moment.room.uid;
    return decideDisembody(call, moment, named);
  });
  call.forget({ room, by: call.principal });
  return reply;
}

function decideDisembody(
  call: EmbodyCall,
  { hot, room, now }: Moment,
  named: string | undefined,
): Decision<JsonObject> {
  const access = writersAccess(call, room);
  const id = drivenAgent(access, room, named);
  const known = room.agent(id);
  if (!known) throw agentNotFound(room, id);
  const roles = rolesOf(room).filter((role) => role.filledBy === id);
  const isBorrowed = isBoundToAnothers(access, room);
  const acting: Acting = { access, agent: id, seesAll: false, isBorrowed, isAdmin: false };
  return {
    draft: {
      ...authorship(acting, room),
      kind: "agent",
      action: "_disembody",
      writes: [
        agentWrite(room, id, known),
        ...roles.map((role) => roleWrite(room, role, { filled_by: null, filled_at: null })),
      ],
    },
    side: [deleteEmbodiment(call.principal.lineage[0]!.id, room.uid, id)],
    reply: () => {
      setStatus(call.engine, hot, id, "done", now);
      return {
        disembodied: true,
        room: room.id,
        agent: id,
        roles_vacated: roles.map((role) => role.role),
      };
    },
  };
}

function drivenAgent(access: Access, room: Room, named: string | undefined): string {
  const mine = access.bound === undefined
    ? access.embodied.filter((id) => isPresent(room, id))
    : [access.bound];
  if (named !== undefined) {
    if (mine.includes(named)) return named;
    throw new SyncError("identity_mismatch", `This token does not drive the agent "${named}".`, {
      claimed: named,
      authenticated_as: mine[0] ?? null,
    });
  }
  if (mine.length === 1) return mine[0]!;
  if (mine.length > 1) {
    throw agentRequired(`This token drives several agents: ${mine.join(", ")}.`, mine[0]!);
  }
  throw agentRequired("This token drives no agent in the room.");
}
