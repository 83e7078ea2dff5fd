/**
 * Service accounts: machines that call in a user's place, as actors the user lists, and never
 * further than the user and the token that made them reach.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { serviceActor } from "./actors.ts";
import { SyncError } from "./errors.ts";
import { parseBody } from "./input.ts";
import { SERVICE_ACCOUNTS_MAX, SERVICE_ACTORS_MAX, SERVICE_OVERLAP_MS_MAX } from "./limits.ts";
import { mustBeDid, mustOwn, serviceRow } from "./registry.ts";
import { begin, change } from "./registry/log.ts";
import { type ActorCall, mustBeUser } from "./registry/rights.ts";
import { formatScope, parseScope } from "./scopes.ts";
import {
  endSecrets,
  endService,
  insertService,
  listServices,
  type ServiceRow,
} from "./store/services.ts";
import { listMemberRooms } from "./store/security.ts";
import { updateActor } from "./store/actors.ts";
import { insertSecret } from "./store/tokens.ts";
import { iso } from "./timers.ts";
import { mustHaveAccess, mustStayWithin, namedRooms } from "./tokens/rights.ts";
import { findGrant, hashSecret, mint, newSecret, revokeTree } from "./tokens.ts";
import type { Json, JsonObject } from "./types.ts";

/** The body of a new service account. */
export const serviceBody = z.strictObject({
  name: z.string({ error: "a name is wanted" }).min(1).max(200),
  actors: z.array(z.string().max(512)).max(SERVICE_ACTORS_MAX).optional(),
  scope: z.string({ error: "a scope is wanted" }).max(4_096),
  expires_in: z.number().int().min(60).max(315_360_000).nullable().optional(),
});
/** The body of a rotation. */
export const rotateBody = z.strictObject({
  overlap_ms: z.number().int().min(0).max(SERVICE_OVERLAP_MS_MAX).optional(),
});
const EXAMPLE = { name: "CI", actors: ["did:sync:agent:dev"], scope: "rooms:my-room:write" };

/** How long the old token is good beside the new one unless asked otherwise: an hour. */
const OVERLAP_MS = 3_600_000;

/** What calls about service accounts need from their door. */
export interface ServiceCall extends ActorCall {
  readonly forget: () => void;
}

/** Makes a service account; its token is shown once. Throws `scope_exceeds_…`, `actor_denied`. */
export async function createService(call: ServiceCall, raw: Json): Promise<JsonObject> {
  const user = mustBeUser(call.principal);
  const body = parseBody(serviceBody, raw, { example: EXAMPLE });
  const { store, clock } = call.engine;
  const scope = parseScope(body.scope);
  mustStayWithin(call.principal.lineage, scope);
  mustHaveAccess(scope, user.id, await listMemberRooms(store, user.id, namedRooms(scope)));
  const actors: string[] = [];
  for (const text of body.actors ?? []) {
    const { did } = mustBeDid(text, "actors");
    await mustOwn(call, did);
    if (!actors.includes(did)) actors.push(did);
  }
  if ((await listServices(store, user.id)).length >= SERVICE_ACCOUNTS_MAX) {
    throw new SyncError(
      "limit_exceeded",
      `A user has at most ${SERVICE_ACCOUNTS_MAX} service accounts.`,
      {
        limit: SERVICE_ACCOUNTS_MAX,
      },
    );
  }
  const id = `sa_${randomBytes(12).toString("hex")}`;
  const now = clock.now();
  const minted = mint({
    kind: "tok",
    scope: formatScope(scope),
    user: user.id,
    parent: call.principal.lineage[0]!.id,
    label: body.name,
    client: id,
    ...(body.expires_in == null ? {} : { expiresIn: body.expires_in * 1_000 }),
  }, now);
  const row: ServiceRow = {
    id,
    name: body.name,
    user: user.id,
    grantId: minted.grant.id,
    actors,
    createdAt: now,
  };
  await begin(call, serviceRow(id, body.name, user.id, now), { name: body.name });
  await store.run([...minted.statements, insertService(row)]);
  call.forget();
  return { ...await describe(call, row), token: minted.token };
}

async function describe(call: ServiceCall, row: ServiceRow): Promise<JsonObject> {
  const grant = await findGrant(call.engine.store, row.grantId);
  const at = (ms: number | null | undefined): string | null => ms == null ? null : iso(ms);
  return {
    id: row.id,
    did: serviceActor(row.id),
    name: row.name,
    actors: [...row.actors],
    scope: grant?.scope ?? "",
    created_at: iso(row.createdAt),
    expires_at: at(grant?.expiresAt),
    last_used_at: at(grant?.lastUsedAt),
  };
}

/** The caller's service accounts, without their tokens. */
export async function showServices(call: ServiceCall): Promise<JsonObject> {
  const user = mustBeUser(call.principal);
  const rows = await listServices(call.engine.store, user.id);
  return { service_accounts: await Promise.all(rows.map((row) => describe(call, row))) };
}

async function mustFind(call: ServiceCall, id: string): Promise<ServiceRow> {
  const user = mustBeUser(call.principal);
  const row = (await listServices(call.engine.store, user.id)).find((service) => service.id === id);
  if (row) return row;
  throw new SyncError("token_not_found", `There is no service account "${id}" of yours.`, {
    id,
    hint: "GET /service-accounts lists them.",
  });
}

/** A new token for a service account; the old one is good for a little longer. */
export async function rotateService(call: ServiceCall, id: string, raw: Json): Promise<JsonObject> {
  const { overlap_ms = OVERLAP_MS } = parseBody(rotateBody, raw, {
    example: { overlap_ms: 60_000 },
  });
  const row = await mustFind(call, id);
  const { store, clock } = call.engine;
  const now = clock.now();
  const token = newSecret("tok_");
  const grant = await findGrant(store, row.grantId);
  await store.run([
    endSecrets(row.grantId, now + overlap_ms),
    insertSecret({
      hash: hashSecret(token),
      grantId: row.grantId,
      kind: "access",
      createdAt: now,
      expiresAt: grant?.expiresAt ?? null,
    }),
  ]);
  call.forget();
  return { ...await describe(call, row), token, old_token_ends_at: iso(now + overlap_ms) };
}

/** Ends a service account with everything that was minted from it. */
export async function deleteService(call: ServiceCall, id: string): Promise<JsonObject> {
  const row = await mustFind(call, id);
  const { store, clock } = call.engine;
  const now = clock.now();
  await revokeTree(store, row.grantId, now);
  await store.run([endService(id, now)]);
  await change(call, serviceActor(id), (actor) => ({
    kind: "end",
    body: {},
    statements: [updateActor({ ...actor, endedAt: now })],
  }));
  call.forget();
  return { deleted: true, id };
}
