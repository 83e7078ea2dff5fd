/**
 * `deno task audit`: asks the package registry's advisory service about every locked version.
 * Leaves with 0 when it knows of nothing, with 1 when a version is known to be vulnerable, and
 * with 2 when the service did not answer, for then nothing was checked.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";

const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["audit", ...process.argv.slice(2)],
  cwd: fileURLToPath(new URL("../", import.meta.url)),
  env: { NO_COLOR: "1" },
}).output();
const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
const isAnswered = code === 0 || /^Found \d+ vulnerabilities/m.test(out!);
if (out !== "") console.log(out);
if (!isAnswered) {
  console.error(
    `NOT CHECKED: the advisory service did not answer, so whether a locked version is vulnerable ` +
      `is unknown. Run this where the registry can be reached.\n${error}`,
  );
}
process.exit(isAnswered ? code : 2);
