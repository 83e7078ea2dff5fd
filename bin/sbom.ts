/**
 * `deno task sbom [--out=FILE] [--timestamp=ISO]`: the software bill of materials, as CycloneDX
 * 1.6 JSON: every package of the lock file with its digest, its licence and what it needs. The
 * same lock file gives the same bytes; the time stands in it only when it is given.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import {
  type Lock,
  type Package,
  reach,
  readLicences,
  readLock,
  servedPackages,
} from "./packages.ts";

/** A bill of materials: plain JSON, in CycloneDX's words. */
export interface Bill {
  readonly [name: string]: unknown;
  readonly components: readonly Readonly<Record<string, unknown>>[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** The package URL of a package, which is its reference within the bill. */
export function packageUrl({ name, version }: Pick<Package, "name" | "version">): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** CycloneDX has one member for a licence's id and another for expressions over ids. */
function licencesOf(expression: string): readonly unknown[] {
  return /\s/.test(expression) ? [{ expression }] : [{ license: { id: expression } }];
}

function componentOf(pack: Package, licence: string, scope: string): Record<string, unknown> {
  const [group, name] = pack.name.startsWith("@") ? pack.name.split("/") : [undefined, pack.name];
  return {
    type: "library",
    "bom-ref": packageUrl(pack),
    ...(group === undefined ? {} : { group }),
    name,
    version: pack.version,
    scope,
    hashes: [{
      alg: "SHA-512",
      content: Buffer.from(pack.integrity.replace(/^sha512-/, ""), "base64").toString("hex"),
    }],
    licenses: licencesOf(licence),
    purl: packageUrl(pack),
  };
}

/** Required by the service, optional (a build for one kind of machine), or beside the service. */
function scopes(lock: Lock, served: ReadonlySet<string>): (key: string) => string {
  const required = reach(lock, [...served].map((name) => lock.direct.get(name)!));
  return (key) => {
    if (!required.has(key)) return "excluded";
    return lock.packages.get(key)!.buildOf === undefined ? "required" : "optional";
  };
}

function graphOf(lock: Lock, root: string): Bill["dependencies"] {
  const refs = (keys: Iterable<string>): string[] =>
    [...new Set([...keys].map((key) => packageUrl(lock.packages.get(key)!)))].sort();
  const needs = new Map<string, Set<string>>();
  for (const pack of lock.packages.values()) {
    const ref = packageUrl(pack);
    const known = needs.get(ref) ?? new Set();
    for (const need of refs(pack.needs)) known.add(need);
    needs.set(ref, known);
  }
  return [
    { ref: root, dependsOn: refs(lock.direct.values()) },
    ...[...needs].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([ref, dependsOn]) => ({ ref, dependsOn: [...dependsOn].sort() })),
  ];
}

/** A name for the bill that only its content decides, in the form of a UUID (version 8). */
function serialOf(content: unknown): string {
  const hex = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`];
  return `urn:uuid:${[...parts, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-")}`;
}

/** The project's bill of materials. `timestamp` is an ISO 8601 instant, absent when not given. */
export async function billOfMaterials(timestamp?: string): Promise<Bill> {
  const lock = await readLock();
  const licences = await readLicences(lock);
  const scopeOf = scopes(lock, await servedPackages(lock));
  const { name, version, license } = JSON.parse(
    await readFile(new URL("../deno.json", import.meta.url), "utf8"),
  ) as { name: string; version: string; license: string };
  const root = `pkg:generic/${name}@${version}`;
  const byRef = new Map(
    [...lock.packages].map(([key, pack]) =>
      [packageUrl(pack), componentOf(pack, licences.get(key)!, scopeOf(key))] as const
    ),
  );
  const content = {
    metadata: {
      ...(timestamp === undefined ? {} : { timestamp }),
      lifecycles: [{ phase: "pre-build" }],
      component: {
        type: "application",
        "bom-ref": root,
        name,
        version,
        licenses: licencesOf(license),
        purl: root,
      },
    },
    components: [...byRef].sort(([a], [b]) => a < b ? -1 : 1).map(([, component]) => component),
    dependencies: graphOf(lock, root),
  };
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: serialOf(content),
    version: 1,
    ...content,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { out: { type: "string" }, timestamp: { type: "string" } },
  });
  const text = `${JSON.stringify(await billOfMaterials(values.timestamp), null, 2)}\n`;
  if (values.out === undefined) await new Blob([text]).stream().pipeTo(Deno.stdout.writable);
  else await writeFile(values.out, text);
}
