/** The plugin for coding agents: its skill is the README's, its server the service's. */
import assert from "node:assert/strict";
import { SKILL_PATH, skillOf } from "../bin/skill.ts";
import { TOOLS } from "../mcp/tools.ts";

const ROOT = new URL("../", import.meta.url);
const read = (path: string): string => Deno.readTextFileSync(new URL(path, ROOT));

Deno.test("the plugin's skill is the one that README.md makes (deno task skill)", () => {
  assert.equal(Deno.readTextFileSync(SKILL_PATH), skillOf(read("README.md")));
});

Deno.test("the skill has its front matter, no pictures, no setup, and whole links", () => {
  const skill = Deno.readTextFileSync(SKILL_PATH);
  assert.match(skill, /^---\nname: sync\ndescription: .{40,1000}\n---\n/);
  assert.doesNotMatch(skill, /^## (Start it|Configuration)$|^!\[|\]\(\//m);
});

Deno.test("the plugin and the reference name the service's MCP endpoint and its tools", () => {
  const plugin = JSON.parse(read("plugin/.claude-plugin/plugin.json"));
  assert.equal(plugin.name, "sync");
  const { mcpServers } = JSON.parse(read("plugin/.mcp.json"));
  assert.deepEqual(mcpServers.sync, { type: "http", url: "http://localhost:8787/mcp" });
  const reference = read("reference/mcp.md");
  for (const { name } of TOOLS) {
    assert.ok(reference.includes(`\`${name}\``), `reference/mcp.md does not name ${name}`);
  }
  for (const [, name] of reference.matchAll(/`(sync_[a-z_]+)`/g)) {
    assert.ok(TOOLS.some((tool) => tool.name === name), `reference/mcp.md names ${name}`);
  }
});
