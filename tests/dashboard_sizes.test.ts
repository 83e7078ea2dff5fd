/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The dashboard on small screens, with names as long as they may be and lists longer than a screen. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { PANELS } from "../frontend/room.ts";
import { goTo, openBrowser, openTab, roomPath, serve } from "./dashboard_world.ts";

const served = await serve();
const browser = await openBrowser();

const LONG = "n".repeat(128);
const ROOM = "r".repeat(128);
const WORD = "w".repeat(3_000);
/** One that wrote three keys of long names. */
const LONGEST_RECORD = 19;

/** A room in which whatever has a name or a text has a long one. */
async function makeLong(): Promise<{ admin: string; agent: string }> {
  const call = async (path: string, body: unknown, token?: string) => {
    const reply = await served.call("POST", path, { body, token });
    assert.ok(reply.status < 300, `${path}: ${reply.text}`);
    return reply.body;
  };
  const label = "A label of many words ".repeat(4).trim();
  const { token: admin } = await call("/rooms", { id: ROOM, label });
  const { token: agent } = await call(`/rooms/${ROOM}/agents`, {
    id: LONG,
    name: "Name of many letters".repeat(5),
    role: "role-of-many-letters-".repeat(3),
    state: { secret: WORD },
  }, admin);
  for (let i = 0; i < 14; i++) await call(`/rooms/${ROOM}/agents`, { id: `agent-${i}` }, admin);
  const act = (action: string, params: unknown) =>
    call(`/rooms/${ROOM}/actions/${action}/invoke`, { params }, agent);
  const writes = Array.from(
    { length: 40 },
    (_, i) => ({ key: `\${params.k}.${i}`, value: { i, text: "\${params.v}" } }),
  );
  await act("_register_action", {
    id: LONG,
    description: `Does ${WORD.slice(0, 200)}`,
    params: { k: { type: "string", required: true }, v: { description: WORD.slice(0, 200) } },
    writes,
  });
  await act("_register_action", {
    id: `never-${"x".repeat(100)}`,
    if: `state._shared["${"k".repeat(100)}.0"].value.text == "${"y".repeat(100)}"`,
    writes: [{ key: "n", increment: 1 }],
  });
  for (const k of ["k".repeat(100), "a", "b", "c"]) await act(LONG, { k, v: WORD.slice(0, 300) });
  for (
    const [id, expr, type] of [[LONG, `"${WORD.slice(0, 300)}"`, "metric"], [
      "m",
      '"executing"',
      "metric",
    ], ["rows", "state._shared.keys()", "array-table"]]
  ) {
    await act("_register_view", { id, expr, render: { type, label: `${id} of ${type}` } });
  }
  await act("_send_message", { body: WORD, kind: "task", to: [LONG] });
  await act("_send_message", { body: "A task.", kind: "task" });
  const { seq } = await act("_send_message", { body: { of: WORD.slice(0, 300) } });
  await act("_send_message", { body: "Yes.", reply_to: seq, to: [LONG, "agent-1"] });
  await act("_claim_message", { seq: seq - 1 });
  return { admin, agent };
}

interface Faults {
  /** How far the page, or a list in it, goes beyond its right edge. */
  readonly wide: string[];
  /** Texts that stand on one another. */
  readonly piled: string[];
}

/** Runs in the page: what is too wide, and which visible texts overlap. */
function findFaults(): Faults {
  const wide: string[] = [], piled: string[] = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) wide.push(`page by ${root.scrollWidth - innerWidth} px`);
  for (const box of document.querySelectorAll(".scroll, .feed, .cards, .grid-box, .dialog-body")) {
    const over = box.scrollWidth - box.clientWidth;
    if (over > 0) wide.push(`${box.className} by ${over} px`);
  }
  const shown: {
    node: Node;
    text: string;
    box: { x: number; y: number; right: number; bottom: number };
  }[] = [];
  const dialog = document.querySelector("dialog[open]");
  const walker = document.createTreeWalker(dialog ?? document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent!.trim(), parent = node.parentElement!;
    if (text === "" || parent.closest(".sr, .cel-input, select, option, script, .skip")) continue;
    if (!parent.checkVisibility({ contentVisibilityAuto: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      const box = { x: rect.x, y: rect.y, right: rect.right, bottom: rect.bottom };
      for (let at: Element | null = parent; at; at = at.parentElement) {
        const style = getComputedStyle(at);
        if (style.overflowX === "visible" && style.clipPath === "none") continue;
        const clip = at.getBoundingClientRect();
        if (style.clipPath !== "none") box.right = box.x;
        box.x = Math.max(box.x, clip.x);
        box.y = Math.max(box.y, clip.y);
        box.right = Math.min(box.right, clip.right);
        box.bottom = Math.min(box.bottom, clip.bottom);
      }
      if (box.right - box.x > 1 && box.bottom - box.y > 1) {
        shown.push({ node, text: text.slice(0, 40), box });
      }
    }
  }
  for (const [i, { node, text, box: a }] of shown.entries()) {
    for (const { node: next, text: other, box: b } of shown.slice(i + 1)) {
      if (next === node) continue;
      const x = Math.min(a.right, b.right) - Math.max(a.x, b.x);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.y, b.y);
      if (x > 2 && y > 5) {
        piled.push(`“${text}” and “${other}” by ${Math.round(x)} × ${Math.round(y)}`);
      }
    }
  }
  return { wide, piled: piled.slice(0, 5) };
}

const found: string[] = [];

async function look(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(120);
  const { wide, piled } = await page.evaluate(findFaults);
  found.push(...[...wide, ...piled].map((fault) => `${name}: ${fault}`));
}

/** The table of entries is as wide as its box: nothing is kept for columns that are not shown. */
async function mustFillTable(page: Page, name: string): Promise<void> {
  const [edge, end] = await page.evaluate(() => {
    const heads = [...document.querySelectorAll<HTMLElement>("table.grid th")];
    const last = heads.filter((head) => head.offsetWidth > 0).at(-1)!;
    const box = document.querySelector(".grid-box")!;
    return [last.getBoundingClientRect().right, box.getBoundingClientRect().x + box.clientWidth];
  });
  assert.ok(Math.abs(edge! - end!) < 2, `${name}: the last column ends at ${edge}, not at ${end}`);
}

Deno.test({
  name: "However long names are and small the screen: nothing too wide, no text on another",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const { admin, agent } = await makeLong();
    const looks = [["an admin", admin, [320, 375, 768, 1440]], ["an agent", agent, [375]]] as const;
    for (const [who, token, widths] of looks) {
      const tab = await openTab(browser, served, roomPath(ROOM, token, "state"));
      const { page } = tab;
      await page.getByText("live", { exact: true }).waitFor();
      for (const width of widths) {
        await t.step(`${who}, ${width} px`, async () => {
          await page.setViewportSize({ width, height: 800 });
          for (const name of PANELS) {
            const panel = await goTo(page, name);
            await look(page, `${name}, ${width} px`);
            if (name === "State") await mustFillTable(page, `${width} px`);
            if (name === "Timeline") {
              await panel.getByRole("slider").fill(String(LONGEST_RECORD));
              await panel.locator(`[data-seq="${LONGEST_RECORD}"]`).waitFor();
            }
            const rows = panel.locator(".item > details:not([open]) > summary");
            for (const row of (await rows.filter({ visible: true }).all()).slice(0, 2).reverse()) {
              await row.click();
            }
            await look(page, `${name} opened, ${width} px`);
          }
          await goTo(page, "State");
          await page.locator("tr[data-index]").first().click();
          await page.getByRole("dialog").getByText("Written by").waitFor();
          await look(page, `an entry, ${width} px`);
          await page.keyboard.press("Escape");
          assert.deepEqual(found.splice(0), []);
        });
      }
      tab.mustBeQuiet(/400/);
      await page.close();
    }
  },
});

Deno.test.afterAll(async () => {
  await browser.close();
  await served.close();
});
