/**
 * A record's hash and what a reader sees of it. Each part stands in the hash as
 * `h = SHA-256(salt ‖ canonical JSON)` with `salt = SHA-256(nonce ‖ index)`, so that a log with
 * parts left out still verifies and nothing can be guessed from it. Pure.
 */
import { canonical, sha256 } from "./canonical.ts";
import type { Json, JsonObject, LogRecord } from "./types.ts";

/** The parts beside the writes, in the order of their index. */
export const PARTS = ["params", "result", "seen", "signed"] as const;
type PartName = typeof PARTS[number];

/** A record before it has its hash. */
export type Unsealed = Omit<LogRecord, "hash">;

/** The salt of part `index`; writes count on from the four named parts. */
export function saltOf(nonce: string, index: number): string {
  return sha256(`${nonce}${index}`);
}

/** The digest that stands for a part in the record's hash. */
export function partDigest(salt: string, part: unknown): string {
  return sha256(salt + canonical(part));
}

/** The record's own members that every reader of the room sees. */
function openMembers(record: Unsealed): JsonObject {
  const { seq, ts, kind, agent, actor, prev } = record;
  const open: JsonObject = { seq, ts, kind, agent, actor, prev };
  if (record.on_behalf !== undefined) open["on_behalf"] = record.on_behalf;
  if (record.session !== undefined) open["session"] = record.session;
  if (record.action !== undefined) open["action"] = record.action;
  return open;
}

/** A member with its comma, or nothing for one that the record does not have. */
function member(name: string, text: string | undefined): string {
  return text === undefined ? "" : `"${name}":${JSON.stringify(text)},`;
}

/** The digest of a named part as a member. */
function partMember(record: Unsealed, name: PartName): string {
  const part = record[name];
  if (part === undefined) return "";
  return `"${name}":"${partDigest(saltOf(record.nonce, PARTS.indexOf(name)), part)}",`;
}

/** SHA-256 over the canonical record with each part as its digest, and `prev`. */
export function hashOf(record: Unsealed): string {
  const { action, actor, agent, kind, on_behalf, prev, seq, session, ts, writes, nonce } = record;
  const digests = writes?.map((write, i) => partDigest(saltOf(nonce, PARTS.length + i), write));
  // Members in the order of RFC 8785, so that the text is canonical as it stands.
  return sha256(
    `{${member("action", action)}${member("actor", actor)}${member("agent", agent)}${
      member("kind", kind)
    }${member("on_behalf", on_behalf)}${partMember(record, "params")}${member("prev", prev)}${
      partMember(record, "result")
    }${partMember(record, "seen")}"seq":${seq},${member("session", session)}${
      partMember(record, "signed")
    }"ts":${JSON.stringify(ts)}${
      digests ? `,"writes":[${digests.map((digest) => `"${digest}"`).join(",")}]` : ""
    }}`,
  );
}

/** What a reader may see of a record's parts. */
export interface PartRights {
  /** The invoker and admins: every part that is not a write. */
  readonly own: boolean;
  /** May this scope be read? */
  canRead(scope: string): boolean;
}

/** The scopes that passing inputs are about: their names carry them as `state.<scope>`. */
function scopesOf(seen: Json, agent: string): string[] {
  const names = Object.keys(seen as JsonObject).join(" ");
  return [...names.matchAll(/\bstate\.([^.,()[\]\s]+)/g)].map(([, scope]) =>
    scope === "self" ? agent : scope!
  );
}

/**
 * The record as a reader sees it: parts it may not read are `{"hidden": h}`; with `proof` the
 * salts of the readable ones stand beside, so that anyone can recompute the hash. That a record is
 * signed is for everybody to see.
 */
export function shownTo(record: LogRecord, rights: PartRights, proof = false): JsonObject {
  const shown = openMembers(record);
  const salts: JsonObject = {};
  const writes = record.writes ?? [];
  const readable = writes.map((write) => rights.canRead(write.scope));
  const partsOpen = rights.own || (writes.length > 0 && readable.every(Boolean));
  PARTS.forEach((name: PartName, index) => {
    const part = record[name];
    if (part === undefined) return;
    if (name === "signed" && !proof) {
      shown[name] = true;
      return;
    }
    const salt = saltOf(record.nonce, index);
    const isOpen = partsOpen &&
      (name !== "seen" ||
        scopesOf(part as Json, record.agent).every((scope) => rights.canRead(scope)));
    shown[name] = isOpen ? part : { hidden: partDigest(salt, part) };
    if (proof && isOpen) salts[name] = salt;
  });
  if (record.writes) {
    shown["writes"] = writes.map((write, i): Json => {
      const salt = saltOf(record.nonce, PARTS.length + i);
      if (!readable[i]) return { hidden: partDigest(salt, write) };
      if (proof) salts[`writes.${i}`] = salt;
      return write as unknown as JsonObject;
    });
  }
  shown["hash"] = record.hash;
  if (proof) shown["salts"] = salts;
  return shown;
}

/**
 * The hash of a record as shown with its salts (`proof`), for readers who check a log offline.
 * Returns undefined when a readable part lacks its salt.
 */
export function hashOfShown(shown: JsonObject): string | undefined {
  const form: JsonObject = {};
  const salts = (shown["salts"] ?? {}) as JsonObject;
  for (
    const name of ["seq", "ts", "kind", "agent", "actor", "prev", "on_behalf", "session", "action"]
  ) {
    if (shown[name] !== undefined) form[name] = shown[name]!;
  }
  for (const name of PARTS) {
    if (shown[name] === undefined) continue;
    const digest = shownDigest(shown[name]!, salts[name]);
    if (digest === undefined) return undefined;
    form[name] = digest;
  }
  if (Array.isArray(shown["writes"])) {
    const digests: string[] = [];
    for (const [i, write] of shown["writes"].entries()) {
      const digest = shownDigest(write, salts[`writes.${i}`]);
      if (digest === undefined) return undefined;
      digests.push(digest);
    }
    form["writes"] = digests;
  }
  return sha256(canonical(form));
}

function shownDigest(part: Json, salt: Json | undefined): string | undefined {
  if (typeof salt === "string") return partDigest(salt, part);
  const hidden = part !== null && typeof part === "object" && !Array.isArray(part)
    ? part["hidden"]
    : undefined;
  return typeof hidden === "string" ? hidden : undefined;
}
