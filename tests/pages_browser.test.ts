/** A browser reads the pages: landing and its demo room, documents, overview, errors. */
import assert from "node:assert/strict";
import { mustPassAxe, openBrowser, openTab, serve } from "./dashboard_world.ts";

Deno.test({
  name: "A visitor looks around, searches, and opens a demo room that lives",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const served = await serve();
    const browser = await openBrowser();
    const tab = await openTab(browser, served, "/");
    const { page } = tab;

    await t.step("pages pass axe, light and dark, desk and phone", async () => {
      for (
        const path of ["/", "/docs", "/docs/api", "/docs?q=wait", "/overview", "/nothing-here"]
      ) {
        await page.goto(served.origin + path);
        await mustPassAxe(page, path);
      }
      tab.mustBeQuiet(/404/);
      tab.complaints.length = 0;
    });

    await t.step("a search leads to a section", async () => {
      await page.goto(`${served.origin}/docs`);
      await page.getByRole("searchbox").fill("token");
      await page.keyboard.press("Enter");
      await page.getByRole("status").waitFor();
      await page.getByRole("article").getByRole("link").first().click();
      await page.waitForURL(/\/docs\/[a-z0-9-]+/);
    });

    await t.step("the theme stays chosen", async () => {
      await page.getByRole("button", { name: "dark" }).click();
      await page.locator("html[data-theme=dark]").waitFor();
      await page.goto(`${served.origin}/overview`);
      await page.locator("html[data-theme=dark]").waitFor();
      await page.getByRole("button", { name: "system" }).click();
    });

    await t.step("the demo room opens and its agents act", async () => {
      await page.goto(served.origin);
      await page.getByRole("button", { name: "Open a live demo room" }).click();
      await page.getByRole("tabpanel", { name: "Surfaces", exact: true }).waitFor();
      assert.equal(new URL(page.url()).hash, "");
      await page.getByRole("cell", { name: "Passkey sign-in" }).waitFor();
      await page.getByRole("region", { name: "Talk" }).getByText("I have put the next two")
        .waitFor();
    });

    tab.mustBeQuiet();
    await browser.close();
    await served.close();
  },
});
