/**
 * The WebAuthn ceremonies: what is asked of an authenticator, and whether its answer counts.
 * RP id and origin come from the configuration. The library checks signatures; `userHandle`, `crossOrigin`
 * and a new credential's id are checked here. Its error texts hold the challenge, so they are never shown.
 */
import { Buffer } from "node:buffer";
import { z } from "zod";
import { sha256 } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import type { PasskeyRow } from "../store/identity.ts";

/** The library, loaded when somebody first uses a passkey: a service without people never holds it. */
const library = () => import("@simplewebauthn/server");

/** Signature algorithms: EdDSA, ES256, RS256, whatever the runtime knows besides. */
export const ALGORITHMS = [-8, -7, -257];
/** A ceremony may take this long. */
export const CEREMONY_MS = 5 * 60_000;

const binary = z.string().max(60_000).regex(/^[A-Za-z0-9_-]*$/, "base64url text is wanted");
const credentialId = binary.min(1).max(1400);

/** What the browser answers to a registration. */
export const RegistrationResponse = z.object({
  id: credentialId,
  rawId: credentialId,
  type: z.literal("public-key"),
  response: z.object({
    clientDataJSON: binary,
    attestationObject: binary,
    transports: z.array(z.string().max(40)).max(10).optional(),
  }),
});

/** What the browser answers to a login. */
export const LoginResponse = z.object({
  id: credentialId,
  rawId: credentialId,
  type: z.literal("public-key"),
  response: z.object({
    clientDataJSON: binary,
    authenticatorData: binary,
    signature: binary,
    userHandle: binary.nullish(),
  }),
});

/** The relying party: its id is the host name of the configured origin. */
export function relyingParty(origin: string): { id: string; origin: string } {
  const url = new URL(origin);
  return { id: url.hostname, origin: url.origin };
}

/** What a registration asks for; `user.id` is drawn here, never taken from a client. */
export async function registrationOptions(
  origin: string,
  user: { readonly id: string; readonly username: string },
  known: readonly PasskeyRow[],
) {
  const { generateRegistrationOptions } = await library();
  return await generateRegistrationOptions({
    rpName: "sync",
    rpID: relyingParty(origin).id,
    userName: user.username,
    userID: new TextEncoder().encode(user.id),
    timeout: CEREMONY_MS,
    attestationType: "none",
    excludeCredentials: known.map((p) => ({ id: p.id, transports: [...p.transports] })),
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
    supportedAlgorithmIDs: ALGORITHMS,
  });
}

/** What a login asks for: any passkey of this service, so that it tells nothing about users. */
export async function loginOptions(origin: string) {
  const { generateAuthenticationOptions } = await library();
  return await generateAuthenticationOptions({
    rpID: relyingParty(origin).id,
    timeout: CEREMONY_MS,
    userVerification: "required",
  });
}

/** A new credential, proven. */
export interface NewCredential {
  readonly id: string;
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
}

/** Checks a registration against the challenge whose hash is kept. Throws `verification_failed`. */
export async function verifyRegistration(
  origin: string,
  challengeHash: string,
  response: z.infer<typeof RegistrationResponse>,
): Promise<NewCredential> {
  mustBeOwnFrame(response.response.clientDataJSON);
  const party = relyingParty(origin);
  const { verifyRegistrationResponse } = await library();
  const result = await attempt(() =>
    verifyRegistrationResponse({
      response: {
        ...response,
        response: { ...response.response, transports: [] },
        clientExtensionResults: {},
      },
      expectedChallenge: (challenge) => sha256(challenge) === challengeHash,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    })
  );
  if (!result.verified) throw notVerified();
  const { credential } = result.registrationInfo;
  if (credential.id !== response.id) throw notVerified();
  return {
    id: credential.id,
    publicKey: Buffer.from(credential.publicKey).toString("base64url"),
    counter: credential.counter,
    transports: response.response.transports ?? [],
  };
}

/**
 * Checks a login against the passkey and the challenge whose hash is kept; the new counter.
 * A login that named no user beforehand must name it by `userHandle`. Throws `verification_failed`.
 */
export async function verifyLogin(
  origin: string,
  challengeHash: string,
  response: z.infer<typeof LoginResponse>,
  passkey: PasskeyRow,
  namedUser: string | null,
): Promise<number> {
  mustBeOwnFrame(response.response.clientDataJSON);
  const handle = response.response.userHandle;
  if (!isHandleOf(handle, passkey.user, namedUser)) throw notVerified();
  const party = relyingParty(origin);
  const { userHandle: _, ...inner } = response.response;
  const { verifyAuthenticationResponse } = await library();
  const result = await attempt(() =>
    verifyAuthenticationResponse({
      response: { ...response, response: inner, clientExtensionResults: {} },
      expectedChallenge: (challenge) => sha256(challenge) === challengeHash,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
      credential: {
        id: passkey.id,
        publicKey: new Uint8Array(Buffer.from(passkey.publicKey, "base64url")),
        counter: passkey.counter,
      },
      requireUserVerification: true,
    })
  );
  if (!result.verified) throw notVerified();
  return result.authenticationInfo.newCounter;
}

function isHandleOf(
  handle: string | null | undefined,
  user: string,
  named: string | null,
): boolean {
  if (named !== null && named !== user) return false;
  if (handle === null || handle === undefined || handle === "") return named !== null;
  return Buffer.from(handle, "base64url").toString() === user;
}

/** Refuses a ceremony that ran in a frame of another site; the library lets it pass. */
function mustBeOwnFrame(clientDataJSON: string): void {
  let data: unknown;
  try {
    data = JSON.parse(Buffer.from(clientDataJSON, "base64url").toString());
  } catch (error) {
    throw Object.assign(notVerified(), { cause: error });
  }
  const { crossOrigin, topOrigin } = (data ?? {}) as { crossOrigin?: unknown; topOrigin?: unknown };
  if ((crossOrigin !== undefined && crossOrigin !== false) || topOrigin !== undefined) {
    throw notVerified();
  }
}

async function attempt<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw Object.assign(notVerified(), { cause: error });
  }
}

/** `400 verification_failed`: says nothing of why. */
export function notVerified(): SyncError {
  return new SyncError("verification_failed", "The passkey's answer could not be verified.", {
    hint: "Start again with …/options; each challenge is good for one answer.",
  });
}
