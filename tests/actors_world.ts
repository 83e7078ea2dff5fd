/** A world of actors: users, their tokens, a room, keys, and requests that are signed. */
import { Buffer } from "node:buffer";
import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { multibaseOf } from "../signing.ts";
import {
  makeRoom,
  makeUser,
  ManualClock,
  ORIGIN,
  type StartOptions,
  startService,
  type TestRoom,
  type TestService,
  userToken,
} from "./harness.ts";

/** An Ed25519 key pair and its `did:key`. */
export interface Key {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly multibase: string;
  readonly did: string;
}

/** A new key. */
export function newKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const hex = publicKey.export({ format: "der", type: "spki" }).subarray(12).toString("hex");
  const multibase = multibaseOf(hex);
  return { privateKey, publicKey, multibase, did: `did:key:${multibase}` };
}

/** A proof over a fresh challenge. */
export async function proofOf(on: TestService, did: string, key: Key) {
  const { body } = await on.call("POST", "/actors/challenge", { body: { did } });
  const signature = sign(null, Buffer.from(body.challenge), key.privateKey).toString("base64");
  return { challenge: body.challenge as string, signature };
}

/** What of a signed request is as it should be; a test bends one thing. */
export interface Bent {
  readonly created?: number;
  readonly nonce?: string;
  readonly keyid?: string;
  readonly components?: readonly string[];
  readonly sentBody?: string;
  readonly path?: string;
}

/** Headers of a signed invocation, made by hand from RFC 9421. */
export function signedHeaders(
  key: Key,
  path: string,
  body: string,
  now: number,
  bent: Bent = {},
): Record<string, string> {
  const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  const components = bent.components ?? ["@method", "@path", "content-digest"];
  const list = components.map((name) => `"${name}"`).join(" ");
  const created = bent.created ?? Math.floor(now / 1000);
  const nonce = bent.nonce ?? randomUUID();
  const keyid = bent.keyid ?? key.did;
  const params = `(${list});created=${created};keyid="${keyid}";nonce="${nonce}";alg="ed25519"`;
  const values: Record<string, string> = {
    "@method": "POST",
    "@path": bent.path ?? path,
    "content-digest": digest,
    "@authority": new URL(ORIGIN).host,
  };
  const base = [
    ...components.map((name) => `"${name}": ${values[name]}`),
    `"@signature-params": ${params}`,
  ].join("\n");
  const signature = sign(null, Buffer.from(base), key.privateKey).toString("base64");
  return {
    "Content-Digest": digest,
    "Signature-Input": `sig1=${params}`,
    "Signature": `sig1=:${signature}:`,
  };
}

/** The world. */
export interface World {
  readonly on: TestService;
  readonly clock: ManualClock;
  readonly room: TestRoom;
  /** Users' tokens that reach everything of theirs. */
  readonly uma: string;
  readonly ulf: string;
  join(token: string | undefined, body: Record<string, unknown>): ReturnType<TestService["call"]>;
  as(token: string, method: string, path: string, body?: unknown): ReturnType<TestService["call"]>;
  close(): Promise<void>;
}

/** A room with two users in it, and their tokens. */
export async function makeWorld(options: StartOptions = {}): Promise<World> {
  const clock = new ManualClock();
  const on = await startService({ clock, ...options });
  const room = await makeRoom(on, ["alice", "bob"], { id: "R", join: "open", vocabulary: "open" });
  await makeUser(on, "uma", { R: "collaborator" });
  await makeUser(on, "ulf", { R: "collaborator" });
  const uma = await userToken(on, "uma", "rooms:* create_rooms");
  const ulf = await userToken(on, "ulf", "rooms:* create_rooms");
  return {
    on,
    clock,
    room,
    uma,
    ulf,
    join: (token, body) => on.call("POST", "/rooms/R/agents", { token, body }),
    as: (token, method, path, body) =>
      on.call(method, path, { token, ...(body === undefined ? {} : { body }) }),
    close: () => on.close(),
  };
}

/** A DID in a path. */
export function at(did: string, rest = ""): string {
  return `/actors/${encodeURIComponent(did)}${rest}`;
}
