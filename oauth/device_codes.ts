/** The two codes of the device flow, and what a poll is answered. Pure but for the drawing. */
import { randomInt } from "node:crypto";
import type { DeviceRow } from "../store/oauth.ts";
import { hashSecret } from "../tokens.ts";
import type { Millis } from "../types.ts";

/** Consonants only, as RFC 8628 advises: no words, no look-alikes. */
const ALPHABET = "BCDFGHJKLMNPQRSTVWXZ";

/** A fresh user code, `XXXX-XXXX`: 34 bits, guarded by the guess limit and a short life. */
export function newUserCode(): string {
  const letters = Array.from({ length: 8 }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
  return shownUserCode(letters);
}

/** A typed code as it is shown: case, spaces and dashes do not count. */
export function shownUserCode(typed: string): string {
  const letters = typed.toUpperCase().replace(/[^A-Z0-9]/g, "").slice(0, 16);
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

/** How a user code is stored and looked up. */
export function hashUserCode(typed: string): string {
  return hashSecret(`device:${shownUserCode(typed)}`);
}

/** What a poll is told. */
export type PollAnswer =
  | "authorization_pending"
  | "slow_down"
  | "expired_token"
  | "access_denied"
  | "used"
  | "grant";

/** Judges a poll at `now`. */
export function judgePoll(row: DeviceRow, now: Millis): PollAnswer {
  if (row.status === "used") return "used";
  if (row.expiresAt <= now) return "expired_token";
  if (row.status === "denied") return "access_denied";
  if (row.status === "approved") return "grant";
  if (row.polledAt !== null && now - row.polledAt < row.intervalMs) return "slow_down";
  return "authorization_pending";
}
