/**
 * OAuth clients: who asks. A Client ID Metadata Document first, dynamic registration (RFC 7591)
 * as the fallback; and how a client proves itself at the token endpoint.
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import type { Context } from "hono";
import { z } from "zod";
import { parseJson } from "../canonical.ts";
import { type ClientRow, findClient, insertClient } from "../store/oauth.ts";
import { hashSecret } from "../tokens.ts";
import type { IdentityDeps } from "./deps.ts";
import { documentFault, fetchDocument } from "./documents.ts";
import type { Doors } from "./doors.ts";
import { readJson } from "./input.ts";
import { redirectFault, redirectHost } from "./redirects.ts";
import { badClient, OAuthError } from "./refusals.ts";
import { isSame } from "./signed.ts";

/** Redirect URIs of one client. */
export const REDIRECT_URIS_MAX = 10;

const AuthMethod = z.enum(["none", "client_secret_post", "client_secret_basic"]);
const METADATA = {
  redirect_uris: z.array(z.string().max(2_000)).min(1).max(REDIRECT_URIS_MAX),
  client_name: z.string().max(200).optional(),
  grant_types: z.array(z.string().max(100)).max(10).optional(),
  response_types: z.array(z.string().max(100)).max(10).optional(),
  application_type: z.enum(["web", "native"]).optional(),
};
/** What a client says of itself. */
export const Registration = z.object({
  ...METADATA,
  token_endpoint_auth_method: AuthMethod.optional(),
});

/** `POST /oauth/register`: a client of its own; public clients get no secret. */
export async function register(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  const body = await readJson(c.req.raw, z.record(z.string(), z.unknown()));
  const given = parseMetadata(Registration, body);
  mustBeUsable(given);
  const method = given.token_endpoint_auth_method ?? "client_secret_basic";
  const secret = method === "none" ? undefined : `sec_${randomBytes(32).toString("base64url")}`;
  const client: ClientRow = {
    id: `client_${randomBytes(16).toString("hex")}`,
    name: cleanName(given.client_name) || redirectHost(given.redirect_uris[0]!),
    redirectUris: given.redirect_uris,
    authMethod: method,
    secretHash: secret === undefined ? null : hashSecret(secret),
    createdAt: deps.now(),
  };
  await insertClient(deps.store, client);
  c.header("Cache-Control", "no-store");
  return c.json({
    client_id: client.id,
    client_id_issued_at: Math.floor(client.createdAt / 1000),
    ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }),
    client_name: client.name,
    redirect_uris: client.redirectUris,
    token_endpoint_auth_method: method,
    grant_types: given.grant_types ?? ["authorization_code", "refresh_token"],
    response_types: given.response_types ?? ["code"],
    ...(given.application_type === undefined ? {} : { application_type: given.application_type }),
  }, 201);
}

function parseMetadata<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const field = String(issue.path[0] ?? "body");
  const code = field === "redirect_uris" ? "invalid_redirect_uri" : "invalid_client_metadata";
  const example = { redirect_uris: ["http://127.0.0.1/callback"] };
  throw new OAuthError(code, `${field}: ${issue.message}`, 400, {}, { field, example });
}

function mustBeUsable(given: z.infer<typeof Registration>): void {
  const isNative = given.application_type !== "web";
  for (const uri of given.redirect_uris) {
    const fault = redirectFault(uri, isNative);
    if (fault) throw new OAuthError("invalid_redirect_uri", `redirect_uris: ${fault}.`);
  }
  if (given.response_types && !given.response_types.includes("code")) {
    throw new OAuthError("invalid_client_metadata", "response_types: only code is supported.");
  }
}

/** A name for people, without what could pretend to be something else. */
function cleanName(name: string | undefined): string {
  return (name ?? "").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ").trim().slice(0, 100);
}

/** A client as the flows use it. `host` is set when its id is a URL that vouches for it. */
export interface Client {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly authMethod: ClientRow["authMethod"];
  readonly secretHash: string | null;
  readonly host?: string;
}

/** A client by its id; a URL is fetched. Throws `invalid_client`. */
export async function mustFindClient(deps: IdentityDeps, id: string): Promise<Client> {
  if (id.startsWith("https:") || id.startsWith("http:")) return await clientFromDocument(deps, id);
  const client = await findClient(deps.store, id);
  if (!client) throw badClient("The client is not known here; register it at /oauth/register.");
  return client;
}

const Document = z.object({
  ...METADATA,
  client_id: z.string(),
  token_endpoint_auth_method: z.literal("none").optional(),
});

async function clientFromDocument(deps: IdentityDeps, id: string): Promise<Client> {
  const fault = documentFault(id);
  if (fault) throw badClient(`The client_id is no usable metadata URL: ${fault}.`);
  const url = new URL(id);
  const text = await (deps.fetchDocument ?? fetchDocument)(url).catch((cause: unknown) => {
    throw Object.assign(badClient("The client's metadata document could not be fetched."), {
      cause,
    });
  });
  let body: unknown;
  try {
    body = parseJson(text);
  } catch (cause) {
    throw Object.assign(badClient("The client's metadata document is not JSON."), { cause });
  }
  const result = Document.safeParse(body);
  if (!result.success) {
    throw badClient("The client's metadata document lacks what is wanted of a public client.");
  }
  if (result.data.client_id !== id) {
    throw badClient("The client's metadata document names another client_id.");
  }
  mustBeUsable(result.data);
  return {
    id,
    name: cleanName(result.data.client_name) || url.host,
    redirectUris: result.data.redirect_uris,
    authMethod: "none",
    secretHash: null,
    host: url.host,
  };
}

/** How a request to the token endpoint names and proves its client. */
export interface ClientProof {
  readonly id: string;
  readonly secret?: string;
}

/** The client a request names, by Basic authentication or in its form. Throws `invalid_client`, `invalid_request`. */
export function clientProof(
  request: Request,
  form: ReadonlyMap<string, string>,
): ClientProof | undefined {
  const header = request.headers.get("Authorization");
  const id = form.get("client_id"), secret = form.get("client_secret");
  if (header === null || !/^basic /i.test(header)) {
    return id === undefined ? undefined : { id, ...(secret === undefined ? {} : { secret }) };
  }
  const [user = "", ...rest] = Buffer.from(header.slice(6), "base64").toString().split(":");
  const proof = { id: formDecoded(user), secret: formDecoded(rest.join(":")) };
  if (secret !== undefined) {
    throw new OAuthError("invalid_request", "One way of client authentication is wanted.");
  }
  if (id !== undefined && id !== proof.id) {
    throw badClient("The client_id and the Authorization header differ.");
  }
  return proof;
}

function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw Object.assign(badClient("The Authorization header is malformed."), { cause });
  }
}

/** Refuses a proof that is not this registered client's. Public clients prove nothing. Throws `invalid_client`. */
export function mustProve(
  client: Pick<Client, "authMethod" | "secretHash">,
  proof: ClientProof,
): void {
  if (client.authMethod === "none") {
    if (proof.secret === undefined || proof.secret === "") return;
    throw badClient("The client is a public one and has no secret.");
  }
  const given = proof.secret === undefined ? "" : hashSecret(proof.secret);
  if (!client.secretHash || !isSame(given, client.secretHash)) {
    throw badClient("The client's secret is wrong.");
  }
}

/** Refuses a client that is not known here, and a proof that fails for the one it names. Throws `invalid_client`. */
export async function mustBeKnown(
  deps: Pick<IdentityDeps, "store">,
  proof: ClientProof,
): Promise<void> {
  if (proof.id.startsWith("https:")) {
    return mustProve({ authMethod: "none", secretHash: null }, proof);
  }
  const client = await findClient(deps.store, proof.id);
  if (!client) throw badClient("The client is not known here.");
  mustProve(client, proof);
}

/** Is this the id of a client, or a name that a device gives itself? */
export function isClientId(id: string): boolean {
  return id.startsWith("client_") || id.startsWith("https:");
}

/** Does a client prove itself by nothing but its name? */
export async function isPublicClient(
  deps: Pick<IdentityDeps, "store">,
  id: string,
): Promise<boolean> {
  return id.startsWith("https:") || (await findClient(deps.store, id))?.authMethod === "none";
}

/**
 * Checks the client of a token request against whom the code or grant belongs to. A client named
 * by URL is a public one: its document is not fetched again. Throws `invalid_client`.
 */
export async function mustBeClient(
  deps: IdentityDeps,
  owner: string,
  proof: ClientProof | undefined,
): Promise<void> {
  if (!proof) throw badClient("The client_id is missing.");
  if (proof.id !== owner) {
    await mustBeKnown(deps, proof);
    throw new OAuthError("invalid_grant", "It was given to another client.");
  }
  if (owner.startsWith("https:")) {
    mustProve({ authMethod: "none", secretHash: null }, proof);
    return;
  }
  const client = await findClient(deps.store, owner);
  if (!client) throw badClient("The client is not known here.");
  mustProve(client, proof);
}
