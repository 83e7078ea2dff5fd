/**
 * `deno task build`: bundles the browser's code into `frontend/dist/scripts.json`, for images and
 * hosts that cannot bundle at start, and brings `http/shipped.ts`, the list of what is served, up
 * to date. A test holds that list against the folders.
 */
import { bundle, DIST, sourceDigest } from "../http/pages/bundler.ts";

const ROOT = new URL("../", import.meta.url);
/** The list of what is served as it lies in the repository. */
export const SHIPPED_PATH = new URL("http/shipped.ts", ROOT);

/** The names in a folder that end so, sorted. */
async function namesIn(folder: string, end: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
    if (isFile && name.endsWith(end)) names.push(name);
  }
  return names.sort();
}

/** A file's name as a variable's: `dashboard` for `dashboard.md`, `phonePng` for `phone.png`. Pure. */
function variableOf(name: string): string {
  return name.replace(/\.md$/, "").replace(/[^a-z0-9]+(.)/gi, (_, next) => next.toUpperCase());
}

/** The module that lists what the service ships, as `deno fmt` leaves it. */
export async function shippedModule(): Promise<string> {
  const documents = await namesIn("reference/", ".md");
  const pictures = await namesIn("reference/pictures/", ".png");
  const table = (names: readonly string[]): string =>
    names.map((name) => `  "${name}": ${variableOf(name)},\n`).join("");
  const take = (path: string, type: string): string =>
    `import ${variableOf(path.replace(/^.*\//, ""))} from "../${path}" with { type: "${type}" };\n`;
  return `/**
 * What is served as it lies in the repository. Imported, so that a host without a file system has
 * it too. Written by \`deno task build\`.
 */
import skill from "../README.md" with { type: "text" };
${documents.map((name) => take(`reference/${name}`, "text")).join("")}${
    pictures.map((name) => take(`reference/pictures/${name}`, "bytes")).join("")
  }
/** The documents by the name under which they are served. */
export const DOCUMENTS: Readonly<Record<string, string>> = {
  "SKILL.md": skill,
${table(documents)}};

/** The pictures of the documents. */
export const PICTURES: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
${table(pictures)}};

/** The digest of the browser's sources that belong to this version. */
export const FRONTEND_DIGEST = "${await sourceDigest()}";
`;
}

if (import.meta.main) {
  await Deno.writeTextFile(SHIPPED_PATH, await shippedModule());
  await Deno.remove(DIST, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(DIST, { recursive: true });
  const files = Object.fromEntries(await bundle());
  for (const [name, text] of Object.entries(files)) console.log(`${name} ${text.length}`);
  const sources = await sourceDigest();
  await Deno.writeTextFile(new URL("scripts.json", DIST), JSON.stringify({ sources, files }));
}
