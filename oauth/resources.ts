/** Resource indicators (RFC 8707): what a token can be asked for. Pure; `tokens.ts` judges their use. */
import type { Config } from "../config.ts";
import { OAuthError } from "./refusals.ts";

/** Paths of the protected resources of this service, beside the origin itself. */
export const RESOURCE_PATHS = ["/mcp"] as const;

/** The resource a request names, in one spelling; null when it names none. Throws `invalid_target`. */
export function parseResource(
  config: Pick<Config, "origin">,
  given: string | undefined,
): string | null {
  if (given === undefined || given === "") return null;
  const text = given.replace(/\/$/, "");
  const known = [config.origin, ...RESOURCE_PATHS.map((path) => config.origin + path)];
  if (known.includes(text)) return text;
  throw new OAuthError(
    "invalid_target",
    `The resource is not served here; ${known.join(" or ")} is.`,
  );
}
