/** The dashboard as tests meet it: the real service on a socket, a real browser, and what it complains of. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { readConfig } from "../config.ts";
import { type Call, type Demo, makeDemo } from "../frontend/demo.ts";
import { createService, type Service } from "../main.ts";
import { launchChromium } from "./chromium.ts";
import { type Ask, type Reply, send } from "./harness.ts";

/** A service on a socket of this machine. */
export interface Served {
  readonly origin: string;
  readonly service: Service;
  call(method: string, path: string, ask?: Ask): Promise<Reply>;
  /** Makes the demo room. */
  demo(id?: string): Promise<Demo>;
  /** Takes the socket away as an outage does, and gives it back. */
  cut(): Promise<void>;
  mend(): void;
  close(): Promise<void>;
}

/** Starts the service on a port of its own, with the machine's clock: a browser has no other. */
export async function serve(): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), "sync-dashboard-"));
  const holder: { service?: Service } = {};
  const listen = (port: number) =>
    Deno.serve(
      { port, hostname: "127.0.0.1", onListen: () => {} },
      (request) => holder.service!.fetch(request),
    );
  let server = listen(0);
  const { port } = server.addr;
  const env: Record<string, string> = {
    PORT: String(port),
    SYNC_DB: `file:${join(folder, "sync.db")}`,
    SYNC_LOG: "off",
  };
  const service = holder.service = await createService({ config: readConfig((name) => env[name]) });
  const origin = `http://localhost:${port}`;
  const call: Served["call"] = (method, path, ask) => send(fetch, method, origin + path, ask);
  const demoCall: Call = async (method, path, body, token) => {
    const reply = await call(method, path, { body, token });
    if (reply.status >= 400) throw new Error(`${path}: ${reply.text}`);
    return reply.body;
  };
  return {
    origin,
    service,
    call,
    demo: (id) => makeDemo(demoCall, undefined, id),
    cut: async () => {
      service.deps.streams.close();
      await server.shutdown();
    },
    mend: () => {
      server = listen(port);
    },
    close: async () => {
      service.deps.streams.close();
      service.deps.waits.close();
      await server.shutdown();
      await service.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A tab, and everything that should not have happened in it. */
export interface Tab {
  readonly page: Page;
  /** Script errors, console errors, reports of the policy, requests to other hosts. */
  readonly complaints: string[];
  /** Asserts that there was nothing to complain of, but what is expected. */
  mustBeQuiet(expected?: RegExp): void;
}

/** A browser of this test. */
export async function openBrowser(): Promise<Browser> {
  return await launchChromium();
}

/** Opens an address in a tab of its own. */
export async function openTab(
  browser: Browser | BrowserContext,
  served: Served,
  path: string,
): Promise<Tab> {
  const page = await browser.newPage();
  page.setDefaultTimeout(10_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(served.origin) && !/^(data|blob|about):/.test(url)) {
      complaints.push(`elsewhere: ${url}`);
    }
  });
  await page.goto(served.origin + path);
  return {
    page,
    complaints,
    mustBeQuiet: (expected) => {
      assert.deepEqual(complaints.filter((line) => !expected?.test(line)), []);
    },
  };
}

/** The address of a room's dashboard for a token. */
export function roomPath(room: string, token: string, tab?: string): string {
  return `/?room=${room}${tab === undefined ? "" : `&tab=${tab}`}#token=${token}`;
}

/** Goes to a panel by its tab and answers the panel. */
export async function goTo(page: Page, name: string) {
  await page.getByRole("tab", { name, exact: true }).click();
  const panel = page.getByRole("tabpanel", { name, exact: true });
  await panel.waitFor();
  return panel;
}

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Asserts that axe finds nothing, and that the page does not overflow, in a theme and at a width. */
export async function mustPassAxe(
  page: Page,
  name: string,
  looks: readonly (readonly ["light" | "dark", number])[] = [["light", 1280], ["dark", 390]],
): Promise<void> {
  for (const [colorScheme, width] of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 844 });
    if (!await page.evaluate("'axe' in globalThis")) await page.evaluate(axe.source);
    const found = await page.evaluate(async (rules) => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: unknown): Promise<{ violations: unknown[] }> };
      };
      return (await axe.run({ runOnly: rules })).violations;
    }, RULES) as { id: string; nodes: { html: string; failureSummary: string }[] }[];
    const shown = found.map(({ id, nodes }) =>
      `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`
    );
    assert.deepEqual(shown, [], `${name}, ${colorScheme}, ${width} px`);
    const overflow = await page.evaluate(
      "document.documentElement.scrollWidth - innerWidth",
    ) as number;
    assert.ok(overflow <= 0, `${name} overflows sideways by ${overflow} px at ${width} px`);
  }
  await page.setViewportSize({ width: 1280, height: 844 });
  await page.emulateMedia({ colorScheme: "light" });
}
