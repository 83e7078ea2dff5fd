/**
 * A soft authenticator: WebCrypto and a little CBOR. It answers registrations and logins as a
 * real one would, or with any field lied about.
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";

/** What an answer may lie about. */
export interface Lies {
  readonly type?: string;
  readonly challenge?: string;
  readonly origin?: string;
  readonly rpId?: string;
  readonly crossOrigin?: unknown;
  readonly topOrigin?: string;
  readonly userHandle?: string | null;
  /** Flags of the authenticator data: 1 present, 4 verified, 64 attested. */
  readonly flags?: number;
  readonly counter?: number;
  readonly signature?: "broken" | "foreign";
  readonly id?: string;
  readonly alg?: number;
  readonly format?: string;
  readonly credentialId?: Uint8Array;
}

/** Options as the server sends them: only what an authenticator reads. */
export interface CreationOptions {
  readonly challenge: string;
  readonly rp: { readonly id?: string };
  readonly user: { readonly id: string };
  readonly pubKeyCredParams: readonly { readonly alg: number }[];
}

/** Options as the server sends them: only what an authenticator reads. */
export interface RequestOptions {
  readonly challenge: string;
  readonly rpId?: string;
}

type Cbor = number | string | Uint8Array | Map<number | string, Cbor>;

function head(major: number, n: number): Uint8Array {
  if (n < 24) return Uint8Array.of(major << 5 | n);
  if (n < 256) return Uint8Array.of(major << 5 | 24, n);
  return Uint8Array.of(major << 5 | 25, n >> 8, n & 255);
}

function cbor(value: Cbor): Uint8Array {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") {
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  }
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  const parts = [...value].flatMap(([k, v]) => [cbor(k), cbor(v)]);
  return Buffer.concat([head(5, value.size), ...parts]);
}

const b64 = (data: Uint8Array | string): string => Buffer.from(data).toString("base64url");
const sha = async (data: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", data as BufferSource));

const KINDS = {
  [-7]: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  [-8]: { name: "Ed25519" },
} as const;

/** One credential of one user on a soft authenticator. */
export class SoftAuthenticator {
  private keys!: CryptoKeyPair;
  readonly id = new Uint8Array(randomBytes(16));
  private userHandle = "";
  counter = 0;

  constructor(readonly origin: string, readonly alg: -7 | -8 = -7) {}

  private get rpId(): string {
    return new URL(this.origin).hostname;
  }

  private clientData(type: string, challenge: string, lies: Lies): Uint8Array {
    const data: Record<string, unknown> = {
      type: lies.type ?? type,
      challenge: lies.challenge ?? challenge,
      origin: lies.origin ?? this.origin,
      crossOrigin: "crossOrigin" in lies ? lies.crossOrigin : false,
    };
    if (lies.topOrigin !== undefined) data["topOrigin"] = lies.topOrigin;
    return Buffer.from(JSON.stringify(data));
  }

  private async authData(
    lies: Lies,
    flags: number,
    rest: Uint8Array = new Uint8Array(),
  ): Promise<Uint8Array> {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(lies.counter ?? this.counter);
    const rpHash = await sha(Buffer.from(lies.rpId ?? this.rpId));
    return Buffer.concat([rpHash, Uint8Array.of(lies.flags ?? flags), counter, rest]);
  }

  private async publicKey(alg: number): Promise<Uint8Array> {
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", this.keys.publicKey));
    if (this.alg === -8) return cbor(new Map<number, Cbor>([[1, 1], [3, alg], [-1, 6], [-2, raw]]));
    return cbor(
      new Map<number, Cbor>([[1, 2], [3, alg], [-1, 1], [-2, raw.slice(1, 33)], [
        -3,
        raw.slice(33),
      ]]),
    );
  }

  /** Answers a registration. */
  async create(options: CreationOptions, lies: Lies = {}) {
    this.keys = await crypto.subtle.generateKey(KINDS[this.alg], true, [
      "sign",
      "verify",
    ]) as CryptoKeyPair;
    this.userHandle = options.user.id;
    const id = lies.credentialId ?? this.id;
    const attested = Buffer.concat([
      Buffer.alloc(16),
      Uint8Array.of(id.length >> 8, id.length & 255),
      id,
      await this.publicKey(lies.alg ?? this.alg),
    ]);
    const attestation = new Map<string, Cbor>([
      ["fmt", lies.format ?? "none"],
      ["attStmt", new Map()],
      ["authData", await this.authData(lies, 0x45, attested)],
    ]);
    return {
      id: lies.id ?? b64(id),
      rawId: lies.id ?? b64(id),
      type: "public-key",
      clientExtensionResults: {},
      response: {
        clientDataJSON: b64(this.clientData("webauthn.create", options.challenge, lies)),
        attestationObject: b64(cbor(attestation)),
        transports: ["internal"],
      },
    };
  }

  /** Answers a login. */
  async get(options: RequestOptions, lies: Lies = {}) {
    const clientDataJSON = this.clientData("webauthn.get", options.challenge, lies);
    const authenticatorData = await this.authData(lies, 0x05);
    const signed = Buffer.concat([authenticatorData, await sha(clientDataJSON)]);
    return {
      id: lies.id ?? b64(this.id),
      rawId: lies.id ?? b64(this.id),
      type: "public-key",
      clientExtensionResults: {},
      response: {
        clientDataJSON: b64(clientDataJSON),
        authenticatorData: b64(authenticatorData),
        signature: b64(await this.sign(signed, lies)),
        ...(lies.userHandle === null ? {} : { userHandle: lies.userHandle ?? this.userHandle }),
      },
    };
  }

  private async sign(data: Uint8Array, lies: Lies): Promise<Uint8Array> {
    const keys = lies.signature === "foreign"
      ? await crypto.subtle.generateKey(KINDS[this.alg], true, ["sign", "verify"]) as CryptoKeyPair
      : this.keys;
    const signature = new Uint8Array(
      await crypto.subtle.sign(KINDS[this.alg], keys.privateKey, data as BufferSource),
    );
    if (lies.signature === "broken") signature[4]! ^= 1;
    return this.alg === -8 ? signature : derOf(signature);
  }
}

function derOf(raw: Uint8Array): Uint8Array {
  const integer = (bytes: Uint8Array): Uint8Array => {
    let start = 0;
    while (start < bytes.length - 1 && bytes[start] === 0) start++;
    const trimmed = bytes.slice(start);
    const body = trimmed[0]! & 0x80 ? Buffer.concat([Uint8Array.of(0), trimmed]) : trimmed;
    return Buffer.concat([Uint8Array.of(2, body.length), body]);
  };
  const body = Buffer.concat([integer(raw.slice(0, 32)), integer(raw.slice(32))]);
  return Buffer.concat([Uint8Array.of(0x30, body.length), body]);
}
