/**
 * Showing that one holds an actor's key: a challenge, signed with Ed25519, and where the public
 * key of a DID comes from.
 */
import { Buffer } from "node:buffer";
import { z } from "zod";
import { parseDid } from "../actors.ts";
import { parseJson, sha256 } from "../canonical.ts";
import type { Clock } from "../engine/types.ts";
import { invalid, SyncError } from "../errors.ts";
import { parseBody } from "../input.ts";
import { CHALLENGE_MS, DID_DOCUMENT_MS, STANDING_RECORDS_MAX } from "../limits.ts";
import {
  badSignature,
  keyFromMultibase,
  keyOfDid,
  type Keys,
  keysOfDocument,
  urlOfDidWeb,
} from "../signatures.ts";
import { isSignedBy } from "../signing.ts";
import type { Store } from "../store.ts";
import { findActor, insertChallenge, takeChallenge } from "../store/actors.ts";
import { iso } from "../timers.ts";
import type { Json, JsonObject, Millis } from "../types.ts";

/** How a caller shows that it holds an actor's key. */
export const actorProof = z.strictObject({
  challenge: z.string().max(2_000),
  signature: z.string().max(512),
});
/** A challenge and its signature, base64 or base64url. */
export type ActorProof = z.output<typeof actorProof>;

/** Checks a proof for a DID and uses it up. Throws `bad_signature`. */
export type Prove = (did: string, proof: ActorProof) => Promise<void>;

const challengeBody = z.strictObject({ did: z.string({ error: "a DID is wanted" }).max(512) });

/** What finding keys takes. */
export interface KeyDeps {
  readonly store: Store;
  readonly clock: Pick<Clock, "now" | "nonce">;
  readonly origin: string;
  /** Fetches a DID document: https, public addresses, no redirects, small, soon. */
  readonly fetchDocument: (url: URL) => Promise<string>;
}

/** Finds the keys of DIDs, and checks what is signed with them. */
export class KeyRing {
  readonly #documents = new Map<string, { keys: Keys; until: Millis }>();

  constructor(private readonly deps: KeyDeps) {}

  /** A challenge that the holder of an actor's key signs to speak as the actor. */
  async challenge(raw: Json): Promise<JsonObject> {
    const body = parseBody(challengeBody, raw, { example: { did: "did:key:z6Mk…" } });
    const did = parseDid(body.did)?.did;
    if (did === undefined) throw invalid("did", "a DID is wanted", "did:key:z6Mk…");
    const { store, clock, origin } = this.deps;
    const now = clock.now();
    const challenge = `sync-actor ${origin} ${did} ${clock.nonce()}${clock.nonce()}`;
    const expiresAt = now + CHALLENGE_MS;
    await insertChallenge(store, sha256(challenge), did, expiresAt, now);
    return { challenge, did, expires_at: iso(expiresAt) };
  }

  /** Uses a challenge up, if one of the DID's keys has signed it. Throws `bad_signature`. */
  readonly prove: Prove = async (did, { challenge, signature }) => {
    const { store, clock } = this.deps;
    // First, so that nothing is fetched for those who ask twice.
    if (!await takeChallenge(store, sha256(challenge), did, clock.now())) {
      throw badSignature("the challenge is unknown, used or expired", { actor: did });
    }
    const hex = Buffer.from(signature, "base64").toString("hex");
    const keys = await this.keysOf(did);
    if ([...keys.values()].some((key) => isSignedBy(key, challenge, hex))) return;
    throw badSignature("it is not one of this actor's keys over the challenge", { actor: did });
  };

  /** The keys of a DID by the ids of their verification methods; none when it has none. */
  async keysOf(did: string): Promise<Keys> {
    const own = keyOfDid(did);
    if (own !== undefined) return new Map([[`${did}#${did.slice("did:key:".length)}`, own]]);
    const url = urlOfDidWeb(did);
    if (url) return await this.keysAt(url, did);
    const row = await findActor(this.deps.store, did);
    const key = row?.publicKey == null || row.endedAt !== null
      ? undefined
      : keyFromMultibase(row.publicKey);
    return new Map(key === undefined ? [] : [[`${did}#key-1`, key]]);
  }

  private async keysAt(url: URL, did: string): Promise<Keys> {
    const now = this.deps.clock.now();
    const known = this.#documents.get(did);
    if (known && known.until > now) return known.keys;
    const keys = keysOfDocument(await this.fetch(url), did);
    if (this.#documents.size >= STANDING_RECORDS_MAX) this.#documents.clear();
    this.#documents.set(did, { keys, until: now + DID_DOCUMENT_MS });
    return keys;
  }

  private async fetch(url: URL): Promise<Json> {
    try {
      return parseJson(await this.deps.fetchDocument(url));
    } catch (cause) {
      const failure = cause instanceof SyncError
        ? badSignature("the DID's document is no JSON")
        : badSignature("the DID's document could not be fetched");
      throw Object.assign(failure, { cause });
    }
  }
}
