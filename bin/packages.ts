/**
 * What the project is built of, for its list of parts and the tests of its supply: the packages
 * of the lock file, who needs which, and the licence each names in Deno's own cache.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** A package as the lock file names it. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and the digest in base64. */
  readonly integrity: string;
  /** Keys of the packages that it needs, sorted. */
  readonly needs: readonly string[];
  /** Keys of those among them that it can do without: builds for one kind of machine. */
  readonly optional: readonly string[];
  /** The package whose build for one kind of machine it is; its own is not on other machines. */
  readonly buildOf?: string;
}

/** The lock file: every package by its key, and the keys of those the project names itself. */
export interface Lock {
  readonly packages: ReadonlyMap<string, Package>;
  readonly direct: ReadonlyMap<string, string>;
}

interface LockedPackage {
  readonly integrity: string;
  readonly dependencies?: readonly string[];
  readonly optionalDependencies?: readonly string[];
  readonly os?: readonly string[];
}

interface LockFile {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, LockedPackage>>;
  readonly workspace: { readonly dependencies: readonly string[] };
}

/** A lock file's key: a name, a version, and after "_" the peers it was resolved with. */
function partsOf(key: string): { name: string; version: string } {
  const at = key.indexOf("@", 1);
  return { name: key.slice(0, at), version: key.slice(at + 1).split("_")[0]! };
}

/** Finds the key that a dependency means; a lock file leaves out a version that is the only one. */
function resolver(keys: readonly string[]): (wanted: string) => string {
  const known = new Set(keys);
  return (wanted) => {
    if (known.has(wanted)) return wanted;
    const found = keys.filter((key) =>
      partsOf(key).name === wanted || key.startsWith(`${wanted}_`)
    );
    if (found.length !== 1) throw new Error(`the lock file has ${found.length} "${wanted}"`);
    return found[0]!;
  };
}

/** Reads a lock file of version 5. Throws when it names what it does not hold. */
export async function readLock(path: string = join(ROOT, "deno.lock")): Promise<Lock> {
  const file = JSON.parse(await readFile(path, "utf8")) as LockFile;
  const keys = Object.keys(file.npm).sort();
  const resolve = resolver(keys);
  const packages = new Map<string, Package>();
  for (const key of keys) {
    const { integrity, dependencies = [], optionalDependencies = [], os } = file.npm[key]!;
    const optional = optionalDependencies.map(resolve).sort();
    const needs = [...new Set([...dependencies.map(resolve), ...optional])].sort();
    const parent = keys.find((other) =>
      file.npm[other]!.optionalDependencies?.map(resolve).includes(key)
    );
    packages.set(key, {
      ...partsOf(key),
      integrity,
      needs,
      optional,
      ...(os !== undefined && parent !== undefined ? { buildOf: parent } : {}),
    });
  }
  const direct = new Map(
    file.workspace.dependencies.map((specifier): [string, string] => {
      const [, name, version] = /^npm:(@?[^@]+)@(.+)$/.exec(specifier)!;
      const resolved = file.specifiers[specifier] ?? version!;
      return [name!, resolve(`${name}@${resolved}`)];
    }),
  );
  return { packages, direct };
}

/** Keys of all that some packages need, themselves included. */
export function reach(lock: Lock, from: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const visit = (key: string): void => {
    if (found.has(key)) return;
    found.add(key);
    for (const next of lock.packages.get(key)!.needs) visit(next);
  };
  for (const key of from) visit(key);
  return found;
}

const decoder = new TextDecoder();

async function deno(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT })
    .output();
  if (code !== 0) throw new Error(`deno ${args.join(" ")} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** The folders of packages in Deno's cache, one for each registry they came from. */
export async function packageFolders(): Promise<string[]> {
  const { npmCache } = JSON.parse(await deno(["info", "--json"])) as { npmCache: string };
  const hosts = await readdir(npmCache).catch(() => []);
  return hosts.map((host) => join(npmCache, host)).sort();
}

/** A package's own description, or undefined where it was not fetched. */
async function describe(
  folders: readonly string[],
  { name, version }: Package,
): Promise<{ license?: unknown } | undefined> {
  for (const folder of folders) {
    const text = await readFile(join(folder, name, version, "package.json"), "utf8")
      .catch(() => undefined);
    if (text !== undefined) return JSON.parse(text) as { license?: unknown };
  }
  return undefined;
}

/**
 * The licence that each package names, by its key, as an SPDX expression. A build for one kind of
 * machine has the licence of the package it is a build of, since it is not on every machine.
 * Packages that are not in the cache are fetched. Throws when one names none.
 */
export async function readLicences(lock: Lock): Promise<Map<string, string>> {
  const own = [...lock.packages].filter(([, { buildOf }]) => buildOf === undefined);
  const read = async (): Promise<[string, Package, { license?: unknown } | undefined][]> => {
    const folders = await packageFolders();
    return await Promise.all(
      own.map(async ([key, pack]) =>
        [key, pack, await describe(folders, pack)] as [
          string,
          Package,
          { license?: unknown } | undefined,
        ]
      ),
    );
  };
  let found = await read();
  if (found.some(([, , text]) => text === undefined)) {
    await deno(["install", "--frozen"]);
    found = await read();
  }
  const licences = new Map<string, string>();
  for (const [key, { name, version }, text] of found) {
    if (typeof text?.license !== "string") throw new Error(`${name}@${version} names no licence`);
    licences.set(key, text.license);
  }
  for (const [key, { buildOf }] of lock.packages) {
    if (buildOf !== undefined) licences.set(key, licences.get(buildOf)!);
  }
  return licences;
}

/** Folders whose code is not the service: what they alone import is for tests and measuring. */
const BESIDE = /^(tests|bench|proof|bin)\//;

async function sources(folder = ""): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!/^(\..*|node_modules|dist|data|reference)$/.test(entry.name)) {
        found.push(...await sources(path));
      }
    } else if (/\.tsx?$/.test(entry.name)) found.push(path);
  }
  return found;
}

/** Packages that the service or its pages import; what else is named serves tests and tools. */
export async function servedPackages(lock: Lock): Promise<Set<string>> {
  const served = new Set<string>();
  for (const path of await sources()) {
    if (BESIDE.test(path)) continue;
    const text = await readFile(join(ROOT, path), "utf8");
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*"([^".][^"]*)"/g)) {
      const name = specifier!.split("/").slice(0, specifier!.startsWith("@") ? 2 : 1).join("/");
      if (lock.direct.has(name)) served.add(name);
    }
  }
  return served;
}
