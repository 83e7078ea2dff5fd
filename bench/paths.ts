/** Files of the bench as paths. */
import { fileURLToPath } from "node:url";

/** The path behind a `file:` URL. */
export function fromFileUrl(url: URL): string {
  return fileURLToPath(url);
}
