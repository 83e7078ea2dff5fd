/**
 * `deno task val --out DIR`: writes the service as a Val Town val, which knows no import map, no
 * file system and no binaries: plain files below the host's size, the browser's code built in.
 */
import { readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import process from "node:process";
import denoConfig from "../deno.json" with { type: "json" };
import { bundle } from "../http/pages/bundler.ts";
import { FRONTEND_DIGEST } from "../http/shipped.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** Where the code imports the browser's scripts from. */
const SCRIPTS = "frontend/dist/scripts.json";
/** Characters of a file that the host takes. */
export const VAL_FILE_CHARS_MAX = 80_000;
/** Characters of one part of a long text: escaped it stays below a file's size. */
const PART_CHARS = 36_000;
const USAGE = `deno task val --out DIR [--url]
  --url   the database is SYNC_DB's, not the val's own`;

const OWN_DATABASE = `/** The val's own database. */
export { default as client } from "https://esm.town/v/std/sqlite/main.ts";
`;
const NO_DATABASE = `/** None of the host's: SYNC_DB names it. */
export const client = undefined;
`;
const ENTRY = `/** The val's HTTP trigger. */
import { serviceFor } from "./main.ts";
import { client } from "./database.ts";

export default serviceFor(client);
`;

/** Files by their path. */
type Files = Map<string, string>;

/** A path as the val has it: a new file with "http" in its path would become a trigger. */
function valPath(path: string): string {
  return path.replaceAll("http", "door");
}

interface Dependency {
  readonly assertionType?: string;
  readonly code?: { readonly specifier: string };
  readonly type?: { readonly specifier: string };
}

interface Module {
  readonly specifier: string;
  readonly kind?: string;
  readonly dependencies?: readonly Dependency[];
}

/** The modules that `main.ts` reaches, and what it imports as text or bytes, as paths. */
async function reachable(): Promise<{ code: string[]; assets: Map<string, string> }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "main.ts"],
    cwd: ROOT,
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: readonly Module[];
  };
  const pathOf = (specifier: string): string => relative(ROOT, fileURLToPath(specifier));
  const own = modules.filter(({ specifier, kind }) =>
    kind === "esm" && specifier.startsWith("file:")
  );
  const assets = new Map<string, string>();
  for (const { dependencies = [] } of own) {
    for (const { assertionType, code } of dependencies) {
      if (code && (assertionType === "text" || assertionType === "bytes")) {
        assets.set(pathOf(code.specifier), assertionType);
      }
    }
  }
  return { code: own.map(({ specifier }) => pathOf(specifier)), assets };
}

const IMPORTS: Readonly<Record<string, string>> = denoConfig.imports;

/** What a bare name stands for in `deno.json`, paths inside its package too. Pure. */
function pinned(name: string): string {
  const key = Object.keys(IMPORTS).sort((a, b) => b.length - a.length).find((key) =>
    name === key || name.startsWith(key.endsWith("/") ? key : `${key}/`)
  );
  if (key === undefined) return name;
  return IMPORTS[key]!.replace("npm:/", "npm:") + name.slice(key.length);
}

/** A module's text with every import as the val finds it. Pure. */
export function rewritten(path: string, text: string): string {
  const found = text
    .replaceAll(/ from "([^"]+)" with \{ type: "(?:text|bytes)" \}/g, ' from "$1.ts"')
    .replaceAll(/\bimport\("([^"]+)", \{ with: \{ type: "json" \} \}\)/g, 'import("$1.ts")')
    .replaceAll(
      /(\bfrom |\bimport\(|\bimport )"([^"]+)"/g,
      (_, lead: string, name: string) =>
        `${lead}"${name.startsWith(".") ? valPath(name) : pinned(name)}"`,
    );
  if (!path.endsWith(".tsx")) return found;
  return `/** @jsxRuntime automatic @jsxImportSource ${pinned("preact")} */\n${found}`;
}

/** A text as a module whose default it is, in parts where it is long. */
function addText(files: Files, path: string, text: string, wrap = (name: string) => name): void {
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += PART_CHARS) {
    const name = `${path}.${parts.length}.ts`;
    files.set(name, `export default ${JSON.stringify(text.slice(at, at + PART_CHARS))};\n`);
    parts.push(name.replace(/^.*\//, ""));
  }
  const imports = parts.map((name, i) => `import part${i} from "./${name}";\n`).join("");
  const whole = parts.map((_, i) => `part${i}`).join(" + ") || '""';
  files.set(`${path}.ts`, `${imports}export default ${wrap(whole)};\n`);
}

/** The browser's scripts, where the code looks for a build. */
async function addScripts(files: Files): Promise<void> {
  const folder = dirname(SCRIPTS);
  const scripts = [...await bundle()];
  const imports = scripts.map(([name], i) => `import script${i} from "./${name}.ts";\n`).join("");
  const table = scripts.map(([name], i) => `${JSON.stringify(name)}: script${i}`).join(", ");
  const build = `{ sources: "${FRONTEND_DIGEST}", files: { ${table} } }`;
  for (const [name, text] of scripts) addText(files, `${folder}/${name}`, text);
  files.set(`${SCRIPTS}.ts`, `${imports}export default ${build};\n`);
}

/** Every file of the val by its path. Throws when one is too long for the host. */
export async function valFiles(ownDatabase: boolean): Promise<ReadonlyMap<string, string>> {
  const { code, assets } = await reachable();
  const files: Files = new Map();
  for (const path of code) {
    files.set(valPath(path), rewritten(path, await Deno.readTextFile(join(ROOT, path))));
  }
  for (const [path, type] of assets) {
    if (type === "text") {
      addText(files, valPath(path), await Deno.readTextFile(join(ROOT, path)));
      continue;
    }
    const text = (await Deno.readFile(join(ROOT, path))).toBase64();
    addText(files, valPath(path), text, (name) => `Uint8Array.fromBase64(${name})`);
  }
  await addScripts(files);
  files.set("database.ts", ownDatabase ? OWN_DATABASE : NO_DATABASE);
  files.set("main.http.ts", ENTRY);
  for (const [path, text] of files) {
    if (text.length > VAL_FILE_CHARS_MAX) throw new Error(`${path} is too long for a val`);
  }
  return files;
}

/** Files of a folder that are no part of the val, those of tools (`.vt`) apart. */
async function strangersIn(folder: string, files: ReadonlyMap<string, string>): Promise<string[]> {
  const strangers: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = relative(folder, join(entry.parentPath, entry.name));
    if (entry.isFile() && !path.startsWith(".") && !files.has(path)) strangers.push(path);
  }
  return strangers;
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { out: { type: "string" }, url: { type: "boolean", default: false } },
  });
  if (values.out === undefined) {
    console.error(USAGE);
    process.exit(2);
  }
  const files = await valFiles(!values.url);
  for (const [path, text] of files) {
    const target = join(values.out, path);
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.writeTextFile(target, text);
  }
  console.log(`${files.size} files in ${values.out}`);
  for (const path of await strangersIn(values.out, files)) {
    console.log(`${path} is no part of it; take it away if an earlier version left it there`);
  }
}
