/**
 * Keys of actors, and what is signed with them. A DID leads to Ed25519 keys: `did:key` holds its
 * own, `did:web` names them in a document, a registered actor in the registry. HTTP Message
 * Signatures (RFC 9421) are read, checked and kept so that anybody can check them again.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import { parseDid } from "./actors.ts";
import { canonical } from "./canonical.ts";
import { SyncError } from "./errors.ts";
import { SIGNATURE_AGE_MS } from "./limits.ts";
import { isSignedBy } from "./signing.ts";
import type { Json, JsonObject, LogRecord, Millis } from "./types.ts";

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** Multicodec of an Ed25519 public key. */
const ED25519 = "ed01";

/** The Ed25519 public key of a multibase text as hex; undefined for anything else. */
export function keyFromMultibase(text: string): string | undefined {
  if (!/^z[1-9A-HJ-NP-Za-km-z]{40,60}$/.test(text)) return undefined;
  let number = 0n;
  for (const letter of text.slice(1)) number = number * 58n + BigInt(BASE58.indexOf(letter));
  const hex = number.toString(16);
  const padded = hex.length % 2 === 0 ? hex : `0${hex}`;
  return padded.startsWith(ED25519) && padded.length === 68 ? padded.slice(4) : undefined;
}

/** The key that a `did:key` is. */
export function keyOfDid(did: string): string | undefined {
  return did.startsWith("did:key:") ? keyFromMultibase(did.slice("did:key:".length)) : undefined;
}

/** Where the document of a `did:web` lies. */
export function urlOfDidWeb(did: string): URL | undefined {
  if (parseDid(did)?.kind !== "web") return undefined;
  const [host, ...path] = did.slice("did:web:".length).split(":");
  const place = path.length === 0 ? "/.well-known" : `/${path.join("/")}`;
  const text = `https://${host!.replace("%3A", ":")}${place}/did.json`;
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** A DID's keys by the ids of their verification methods, as hex. */
export type Keys = ReadonlyMap<string, string>;

/** The Ed25519 keys that a DID document names for this DID; none when it is another's. */
export function keysOfDocument(document: Json, did: string): Keys {
  const keys = new Map<string, string>();
  if (!isObject(document) || document["id"] !== did) return keys;
  const methods = document["verificationMethod"];
  for (const method of Array.isArray(methods) ? methods : []) {
    if (!isObject(method) || typeof method["id"] !== "string") continue;
    if (method["controller"] !== undefined && method["controller"] !== did) continue;
    const key = keyOfMethod(method);
    const id = method["id"].startsWith("#") ? `${did}${method["id"]}` : method["id"];
    if (key !== undefined && id.startsWith(`${did}#`)) keys.set(id, key);
  }
  return keys;
}

function keyOfMethod(method: JsonObject): string | undefined {
  const { publicKeyMultibase, publicKeyJwk } = method;
  if (typeof publicKeyMultibase === "string") return keyFromMultibase(publicKeyMultibase);
  if (!isObject(publicKeyJwk)) return undefined;
  const { kty, crv, x } = publicKeyJwk;
  if (kty !== "OKP" || crv !== "Ed25519" || typeof x !== "string") return undefined;
  const hex = Buffer.from(x, "base64url").toString("hex");
  return hex.length === 64 ? hex : undefined;
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** `401 bad_signature`. */
export function badSignature(why: string, facts: JsonObject = {}): SyncError {
  return new SyncError("bad_signature", `The signature is not good: ${why}.`, {
    ...facts,
    hint: "GET /reference/actors.md shows what is signed, and how.",
  });
}

/** A signature as its headers say it. */
export interface SignatureInput {
  readonly label: string;
  readonly components: readonly string[];
  readonly created: number;
  readonly keyid: string;
  readonly nonce: string;
  /** The parameters in their one form, as the last line of what is signed has them. */
  readonly params: string;
}

const TEXT = `"(?:[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\["\\\\])*"`;
const LIST = new RegExp(
  `^([a-z*][a-z0-9_.*-]*)=\\(\\s*((?:${TEXT}\\s*)*)\\)((?:\\s*;\\s*[a-z*][a-z0-9_.*-]*=(?:${TEXT}|-?\\d{1,15}))*)\\s*$`,
);
const PARAMETER = new RegExp(`;\\s*([a-z*][a-z0-9_.*-]*)=(${TEXT}|-?\\d{1,15})`, "g");

/** Components that a signature must cover. */
export const COVERED = ["@method", "@path", "content-digest"] as const;

/** Reads `Signature-Input`: one signature with the components and parameters that are wanted. */
export function parseSignatureInput(header: string): SignatureInput {
  const match = LIST.exec(header.trim());
  if (!match) throw badSignature('"Signature-Input" holds one signature with plain components');
  const components = [...match[2]!.matchAll(new RegExp(TEXT, "g"))].map(([quoted]) =>
    unquoted(quoted)
  );
  const given = [...match[3]!.matchAll(PARAMETER)].map(([, name, value]) =>
    [name!, value!] as const
  );
  const named = new Map(given);
  const textOf = (name: string): string => {
    const value = named.get(name);
    if (value === undefined || !value.startsWith('"')) {
      throw badSignature(`the parameter "${name}" is missing`, { field: "Signature-Input" });
    }
    return unquoted(value);
  };
  const created = Number(named.get("created"));
  if (!Number.isSafeInteger(created)) throw badSignature('the parameter "created" is missing');
  const algorithm = named.get("alg");
  if (algorithm !== undefined && algorithm !== '"ed25519"') {
    throw badSignature('the algorithm is "ed25519"');
  }
  for (const wanted of COVERED) {
    if (!components.includes(wanted)) throw badSignature(`"${wanted}" is not covered`);
  }
  if (new Set(components).size !== components.length || named.size !== given.length) {
    throw badSignature("a component or parameter stands twice");
  }
  const list = components.map((name) => JSON.stringify(name)).join(" ");
  const params = `(${list})${given.map(([name, value]) => `;${name}=${value}`).join("")}`;
  return {
    label: match[1]!,
    components,
    created,
    keyid: textOf("keyid"),
    nonce: textOf("nonce"),
    params,
  };
}

function unquoted(text: string): string {
  return text.slice(1, -1).replace(/\\(["\\])/g, "$1");
}

/** The text that is signed: each component with its value, then the parameters. */
export function signatureBase(
  input: Pick<SignatureInput, "components" | "params">,
  valueOf: (component: string) => string | undefined,
): string {
  const lines = input.components.map((name) => {
    const value = valueOf(name);
    if (value === undefined) throw badSignature(`"${name}" is not there, or cannot be covered`);
    return `"${name}": ${value}`;
  });
  return [...lines, `"@signature-params": ${input.params}`].join("\n");
}

/** The value of a component of a request. */
export function componentOf(request: Request, name: string): string | undefined {
  const url = new URL(request.url);
  if (name === "@method") return request.method;
  if (name === "@path") return url.pathname;
  if (name === "@query") return url.search === "" ? "?" : url.search;
  if (name === "@authority") return url.host;
  if (name.startsWith("@") || name !== name.toLowerCase()) return undefined;
  return request.headers.get(name)?.trim() ?? undefined;
}

/** The signature of this label from the `Signature` header, as bytes. */
export function signatureOf(header: string, label: string): Buffer {
  for (const member of header.split(",")) {
    const match = /^\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]+={0,2}):\s*$/.exec(member);
    if (match?.[1] === label) return Buffer.from(match[2]!, "base64");
  }
  throw badSignature(`"Signature" holds none of the label "${label}"`);
}

/** Refuses a body that `Content-Digest` does not fit. */
export function mustFitDigest(header: string | null, body: Uint8Array): void {
  for (const member of (header ?? "").split(",")) {
    const match = /^\s*(sha-256|sha-512)=:([A-Za-z0-9+/]+={0,2}):\s*$/.exec(member);
    if (!match) continue;
    const digest = createHash(match[1]!.replace("-", "")).update(body).digest("base64");
    if (digest === match[2]) return;
    throw badSignature('"Content-Digest" does not fit the body');
  }
  throw badSignature('"Content-Digest" with sha-256 or sha-512 is wanted');
}

/** Refuses a signature made too long ago, or not yet. */
export function mustBeRecent(created: number, now: Millis): void {
  if (Math.abs(now - created * 1000) <= SIGNATURE_AGE_MS) return;
  throw badSignature("it was not created within the last five minutes", { created });
}

/** What is kept of a signed request, as one part of its record: enough to check it again. */
export interface Signed {
  readonly keyid: string;
  /** The public key as hex. */
  readonly key: string;
  readonly params: string;
  /** Each covered component and its value. */
  readonly components: readonly (readonly [name: string, value: string])[];
  /** Base64, as is the body. */
  readonly signature: string;
  readonly body: string;
}

const text = z.string().max(8_192);
const signedPart = z.object({
  keyid: text,
  key: text,
  params: text,
  components: z.array(z.tuple([text, text])).max(64),
  signature: text,
  body: z.string(),
});

/** What a record is checked against: its own members, and what its room was ever called. */
type Checked = Pick<LogRecord, "kind" | "signed" | "actor" | "action" | "params" | "writes">;

/**
 * What is wrong with the signature of a record; undefined when it is good, or when there is none.
 * Without `rooms` any room's name will do: a log that came from elsewhere keeps its signatures.
 */
export function signatureFault(
  record: Checked,
  rooms: readonly string[] | undefined,
): string | undefined {
  if (record.signed === undefined) return undefined;
  const read = signedPart.safeParse(record.signed);
  if (!read.success) return "the signature cannot be read";
  try {
    return faultOf(read.data, record, rooms);
  } catch (error) {
    const isUnreadable = error instanceof SyncError || error instanceof SyntaxError ||
      error instanceof URIError;
    if (isUnreadable) return "the signature cannot be read";
    throw error;
  }
}

function faultOf(
  signed: Signed,
  record: Checked,
  rooms: readonly string[] | undefined,
): string | undefined {
  const values = new Map(signed.components);
  const [did] = signed.keyid.split("#");
  if (did !== record.actor) return "the record's actor is not the one that signed";
  const own = keyOfDid(did!);
  if (own !== undefined && own !== signed.key) return "the key is not that of the DID";
  const components = signed.components.map(([name]) => name);
  const base = signatureBase({ components, params: signed.params }, (name) => values.get(name));
  const signature = Buffer.from(signed.signature, "base64").toString("hex");
  if (!isSignedBy(signed.key, base, signature)) return "the signature does not fit";
  if (COVERED.some((name) => !values.has(name))) return "it does not cover what it must";
  const body = Buffer.from(signed.body, "base64");
  mustFitDigest(values.get("content-digest")!, body);
  return requestFault(values.get("@path")!, body.toString(), record, rooms);
}

/** What a signed request asked for has to be what was recorded. */
function requestFault(
  path: string,
  body: string,
  record: Checked,
  rooms: readonly string[] | undefined,
): string | undefined {
  const [, room, action] = /^\/rooms\/([^/]+)\/actions\/([^/]+)\/invoke$/.exec(path) ?? [];
  if (room === undefined || action === undefined) return "it signs no invocation";
  if (rooms && !rooms.includes(decodeURIComponent(room))) return "it signs for another room";
  if (decodeURIComponent(action) !== record.action) return "it signs another action";
  const asked = JSON.parse(body) as Json;
  const given = isObject(asked) && isObject(asked["params"]) ? asked["params"] : {};
  const kept = keptParams(record) ?? given;
  const isKept = Object.entries(given).every(([name, value]) =>
    !Object.hasOwn(kept, name) && record.kind === "message" ||
    canonical(kept[name] ?? null) === canonical(value)
  );
  return isKept ? undefined : "it signs other parameters";
}

/** The parameters as the record has them; a message's are what it says. */
function keptParams(record: Checked): JsonObject | undefined {
  if (isObject(record.params)) return record.params;
  const message = record.kind === "message" ? record.writes?.[0]?.value : undefined;
  if (!isObject(message)) return undefined;
  return { body: message["body"] ?? null, kind: message["kind"] ?? null };
}
