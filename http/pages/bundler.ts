/** Makes the browser's code of its sources, and tells one state of the sources from another. */
import { sha256 } from "../../canonical.ts";

const FRONTEND = new URL("../../frontend/", import.meta.url);
/** Where a build is kept. */
export const DIST = new URL("dist/", FRONTEND);
const ENTRIES = ["app.tsx", "landing.ts"] as const;
/** What the browser's code imports from outside its folder. */
export const OUTSIDE = ["surfaces.ts"] as const;

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

/** A digest of the sources, so that an old build is never taken for a new one. */
export async function sourceDigest(): Promise<string> {
  const texts: string[] = [];
  const add = async (name: string, folder: URL): Promise<void> => {
    texts.push(`${name}\n${await Deno.readTextFile(new URL(name, folder))}`);
  };
  const walk = async (folder: URL): Promise<void> => {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isDirectory && entry.name !== "dist") await walk(new URL(`${entry.name}/`, folder));
      else if (/\.tsx?$/.test(entry.name)) await add(entry.name, folder);
    }
  };
  await walk(FRONTEND);
  for (const name of OUTSIDE) await add(name, new URL("../", FRONTEND));
  return sha256(texts.sort().join("\n"));
}
