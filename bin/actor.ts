/**
 * `deno task actor …`: a key of one's own, for speaking as a `did:key` and for signing. The key
 * stays in its file; a service never sees it.
 */
import { Buffer } from "node:buffer";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from "node:crypto";
import process from "node:process";
import { signatureBase } from "../signatures.ts";
import { multibaseOf } from "../signing.ts";

const USAGE = `deno task actor key FILE                       makes a key; prints its did:key
deno task actor did FILE                       prints the did:key of a key
deno task actor prove FILE CHALLENGE           prints the signature of a challenge, base64
deno task actor post FILE URL BODY TOKEN [DID] sends a signed invocation; prints the reply`;

function publicHex(key: KeyObject): string {
  const spki = createPublicKey(key as unknown as Parameters<typeof createPublicKey>[0])
    .export({ format: "der", type: "spki" });
  return spki.subarray(12).toString("hex");
}

function didOf(key: KeyObject): string {
  return `did:key:${multibaseOf(publicHex(key))}`;
}

async function readKey(file: string): Promise<KeyObject> {
  return createPrivateKey(await Deno.readTextFile(file));
}

async function makeKey(file: string): Promise<string> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = String(privateKey.export({ format: "pem", type: "pkcs8" }));
  await Deno.writeTextFile(file, pem, { mode: 0o600, createNew: true });
  return didOf(privateKey);
}

/** Headers that sign an invocation (RFC 9421), with a key and under a DID's id of it. */
export function signedHeaders(
  key: KeyObject,
  keyid: string,
  url: URL,
  body: string,
  now: number,
): Record<string, string> {
  const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  const components = ["@method", "@path", "content-digest"];
  const list = components.map((name) => `"${name}"`).join(" ");
  const created = Math.floor(now / 1000);
  const params =
    `(${list});created=${created};keyid="${keyid}";nonce="${randomUUID()}";alg="ed25519"`;
  const values: Record<string, string> = {
    "@method": "POST",
    "@path": url.pathname,
    "content-digest": digest,
  };
  const base = signatureBase({ components, params }, (name) => values[name]);
  const signature = sign(null, Buffer.from(base), key).toString("base64");
  return {
    "Content-Digest": digest,
    "Signature-Input": `sync=${params}`,
    "Signature": `sync=:${signature}:`,
  };
}

async function post(
  key: KeyObject,
  [target, body, token, did]: readonly string[],
): Promise<string> {
  const url = new URL(target!);
  const headers = signedHeaders(key, did ?? didOf(key), url, body!, Date.now());
  const response = await fetch(url, {
    method: "POST",
    headers: { ...headers, Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: body!,
  });
  return await response.text();
}

async function run([command, file, ...rest]: readonly string[]): Promise<string | undefined> {
  if (file === undefined) return undefined;
  if (command === "key") return await makeKey(file);
  if (command === "did") return didOf(await readKey(file));
  if (command === "prove" && rest.length === 1) {
    return sign(null, Buffer.from(rest[0]!), await readKey(file)).toString("base64");
  }
  if (command === "post" && rest.length >= 3) return await post(await readKey(file), rest);
  return undefined;
}

if (import.meta.main) {
  const told = await run(process.argv.slice(2));
  if (told === undefined) {
    console.error(USAGE);
    process.exit(2);
  }
  console.log(told);
}
