/**
 * `deno task pictures`: plays the demo room on a service of its own and writes what a browser
 * shows of it to `reference/pictures/`.
 */
import type { Browser, Page } from "playwright-core";
import { type Call, type Demo, makeDemo } from "../frontend/demo.ts";
import { stepAt } from "../frontend/demo-steps.ts";
import { launchChromium } from "./chromium.ts";
import { openThrowaway } from "./throwaway.ts";

const OUT = new URL("../reference/pictures/", import.meta.url);
const STEPS = 34;
const STEP_MS = 330;
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };

const service = await openThrowaway();
const { origin } = service;

const call: Call = async (method, path, body, token) => {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
  const response = await fetch(origin + path, { method, headers, body: JSON.stringify(body) });
  const reply = await response.json();
  if (!response.ok && response.status !== 409) throw new Error(`${path}: ${JSON.stringify(reply)}`);
  return reply;
};

async function play(demo: Demo): Promise<void> {
  for (let n = 0; n < STEPS; n++) {
    const { agent, action, params } = stepAt(n);
    await call(
      "POST",
      `/rooms/${demo.room}/actions/${action}/invoke`,
      { params },
      demo.agents[agent],
    );
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
  await call("POST", `/rooms/${demo.room}/actions/_set_status/invoke`, {
    params: { status: "busy" },
  }, demo.agents["bo"]);
}

/** A wait that is open while the pictures are taken. */
function waitAsReviewer(demo: Demo, signal: AbortSignal): void {
  const condition = "state._shared.built.value > state._shared.reviewed.value";
  const url = `${origin}/rooms/${demo.room}/wait?${new URLSearchParams({
    condition,
    timeout: "55000",
  })}`;
  fetch(url, { headers: { Authorization: `Bearer ${demo.agents["cy"]}` }, signal })
    .then((response) => response.body?.cancel(), () => undefined);
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(500);
  await page.screenshot({ path: new URL(`${name}.png`, OUT).pathname });
  console.log(name);
}

async function open(
  browser: Browser,
  address: string,
  size: typeof DESK,
  colorScheme: "light" | "dark",
): Promise<Page> {
  const page = await browser.newPage({ viewport: size, colorScheme });
  await page.goto(origin + address);
  return page;
}

async function takeAll(browser: Browser, demo: Demo): Promise<void> {
  const address = `/?room=${demo.room}#token=${demo.admin}`;
  const desk = await open(browser, address, DESK, "light");
  await desk.waitForSelector("text=#");
  await desk.waitForSelector(".surface");
  await shoot(desk, "dashboard");
  await desk.getByRole("tab", { name: "State" }).click();
  await shoot(desk, "state");
  await desk.getByRole("tab", { name: "Timeline" }).click();
  await desk.waitForSelector("[data-seq]");
  await desk.getByRole("slider").fill(String(Math.round(await head(demo) * 0.7)));
  await shoot(desk, "timeline");
  const dark = await open(browser, address, DESK, "dark");
  await dark.waitForSelector(".surface");
  await shoot(dark, "dashboard-dark");
  const phone = await open(browser, address, PHONE, "light");
  await phone.waitForSelector(".surface");
  await shoot(phone, "phone");
}

async function head(demo: Demo): Promise<number> {
  const reply = await fetch(`${origin}/rooms/${demo.room}`, {
    headers: { Authorization: `Bearer ${demo.admin}` },
  });
  return (await reply.json()).head;
}

await Deno.mkdir(OUT, { recursive: true });
const demo = await makeDemo(call, undefined, "release-4-2");
await play(demo);
const waiting = new AbortController();
waitAsReviewer(demo, waiting.signal);
const browser = await launchChromium();
await takeAll(browser, demo);
await browser.close();
waiting.abort();
await service.close();
Deno.exit(0);
