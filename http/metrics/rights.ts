/** Who may read the metrics: the machine itself, and whoever has the token. */
import { isForwarded } from "../../auth/origins.ts";
import { sha256 } from "../../canonical.ts";
import { type Config, isLoopbackName } from "../../config.ts";
import { SyncError } from "../../errors.ts";
import { isLoopbackAddress, UNTOLD_ADDRESS } from "../address.ts";

type Settings = Pick<Config, "metricsToken" | "isLoopback" | "isLocalOrigin">;

/** Why a request may not read the metrics: without a token that opens them there are none to see. */
export function refusedMetrics(
  request: Request,
  config: Settings,
  address: string,
): SyncError | "unknown" | undefined {
  const { metricsToken, isLocalOrigin } = config;
  const isLocal = isOfThisMachine(request, config, address);
  if (metricsToken === undefined) return isLocal ? undefined : "unknown";
  // A public service on a loopback address has a proxy beside it, which may say nothing of itself.
  if (isLocal && isLocalOrigin) return undefined;
  // Digests are compared: how long that takes tells nothing of the token.
  const given = request.headers.get("authorization") ?? "";
  if (sha256(given) === sha256(`Bearer ${metricsToken}`)) return undefined;
  const headers = { "WWW-Authenticate": 'Bearer realm="sync metrics"' };
  return given === ""
    ? new SyncError("authentication_required", "The metrics take a token.", {
      hint: "Send Authorization: Bearer <the server's SYNC_METRICS_TOKEN>.",
      example: "Authorization: Bearer …",
    }, headers)
    : new SyncError("invalid_token", "This is not the token of the metrics.", {
      hint: "Send the server's SYNC_METRICS_TOKEN.",
      example: "Authorization: Bearer …",
    }, headers);
}

/** By its peer's address and by the name it asked for, through no proxy that says so. */
function isOfThisMachine(request: Request, { isLoopback }: Settings, address: string): boolean {
  const host = request.headers.get("host") ?? "";
  if (!isLoopbackName(host) || isForwarded(request.headers)) return false;
  return address === UNTOLD_ADDRESS ? isLoopback : isLoopbackAddress(address);
}
