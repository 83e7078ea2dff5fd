/**
 * The browser's code: bundled in this process when it is first asked for, or read from
 * `frontend/dist` where a build of exactly these sources lies there. Nothing is served by path.
 */
import { sha256 } from "../../canonical.ts";
import baseStyle from "../../frontend/style/base.css" with { type: "text" };
import dashboardStyle from "../../frontend/style/dashboard.css" with { type: "text" };
import pagesStyle from "../../frontend/style/pages.css" with { type: "text" };
import icon from "../../frontend/style/icon.svg" with { type: "text" };

/** A file as it is served. */
export interface StaticFile {
  readonly type: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
}

/** The scripts by name, and what their addresses begin with. */
export interface Scripts {
  readonly base: string;
  readonly files: ReadonlyMap<string, StaticFile>;
}

const FRONTEND = new URL("../../frontend/", import.meta.url);
/** Where a build is kept. */
export const DIST = new URL("dist/", FRONTEND);
const ENTRIES = ["app.tsx", "landing.ts"] as const;
const SCRIPT_TYPE = "text/javascript; charset=utf-8";
const PREFIX = "/static/app/";
/** What the addresses of the pictures in `reference/pictures` begin with. */
export const PICTURE_PREFIX = `${PREFIX}pictures/`;

/** The styles and the icon, under addresses that change with their content. */
export const STYLES = styleFiles({
  "dashboard.css": { type: "text/css; charset=utf-8", body: baseStyle + dashboardStyle },
  "pages.css": { type: "text/css; charset=utf-8", body: baseStyle + pagesStyle },
  "icon.svg": { type: "image/svg+xml", body: icon },
});

function styleFiles(files: Readonly<Record<string, { type: string; body: string }>>) {
  const served = new Map<string, StaticFile>();
  const paths: Record<string, string> = {};
  for (const [name, file] of Object.entries(files)) {
    paths[name] = `${PREFIX}${sha256(file.body).slice(0, 12)}/${name}`;
    served.set(paths[name], file);
  }
  return {
    served,
    path: (name: "dashboard.css" | "pages.css" | "icon.svg"): string => paths[name] ?? "",
  };
}

/** The scripts, made once. Throws when they can be neither read nor bundled. */
export class Frontend {
  #scripts: Promise<Scripts> | undefined;

  /** The scripts; a failed attempt is made again by the next who asks. */
  scripts(): Promise<Scripts> {
    this.#scripts ??= loadScripts().catch((error) => {
      this.#scripts = undefined;
      throw error;
    });
    return this.#scripts;
  }
}

async function loadScripts(): Promise<Scripts> {
  const built = await readBuild();
  if (built) return named(built);
  return named(await bundle());
}

/** Bundles the sources. Throws when this runtime cannot. */
export async function bundle(): Promise<ReadonlyMap<string, string>> {
  if (typeof Deno.bundle !== "function") {
    throw new Error("this runtime has no bundler; run `deno task build` elsewhere");
  }
  const result = await Deno.bundle({
    entrypoints: ENTRIES.map((name) => new URL(name, FRONTEND).href),
    outputDir: "/out",
    platform: "browser",
    minify: true,
    codeSplitting: true,
    write: false,
  });
  if (!result.success) {
    throw new Error(`bundling failed: ${result.errors.map((error) => error.text).join("; ")}`);
  }
  const files = new Map<string, string>();
  for (const file of result.outputFiles ?? []) {
    files.set(file.path.replace(/^.*\//, ""), file.text());
  }
  return files;
}

function named(files: ReadonlyMap<string, string>): Scripts {
  const base = `${PREFIX}${
    sha256([...files].map(([name, text]) => name + text).join("\n")).slice(0, 12)
  }/`;
  return {
    base,
    files: new Map([...files].map(([name, body]) => [base + name, { type: SCRIPT_TYPE, body }])),
  };
}

/** A digest of the sources, so that an old build is never taken for a new one. */
export async function sourceDigest(): Promise<string> {
  const texts: string[] = [];
  const walk = async (folder: URL): Promise<void> => {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isDirectory && entry.name !== "dist") await walk(new URL(`${entry.name}/`, folder));
      else if (/\.tsx?$/.test(entry.name)) {
        texts.push(`${entry.name}\n${await Deno.readTextFile(new URL(entry.name, folder))}`);
      }
    }
  };
  await walk(FRONTEND);
  return sha256(texts.sort().join("\n"));
}

/** The build of these very sources, if there is one. */
async function readBuild(): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const of = (await Deno.readTextFile(new URL("sources.txt", DIST))).trim();
    if (of !== await sourceDigest()) return undefined;
    const files = new Map<string, string>();
    for await (const entry of Deno.readDir(DIST)) {
      if (entry.name.endsWith(".js")) {
        files.set(entry.name, await Deno.readTextFile(new URL(entry.name, DIST)));
      }
    }
    return files;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
