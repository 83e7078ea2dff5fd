/** A headless Chromium: the one `CHROMIUM` names or the system has, else the one inside npm. */
import assert from "node:assert/strict";
import axe from "axe-core";
import type { Page } from "playwright-core";

export { launchChromium } from "../bin/chromium.ts";

/** Gives a page a virtual authenticator that always says yes; its id, to take it away again. */
export async function giveAuthenticator(page: Page): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return async () => {
    await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  };
}

/** Everything a page complains about while it is used: script errors, blocked loads, policy reports. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  return complaints;
}

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Asserts that axe finds nothing on the page, light and dark, at a desk's and at a phone's width. */
export async function mustBeAccessible(page: Page, name: string): Promise<void> {
  for (const [colorScheme, width] of [["light", 1280], ["dark", 390]] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(axe.source);
    const found = await page.evaluate(async (rules) => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: unknown): Promise<{ violations: unknown[] }> };
      };
      return (await axe.run({ runOnly: rules })).violations;
    }, RULES) as { id: string; nodes: { html: string; failureSummary: string }[] }[];
    const shown = found.map((v) =>
      `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join("\n")}`
    );
    assert.deepEqual(shown, [], `${name}, ${colorScheme}, ${width} px`);
    const overflow = await page.evaluate(
      "document.documentElement.scrollWidth - innerWidth",
    ) as number;
    assert.ok(overflow <= 0, `${name} overflows sideways by ${overflow} px at ${width} px`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}
