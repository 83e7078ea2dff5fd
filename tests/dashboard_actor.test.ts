/** A real browser judges records in the log, and opens the pages of the actors behind them. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { insertUser, upsertRole } from "../store/members.ts";
import { mint } from "../tokens.ts";
import { goTo, mustPassAxe, openBrowser, openTab, roomPath, serve } from "./dashboard_world.ts";

const served = await serve();
const browser = await openBrowser();
const demo = await served.demo("judged");
const { store, engine } = served.service;
const [uma, ulf] = await Promise.all(["uma", "ulf"].map(member));
const DID = "did:sync:agent:dev";
await mustCall("POST", "/actors", uma!, {
  did: DID,
  display_name: "Dev",
  substrate: { model: "m" },
});
const dev = (await mustCall("POST", "/rooms/judged/agents", uma!, { id: "dev", actor: DID })).token;
const judge = (await mustCall("POST", "/rooms/judged/agents", ulf!, { id: "judge" })).token;

/** A token of a new user who may write in the room. */
async function member(username: string): Promise<string> {
  const user = randomUUID();
  await store.run([insertUser(user, username, engine.clock.now())]);
  const { room } = await engine.find(demo.room);
  await store.of(room.uid).batch([upsertRole(room.uid, user, "collaborator", null)]);
  served.service.deps.auth.forget();
  const minted = mint(
    { kind: "tok", scope: "rooms:* create_rooms", user, label: username, expiresIn: 3_600_000 },
    engine.clock.now(),
  );
  await store.run(minted.statements);
  return minted.token;
}

async function mustCall(method: string, path: string, token: string, body: unknown) {
  const reply = await served.call(method, path, { token, body });
  assert.ok(reply.status < 300, reply.text);
  return reply.body;
}

async function say(body: string): Promise<number> {
  const path = `/rooms/${demo.room}/actions/_send_message/invoke`;
  return (await mustCall("POST", path, dev, { params: { body } })).seq;
}

async function trustInCode() {
  const path = `/actors/${encodeURIComponent(DID)}/trust?domain=code`;
  return (await served.call("GET", path, { token: uma })).body.trust[0];
}

/** Opens the log as somebody, and in it a record. */
async function openRecord(token: string, seq: number) {
  const tab = await openTab(browser, served, roomPath(demo.room, token, "log"));
  const panel = await goTo(tab.page, "Log");
  const row = panel.locator("ol.log > li").filter({
    has: tab.page.locator(".seq", { hasText: new RegExp(`^${seq}$`) }),
  });
  await row.locator("summary").first().click();
  return { tab, row, verdict: row.getByRole("form", { name: `Verdict on record ${seq}` }) };
}

/** A test in the shared browser. */
function walk(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });
}

walk("Log: a verdict by keyboard counts, and says so; the trust of the actor changes", async () => {
  const { tab, verdict } = await openRecord(judge, await say("The parser is done"));
  assert.equal((await trustInCode()).trust, 0);
  await verdict.getByLabel("Domain").fill("code");
  await verdict.getByLabel("Note").fill("reads well");
  await tab.page.keyboard.press("Tab");
  await tab.page.keyboard.press("Enter");
  await verdict.getByRole("status").getByText("accept in code: it counts.").waitFor();
  assert.equal((await trustInCode()).trust, 0.2065);
  await verdict.getByLabel("Domain").fill("no word");
  await verdict.getByRole("button", { name: "Reject" }).click();
  await verdict.getByRole("alert").getByText("invalid_argument").waitFor();
  await mustPassAxe(tab.page, "a verdict");
  tab.mustBeQuiet(/400/);
  await tab.page.close();
});

walk("Log: one's own work is judged in vain, and a reader judges nothing", async () => {
  const seq = await say("I like it");
  const before = await trustInCode();
  const own = await openRecord(dev, seq);
  await own.verdict.getByRole("button", { name: "Accept" }).click();
  await own.verdict.getByText("accept in general: it does not count, as it is your own").waitFor();
  assert.deepEqual(await trustInCode(), before);
  own.tab.mustBeQuiet();
  await own.tab.page.close();
  const reader = await openRecord(demo.view, seq);
  await reader.verdict.getByText("This link reads only.").waitFor();
  assert.ok(await reader.verdict.getByRole("button", { name: "Accept" }).isDisabled());
  await mustPassAxe(reader.tab.page, "a verdict that may not be given");
  reader.tab.mustBeQuiet();
  await reader.tab.page.close();
});
walk(
  "Actor: its page from the log, with trust that follows a verdict while it is open",
  async () => {
    const seq = await say("The lexer is done");
    const judged = (domain: string) =>
      mustCall("POST", `/rooms/${demo.room}/actions/_judge/invoke`, judge, {
        params: { subject: seq, verdict: "accept", domain },
      });
    await judged("style");
    const { tab, row } = await openRecord(judge, seq);
    await row.getByRole("button", { name: DID }).click();
    const page = tab.page.getByRole("dialog", { name: DID });
    await page.getByText("Dev", { exact: true }).waitFor();
    const trust = page.getByRole("region", { name: "Trust" });
    await trust.getByRole("img", { name: /^Trust in style over time/ }).waitFor();
    await trust.getByText("0.2065").last().waitFor();
    await judged("speed");
    await trust.getByRole("heading", { name: "speed" }).waitFor();
    await page.getByRole("region", { name: "Judged work" }).getByText("_send_message").first()
      .waitFor();
    assert.equal(await page.getByRole("region", { name: "Memory" }).count(), 0);
    await mustPassAxe(tab.page, "an actor");
    await tab.page.keyboard.press("Escape");
    await page.waitFor({ state: "detached" });
    tab.mustBeQuiet();
    await tab.page.close();
  },
);

walk(
  "Actor: its memory for itself and its owner; an agent of one room is said to be one",
  async () => {
    const path = `/actors/${encodeURIComponent(DID)}/memory/commits`;
    await mustCall("PUT", path, dev, {
      kind: "feedback",
      description: "how commits are written",
      body: "no emojis",
    });
    const tab = await openTab(browser, served, roomPath(demo.room, dev, "agents"));
    const panel = await goTo(tab.page, "Agents");
    await panel.getByRole("button", { name: DID }).click();
    const memory = tab.page.getByRole("dialog").getByRole("region", { name: "Memory" });
    await memory.getByText("how commits are written").click();
    await memory.getByText("no emojis").waitFor();
    await mustPassAxe(tab.page, "an actor's memory");
    await tab.page.keyboard.press("Escape");
    await panel.getByRole("button", { name: /~ada$/ }).click();
    await tab.page.getByRole("dialog").getByText("An agent of one room").waitFor();
    await mustPassAxe(tab.page, "an agent of one room");
    tab.mustBeQuiet();
    await tab.page.close();
  },
);

walk("Actor: its judged work is shown newest first, and goes back to the first", async () => {
  const seq = await say("The printer is done");
  for (let i = 0; i < 60; i++) {
    await mustCall("POST", `/rooms/${demo.room}/actions/_judge/invoke`, judge, {
      params: { subject: seq, verdict: i % 2 ? "accept" : "reject", domain: `d${i}` },
    });
  }
  const { tab, row } = await openRecord(uma!, seq);
  await row.getByRole("button", { name: DID }).click();
  const work = tab.page.getByRole("dialog").getByRole("region", { name: "Judged work" });
  await work.getByText("d59", { exact: true }).waitFor();
  assert.equal(await work.getByRole("listitem").count(), 50);
  await work.getByRole("button", { name: "Older verdicts" }).click();
  await work.getByText("d0", { exact: true }).waitFor();
  await work.getByRole("button", { name: "Older verdicts" }).waitFor({ state: "detached" });
  assert.ok(await work.getByRole("listitem").count() >= 60);
  tab.mustBeQuiet();
  await tab.page.close();
});

Deno.test.afterAll(async () => {
  await browser.close();
  await served.close();
});
