/** Digests of what passes by, for the trace. */
import { createHash } from "node:crypto";

/** SHA-256 of a value as JSON. */
export function sha256Of(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value) ?? "").digest("hex");
}
