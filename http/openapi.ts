/** The OpenAPI document, from the routes and the schemas that validate. */
import { z } from "zod";
import { joinBody } from "../agents/join.ts";
import { patchAgentBody } from "../agents.ts";
import { CONTEXT_PARAMETERS } from "../context/query.ts";
import { ERROR_STATUS } from "../errors.ts";
import { evalBody } from "../eval.ts";
import { forkBody } from "../fork.ts";
import { invokeBody } from "../invoke/request.ts";
import { claimRoomBody, inviteBody, memberBody } from "../members.ts";
import { createBody, patchRoomBody } from "../rooms.ts";
import { simulateBody } from "../simulate.ts";
import type { Json, JsonObject } from "../types.ts";
import { cookieName } from "../oauth/session.ts";
import { patchActorBody, registerActorBody, resetBody } from "../registry.ts";
import { rotateBody, serviceBody } from "../service-accounts.ts";
import { type Door, DOORS, type Key } from "./openapi/doors.ts";
import { type Route, ROUTES } from "./routes.ts";

const BODIES: Readonly<Record<string, z.ZodType>> = {
  "POST /rooms": createBody,
  "PATCH /rooms/:id": patchRoomBody,
  "POST /rooms/:id/invite": inviteBody,
  "PATCH /rooms/:id/members/:username": memberBody,
  "POST /rooms/:id/claim": claimRoomBody,
  "POST /rooms/:id/agents": joinBody,
  "PATCH /rooms/:id/agents/:agent": patchAgentBody,
  "POST /rooms/:id/actions/:action/invoke": invokeBody,
  "POST /rooms/:id/eval": evalBody,
  "POST /rooms/:id/fork": forkBody,
  "POST /rooms/:id/simulate": simulateBody,
  "POST /actors": registerActorBody,
  "PATCH /actors/:did": patchActorBody,
  "POST /actors/:did/reset": resetBody,
  "POST /service-accounts": serviceBody,
  "POST /service-accounts/:account/rotate": rotateBody,
  "POST /rooms/:id/wait": z.looseObject({
    condition: z.string().optional(),
    timeout: z.number().optional(),
  }),
};

const WAIT_PARAMETERS = ["condition", "timeout", ...CONTEXT_PARAMETERS];
const QUERIES: Readonly<Record<string, readonly string[]>> = {
  "GET /rooms": ["limit", "cursor"],
  "GET /rooms/:id/context": CONTEXT_PARAMETERS,
  "GET /rooms/:id/wait": WAIT_PARAMETERS,
  "GET /rooms/:id/poll": CONTEXT_PARAMETERS,
  "GET /rooms/:id/salience": ["limit", "agent"],
  "GET /rooms/:id/log": [
    "after",
    "limit",
    "kind",
    "agent",
    "actor",
    "action",
    "scope",
    "key",
    "proof",
    "format",
  ],
  "GET /rooms/:id/replay/:seq": CONTEXT_PARAMETERS,
  "GET /rooms/:id/diff": ["from", "to", "scope", "limit", "after", "agent"],
  "GET /rooms/:id/samples/:view": ["limit"],
  "POST /rooms/import": ["id"],
  "GET /rooms/:id/history/:scope": ["prefix", "after", "before", "limit"],
  "GET /rooms/:id/history/:scope/:key": ["after", "before", "limit"],
};

/** The document for a service at `origin`. */
export function openApi(origin: string): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const door of [...ROUTES.map(doorOf), ...DOORS]) {
    const [method, path] = door.name.split(" ") as [string, string];
    (paths[path.replace(/:([a-z]+)/g, "{$1}")] ??= {})[method.toLowerCase()] = operation(door);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "sync",
      version: "9.0.0",
      description: "Coordination for groups of agents: read context, invoke actions, wait.",
    },
    servers: [{ url: origin }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: cookieName(origin) },
      },
      schemas: { Error: ERROR_SCHEMA },
    },
  };
}

const ERROR_SCHEMA: JsonObject = {
  type: "object",
  required: ["error", "message"],
  properties: {
    error: { type: "string", enum: Object.keys(ERROR_STATUS) },
    message: { type: "string" },
    hint: { type: "string" },
    help: { type: "string" },
  },
  additionalProperties: true,
};

/** A route of the table, as the other doors are listed. */
function doorOf(route: Route): Door & { readonly verb: string } {
  const name = `${route.method} ${route.path}`;
  const body = BODIES[name];
  return {
    name,
    key: route.verb === "open" ? "open" : "token",
    summary: route.summary,
    verb: route.verb,
    query: QUERIES[name] ?? [],
    ...(body ? { body } : {}),
  };
}

const SECURITY: Readonly<Record<Key, Json[]>> = {
  open: [],
  token: [{ bearer: [] }],
  session: [{ session: [] }],
  either: [{ bearer: [] }, { session: [] }],
};

function operation(door: Door & { readonly verb?: string }): JsonObject {
  const { name, key, summary, verb, answers = "application/json" } = door;
  const parameters: Json[] = [...name.matchAll(/:([a-z]+)/g)].map((match): Json => ({
    name: match[1]!,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  for (const query of door.query ?? []) {
    parameters.push({ name: query, in: "query", required: false, schema: { type: "string" } });
  }
  const json = (schema: JsonObject): JsonObject => ({ "application/json": { schema } });
  const content = contentOf(door);
  const schema: JsonObject = { type: answers === "application/json" ? "object" : "string" };
  return {
    summary,
    operationId: name.toLowerCase().replace(/[^a-z]+/g, "_").replace(/_$/, ""),
    ...(verb === undefined ? {} : { "x-verb": verb }),
    parameters,
    ...(key === "open" ? {} : { security: SECURITY[key] }),
    ...(content ? { requestBody: { required: false, content } } : {}),
    responses: {
      "200": { description: "Done.", content: { [answers]: { schema } } },
      "201": { description: "Made.", content: json({ type: "object" }) },
      default: { description: "A refusal.", content: json({ $ref: "#/components/schemas/Error" }) },
    },
  };
}

function contentOf({ body, form }: Door): JsonObject | undefined {
  if (body) return { "application/json": { schema: jsonSchema(body) } };
  if (!form) return undefined;
  const properties = Object.fromEntries(form.map((field) => [field, { type: "string" }]));
  return { "application/x-www-form-urlencoded": { schema: { type: "object", properties } } };
}

function jsonSchema(schema: z.ZodType): JsonObject {
  const made = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonObject;
  delete made["$schema"];
  return made;
}
