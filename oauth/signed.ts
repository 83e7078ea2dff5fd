/**
 * Signed requests: what a link or a form carries through the browser, sealed with the server's
 * key. Pure but for the nonce; whoever answers one must also mark its id as used.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import type { Store } from "../store.ts";
import { keepServerKey } from "../store/security.ts";
import type { Json, JsonObject, Millis } from "../types.ts";

/** The key that links are signed with. */
export type ServerKey = string & { readonly serverKey: unique symbol };

/** What a signed request is for; one sealed for one purpose opens for no other. */
export type SealPurpose = "elevate" | "authorize" | "session";

/** Draws the server's key, or finds the one drawn before. */
export async function loadServerKey(store: Store): Promise<ServerKey> {
  return await keepServerKey(store, randomBytes(32).toString("base64url")) as ServerKey;
}

/** An opened request: its body, and the id under which it is used up. */
export interface Opened {
  readonly id: string;
  readonly expiresAt: Millis;
  readonly body: JsonObject;
}

/** Seals a body until it expires. */
export function seal(key: ServerKey, purpose: SealPurpose, body: Json, expiresAt: Millis): string {
  const id = randomBytes(16).toString("base64url");
  const payload = Buffer.from(JSON.stringify([id, expiresAt, body])).toString("base64url");
  return `${payload}.${mac(key, purpose, payload)}`;
}

/** Opens a sealed body; undefined when it was not sealed here, for this purpose, or has expired. */
export function unseal(
  key: ServerKey,
  purpose: SealPurpose,
  text: string,
  now: Millis,
): Opened | undefined {
  const [payload = "", given = "", ...rest] = text.split(".");
  if (rest.length > 0 || !isSame(given, mac(key, purpose, payload))) return undefined;
  const [id, expiresAt, body] = JSON.parse(Buffer.from(payload, "base64url").toString()) as [
    string,
    Millis,
    JsonObject,
  ];
  return expiresAt > now ? { id, expiresAt, body } : undefined;
}

/** The authentication code of a text for one purpose. */
export function mac(key: ServerKey, purpose: SealPurpose, text: string): string {
  return createHmac("sha256", key).update(`${purpose}\0${text}`).digest("base64url");
}

/** Compares two secrets in constant time. */
export function isSame(a: string, b: string): boolean {
  const left = Buffer.from(a), right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
