/**
 * What comes in at the identity doors: bodies and parameters, bounded and checked by a schema.
 * Anything else is a 4xx.
 */
import { Buffer } from "node:buffer";
import type { z } from "zod";
import { parseJson } from "../canonical.ts";
import { invalid, SyncError } from "../errors.ts";
import { parseBody } from "../input.ts";
import { notWhole } from "../input/arrivals.ts";
import type { Json } from "../types.ts";

/** Bytes of a request body at these doors: the largest is a passkey's attestation. */
export const IDENTITY_BODY_BYTES_MAX = 65_536;

/** A JSON object body that fits the schema; an empty body counts as `{}`. Throws `invalid_json`, `invalid_argument`, `too_large`. */
export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
): Promise<z.infer<T>> {
  const text = await readText(request);
  return check(text.trim() === "" ? {} : parseJson(text), schema);
}

/** The members of a form, each given once. Throws `invalid_argument`, `too_large`. */
export async function readForm(request: Request): Promise<Map<string, string>> {
  return fields(new URLSearchParams(await readText(request)));
}

/**
 * A body as JSON or as a form: by its content type, but what begins with `{` is JSON in any case
 * (curl calls everything a form).
 */
export async function readEither<T extends z.ZodType>(
  request: Request,
  schema: T,
): Promise<z.infer<T>> {
  const text = await readText(request);
  if (isForm(request) && !text.trimStart().startsWith("{")) {
    return check(Object.fromEntries(fields(new URLSearchParams(text))), schema);
  }
  return check(text.trim() === "" ? {} : parseJson(text), schema);
}

/** Is the body a URL-encoded form? */
export function isForm(request: Request): boolean {
  return (request.headers.get("Content-Type") ?? "").toLowerCase().startsWith(
    "application/x-www-form-urlencoded",
  );
}

/** Parameters by name; one that is repeated is refused (RFC 6749, 3.1). */
export function fields(params: URLSearchParams): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of params) {
    if (found.has(name)) throw invalid(name.slice(0, 80), "it is given more than once");
    if (value.includes("\0") || !value.isWellFormed()) {
      throw invalid(name.slice(0, 80), "plain text is wanted");
    }
    found.set(name, value);
  }
  return found;
}

/**
 * The value, if it fits the schema. Throws `invalid_argument` naming the first field that does not,
 * with the example that the schema carries.
 */
export function check<T extends z.ZodType>(value: unknown, schema: T): z.infer<T> {
  const [example] = schema.meta()?.examples as unknown[] | undefined ?? [];
  return parseBody(schema, value as Json, example === undefined ? {} : { example });
}

async function readText(request: Request): Promise<string> {
  const declared = Number(request.headers.get("Content-Length") ?? "0");
  if (declared > IDENTITY_BODY_BYTES_MAX) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.body ?? []) {
      bytes += chunk.byteLength;
      if (bytes > IDENTITY_BODY_BYTES_MAX) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof SyncError ? error : notWhole();
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw Object.assign(new SyncError("invalid_json", "The body is not UTF-8 text."), {
      cause: error,
    });
  }
}

function tooLarge(): SyncError {
  return new SyncError("too_large", `The body is larger than ${IDENTITY_BODY_BYTES_MAX} bytes.`, {
    limit: IDENTITY_BODY_BYTES_MAX,
  });
}
