/** The documents the service serves: the skill text and the reference, from a list made at start-up. */
import { SyncError } from "../errors.ts";

/** Documents by the name under which they are served. */
export type Documents = ReadonlyMap<string, string>;

/** The origin that the documents name; whoever reads them here is shown this service's own. */
const WRITTEN_ORIGIN = "http://localhost:8787";

/** Reads `README.md` and every file of `reference/`, as they read at this origin. */
export async function loadDocuments(base: URL, origin: string): Promise<Documents> {
  const documents = new Map<string, string>();
  const read = async (path: string): Promise<string> =>
    (await readIfThere(new URL(path, base))).replaceAll(WRITTEN_ORIGIN, origin);
  documents.set("SKILL.md", await read("README.md"));
  for await (const entry of Deno.readDir(new URL("reference/", base))) {
    if (!entry.isFile || !entry.name.endsWith(".md")) continue;
    documents.set(entry.name, await read(`reference/${entry.name}`));
  }
  return documents;
}

async function readIfThere(url: URL): Promise<string> {
  try {
    return await Deno.readTextFile(url);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
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
