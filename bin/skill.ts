/**
 * `deno task skill`: writes the skill of the plugin from README.md, without what only those who run
 * the service need. A test holds the two together.
 */

/** Sections of the README that an agent has no use for. */
const LEFT_OUT: ReadonlySet<string> = new Set(["Start it", "Configuration"]);

/** Where the documents are read from: links of the README are paths of the service. */
const ORIGIN = "http://localhost:8787";

/** The skill's file. */
export const SKILL_PATH = new URL("../plugin/skills/sync/SKILL.md", import.meta.url);

/** The skill that a README makes. Pure. */
export function skillOf(readme: string): string {
  const [head = "", ...sections] = readme.split(/^(?=## )/m);
  const kept = sections.filter((section) => {
    const title = /^## (.*)$/m.exec(section)?.[1] ?? "";
    return !LEFT_OUT.has(title);
  });
  return [head, ...kept].join("")
    .replace(/^!\[.*\]\(.*\)\n+/gm, "")
    .replace(/\]\(\/(?=[A-Za-z])/g, `](${ORIGIN}/`);
}

if (import.meta.main) {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  await Deno.writeTextFile(SKILL_PATH, skillOf(readme));
}
