/** A real browser walks every panel of the dashboard, while the room goes on underneath. */
import assert from "node:assert/strict";
import type { Demo } from "../frontend/demo.ts";
import {
  goTo,
  mustPassAxe,
  openBrowser,
  openTab,
  roomPath,
  serve,
  type Served,
} from "./dashboard_world.ts";

const served = await serve();
const browser = await openBrowser();
const demo = await served.demo("walk");

function act(action: string, params: unknown, agent = "bo", room: Demo = demo) {
  return served.call("POST", `/rooms/${room.room}/actions/${action}/invoke`, {
    token: agent === "admin" ? room.admin : room.agents[agent],
    body: { params },
  });
}

/** A test in the shared browser: nothing of it may be complained of. */
function walk(name: string, run: (served: Served) => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => run(served) });
}

walk(
  "A room with surfaces opens on them, one without on its state; the token leaves the address",
  async () => {
    const tab = await openTab(browser, served, roomPath(demo.room, demo.admin));
    await tab.page.getByRole("tabpanel", { name: "Surfaces", exact: true }).waitFor();
    assert.equal(new URL(tab.page.url()).hash, "");
    await tab.page.reload();
    await tab.page.getByText("Phase", { exact: true }).waitFor();
    await tab.page.close();
    const bare = (await served.call("POST", "/rooms", { body: { id: "bare" } })).body;
    const other = await openTab(browser, served, roomPath("bare", bare.token));
    await other.page.getByRole("tabpanel", { name: "State", exact: true }).waitFor();
    await other.page.getByText("Nothing is written yet.").waitFor();
    await other.page.close();
    tab.mustBeQuiet();
    other.mustBeQuiet();
  },
);

walk(
  "Surfaces: a change by API shows, a choice is made, and a refusal explains itself",
  async () => {
    const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "surfaces"));
    const panel = tab.page.getByRole("tabpanel", { name: "Surfaces", exact: true });
    await act("plan_task", { title: "Write the walk" }, "ada");
    await panel.getByRole("cell", { name: "Write the walk" }).waitFor();
    await act("note", { line: "**bold** news" });
    await panel.locator("strong", { hasText: "bold" }).waitFor();
    const verdict = panel.getByRole("region", { name: "Your verdict" });
    await verdict.getByRole("button", { name: "approve" }).click({ force: true });
    await verdict.getByRole("alert").getByText("precondition_failed").waitFor();
    await verdict.getByText("state._shared.built.value is 0").waitFor();
    const controls = panel.getByRole("region", { name: "Controls" });
    await controls.getByRole("button", { name: "build_task" }).click();
    await verdict.locator('button[aria-disabled="false"]').first().waitFor();
    await panel.getByRole("region", { name: "Built", exact: true }).getByText("100").waitFor();
    await verdict.getByRole("button", { name: "approve" }).click();
    await panel.getByRole("region", { name: "Keep an eye on" }).getByText('"approve"').waitFor();
    await mustPassAxe(tab.page, "Surfaces");
    tab.mustBeQuiet(/409/);
    await tab.page.close();
  },
);

walk("State: live, filtered, sorted, by keyboard; an entry in full with its history", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "state"));
  const panel = await goTo(tab.page, "State");
  await act("run_tests", { coverage: 88.25 });
  await panel.getByRole("row", { name: /coverage 88\.25/ }).waitFor();
  await panel.getByRole("row", { name: /private cy private_notes/ }).waitFor();
  await panel.getByRole("searchbox").fill("phase");
  await panel.getByText("1 key of").waitFor();
  await panel.getByRole("searchbox").fill("");
  await panel.getByLabel("Sort by").selectOption("changed");
  await panel.locator("tbody tr").first().focus();
  await tab.page.keyboard.press("End");
  await tab.page.keyboard.press("Home");
  await tab.page.keyboard.press("ArrowDown");
  await panel.locator('tr[data-index="1"]:focus').waitFor();
  await tab.page.keyboard.press("Enter");
  const dialog = tab.page.getByRole("dialog");
  await dialog.getByText("Written by").waitFor();
  await dialog.getByRole("region", { name: "History" }).getByRole("listitem").first().waitFor();
  await mustPassAxe(tab.page, "an entry");
  await tab.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await panel.locator('tr[data-index="1"]:focus').waitFor();
  await mustPassAxe(tab.page, "State");
  tab.mustBeQuiet();
  await tab.page.close();
});

walk("State: a timer runs out on the screen", async () => {
  const register = {
    id: "blink",
    writes: [{ key: "spark", value: 1, timer: { ms: 2500, effect: "delete" } }],
  };
  await act("_register_action", register, "admin");
  const tab = await openTab(browser, served, roomPath(demo.room, demo.view, "state"));
  await goTo(tab.page, "State");
  await act("blink", {});
  const row = tab.page.getByRole("row", { name: /spark/ });
  await row.getByText(/ends in/).waitFor();
  await row.waitFor({ state: "detached" });
  await act("_delete_action", { id: "blink" }, "admin");
  tab.mustBeQuiet();
  await tab.page.close();
});

walk("Agents: status, what one waits on, and looking through another's eyes", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "agents"));
  const panel = await goTo(tab.page, "Agents");
  const waiting = new AbortController();
  const condition = "state._shared.phase.value == 'never'";
  const wait = served.call(
    "GET",
    `/rooms/${demo.room}/wait?${new URLSearchParams({ condition })}`,
    {
      token: demo.agents["cy"],
      signal: waiting.signal,
    },
  ).catch(() => undefined);
  await panel.getByText(condition).waitFor();
  await panel.getByText("waiting", { exact: true }).waitFor();
  await mustPassAxe(tab.page, "Agents");
  waiting.abort();
  await wait;
  await panel.getByText(condition).waitFor({ state: "detached" });
  await panel.getByRole("button", { name: "View as cy" }).click();
  await tab.page.getByText("through the eyes of cy").waitFor();
  await goTo(tab.page, "State");
  await tab.page.getByRole("row", { name: /self private_notes/ }).waitFor();
  await tab.page.getByLabel("View as").selectOption("bo");
  await tab.page.getByText("through the eyes of bo").waitFor();
  assert.equal(await tab.page.getByRole("row", { name: /private_notes/ }).count(), 0);
  tab.mustBeQuiet();
  await tab.page.close();
});

walk("Messages: written, answered, told apart by kind, claimed by whom it is for", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.agents["cy"]!, "messages"));
  const panel = await goTo(tab.page, "Messages");
  await act("_send_message", { body: "Please look at this", kind: "task", to: "cy" }, "ada");
  await panel.getByText("Please look at this").waitFor();
  await panel.getByRole("button", { name: "Claim" }).click();
  await panel.getByText("claimed by cy").waitFor();
  await panel.getByRole("button", { name: /^Reply to/ }).last().click();
  await panel.getByRole("textbox", { name: "Message" }).fill("I have it");
  await tab.page.keyboard.press("Control+Enter");
  await panel.getByText("I have it").waitFor();
  await panel.getByText(/in reply to #\d+: Please look/).click();
  await panel.getByText(/Leave thread/).waitFor();
  await mustPassAxe(tab.page, "Messages");
  tab.mustBeQuiet();
  await tab.page.close();
});

walk(
  "Actions: a form from the schema tries first, then invokes; a shut gate says why",
  async () => {
    const stuck = { id: "stuck", if: "state._shared.nobody_writes_this.value == 1", writes: [] };
    await act("_register_action", stuck, "admin");
    const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "actions"));
    const panel = await goTo(tab.page, "Actions");
    await panel.getByText(/^Advice about this vocabulary/).click();
    await panel.getByText(/nobody_writes_this.*which no action writes/).waitFor();
    await panel.locator("summary", { hasText: "plan_task" }).click();
    const form = panel.getByRole("form", { name: "Invoke plan_task" });
    await form.getByLabel(/title/).fill("From a form");
    await form.getByRole("button", { name: "Dry run" }).click();
    await form.getByText("would do").waitFor();
    const before =
      (await served.call("GET", `/rooms/${demo.room}`, { token: demo.admin })).body.head;
    await form.getByRole("button", { name: "Invoke" }).click();
    await form.getByText("done", { exact: true }).waitFor();
    const after =
      (await served.call("GET", `/rooms/${demo.room}`, { token: demo.admin })).body.head;
    assert.equal(after, before + 1, "the dry run left no record");
    const ship = panel.locator("summary", { hasText: "ship" });
    await ship.getByText("not now").waitFor();
    await ship.click();
    await panel.getByText(/state\._shared\.reviewed\.value is \d/).waitFor();
    await panel.getByRole("form", { name: "Invoke ship" }).getByRole("button", { name: "Invoke" })
      .click();
    await panel.getByRole("form", { name: "Invoke ship" }).getByRole("alert").waitFor();
    await mustPassAxe(tab.page, "Actions");
    tab.mustBeQuiet(/409/);
    await tab.page.close();
  },
);

walk("Views: value, expression, what it reads, and an error in words", async () => {
  await act("_register_view", { id: "broken", expr: "state._shared.nowhere.value + 1" }, "admin");
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "views"));
  const panel = await goTo(tab.page, "Views");
  await panel.locator("summary", { hasText: "broken" }).getByText("cel_error").waitFor();
  await panel.locator("summary", { hasText: "progress" }).click();
  await panel.getByText("state._shared.planned", { exact: true }).waitFor();
  await mustPassAxe(tab.page, "Views");
  await panel.getByRole("button", { name: "Open in console" }).click();
  await tab.page.getByRole("tabpanel", { name: "Console", exact: true }).getByText("reads").first()
    .waitFor();
  await act("_delete_view", { id: "broken" }, "admin");
  tab.mustBeQuiet();
  await tab.page.close();
});

walk("Log: live, filtered, opened; refusals beside it", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "log"));
  const panel = await goTo(tab.page, "Log");
  await act("note", { line: "logged" });
  await panel.locator("ol.log li").first().getByText("note", { exact: true }).waitFor();
  await act("ship", {});
  await panel.getByText(/^Refused/).waitFor();
  await panel.getByText(/^Refused/).click();
  await panel.locator(".refused").first().getByText("precondition_failed").waitFor();
  await panel.getByRole("searchbox").fill("join");
  await panel.locator("ol.log summary").first().click();
  await panel.getByText("Hash", { exact: true }).waitFor();
  await mustPassAxe(tab.page, "Log");
  tab.mustBeQuiet();
  await tab.page.close();
});

walk("Console: completes, evaluates, explains, corrects, remembers", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "console"));
  const panel = await goTo(tab.page, "Console");
  const box = panel.getByRole("textbox", { name: "Expression" });
  await box.pressSequentially("state._shared.pha");
  await panel.getByRole("option", { name: /phase/ }).waitFor();
  await tab.page.keyboard.press("Tab");
  await box.pressSequentially(".value == 'x'");
  await mustPassAxe(tab.page, "Console, completing");
  await box.focus();
  await tab.page.keyboard.press("Escape");
  await tab.page.keyboard.press("Enter");
  const answer = panel.getByRole("listitem").first();
  await answer.getByText('state._shared.phase.value is "building"').waitFor();
  await box.fill("state._shared.phase == 'x'");
  await tab.page.keyboard.press("Enter");
  await answer.getByText("invalid_cel").waitFor();
  await answer.getByText(/Corrected/).waitFor();
  await box.fill("");
  await tab.page.keyboard.press("ArrowUp");
  assert.equal(await box.inputValue(), "state._shared.phase == 'x'");
  await mustPassAxe(tab.page, "Console");
  tab.mustBeQuiet(/400/);
  await tab.page.close();
});

walk("Timeline: the past equals the API's replay; two moments compare; a fork opens", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "timeline"));
  const panel = await goTo(tab.page, "Timeline");
  const seq = 20;
  await panel.getByRole("slider", { name: "Record" }).fill(String(seq));
  const then = panel.getByRole("region", { name: "The room then" });
  await then.and(panel.locator(`[data-seq="${seq}"]`)).waitFor();
  const replay = await served.call("GET", `/rooms/${demo.room}/replay/${seq}?elision=none`, {
    token: demo.admin,
  });
  const expected = Object.entries(replay.body.state as Record<string, Record<string, unknown>>)
    .flatMap(([scope, keys]) => Object.keys(keys).map((key) => `${scope}.${key}`));
  assert.deepEqual(
    await then.locator("div:has(> h3:text-is('State then')) dt").allTextContents(),
    expected,
  );
  await panel.getByRole("button", { name: "One record on" }).click();
  await panel.locator(`[data-seq="${seq + 1}"]`).waitFor();
  await panel.getByRole("button", { name: "Play" }).click();
  await panel.locator(`[data-seq="${seq + 3}"]`).waitFor();
  await panel.getByRole("button", { name: "Pause" }).click();
  await panel.getByRole("button", { name: "Compare" }).click();
  await panel.getByText(/keys added/).waitFor();
  await mustPassAxe(tab.page, "Timeline");
  await panel.getByRole("button", { name: "Fork from here" }).click();
  const dialog = tab.page.getByRole("dialog");
  await dialog.getByLabel(/Name of the new room/).fill("walk-fork");
  await mustPassAxe(tab.page, "forking");
  await dialog.getByRole("button", { name: "Fork", exact: true }).click();
  const [fork] = await Promise.all([
    tab.page.context().waitForEvent("page"),
    dialog.getByRole("link", { name: "walk-fork" }).click(),
  ]);
  await fork.getByRole("heading", { name: /walk-fork/ }).waitFor();
  await fork.getByRole("tabpanel").waitFor();
  tab.mustBeQuiet();
  await tab.page.close();
});

walk("Everything can be reached by keyboard: tabs by arrows, the panel by Tab", async () => {
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin, "surfaces"));
  await tab.page.getByRole("tab", { name: "Surfaces", exact: true }).focus();
  for (
    const name of ["State", "Agents", "Messages", "Actions", "Views", "Log", "Console", "Timeline"]
  ) {
    await tab.page.keyboard.press("ArrowDown");
    await tab.page.getByRole("tabpanel", { name, exact: true }).waitFor();
    assert.equal(await tab.page.evaluate("document.activeElement.id"), `tab-${name}`);
  }
  await tab.page.keyboard.press("Home");
  await tab.page.getByRole("tabpanel", { name: "Surfaces", exact: true }).waitFor();
  await tab.page.keyboard.press("Tab");
  assert.equal(await tab.page.evaluate("document.activeElement.closest('nav') === null"), true);
  tab.mustBeQuiet();
  await tab.page.close();
});

Deno.test.afterAll(async () => {
  await browser.close();
  await served.close();
});
