/**
 * The browser's code: bundled in this process when it is first asked for, or taken from
 * `frontend/dist` where a build of exactly these sources lies there. Nothing is served by path.
 */
import { sha256 } from "../../canonical.ts";
import baseStyle from "../../frontend/style/base.css" with { type: "text" };
import dashboardStyle from "../../frontend/style/dashboard.css" with { type: "text" };
import pagesStyle from "../../frontend/style/pages.css" with { type: "text" };
import icon from "../../frontend/style/icon.svg" with { type: "text" };
import { FRONTEND_DIGEST } from "../shipped.ts";
import { bundle, sourceDigest } from "./bundler.ts";
import type { StaticFile } from "./files.ts";

/** The scripts by name, and what their addresses begin with. */
export interface Scripts {
  readonly base: string;
  readonly files: ReadonlyMap<string, StaticFile>;
}

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

function named(files: ReadonlyMap<string, string>): Scripts {
  const base = `${PREFIX}${
    sha256([...files].map(([name, text]) => name + text).join("\n")).slice(0, 12)
  }/`;
  return {
    base,
    files: new Map([...files].map(([name, body]) => [base + name, { type: SCRIPT_TYPE, body }])),
  };
}

/** A build, as `deno task build` leaves it. */
interface Build {
  readonly sources: string;
  readonly files: Readonly<Record<string, string>>;
}

/** The build of these very sources, if there is one. */
async function readBuild(): Promise<ReadonlyMap<string, string> | undefined> {
  const build = await importBuild();
  if (!build || build.sources !== await wantedDigest()) return undefined;
  return new Map(Object.entries(build.files));
}

/** The digest of the sources as they are, or, where they cannot be read, as they were shipped. */
async function wantedDigest(): Promise<string> {
  try {
    return await sourceDigest();
  } catch (error) {
    const { NotCapable, NotFound } = Deno.errors;
    if (error instanceof NotCapable || error instanceof NotFound) return FRONTEND_DIGEST;
    throw error;
  }
}

/** Imported and not read: so a host without a file system has it. */
async function importBuild(): Promise<Build | undefined> {
  try {
    return (await import("../../frontend/dist/scripts.json", { with: { type: "json" } })).default;
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
