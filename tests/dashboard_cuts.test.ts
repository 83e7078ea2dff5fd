/** Lists of the dashboard that are longer than it shows: they say so, and lead to the rest. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { goTo, openBrowser, openTab, roomPath, serve } from "./dashboard_world.ts";

const served = await serve();
const browser = await openBrowser();
const ROOM = "long-lists";
const WRITES = 262, MESSAGES = 720, ACTIONS = 30, AGENTS = 13;

const { token: admin } = (await served.call("POST", "/rooms", { body: { id: ROOM } })).body;
async function act(action: string, params: unknown): Promise<void> {
  const path = `/rooms/${ROOM}/actions/${action}/invoke`;
  const reply = await served.call("POST", path, { token: admin, body: { params } });
  assert.ok(reply.status < 300, reply.text);
}
for (let i = 0; i < AGENTS; i++) {
  const body = { id: `agent-${i}` };
  await served.call("POST", `/rooms/${ROOM}/agents`, { token: admin, body });
}
await act("_register_action", { id: "count", writes: [{ key: "n", increment: 1 }] });
for (let i = 0; i < WRITES; i++) await act("count", {});
for (let i = 1; i <= MESSAGES; i++) await act("_send_message", { body: `message ${i}.` });
const map = `{${Array.from({ length: 150 }, (_, i) => `"member-${i}": ${i}`).join(", ")}}`;
const views = [
  { id: "members", expr: map, render: { type: "view-table", label: "Members" } },
  { id: "rows", expr: `[${map}]`, render: { type: "array-table", label: "Rows" } },
  { id: "text", expr: `"${"long ".repeat(200)}end"`, render: { type: "metric", label: "Text" } },
];
for (const view of views) await act("_register_view", view);
for (let i = 0; i < ACTIONS; i++) {
  await act("_register_action", { id: `do-${i}`, writes: [{ key: "done", value: i }] });
}

async function openPanel(name: string): Promise<{ page: Page; close(): Promise<void> }> {
  const tab = await openTab(browser, served, roomPath(ROOM, admin, name.toLowerCase()));
  await tab.page.getByRole("tabpanel", { name, exact: true }).waitFor();
  return {
    page: tab.page,
    close: async () => {
      tab.mustBeQuiet();
      await tab.page.close();
    },
  };
}

function scenario(name: string, run: () => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: run });
}

scenario(
  "An entry's history begins with its newest write, says how many there are, and goes back to the first",
  async () => {
    const { page, close } = await openPanel("State");
    await page.getByRole("row", { name: /_shared n / }).click();
    const history = page.getByRole("dialog").getByRole("region", { name: "History" });
    await history.getByText(`50 of ${WRITES}`).waitFor();
    const values = async () =>
      (await history.locator("li code").allInnerTexts()).map((text) => Number(text));
    const down = (length: number) => Array.from({ length }, (_, i) => WRITES - i);
    assert.deepEqual(await values(), down(50));
    const older = history.getByRole("button", { name: "Older writes" });
    for (const shown of [100, 150, 200, 250]) {
      await older.click();
      await history.getByText(`${shown} of ${WRITES}`).waitFor();
    }
    await older.click();
    await older.waitFor({ state: "detached" });
    assert.deepEqual(await values(), down(WRITES));
    await act("count", {});
    await history.locator("li code", { hasText: `${WRITES + 1}` }).waitFor();
    assert.equal((await values()).length, WRITES + 1);
    await close();
  },
);

scenario("Messages say how many are shown, and go back to the first", async () => {
  const { page, close } = await openPanel("Messages");
  await page.getByText(`200 of ${MESSAGES} messages`).waitFor();
  const feed = page.getByRole("list", { name: "Messages, oldest first" });
  await feed.getByText(`message ${MESSAGES}.`, { exact: true }).waitFor();
  const older = feed.getByRole("button", { name: "Older messages" });
  for (const shown of [400, 600]) {
    await older.click();
    await page.getByText(`${shown} of ${MESSAGES} messages`).waitFor();
  }
  await older.click();
  await older.waitFor({ state: "detached" });
  await feed.getByText("message 1.", { exact: true }).waitFor();
  assert.equal(await feed.getByText(/^message \d+\.$/).count(), MESSAGES);
  await act("_send_message", { body: "one more" });
  await feed.getByText("one more").waitFor();
  assert.equal(await feed.getByText(/^message \d+\.$/).count(), MESSAGES);
  await close();
});

scenario("Surfaces, the strip and the drawing say what they leave out", async () => {
  const { page, close } = await openPanel("Surfaces");
  await page.setViewportSize({ width: 1440, height: 900 });
  const members = page.getByRole("region", { name: "Members" });
  await members.getByRole("button", { name: "50 more values" }).click();
  await members.getByText("member-149", { exact: true }).waitFor();
  await page.getByRole("region", { name: "Rows" }).getByText("138 more columns").waitFor();
  const text = page.getByRole("region", { name: "Text" });
  await text.getByRole("button", { name: "… all 1,003 characters" }).click();
  await text.getByText(/end$/).waitFor();
  const strip = page.getByRole("complementary", { name: "At a glance" });
  await strip.getByRole("button", { name: "1 more agent" }).click();
  await page.getByRole("tabpanel", { name: "Agents", exact: true }).waitFor();
  await close();
});

scenario("A filter that fits no action says so; the log shows more of what it has", async () => {
  const { page, close } = await openPanel("Actions");
  await page.getByRole("searchbox").fill("no such action");
  await page.getByText("No action of this room fits the filter.").waitFor();
  assert.equal(await page.getByText("no vocabulary of its own").count(), 0);
  await page.getByText(`0 actions of ${ACTIONS + 1}`).waitFor();
  const log = await goTo(page, "Log");
  for (let shown = 100; shown < 700; shown = await log.locator("ol.log > li").count()) {
    await log.getByRole("button", { name: "Older records" }).click();
    await log.locator("ol.log > li").nth(shown).waitFor();
  }
  await close();
});

scenario("Back and forward go from panel to panel", async () => {
  const { page, close } = await openPanel("State");
  await goTo(page, "Log");
  await goTo(page, "Agents");
  const shows = (name: string) => page.getByRole("tabpanel", { name, exact: true }).waitFor();
  await page.goBack();
  await shows("Log");
  assert.match(page.url(), /tab=log$/);
  await page.goBack();
  await shows("State");
  await page.goForward();
  await shows("Log");
  await goTo(page, "Views");
  await page.goBack();
  await shows("Log");
  await page.setViewportSize({ width: 375, height: 800 });
  await page.goto(page.url().replace("tab=log", "tab=timeline"));
  await shows("Timeline");
  const tab = await page.getByRole("tab", { name: "Timeline", exact: true }).boundingBox();
  assert.ok(tab && tab.x >= 0 && tab.x + tab.width <= 375, "the tab of the panel is in sight");
  await close();
});

Deno.test.afterAll(async () => {
  await browser.close();
  await served.close();
});
