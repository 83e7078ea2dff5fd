/** The dashboard when things go wrong: outages, tokens that end, hidden tabs, hostile and very many values. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { PANELS } from "../frontend/room.ts";
import { RENDER_TYPES } from "../surfaces.ts";
import { giveAuthenticator } from "./chromium.ts";
import { goTo, mustPassAxe, openBrowser, openTab, roomPath, serve } from "./dashboard_world.ts";

const served = await serve();
const browser = await openBrowser();

function scenario(name: string, run: () => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: run });
}

/** A room with one action that writes anything anywhere in `_shared`. */
async function room(id: string, agents: readonly string[] = []) {
  const { token, view_token } = (await served.call("POST", "/rooms", { body: { id } })).body;
  const put = {
    id: "put",
    params: { key: {}, value: {} },
    writes: [{ key: "${params.key}", value: "${params.value}" }],
  };
  const act = async (action: string, params: unknown) => {
    const reply = await served.call("POST", `/rooms/${id}/actions/${action}/invoke`, {
      token,
      body: { params },
    });
    assert.ok(reply.status < 300, reply.text);
    return reply.body;
  };
  for (const agent of agents) {
    await served.call("POST", `/rooms/${id}/agents`, { token, body: { id: agent } });
  }
  await act("_register_action", put);
  return {
    id,
    token,
    view: view_token as string,
    act,
    put: (key: string, value: unknown) => act("put", { key, value }),
  };
}

/** The entries that the page knows, by key, as the API would show them. */
async function shownKeys(page: Page): Promise<number> {
  const text = await page.getByRole("tabpanel").getByRole("status").textContent();
  return Number(/\d+/.exec(text ?? "")?.[0]);
}

scenario("An outage is told in words, and nothing that happened in it is lost", async () => {
  const { id, token, put, act } = await room("outage");
  await put("before", 1);
  const tab = await openTab(browser, served, roomPath(id, token, "state"));
  await goTo(tab.page, "State");
  await tab.page.getByRole("row", { name: /before/ }).waitFor();
  await served.cut();
  await tab.page.getByText(/Offline: what you see is the room as of record \d+/).waitFor();
  served.mend();
  for (let i = 0; i < 20; i++) await put(`during-${i}`, i);
  await act("_send_message", { body: "while you were out" });
  await tab.page.getByText("live", { exact: true }).waitFor();
  await tab.page.getByRole("row", { name: /during-19/ }).waitFor();
  assert.equal(await shownKeys(tab.page), 21);
  await goTo(tab.page, "Messages");
  await tab.page.getByText("while you were out").waitFor();
  tab.mustBeQuiet(/ERR_|Failed to load|fetch/);
  await tab.page.close();
});

/** Hides the tab or shows it again, as far as its page can tell. */
async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
}

scenario(
  "A tab that was hidden for a moment while the service was away is live again",
  async () => {
    const { id, token, put } = await room("glance");
    const tab = await openTab(browser, served, roomPath(id, token, "state"));
    await tab.page.getByText("live", { exact: true }).waitFor();
    await served.cut();
    await tab.page.getByText("offline", { exact: true }).waitFor();
    await setHidden(tab.page, true);
    await tab.page.waitForTimeout(2_000);
    served.mend();
    await put("meanwhile", 1);
    await setHidden(tab.page, false);
    await tab.page.getByText("live", { exact: true }).waitFor();
    await tab.page.getByRole("row", { name: /meanwhile/ }).waitFor();
    tab.mustBeQuiet(/ERR_|Failed to load|fetch/);
    await tab.page.close();
  },
);

scenario("A hidden tab lets go of its stream and catches up when it is seen again", async () => {
  const { id, token, put, act } = await room("hidden");
  const tab = await openTab(browser, served, roomPath(id, token, "state"));
  await tab.page.getByText("live", { exact: true }).waitFor();
  const open = served.service.deps.streams.open;
  const hide = (isHidden: boolean) => setHidden(tab.page, isHidden);
  await hide(true);
  await tab.page.getByText("paused", { exact: true }).waitFor();
  for (let i = 0; i < 200 && served.service.deps.streams.open === open; i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.equal(served.service.deps.streams.open, open - 1);
  await put("unseen", "now seen");
  for (let i = 0; i < 520; i++) await act("_send_message", { body: `missed ${i}` });
  await hide(false);
  await tab.page.getByRole("row", { name: /unseen/ }).waitFor();
  await tab.page.getByText("live", { exact: true }).waitFor();
  await goTo(tab.page, "Messages");
  await tab.page.getByText("520 messages").waitFor();
  await tab.page.getByText("missed 519").waitFor();
  tab.mustBeQuiet();
  await tab.page.close();
});

scenario(
  "A link that was taken back says so, and another token goes on in the same place",
  async () => {
    const { id, token, view, put } = await room("expired");
    await put("kept", 1);
    const tab = await openTab(browser, served, roomPath(id, view, "state"));
    await tab.page.getByRole("row", { name: /kept/ }).waitFor();
    await tab.page.getByText("reading only").waitFor();
    await served.call("POST", `/rooms/${id}/rotate-view-token`, { token, body: {} });
    await tab.page.getByText("Your token has expired or was revoked.").waitFor();
    const signIn = tab.page.getByRole("link", { name: "Sign in" });
    assert.equal(
      await signIn.getAttribute("href"),
      `/auth/signin?next=${encodeURIComponent(`/?room=${id}&tab=state`)}`,
    );
    await mustPassAxe(tab.page, "a token that ended");
    await tab.page.getByLabel("or paste a token").fill(token);
    await tab.page.keyboard.press("Enter");
    await tab.page.getByText("live", { exact: true }).waitFor();
    await put("after", 2);
    await tab.page.getByRole("row", { name: /after/ }).waitFor();
    tab.mustBeQuiet(/401/);
    await tab.page.close();
  },
);

scenario(
  "Without a token, with a wrong one, and after the room's end: words, not errors",
  async () => {
    const { id, token } = await room("doors");
    const bare = await openTab(browser, served, `/?room=${id}`);
    await bare.page.getByText("This room opens with a token").waitFor();
    await mustPassAxe(bare.page, "no token");
    bare.mustBeQuiet(/401/);
    await bare.page.close();
    await served.call("PATCH", `/rooms/${id}`, { token, body: { public: "read" } });
    const guest = await openTab(browser, served, `/?room=${id}`);
    await guest.page.getByText("reading only").waitFor();
    guest.mustBeQuiet();
    await guest.page.close();
    const wrong = await openTab(browser, served, roomPath("no-such-room", token));
    await wrong.page.getByText("There is no such room").waitFor();
    assert.equal(new URL(wrong.page.url()).hash, "", "the token leaves the address at once");
    await mustPassAxe(wrong.page, "no such room");
    wrong.mustBeQuiet(/404/);
    await wrong.page.close();
    const forged = await openTab(browser, served, roomPath(id, "room_nobodys"));
    await forged.page.getByText("Your token has expired or was revoked.").waitFor();
    await mustPassAxe(forged.page, "a wrong token");
    forged.mustBeQuiet(/401/);
    await forged.page.close();
    const sent = await openTab(browser, served, `/?room=${id}&tab=log&token=${token}`);
    await sent.page.getByRole("tabpanel", { name: "Log", exact: true }).waitFor();
    assert.equal(sent.page.url(), `${served.origin}/?room=${id}&tab=log`);
    assert.ok(!(await sent.page.evaluate("document.referrer") as string).includes(token));
    await sent.page.close();
    const tab = await openTab(browser, served, roomPath(id, token));
    await tab.page.getByText("live", { exact: true }).waitFor();
    await served.call("DELETE", `/rooms/${id}`, { token });
    await tab.page.getByText("This room was deleted").waitFor();
    tab.mustBeQuiet(/40[14]/);
    await tab.page.close();
  },
);

scenario("A share link reads and does nothing else, and shows nothing private", async () => {
  const demo = await served.demo("shared");
  const tab = await openTab(browser, served, roomPath(demo.room, demo.admin));
  await tab.page.getByRole("button", { name: "Share" }).click();
  await mustPassAxe(tab.page, "sharing");
  await tab.page.getByRole("button", { name: "Make a read-only link" }).click();
  const link = await tab.page.getByLabel("Read-only link").inputValue();
  assert.match(link, /#token=view_/);
  const guest = await openTab(await browser.newContext(), served, link.slice(served.origin.length));
  await guest.page.getByText("reading only").waitFor();
  await goTo(guest.page, "State");
  assert.equal(await guest.page.getByText("private_notes").count(), 0);
  await goTo(guest.page, "Actions");
  await guest.page.locator("summary", { hasText: "plan_task" }).click();
  await guest.page.getByText("This link reads only").waitFor();
  assert.equal(await guest.page.getByRole("button", { name: "Invoke" }).count(), 0);
  await goTo(guest.page, "Messages");
  assert.equal(await guest.page.getByRole("textbox", { name: "Message" }).count(), 0);
  tab.mustBeQuiet();
  guest.mustBeQuiet();
  await guest.page.context().close();
  await tab.page.close();
});

scenario("A signed-in person needs no token, and one click makes a link", async () => {
  const context = await browser.newContext();
  const tab = await openTab(context, served, "/auth/signin");
  await giveAuthenticator(tab.page);
  await tab.page.fill("#username", "Paula");
  await tab.page.click("text=Create an account with a passkey");
  await tab.page.waitForURL(/\/manage/);
  const made = await tab.page.evaluate(async () => {
    const { csrf } = await (await fetch("/me")).json();
    const mint = {
      method: "POST",
      headers: { "X-CSRF-Token": csrf, "Content-Type": "application/json" },
    };
    const { token } = await (await fetch("/tokens", { ...mint, body: '{"scope":"create_rooms"}' }))
      .json();
    const create = {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
      body: '{"id":"paulas"}',
    };
    return (await fetch("/rooms", create)).status;
  });
  assert.equal(made, 201);
  await tab.page.goto(`${served.origin}/?room=paulas`);
  await tab.page.getByText("live", { exact: true }).waitFor();
  await tab.page.getByLabel("View as").waitFor();
  await tab.page.getByRole("button", { name: "Share" }).click();
  await tab.page.getByLabel("Read-only link").waitFor();
  tab.mustBeQuiet();
  await context.close();
});

const MARKUP =
  '<img src="https://elsewhere.invalid/x" onerror="alert(1)"><script>alert(1)</script>';

/** A value nested as deeply as the service takes. */
function nested(depth: number): unknown {
  let value: unknown = MARKUP;
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { [MARKUP]: value };
  return value;
}

scenario("Hostile values stay values, in every panel", async () => {
  const { id, token, put, act } = await room("hostile", ["evil"]);
  const rtl = "\u202eabc\u0000 \u05d0\u05d1 \ud83d\ude00";
  await put("markup", MARKUP);
  await put("long", "x".repeat(200_000));
  await put("deep", nested(50));
  await put("rtl", "\u202eabc \u05d0\u05d1");
  await put("wide", Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, i])));
  await put("__dashboard", { title: MARKUP });
  await put("_dashboard", {
    title: MARKUP,
    surfaces: [null, 3, { type: MARKUP, view: "nope" }, { type: "section", surfaces: { a: 1 } }],
  });
  await act("_send_message", { body: MARKUP, kind: "kind" });
  await act("_send_message", { body: { [MARKUP]: rtl } });
  const types = [...RENDER_TYPES, "gauge"];
  const values = [
    "state._shared.markup.value",
    "state._shared.deep.value",
    "state._shared.wide.value",
    "null",
    "[1, {'a': 2}, 'x']",
  ];
  for (const [i, type] of types.entries()) {
    const render = {
      type,
      label: MARKUP,
      order: "x",
      group: i % 2 ? MARKUP : 7,
      unit: [1],
      color: MARKUP,
      columns: [MARKUP, 7, null],
      max_rows: -1,
      views: ["nope", 7],
      actions: "put",
      keys: [7, null, {}],
      surfaces: [7, { view: "nope" }],
      kinds: 7,
      compose: true,
    };
    await act("_register_view", { id: `v${i}`, expr: values[i % values.length], render });
  }
  const tab = await openTab(browser, served, roomPath(id, token));
  for (const name of PANELS) {
    await goTo(tab.page, name);
    for (const summary of (await tab.page.locator("[role=tabpanel] summary").all()).slice(0, 6)) {
      await summary.click({ timeout: 500 }).catch(() => undefined);
    }
    await tab.page.waitForTimeout(150);
    const found = await tab.page.locator("[role=tabpanel]").locator(
      "script, iframe, img, b, [onerror], [onclick]",
    ).count();
    assert.equal(found, 0, name);
  }
  await goTo(tab.page, "State");
  for (const key of ["markup", "long", "deep", "wide"]) {
    await tab.page.getByRole("row", { name: new RegExp(`_shared ${key}`) }).click();
    await tab.page.getByRole("dialog").getByText("Written by").waitFor();
    await tab.page.keyboard.press("Escape");
  }
  const overflow = await tab.page.evaluate(
    "document.documentElement.scrollWidth - innerWidth",
  ) as number;
  assert.ok(overflow <= 0, "nothing pushes the page wide");
  tab.mustBeQuiet();
  await tab.page.close();
});

scenario(
  "Ten thousand keys: a window of rows, every key within reach, live all the same",
  async () => {
    const { id, token, act } = await room("many");
    const writes = Array.from({ length: 50 }, (_, i) => ({ key: "${params.p}-" + i, value: i }));
    await act("_register_action", { id: "fill", params: { p: {} }, writes });
    for (let i = 0; i < 200; i++) await act("fill", { p: `k${String(i).padStart(3, "0")}` });
    const tab = await openTab(browser, served, roomPath(id, token, "state"));
    await tab.page.getByText("10,000 keys").waitFor();
    const rows = await tab.page.locator("tbody tr[data-index]").count();
    assert.ok(rows > 10 && rows < 120, `${rows} rows are drawn`);
    await tab.page.locator("tbody tr[data-index]").first().focus();
    await tab.page.keyboard.press("End");
    await tab.page.locator('tr[data-index="9999"]:focus').waitFor();
    await tab.page.keyboard.press("PageUp");
    await tab.page.keyboard.press("Home");
    await tab.page.locator('tr[data-index="0"]:focus').waitFor();
    await tab.page.getByRole("searchbox").fill("k123-49");
    await tab.page.getByText(/^1 key of 10,000/).waitFor();
    await act("put", { key: "k123-49", value: "changed" });
    await tab.page.getByRole("row", { name: /"changed"/ }).waitFor();
    tab.mustBeQuiet();
    await tab.page.close();
  },
);

scenario("The order is held while one is in the table, and kept up when one leaves", async () => {
  const { id, token, put } = await room("held");
  for (const key of ["a", "b", "c"]) await put(key, 1);
  const tab = await openTab(browser, served, roomPath(id, token, "state"));
  await goTo(tab.page, "State");
  await tab.page.getByLabel("Sort by").selectOption("changed");
  const first = tab.page.locator('tr[data-index="0"] .c-key');
  await tab.page.locator('tr[data-index="0"]', { hasText: "c" }).waitFor();
  await tab.page.locator('tr[data-index="2"]').hover();
  await put("a", 2);
  await tab.page.getByRole("row", { name: /_shared a 2/ }).waitFor();
  await tab.page.waitForTimeout(700);
  await put("b", 3);
  await tab.page.getByRole("row", { name: /_shared b 3/ }).waitFor();
  assert.equal(await first.textContent(), "c", "rows do not move under the pointer");
  await tab.page.mouse.move(5, 5);
  await tab.page.locator('tr[data-index="0"]', { hasText: "b" }).waitFor();
  tab.mustBeQuiet();
  await tab.page.close();
});

Deno.test.afterAll(async () => {
  await browser.close();
  await served.close();
});
