/**
 * The server's own signature: one Ed25519 key, drawn once and kept in the database. It stands
 * under heads of exported logs and under snapshots that replace the beginning of a log.
 */
import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import type { Store } from "./store.ts";
import { keepSigningKey } from "./store/snapshots.ts";
import type { JsonObject } from "./types.ts";

/** The fixed beginning of an Ed25519 public key in DER. */
const DER_PREFIX = "302a300506032b6570032100";

/** Signs with the server's key. */
export class Signer {
  private constructor(private readonly key: KeyObject, readonly publicKey: string) {}

  /** The server's key: found in the database, or drawn now. */
  static async load(store: Store): Promise<Signer> {
    const { privateKey } = generateKeyPairSync("ed25519");
    const proposal = privateKey.export({ format: "der", type: "pkcs8" }).toString("base64url");
    const der = Buffer.from(await keepSigningKey(store, proposal), "base64url");
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const spki = createPublicKey(key as unknown as Parameters<typeof createPublicKey>[0])
      .export({ format: "der", type: "spki" });
    return new Signer(key, spki.subarray(DER_PREFIX.length / 2).toString("hex"));
  }

  /** The signature of a text as lower-case hex. */
  sign(text: string): string {
    return sign(null, Buffer.from(text), this.key).toString("hex");
  }
}

/** Does a signature (lower-case hex) of a text come from this public key (lower-case hex)? */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  if (!/^[0-9a-f]{64}$/.test(publicKey) || !/^[0-9a-f]{128}$/.test(signature)) return false;
  const key = keyFrom(publicKey);
  return key !== undefined && verify(null, Buffer.from(text), key, Buffer.from(signature, "hex"));
}

function keyFrom(publicKey: string): KeyObject | undefined {
  try {
    const der = Buffer.from(DER_PREFIX + publicKey, "hex");
    return createPublicKey({ key: der, format: "der", type: "spki" });
  } catch (error) {
    // Not every 32 bytes are a point of the curve.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** A public key as `did:key` writes it: multicodec Ed25519, base58btc. */
export function multibaseOf(publicKey: string): string {
  let number = BigInt(`0xed01${publicKey}`);
  let text = "";
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text;
  return `z${text}`;
}

/** The server's DID document: the key that its signatures are checked with. */
export function didDocument(origin: string, publicKey: string): JsonObject {
  const { host } = new URL(origin);
  const id = `did:web:${host.replace(":", "%3A")}`;
  const key = `${id}#key-1`;
  return {
    "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
    id,
    verificationMethod: [{
      id: key,
      type: "Multikey",
      controller: id,
      publicKeyMultibase: multibaseOf(publicKey),
    }],
    assertionMethod: [key],
  };
}
