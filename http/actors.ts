/** Routes about actors: the registry, trust, what they remember, and service accounts. */
import { ACTOR_KINDS } from "../actors.ts";
import { oneOf, whole } from "../context/query.ts";
import {
  ACTORS_LIMIT_DEFAULT,
  ACTORS_LIMIT_MAX,
  LOG_LIMIT_DEFAULT,
  LOG_LIMIT_MAX,
} from "../limits.ts";
import { forget, recall, recallOne, remember } from "../memories.ts";
import {
  actorDocument,
  endActor,
  mustBeDid,
  patchActor,
  registerActor,
  resetActor,
  showActor,
  showActorLog,
  showActors,
} from "../registry.ts";
import { showRecords, showTrust } from "../registry/evidence.ts";
import {
  createService,
  deleteService,
  rotateService,
  type ServiceCall,
  showServices,
} from "../service-accounts.ts";
import type { JsonObject } from "../types.ts";
import type { Call, Reply } from "./call.ts";
import type { Route } from "./routes.ts";

/** What calls about actors need, of a request. */
export async function serviceCall(call: Call): Promise<ServiceCall> {
  const { engine, standing, keys, auth } = call.deps;
  const principal = await call.principal();
  return { engine, standing, principal, prove: keys.prove, forget: () => auth.forget() };
}

type About = (call: ServiceCall, did: string, request: Call) => Promise<JsonObject>;

function about(run: About, status = 200): Route["handle"] {
  return async (call): Promise<Reply> => {
    const { did } = mustBeDid(call.param("did"));
    return { status, body: await run(await serviceCall(call), did, call) };
  };
}

function one(call: Call, name: string): string | undefined {
  return call.query(name)[0];
}

function limitOf(call: Call): number {
  return whole(call.query, "limit", 1, ACTORS_LIMIT_MAX) ?? ACTORS_LIMIT_DEFAULT;
}

/** Members that were given. */
function given<T extends Record<string, unknown>>(
  members: T,
): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]: NonNullable<T[K]> };
}

const REGISTRY_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/actors",
    verb: "token",
    summary: "Register an actor; the token's user owns it.",
    handle: async (call) => ({
      status: 201,
      body: await registerActor(await serviceCall(call), await call.json()),
    }),
  },
  {
    method: "GET",
    path: "/actors",
    verb: "token",
    summary: "Registered actors by kind and by words.",
    handle: async (call) => {
      const kind = one(call, "kind") && oneOf(call.query, "kind", ACTOR_KINDS, "agent");
      const [q, cursor] = ["q", "cursor"].map((name) => one(call, name));
      const query = given({ kind, q, cursor, limit: limitOf(call) });
      return { body: await showActors(await serviceCall(call), query) };
    },
  },
  {
    method: "POST",
    path: "/actors/challenge",
    verb: "open",
    summary: "A challenge to sign with an actor's key, for joining as it or registering it.",
    handle: async (call) => ({
      status: 201,
      body: await call.deps.keys.challenge(await call.json()),
    }),
  },
  {
    method: "GET",
    path: "/actors/:did",
    verb: "token",
    summary: "An actor: its owner, substrate and trust by domain.",
    handle: about((call, did) => showActor(call, did)),
  },
  {
    method: "GET",
    path: "/actors/:did/did.json",
    verb: "open",
    summary: "A registered actor's DID document.",
    handle: async (call) => ({
      body: await actorDocument(call.deps, mustBeDid(call.param("did")).did),
    }),
  },
  {
    method: "PATCH",
    path: "/actors/:did",
    verb: "token",
    summary: "Change an actor's name, substrate, manual or key (its owner).",
    handle: about(async (call, did, request) => patchActor(call, did, await request.json())),
  },
  {
    method: "DELETE",
    path: "/actors/:did",
    verb: "token",
    summary: "End an actor; its trust and its records stay (its owner).",
    handle: about((call, did) => endActor(call, did)),
  },
  {
    method: "POST",
    path: "/actors/:did/reset",
    verb: "token",
    summary: "Let evidence before now no longer count (its owner).",
    handle: about(async (call, did, request) => resetActor(call, did, await request.json())),
  },
  {
    method: "GET",
    path: "/actors/:did/trust",
    verb: "token",
    summary: "Trust by domain at an instant, and the verdicts behind it that the caller may read.",
    handle: about((call, did, request) => {
      const [domain, at] = ["domain", "at"].map((name) => one(request, name));
      const whose = one(request, "judge");
      const judge = whose === undefined ? undefined : mustBeDid(whose, "judge").did;
      const before = whole(request.query, "before", 1, Number.MAX_SAFE_INTEGER);
      return showTrust(call, did, given({ domain, judge, at, before, limit: limitOf(request) }));
    }),
  },
  {
    method: "GET",
    path: "/actors/:did/records",
    verb: "token",
    summary: "What an actor ever did, in rooms that the caller may read.",
    handle: about((call, did, request) =>
      showRecords(call, did, given({ after: one(request, "after"), limit: limitOf(request) }))
    ),
  },
  {
    method: "GET",
    path: "/actors/:did/log",
    verb: "token",
    summary: "An actor's own log: registration, changes, memory (its owner).",
    handle: about((call, did, request) => {
      const after = whole(request.query, "after", 0, Number.MAX_SAFE_INTEGER) ?? 0;
      const limit = whole(request.query, "limit", 1, LOG_LIMIT_MAX) ?? LOG_LIMIT_DEFAULT;
      return showActorLog(call, did, after, limit);
    }),
  },
];

const MEMORY_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/actors/:did/memory",
    verb: "token",
    summary: "What an actor remembers, by kind and by words (itself and its owner).",
    handle: about((call, did, request) =>
      recall(call, did, {
        kind: one(request, "kind"),
        q: one(request, "q"),
        limit: limitOf(request),
      })
    ),
  },
  {
    method: "GET",
    path: "/actors/:did/memory/:name",
    verb: "token",
    summary: "One memory.",
    handle: about((call, did, request) => recallOne(call, did, request.param("name"))),
  },
  {
    method: "PUT",
    path: "/actors/:did/memory/:name",
    verb: "token",
    summary: "Keep a memory; members left out stay as they were.",
    handle: about(async (call, did, request) =>
      remember(call, did, request.param("name"), await request.json())
    ),
  },
  {
    method: "DELETE",
    path: "/actors/:did/memory/:name",
    verb: "token",
    summary: "Forget a memory.",
    handle: about((call, did, request) => forget(call, did, request.param("name"))),
  },
];

const SERVICE_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/service-accounts",
    verb: "token",
    summary: "Make a service account; its token is shown once.",
    handle: async (call) => ({
      status: 201,
      body: await createService(await serviceCall(call), await call.json()),
    }),
  },
  {
    method: "GET",
    path: "/service-accounts",
    verb: "token",
    summary: "The caller's service accounts.",
    handle: async (call) => ({ body: await showServices(await serviceCall(call)) }),
  },
  {
    method: "POST",
    path: "/service-accounts/:account/rotate",
    verb: "token",
    summary: "A new token; the old one is good for a little longer.",
    handle: async (call) => ({
      body: await rotateService(await serviceCall(call), call.param("account"), await call.json()),
    }),
  },
  {
    method: "DELETE",
    path: "/service-accounts/:account",
    verb: "token",
    summary: "End a service account with everything minted from it.",
    handle: async (call) => ({
      body: await deleteService(await serviceCall(call), call.param("account")),
    }),
  },
];

/** The routes. */
export const ACTOR_ROUTES: readonly Route[] = [
  ...REGISTRY_ROUTES,
  ...MEMORY_ROUTES,
  ...SERVICE_ROUTES,
];
