/** The two well-known documents: the authorization server (RFC 8414) and the resource (RFC 9728). Pure. */
import type { Config } from "../config.ts";
import type { JsonObject } from "../types.ts";

/** Scopes that make sense before any room is known; the grammar has more. */
export const SCOPES_SUPPORTED = ["rooms:*", "rooms:*:read", "rooms:*:write", "create_rooms"];

/** The device grant's name. */
export const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

/** `/.well-known/oauth-authorization-server` */
export function serverMetadata({ origin }: Pick<Config, "origin">): JsonObject {
  const methods = ["none", "client_secret_post", "client_secret_basic"];
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/oauth/authorize`,
    token_endpoint: `${origin}/oauth/token`,
    registration_endpoint: `${origin}/oauth/register`,
    device_authorization_endpoint: `${origin}/auth/device`,
    revocation_endpoint: `${origin}/oauth/revoke`,
    introspection_endpoint: `${origin}/oauth/introspect`,
    scopes_supported: SCOPES_SUPPORTED,
    response_types_supported: ["code"],
    response_modes_supported: ["query"],
    grant_types_supported: ["authorization_code", "refresh_token", DEVICE_GRANT],
    code_challenge_methods_supported: ["S256"],
    token_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_methods_supported: [
      "client_secret_post",
      "client_secret_basic",
      "bearer",
    ],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
    service_documentation: `${origin}/reference/tokens.md`,
  };
}

/** `/.well-known/oauth-protected-resource`, for the origin or for a path under it. */
export function resourceMetadata({ origin }: Pick<Config, "origin">, path: string): JsonObject {
  return {
    resource: origin + path,
    authorization_servers: [origin],
    scopes_supported: SCOPES_SUPPORTED,
    bearer_methods_supported: ["header"],
    resource_name: "sync",
    resource_documentation: `${origin}/SKILL.md`,
  };
}
