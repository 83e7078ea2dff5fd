/** Checks a signed request, so that its signature can be kept with the record that it makes. */
import { Buffer } from "node:buffer";
import { parseDid } from "../actors.ts";
import { authorship } from "../auth.ts";
import type { Acting } from "../auth.ts";
import type { Clock, Decision } from "../engine/types.ts";
import { SIGNATURE_AGE_MS } from "../limits.ts";
import type { Room } from "../room.ts";
import {
  badSignature,
  componentOf,
  mustBeRecent,
  mustFitDigest,
  parseSignatureInput,
  signatureBase,
  signatureOf,
  type Signed,
} from "../signatures.ts";
import { isSignedBy } from "../signing.ts";
import type { Store } from "../store.ts";
import { takeNonce } from "../store/actors.ts";
import type { Json } from "../types.ts";
import type { KeyRing } from "./proof.ts";

/** Who signed a request, and what of it is kept. */
export interface SignedRequest {
  readonly did: string;
  readonly part: Signed;
}

/** Does a request say that it is signed? */
export function isSigned(request: Request): boolean {
  return request.headers.has("signature") || request.headers.has("signature-input");
}

const NONCE_LENGTH_MAX = 256;

/** The signature of a request, checked against the signer's DID and used up. Throws `bad_signature`. */
export async function checkSigned(
  deps: { readonly store: Store; readonly clock: Pick<Clock, "now">; readonly keys: KeyRing },
  request: Request,
  body: Uint8Array,
): Promise<SignedRequest> {
  const { headers } = request;
  const input = parseSignatureInput(headers.get("signature-input") ?? "");
  const signature = signatureOf(headers.get("signature") ?? "", input.label);
  const now = deps.clock.now();
  mustBeRecent(input.created, now);
  mustFitDigest(headers.get("content-digest"), body);
  if (input.nonce === "" || input.nonce.length > NONCE_LENGTH_MAX) {
    throw badSignature(`a "nonce" of 1-${NONCE_LENGTH_MAX} characters is wanted`);
  }
  const did = parseDid(input.keyid.split("#")[0]!)?.did;
  if (did === undefined) throw badSignature('"keyid" is no DID', { keyid: input.keyid });
  const components = input.components.map((name) => [name, componentOf(request, name)] as const);
  const values = new Map(components);
  const base = signatureBase(input, (name) => values.get(name));
  const keys = await deps.keys.keysOf(did);
  const among = input.keyid.includes("#") ? [keys.get(input.keyid)] : [...keys.values()];
  const hex = signature.toString("hex");
  const key = among.find((one) => one !== undefined && isSignedBy(one, base, hex));
  if (key === undefined) {
    throw badSignature("none of the actor's keys made it over this request", { actor: did });
  }
  const until = input.created * 1000 + 2 * SIGNATURE_AGE_MS;
  if (!await takeNonce(deps.store, key, input.nonce, until, now)) {
    throw badSignature("its nonce was used before", { nonce: input.nonce });
  }
  return {
    did,
    part: {
      keyid: input.keyid,
      key,
      params: input.params,
      components: components.map(([name, value]) => [name, value!] as const),
      signature: signature.toString("base64"),
      body: Buffer.from(body).toString("base64"),
    },
  };
}

/** Puts the signature into the record, if it is that of the actor who acts. Throws `bad_signature`. */
export function withSignature<T>(
  decision: Decision<T>,
  acting: Acting,
  room: Room,
  signed: SignedRequest | undefined,
): Decision<T> {
  if (!signed) return decision;
  const { actor } = authorship(acting, room);
  if (actor !== signed.did) {
    throw badSignature("it is not the acting agent's actor that signed", {
      actor,
      signed_by: signed.did,
    });
  }
  if (!decision.draft) return decision;
  return { ...decision, draft: { ...decision.draft, signed: signed.part as unknown as Json } };
}
