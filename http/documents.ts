/** The documents the service serves: the skill text and the reference, from the list of what it ships. */
import { SyncError } from "../errors.ts";
import { DOCUMENTS } from "./shipped.ts";

/** Documents by the name under which they are served. */
export type Documents = ReadonlyMap<string, string>;

/** The origin that the documents name; whoever reads them here is shown this service's own. */
const WRITTEN_ORIGIN = "http://localhost:8787";

/** The skill text and every file of `reference/`, as they read at this origin. */
export function loadDocuments(origin: string): Documents {
  return new Map(
    Object.entries(DOCUMENTS).map((
      [name, text],
    ) => [name, text.replaceAll(WRITTEN_ORIGIN, origin)]),
  );
}

/** A document as plain Markdown. Throws `not_found`. */
export function showDocument(documents: Documents, name: string): Response {
  const text = documents.get(name);
  if (text === undefined) {
    throw new SyncError("not_found", `There is no document "${name}".`, {
      available: [...documents.keys()].filter((key) => key !== "SKILL.md").sort(),
    });
  }
  return new Response(text, {
    headers: {
      "Content-Type": "text/markdown; charset=utf-8",
      "Access-Control-Allow-Origin": "*",
      "X-Content-Type-Options": "nosniff",
    },
  });
}
