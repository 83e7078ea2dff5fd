/** Routes about agents, and invoking. */
import { decideLeave, decidePatchAgent } from "../agents.ts";
import { join } from "../agents/join.ts";
import { heartbeat } from "../agents/presence.ts";
import { act, type Acting } from "../auth.ts";
import { buildContext } from "../context.ts";
import { fromJson, parseContextQuery } from "../context/query.ts";
import type { Decision, Moment } from "../engine/types.ts";
import { SyncError } from "../errors.ts";
import { invoke } from "../invoke.ts";
import { actionEnded } from "../invoke/ended.ts";
import type { Principal, Verb } from "../policy.ts";
import { checkSigned, isSigned, type SignedRequest } from "../registry/signed.ts";
import type { Json } from "../types.ts";
import { type Call, hideExistence, type Reply } from "./call.ts";
import type { Route } from "./routes.ts";

/** Submits a decision about the room as the caller. */
async function submit(
  call: Call,
  verb: Verb,
  decide: (moment: Moment, acting: Acting, body: Json) => Decision<Json>,
): Promise<Reply> {
  const principal = await call.principal();
  const body = await call.json();
  const { engine, elevate, auth } = call.deps;
  try {
    let room = "";
    const { reply, seq } = await engine.submit(call.param("id"), (moment) => {
      room = moment.room.uid;
      const acting = act(
        principal,
        moment,
        verb,
        call.agent ?? ownTarget(call, principal, moment),
        elevate,
      );
      heartbeat(engine, moment.hot, acting, moment.now);
      call.isAlive = true;
      return decide(moment, acting, body);
    });
    auth.forget({ room, by: principal });
    return { body: reply, seq };
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

/** The agent that the path names, when the token has joined it: then it acts on itself. */
function ownTarget(call: Call, principal: Principal, { room }: Moment): string | undefined {
  const target = call.params["agent"];
  if (target === undefined || !principal.embodied.get(room.uid)?.includes(target)) return undefined;
  return room.agent(target)?.left_at === undefined ? target : undefined;
}

async function joinRoom(call: Call): Promise<Reply> {
  const principal = await call.principal();
  const { engine, auth, elevate } = call.deps;
  const body = await call.json();
  try {
    const { joined, seq } = await join(engine, principal, call.param("id"), body, {
      elevate,
      prove: call.deps.keys.prove,
      forget: (touched) => auth.forget(touched),
    });
    return { status: 201, body: joined as unknown as Json, seq };
  } catch (error) {
    throw hideExistence(error, principal);
  }
}

/** The body of an invocation, and the signature that came with it, checked. */
async function askedOf(
  call: Call,
  principal: Principal,
): Promise<{ body: Json; signed?: SignedRequest }> {
  // Without a credential nothing is invoked, so nothing is fetched for it either.
  if (!isSigned(call.request) || principal.lineage.length === 0) return { body: await call.json() };
  const copy = call.request.clone();
  const body = await call.json();
  const { store, engine: { clock }, keys } = call.deps;
  return {
    body,
    signed: await checkSigned({ store, clock, keys }, call.request, await copy.bytes()),
  };
}

async function invokeAction(call: Call): Promise<Reply> {
  const principal = await call.principal();
  const { engine, elevate, store } = call.deps;
  const room = call.param("id"), action = call.param("action");
  try {
    const asked = await askedOf(call, principal);
    // From here on it sees to that itself.
    call.isAlive = true;
    const { status, body, seq, replayed } = await invoke(engine, {
      principal,
      room,
      action,
      ...asked,
      agent: call.agent,
      idempotencyKey: call.request.headers.get("idempotency-key") ?? undefined,
      elevate,
      context: (moment, acting, query) =>
        buildContext(moment, acting, parseContextQuery(fromJson(query))).body,
    });
    return {
      status,
      body,
      seq,
      ...(replayed ? { headers: { "Idempotent-Replayed": "true" } } : {}),
    };
  } catch (error) {
    if (error instanceof SyncError && error.code === "action_not_found") {
      throw await actionEnded(store, await engine.find(room), action) ?? error;
    }
    throw hideExistence(error, principal);
  }
}

/** The routes. */
export const AGENT_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/rooms/:id/agents",
    verb: "agent.join",
    summary: "Join a room as an agent; answers its as_ token once.",
    handle: joinRoom,
  },
  {
    method: "PATCH",
    path: "/rooms/:id/agents/:agent",
    verb: "agent.patch",
    summary:
      "Change an agent: admins its grants and role, the agent its own name, status and meta.",
    handle: (call) =>
      submit(
        call,
        "agent.patch",
        (m, acting, body) =>
          decidePatchAgent(
            call.deps.engine,
            m,
            acting,
            call.param("agent"),
            body,
            call.deps.elevate,
          ),
      ),
  },
  {
    method: "DELETE",
    path: "/rooms/:id/agents/:agent",
    verb: "agent.leave",
    summary: "Leave the room, or make an agent leave.",
    handle: (call) =>
      submit(
        call,
        "agent.leave",
        (m, acting) => decideLeave(m, acting, call.param("agent"), call.deps.elevate),
      ),
  },
  {
    method: "POST",
    path: "/rooms/:id/actions/:action/invoke",
    verb: "action.invoke",
    summary: "Invoke an action or a built-in: one atomic step.",
    handle: invokeAction,
  },
];
