/**
 * The public conformance suite at each revision, over a real socket, against the service with the
 * suite's fixtures in its own factory. The suite cannot send a token, so it is put in on the way.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../config.ts";
import { createService } from "../main.ts";
import { makeUser, SYSTEM_CLOCK, type TestService, userToken } from "./harness.ts";
import { FIXTURES } from "./mcp_fixtures.ts";

const SUITE = "npm:@modelcontextprotocol/conformance@0.2.0-alpha.12";
/** How many scenarios of a revision are scored. */
const SCORED = { "2026-07-28": 37, "2025-11-25": 30 } as const;

/** Scored scenarios of a run: how many checks passed and failed, by name. */
function scoredOf(text: string): Map<string, [passed: number, failed: number]> {
  const [summary = "", rest = ""] = (text.split("=== SUMMARY ===")[1] ?? "").split("\nTotal:");
  const unscored = new Set([...rest.matchAll(/^ {2}[✓✗] (\S+) \(/gm)].map(([, name]) => name!));
  const lines = [...summary.matchAll(/^[✓✗] (\S+): (\d+) passed, (\d+) failed/gm)];
  return new Map(
    lines.filter(([, name]) => !unscored.has(name!))
      .map(([, name, passed, failed]) => [name!, [Number(passed), Number(failed)]]),
  );
}

for (const revision of Object.keys(SCORED) as (keyof typeof SCORED)[]) {
  Deno.test(`the conformance suite passes at ${revision}, and nothing passes for want of checks`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "sync-conformance-"));
    const port = await new Promise<number>((resolve) => {
      const probe = Deno.listen({ port: 0, hostname: "127.0.0.1" });
      const { port } = probe.addr;
      probe.close();
      resolve(port);
    });
    const env: Record<string, string> = {
      SYNC_LOG: "off",
      PORT: String(port),
      SYNC_DB: `file:${join(folder, "sync.db")}`,
    };
    const service = await createService({
      config: readConfig((name) => env[name]),
      clock: SYSTEM_CLOCK,
      extendMcp: FIXTURES,
    });
    const on = { service } as TestService;
    await makeUser(on, "suite");
    const token = await userToken(on, "suite", "rooms:*");
    const server = Deno.serve(
      { port, hostname: "127.0.0.1", onListen: () => undefined },
      (request) => {
        const headers = new Headers(request.headers);
        headers.set("Authorization", `Bearer ${token}`);
        return service.fetch(new Request(request, { headers }));
      },
    );
    const out = join(folder, "results");
    const run = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-lock",
        SUITE,
        "server",
        "--url",
        `http://localhost:${port}/mcp`,
        "--requirements",
        revision,
        "-o",
        out,
      ],
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(run.stdout) + new TextDecoder().decode(run.stderr);
    await service.close();
    await server.shutdown();
    await rm(folder, { recursive: true, force: true });
    const scored = scoredOf(text);
    for (const [name, [passed, failed]] of scored) {
      assert.ok(passed > 0 && failed === 0, `${name}: ${passed} passed, ${failed} failed\n${text}`);
    }
    assert.equal(scored.size, SCORED[revision], text);
    assert.equal(run.code, 0, text);
  });
}
