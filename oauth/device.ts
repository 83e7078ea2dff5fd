/**
 * The device flow (RFC 8628): a program without a browser asks, a person approves elsewhere,
 * the program polls until it has its token.
 */
import type { Context } from "hono";
import { html as markup } from "hono/html";
import { z } from "zod";
import { type DeviceRow, findDevice, insertDevice, notePoll, useDevice } from "../store/oauth.ts";
import { ACCESS_MS, hashSecret, mint, newSecret, type Refreshed } from "../tokens.ts";
import { mustBeScope } from "./authorize.ts";
import {
  clientProof,
  isClientId,
  isPublicClient,
  mustBeClient,
  mustFindClient,
  mustProve,
} from "./clients.ts";
import { consentPage, toSignIn } from "./consent.ts";
import { hashUserCode, judgePoll, newUserCode } from "./device_codes.ts";
import type { Doors } from "./doors.ts";
import { readEither } from "./input.ts";
import { DEVICE_GRANT } from "./metadata.ts";
import { show } from "./pages.ts";
import { OAuthError } from "./refusals.ts";
import { parseResource } from "./resources.ts";
import { sessionOf } from "./session.ts";

/** A device code is good for this long. */
export const DEVICE_MS = 900_000;
/** How often a device may ask, and by how much each hasty poll slows it down. */
export const POLL_MS = 5_000;
/** What a device asks for that names nothing; consent decides. */
export const DEFAULT_DEVICE_SCOPE = "rooms:* create_rooms";

const text = (max: number) => z.string("text is wanted").max(max);
/** What a device asks for. */
export const DeviceBody = z.object({
  scope: text(2_000).nullish(),
  client_id: text(2_000).nullish(),
  client_secret: text(200).nullish(),
  resource: text(2_000).nullish(),
}).meta({ examples: [{ scope: "rooms:*:write create_rooms" }] });

/** `POST /auth/device`: the codes, and where the person goes. */
export async function postDevice(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  const body = await readEither(c.req.raw, DeviceBody);
  const scope = body.scope ?? "";
  mustBeScope(scope);
  const client = await clientOf(c, deps, body);
  const deviceCode = newSecret("dev_");
  const now = deps.now();
  const row: Omit<DeviceRow, "userHash"> = {
    hash: hashSecret(deviceCode),
    client: client.id,
    clientName: client.name,
    asked: scope.trim() === "" ? DEFAULT_DEVICE_SCOPE : scope,
    explicit: scope.trim() !== "",
    resource: parseResource(deps.config, body.resource ?? undefined),
    status: "pending",
    user: null,
    granted: null,
    intervalMs: POLL_MS,
    polledAt: null,
    createdAt: now,
    expiresAt: now + DEVICE_MS,
  };
  const userCode = await storeWithCode(deps, row);
  const page = `${deps.config.origin}/auth/device`;
  c.header("Cache-Control", "no-store");
  return c.json({
    device_code: deviceCode,
    user_code: userCode,
    verification_uri: page,
    verification_uri_complete: `${page}?${new URLSearchParams({ user_code: userCode })}`,
    expires_in: DEVICE_MS / 1000,
    interval: POLL_MS / 1000,
  });
}

async function storeWithCode(deps: Doors, row: Omit<DeviceRow, "userHash">): Promise<string> {
  for (let attempt = 0; attempt < 8; attempt++) {
    const userCode = newUserCode();
    if (await insertDevice(deps.store, { ...row, userHash: hashUserCode(userCode) })) {
      return userCode;
    }
  }
  throw new OAuthError("temporarily_unavailable", "No free code was found.", 503, {
    "Retry-After": "5",
  });
}

/** A registered client by its id, or a name that the device gives itself. */
async function clientOf(
  c: Context,
  deps: Doors,
  body: z.infer<typeof DeviceBody>,
): Promise<{ id: string | null; name: string }> {
  const proof = clientProof(c.req.raw, formOf(body));
  if (!proof) return { id: null, name: "A command line or script" };
  if (!isClientId(proof.id)) {
    return {
      id: null,
      name: proof.id.replace(/[\p{C}]/gu, " ").trim().slice(0, 100) || "A device",
    };
  }
  const client = await mustFindClient(deps, proof.id);
  mustProve(client, proof);
  return { id: client.id, name: client.name };
}

function formOf(body: Readonly<Record<string, string | null | undefined>>): Map<string, string> {
  return new Map(
    Object.entries(body).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

/** A poll. */
export const PollBody = z.object({
  device_code: text(200).min(1, "the device_code is wanted"),
  grant_type: text(200).nullish(),
  client_id: text(2_000).nullish(),
  client_secret: text(200).nullish(),
}).meta({ examples: [{ device_code: "dev_…" }] });

/** `POST /auth/device/token`: a poll. */
export async function postDeviceToken(c: Context, deps: Doors): Promise<Response> {
  deps.limits.address(deps, c);
  const body = await readEither(c.req.raw, PollBody);
  if (body.grant_type && body.grant_type !== DEVICE_GRANT) {
    throw new OAuthError(
      "unsupported_grant_type",
      `grant_type is ${DEVICE_GRANT} here, or left out.`,
    );
  }
  const reply = await poll(c, deps, formOf(body));
  c.header("Cache-Control", "no-store");
  return c.json(reply);
}

/** One poll, here or at `/oauth/token`. Throws the words of RFC 8628. */
export async function poll(
  c: Context,
  deps: Doors,
  form: ReadonlyMap<string, string>,
): Promise<Refreshed> {
  const hash = hashSecret(form.get("device_code") ?? "");
  const row = await findDevice(deps.store, hash);
  if (!row) throw new OAuthError("invalid_grant", "The device_code is unknown.");
  await mustBeDevicesClient(c, deps, row, form);
  const now = deps.now();
  const answer = judgePoll(row, now);
  if (answer === "authorization_pending" || answer === "slow_down") {
    const interval = row.intervalMs + (answer === "slow_down" ? POLL_MS : 0);
    await notePoll(deps.store, hash, now, interval);
    throw new OAuthError(answer, `Ask again in ${interval / 1000} s.`);
  }
  if (answer === "expired_token") {
    throw new OAuthError("expired_token", "The device_code has expired: start again.");
  }
  if (answer === "access_denied") throw new OAuthError("access_denied", "The user refused.");
  if (answer === "grant") return await grantDevice(deps, row, now);
  throw new OAuthError("invalid_grant", "The device_code was used.");
}

async function mustBeDevicesClient(
  c: Context,
  deps: Doors,
  row: DeviceRow,
  form: ReadonlyMap<string, string>,
): Promise<void> {
  const proof = clientProof(c.req.raw, form);
  if (row.client === null) return;
  // RFC 8628 wants the client_id; a public client that leaves it out still holds the device code.
  const mayBeUnnamed = !proof && await isPublicClient(deps, row.client);
  if (!mayBeUnnamed) await mustBeClient(deps, row.client, proof);
}

async function grantDevice(deps: Doors, row: DeviceRow, now: number): Promise<Refreshed> {
  const minted = mint({
    kind: "tok",
    scope: row.granted!,
    user: row.user,
    label: row.clientName,
    client: row.client,
    resource: row.resource,
    expiresIn: ACCESS_MS,
    withRefresh: true,
  }, now);
  if (!await useDevice(deps.store, row.hash, minted.statements, now)) {
    throw new OAuthError("invalid_grant", "The device_code was used.");
  }
  return {
    access_token: minted.token,
    refresh_token: minted.refreshToken!,
    token_type: "Bearer",
    expires_in: ACCESS_MS / 1000,
    scope: minted.grant.scope,
  };
}

/** `GET /auth/device`: asks for the code, or shows what it asks for. It never shows a device code. */
export async function devicePage(c: Context, deps: Doors): Promise<Response> {
  const url = new URL(c.req.url);
  if (url.searchParams.has("user_code")) return await consentPage(c, deps);
  const session = await sessionOf(c, deps);
  if (!session) return toSignIn(c, url);
  if (session.kind === "recovery") return c.redirect("/recover", 303);
  return await show(c, {
    title: "Connect a device",
    session,
    body: markup`<p>Enter the code that your device or command line shows.</p>
<form method="get" action="/auth/device">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" required maxlength="20" placeholder="XXXX-XXXX"
  autocomplete="one-time-code" autocapitalize="characters" spellcheck="false">
<div><button>Go on</button></div>
</form>`,
  });
}
